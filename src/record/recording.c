/* SPDX-License-Identifier: BSD-2-Clause */
#include "record/recording.h"

#include "base/file.h"
#include "record/batch.h"
#include "record/books_reader.h"
#include "record/names_reader.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Year 9999, and the farthest time zones: what strftime() and people can take. */
#define SECONDS_MAX    253402300799
#define UTC_OFFSET_MAX (26 * 3600)

/* A moment as its item says. */
struct ahead {
	struct ml_report report;
	enum ml_report_sort sort;
	uint64_t mark;
	uint64_t allocs, frees, untracked_frees, resident_bytes;
	uint64_t counters[ML_COUNTER_COUNT];
};

struct ml_recording {
	char *name; /* owned */
	int fd;
	struct ml_record_budget limits; /* what is left of them */
	struct ml_record_budget given;
	struct ml_batch_reader batches;
	struct ml_strbuf content; /* of the batch being read */
	struct ml_cursor items;   /* what is left of it */
	struct ml_names_reader names;
	struct ml_books_reader books;
	/* Items of the books since the last moment: valid only once the next one is complete. */
	struct ml_strbuf waiting;
	struct ml_memory_limit limit;
	struct ml_timeline *timeline; /* NULL before the first moment */
	struct ml_snapshot snapshot;
	struct ml_recording_moment moment;
	bool has_ahead; /* the next moment was read, but not gone to */
	struct ahead ahead;
	struct ml_report target; /* as the newest item says */
	enum ml_report_sort sort;
	uint64_t start_ns;
	ML_ARRAY(const char *) notes; /* of the moment ahead or reached */
	bool has_target, has_end;
	char early_end[200];
};

static struct ml_error *malformed(const struct ml_recording *recording, const char *what)
{
	return ml_error_new(ML_ERROR_FORMAT,
			    "%s: %s in the batch before byte %" PRIu64 " makes no sense",
			    recording->name, what, recording->batches.offset);
}

static struct ml_error *beyond_limit(const struct ml_recording *recording)
{
	return ml_error_new(ML_ERROR_FORMAT,
			    "%s: reading it takes more than %" PRIu64 " MiB of memory",
			    recording->name, recording->given.memory_bytes >> 20);
}

struct ml_error *ml_recording_open(int fd, const char *name, struct ml_record_budget limits,
				   struct ml_recording **out)
{
	struct ml_recording *recording = ml_alloc(sizeof(*recording));

	recording->name = ml_strdup(name);
	recording->fd = recording->batches.fd = fd;
	recording->limits = recording->given = limits;
	recording->names.limits = recording->books.limits = &recording->limits;

	struct ml_error *error = ml_batch_read_header(&recording->batches);

	if (error) {
		error = ml_error_wrap(error, "%s", name);
		ml_recording_close(recording);
		return error;
	}
	*out = recording;
	return NULL;
}

void ml_recording_close(struct ml_recording *recording)
{
	if (!recording)
		return;
	ml_fd_close(&recording->fd);
	ml_batch_reader_deinit(&recording->batches);
	ml_names_reader_deinit(&recording->names);
	ml_books_reader_deinit(&recording->books);
	ml_strbuf_free(&recording->content);
	ml_strbuf_free(&recording->waiting);
	ml_array_free(&recording->notes);
	ml_snapshot_deinit(&recording->snapshot);
	ml_timeline_destroy(recording->timeline);
	free(recording->name);
	free(recording);
}

static void take_target(struct ml_recording *recording, struct ml_cursor *item)
{
	const struct ml_names_reader *names = &recording->names;
	uint64_t flags = ml_cursor_uleb(item);
	int64_t pid = ml_cursor_sleb(item);
	struct ml_report target = {
		.is_kernel = flags & ML_TARGET_KERNEL,
		.is_limited = flags & ML_TARGET_LIMITED,
		.show_blocks = flags & ML_TARGET_BLOCKS,
		.is_many_processes = flags & ML_TARGET_MANY_PROCESSES,
	};
	uint64_t sampling;

	target.comm = ml_names_reader_string(names, item);
	target.exe = ml_names_reader_string(names, item);
	target.container = ml_names_reader_string(names, item);
	target.backend = ml_names_reader_string(names, item);
	sampling = ml_cursor_uleb(item);
	target.sampling_n = ml_cursor_uleb(item);
	target.top = ml_cursor_uleb(item);
	recording->start_ns = ml_cursor_uleb(item);
	ml_names_reader_string(names, item); /* which program made it: for people */
	if (pid < 0 || pid > INT_MAX || sampling > ML_SAMPLING_BYTES || target.top > UINT32_MAX)
		ml_cursor_fail(item);
	target.pid = (pid_t)pid;
	target.sampling = (enum ml_sampling_mode)sampling;
	recording->target = target;
	recording->sort = flags & ML_TARGET_BY_COUNT ? ML_SORT_COUNT : ML_SORT_SIZE;
	recording->has_target = true;
}

