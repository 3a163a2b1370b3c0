/* SPDX-License-Identifier: BSD-2-Clause */
/** Threads that allocate, fill, check and free without pause and one that forks, until a line
 * comes. Says whether any byte was wrong or any child failed. */
#include "truth.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define WORKERS 3
#define SLOTS   257

static atomic_int stop;
static atomic_long rounds, wrong, forks;

static NOINLINE void check(unsigned char *block, size_t size, unsigned char mark)
{
	if (block[0] != mark || block[size / 2] != mark || block[size - 1] != mark)
		wrong++;
}

static void *work(void *argument)
{
	unsigned char *blocks[SLOTS] = {0}, marks[SLOTS];
	size_t sizes[SLOTS];
	unsigned int random = (unsigned int)(size_t)argument * 7919 + 1;

	while (!stop) {
		unsigned int i = (random = random * 1103515245 + 12345) >> 8;
		size_t size = 1 + (random >> 4) % 3000;

		i %= SLOTS;
		if (blocks[i])
			check(blocks[i], sizes[i], marks[i]);
		if (random & 0x10000) {
			blocks[i] = realloc(blocks[i], size);
		} else {
			free(blocks[i]);
			blocks[i] = random & 0x20000 ? malloc(size) : calloc(1, size);
		}
		marks[i] = (unsigned char)random;
		sizes[i] = size;
		memset(blocks[i], marks[i], size);
		rounds++;
	}
	for (int i = 0; i < SLOTS; i++)
		free(blocks[i]);
	return NULL;
}

static void *fork_again(void *argument)
{
	while (!stop) {
		int status = -1;
		pid_t child = fork();

		if (!child) {
			for (size_t i = 0; i < 300; i++)
				free(truth_keep(malloc(i * 13)));
			_exit(0);
		}
		if (waitpid(child, &status, 0) != child || status)
			wrong++;
		forks++;
		usleep(3000);
	}
	return argument;
}

int main(void)
{
	pthread_t threads[WORKERS + 1];

	truth_ready();
	for (size_t i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, work, (void *)i);
	pthread_create(&threads[WORKERS], NULL, fork_again, NULL);
	truth_event("busy");
	truth_wait();
	stop = 1;
	for (size_t i = 0; i <= WORKERS; i++)
		pthread_join(threads[i], NULL);
	truth_value("wrong", wrong);
	truth_value("rounds", rounds > 0);
	truth_value("forks", forks > 0);
	truth_done();
	return 0;
}
