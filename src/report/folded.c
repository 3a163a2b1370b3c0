/* SPDX-License-Identifier: BSD-2-Clause */
/** Folded stacks, as flamegraph.pl, inferno and speedscope read them: "outermost;…;innermost N". */
#include "report/report.h"

#include "base/strbuf.h"

#include <inttypes.h>

/** The separators of the format inside a name: ';' becomes ':'. */
static void add_name(struct ml_strbuf *line, const char *name)
{
	size_t from = line->length;

	ml_strbuf_escaped(line, name);
	for (size_t i = from; i < line->length; i++)
		if (line->text[i] == ';')
			line->text[i] = ':';
}

static void add_frame(struct ml_strbuf *line, const struct ml_report_frame *frame)
{
	ML_STRBUF_CLEANUP struct ml_strbuf name = {0};

	if (line->length)
		ml_strbuf_putc(line, ';');
	ml_report_frame_name(&name, frame);
	add_name(line, ml_strbuf_text(&name));
}

static void write_site(FILE *out, const struct ml_report *report, const struct ml_report_site *site)
{
	ML_STRBUF_CLEANUP struct ml_strbuf line = {0};

	if (report->is_many_processes) {
		add_name(&line, site->comm ? site->comm : "process");
		ml_strbuf_printf(&line, " (%d)", (int)site->pid);
	}
	for (size_t i = site->frames.count; i-- > 0;)
		if (!site->frames.items[i].is_interpreter)
			add_frame(&line, &site->frames.items[i]);
	if (!site->frames.count)
		ml_strbuf_printf(&line, "%s[stack lost]", line.length ? ";" : "");
	fprintf(out, "%s %" PRIu64 "\n", ml_strbuf_text(&line), site->bytes);
}

static void write_folded(FILE *out, const struct ml_report *report)
{
	for (size_t i = 0; i < ml_report_listed(report); i++)
		write_site(out, report, &report->sites.items[i]);
}

const struct ml_report_format ml_report_folded = {.name = "folded", .write = write_folded};
