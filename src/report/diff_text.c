/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/diff.h"

#include "report/text.h"

#include <inttypes.h>

static void add_site(struct ml_strbuf *text, const struct ml_diff *diff,
		     const struct ml_diff_site *site)
{
	const struct ml_report_site *shown =
		site->after.site ? site->after.site : site->before.site;

	ml_strbuf_printf(text, "\t%+" PRId64 " bytes in %+" PRId64 " allocations from stack\n",
			 ml_diff_growth(site->before.bytes, site->after.bytes),
			 ml_diff_growth(site->before.count, site->after.count));
	ml_text_add_frames(text, shown);
	ml_strbuf_printf(text, "\t\t→ %s: ", ml_change_name(site->change));
	ml_text_add_number(text, site->before.bytes, "byte");
	ml_strbuf_puts(text, " in ");
	ml_text_add_number(text, site->before.count, "block");
	ml_strbuf_puts(text, " before, ");
	ml_text_add_number(text, site->after.bytes, "byte");
	ml_strbuf_puts(text, " in ");
	ml_text_add_number(text, site->after.count, "block");
	ml_strbuf_puts(text, " after\n");
	if (site->after.site)
		ml_text_add_remarks(text, diff->after, shown);
}

/* "# before: 2026-01-23 03:00:41, app (pid 7), after 10.0 s: 29 bytes in 5 blocks" */
static void add_side(struct ml_strbuf *text, const char *name, const struct ml_report *report)
{
	struct tm local = ml_report_local_time(report);

	ml_strbuf_printf(text, "# %s: %04d-%02d-%02d %02d:%02d:%02d, ", name, local.tm_year + 1900,
			 local.tm_mon + 1, local.tm_mday, local.tm_hour, local.tm_min,
			 local.tm_sec);
	if (report->is_kernel) {
		ml_strbuf_puts(text, "kernel");
	} else {
		ml_strbuf_escaped(text, report->comm ? report->comm : "name unknown");
		ml_strbuf_printf(text, " (pid %d)", (int)report->pid);
	}
	ml_strbuf_printf(text, ", %.1f s: ", report->elapsed_s);
	ml_text_add_number(text, report->outstanding_bytes, "byte");
	ml_strbuf_puts(text, " in ");
	ml_text_add_number(text, report->outstanding_count, "block");
	ml_strbuf_puts(text, " outstanding\n");
	ml_array_each (note, &report->notes) {
		ml_strbuf_printf(text, "# %s: ", name);
		ml_strbuf_escaped(text, *note);
		ml_strbuf_putc(text, '\n');
	}
}

void ml_diff_write_text(FILE *out, const struct ml_diff *diff, size_t top)
{
	ML_STRBUF_CLEANUP struct ml_strbuf text = {0};
	const struct ml_report *before = diff->before, *after = diff->after;
	struct tm local = ml_report_local_time(after);

	ml_strbuf_printf(&text, "[%02d:%02d:%02d] Top %zu stacks with changed allocations:\n",
			 local.tm_hour, local.tm_min, local.tm_sec, top);
	for (size_t i = 0; i < diff->sites.count && i < top; i++)
		add_site(&text, diff, &diff->sites.items[i]);
	add_side(&text, "before", before);
	add_side(&text, "after", after);
	ml_strbuf_printf(&text, "# growth: %+" PRId64 " bytes in %+" PRId64 " blocks; stacks: ",
			 ml_diff_growth(before->outstanding_bytes, after->outstanding_bytes),
			 ml_diff_growth(before->outstanding_count, after->outstanding_count));
	for (unsigned int i = 0; i < ML_CHANGE_COUNT; i++)
		ml_strbuf_printf(&text, "%s%" PRIu64 " %s", i ? ", " : "", diff->counts[i],
				 ml_change_name(i));
	ml_strbuf_putc(&text, '\n');
	fwrite(text.text, 1, text.length, out);
}
