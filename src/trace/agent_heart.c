/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_heart.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/thread.h"
#include "inject/filter.h"

#include <stdbool.h>
#include <unistd.h>

#define BEAT_US 4000

/* Programs that filter their own system calls do so in so long. */
#define START_NS (10 * ML_NS_PER_SECOND)

struct heard {
	struct ml_agent_memory *memory;
	pid_t pid;
	uint64_t start_ends_ns;
	uint64_t filters; /* ml_filter_kind() of its main thread */
};

struct ml_agent_heart {
	pthread_mutex_t lock; /* of the list */
	ML_ARRAY(struct heard) heard;
	pthread_t thread;
	bool is_running, must_stop;
};

static void look_for_filter(struct heard *heard)
{
	struct ml_agent_header *header = &heard->memory->header;
	uint64_t filters = ml_filter_kind(heard->pid, heard->pid);

	if (filters == heard->filters)
		return;
	heard->filters = filters;
	__atomic_store_n(&header->denied, ML_AGENT_CALLS_ALL, __ATOMIC_RELAXED);
	__atomic_store_n(&header->is_suspect, 1, __ATOMIC_RELEASE);
}

static void beat_once(struct ml_agent_heart *heart)
{
	pthread_mutex_lock(&heart->lock);
	ml_array_each (heard, &heart->heard) {
		uint64_t now_ns = ml_monotonic_ns();

		__atomic_store_n(&heard->memory->now_ns, now_ns, __ATOMIC_RELAXED);
		if (now_ns < heard->start_ends_ns)
			look_for_filter(heard);
	}
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

static struct ml_error *start(struct ml_agent_heart *heart)
{
	struct ml_error *error = ml_thread_start(&heart->thread, beat, heart);

	heart->is_running = !error;
	return error;
}

struct ml_error *ml_agent_heart_add(struct ml_agent_heart *heart, struct ml_agent_memory *memory,
				    pid_t pid)
{
	uint64_t now_ns = ml_monotonic_ns();

	memory->now_ns = now_ns;
	pthread_mutex_lock(&heart->lock);
	*ml_array_push(&heart->heard) = (struct heard){
		.memory = memory,
		.pid = pid,
		.start_ends_ns = now_ns + START_NS,
		.filters = ml_filter_kind(pid, pid),
	};
	pthread_mutex_unlock(&heart->lock);
	return heart->is_running ? NULL : start(heart);
}

void ml_agent_heart_drop(struct ml_agent_heart *heart, const struct ml_agent_memory *memory)
{
	pthread_mutex_lock(&heart->lock);
	for (size_t i = 0; i < heart->heard.count; i++)
		if (heart->heard.items[i].memory == memory)
			heart->heard.items[i--] = heart->heard.items[--heart->heard.count];
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
	ml_array_free(&heart->heard);
	pthread_mutex_destroy(&heart->lock);
	free(heart);
}
