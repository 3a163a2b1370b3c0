/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/flamegraph.h"

#include <math.h>

/** Browsers stay smooth with this many elements that react to the pointer. */
#define DRAWN_LIMIT 20000

/** The child of @p parent called @p name; made when it is new. */
static size_t child_of(struct ml_flamegraph *graph, size_t parent, const char *name,
		       bool is_inlined)
{
	size_t key[] = {parent, ml_intern_text(&graph->names, name, NULL)};
	bool is_new;
	size_t index = ml_intern_bytes(&graph->keys, key, sizeof(key), &is_new);

	if (!is_new)
		return index;

	struct ml_flame flame = {
		.parent = parent,
		.name = key[1],
		.depth = index ? graph->flames.items[parent].depth + 1 : 0,
		.is_inlined = is_inlined,
	};

	*ml_array_push(&graph->flames) = flame;
	return index;
}

static void add(struct ml_flamegraph *graph, size_t index, const struct ml_report_site *site)
{
	struct ml_flame *flame = &graph->flames.items[index];
	enum ml_verdict_class class = site->verdict.class;

	flame->bytes += site->bytes;
	flame->count += site->count;
	flame->class_bytes[class] += site->bytes;
	if (class == ML_VERDICT_LEAK || class == ML_VERDICT_GROWING)
		flame->growth_bytes_per_s += fmax(site->verdict.growth_bytes_per_s, 0);
}

static size_t frame_of(struct ml_flamegraph *graph, size_t parent,
		       const struct ml_report_frame *frame)
{
	ML_STRBUF_CLEANUP struct ml_strbuf name = {0};

	ml_report_frame_name(&name, frame);
	if (frame->symbol)
		ml_strbuf_printf(&name, " [%s]", frame->module);
	return child_of(graph, parent, name.text, frame->is_inlined);
}

static void add_site(struct ml_flamegraph *graph, const struct ml_report *report,
		     const struct ml_report_site *site)
{
	size_t at = 0;

	add(graph, at, site);
	if (report->is_many_processes) {
		ML_STRBUF_CLEANUP struct ml_strbuf name = {0};

		ml_strbuf_printf(&name, "%s (%d)", site->comm ? site->comm : "process",
				 (int)site->pid);
		at = child_of(graph, at, name.text, false);
		add(graph, at, site);
	}
	for (size_t i = site->frames.count; i-- > 0;) {
		at = frame_of(graph, at, &site->frames.items[i]);
		add(graph, at, site);
	}
	if (!site->frames.count)
		add(graph, child_of(graph, at, "[stack lost]", false), site);
}

/** Siblings together, in the order of their parents; the biggest first. */
static int compare_flames(const void *left, const void *right, void *context)
{
	const struct ml_flame *flames = context;
	size_t a = *(const size_t *)left, b = *(const size_t *)right;

	if (flames[a].parent != flames[b].parent)
		return flames[a].parent < flames[b].parent ? -1 : 1;
	if (flames[a].bytes != flames[b].bytes)
		return flames[a].bytes > flames[b].bytes ? -1 : 1;
	return a < b ? -1 : a > b;
}

/** A parent has a smaller index than its children, so that its place is known before theirs. */
static void lay_out(struct ml_flamegraph *graph)
{
	struct ml_flame *flames = graph->flames.items;
	size_t count = graph->flames.count;
	size_t *order = ml_alloc(count * sizeof(*order));
	uint64_t next = 0;

	for (size_t i = 0; i < count; i++)
		order[i] = i;
	qsort_r(order + 1, count - 1, sizeof(*order), compare_flames, flames);
	for (size_t i = 1; i < count; i++) {
		struct ml_flame *flame = &flames[order[i]];

		if (i == 1 || flame->parent != flames[order[i - 1]].parent)
			next = flames[flame->parent].start_bytes;
		flame->start_bytes = next;
		next += flame->bytes;
	}
	free(order);
}

void ml_flamegraph_build(struct ml_flamegraph *graph, const struct ml_report *report)
{
	struct ml_report_others others = ml_report_others(report);

	child_of(graph, 0, "all", false);
	for (size_t i = 0; i < ml_report_listed(report); i++)
		add_site(graph, report, &report->sites.items[i]);
	if (others.sites) {
		const struct ml_report_site rest = {.bytes = others.bytes, .count = others.count};

		add(graph, 0, &rest);
		add(graph, child_of(graph, 0, "[other sites]", false), &rest);
	}
	lay_out(graph);
}

enum ml_verdict_class ml_flame_class(const struct ml_flame *flame)
{
	enum ml_verdict_class most = ML_VERDICT_UNKNOWN;

	for (unsigned int class = 0; class < ML_VERDICT_CLASSES; class ++)
		if (flame->class_bytes[class] > flame->class_bytes[most])
			most = class;
	return most;
}

uint64_t ml_flamegraph_threshold(const struct ml_flamegraph *graph, size_t *left_out)
{
	uint64_t threshold = graph->flames.items[0].bytes / 1000;
	size_t drawn;

	/* Ends: above the root's bytes nothing is drawn. */
	for (;; threshold = threshold ? 2 * threshold : 1) {
		drawn = 0;
		ml_array_each (flame, &graph->flames)
			drawn += flame->bytes >= threshold;
		if (drawn <= DRAWN_LIMIT)
			break;
	}
	*left_out = graph->flames.count - drawn;
	return threshold;
}

void ml_flamegraph_free(struct ml_flamegraph *graph)
{
	ml_array_free(&graph->flames);
	ml_intern_free(&graph->names);
	ml_intern_free(&graph->keys);
}
