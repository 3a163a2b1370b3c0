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

#include <inttypes.h>

static const struct ml_asset_script *const scripts[] = {
	&ml_asset_flamegraph_js, &ml_asset_data_js, &ml_asset_chart_js,
	&ml_asset_sites_js,      &ml_asset_page_js,
};
#define SCRIPT_COUNT (sizeof(scripts) / sizeof(scripts[0]))

/** What the sites of one verdict sum up to. */
struct verdict_sum {
	size_t sites;
	uint64_t bytes;
	double growth_bytes_per_s;
	const struct ml_report_site *first; /**< the one that grows most, else the biggest */
};

static struct verdict_sum sum_of(const struct ml_report *report, enum ml_verdict_class class)
{
	struct verdict_sum sum = {0};

	ml_array_each (site, &report->sites) {
		if (site->verdict.class != class)
			continue;
		if (!sum.sites++ ||
		    site->verdict.growth_bytes_per_s > sum.first->verdict.growth_bytes_per_s)
			sum.first = site;
		sum.bytes += site->bytes;
		sum.growth_bytes_per_s += site->verdict.growth_bytes_per_s;
	}
	return sum;
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

/** "3 sites leak 8.0 KiB/s together" */
static void put_growth(FILE *out, const struct verdict_sum *sum, const char *one, const char *many)
{
	ml_markup_count(out, sum->sites, "site");
	fprintf(out, " %s ", sum->sites == 1 ? one : many);
	ml_markup_bytes(out, sum->growth_bytes_per_s);
	fprintf(out, "/s%s", sum->sites == 1 ? "" : " together");
}

/** The frame to name for a site: the first one written by people. */
static const struct ml_report_frame *front_frame(const struct ml_report_site *site)
{
	ml_array_each (frame, &site->frames) {
		if (!frame->is_interpreter)
			return frame;
	}
	return NULL;
}

static void put_evidence(FILE *out, const struct ml_report_site *site)
{
	const struct ml_report_frame *frame = front_frame(site);

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

/** The verdict on all in a sentence, and the evidence of the site that carries it. */
static void put_verdict(FILE *out, const struct ml_report *report)
{
	struct verdict_sum leaks = sum_of(report, ML_VERDICT_LEAK);
	struct verdict_sum growing = sum_of(report, ML_VERDICT_GROWING);
	struct verdict_sum unknown = sum_of(report, ML_VERDICT_UNKNOWN);

	if (leaks.sites) {
		fputs("<section class=\"verdict leak\">\n<h1>", out);
		put_growth(out, &leaks, "leaks", "leak");
		fputs("</h1>\n", out);
		put_evidence(out, leaks.first);
	} else if (growing.sites) {
		fputs("<section class=\"verdict growing\">\n<h1>No leak found, but ", out);
		put_growth(out, &growing, "grows by", "grow by");
		fputs("</h1>\n", out);
		put_evidence(out, growing.first);
	} else if (!report->sites.count) {
		fputs("<section class=\"verdict steady\">\n<h1>Nothing is outstanding</h1>\n<p>",
		      out);
		fputs(report->allocs ? "Every block allocated since tracing began was freed, or is "
				       "younger than the age limit (--older)."
				     : "No allocation was seen.",
		      out);
		fputs("</p>\n", out);
	} else if (unknown.bytes > report->outstanding_bytes / 2) {
		fputs("<section class=\"verdict unknown\">\n<h1>Too early to tell</h1>\n", out);
		put_evidence(out, unknown.first);
	} else {
		fputs("<section class=\"verdict steady\">\n<h1>No leak found</h1>\n<p>No site "
		      "keeps "
		      "growing: what is outstanding are caches, start-up tables and blocks in "
		      "use.</p>\n",
		      out);
	}
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
		fputs(" <small>of the process, all it has</small>", out);
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
		fprintf(out, "<li>%" PRIu64 " ", report->counters[i]);
		ml_markup_text(out, ml_report_caveat(i));
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
