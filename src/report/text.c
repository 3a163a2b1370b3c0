/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The report for people, in the layout of bcc's memleak: scripts that read that one read this one.
 * Lines of ours begin with "→ " below a stack and with "# " elsewhere.
 */
#include "report/text.h"
#include "report/groups.h"
#include "report/unnamed.h"

#include <inttypes.h>

/* Of a group: those that have the most of it. */
#define PROCESSES_SHOWN 3

/* What a part of the text is, for terminals with colours. */
enum style { STYLE_TITLE, STYLE_SIZE, STYLE_BAD, STYLE_SUSPECT, STYLE_GOOD, STYLE_REMARK };

/* Select Graphic Rendition (ECMA-48 8.3.117) with the 8 colours every terminal has. */
static void begin_style(struct ml_strbuf *text, const struct ml_report *report, enum style style)
{
	static const char *const codes[] = {
		[STYLE_TITLE] = "1",    [STYLE_SIZE] = "1",  [STYLE_BAD] = "1;31",
		[STYLE_SUSPECT] = "33", [STYLE_GOOD] = "32", [STYLE_REMARK] = "2",
	};

	if (report->use_colour)
		ml_strbuf_printf(text, "\033[%sm", codes[style]);
}

static void end_style(struct ml_strbuf *text, const struct ml_report *report)
{
	if (report->use_colour)
		ml_strbuf_puts(text, "\033[0m");
}

static enum style verdict_style(enum ml_verdict_class class)
{
	if (class == ML_VERDICT_LEAK)
		return STYLE_BAD;
	if (class == ML_VERDICT_GROWING)
		return STYLE_SUSPECT;
	return class == ML_VERDICT_UNKNOWN ? STYLE_REMARK : STYLE_GOOD;
}

static void add_frame(struct ml_strbuf *text, const struct ml_report_frame *frame)
{
	ml_strbuf_puts(text, "\t\t");
	if (!frame->symbol) {
		ml_strbuf_printf(text, "0x%" PRIx64, frame->offset);
	} else {
		ml_strbuf_escaped(text, frame->short_symbol ? frame->short_symbol : frame->symbol);
		if (frame->is_inlined)
			ml_strbuf_puts(text, " [inlined]");
		else if (frame->kind != ML_FRAME_PYTHON && frame->kind != ML_FRAME_JAVA)
			ml_strbuf_printf(text, "+0x%" PRIx64, frame->offset);
	}
	if (frame->file && frame->line > 0) {
		ml_strbuf_putc(text, ' ');
		ml_strbuf_escaped(text, ml_report_file_name(frame->file));
		ml_strbuf_printf(text, ":%d", frame->line);
	}
	ml_strbuf_puts(text, " [");
	ml_strbuf_escaped(text, frame->module);
	ml_strbuf_puts(text, "]\n");
}

static const char *stack_end_text(const struct ml_report_site *site)
{
	static const char *const texts[ML_WALK_END_COUNT] = {
		[ML_WALK_FAULT] = "the stack goes on, but its memory could not be read",
		[ML_WALK_NO_UNWIND_INFO] =
			"the stack goes on, but the last frame's code has no unwind information",
		[ML_WALK_DEPTH] = "the stack goes on beyond the depth limit "
				  "(--perf-max-stack-depth)",
	};

	if (site->is_stack_lost || (unsigned int)site->end >= ML_WALK_END_COUNT)
		return NULL;
	return texts[site->end];
}

/** Where to look, when the front frame is but a wrapper or there is a line to go to. */
static void add_owner(struct ml_strbuf *text, const struct ml_report_site *site)
{
	const struct ml_report_frame *frame;

	if (!site->owner)
		return;
	frame = &site->frames.items[site->owner - 1];
	if (!frame->symbol)
		return;
	ml_strbuf_puts(text, "; look at ");
	ml_strbuf_escaped(text, frame->short_symbol ? frame->short_symbol : frame->symbol);
	if (frame->file && frame->line > 0) {
		ml_strbuf_putc(text, ' ');
		ml_strbuf_escaped(text, ml_report_file_name(frame->file));
		ml_strbuf_printf(text, ":%d", frame->line);
	}
}

static void add_verdict(struct ml_strbuf *text, const struct ml_report *report,
			const struct ml_report_site *site, bool is_of_many)
{
	const struct ml_verdict *verdict = &site->verdict;

	ml_strbuf_puts(text, "\t\t→ ");
	begin_style(text, report, verdict_style(verdict->class));
	ml_strbuf_puts(text, ml_verdict_name(verdict->class));
	if (verdict->class != ML_VERDICT_UNKNOWN)
		ml_strbuf_printf(text, " (%.0f %%)", 100 * verdict->confidence);
	end_style(text, report);
	if (is_of_many)
		ml_strbuf_printf(text, " in %d", (int)site->pid);
	if (verdict->why[0]) {
		ml_strbuf_puts(text, ": ");
		ml_strbuf_escaped(text, verdict->why);
	}
	if (verdict->class == ML_VERDICT_LEAK || verdict->class == ML_VERDICT_GROWING)
		add_owner(text, site);
	ml_strbuf_putc(text, '\n');
}

