/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * One HTML page that needs nothing else and loads nothing: what is said in words and the flame
 * graph stand in the page itself, its scripts add the charts and the table of sites. A policy in
 * its head lets no other script run, whatever names the target has.
 */
#include "report/assets.h"
#include "report/flame_drawing.h"
#include "report/html_data.h"
#include "report/markup.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static const struct ml_asset_script *const scripts[] = {
	&ml_asset_flamegraph_js, &ml_asset_data_js, &ml_asset_chart_js,
	&ml_asset_sites_js,      &ml_asset_page_js,
};
#define SCRIPT_COUNT (sizeof(scripts) / sizeof(scripts[0]))

/** The site of verdict @p class that grows most; NULL when there is none. */
static const struct ml_report_site *fastest_of(const struct ml_report *report,
					       enum ml_verdict_class class)
{
	const struct ml_report_site *fastest = NULL;

	ml_array_each (site, &report->sites) {
		if (site->verdict.class == class &&
		    (!fastest ||
		     site->verdict.growth_bytes_per_s > fastest->verdict.growth_bytes_per_s))
			fastest = site;
	}
	return fastest;
}

static void put_target(FILE *out, const struct ml_report *report)
{
	if (report->is_kernel) {
		fputs("the kernel", out);
		return;
	}
	ml_markup_text(out, report->comm ? report->comm : "process");
	fprintf(out, " (%d)", (int)report->pid);
}

static void put_time(FILE *out, const struct ml_report *report)
{
	struct tm local = ml_report_local_time(report);
	char text[64];

	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local);
	fputs(text, out);
}

static void put_duration(FILE *out, double seconds)
{
	if (seconds < 180)
		fprintf(out, "%.0f s", seconds);
	else if (seconds < 3 * 3600)
		fprintf(out, "%.0f min", seconds / 60);
	else
		fprintf(out, "%.1f h", seconds / 3600);
}

/** default-src is what any load falls back to; styles are ours alone but stand in attributes. */
static void put_head(FILE *out, const struct ml_report *report)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	      "base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'; script-src",
	      out);
	for (size_t i = 0; i < SCRIPT_COUNT; i++)
		fprintf(out, " '%s'", scripts[i]->hash);
	fputs("\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	      "<meta name=\"color-scheme\" content=\"light dark\">\n"
	      "<meta name=\"referrer\" content=\"no-referrer\">\n<title>memleak: ",
	      out);
	put_target(out, report);
	fprintf(out, "</title>\n<style>\n%s%s</style>\n</head>\n", ml_asset_flamegraph_css,
		ml_asset_page_css);
}

static void put_header(FILE *out, const struct ml_report *report)
{
	fputs("<body>\n<a class=\"skip\" href=\"#sites\">Skip to the sites</a>\n<header>\n"
	      "<p class=\"target\"><strong>",
	      out);
	put_target(out, report);
	fputs("</strong>", out);
	if (report->container) {
		fputs(" in container ", out);
		ml_markup_text(out, report->container);
	}
	if (report->exe) {
		fputs(" <span class=\"soft\">", out);
		ml_markup_text(out, report->exe);
		fputs("</span>", out);
	}
	fputs("<br><span class=\"soft\">", out);
	put_time(out, report);
	fputs(", watched for ", out);
	put_duration(out, report->elapsed_s);
	if (report->end_reason) {
		fputs(", ", out);
		ml_markup_text(out, report->end_reason);
	}
	fputs("</span></p>\n<button type=\"button\" id=\"theme\" hidden>Dark</button>\n</header>\n"
	      "<main>\n",
	      out);
}

/** The frame to name for a site: its owner, else the first one written by people. */
static const struct ml_report_frame *frame_to_name(const struct ml_report_site *site)
{
	if (site->owner)
		return &site->frames.items[site->owner - 1];
	ml_array_each (frame, &site->frames) {
		if (!frame->is_interpreter)
			return frame;
	}
	return NULL;
}

static void put_evidence(FILE *out, const struct ml_report_site *site)
{
	const struct ml_report_frame *frame = frame_to_name(site);

	fputs("<p>", out);
	if (frame) {
		ML_STRBUF_CLEANUP struct ml_strbuf name = {0};

		ml_report_frame_name(&name, frame);
		fputs("<code>", out);
		ml_markup_text(out, ml_strbuf_text(&name));
		fputs("</code>", out);
		if (frame->file && frame->line > 0) {
			fputs(" at <code>", out);
			ml_markup_text(out, frame->file);
			fprintf(out, ":%d</code>", frame->line);
		}
		fputs(": ", out);
	}
	ml_markup_text(out, site->verdict.why);
	fputs(".</p>\n", out);
}

