/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Has a thread that puts a file it may only read in the place of every descriptor that appears,
 * faster than whoever made that appear can open it. The file is the argument.
 */
#include "truth.h"

#include <fcntl.h>
#include <pthread.h>

static int file, place;
static volatile int stop;

static void *swap(void *unused)
{
	while (!stop) {
		if (fcntl(place, F_GETFD) < 0)
			continue;
		dup2(file, place);
		usleep(300000);
		close(place);
	}
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	file = open(argv[argc - 1], O_RDONLY);
	place = dup(file);
	close(place);
	pthread_create(&thread, NULL, swap, NULL);
	truth_ready();
	stop = 1;
	pthread_join(thread, NULL);
	return 0;
}
