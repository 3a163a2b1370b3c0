/* SPDX-License-Identifier: BSD-2-Clause */
/* What is found in split DWARF is the same as in a program of the same code that is not split. */
#include "../elf/fixture.h"

#include "symbols/symbolizer.h"

static const char *const compilers[] = {"gcc-4",   "gcc-5", "types-4", "types-5",    "sections",
					"clang-4", "wide",  "clang-5", "clang-types"};
static const char *const functions[] = {"fixed_caller", "fixed_ending", "fixed_behind",
					"fixed_other", "main"};
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/** A file and what is known about it. */
struct program {
	struct ml_module *module;
	struct ml_symbolizer *symbolizer;
};

static struct program open_program(const char *name, ml_open_file *opener, void *context)
{
	struct program program = {
		.module = fixture_open(name),
		.symbolizer = ml_symbolizer_create(true),
	};

	if (opener)
		ml_symbolizer_set_open_file(program.symbolizer, opener, context);
	return program;
}

static void close_program(struct program *program)
{
	ml_symbolizer_destroy(program->symbolizer);
	ml_module_unref(program->module);
}

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path;
}

static void assert_same_text(const char *a, const char *b)
{
	if (a && b)
		assert_string_equal(a, b);
	else
		assert_true(a == b);
}

/* Compares the frames at @p address; true when there is an inlined one. */
static bool compare_frames(struct program *split, struct program *whole, uint64_t address)
{
	struct ml_symbol_frames a = {0}, b = {0};
	bool is_inlined = false;

	ml_symbolizer_lookup(split->symbolizer, split->module, address, false, &a);
	ml_symbolizer_lookup(whole->symbolizer, whole->module, address, false, &b);
	assert_int_equal(a.list.count, b.list.count);
	for (size_t i = 0; i < a.list.count; i++) {
		const struct ml_symbol_frame *x = &a.list.items[i], *y = &b.list.items[i];

		assert_same_text(x->symbol, y->symbol);
		assert_same_text(base_name(x->file), base_name(y->file));
		assert_int_equal(x->line, y->line);
		assert_int_equal(x->is_inlined, y->is_inlined);
		is_inlined |= x->is_inlined;
	}
	ml_array_free(&a.list);
	ml_array_free(&b.list);
	return is_inlined;
}

static void compare_programs(struct program *split, struct program *whole)
{
	unsigned int inlined = 0;

	for (size_t i = 0; i < COUNT(functions); i++) {
		struct ml_symbol symbol;

		assert_true(ml_module_function_named(whole->module, functions[i], &symbol));
		for (uint64_t at = 0; at < symbol.size; at++)
			inlined += compare_frames(split, whole, symbol.address + at);
	}
	assert_true(inlined > 10);
}

static void assert_same(const char *pattern)
{
	unsigned int compared = 0;

	for (size_t i = 0; i < COUNT(compilers); i++) {
		char name[64], whole_name[64];

		snprintf(name, sizeof(name), pattern, compilers[i]);
		snprintf(whole_name, sizeof(whole_name), "whole_units/%s", compilers[i]);
		if (!fixture_exists(name))
			continue;

		struct program split = open_program(name, NULL, NULL);
		struct program whole = open_program(whole_name, NULL, NULL);

		compare_programs(&split, &whole);
		close_program(&split);
		close_program(&whole);
		compared++;
	}
	assert_true(compared >= 2);
}

static void reads_units_where_the_compiler_put_them(void **state)
{
	assert_same("split/%s");
}

static void reads_units_beside_the_program(void **state)
{
	char command[256];

	/* Where the compiler put them there are none. */
	snprintf(command, sizeof(command), "mkdir %s/gone && mv %s/split/*.dwo %s/gone",
		 fixture_folder, fixture_folder, fixture_folder);
	assert_int_equal(system(command), 0);
	assert_same("moved/%s/program");
	assert_same("package/%s");
	assert_same("packed/%s");
	snprintf(command, sizeof(command), "mv %s/gone/*.dwo %s/split && rmdir %s/gone",
		 fixture_folder, fixture_folder, fixture_folder);
	assert_int_equal(system(command), 0);
}

static struct ml_error *open_in_tree(void *context, struct ml_module *module, const char *path,
				     int *fd)
{
	char name[512];

	snprintf(name, sizeof(name), "tree%s", path);
	*fd = open(fixture_path(name), O_RDONLY | O_CLOEXEC);
	++*(unsigned int *)context;
	return *fd < 0 ? ml_error_new(ML_ERROR_SYSTEM, "no %s", path) : NULL;
}

static void opens_units_only_in_the_target(void **state)
{
	unsigned int asked = 0;

	for (size_t i = 0; i < 2; i++) {
		char name[64], whole_name[64];

		snprintf(name, sizeof(name), "alone-%s/program", compilers[i]);
		snprintf(whole_name, sizeof(whole_name), "whole_units/%s", compilers[i]);

		struct program split = open_program(name, open_in_tree, &asked);
		struct program whole = open_program(whole_name, NULL, NULL);

		compare_programs(&split, &whole);
		close_program(&split);
		close_program(&whole);
	}
	assert_true(asked >= 4);
}

static struct ml_error *refuse(void *context, struct ml_module *module, const char *path, int *fd)
{
	return ml_error_new(ML_ERROR_SYSTEM, "no %s", path);
}

/* libdw would follow the name of the .dwo, which is there, on this machine. */
static void keeps_to_the_skeleton_without_units(void **state)
{
	struct program split = open_program("split/gcc-5", refuse, NULL);
	struct ml_symbol_frames frames = {0};
	struct ml_symbol symbol;
	unsigned int lines = 0;

	assert_true(fixture_exists("split/gcc-5-1.dwo"));
	assert_true(ml_module_function_named(split.module, "fixed_caller", &symbol));
	for (uint64_t at = 0; at < symbol.size; at++) {
		ml_symbolizer_lookup(split.symbolizer, split.module, symbol.address + at, false,
				     &frames);
		assert_int_equal(frames.list.count, 1);
		assert_string_equal(frames.list.items[0].symbol, "fixed_caller");
		lines += frames.list.items[0].line > 0;
	}
	assert_true(lines > 10);
	ml_array_free(&frames.list);
	close_program(&split);
}

/* Waits for ever where libdw is let to look for the unit of a skeleton. */
static void never_lets_libdw_look_for_units(void **state)
{
	struct program trap = open_program("trap", refuse, NULL);
	struct ml_symbol_frames frames = {0};

	ml_symbolizer_lookup(trap.symbolizer, trap.module, fixture_address(trap.module, "main"),
			     false, &frames);
	assert_int_equal(frames.list.count, 1);
	assert_string_equal(frames.list.items[0].symbol, "main");
	ml_array_free(&frames.list);
	close_program(&trap);
}

static int build(void **state)
{
	return fixture_build(SYMBOLS_SCRIPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_units_where_the_compiler_put_them),
		cmocka_unit_test(reads_units_beside_the_program),
		cmocka_unit_test(opens_units_only_in_the_target),
		cmocka_unit_test(keeps_to_the_skeleton_without_units),
		cmocka_unit_test(never_lets_libdw_look_for_units),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, build, fixture_remove);
}
