/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The interpreted data file of heaptrack 1.4, format version 3, as heaptrack_print and
 * heaptrack_gui read it. Lines of one letter and hexadecimal numbers; indices count from 1, 0 is
 * none:
 *
 *   v HEAPTRACK FORMAT       X COMMAND              I PAGESIZE PAGES
 *   s LENGTH TEXT            i IP MODULE [FUNCTION [FILE LINE [FUNCTION FILE LINE]…]]
 *   t IP PARENT              a SIZE TRACE           + A (index from 0)    c MS
 *
 * The format knows single allocations, no sums: a site of N blocks becomes N allocations of
 * two neighbouring sizes that add up to its bytes.
 */
#include "report/report.h"

#include "base/intern.h"
#include "base/utf8.h"

#include <inttypes.h>

/** Allocations in one file (a line each). Sites of more blocks get fewer and bigger ones. */
#define ALLOCATION_LIMIT 1000000

struct heaptrack {
	FILE *out;
	struct ml_intern strings, ips, traces, allocations;
	uint64_t scale; /**< blocks that are one allocation of the file */
};

static size_t string_of(struct heaptrack *file, const char *text)
{
	ML_STRBUF_CLEANUP struct ml_strbuf clean = {0};
	bool is_new;

	if (!text || !*text)
		return 0;
	ml_utf8_clean(&clean, text);

	size_t index = ml_intern_text(&file->strings, clean.text, &is_new) + 1;

	if (is_new)
		fprintf(file->out, "s %zx %s\n", clean.length, clean.text);
	return index;
}

/** A frame that has no line ends the entry: heaptrack takes what is missing for 0. */
static void add_frame(struct heaptrack *file, struct ml_strbuf *ip,
		      const struct ml_report_frame *frame, bool is_last)
{
	size_t symbol = string_of(file, frame->symbol), path = string_of(file, frame->file);

	if (!symbol)
		return;
	ml_strbuf_printf(ip, " %zx", symbol);
	if (!is_last || path)
		ml_strbuf_printf(ip, " %zx %x", path, frame->line > 0 ? frame->line : 0);
}

static size_t trace_of(struct heaptrack *file, const struct ml_strbuf *ip, size_t parent)
{
	bool is_new;
	size_t index = ml_intern_bytes(&file->ips, ip->text, ip->length, &is_new) + 1;

	if (is_new)
		fprintf(file->out, "i %s\n", ip->text);

	size_t key[] = {index, parent};
	size_t trace = ml_intern_bytes(&file->traces, key, sizeof(key), &is_new) + 1;

	if (is_new)
		fprintf(file->out, "t %zx %zx\n", index, parent);
	return trace;
}

/** From the outermost frame inwards; the functions inlined at an address are one entry with it. */
static size_t trace_of_site(struct heaptrack *file, const struct ml_report_site *site)
{
	size_t trace = 0, end = site->frames.count;

	while (end) {
		const struct ml_report_frame *outer = &site->frames.items[end - 1];
		ML_STRBUF_CLEANUP struct ml_strbuf ip = {0};
		size_t first = end - 1;

		while (first && site->frames.items[first - 1].is_inlined)
			first--;
		ml_strbuf_printf(
			&ip, "%" PRIx64 " %zx", outer->ip,
			string_of(file, outer->module_path ? outer->module_path : outer->module));
		for (size_t i = first; i < end; i++)
			add_frame(file, &ip, &site->frames.items[i], i + 1 == end);
		trace = trace_of(file, &ip, trace);
		end = first;
	}
	return trace;
}

static size_t trace_of_remark(struct heaptrack *file, const char *text)
{
	ML_STRBUF_CLEANUP struct ml_strbuf ip = {0};

	/* heaptrack drops an entry without an address */
	ml_strbuf_printf(&ip, "1 0 %zx", string_of(file, text));
	return trace_of(file, &ip, 0);
}

static void add_allocations(struct heaptrack *file, uint64_t size, size_t trace, uint64_t count)
{
	uint64_t key[] = {size, trace};
	bool is_new;
	size_t index;

	if (!count)
		return;
	index = ml_intern_bytes(&file->allocations, key, sizeof(key), &is_new);
	if (is_new)
		fprintf(file->out, "a %" PRIx64 " %zx\n", size, trace);
	for (uint64_t i = 0; i < count; i++)
		fprintf(file->out, "+ %zx\n", index);
}

/** @p bytes in @p count blocks as sizes that differ by 1 at most. */
static void add_blocks(struct heaptrack *file, size_t trace, uint64_t bytes, uint64_t count)
{
	uint64_t shown = (count + file->scale - 1) / file->scale;

	if (!shown)
		return;
	add_allocations(file, bytes / shown, trace, shown - bytes % shown);
	add_allocations(file, bytes / shown + 1, trace, bytes % shown);
}

static void write_header(struct heaptrack *file, const struct ml_report *report)
{
	ML_STRBUF_CLEANUP struct ml_strbuf command = {0};
	const char *name = report->exe ? report->exe : report->comm;

	ml_utf8_clean(&command, name ? name : report->is_kernel ? "kernel" : "unknown");
	fprintf(file->out, "v 10400 3\nX %s\n", command.text);
	/* The machine's memory is not the report's: no pages. */
	fputs("I 1000 0\n", file->out);
	if (file->scale > 1)
		fprintf(file->out, "# one allocation stands for up to %" PRIu64 " blocks\n",
			file->scale);
}

static void write_heaptrack(FILE *out, const struct ml_report *report)
{
	struct ml_report_others others = ml_report_others(report);
	struct heaptrack file = {
		.out = out,
		.scale = report->outstanding_count / ALLOCATION_LIMIT + 1,
	};

	write_header(&file, report);
	fputs("c 0\n", out);
	for (size_t i = 0; i < ml_report_listed(report); i++) {
		const struct ml_report_site *site = &report->sites.items[i];
		size_t trace = site->frames.count ? trace_of_site(&file, site)
						  : trace_of_remark(&file, "[stack lost]");

		add_blocks(&file, trace, site->bytes, site->count);
	}
	if (others.sites)
		add_blocks(&file, trace_of_remark(&file, "[other sites]"), others.bytes,
			   others.count);
	fprintf(out, "c %" PRIx64 "\n", (uint64_t)(report->elapsed_s * 1000));

	ml_intern_free(&file.strings);
	ml_intern_free(&file.ips);
	ml_intern_free(&file.traces);
	ml_intern_free(&file.allocations);
}

const struct ml_report_format ml_report_heaptrack = {.name = "heaptrack", .write = write_heaptrack};
