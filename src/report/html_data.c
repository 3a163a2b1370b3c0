/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/html_data.h"

#include "base/clock.h"
#include "base/intern.h"
#include "base/json.h"
#include "base/u64map.h"

#include "report/markup.h"

#include <math.h>
#include <string.h>

/** Sites with every point of their history; the others have every COARSE_STEPth of it. */
#define FINE_SITES  200
#define COARSE_STEP 4
/** Blocks written of each site, with --show-allocs. */
#define BLOCKS_LIMIT 100

/** A frame as it is written: indices of texts, 0 for none. Compared bytewise, so no padding. */
struct frame_row {
	uint64_t symbol, short_symbol, module, file;
	uint64_t offset;
	uint64_t excerpt; /**< index + 1 */
	uint32_t line, flags;
};

/** Bits of frame_row.flags; the frame's kind stands above them. */
#define FLAG_INLINED     1u
#define FLAG_INTERPRETER 2u
#define FLAG_KIND_SHIFT  2

struct data {
	struct ml_json json;
	const struct ml_report *report;
	struct ml_intern texts, frames;
	struct ml_u64map known; /**< address of a text → its index: names stand in many frames */
	struct ml_u64map excerpts; /**< text of the file and line → index + 1 */
};

static uint64_t text_of(struct data *data, const char *text)
{
	bool is_new;
	uint64_t *index;

	if (!text)
		return 0;
	index = ml_u64map_put(&data->known, (uint64_t)(uintptr_t)text, &is_new);
	if (is_new) {
		ML_STRBUF_CLEANUP struct ml_strbuf clean = {0};

		ml_markup_clean(&clean, text);
		*index = ml_intern_text(&data->texts, ml_strbuf_text(&clean), NULL);
	}
	return *index;
}

static uint64_t excerpt_key(uint64_t file, int line)
{
	return file << 32 | (uint32_t)line;
}

static uint64_t frame_of(struct data *data, const struct ml_report_frame *frame)
{
	struct frame_row row = {
		.symbol = text_of(data, frame->symbol),
		.short_symbol = text_of(data, frame->short_symbol),
		.module = text_of(data, frame->module),
		.file = text_of(data, frame->file),
		.offset = frame->offset,
		.line = frame->line > 0 ? (uint32_t)frame->line : 0,
		.flags = (frame->is_inlined ? FLAG_INLINED : 0) |
			 (frame->is_interpreter ? FLAG_INTERPRETER : 0) |
			 (uint32_t)frame->kind << FLAG_KIND_SHIFT,
	};
	const uint64_t *excerpt =
		ml_u64map_get(&data->excerpts, excerpt_key(row.file, frame->line));

	if (row.file && excerpt)
		row.excerpt = *excerpt;
	return ml_intern_bytes(&data->frames, &row, sizeof(row), NULL);
}

/**
 * The live bytes of @p site at the moments of the report's points: [step, first moment, values…].
 * One value stands for all when they are equal.
 */
static void write_points(struct data *data, const struct ml_report_site *site, size_t step)
{
	const struct ml_report *report = data->report;
	size_t moments = report->points.count, next = 0, first = moments, count = 0;
	ML_ARRAY(uint64_t) values = {0};
	bool is_constant = true;

	for (size_t i = moments ? (moments - 1) % step : 0; i < moments; i += step) {
		while (next < site->points.count &&
		       site->points.items[next].time_ns <= report->points.items[i].time_ns)
			next++;
		if (!next)
			continue;
		if (!count++)
			first = i;
		*ml_array_push(&values) = site->points.items[next - 1].live_bytes;
		is_constant = is_constant && values.items[count - 1] == values.items[0];
	}
	ml_json_array_begin(&data->json, NULL);
	ml_json_u64(&data->json, NULL, step);
	ml_json_u64(&data->json, NULL, first);
	for (size_t i = 0; i < (is_constant && count ? 1 : count); i++)
		ml_json_u64(&data->json, NULL, values.items[i]);
	ml_json_array_end(&data->json);
	ml_array_free(&values);
}