/** The verdict on all as a heading; what follows its first clause stands below. */
static void put_summary(FILE *out, const struct ml_report *report)
{
	const char *text = report->summary.text, *rest;

	if (!text[0])
		text = "memory outstanding";
	rest = strstr(text, "; ");

	fprintf(out, "<h1>%c%.*s</h1>\n", toupper((unsigned char)text[0]),
		rest ? (int)(rest - text) - 1 : (int)strlen(text + 1), text + 1);
	if (rest)
		fprintf(out, "<p class=\"lead\">%c%s.</p>\n", toupper((unsigned char)rest[2]),
			rest + 3);
}

static void put_nothing(FILE *out, const struct ml_report *report)
{
	fputs("<h1>Nothing is outstanding</h1>\n<p>", out);
	fputs(report->allocs ? "Every block allocated since tracing began was freed, or is younger "
			       "than the age limit (--older)."
			     : "No allocation was seen.",
	      out);
	fputs("</p>\n", out);
}

/** The verdict on all, and the evidence of the site that carries it. */
static void put_verdict(FILE *out, const struct ml_report *report)
{
	static const enum ml_verdict_class worst_first[] = {ML_VERDICT_LEAK, ML_VERDICT_GROWING,
							    ML_VERDICT_UNKNOWN};
	enum ml_verdict_class class = ML_VERDICT_STEADY;
	size_t i = 0;

	while (i < 3 && !report->summary.sites[worst_first[i]])
		i++;
	/* That some sites are not clear yet does not make all of it unclear. */
	if (i < 2 || (i == 2 && report->summary.sites[ML_VERDICT_UNKNOWN] == report->sites.count))
		class = worst_first[i];
	fprintf(out, "<section class=\"verdict %s\">\n", ml_verdict_name(class));
	if (!report->sites.count) {
		put_nothing(out, report);
		return;
	}
	put_summary(out, report);
	if (class != ML_VERDICT_STEADY)
		put_evidence(out, fastest_of(report, class));
}

static void put_figure_begin(FILE *out, const char *name)
{
	fprintf(out, "<div><dt>%s</dt><dd>", name);
}

static void put_figure_end(FILE *out)
{
	fputs("</dd></div>\n", out);
}

static void put_cost(FILE *out, const struct ml_report *report)
{
	put_figure_begin(out, "Cost of tracing");
	if (report->target_cpu_fraction >= 0)
		fprintf(out, "%.1f %% <small>of the target's CPU time</small>",
			100 * report->target_cpu_fraction);
	else
		fputs("<small>not measurable</small>", out);
	fprintf(out, " <small>and %.2f s for memleak; %.0f events/s, backend ", report->tool_cpu_s,
		report->events_per_s);
	ml_markup_text(out, report->backend ? report->backend : "unknown");
	fputs("</small>", out);
	put_figure_end(out);
}

static void put_figures(FILE *out, const struct ml_report *report)
{
	fputs("<dl class=\"figures\">\n", out);
	put_figure_begin(out, "Outstanding");
	ml_markup_bytes(out, (double)report->outstanding_bytes);
	fputs(" <small>in ", out);
	ml_markup_count(out, report->outstanding_count, "block");
	fputs(" at ", out);
	ml_markup_count(out, report->sites.count, "site");
	fputs("</small>", out);
	put_figure_end(out);
	put_figure_begin(out, "Since tracing began");
	ml_markup_count(out, report->allocs, "allocation");
	fputs(" <small>and ", out);
	ml_markup_count(out, report->frees, "free");
	fputs("</small>", out);
	put_figure_end(out);
	if (report->resident.count) {
		put_figure_begin(out, "Resident memory");
		ml_markup_bytes(
			out, (double)report->resident.items[report->resident.count - 1].live_bytes);
		fprintf(out, " <small>of the process%s</small>",
			report->is_many_processes ? "es" : ", all it has");
		put_figure_end(out);
	}
	put_cost(out, report);
	fputs("</dl>\n</section>\n", out);
}

static void put_others(FILE *out, const struct ml_report *report)
{
	struct ml_report_others others = ml_report_others(report);

	if (!others.sites)
		return;
	fputs("<p class=\"soft\">", out);
	ml_markup_count(out, others.sites, "more site");
	fputs(" with ", out);
	ml_markup_bytes(out, (double)others.bytes);
	fputs(" in ", out);
	ml_markup_count(out, others.count, "block");
	fputs(" left out (--top).</p>\n", out);
}

static void put_sections(FILE *out, const struct ml_report *report)
{
	fputs("<noscript><p class=\"note\">The charts and the table of sites need JavaScript. It "
	      "is "
	      "in this file and loads nothing.</p></noscript>\n"
	      "<section id=\"memory\" hidden>\n<h2>Memory over time</h2>\n"
	      "<div id=\"outstanding-chart\"></div>\n<div id=\"resident-chart\"></div>\n"
	      "</section>\n<section id=\"sites\" hidden>\n<h2>Sites</h2>\n<div id=\"site-table\">"
	      "</div>\n",
	      out);
	put_others(out, report);
	fputs("</section>\n<section id=\"flames\">\n<h2>Flame graph</h2>\n<p "
	      "class=\"soft\">Callers "
	      "above, callees below; the wider a frame, the more outstanding bytes were allocated "
	      "through it. Click a frame to zoom, arrow keys and Enter do the same.</p>\n",
	      out);
	ml_flame_drawing_element(out, report);
	fputs("</section>\n", out);
}

