/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/diff.h"

#include "report/match.h"

const char *ml_change_name(enum ml_change change)
{
	static const char *const names[ML_CHANGE_COUNT] = {
		[ML_CHANGE_NEW] = "new",       [ML_CHANGE_GROWN] = "grown",
		[ML_CHANGE_SHRUNK] = "shrunk", [ML_CHANGE_GONE] = "gone",
		[ML_CHANGE_SAME] = "same",
	};

	return names[change];
}

int64_t ml_diff_growth(uint64_t before, uint64_t after)
{
	uint64_t distance = after > before ? after - before : before - after;
	int64_t cut = distance > INT64_MAX ? INT64_MAX : (int64_t)distance;

	return after > before ? cut : -cut;
}

/* Everything about the comparison under way. */
struct comparison {
	struct ml_match match;
	struct ml_intern keys; /* the number of a key is the index in sites */
	ML_ARRAY(struct ml_diff_site) sites;
};

static void add_side(struct ml_diff_side *side, const struct ml_report_site *site)
{
	if (!side->site || site->bytes > side->site->bytes)
		side->site = site;
	side->bytes += site->bytes;
	side->count += site->count;
}

static void add_sites(struct comparison *comparison, const struct ml_report *report, bool is_after)
{
	ML_STRBUF_CLEANUP struct ml_strbuf key = {0};

	ml_array_each (site, &report->sites) {
		bool is_new;

		ml_match_key(&comparison->match, site, &key);

		size_t number = ml_intern_bytes(&comparison->keys, ml_strbuf_text(&key), key.length,
						&is_new);

		if (is_new)
			*ml_array_push(&comparison->sites) = (struct ml_diff_site){0};
		struct ml_diff_site *pair = &comparison->sites.items[number];

		add_side(is_after ? &pair->after : &pair->before, site);
	}
}

static enum ml_change change_of(const struct ml_diff_site *site)
{
	if (!site->before.site)
		return ML_CHANGE_NEW;
	if (!site->after.site)
		return ML_CHANGE_GONE;
	if (site->before.bytes != site->after.bytes)
		return site->before.bytes < site->after.bytes ? ML_CHANGE_GROWN : ML_CHANGE_SHRUNK;
	if (site->before.count != site->after.count)
		return site->before.count < site->after.count ? ML_CHANGE_GROWN : ML_CHANGE_SHRUNK;
	return ML_CHANGE_SAME;
}

static int compare_i64(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

/* The order of a report is the same for the same report: it decides between equals. */
static uint64_t place(const struct ml_diff_site *site)
{
	return site->after.site ? site->after.site->id : site->before.site->id;
}

static int compare_sites(const void *left, const void *right)
{
	const struct ml_diff_site *a = left, *b = right;
	int by_bytes = compare_i64(ml_diff_growth(b->before.bytes, b->after.bytes),
				   ml_diff_growth(a->before.bytes, a->after.bytes));
	int by_count = compare_i64(ml_diff_growth(b->before.count, b->after.count),
				   ml_diff_growth(a->before.count, a->after.count));

	if (by_bytes)
		return by_bytes;
	return by_count ? by_count : (place(a) > place(b)) - (place(a) < place(b));
}

void ml_diff_build(const struct ml_report *before, const struct ml_report *after,
		   struct ml_diff *out)
{
	struct comparison comparison = {0};
	struct ml_diff diff = {.before = before, .after = after};

	ml_match_init(&comparison.match, before, after);
	add_sites(&comparison, before, false);
	add_sites(&comparison, after, true);
	ml_array_each (site, &comparison.sites) {
		site->change = change_of(site);
		diff.counts[site->change]++;
		if (site->change != ML_CHANGE_SAME)
			*ml_array_push(&diff.sites) = *site;
	}
	if (diff.sites.count)
		qsort(diff.sites.items, diff.sites.count, sizeof(*diff.sites.items), compare_sites);
	ml_match_deinit(&comparison.match);
	ml_intern_free(&comparison.keys);
	ml_array_free(&comparison.sites);
	*out = diff;
}

bool ml_diff_is_leak(const struct ml_diff *diff, const struct ml_diff_site *site)
{
	if (site->change != ML_CHANGE_NEW && site->change != ML_CHANGE_GROWN)
		return false;
	return diff->after->end_reason || site->after.site->verdict.class == ML_VERDICT_LEAK;
}

void ml_diff_deinit(struct ml_diff *diff)
{
	ml_array_free(&diff->sites);
}
