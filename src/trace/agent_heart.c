/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_heart.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"
#include "inject/filter.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BEAT_NS (4 * ML_NS_PER_MS)
#define REST_US 100

/* Programs that filter their own system calls do so in so long. */
#define START_NS (10 * ML_NS_PER_SECOND)

struct heard {
	struct ml_agent_memory *memory;
	pid_t pid;
	uint64_t start_ends_ns;
	uint64_t filters; /* ml_filter_kind() of its main thread */
};

struct ml_agent_heart {
	int loads_fd;         /* an eventfd */
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

/* The futexes that agents wake when a loader waits. */
struct waits {
	struct futex_waitv list[FUTEX_WAITV_MAX];
	unsigned int count;
};

/* Tells of a loader that waits; else adds to what is to be waited for. */
static void listen(const struct ml_agent_heart *heart, struct ml_agent_memory *memory,
		   struct waits *waits)
{
	uint32_t loads = __atomic_load_n(&memory->loads, __ATOMIC_RELAXED);

	if (loads != __atomic_load_n(&memory->loads_heard, __ATOMIC_RELAXED))
		eventfd_write(heart->loads_fd, 1);
	if (waits->count < FUTEX_WAITV_MAX)
		waits->list[waits->count++] = (struct futex_waitv){
			.val = loads, .uaddr = (uintptr_t)&memory->loads, .flags = FUTEX_32};
}

/* Several at once: Linux 5.16. */
static long wait_for_any(struct waits *waits)
{
	uint64_t end_ns = ml_monotonic_ns() + BEAT_NS;
	struct timespec end = {.tv_sec = (time_t)(end_ns / ML_NS_PER_SECOND),
			       .tv_nsec = (long)(end_ns % ML_NS_PER_SECOND)};

	return syscall(SYS_futex_waitv, waits->list, waits->count, 0, &end, CLOCK_MONOTONIC);
}

static long wait_for_one(const struct futex_waitv *wait)
{
	const struct timespec time = {.tv_nsec = BEAT_NS};

	return syscall(SYS_futex, wait->uaddr, FUTEX_WAIT, wait->val, &time, NULL, 0);
}

/* Until the next beat, or until a loader waits, which on some kernels is heard at the beat only. */
static void wait_for_loads(struct waits *waits)
{
	long result = waits->count == 1 ? wait_for_one(&waits->list[0]) : wait_for_any(waits);

	/* A process may wake us all the time. */
	if (result >= 0 || errno == EAGAIN || errno == EINTR)
		usleep(REST_US);
	else if (errno != ETIMEDOUT)
		usleep(BEAT_NS / 1000);
}

static void beat_once(struct ml_agent_heart *heart, struct waits *waits)
{
	pthread_mutex_lock(&heart->lock);
	ml_array_each (heard, &heart->heard) {
		uint64_t now_ns = ml_monotonic_ns();

		__atomic_store_n(&heard->memory->now_ns, now_ns, __ATOMIC_RELAXED);
		if (now_ns < heard->start_ends_ns)
			look_for_filter(heard);
		listen(heart, heard->memory, waits);
	}
	pthread_mutex_unlock(&heart->lock);
}

static void *beat(void *context)
{
	struct ml_agent_heart *heart = context;
	struct waits waits;

	while (!__atomic_load_n(&heart->must_stop, __ATOMIC_RELAXED)) {
		waits.count = 0;
		beat_once(heart, &waits);
		wait_for_loads(&waits);
	}
	return NULL;
}

struct ml_error *ml_agent_heart_create(struct ml_agent_heart **out)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return ml_error_errno(errno, "cannot make an eventfd");
	*out = ml_alloc(sizeof(**out));
	(*out)->loads_fd = fd;
	pthread_mutex_init(&(*out)->lock, NULL);
	return NULL;
}

int ml_agent_heart_fd(const struct ml_agent_heart *heart)
{
	return heart->loads_fd;
}

void ml_agent_heart_hear(const struct ml_agent_heart *heart)
{
	eventfd_t count;

	eventfd_read(heart->loads_fd, &count);
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
	ml_fd_close(&heart->loads_fd);
	free(heart);
}
