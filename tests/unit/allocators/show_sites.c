/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints where the allocation functions of the named files would be probed. */
#include "allocators/allocator.h"
#include "base/error.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int show(const char *path, bool is_main)
{
	struct ml_allocator_candidate candidate = {.is_main = is_main};
	struct ml_allocators found = {0};
	struct ml_error *error =
		ml_module_open(open(path, O_RDONLY | O_CLOEXEC), path, &candidate.module);

	if (!error)
		error = ml_allocators_find(&candidate, 1, NULL, &found);
	if (error) {
		fprintf(stderr, "%s\n", ml_error_message(error));
		ml_error_free(error);
		return 1;
	}
	if (!found.list.count)
		printf("== %s: nothing\n", path);
	ml_array_each (allocator, &found.list) {
		printf("== %s: %s, %u unprobeable\n", path, allocator->kind, found.unprobeable);
		ml_array_each (function, &allocator->functions)
			printf("  %-36s role %2d  %#8" PRIx64 " +%-3" PRIu64 "%s\n", function->name,
			       (int)function->role, function->address,
			       function->probe - function->address,
			       function->is_emulated ? "" : " single-stepped");
	}
	ml_allocators_deinit(&found);
	ml_module_unref(candidate.module);
	return 0;
}

int main(int argc, char **argv)
{
	bool is_main = argc > 1 && !strcmp(argv[1], "--main");
	int status = 0;

	for (int i = is_main ? 2 : 1; i < argc; i++)
		status |= show(argv[i], is_main);
	return status;
}
