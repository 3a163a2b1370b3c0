/* SPDX-License-Identifier: BSD-2-Clause */
/** A master with two workers: one forgets, one does not. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) void leak_in_worker(void)
{
	void *volatile block = malloc(96);

	(void)block;
}

__attribute__((noinline)) void steady_in_worker(void)
{
	void *volatile block = malloc(96);

	usleep(1000);
	free(block);
}

int main(void)
{
	puts("ready");
	fflush(stdout);
	getchar();
	for (int worker = 0; worker < 2; worker++) {
		if (fork())
			continue;
		for (;;) {
			worker ? steady_in_worker() : leak_in_worker();
			usleep(50000);
		}
	}
	pause();
}