static void add_process(struct ml_strbuf *text, const struct ml_report_site *site)
{
	ml_strbuf_printf(text, "%d (", (int)site->pid);
	ml_strbuf_escaped(text, site->comm ? site->comm : "name unknown");
	ml_strbuf_putc(text, ')');
}

static void add_stack_end(struct ml_strbuf *text, const struct ml_report_site *site)
{
	const char *end = stack_end_text(site);

	if (end)
		ml_strbuf_printf(text, "\t\t→ %s\n", end);
}

void ml_text_add_remarks(struct ml_strbuf *text, const struct ml_report *report,
			 const struct ml_report_site *site)
{
	add_stack_end(text, site);
	if (report->is_many_processes) {
		ml_strbuf_puts(text, "\t\t→ process ");
		add_process(text, site);
		ml_strbuf_putc(text, '\n');
	}
	add_verdict(text, report, site, false);
}

void ml_text_add_frames(struct ml_strbuf *text, const struct ml_report_site *site)
{
	if (site->is_stack_lost)
		ml_strbuf_puts(text, "\t\t[stack lost: no room for its frames, or they could not "
				     "be read back]\n");
	ml_array_each (frame, &site->frames)
		if (!frame->is_interpreter)
			add_frame(text, frame);
}

/* The processes that have the most of it. */
static void add_processes(struct ml_strbuf *text, const struct ml_report *report,
			  const struct ml_report_group *group)
{
	const struct ml_report_site *site = NULL;
	size_t shown = 0;

	ml_strbuf_printf(text, "\t\t→ in %zu processes: ", group->sites);
	while (shown < PROCESSES_SHOWN && (site = ml_report_group_next(report, group, site))) {
		ml_strbuf_puts(text, shown++ ? ", " : "");
		add_process(text, site);
		ml_strbuf_putc(text, ' ');
		ml_text_add_number(text, site->bytes, "byte");
	}
	if (group->sites > shown)
		ml_strbuf_printf(text, " and %zu more", group->sites - shown);
	ml_strbuf_putc(text, '\n');
}

/* The site of the group whose verdict matters most: the biggest one that leaks, or else grows. */
static const struct ml_report_site *judged_site(const struct ml_report *report,
						const struct ml_report_group *group)
{
	const struct ml_report_site *site = NULL, *growing = NULL;

	while ((site = ml_report_group_next(report, group, site))) {
		if (site->verdict.class == ML_VERDICT_LEAK)
			return site;
		if (!growing && site->verdict.class == ML_VERDICT_GROWING)
			growing = site;
	}
	return growing ? growing : &report->sites.items[group->first];
}

static void add_blocks(struct ml_strbuf *text, const struct ml_report *report,
		       const struct ml_report_group *group)
{
	const struct ml_report_site *site = NULL;

	while ((site = ml_report_group_next(report, group, site)))
		ml_array_each (block, &site->blocks)
			ml_strbuf_printf(text, "\taddr = %" PRIx64 " size = %" PRIu64 "\n",
					 block->address, block->size);
}

static void add_group(struct ml_strbuf *text, const struct ml_report *report,
		      const struct ml_report_group *group)
{
	const struct ml_report_site *first = &report->sites.items[group->first];

	if (report->show_blocks)
		add_blocks(text, report, group);
	begin_style(text, report, STYLE_SIZE);
	ml_strbuf_printf(text, "\t%" PRIu64 " bytes in %" PRIu64 " allocations", group->bytes,
			 group->count);
	end_style(text, report);
	ml_strbuf_puts(text, " from stack\n");
	ml_text_add_frames(text, first);
	if (group->sites == 1) {
		ml_text_add_remarks(text, report, first);
		return;
	}
	add_stack_end(text, first);
	add_processes(text, report, group);
	add_verdict(text, report, judged_site(report, group), true);
}

static void add_nothing(struct ml_strbuf *text, const struct ml_report *report)
{
	ml_strbuf_puts(text, "# nothing outstanding: ");
	if (report->allocs)
		ml_strbuf_puts(text, "every block allocated since tracing began was freed, or is "
				     "younger than the age limit (--older)\n");
	else if (report->sampling != ML_SAMPLING_ALL)
		ml_strbuf_puts(text, "no allocation sampled yet\n");
	else if (report->is_kernel)
		ml_strbuf_puts(text,
			       "no allocation seen yet (memleak doctor says what works here)\n");
	else
		ml_strbuf_printf(text,
				 "no allocation seen yet; if the program is not idle, see "
				 "memleak doctor -p %d\n",
				 (int)report->pid);
}

void ml_text_add_number(struct ml_strbuf *text, uint64_t number, const char *noun)
{
	ml_strbuf_printf(text, "%" PRIu64 " %s%s", number, noun, number == 1 ? "" : "s");
}

