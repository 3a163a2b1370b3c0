/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/groups.h"

#include "base/hash_seed.h"
#include "base/u64map.h"

#include <stdlib.h>

static uint64_t hash_text(uint64_t hash, const char *text)
{
	for (; text && *text; text++)
		hash = ml_hash_word(hash, (uint8_t)*text);
	return ml_hash_word(hash, 0);
}

static uint64_t hash_frame(uint64_t hash, const struct ml_stack_frame *frame)
{
	/* An interpreter's loop is the same wherever it stands. */
	if (frame->is_interpreter)
		return ml_hash_word(hash, 1);
	if (frame->name)
		return ml_hash_word(
			hash_text(hash_text(hash, frame->name->symbol), frame->name->file),
			(uint64_t)frame->name->line);
	if (!frame->module)
		return ml_hash_word(hash, frame->ip);
	return ml_hash_word(ml_hash_word(hash, (uint64_t)(uintptr_t)frame->module), frame->address);
}

uint64_t ml_report_calls(const struct ml_stack *stack, size_t skip)
{
	uint64_t hash = ml_hash_word(ml_hash_seed(), stack->end);

	for (size_t i = skip; i < stack->count; i++)
		hash = hash_frame(hash, &stack->frames[i]);
	return hash ? hash : 1;
}

const struct ml_report_site *ml_report_group_next(const struct ml_report *report,
						  const struct ml_report_group *group,
						  const struct ml_report_site *site)
{
	const struct ml_report_site *first = &report->sites.items[group->first];
	const struct ml_report_site *end = report->sites.items + report->sites.count;

	if (!site)
		return first;
	if (group->sites == 1)
		return NULL;
	while (++site < end)
		if (site->calls == first->calls)
			return site;
	return NULL;
}

static struct ml_report_group *group_of(const struct ml_report *report, size_t i,
					struct ml_u64map *by_calls, struct ml_report_groups *groups)
{
	uint64_t calls = report->is_many_processes ? report->sites.items[i].calls : 0;
	uint64_t *known = calls ? ml_u64map_put(by_calls, calls, NULL) : NULL;

	if (known && *known)
		return &groups->list.items[*known - 1];

	struct ml_report_group *group = ml_array_push(&groups->list);

	*group = (struct ml_report_group){.first = i};
	if (known)
		*known = groups->list.count;
	return group;
}

/* Equal ones, and those alone, stay in the order of their sites. */
static int compare_groups(const void *left, const void *right, void *context)
{
	const struct ml_report_group *a = left, *b = right;
	const enum ml_report_sort *sort = context;
	int by_size = ml_compare_u64(b->bytes, a->bytes),
	    by_count = ml_compare_u64(b->count, a->count);
	int first = *sort == ML_SORT_COUNT ? by_count : by_size;
	int second = *sort == ML_SORT_COUNT ? by_size : by_count;

	if (first || second)
		return first ? first : second;
	return ml_compare_u64(a->first, b->first);
}

void ml_report_groups_make(const struct ml_report *report, struct ml_report_groups *out)
{
	struct ml_u64map by_calls = {0};
	enum ml_report_sort sort = report->sort;

	*out = (struct ml_report_groups){0};
	for (size_t i = 0; i < report->sites.count; i++) {
		const struct ml_report_site *site = &report->sites.items[i];
		struct ml_report_group *group = group_of(report, i, &by_calls, out);

		group->sites++;
		group->bytes += site->bytes;
		group->count += site->count;
		group->leaks |= site->verdict.class == ML_VERDICT_LEAK;
	}
	/* Sites alone are sorted already. */
	if (out->list.count < report->sites.count)
		qsort_r(out->list.items, out->list.count, sizeof(*out->list.items), compare_groups,
			&sort);
	ml_u64map_free(&by_calls);
}

void ml_report_groups_free(struct ml_report_groups *groups)
{
	ml_array_free(&groups->list);
}
