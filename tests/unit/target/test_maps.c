/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/maps.h"

#include "base/file.h"
#include "base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#define LINE "7f0000000000-7f0000001000 r-xp 00002000 fd:01 4711 "

static struct ml_maps parse(const char *text)
{
	struct ml_maps maps = {0};

	assert_null(ml_maps_parse(text, &maps));
	return maps;
}

static void parses_every_field(void **state)
{
	struct ml_maps maps = parse("55d0c0000000-55d0c0021000 rw-s 0001a000 103:02 123456789"
				    "                         /usr/lib/lib c.so\n");
	const struct ml_mapping *mapping = maps.list.items;

	assert_int_equal(maps.list.count, 1);
	assert_int_equal(mapping->start, 0x55d0c0000000);
	assert_int_equal(mapping->end, 0x55d0c0021000);
	assert_int_equal(mapping->offset, 0x1a000);
	assert_int_equal(mapping->inode, 123456789);
	assert_int_equal(mapping->device, makedev(0x103, 2));
	assert_true(mapping->is_readable && mapping->is_writable && mapping->is_shared);
	assert_false(mapping->is_executable || mapping->is_deleted);
	assert_string_equal(mapping->path, "/usr/lib/lib c.so");
	ml_maps_deinit(&maps);
}

static void reads_paths_as_they_were(void **state)
{
	static const struct {
		const char *text, *path;
		bool is_deleted;
	} cases[] = {
		{LINE "/a\\012b\n", "/a\nb", false},
		{LINE "/a\\040b\n", "/a\\040b", false}, /* the kernel escapes newlines only */
		{LINE "/a\\01\n", "/a\\01", false},
		{LINE "/tmp/x (deleted)\n", "/tmp/x", true},
		{LINE "/a\\012 (deleted)\n", "/a\n", true},
		{LINE "/x (deleted) \n", "/x (deleted) ", false},
		{LINE "      [vdso]\n", "[vdso]", false},
		{LINE "\n", "", false},
		{"7f0000000000-7f0000001000 r-xp 00002000 fd:01 4711\n", "", false},
		{LINE "/no newline at the end", "/no newline at the end", false},
		{LINE "/\xff\xfe\x1b[31m\n", "/\xff\xfe\x1b[31m", false},
		{LINE " (deleted)\n", "(deleted)", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ml_maps maps = parse(cases[i].text);

		assert_int_equal(maps.list.count, 1);
		assert_string_equal(maps.list.items[0].path, cases[i].path);
		assert_int_equal(maps.list.items[0].is_deleted, cases[i].is_deleted);
		ml_maps_deinit(&maps);
	}
}

static void quotes_a_line_it_does_not_understand(void **state)
{
	static const char *const lines[] = {
		"\n",
		"hello\n",
		"7f00-7f01",
		"7f01-7f00 r-xp 00000000 00:00 0 \n",                    /* ends before it starts */
		"7f00-7f00 r-xp 00000000 00:00 0 \n",                    /* empty */
		"7F00-7F01 r-xp 00000000 00:00 0 \n",                    /* capitals */
		"10000000000000000-10000000000000001 r-xp 0 00:00 0 \n", /* beyond 64 bits */
		"7f00-7f01 rwx 00000000 00:00 0 \n",
		"7f00-7f01 wr-p 00000000 00:00 0 \n",
		"7f00-7f01 r-xq 00000000 00:00 0 \n",
		"7f00-7f01 r-xp 00000000 00-00 0 \n",
		"7f00-7f01 r-xp 00000000 00:00 12a /x\n",
		"7f00-7f01 r-xp 00000000 00:00 99999999999999999999 /x\n",
		"7f00-7f01 r-xp 00000000 100000000:00 1 /x\n",
		"-7f00-7f01 r-xp 00000000 00:00 0 \n",
		" 7f00-7f01 r-xp 00000000 00:00 0 \n",
		LINE "/x\n\x1b[31mred\n",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct ml_maps maps = {.list = {.count = 4711}};
		ML_ERROR_CLEANUP struct ml_error *error = ml_maps_parse(lines[i], &maps);

		assert_non_null(error);
		assert_int_equal(ml_error_kind(error), ML_ERROR_FORMAT);
		assert_non_null(strstr(ml_error_message(error), "not understood: \""));
		assert_null(strchr(ml_error_message(error), '\x1b'));
		assert_int_equal(maps.list.count, 4711); /* untouched */
	}
}

static void cuts_the_earlier_of_two_that_overlap(void **state)
{
	struct ml_maps maps = parse("1000-3000 r--p 00000000 00:00 0 [a]\n"
				    "2000-4000 r--p 00000000 00:00 0 [b]\n"
				    "4000-5000 r--p 00000000 00:00 0 [c]\n"
				    "5000-6000 r--p 00000000 00:00 0 [d]\n"
				    "4000-7000 r--p 00000000 00:00 0 [e]\n");

	assert_int_equal(maps.list.count, 3);
	assert_int_equal(maps.list.items[0].end, 0x2000);
	assert_string_equal(maps.list.items[1].path, "[b]");
	assert_string_equal(maps.list.items[2].path, "[e]");
	assert_int_equal(maps.list.items[2].start, 0x4000);
	ml_maps_deinit(&maps);

	ML_ERROR_CLEANUP struct ml_error *error =
		ml_maps_parse("4000-5000 r--p 00000000 00:00 0 \n"
			      "1000-2000 r--p 00000000 00:00 0 \n",
			      &maps);

	assert_non_null(error);
	assert_non_null(strstr(ml_error_message(error), "out of order"));
}

static void finds_addresses_at_the_borders(void **state)
{
	struct ml_maps maps = parse("1000-3000 r--p 00000000 00:00 0 [a]\n"
				    "3000-4000 r--p 00000000 00:00 0 [b]\n"
				    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 "
				    "                 [vsyscall]\n");

	assert_null(ml_maps_find(&maps, 0));
	assert_null(ml_maps_find(&maps, 0xfff));
	assert_string_equal(ml_maps_find(&maps, 0x1000)->path, "[a]");
	assert_string_equal(ml_maps_find(&maps, 0x2fff)->path, "[a]");
	assert_string_equal(ml_maps_find(&maps, 0x3000)->path, "[b]");
	assert_null(ml_maps_find(&maps, 0x4000));
	assert_string_equal(ml_maps_find(&maps, 0xffffffffff600fff)->path, "[vsyscall]");
	assert_null(ml_maps_find(&maps, UINT64_MAX));
	ml_maps_deinit(&maps);
	assert_null(ml_maps_find(&maps, 0x1000));
}

static void reads_its_own(void **state)
{
	struct ml_maps maps;

	assert_null(ml_maps_read(getpid(), &maps));

	const struct ml_mapping *code = ml_maps_find(&maps, (uintptr_t)reads_its_own);
	const struct ml_mapping *stack = ml_maps_find(&maps, (uintptr_t)&maps);

	assert_true(code && code->is_executable && !code->is_writable && code->inode);
	assert_non_null(strstr(code->path, "test_target_maps"));
	assert_true(stack && stack->is_writable);
	assert_string_equal(stack->path, "[stack]");
	ml_maps_deinit(&maps);
}

static void takes_a_hundred_thousand_lines(void **state)
{
	ML_STRBUF_CLEANUP struct ml_strbuf text = {0};

	for (unsigned long i = 1; i <= 100000; i++)
		ml_strbuf_printf(&text, "%lx000-%lx000 rw-p 00000000 00:00 0 \n", i, i + 1);

	struct ml_maps maps = parse(ml_strbuf_text(&text));

	assert_int_equal(maps.list.count, 100000);
	assert_int_equal(ml_maps_find(&maps, 50000ul << 12)->end, 50001ul << 12);
	ml_maps_deinit(&maps);
}

static void assert_sorted(const struct ml_maps *maps)
{
	for (size_t i = 0; i < maps->list.count; i++) {
		assert_true(maps->list.items[i].start < maps->list.items[i].end);
		assert_true(!i || maps->list.items[i - 1].end <= maps->list.items[i].start);
	}
}

/* Real lines with bytes changed at random: an error or a sorted list, never anything else. */
static void survives_garbage(void **state)
{
	static const char alphabet[] = "0123456789abcdef-: rwxps\n\\/(\xff";
	static const char good[] = "1000-3000 r--p 00000000 00:00 0 [a]\n"
				   "2000-4000 rwxs 00000000 fd:01 77 /b\\012 (deleted)\n"
				   "5000-6000 r--p 00000000 00:00 0 \n";
	unsigned int seed = 23, parsed = 0;

	for (int round = 0; round < 20000; round++) {
		char text[sizeof(good)];
		struct ml_maps maps = {0};

		memcpy(text, good, sizeof(good));
		for (int i = rand_r(&seed) % 4; i >= 0; i--)
			text[(size_t)rand_r(&seed) % (sizeof(good) - 1)] =
				alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];

		ML_ERROR_CLEANUP struct ml_error *error = ml_maps_parse(text, &maps);

		parsed += !error;
		assert_sorted(&maps);
		ml_maps_deinit(&maps);
	}
	assert_in_range(parsed, 100, 19900);
}

static void survives_noise(void **state)
{
	unsigned int seed = 101;

	for (int round = 0; round < 5000; round++) {
		char text[257];
		struct ml_maps maps = {0};
		size_t length = (size_t)rand_r(&seed) % (sizeof(text) - 1);

		for (size_t i = 0; i < length; i++)
			text[i] = (char)rand_r(&seed);
		text[length] = '\0';

		ML_ERROR_CLEANUP struct ml_error *error = ml_maps_parse(text, &maps);

		assert_true(error || !text[0]);
		ml_maps_deinit(&maps);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_every_field),
		cmocka_unit_test(reads_paths_as_they_were),
		cmocka_unit_test(quotes_a_line_it_does_not_understand),
		cmocka_unit_test(cuts_the_earlier_of_two_that_overlap),
		cmocka_unit_test(finds_addresses_at_the_borders),
		cmocka_unit_test(reads_its_own),
		cmocka_unit_test(takes_a_hundred_thousand_lines),
		cmocka_unit_test(survives_garbage),
		cmocka_unit_test(survives_noise),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
