/* SPDX-License-Identifier: BSD-2-Clause */
/** From a snapshot to a report: trim, merge, judge, sort, name. */
#include "report/report.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash_seed.h"
#include "base/human.h"
#include "base/u64map.h"
#include "report/foreign_code.h"
#include "report/frames.h"
#include "report/groups.h"
#include "report/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/** Drafts of one hash that are looked at: more do not happen unless somebody makes them. */
#define SAME_HASH_MAX 1000

/* Of a verdict on blocks nothing points to: a program may hide its pointers. */
#define LOST_CONFIDENCE 0.95

/** A site of the report in the making. */
struct draft {
	struct ml_report_site site;
	const struct ml_stack *stack; /**< NULL when lost */
	size_t skip;                  /**< frames in front that are the allocator's own */
	uint64_t largest_bytes;       /**< of the snapshot's sites merged here */
	uint64_t next;                /**< index + 1 of the next draft of the same hash, 0 = none */
};

struct build {
	const struct ml_report_input *input;
	struct ml_report *report;
	struct ml_frame_namer namer;
	ML_ARRAY(struct draft) drafts;
	struct ml_u64map by_hash;  /**< hash of pid and frames → index + 1 in drafts */
	struct ml_u64map by_stack; /**< stack id → index in drafts */
	struct ml_u64map comms;    /**< pid → its name, a pointer into report->strings */
};

/**
 * What tells @p frame from others: an interpreter's loop is the same one wherever it stands, and an
 * interpreted function is at the same line even when its instruction was replaced by a faster one.
 */
static uint64_t frame_key(const struct ml_stack_frame *frame)
{
	if (frame->is_interpreter)
		return 0;
	return frame->name ? (uint64_t)(uintptr_t)frame->name : frame->ip;
}

static uint64_t hash_stack(const struct ml_stack *stack, size_t skip)
{
	uint64_t hash = ml_hash_word(0xcbf29ce484222325ULL, (uint64_t)stack->pid);

	for (size_t i = skip; i < stack->count; i++)
		hash = ml_hash_word(hash, frame_key(&stack->frames[i]));
	return hash;
}

static bool is_same_stack(const struct draft *draft, const struct ml_stack *stack, size_t skip)
{
	if (!draft->stack || draft->stack->pid != stack->pid || draft->stack->end != stack->end ||
	    draft->stack->count - draft->skip != stack->count - skip)
		return false;
	for (size_t i = skip, j = draft->skip; i < stack->count; i++, j++)
		if (frame_key(&draft->stack->frames[j]) != frame_key(&stack->frames[i]))
			return false;
	return true;
}

static int64_t age_ms(uint64_t now_ns, uint64_t born_ns)
{
	if (!born_ns)
		return -1;
	return now_ns > born_ns ? (int64_t)((now_ns - born_ns) / ML_NS_PER_MS) : 0;
}

/** The draft of the same process and calls as @p stack, a new one when there is none. */
static struct draft *draft_of(struct build *build, const struct ml_stack *stack, size_t skip)
{
	uint64_t *head = NULL, before = 0;

	if (stack) {
		head = ml_u64map_put(&build->by_hash, hash_stack(stack, skip), NULL);
		before = *head;
		for (uint64_t i = before, seen = 0; i && seen < SAME_HASH_MAX;
		     i = build->drafts.items[i - 1].next, seen++)
			if (is_same_stack(&build->drafts.items[i - 1], stack, skip))
				return &build->drafts.items[i - 1];
	}

	struct draft *draft = ml_array_push(&build->drafts);

	*draft = (struct draft){
		.stack = stack,
		.skip = skip,
		.next = before,
		.site = {.oldest_ms = -1, .newest_ms = -1, .is_stack_lost = !stack},
	};
	if (head)
		*head = build->drafts.count;
	return draft;
}

/** The name of @p pid, copied once a report. */
static const char *comm_of(struct build *build, pid_t pid)
{
	bool is_new;
	uint64_t *known;

	if (!build->input->comm || pid <= 0)
		return NULL;
	known = ml_u64map_put(&build->comms, (uint64_t)pid, &is_new);
	if (is_new) {
		char *copy = ml_strdup(build->input->comm(build->input->context, pid));

		if (copy)
			*ml_array_push(&build->report->strings) = copy;
		*known = (uint64_t)(uintptr_t)copy;
	}
	return (const char *)(uintptr_t)*known;
}

static void merge_ages(struct ml_report_site *site, int64_t oldest_ms, int64_t newest_ms)
{
	if (oldest_ms > site->oldest_ms)
		site->oldest_ms = oldest_ms;
	if (newest_ms >= 0 && (site->newest_ms < 0 || newest_ms < site->newest_ms))
		site->newest_ms = newest_ms;
}

/**
 * Takes the verdict of @p id over when it is the biggest part of @p draft; growth and history add
 * up.
 */
