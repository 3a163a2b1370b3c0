/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/link_keeper.h"

#include "base/array.h"
#include "base/clock.h"

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

/* Grace periods of several closings overlap. */
#define THREADS 32

struct ml_link_keeper {
	pthread_mutex_t lock;
	pthread_cond_t is_given, is_closed;
	ML_ARRAY(int) waiting;
	size_t closing; /* taken from `waiting`, not closed yet */
	bool is_over;
	pthread_t threads[THREADS];
	size_t thread_count;
};

static void *close_links(void *context)
{
	struct ml_link_keeper *keeper = context;

	pthread_mutex_lock(&keeper->lock);
	for (;;) {
		while (!keeper->waiting.count && !keeper->is_over)
			pthread_cond_wait(&keeper->is_given, &keeper->lock);
		if (!keeper->waiting.count)
			break;

		int fd = keeper->waiting.items[--keeper->waiting.count];

		keeper->closing++;
		pthread_mutex_unlock(&keeper->lock);
		close(fd);
		pthread_mutex_lock(&keeper->lock);
		keeper->closing--;
		pthread_cond_broadcast(&keeper->is_closed);
	}
	pthread_mutex_unlock(&keeper->lock);
	return NULL;
}

struct ml_link_keeper *ml_link_keeper_create(void)
{
	struct ml_link_keeper *keeper = ml_alloc(sizeof(*keeper));
	pthread_condattr_t monotonic;

	pthread_mutex_init(&keeper->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&keeper->is_given, NULL);
	pthread_cond_init(&keeper->is_closed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return keeper;
}

/* One for each descriptor, if need be. Without a thread they are closed when the tool ends. */
static void start_threads(struct ml_link_keeper *keeper)
{
	while (keeper->thread_count < THREADS &&
	       keeper->thread_count < keeper->waiting.count + keeper->closing &&
	       !pthread_create(&keeper->threads[keeper->thread_count], NULL, close_links, keeper))
		keeper->thread_count++;
}

void ml_link_keeper_give(struct ml_link_keeper *keeper, struct ml_links *links)
{
	pthread_mutex_lock(&keeper->lock);
	ml_array_each (fd, &links->fds)
		*ml_array_push(&keeper->waiting) = *fd;
	start_threads(keeper);
	pthread_cond_broadcast(&keeper->is_given);
	pthread_mutex_unlock(&keeper->lock);
	ml_array_free(&links->fds);
}

size_t ml_link_keeper_drain(struct ml_link_keeper *keeper, unsigned int limit_ms)
{
	uint64_t deadline_ns = ml_monotonic_ns() + limit_ms * ML_NS_PER_MS;
	struct timespec deadline = {(time_t)(deadline_ns / ML_NS_PER_SECOND),
				    (long)(deadline_ns % ML_NS_PER_SECOND)};

	pthread_mutex_lock(&keeper->lock);
	while (keeper->thread_count && (keeper->waiting.count || keeper->closing) &&
	       ml_monotonic_ns() < deadline_ns)
		pthread_cond_timedwait(&keeper->is_closed, &keeper->lock, &deadline);

	size_t left = keeper->waiting.count + keeper->closing;

	pthread_mutex_unlock(&keeper->lock);
	return left;
}

void ml_link_keeper_destroy(struct ml_link_keeper *keeper)
{
	if (!keeper)
		return;
	pthread_mutex_lock(&keeper->lock);
	keeper->is_over = true;
	pthread_cond_broadcast(&keeper->is_given);
	pthread_mutex_unlock(&keeper->lock);
	/* A thread stuck in the kernel needs what it works with. */
	if (ml_link_keeper_drain(keeper, 1000))
		return;
	for (size_t i = 0; i < keeper->thread_count; i++)
		pthread_join(keeper->threads[i], NULL);
	pthread_cond_destroy(&keeper->is_given);
	pthread_cond_destroy(&keeper->is_closed);
	pthread_mutex_destroy(&keeper->lock);
	ml_array_free(&keeper->waiting);
	free(keeper);
}