static void put_sampling(FILE *out, const struct ml_report *report)
{
	if (report->sampling == ML_SAMPLING_NTH)
		fprintf(out,
			"<li>One of %" PRIu64 " allocations was sampled: figures are "
			"estimates.</li>\n",
			report->sampling_n);
	else if (report->sampling == ML_SAMPLING_BYTES)
		fprintf(out,
			"<li>One allocation in %" PRIu64 " bytes was sampled: figures are "
			"estimates.</li>\n",
			report->sampling_n);
}

static void put_caveats(FILE *out, const struct ml_report *report)
{
	fputs("<section id=\"caveats\">\n<h2>What to keep in mind</h2>\n<ul>\n", out);
	fputs("<li>Only what was allocated while memleak watched is counted; what was there before "
	      "is not.</li>\n",
	      out);
	put_sampling(out, report);
	ml_array_each (note, &report->notes) {
		fputs("<li>", out);
		ml_markup_text(out, *note);
		fputs(".</li>\n", out);
	}
	if (report->untracked_frees) {
		fputs("<li>", out);
		ml_markup_count(out, report->untracked_frees, "free");
		fputs(" of blocks whose allocation was not seen: they are from before, or an "
		      "allocator made them for itself.</li>\n",
		      out);
	}
	for (size_t i = 0; i < ML_COUNTER_COUNT; i++) {
		if (!report->counters[i])
			continue;
		ML_STRBUF_CLEANUP struct ml_strbuf text = {0};

		ml_report_add_caveat(&text, i, report->counters[i]);
		fputs("<li>", out);
		ml_markup_text(out, ml_strbuf_text(&text));
		fputs(".</li>\n", out);
	}
	fputs("</ul>\n</section>\n", out);
}

static void put_guide(FILE *out)
{
	fputs("<section id=\"guide\">\n<h2>How to read this</h2>\n<dl class=\"guide\">\n"
	      "<dt>Site</dt><dd>One place that allocates: a call stack. Everything allocated "
	      "through exactly these calls is counted together.</dd>\n"
	      "<dt>Outstanding</dt><dd>Allocated and not freed yet. That alone is no leak: caches, "
	      "pools and tables are outstanding, too.</dd>\n"
	      "<dt><span class=\"badge leak\">leak</span></dt><dd>keeps growing, and what it "
	      "allocates does not come back.</dd>\n"
	      "<dt><span class=\"badge growing\">growing</span></dt><dd>grows although much is "
	      "freed, or grows ever slower.</dd>\n"
	      "<dt><span class=\"badge cache\">cache</span></dt><dd>is bounded, of blocks that "
	      "live "
	      "long; or has grown and stopped.</dd>\n"
	      "<dt><span class=\"badge steady\">steady</span></dt><dd>frees what it "
	      "allocates.</dd>\n"
	      "<dt><span class=\"badge startup\">startup</span></dt><dd>allocated once and nothing "
	      "since.</dd>\n"
	      "<dt><span class=\"badge unknown\">unknown</span></dt><dd>was seen too little to "
	      "judge.</dd>\n"
	      "<dt>Stack</dt><dd>Innermost call first: the function that asked for the memory, "
	      "then "
	      "its callers. <em>inlined</em> marks a call that the compiler dissolved into the "
	      "next one.</dd>\n"
	      "<dt>Percentage of a verdict</dt><dd>How sure it is. It grows with the time "
	      "watched.</dd>\n</dl>\n</section>\n",
	      out);
}

static void put_scripts(FILE *out, const struct ml_report *report)
{
	fputs("<script type=\"application/json\" id=\"data\">", out);
	ml_html_data_write(out, report);
	fputs("</script>\n", out);
	for (size_t i = 0; i < SCRIPT_COUNT; i++)
		fprintf(out, "<script>%s</script>\n", scripts[i]->text);
}

static void write_html(FILE *out, const struct ml_report *report)
{
	put_head(out, report);
	put_header(out, report);
	put_verdict(out, report);
	put_figures(out, report);
	put_sections(out, report);
	put_caveats(out, report);
	put_guide(out);
	fputs("</main>\n<footer class=\"soft\">memleak " ML_VERSION "</footer>\n", out);
	put_scripts(out, report);
	fputs("</body>\n</html>\n", out);
}

const struct ml_report_format ml_report_html = {.name = "html", .write = write_html};