static void write_blocks(struct data *data, const struct ml_report_site *site)
{
	struct ml_json *json = &data->json;
	size_t shown = site->blocks.count < BLOCKS_LIMIT ? site->blocks.count : BLOCKS_LIMIT;
	uint64_t now_ns = data->report->now_ns;

	ml_json_array_begin(json, NULL);
	for (size_t i = 0; i < shown; i++) {
		const struct ml_block *block = &site->blocks.items[i];

		ml_json_array_begin(json, NULL);
		ml_json_hex(json, NULL, block->address);
		ml_json_u64(json, NULL, block->size);
		ml_json_u64(json, NULL,
			    now_ns > block->born_ns ? (now_ns - block->born_ns) / ML_NS_PER_MS : 0);
		ml_json_i64(json, NULL, block->tid);
		ml_json_array_end(json);
	}
	ml_json_array_end(json);
}

/** In the order that assets/data.js reads. */
static void write_site(struct data *data, const struct ml_report_site *site, bool is_fine)
{
	struct ml_json *json = &data->json;
	const struct ml_verdict *verdict = &site->verdict;
	char id[20];

	snprintf(id, sizeof(id), "%016llx", (unsigned long long)site->id);
	ml_json_array_begin(json, NULL);
	ml_json_string(json, NULL, id);
	ml_json_i64(json, NULL, site->pid);
	ml_json_u64(json, NULL, text_of(data, site->comm));
	ml_json_u64(json, NULL, site->bytes);
	ml_json_u64(json, NULL, site->count);
	ml_json_u64(json, NULL, site->allocs);
	ml_json_u64(json, NULL, site->frees);
	ml_json_i64(json, NULL, site->oldest_ms);
	ml_json_i64(json, NULL, site->newest_ms);
	ml_json_u64(json, NULL, (unsigned int)verdict->class);
	ml_json_double(json, NULL, round(100 * verdict->confidence) / 100);
	ml_json_double(json, NULL, round(10 * verdict->growth_bytes_per_s) / 10);
	ml_json_u64(json, NULL, text_of(data, verdict->why));
	ml_json_u64(json, NULL, site->is_stack_lost ? ML_WALK_END_COUNT : site->end);
	ml_json_array_begin(json, NULL);
	ml_array_each (frame, &site->frames)
		ml_json_u64(json, NULL, frame_of(data, frame));
	ml_json_array_end(json);
	write_points(data, site, is_fine ? 1 : COARSE_STEP);
	write_blocks(data, site);
	ml_json_u64(json, NULL, site->owner);
	ml_json_array_end(json);
}

static void write_sites(struct data *data)
{
	const struct ml_report *report = data->report;
	size_t listed = ml_report_listed(report), suspects = 0;

	ml_json_array_begin(&data->json, "sites");
	for (size_t i = 0; i < listed; i++) {
		const struct ml_report_site *site = &report->sites.items[i];
		bool is_suspect = site->verdict.class == ML_VERDICT_LEAK ||
				  site->verdict.class == ML_VERDICT_GROWING;

		write_site(data, site, i < FINE_SITES || (is_suspect && suspects++ < FINE_SITES));
	}
	ml_json_array_end(&data->json);
}

static void write_frames(struct data *data)
{
	struct ml_json *json = &data->json;

	ml_json_array_begin(json, "frames");
	ml_array_each (entry, &data->frames.entries) {
		struct frame_row row;

		memcpy(&row, entry->bytes, sizeof(row));
		ml_json_array_begin(json, NULL);
		ml_json_u64(json, NULL, row.symbol);
		ml_json_u64(json, NULL, row.short_symbol);
		ml_json_u64(json, NULL, row.module);
		ml_json_u64(json, NULL, row.file);
		ml_json_u64(json, NULL, row.line);
		ml_json_hex(json, NULL, row.offset);
		ml_json_u64(json, NULL, row.flags);
		ml_json_u64(json, NULL, row.excerpt);
		ml_json_array_end(json);
	}
	ml_json_array_end(json);
}