static void merge_verdict(struct build *build, struct draft *draft, uint64_t id, uint64_t bytes,
			  bool is_first)
{
	double growth = draft->site.verdict.growth_bytes_per_s;
	struct ml_verdict verdict;

	ml_verdict_judge(build->input->timeline, id, &verdict);
	growth += verdict.growth_bytes_per_s;
	if (is_first || bytes > draft->largest_bytes ||
	    (bytes == draft->largest_bytes && id < draft->site.id)) {
		draft->largest_bytes = bytes;
		draft->site.id = id;
		draft->site.verdict = verdict;
	}
	draft->site.verdict.growth_bytes_per_s = growth;
	ml_history_add(build->input->timeline, id, &draft->site);
}

static void add_books(struct build *build, const struct ml_site_books *books)
{
	const struct ml_report_input *input = build->input;
	const struct ml_stack *stack = input->stack(input->context, books->stack);
	size_t before = build->drafts.count;
	struct draft *draft =
		draft_of(build, stack, stack ? ml_frames_internal(&build->namer, stack) : 0);
	struct ml_report_site *site = &draft->site;
	uint64_t now_ns = input->snapshot->time_ns;

	*ml_u64map_put(&build->by_stack, books->stack, NULL) =
		(uint64_t)(draft - build->drafts.items);
	merge_verdict(build, draft, books->stack, books->shown_bytes, build->drafts.count > before);
	site->bytes += books->shown_bytes;
	site->count += books->shown_count;
	site->allocs += books->allocs;
	site->frees += books->frees;
	site->alloc_bytes += books->alloc_bytes;
	site->lost_bytes += books->lost_bytes;
	site->lost_count += books->lost_count;
	merge_ages(site, age_ms(now_ns, books->oldest_born_ns),
		   age_ms(now_ns, books->newest_born_ns));
	site->pid = stack ? stack->pid : build->report->pid;
	site->comm = comm_of(build, site->pid);
	if (stack)
		site->end = stack->end;
	else
		build->report->counters[ML_COUNTER_STACKS_LOST] += books->shown_count;
	build->report->outstanding_bytes += books->shown_bytes;
	build->report->outstanding_count += books->shown_count;
}

/** Biggest first; equal ones in an order that stays the same from report to report. */
static int compare_drafts(const void *left, const void *right, void *context)
{
	const struct ml_report_site *a = &((const struct draft *)left)->site;
	const struct ml_report_site *b = &((const struct draft *)right)->site;
	enum ml_report_sort sort = *(const enum ml_report_sort *)context;
	int by_bytes = ml_compare_u64(b->bytes, a->bytes);
	int by_count = ml_compare_u64(b->count, a->count);
	int first = sort == ML_SORT_COUNT ? by_count : by_bytes;
	int second = sort == ML_SORT_COUNT ? by_bytes : by_count;

	if (first)
		return first;
	return second ? second : ml_compare_u64(a->id, b->id);
}

static int compare_blocks(const void *left, const void *right)
{
	const struct ml_block *a = left, *b = right;
	int by_birth = ml_compare_u64(a->born_ns, b->born_ns);

	return by_birth ? by_birth : ml_compare_u64(a->address, b->address);
}

static void add_blocks(struct build *build)
{
	ml_array_each (block, &build->input->snapshot->blocks) {
		const uint64_t *index = ml_u64map_get(&build->by_stack, block->stack);

		if (index)
			*ml_array_push(&build->drafts.items[*index].site.blocks) = *block;
	}
	ml_array_each (draft, &build->drafts)
		if (draft->site.blocks.count)
			qsort(draft->site.blocks.items, draft->site.blocks.count,
			      sizeof(*draft->site.blocks.items), compare_blocks);
}

/** When the program has ended there is nothing to watch for any more: says what is known. */
static void say_at_end(const struct ml_report *report, struct ml_report_site *site)
{
	char human[ML_HUMAN_TEXT];

	if (site->lost_count) {
		site->verdict.class = ML_VERDICT_LEAK;
		site->verdict.confidence = LOST_CONFIDENCE;
		snprintf(site->verdict.why, sizeof(site->verdict.why),
			 "nothing pointed to %" PRIu64 " of its blocks (%s) any more when the "
			 "program ended",
			 site->lost_count, ml_human_bytes((double)site->lost_bytes, human));
		return;
	}
	if (!report->end_reason || site->verdict.class != ML_VERDICT_UNKNOWN)
		return;

	/* A mapping counts as two when its middle was unmapped. */
	uint64_t allocs = site->count > site->allocs ? site->count : site->allocs;

	snprintf(site->verdict.why, sizeof(site->verdict.why),
		 "%" PRIu64 " of the %" PRIu64 " block%s allocated here %s never freed",
		 site->count, allocs, allocs == 1 ? "" : "s", site->count == 1 ? "was" : "were");
}

