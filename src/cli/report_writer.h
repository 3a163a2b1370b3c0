/* SPDX-License-Identifier: BSD-2-Clause */
/** What becomes of a report, traced or replayed: sites left out, written, and summed up. */
#ifndef ML_CLI_REPORT_WRITER_H
#define ML_CLI_REPORT_WRITER_H

#include "base/error.h"
#include "cli/baseline.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/suppressions.h"

#include <stdbool.h>
#include <stdint.h>

/** What --fail-on-leak asks about; of the last report. */
struct ml_leak_summary {
	uint64_t leaks, leaked_bytes, leaked_blocks; /**< sites judged to be leaks */
	uint64_t sites, bytes, blocks;               /**< all that are shown */
};

struct ml_report_writer {
	/* borrowed */
	const struct ml_options *options;
	const struct ml_suppressions *suppressions; /**< NULL = none */
	const struct ml_baseline *baseline;         /**< NULL = none */
	struct ml_output *output;

	struct ml_leak_summary summary;
	bool has_written;
};

/** True when every site of a report needs its frames, shown or not. */
bool ml_report_writer_needs_names(const struct ml_report_writer *writer);

/** Leaves out of @p report what the user does not want to see, and sums up the rest. */
void ml_report_writer_choose(const struct ml_report_writer *writer, struct ml_report *report);

/** Leaves sites out of @p report, and writes it in the format of the options. */
struct ml_error *ml_report_writer_write(struct ml_report_writer *writer, struct ml_report *report);

/**
 * With --fail-on-leak: prints the line for machines and returns the exit status. Without it:
 * ML_EXIT_DONE.
 */
int ml_leak_summary_exit(const struct ml_leak_summary *summary, const struct ml_options *options);

#endif
