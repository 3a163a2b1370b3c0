/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/perf_map.h"

#include "symbols/symbolizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_name(const struct ml_perf_map *map, uint64_t ip, const char *name)
{
	const struct ml_jit_range *range = ml_perf_map_find(map, ip);

	if (!name) {
		assert_null(range);
		return;
	}
	assert_non_null(range);
	assert_string_equal(range->name, name);
}

static void reads_lines(void **state)
{
	struct ml_perf_map map = {0};

	ml_perf_map_parse(&map, ml_strdup("2000 10 LazyCompile:*foo /app/a.js:12\n"
					  "0x1000 0x20 one\n"
					  "3000 8 last"));
	assert_name(&map, 0xfff, NULL);
	assert_name(&map, 0x1000, "one");
	assert_name(&map, 0x101f, "one");
	assert_name(&map, 0x1020, NULL);
	assert_name(&map, 0x2008, "LazyCompile:*foo /app/a.js:12");
	assert_name(&map, 0x3007, "last");
	assert_name(&map, 0x3008, NULL);
	ml_perf_map_deinit(&map);
}

static void later_code_wins(void **state)
{
	struct ml_perf_map map = {0};

	ml_perf_map_parse(&map, ml_strdup("1000 100 old\n"
					  "1040 20 middle\n"
					  "1050 8 newest\n"
					  "10f0 20 behind\n"
					  "2000 10 gone\n"
					  "1fff 20 covers\n"));
	assert_name(&map, 0x1000, "old");
	assert_name(&map, 0x1040, "middle");
	assert_name(&map, 0x1050, "newest");
	assert_name(&map, 0x1058, "middle");
	assert_name(&map, 0x1060, "old");
	assert_name(&map, 0x10ef, "old");
	assert_name(&map, 0x10f0, "behind");
	assert_name(&map, 0x110f, "behind");
	assert_name(&map, 0x1110, NULL);
	assert_name(&map, 0x2000, "covers");
	assert_name(&map, 0x200f, "covers");
	assert_int_equal(ml_perf_map_find(&map, 0x1060)->code_start, 0x1000);
	ml_perf_map_deinit(&map);
}

static void skips_nonsense(void **state)
{
	struct ml_perf_map map = {0};

	ml_perf_map_parse(&map, ml_strdup("\n\nfoo\n1000\n1000 10\n1000 10 \n"
					  "11112222333344445 1 long\n"
					  "ffffffffffffff00 ffff wraps\n"
					  "1000 0 empty\n"
					  "-1 10 minus\n"
					  " 1000 10 space\n"
					  "0x 10 nothing\n"
					  "5000 1 good\n"));
	assert_int_equal(map.ranges.count, 1);
	assert_name(&map, 0x5000, "good");
	ml_perf_map_parse(&map, ml_strdup(""));
	assert_int_equal(map.ranges.count, 0);
	ml_perf_map_deinit(&map);
}

static void cuts_long_names(void **state)
{
	struct ml_perf_map map = {0};
	size_t size = 1u << 20;
	char *text = malloc(size);

	(void)state;
	memset(text, 'a', size);
	memcpy(text, "1000 10 ", 8);
	text[size - 1] = '\0';
	ml_perf_map_parse(&map, text);
	assert_int_equal(strlen(ml_perf_map_find(&map, 0x1000)->name), 1024);
	ml_perf_map_deinit(&map);
}

/* Against the plain rule, on random entries: the last line that holds the address. */
static void agrees_with_the_plain_rule(void **state)
{
	unsigned int starts[200], sizes[200];
	struct ml_perf_map map = {0};
	char text[200 * 32], *at = text;

	srandom(3);
	for (int i = 0; i < 200; i++) {
		starts[i] = (unsigned int)random() % 1000;
		sizes[i] = 1 + (unsigned int)random() % 60;
		at += sprintf(at, "%x %x n%d\n", starts[i], sizes[i], i);
	}
	ml_perf_map_parse(&map, ml_strdup(text));
	for (unsigned int ip = 0; ip < 1100; ip++) {
		char name[16];
		int last = -1;

		for (int i = 0; i < 200; i++) {
			if (ip >= starts[i] && ip < starts[i] + sizes[i])
				last = i;
		}
		snprintf(name, sizeof(name), "n%d", last);
		assert_name(&map, ip, last < 0 ? NULL : name);
	}
	ml_perf_map_deinit(&map);
}

static void append(const char *path, const char *text)
{
	FILE *file = fopen(path, "a");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void follows_a_growing_file(void **state)
{
	struct ml_symbolizer *symbolizer = ml_symbolizer_create(true);
	struct ml_symbol_frames frames = {0};
	char path[64];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	unlink(path);
	ml_symbolizer_jit(symbolizer, getpid(), getpid(), 0x1008, &frames);
	assert_null(frames.list.items[0].symbol);
	append(path, "1000 10 first.cold\n");
	ml_symbolizer_jit(symbolizer, getpid(), getpid(), 0x1008, &frames);
	assert_string_equal(frames.list.items[0].symbol, "first.cold");
	assert_int_equal(frames.list.items[0].offset, 8);
	append(path, "1000 10 _Z6secondv\n");
	usleep(20000);
	ml_symbolizer_jit(symbolizer, getpid(), getpid(), 0x1004, &frames);
	assert_string_equal(frames.list.items[0].symbol, "second()");
	/* What was known stays known when the file is gone, as after the end of the process. */
	unlink(path);
	ml_symbolizer_jit(symbolizer, getpid(), getpid(), 0x1004, &frames);
	assert_string_equal(frames.list.items[0].symbol, "second()");
	ml_array_free(&frames.list);
	ml_symbolizer_destroy(symbolizer);
}

static void takes_only_regular_files(void **state)
{
	struct ml_perf_map map = {0};
	char path[64];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	ml_perf_map_refresh(&map, getpid(), getpid());
	assert_null(map.text);
	unlink(path);
	assert_int_equal(symlink("/proc/self/maps", path), 0);
	ml_perf_map_refresh(&map, getpid(), getpid());
	assert_null(map.text);
	unlink(path);
	ml_perf_map_deinit(&map);
}

/* Of a file larger than 128 MiB the end counts, but for a line that is cut there. */
static void reads_the_end_of_huge_files(void **state)
{
	static char lines[1 << 20];
	struct ml_perf_map map = {0};
	char path[64];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	unlink(path);

	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs("1000 10 old\n", file);
	memset(lines, 'x', sizeof(lines));
	lines[sizeof(lines) - 1] = '\n';
	for (int i = 0; i < 129; i++)
		fwrite(lines, 1, sizeof(lines), file);
	fputs("2000 10 new\n", file);
	assert_int_equal(fclose(file), 0);
	ml_perf_map_refresh(&map, getpid(), getpid());
	unlink(path);
	assert_null(ml_perf_map_find(&map, 0x1000));
	assert_non_null(ml_perf_map_find(&map, 0x2000));
	assert_int_equal(map.ranges.count, 1);
	ml_perf_map_deinit(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_lines),
		cmocka_unit_test(later_code_wins),
		cmocka_unit_test(skips_nonsense),
		cmocka_unit_test(cuts_long_names),
		cmocka_unit_test(agrees_with_the_plain_rule),
		cmocka_unit_test(follows_a_growing_file),
		cmocka_unit_test(takes_only_regular_files),
		cmocka_unit_test(reads_the_end_of_huge_files),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
