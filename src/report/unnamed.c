/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/unnamed.h"

#include <string.h>

/* Of those that come first; the one that matters is among them. */
#define MODULES_MAX 32

struct tally {
	const char *module;
	size_t count;
};

static void count(struct tally *tallies, const char *module)
{
	for (size_t i = 0; i < MODULES_MAX; i++) {
		if (tallies[i].module && strcmp(tallies[i].module, module) != 0)
			continue;
		tallies[i].module = module;
		tallies[i].count++;
		return;
	}
}

const char *ml_report_unnamed_module(const struct ml_report *report)
{
	struct tally tallies[MODULES_MAX] = {0};
	const struct tally *most = &tallies[0];

	ml_array_each (site, &report->sites)
		ml_array_each (frame, &site->frames)
			if (!frame->symbol && frame->module)
				count(tallies, frame->module);
	for (size_t i = 1; i < MODULES_MAX; i++)
		if (tallies[i].count > most->count)
			most = &tallies[i];
	return most->module;
}