static void read_excerpts(struct data *data)
{
	uint64_t number = 0;

	ml_array_each (excerpt, &data->report->excerpts)
		*ml_u64map_put(&data->excerpts,
			       excerpt_key(text_of(data, excerpt->file), excerpt->line), NULL) =
			++number;
}

/** The lines of @p text, each cleaned on its own: what ends a line is a control character, too. */
static void write_lines(struct data *data, const char *text)
{
	ml_json_array_begin(&data->json, NULL);
	for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
		ML_STRBUF_CLEANUP struct ml_strbuf line = {0}, clean = {0};

		for (; text < end; text++) {
			if (*text == '\t')
				ml_strbuf_puts(&line, "    ");
			else if (*text != '\r')
				ml_strbuf_putc(&line, *text);
		}
		ml_markup_clean(&clean, ml_strbuf_text(&line));
		ml_json_string(&data->json, NULL, ml_strbuf_text(&clean));
	}
	ml_json_array_end(&data->json);
}

static void write_excerpts(struct data *data)
{
	ml_json_array_begin(&data->json, "excerpts");
	ml_array_each (excerpt, &data->report->excerpts) {
		ml_json_array_begin(&data->json, NULL);
		ml_json_i64(&data->json, NULL, excerpt->first_line);
		write_lines(data, excerpt->text);
		ml_json_array_end(&data->json);
	}
	ml_json_array_end(&data->json);
}

static void write_texts(struct data *data)
{
	ml_json_array_begin(&data->json, "texts");
	ml_array_each (entry, &data->texts.entries)
		ml_json_string(&data->json, NULL, entry->bytes);
	ml_json_array_end(&data->json);
}

/** A history as the times of its points and their bytes, under two names. */
static void write_history(struct data *data, const char *times, const char *bytes,
			  const struct ml_timeline_point *points, size_t count)
{
	struct ml_json *json = &data->json;
	uint64_t start_ns = data->report->start_ns;

	ml_json_array_begin(json, times);
	for (size_t i = 0; i < count; i++)
		ml_json_u64(json, NULL,
			    points[i].time_ns > start_ns
				    ? (points[i].time_ns - start_ns) / ML_NS_PER_MS
				    : 0);
	ml_json_array_end(json);
	ml_json_array_begin(json, bytes);
	for (size_t i = 0; i < count; i++)
		ml_json_u64(json, NULL, points[i].live_bytes);
	ml_json_array_end(json);
}

static void write_object(struct data *data)
{
	const struct ml_report *report = data->report;
	struct ml_json *json = &data->json;

	text_of(data, "");
	read_excerpts(data);
	ml_json_object_begin(json, NULL);
	ml_json_bool(json, "isManyProcesses", report->is_many_processes);
	ml_json_bool(json, "showBlocks", report->show_blocks);
	write_history(data, "times", "total", report->points.items, report->points.count);
	write_history(data, "residentTimes", "resident", report->resident.items,
		      report->resident.count);
	write_sites(data);
	write_frames(data);
	write_excerpts(data);
	write_texts(data);
	ml_json_object_end(json);
}

void ml_html_data_write(FILE *out, const struct ml_report *report)
{
	struct data data = {.report = report};
	char *text = NULL;
	size_t length = 0;

	data.json.out = open_memstream(&text, &length);
	if (!data.json.out)
		return;
	write_object(&data);
	if (!fclose(data.json.out)) {
		/* Only strings hold a '<', and there this is the same character. */
		for (const char *p = text, *next; p < text + length; p = next) {
			size_t rest = (size_t)(text + length - p);

			next = memchr(p, '<', rest);
			fwrite(p, 1, next ? (size_t)(next - p) : rest, out);
			if (!next)
				break;
			fputs("\\u003c", out);
			next++;
		}
	}
	free(text);
	ml_u64map_free(&data.known);
	ml_intern_free(&data.texts);
	ml_intern_free(&data.frames);
	ml_u64map_free(&data.excerpts);
}
