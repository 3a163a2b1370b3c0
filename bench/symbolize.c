/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What names, files, lines and inlined calls of a report cost: stacks of return addresses taken at
 * random out of the functions of the files named, so that nearly all differ.
 *
 *     symbolize STACKS DEBUG_ROOT FILE...
 *
 * DEBUG_ROOT ("" for none) is put before the paths of debug files, as the root of a target is.
 */
#include "base/clock.h"
#include "symbols/symbolizer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES_MAX      16
#define FRAMES_A_STACK 20

/** Functions of one file. */
struct functions {
	struct ml_module *module;
	ML_ARRAY(struct ml_symbol) list;
};

struct totals {
	size_t frames, named, with_lines, inlined;
};

static void add_function(const struct ml_symbol *symbol, void *context)
{
	struct functions *functions = context;

	if (symbol->size > 16)
		*ml_array_push(&functions->list) = *symbol;
}

static struct ml_error *open_in_root(void *context, struct ml_module *module, const char *path,
				     int *fd)
{
	char whole[4096];

	snprintf(whole, sizeof(whole), "%s%s", (const char *)context, path);
	*fd = open(whole, O_RDONLY | O_CLOEXEC);
	return *fd < 0 ? ml_error_errno(errno, "cannot open %s", whole) : NULL;
}

static void look_up(struct ml_symbolizer *symbolizer, const struct functions *from,
		    struct totals *totals)
{
	const struct ml_symbol *symbol = &from->list.items[(size_t)random() % from->list.count];
	uint64_t address = symbol->address + 1 + (uint64_t)random() % (symbol->size - 1);
	struct ml_symbol_frames frames = {0};

	ml_symbolizer_lookup(symbolizer, from->module, address, true, &frames);
	ml_array_each (frame, &frames.list) {
		totals->frames++;
		totals->named += frame->symbol != NULL;
		totals->with_lines += frame->line > 0;
		totals->inlined += frame->is_inlined;
	}
	ml_array_free(&frames.list);
}

/* Half of the frames are of the first file, the program. */
static void look_up_stacks(const char *what, struct ml_symbolizer *symbolizer,
			   const struct functions *files, size_t file_count, size_t stacks,
			   unsigned int seed)
{
	struct totals totals = {0};
	struct rusage usage;
	uint64_t start_ns = ml_monotonic_ns();
	uint64_t start_cpu_ns = ml_clock_ns(CLOCK_PROCESS_CPUTIME_ID);

	srandom(seed);
	for (size_t i = 0; i < stacks * FRAMES_A_STACK; i++)
		look_up(symbolizer, &files[i % 2 ? (size_t)random() % file_count : 0], &totals);

	double ms = (double)(ml_monotonic_ns() - start_ns) / ML_NS_PER_MS;
	double cpu_ms =
		(double)(ml_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start_cpu_ns) / ML_NS_PER_MS;

	getrusage(RUSAGE_SELF, &usage);
	printf("%-32s %7.1f ms (CPU %.1f)  %zu frames, %.1f %% named, %.1f %% with a line, %zu "
	       "inlined  peak "
	       "%ld MiB\n",
	       what, ms, cpu_ms, totals.frames,
	       100.0 * (double)totals.named / (double)totals.frames,
	       100.0 * (double)totals.with_lines / (double)totals.frames, totals.inlined,
	       usage.ru_maxrss >> 10);
}

int main(int argc, char **argv)
{
	struct functions files[FILES_MAX] = {0};
	size_t stacks = argc > 3 ? strtoul(argv[1], NULL, 10) : 0, count = 0;

	if (stacks == 0 || argc - 3 > FILES_MAX) {
		fprintf(stderr, "usage: %s STACKS DEBUG_ROOT FILE...\n", argv[0]);
		return 2;
	}
	for (int i = 3; i < argc; i++) {
		struct functions *file = &files[count];
		struct ml_error *error =
			ml_module_open(open(argv[i], O_RDONLY | O_CLOEXEC), argv[i], &file->module);

		if (!error)
			ml_module_each_function(file->module, add_function, file);
		if (error || file->list.count == 0) {
			fprintf(stderr, "%s: %s\n", argv[i],
				error ? ml_error_message(error) : "no functions");
			return 3;
		}
		count++;
	}

	struct ml_symbolizer *symbolizer = ml_symbolizer_create(true);

	if (argv[2][0])
		ml_symbolizer_set_open_file(symbolizer, open_in_root, argv[2]);
	look_up_stacks("first report", symbolizer, files, count, stacks, 1);
	look_up_stacks("the same stacks again", symbolizer, files, count, stacks, 1);
	look_up_stacks("other stacks of the same files", symbolizer, files, count, stacks, 2);
	ml_symbolizer_destroy(symbolizer);
	for (size_t i = 0; i < count; i++) {
		ml_array_free(&files[i].list);
		ml_module_unref(files[i].module);
	}
	return 0;
}
