/* SPDX-License-Identifier: BSD-2-Clause */
/** Starts threads that end at once and that nobody joins, until a line comes. */
#include "truth.h"

#include <poll.h>
#include <pthread.h>

static void *end_at_once(void *argument)
{
	return argument;
}

static NOINLINE void start_unjoined(void)
{
	pthread_t id;

	if (pthread_create(&id, NULL, end_at_once, NULL))
		_exit(98);
}

int main(void)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

	truth_ready();
	while (!poll(&input, 1, 50))
		start_unjoined();
	return 0;
}
