/* SPDX-License-Identifier: BSD-2-Clause */
/** Prints how large the rows of the ELF files named are, and what making them cost. */
#include "base/clock.h"
#include "unwind/rows.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>

static struct ml_error *measure(const char *path)
{
	struct ml_module *module;
	struct ml_unwind_rows rows = {0};
	struct rusage before, after;
	struct ml_section section = {0};
	struct ml_error *error = ml_module_open(open(path, O_RDONLY | O_CLOEXEC), path, &module);

	if (error)
		return error;
	/* Reading the section is the module's cost, not ours. */
	ml_module_section(module, ".eh_frame", &section);
	getrusage(RUSAGE_SELF, &before);

	uint64_t start_ns = ml_monotonic_ns();

	error = ml_unwind_rows_build(module, &rows);
	if (!error) {
		double ms = (double)(ml_monotonic_ns() - start_ns) / ML_NS_PER_MS;
		size_t bytes = rows.count * sizeof(*rows.rows) +
			       (rows.page_count + 1) * sizeof(*rows.pages);

		getrusage(RUSAGE_SELF, &after);
		printf("%-60s rows %8zu  table %8zu B  bad %5zu  %7.1f ms  peak +%ld KiB\n", path,
		       rows.count, bytes, rows.bad_count, ms, after.ru_maxrss - before.ru_maxrss);
		ml_unwind_rows_deinit(&rows);
	}
	ml_module_unref(module);
	return error;
}

int main(int argc, char **argv)
{
	int status = 0;

	for (int i = 1; i < argc; i++) {
		ML_ERROR_CLEANUP struct ml_error *error = measure(argv[i]);

		if (error) {
			fprintf(stderr, "%s\n", ml_error_message(error));
			status = 1;
		}
	}
	return status;
}
