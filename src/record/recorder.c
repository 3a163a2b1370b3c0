/* SPDX-License-Identifier: BSD-2-Clause */
#include "record/recorder.h"

#include "base/leb.h"
#include "record/batch.h"
#include "record/books_writer.h"
#include "record/names_writer.h"

#include <string.h>

struct ml_recorder {
	struct ml_items items;
	struct ml_names_writer names;
	struct ml_books_writer books;
	struct ml_strbuf target; /* the item, as it was written last */
};

struct ml_recorder *ml_recorder_create(struct ml_strbuf *out)
{
	struct ml_recorder *recorder = ml_alloc(sizeof(*recorder));

	recorder->names.items = recorder->books.items = &recorder->items;
	ml_batch_write_header(out);
	return recorder;
}

void ml_recorder_destroy(struct ml_recorder *recorder)
{
	if (!recorder)
		return;
	ml_names_writer_deinit(&recorder->names);
	ml_books_writer_deinit(&recorder->books);
	ml_items_deinit(&recorder->items);
	ml_strbuf_free(&recorder->target);
	free(recorder);
}

/* The stacks of sites that a report shows. */
static void write_stacks(struct ml_recorder *recorder, const struct ml_report_input *input)
{
	struct ml_report scratch = {0}; /* owns the strings of new names */
	struct ml_frame_namer namer = {.input = input, .report = &scratch};

	ml_array_each (books, &input->snapshot->sites) {
		const struct ml_stack *stack;

		if (!books->shown_bytes && !books->shown_count)
			continue;
		stack = input->stack(input->context, books->stack);
		if (!stack)
			continue;
		if (input->comm && stack->pid > 0)
			ml_names_writer_process(&recorder->names, stack->pid,
						input->comm(input->context, stack->pid));
		ml_names_writer_stack(&recorder->names, &namer, stack,
				      ml_books_writer_site(&recorder->books, books->stack));
	}
	ml_frames_deinit(&namer);
	ml_report_deinit(&scratch);
}

static uint64_t target_flags(const struct ml_recorded_moment *moment)
{
	const struct ml_report *report = moment->report;

	return (report->is_kernel ? ML_TARGET_KERNEL : 0) |
	       (report->is_limited ? ML_TARGET_LIMITED : 0) |
	       (report->show_blocks ? ML_TARGET_BLOCKS : 0) |
	       (report->is_many_processes ? ML_TARGET_MANY_PROCESSES : 0) |
	       (moment->input->sort == ML_SORT_COUNT ? ML_TARGET_BY_COUNT : 0);
}

static void write_target(struct ml_recorder *recorder, const struct ml_recorded_moment *moment)
{
	const struct ml_report *report = moment->report;
	struct ml_names_writer *names = &recorder->names;
	ML_STRBUF_CLEANUP struct ml_strbuf item = {0};

	ml_leb_unsigned(&item, target_flags(moment));
	ml_leb_signed(&item, report->pid);
	ml_leb_unsigned(&item, ml_names_writer_string(names, report->comm));
	ml_leb_unsigned(&item, ml_names_writer_string(names, report->exe));
	ml_leb_unsigned(&item, ml_names_writer_string(names, report->container));
	ml_leb_unsigned(&item, ml_names_writer_string(names, report->backend));
	ml_leb_unsigned(&item, report->sampling);
	ml_leb_unsigned(&item, report->sampling_n);
	ml_leb_unsigned(&item, report->top);
	ml_leb_unsigned(&item, ml_timeline_start(moment->input->timeline));
	ml_leb_unsigned(&item, ml_names_writer_string(names, "memleak " ML_VERSION));
	if (item.length == recorder->target.length &&
	    !memcmp(item.text, recorder->target.text, item.length))
		return;
	ml_strbuf_clear(&recorder->target);
	ml_strbuf_add(&recorder->target, item.text, item.length);
	ml_strbuf_add(&recorder->items.item, item.text, item.length);
	ml_items_add(&recorder->items, ML_ITEM_TARGET);
}

static void write_counters(struct ml_recorder *recorder, struct ml_strbuf *item,
			   const uint64_t *counters)
{
	static const char *const keys[] = {
#define X(name, key, sentence) #key,
		ML_COUNTERS(X)
#undef X
	};
	uint64_t count = 0;

	for (size_t i = 0; i < ML_COUNTER_COUNT; i++)
		count += counters[i] != 0;
	ml_leb_unsigned(item, count);
	for (size_t i = 0; i < ML_COUNTER_COUNT; i++) {
		if (!counters[i])
			continue;
		ml_leb_unsigned(item, ml_names_writer_string(&recorder->names, keys[i]));
		ml_leb_unsigned(item, counters[i]);
	}
}

static void write_moment(struct ml_recorder *recorder, const struct ml_recorded_moment *moment)
{
	const struct ml_report *report = moment->report;
	const struct ml_snapshot *snapshot = moment->input->snapshot;
	struct ml_strbuf *item = &recorder->items.item;

	ml_leb_unsigned(item, report->is_final ? ML_MOMENT_FINAL : 0);
	ml_leb_unsigned(item, moment->mark);
	ml_leb_unsigned(item, snapshot->time_ns);
	ml_leb_signed(item, report->time.tv_sec);
	ml_leb_unsigned(item, (uint64_t)report->time.tv_nsec);
	ml_leb_signed(item, report->utc_offset_s);
	ml_leb_unsigned(item, snapshot->allocs);
	ml_leb_unsigned(item, snapshot->frees);
	ml_leb_unsigned(item, snapshot->untracked_frees);
	ml_leb_unsigned(item, snapshot->resident_bytes);
	ml_leb_double(item, report->elapsed_s);
	ml_leb_double(item, report->target_cpu_fraction);
	ml_leb_double(item, report->tool_cpu_s);
	ml_leb_double(item, report->events_per_s);
	ml_leb_unsigned(item, ml_names_writer_string(&recorder->names, report->end_reason));
	write_counters(recorder, item, snapshot->counters);
	ml_leb_unsigned(item, report->notes.count);
	ml_array_each (note, &report->notes)
		ml_leb_unsigned(item, ml_names_writer_string(&recorder->names, *note));
	ml_items_add(&recorder->items, ML_ITEM_MOMENT);
}

/* What the target's memory runs into, for the moment that follows. */
static void write_limit(struct ml_recorder *recorder, const struct ml_memory_limit *limit)
{
	struct ml_strbuf *item = &recorder->items.item;

	ml_leb_unsigned(item, limit->kind);
	ml_leb_unsigned(item, limit->limit_bytes);
	ml_leb_unsigned(item, limit->used_bytes);
	ml_items_add(&recorder->items, ML_ITEM_LIMIT);
}

void ml_recorder_add(struct ml_recorder *recorder, const struct ml_recorded_moment *moment,
		     struct ml_strbuf *out)
{
	recorder->items.out = out;
	write_target(recorder, moment);
	ml_books_writer_number(&recorder->books, moment->input->snapshot);
	write_stacks(recorder, moment->input);
	ml_books_writer_add(&recorder->books, moment->input->snapshot, moment->input->timeline);
	write_limit(recorder, &moment->report->limit);
	write_moment(recorder, moment);
	ml_items_flush(&recorder->items);
}

void ml_recorder_end(struct ml_recorder *recorder, struct ml_strbuf *out)
{
	recorder->items.out = out;
	ml_items_add(&recorder->items, ML_ITEM_END);
	ml_items_flush(&recorder->items);
}