static bool take_new_sites(struct ml_recording *recording, struct ml_cursor *item)
{
	while (ml_cursor_left(item)) {
		uint64_t id = ml_cursor_unsigned(item, 8);

		if (item->failed)
			return true;
		if (!ml_names_reader_add_site(&recording->names, id) ||
		    !ml_books_reader_add_site(&recording->books, id))
			return false;
	}
	return true;
}

/* Counters of another version that this one has not are left out. */
static void take_counters(struct ml_recording *recording, struct ml_cursor *item)
{
	static const char *const keys[] = {
#define X(name, key, sentence) #key,
		ML_COUNTERS(X)
#undef X
	};
	uint64_t count = ml_cursor_uleb(item);

	for (uint64_t i = 0; i < count && !item->failed; i++) {
		const char *key = ml_names_reader_string(&recording->names, item);
		uint64_t value = ml_cursor_uleb(item);

		for (size_t k = 0; key && k < ML_COUNTER_COUNT; k++)
			if (!strcmp(key, keys[k]))
				recording->ahead.counters[k] = value;
	}
}

/* Remarks of the run on its report; the array is filled when the moment is reached. */
static void take_notes(struct ml_recording *recording, struct ml_cursor *item)
{
	uint64_t count = ml_cursor_uleb(item);

	recording->notes.count = 0;
	for (uint64_t i = 0; i < count && !item->failed; i++) {
		const char *note = ml_names_reader_string(&recording->names, item);

		if (note)
			*ml_array_push(&recording->notes) = note;
	}
}

static void take_limit(struct ml_recording *recording, struct ml_cursor *item)
{
	uint64_t kind = ml_cursor_uleb(item);

	if (kind > ML_LIMIT_MACHINE)
		ml_cursor_fail(item);
	recording->limit = (struct ml_memory_limit){
		.kind = (enum ml_memory_limit_kind)kind,
		.limit_bytes = ml_cursor_uleb(item),
		.used_bytes = ml_cursor_uleb(item),
	};
}

static void take_moment(struct ml_recording *recording, struct ml_cursor *item)
{
	struct ahead *ahead = &recording->ahead;
	struct ml_report *report = &ahead->report;
	uint64_t flags = ml_cursor_uleb(item), nanoseconds;
	int64_t seconds, utc_offset_s;

	*ahead = (struct ahead){.report = recording->target, .sort = recording->sort};
	report->limit = recording->limit;
	ahead->mark = ml_cursor_uleb(item);
	report->is_final = flags & ML_MOMENT_FINAL;
	report->now_ns = ml_cursor_uleb(item);
	seconds = ml_cursor_sleb(item);
	nanoseconds = ml_cursor_uleb(item);
	utc_offset_s = ml_cursor_sleb(item);
	ahead->allocs = ml_cursor_uleb(item);
	ahead->frees = ml_cursor_uleb(item);
	ahead->untracked_frees = ml_cursor_uleb(item);
	ahead->resident_bytes = ml_cursor_uleb(item);
	report->elapsed_s = ml_cursor_double(item);
	report->target_cpu_fraction = ml_cursor_double(item);
	report->tool_cpu_s = ml_cursor_double(item);
	report->events_per_s = ml_cursor_double(item);
	report->end_reason = ml_names_reader_string(&recording->names, item);
	take_counters(recording, item);
	take_notes(recording, item);
	if (!recording->has_target || nanoseconds >= 1000000000 || seconds < 0 ||
	    seconds > SECONDS_MAX || utc_offset_s < -UTC_OFFSET_MAX ||
	    utc_offset_s > UTC_OFFSET_MAX || report->now_ns < recording->snapshot.time_ns)
		ml_cursor_fail(item);
	report->utc_offset_s = (int)utc_offset_s;
	report->time = (struct timespec){.tv_sec = seconds, .tv_nsec = (long)nanoseconds};
}

