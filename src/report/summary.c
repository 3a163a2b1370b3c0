/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/summary.h"

#include "base/human.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

/* Further ahead nobody looks: ten years. */
#define ETA_MAX_S (10 * 365.25 * 86400)

__attribute__((format(printf, 2, 3))) static void add(struct ml_summary *summary,
						      const char *format, ...)
{
	size_t used = strlen(summary->text);
	va_list args;

	va_start(args, format);
	vsnprintf(summary->text + used, sizeof(summary->text) - used, format, args);
	va_end(args);
}

static void count_sites(const struct ml_report *report, struct ml_summary *summary)
{
	ml_array_each (site, &report->sites) {
		double growth = site->verdict.growth_bytes_per_s;

		summary->sites[site->verdict.class]++;
		if (!isfinite(growth))
			continue;
		if (site->verdict.class == ML_VERDICT_LEAK)
			summary->leak_bytes_per_s += growth;
		else if (site->verdict.class == ML_VERDICT_GROWING)
			summary->growing_bytes_per_s += growth;
	}
}

/** "2 sites leak 8.4 KiB/s together" */
static void add_growth(struct ml_summary *summary, size_t sites, double bytes_per_s,
		       const char *one, const char *many)
{
	char rate[ML_HUMAN_TEXT];

	add(summary, "%zu %s %s%s", sites, sites == 1 ? "site" : "sites", sites == 1 ? one : many,
	    ml_human_rate(bytes_per_s, rate));
	if (sites > 1)
		add(summary, " together");
}

/** "; at this rate the container's limit of 512.0 MiB is reached in 16.0 h" */
static void add_eta(const struct ml_report *report, struct ml_summary *summary, double bytes_per_s)
{
	const struct ml_memory_limit *limit = &report->limit;
	char size[ML_HUMAN_TEXT], time[ML_HUMAN_TEXT];
	double room = (double)limit->limit_bytes - (double)limit->used_bytes;

	if (limit->kind == ML_LIMIT_NONE || report->end_reason || bytes_per_s <= 0)
		return;
	room = fmax(room, 0);
	if (room / bytes_per_s > ETA_MAX_S)
		return;
	summary->eta_s = room / bytes_per_s;
	ml_human_time(summary->eta_s, time);
	ml_human_bytes((double)limit->limit_bytes, size);
	switch (limit->kind) {
	case ML_LIMIT_CGROUP:
		add(summary, "; at this rate the %s limit of %s is reached in %s",
		    report->container ? "container's" : "cgroup's", size, time);
		break;
	case ML_LIMIT_ADDRESS:
		add(summary, "; at this rate the address space's limit of %s is reached in %s",
		    size, time);
		break;
	case ML_LIMIT_DATA:
		add(summary, "; at this rate the data segment's limit of %s is reached in %s", size,
		    time);
		break;
	default:
		add(summary, "; at this rate the machine's %s of available memory last %s",
		    ml_human_bytes(room, size), time);
	}
}

/** "3 sites are caches, 12 steady" */
static void add_others(struct ml_summary *summary)
{
	static const struct {
		enum ml_verdict_class class;
		const char *one, *many;
	} kinds[] = {
		{ML_VERDICT_CACHE, "is a cache", "are caches"},
		{ML_VERDICT_STEADY, "is steady", "are steady"},
		{ML_VERDICT_STARTUP, "is from start-up", "are from start-up"},
		{ML_VERDICT_UNKNOWN, "is not clear yet", "are not clear yet"},
	};
	const char *comma = "; ";

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t sites = summary->sites[kinds[i].class];

		if (!sites)
			continue;
		add(summary, "%s%zu %s", comma, sites, sites == 1 ? kinds[i].one : kinds[i].many);
		comma = ", ";
	}
}

/** What was found out at the end of a program; false when that was not looked for, or nothing. */
static bool add_lost(const struct ml_report *report, struct ml_summary *summary)
{
	char size[ML_HUMAN_TEXT];
	uint64_t bytes = 0, count = 0;
	size_t sites = 0;

	ml_array_each (site, &report->sites) {
		bytes += site->lost_bytes;
		count += site->lost_count;
		sites += site->lost_count != 0;
	}
	if (!count)
		return false;
	add(summary, "%zu %s lost %" PRIu64 " block%s (%s) by the end of the program", sites,
	    sites == 1 ? "site" : "sites", count, count == 1 ? "" : "s",
	    ml_human_bytes((double)bytes, size));
	return true;
}

void ml_summary_make(struct ml_report *report)
{
	struct ml_summary summary = {.eta_s = -1};
	size_t leaks, growing;
	char time[ML_HUMAN_TEXT];

	count_sites(report, &summary);
	leaks = summary.sites[ML_VERDICT_LEAK];
	growing = summary.sites[ML_VERDICT_GROWING];
	ml_human_time(report->elapsed_s, time);
	if (add_lost(report, &summary)) {
		report->summary = summary;
		return;
	}
	if (leaks) {
		add_growth(&summary, leaks, summary.leak_bytes_per_s, "leaks ", "leak ");
		add_eta(report, &summary, summary.leak_bytes_per_s);
	} else if (growing) {
		add(&summary, "no leak seen in %s, but ", time);
		add_growth(&summary, growing, summary.growing_bytes_per_s, "grows by ", "grow by ");
		add_eta(report, &summary, summary.growing_bytes_per_s);
	} else if (report->sites.count &&
		   summary.sites[ML_VERDICT_UNKNOWN] == report->sites.count) {
		add(&summary, "%s say", report->end_reason ? "ended too early to" : "too early to");
		add(&summary, " what leaks: %s watched", time);
	} else {
		add(&summary, "no leak seen in %s", time);
		add_others(&summary);
	}
	report->summary = summary;
}
