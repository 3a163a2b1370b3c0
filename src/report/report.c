/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

const struct ml_report_format *ml_report_format_named(const char *name)
{
	static const struct ml_report_format *const formats[] = {
		&ml_report_text,      &ml_report_json, &ml_report_folded, &ml_report_pprof,
		&ml_report_heaptrack, &ml_report_svg,  &ml_report_html,
	};

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (!strcmp(formats[i]->name, name))
			return formats[i];
	return NULL;
}

const char *ml_report_file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

size_t ml_report_listed(const struct ml_report *report)
{
	if (report->is_limited && report->top < report->sites.count)
		return report->top;
	return report->sites.count;
}

static void add_other(struct ml_report_others *others, const struct ml_report_site *site)
{
	others->sites++;
	others->bytes += site->bytes;
	others->count += site->count;
	others->allocs += site->allocs;
	others->alloc_bytes += site->alloc_bytes;
}

struct ml_report_others ml_report_others(const struct ml_report *report)
{
	struct ml_report_others others = {0};

	for (size_t i = ml_report_listed(report); i < report->sites.count; i++)
		add_other(&others, &report->sites.items[i]);
	return others;
}

static void site_deinit(struct ml_report_site *site)
{
	ml_array_free(&site->frames);
	ml_array_free(&site->blocks);
	ml_array_free(&site->points);
}

struct ml_report_others ml_report_leave_out(struct ml_report *report,
					    bool (*is_out)(const void *context,
							   const struct ml_report_site *site),
					    const void *context)
{
	struct ml_report_others gone = {0};
	size_t kept = 0;

	ml_array_each (site, &report->sites) {
		if (!is_out(context, site)) {
			report->sites.items[kept++] = *site;
			continue;
		}
		add_other(&gone, site);
		site_deinit(site);
	}
	report->sites.count = kept;
	report->outstanding_bytes -= gone.bytes;
	report->outstanding_count -= gone.count;
	return gone;
}

void ml_report_frame_name(struct ml_strbuf *name, const struct ml_report_frame *frame)
{
	if (frame->symbol)
		ml_strbuf_puts(name, frame->short_symbol ? frame->short_symbol : frame->symbol);
	else
		ml_strbuf_printf(name, "0x%" PRIx64 " [%s]", frame->offset, frame->module);
}

/* The end of the first word that ends with an s: the noun, behind its adjectives. */
static size_t noun_end(const char *sentence)
{
	const char *end = strstr(sentence, "s ");
	const char *colon = strstr(sentence, "s:");

	if (colon && (!end || colon < end))
		end = colon;
	return end ? (size_t)(end + 1 - sentence) : 0;
}

void ml_report_add_caveat(struct ml_strbuf *text, size_t i, uint64_t number)
{
	static const char *const sentences[] = {
#define X(name, key, sentence) sentence,
		ML_COUNTERS(X)
#undef X
	};
	size_t plural = number == 1 ? noun_end(sentences[i]) : 0;
	/* process-es, but block-s */
	size_t ending = plural >= 4 && !memcmp(sentences[i] + plural - 4, "sses", 4) ? 2 : 1;

	ml_strbuf_printf(text, "%" PRIu64 " ", number);
	if (plural)
		ml_strbuf_add(text, sentences[i], plural - ending);
	ml_strbuf_puts(text, sentences[i] + plural);
}

void ml_report_deinit(struct ml_report *report)
{
	ml_array_each (site, &report->sites)
		site_deinit(site);
	ml_array_free(&report->sites);
	ml_array_free(&report->points);
	ml_array_free(&report->resident);
	ml_array_each (excerpt, &report->excerpts)
		free(excerpt->text);
	ml_array_free(&report->excerpts);
	ml_array_each (string, &report->strings)
		free(*string);
	ml_array_free(&report->strings);
	ml_array_each (note, &report->notes)
		free(*note);
	ml_array_free(&report->notes);
}

void ml_report_note(struct ml_report *report, const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) >= 0)
		*ml_array_push(&report->notes) = text;
	va_end(args);
}

struct tm ml_report_local_time(const struct ml_report *report)
{
	time_t shifted = report->time.tv_sec + report->utc_offset_s;
	struct tm local = {0};

	gmtime_r(&shifted, &local);
	return local;
}