/* Applies the items that wait for their moment. */
static struct ml_error *apply_waiting(struct ml_recording *recording)
{
	struct ml_cursor items = {.at = (const uint8_t *)ml_strbuf_text(&recording->waiting)};

	items.end = items.at + recording->waiting.length;
	while (ml_cursor_left(&items)) {
		enum ml_item kind = (enum ml_item)ml_cursor_uleb(&items);
		struct ml_cursor item = ml_cursor_take(&items, ml_cursor_uleb(&items));

		if (!ml_books_reader_take(&recording->books, kind, &item))
			return beyond_limit(recording);
		if (item.failed)
			return malformed(recording, "an item of the books");
	}
	recording->limits.memory_bytes += recording->waiting.length;
	ml_strbuf_clear(&recording->waiting);
	return NULL;
}

/* What the moment's item said becomes the present. */
static void reach(struct ml_recording *recording)
{
	const struct ahead *ahead = &recording->ahead;
	struct ml_snapshot *snapshot = &recording->snapshot;

	snapshot->time_ns = ahead->report.now_ns;
	snapshot->allocs = ahead->allocs;
	snapshot->frees = ahead->frees;
	snapshot->untracked_frees = ahead->untracked_frees;
	snapshot->resident_bytes = ahead->resident_bytes;
	memcpy(snapshot->counters, ahead->counters, sizeof(snapshot->counters));
	recording->moment = (struct ml_recording_moment){
		.report = ahead->report,
		.sort = ahead->sort,
		.mark = ahead->mark,
		.notes = (const char *const *)recording->notes.items,
		.note_count = recording->notes.count,
		.snapshot = snapshot,
	};
	recording->has_ahead = false;
}

/* Goes to the moment that was read: its books are those of now, and part of the history. */
static struct ml_error *go_ahead(struct ml_recording *recording)
{
	struct ml_error *error = apply_waiting(recording);
	/* Moments without a site cost something as well. */
	uint64_t work = recording->books.there + 1;

	if (error)
		return error;
	if (work > recording->limits.work)
		return ml_error_new(ML_ERROR_FORMAT,
				    "%s: it has too many moments of too many sites",
				    recording->name);
	recording->limits.work -= work;
	ml_books_reader_fill(&recording->books, &recording->snapshot);
	reach(recording);
	if (!recording->timeline)
		recording->timeline = ml_timeline_create(recording->start_ns);
	ml_timeline_add(recording->timeline, &recording->snapshot);
	ml_books_reader_residues(&recording->books, recording->timeline);
	return NULL;
}

static bool is_books(uint64_t kind)
{
	return kind == ML_ITEM_SITES || kind == ML_ITEM_GONE_SITES || kind == ML_ITEM_BLOCKS ||
	       kind == ML_ITEM_FREED_BLOCKS || kind == ML_ITEM_RESIDUES;
}

/* Keeps an item of the books, as it stands from @start on, until its moment. */
static bool keep_waiting(struct ml_recording *recording, const uint8_t *start)
{
	size_t size = (size_t)(recording->items.at - start);

	if (!ml_record_charge(&recording->limits, size))
		return false;
	ml_strbuf_add(&recording->waiting, (const char *)start, size);
	return true;
}

/* Takes the next item of the batch. */
static struct ml_error *take_item(struct ml_recording *recording)
{
	const uint8_t *start = recording->items.at;
	uint64_t kind = ml_cursor_uleb(&recording->items);
	struct ml_cursor item =
		ml_cursor_take(&recording->items, ml_cursor_uleb(&recording->items));
	bool is_within = true;

	if (recording->items.failed)
		return malformed(recording, "the length of an item");
	if (is_books(kind))
		is_within = keep_waiting(recording, start);
	else if (kind == ML_ITEM_NEW_SITES)
		is_within = take_new_sites(recording, &item);
	else if (kind == ML_ITEM_TARGET)
		take_target(recording, &item);
	else if (kind == ML_ITEM_MOMENT)
		take_moment(recording, &item);
	else if (kind == ML_ITEM_LIMIT)
		take_limit(recording, &item);
	else if (kind == ML_ITEM_END)
		recording->has_end = true;
	else if (kind && kind < ML_ITEM_END)
		is_within = ml_names_reader_take(&recording->names, (enum ml_item)kind, &item);
	else if (kind < ML_ITEM_OPTIONAL)
		return ml_error_new(ML_ERROR_FORMAT,
				    "%s: has items this memleak does not know: use the memleak "
				    "that made it",
				    recording->name);
	if (!is_within)
		return beyond_limit(recording);
	if (item.failed)
		return malformed(recording, "an item");
	recording->has_ahead = kind == ML_ITEM_MOMENT;
	return NULL;
}