static void add_totals(struct ml_strbuf *text, const struct ml_report *report)
{
	ml_strbuf_puts(text, "# ");
	ml_text_add_number(text, report->outstanding_bytes, "byte");
	ml_strbuf_puts(text, " in ");
	ml_text_add_number(text, report->outstanding_count, "block");
	ml_strbuf_puts(text, " outstanding at ");
	ml_text_add_number(text, report->sites.count, "site");
	ml_strbuf_puts(text, "; ");
	ml_text_add_number(text, report->allocs, "allocation");
	ml_strbuf_puts(text, " and ");
	ml_text_add_number(text, report->frees, "free");
	ml_strbuf_printf(text, " in %.1f s\n", report->elapsed_s);
	if (report->untracked_frees) {
		ml_strbuf_puts(text, "# ");
		ml_text_add_number(text, report->untracked_frees, "free");
		/* Blocks from before, and those an allocator made for itself (glibc's tcache). */
		ml_strbuf_printf(text, " of blocks whose allocation was not seen%s\n",
				 report->sampling == ML_SAMPLING_ALL ? "" : " or not sampled");
	}
	if (report->sampling == ML_SAMPLING_NTH)
		ml_strbuf_printf(
			text, "# sampled: one of %" PRIu64 " allocations; figures are estimates\n",
			report->sampling_n);
	else if (report->sampling == ML_SAMPLING_BYTES)
		ml_strbuf_printf(text,
				 "# sampled: one allocation in %" PRIu64
				 " bytes; figures are estimates\n",
				 report->sampling_n);
}

static void add_caveats(struct ml_strbuf *text, const struct ml_report *report)
{
	const char *unnamed = ml_report_unnamed_module(report);

	for (size_t i = 0; i < ML_COUNTER_COUNT; i++) {
		if (!report->counters[i])
			continue;
		ml_strbuf_puts(text, "# ");
		ml_report_add_caveat(text, i, report->counters[i]);
		if (i == ML_COUNTER_FRAMES_UNSYMBOLIZED && unnamed) {
			ml_strbuf_puts(text, ", most of them in ");
			ml_strbuf_escaped(text, unnamed);
		}
		ml_strbuf_putc(text, '\n');
	}
}

/* Ten big blocks of start-up must not hide a leak that has only begun: the first of those that are
 * smaller follow, unless the user said how many stacks to show. */
static void add_smaller_leaks(struct ml_strbuf *text, const struct ml_report *report,
			      const struct ml_report_groups *groups, size_t shown)
{
	size_t leaks = 0;

	for (size_t i = 0; i < groups->list.count && leaks < ML_REPORT_LEAKS_SHOWN; i++) {
		const struct ml_report_group *group = &groups->list.items[i];

		if (!group->leaks)
			continue;
		leaks++;
		if (i < shown)
			continue;
		ml_strbuf_puts(text, "# smaller, but it leaks:\n");
		add_group(text, report, group);
	}
}

static void add_stacks(struct ml_strbuf *text, const struct ml_report *report)
{
	struct ml_report_groups groups;
	size_t shown;

	ml_report_groups_make(report, &groups);
	shown = groups.list.count < report->top ? groups.list.count : report->top;
	for (size_t i = 0; i < shown; i++)
		add_group(text, report, &groups.list.items[i]);
	if (!report->is_limited)
		add_smaller_leaks(text, report, &groups, shown);
	ml_report_groups_free(&groups);
}

static void write_text(FILE *out, const struct ml_report *report)
{
	ML_STRBUF_CLEANUP struct ml_strbuf text = {0};
	struct tm local = ml_report_local_time(report);

	begin_style(&text, report, STYLE_TITLE);
	ml_strbuf_printf(&text, "[%02d:%02d:%02d] Top %zu stacks with outstanding allocations:",
			 local.tm_hour, local.tm_min, local.tm_sec, report->top);
	end_style(&text, report);
	ml_strbuf_putc(&text, '\n');
	add_stacks(&text, report);
	if (!report->sites.count)
		add_nothing(&text, report);
	begin_style(&text, report, STYLE_REMARK);
	add_totals(&text, report);
	if (report->target_cpu_fraction >= 0)
		ml_strbuf_printf(&text, "# cost: about %.1f %% of the target's CPU time\n",
				 100 * report->target_cpu_fraction);
	add_caveats(&text, report);
	ml_array_each (note, &report->notes) {
		ml_strbuf_puts(&text, "# ");
		ml_strbuf_escaped(&text, *note);
		ml_strbuf_putc(&text, '\n');
	}
	if (report->summary.text[0] && report->sites.count)
		ml_strbuf_printf(&text, "# %s\n", report->summary.text);
	if (report->is_final) {
		ml_strbuf_puts(&text, "# final report");
		if (report->end_reason) {
			ml_strbuf_puts(&text, ": ");
			ml_strbuf_escaped(&text, report->end_reason);
		}
		ml_strbuf_putc(&text, '\n');
	}
	end_style(&text, report);
	fwrite(text.text, 1, text.length, out);
}

const struct ml_report_format ml_report_text = {
	.name = "text", .is_stream = true, .write = write_text};
