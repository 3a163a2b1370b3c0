/* SPDX-License-Identifier: BSD-2-Clause */
#include "inject/filter_watch.h"

#include "base/clock.h"
#include "inject/filter.h"
#include "target/proc.h"

#define LOOK_NS ML_NS_PER_MS
/* So many places for threads that have ended are kept. */
#define ENDED_MAX 256

static bool is_known_kind(const struct ml_filter_watch *watch, uint64_t kind)
{
	ml_array_each (known, &watch->kinds)
		if (*known == kind)
			return true;
	return false;
}

void ml_filter_watch_begin(struct ml_filter_watch *watch, pid_t pid)
{
	ml_proc_tids tids = {0};

	ml_filter_watch_free(watch);
	if (ml_proc_threads(pid, &tids))
		ml_array_each (tid, &tids) {
			uint64_t kind = ml_filter_kind(pid, *tid);

			*ml_u64map_put(&watch->threads, (uint64_t)*tid, NULL) = kind;
			if (!is_known_kind(watch, kind))
				*ml_array_push(&watch->kinds) = kind;
		}
	ml_array_free(&tids);
}

/* True when the thread has got a filter. */
static bool look_at(struct ml_filter_watch *watch, pid_t pid, pid_t tid)
{
	uint64_t kind = ml_filter_kind(pid, tid);
	bool is_new;
	uint64_t *known = ml_u64map_put(&watch->threads, (uint64_t)tid, &is_new);
	bool is_news = is_new ? !is_known_kind(watch, kind) : *known != kind;

	*known = kind;
	return is_news;
}

static void forget_ended(struct ml_filter_watch *watch, const ml_proc_tids *tids)
{
	struct ml_u64map alive = {0};

	if (watch->threads.count <= tids->count + ENDED_MAX)
		return;
	ml_array_each (tid, tids) {
		const uint64_t *kind = ml_u64map_get(&watch->threads, (uint64_t)*tid);

		if (kind)
			*ml_u64map_put(&alive, (uint64_t)*tid, NULL) = *kind;
	}
	ml_u64map_free(&watch->threads);
	watch->threads = alive;
}

bool ml_filter_watch_look(struct ml_filter_watch *watch, pid_t pid)
{
	uint64_t end_ns = ml_monotonic_ns() + LOOK_NS;
	bool is_news = look_at(watch, pid, pid);
	ml_proc_tids tids = {0};

	if (ml_proc_threads(pid, &tids))
		forget_ended(watch, &tids);
	for (size_t i = 0; i < tids.count && ml_monotonic_ns() < end_ns; i++) {
		pid_t tid = tids.items[watch->next++ % tids.count];

		is_news = look_at(watch, pid, tid) || is_news;
	}
	ml_array_free(&tids);
	return is_news;
}

void ml_filter_watch_free(struct ml_filter_watch *watch)
{
	ml_u64map_free(&watch->threads);
	ml_array_free(&watch->kinds);
	*watch = (struct ml_filter_watch){0};
}