static struct ml_error *next_batch(struct ml_recording *recording, bool *is_there)
{
	struct ml_error *error = ml_batch_read(&recording->batches, &recording->content, is_there);

	if (error)
		return ml_error_wrap(error, "%s", recording->name);
	recording->items =
		(struct ml_cursor){.at = (const uint8_t *)ml_strbuf_text(&recording->content)};
	recording->items.end = recording->items.at + (*is_there ? recording->content.length : 0);
	return NULL;
}

/* There is no further moment: says why when the run went on. */
static struct ml_error *take_end(struct ml_recording *recording)
{
	const char *cut = recording->batches.cut;

	if (!recording->timeline)
		return ml_error_new(ML_ERROR_FORMAT, "%s: no report in it: %s", recording->name,
				    cut[0]               ? cut
				    : recording->has_end ? "the run ended before the first"
							 : "cut off before the first");
	if (!recording->has_end || cut[0])
		snprintf(recording->early_end, sizeof(recording->early_end),
			 "the recording ends early: %s",
			 cut[0] ? cut : "its run did not end in order");
	return NULL;
}

/* Reads up to the next moment; *@is_there is false when there is none. */
static struct ml_error *look_ahead(struct ml_recording *recording, bool *is_there)
{
	struct ml_error *error = NULL;

	while (!error && !recording->has_ahead) {
		bool has_batch = true;

		if (ml_cursor_left(&recording->items))
			error = take_item(recording);
		else
			error = next_batch(recording, &has_batch);
		if (!error && !has_batch) {
			*is_there = false;
			return take_end(recording);
		}
	}
	*is_there = !error;
	return error;
}

struct ml_error *ml_recording_peek(struct ml_recording *recording, bool *is_there,
				   struct ml_recording_ahead *out)
{
	const struct ahead *ahead = &recording->ahead;
	struct ml_error *error = look_ahead(recording, is_there);

	if (*is_there)
		*out = (struct ml_recording_ahead){
			.time = ahead->report.time,
			.elapsed_s = ahead->report.elapsed_s,
			.mark = ahead->mark,
		};
	return error;
}

struct ml_error *ml_recording_next(struct ml_recording *recording, bool *is_there)
{
	struct ml_error *error = look_ahead(recording, is_there);

	return error || !*is_there ? error : go_ahead(recording);
}

const struct ml_recording_moment *ml_recording_moment(const struct ml_recording *recording)
{
	return &recording->moment;
}

const char *ml_recording_early_end(const struct ml_recording *recording)
{
	return recording->early_end[0] ? recording->early_end : NULL;
}

static const struct ml_stack *stack_of(void *context, uint64_t id)
{
	struct ml_recording *recording = context;
	const struct ml_read_stack *stack = ml_names_reader_stack(&recording->names, id);

	return stack ? &stack->stack : NULL;
}

static const char *comm_of(void *context, pid_t pid)
{
	struct ml_recording *recording = context;
	const uint64_t *comm = ml_u64map_get(&recording->names.comms, (uint64_t)pid);

	return comm ? (const char *)(uintptr_t)*comm : NULL;
}

static size_t internal_of(void *context, const struct ml_stack *stack)
{
	struct ml_recording *recording = context;

	return ml_names_reader_stack(&recording->names, stack->id)->skip;
}

static void name_stack(void *context, const struct ml_stack *stack, struct ml_report_site *site)
{
	struct ml_recording *recording = context;

	ml_names_reader_name(&recording->names, ml_names_reader_stack(&recording->names, stack->id),
			     site);
}

void ml_recording_input(struct ml_recording *recording, const struct ml_snapshot *snapshot,
			struct ml_report_input *input)
{
	static const struct ml_report_recorded recorded = {.internal = internal_of,
							   .name = name_stack};

	input->snapshot = snapshot ? snapshot : &recording->snapshot;
	input->timeline = recording->timeline;
	input->stack = stack_of;
	input->comm = comm_of;
	input->recorded = &recorded;
	input->context = recording;
}
