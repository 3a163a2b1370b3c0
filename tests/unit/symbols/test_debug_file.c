/* SPDX-License-Identifier: BSD-2-Clause */
#include "../elf/fixture.h"

#include "symbols/symbolizer.h"

/** What the symbolizer asked for. */
struct asked {
	unsigned int count;
	char last[256];
};

/* Opens below the folder "tree" of the fixture, as for a target in a container. */
static struct ml_error *open_in_tree(void *context, struct ml_module *module, const char *path,
				     int *fd)
{
	struct asked *asked = context;
	char name[512];

	asked->count++;
	snprintf(asked->last, sizeof(asked->last), "%s", path);
	snprintf(name, sizeof(name), "tree%s", path);
	*fd = open(fixture_path(name), O_RDONLY | O_CLOEXEC);
	return *fd < 0 ? ml_error_new(ML_ERROR_SYSTEM, "no %s", path) : NULL;
}

/* The address of fixed_caller() in the unstripped @p whole, looked up in @p name. */
static void look_up(const char *name, const char *whole, struct asked *asked,
		    struct ml_symbol_frame *out)
{
	struct ml_module *full = fixture_open(whole);
	struct ml_module *module = fixture_open(name);
	struct ml_symbolizer *symbolizer = ml_symbolizer_create(true);
	struct ml_symbol_frames frames = {0};

	if (asked)
		ml_symbolizer_set_open_file(symbolizer, open_in_tree, asked);
	ml_symbolizer_lookup(symbolizer, module, fixture_address(full, "fixed_caller"), false,
			     &frames);
	*out = frames.list.items[frames.list.count - 1];
	/* The symbolizer's strings end with it. */
	out->symbol = out->symbol ? "fixed_caller" : NULL;
	out->mangled = NULL;
	out->file = out->file ? "inlines.c" : NULL;
	ml_array_free(&frames.list);
	ml_symbolizer_destroy(symbolizer);
	ml_module_unref(full);
	ml_module_unref(module);
}

static void assert_found(const char *name, const char *whole, struct asked *asked)
{
	struct ml_symbol_frame frame;

	look_up(name, whole, asked, &frame);
	assert_non_null(frame.symbol);
	assert_non_null(frame.file);
	assert_in_range(frame.line, 200, 202);
}

static void assert_not_found(const char *name, const char *whole, struct asked *asked)
{
	struct ml_symbol_frame frame;

	look_up(name, whole, asked, &frame);
	assert_null(frame.symbol);
	assert_null(frame.file);
}

static void follows_debuglink(void **state)
{
	assert_found("linked/stripped", "whole", NULL);
	assert_found("hidden/stripped", "whole", NULL);
}

static void follows_build_id_in_the_target(void **state)
{
	struct asked asked = {0};

	assert_not_found("stripped", "whole", NULL);
	assert_found("stripped", "whole", &asked);
	assert_int_equal(asked.count, 1);
	assert_non_null(strstr(asked.last, "/usr/lib/debug/.build-id/"));
}

/* With a target, a link is looked for in its root and not in ours. */
static void opens_links_only_in_the_target(void **state)
{
	struct asked asked = {0};

	assert_not_found("crc/stripped", "noid", &asked);
	assert_int_equal(asked.count, 3);
}

static void checks_the_crc(void **state)
{
	assert_found("crc/stripped", "noid", NULL);
	assert_not_found("wrong/stripped", "noid", NULL);
}

static void does_not_wait_for_a_fifo(void **state)
{
	assert_not_found("fifo/stripped", "whole", NULL);
}

static void reads_what_dwz_moved_away(void **state)
{
	struct asked asked = {0};
	struct ml_section link;

	if (!fixture_exists("dwz-a"))
		skip();

	struct ml_module *module = fixture_open("dwz-a");

	assert_true(ml_module_section(module, ".gnu_debugaltlink", &link));
	ml_module_unref(module);
	assert_found("dwz-a", "dwz-a", &asked);
	assert_non_null(strstr(asked.last, "/usr/lib/debug/.dwz/common.debug"));
}

/* libdw would open what the link names, in the root of this machine. */
static void opens_supplements_only_in_the_target(void **state)
{
	struct asked asked = {0};

	if (!fixture_exists("dwz-outside"))
		skip();

	struct ml_module *module = fixture_open("dwz-outside");
	struct ml_symbolizer *symbolizer = ml_symbolizer_create(true);
	struct ml_symbol_frames frames = {0};
	struct ml_symbol symbol;
	bool has_line = false;

	assert_true(fixture_exists("outside.debug"));
	assert_true(ml_module_function_named(module, "fixed_caller", &symbol));
	ml_symbolizer_set_open_file(symbolizer, open_in_tree, &asked);
	for (uint64_t at = symbol.address; at < symbol.address + symbol.size; at++) {
		ml_symbolizer_lookup(symbolizer, module, at, false, &frames);
		/* The names of the inlined functions are in the file that must not be opened. */
		assert_int_equal(frames.list.count, 1);
		assert_string_equal(frames.list.items[0].symbol, "fixed_caller");
		has_line |= frames.list.items[0].line == 202;
	}
	assert_true(has_line);
	ml_array_free(&frames.list);
	ml_symbolizer_destroy(symbolizer);
	ml_module_unref(module);
}

static int build(void **state)
{
	return fixture_unpack(SYMBOLS_FIXTURES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_debuglink),
		cmocka_unit_test(follows_build_id_in_the_target),
		cmocka_unit_test(opens_links_only_in_the_target),
		cmocka_unit_test(checks_the_crc),
		cmocka_unit_test(does_not_wait_for_a_fifo),
		cmocka_unit_test(reads_what_dwz_moved_away),
		cmocka_unit_test(opens_supplements_only_in_the_target),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, build, fixture_remove);
}