/** True when the innermost frames of @p site have a function @p symbol. */
static bool has_inner_frame(const struct ml_report_site *site, const char *symbol)
{
	const size_t looked_at = 8;

	for (size_t i = 0; i < site->frames.count && i < looked_at; i++)
		if (site->frames.items[i].symbol && !strcmp(site->frames.items[i].symbol, symbol))
			return true;
	return false;
}

/** What glibc keeps of a thread until it is joined (_dl_allocate_tls) is the small part of it. */
static void say_threads(struct ml_report_site *site)
{
	char *why = site->verdict.why;
	size_t length = strlen(why);

	if ((site->verdict.class == ML_VERDICT_LEAK || site->verdict.class == ML_VERDICT_GROWING) &&
	    has_inner_frame(site, "_dl_allocate_tls") && has_inner_frame(site, "pthread_create"))
		snprintf(why + length, sizeof(site->verdict.why) - length,
			 "; one for each thread that is not joined, and its stack stays, too");
}

/**
 * What an allocator's library allocates for itself is not the program's to free: tcmalloc loses its
 * first MallocExtension whenever it is loaded, and Go finds its heap without pointers.
 */
static void forgive_allocator(const struct ml_report *report, const struct draft *draft,
			      struct ml_report_site *site)
{
	if (!site->lost_count || !site->frames.count ||
	    !ml_foreign_is_allocator(&site->frames.items[0]))
		return;
	site->lost_bytes = site->lost_count = 0;
	site->verdict = draft->site.verdict;
	say_at_end(report, site);
}

/** Marks the biggest sites of the groups that a text shows: @p named[i] for site i. */
static void mark_shown(const struct ml_report *report, size_t limit, bool *named)
{
	struct ml_report_groups groups;
	size_t leaks = 0;

	ml_report_groups_make(report, &groups);
	for (size_t i = 0; i < groups.list.count; i++) {
		const struct ml_report_group *group = &groups.list.items[i];

		leaks += group->leaks;
		named[group->first] |=
			i < limit || (group->leaks && leaks <= ML_REPORT_LEAKS_SHOWN);
	}
	ml_report_groups_free(&groups);
}

/** Names the frames of the sites, which are in the order of the drafts. */
static void name_sites(struct build *build)
{
	struct ml_report *report = build->report;
	size_t limit = build->input->symbolize_limit;
	ML_FREE_CLEANUP bool *named = ml_alloc(report->sites.count + 1);

	for (size_t i = 0; i < report->sites.count; i++)
		named[i] = !limit || i < limit;
	if (limit)
		mark_shown(report, limit, named);
	for (size_t i = 0; i < report->sites.count; i++) {
		const struct draft *draft = &build->drafts.items[i];
		struct ml_report_site *site = &report->sites.items[i];

		if (draft->stack && named[i])
			ml_frames_name(&build->namer, draft->stack, draft->skip, site, NULL);
		forgive_allocator(report, draft, site);
		say_threads(site);
	}
}

/** Moves the drafts, sorted, into the report and names their frames. */
static void freeze(struct build *build)
{
	struct ml_report *report = build->report;
	enum ml_report_sort sort = build->input->sort;

	if (!build->drafts.count)
		return;
	qsort_r(build->drafts.items, build->drafts.count, sizeof(*build->drafts.items),
		compare_drafts, &sort);
	ml_array_reserve(&report->sites, build->drafts.count);
	ml_array_each (draft, &build->drafts) {
		struct ml_report_site *site = ml_array_push(&report->sites);

		*site = draft->site;
		if (draft->stack)
			site->calls = ml_report_calls(draft->stack, draft->skip);
		say_at_end(report, site);
	}
	name_sites(build);
}

void ml_report_build(const struct ml_report_input *input, struct ml_report *report)
{
	const struct ml_snapshot *snapshot = input->snapshot;
	struct build build = {
		.input = input,
		.report = report,
		.namer = {.input = input, .report = report},
	};

	report->sort = input->sort;
	report->now_ns = snapshot->time_ns;
	report->outstanding_bytes = report->outstanding_count = 0;
	report->allocs = snapshot->allocs;
	report->frees = snapshot->frees;
	report->untracked_frees = snapshot->untracked_frees;
	memcpy(report->counters, snapshot->counters, sizeof(report->counters));
	ml_history_sum(input->timeline, report);
	ml_array_each (books, &snapshot->sites)
		if (books->shown_bytes || books->shown_count)
			add_books(&build, books);
	add_blocks(&build);
	freeze(&build);

	ml_frames_deinit(&build.namer);
	ml_array_free(&build.drafts);
	ml_u64map_free(&build.by_hash);
	ml_u64map_free(&build.by_stack);
	ml_u64map_free(&build.comms);
}
