/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_heart.h"

#include "base/array.h"
#include "base/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#define BEAT_US 4000

struct ml_agent_heart {
	pthread_mutex_t lock; /* of the list */
	ML_ARRAY(struct ml_agent_memory *) memories;
	pthread_t thread;
	bool is_running, must_stop;
};

static void beat_once(struct ml_agent_heart *heart)
{
	pthread_mutex_lock(&heart->lock);
	ml_array_each (memory, &heart->memories)
		__atomic_store_n(&(*memory)->now_ns, ml_monotonic_ns(), __ATOMIC_RELAXED);
	pthread_mutex_unlock(&heart->lock);
}

static void *beat(void *context)
{
	struct ml_agent_heart *heart = context;

	while (!__atomic_load_n(&heart->must_stop, __ATOMIC_RELAXED)) {
		beat_once(heart);
		usleep(BEAT_US);
	}
	return NULL;
}

struct ml_agent_heart *ml_agent_heart_create(void)
{
	struct ml_agent_heart *heart = ml_alloc(sizeof(*heart));

	pthread_mutex_init(&heart->lock, NULL);
	return heart;
}

/* Signals are the main thread's. */
static struct ml_error *start(struct ml_agent_heart *heart)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	err = pthread_create(&heart->thread, NULL, beat, heart);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return ml_error_errno(err, "cannot start a thread");
	heart->is_running = true;
	return NULL;
}

struct ml_error *ml_agent_heart_add(struct ml_agent_heart *heart, struct ml_agent_memory *memory)
{
	memory->now_ns = ml_monotonic_ns();
	pthread_mutex_lock(&heart->lock);
	*ml_array_push(&heart->memories) = memory;
	pthread_mutex_unlock(&heart->lock);
	return heart->is_running ? NULL : start(heart);
}

void ml_agent_heart_drop(struct ml_agent_heart *heart, const struct ml_agent_memory *memory)
{
	pthread_mutex_lock(&heart->lock);
	for (size_t i = 0; i < heart->memories.count; i++)
		if (heart->memories.items[i] == memory)
			heart->memories.items[i--] = heart->memories.items[--heart->memories.count];
	pthread_mutex_unlock(&heart->lock);
}

void ml_agent_heart_destroy(struct ml_agent_heart *heart)
{
	if (!heart)
		return;
	if (heart->is_running) {
		__atomic_store_n(&heart->must_stop, true, __ATOMIC_RELAXED);
		pthread_join(heart->thread, NULL);
	}
	ml_array_free(&heart->memories);
	pthread_mutex_destroy(&heart->lock);
	free(heart);
}
