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
	ML_ARRAY(struct ml_link) given;
	size_t taken;   /* how many of them are closed or are being closed */
	size_t closing; /* of these, those that are not closed yet */
	bool is_over;
	pthread_t threads[THREADS];
	size_t thread_count;
};

static size_t waiting(const struct ml_link_keeper *keeper)
{
	return keeper->given.count - keeper->taken;
}

/* Those that go first go one by one, so that they go in their order. */
static bool must_wait(const struct ml_link_keeper *keeper)
{
	if (!waiting(keeper))
		return !keeper->is_over;
	return keeper->closing && keeper->given.items[keeper->taken].goes_first;
}

static void *close_links(void *context)
{
	struct ml_link_keeper *keeper = context;

	pthread_mutex_lock(&keeper->lock);
	for (;;) {
		while (must_wait(keeper))
			pthread_cond_wait(&keeper->is_given, &keeper->lock);
		if (!waiting(keeper))
			break;

		int fd = keeper->given.items[keeper->taken++].fd;

		keeper->closing++;
		pthread_mutex_unlock(&keeper->lock);
		close(fd);
		pthread_mutex_lock(&keeper->lock);
		keeper->closing--;
		pthread_cond_broadcast(&keeper->is_closed);
		pthread_cond_broadcast(&keeper->is_given);
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
	       keeper->thread_count < waiting(keeper) + keeper->closing &&
	       !pthread_create(&keeper->threads[keeper->thread_count], NULL, close_links, keeper))
		keeper->thread_count++;
}

static void add(struct ml_link_keeper *keeper, const struct ml_links *links, bool goes_first)
{
	ml_array_each (link, &links->list)
		if (link->goes_first == goes_first)
			*ml_array_push(&keeper->given) = *link;
}

/* Perf links at returns come first: as long as they are there the kernel puts its own return
 * address in the place of the caller's, which hides the stack from the agent, and they go one after
 * the other, a tenth of a second each, under the kernel's event_mutex (perf_uprobe_destroy()). */
void ml_link_keeper_give(struct ml_link_keeper *keeper, struct ml_links *links)
{
	pthread_mutex_lock(&keeper->lock);
	if (!waiting(keeper))
		keeper->given.count = keeper->taken = 0;
	add(keeper, links, true);
	add(keeper, links, false);
	start_threads(keeper);
	pthread_cond_broadcast(&keeper->is_given);
	pthread_mutex_unlock(&keeper->lock);
	ml_array_free(&links->list);
}

size_t ml_link_keeper_drain(struct ml_link_keeper *keeper, unsigned int limit_ms)
{
	uint64_t deadline_ns = ml_monotonic_ns() + limit_ms * ML_NS_PER_MS;
	struct timespec deadline = {(time_t)(deadline_ns / ML_NS_PER_SECOND),
				    (long)(deadline_ns % ML_NS_PER_SECOND)};

	pthread_mutex_lock(&keeper->lock);
	while (keeper->thread_count && (waiting(keeper) || keeper->closing) &&
	       ml_monotonic_ns() < deadline_ns)
		pthread_cond_timedwait(&keeper->is_closed, &keeper->lock, &deadline);

	size_t left = waiting(keeper) + keeper->closing;

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
	ml_array_free(&keeper->given);
	free(keeper);
}
