/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/java_names.h"

#include "fake_java.h"
#include "trace/java_method.h"
#include "trace/java_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define INNER_ENTRY(bci) ML_JAVA_INTERPRETED_ENTRY(FAKE_INNER, bci)
#define CALL_ENTRY                                                                                 \
	(FAKE_CALL | ML_STACK_JAVA_COMPILED |                                                      \
	 (FAKE_COMPILATION & ML_JAVA_COMPILATION_MASK) << ML_STACK_ADDRESS_BITS)

struct fixture {
	struct fake_memory fake;
	struct ml_java java;
	struct ml_java_memory memory;
	struct ml_java_names *names;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fake_java(&fixture->fake, &fixture->java);
	fixture->memory = (struct ml_java_memory){.read = fake_read, .context = &fixture->fake};
	fixture->names = ml_java_names_create();
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	ml_java_names_destroy(fixture->names);
	free(fixture);
	return 0;
}

static struct ml_java_frames get(struct fixture *fixture, uint64_t entry)
{
	return ml_java_names_get(fixture->names, &fixture->java, &fixture->memory, entry);
}

static void assert_frame(const struct ml_stack_frame *frame, const char *symbol, int line)
{
	assert_int_equal(frame->kind, ML_FRAME_JAVA);
	assert_non_null(frame->name);
	assert_string_equal(frame->name->symbol, symbol);
	assert_string_equal(frame->name->file, "B.java");
	assert_int_equal(frame->name->line, line);
}

static void names_an_interpreted_method(void **state)
{
	struct fixture *fixture = *state;
	struct ml_java_frames found = get(fixture, INNER_ENTRY(4));

	assert_int_equal(found.count, 1);
	assert_frame(found.items, "a.B$C.inner", 17);
	assert_int_equal(found.items->address, 4);
	assert_int_equal(found.items->ip, FAKE_INNER_CONST + FAKE_CONST_BYTES + 4);
	assert_frame(get(fixture, INNER_ENTRY(5)).items, "a.B$C.inner", 19);
	/* A native method has no bytecode, so no line. */
	assert_frame(get(fixture, INNER_ENTRY(ML_JAVA_BCI_UNKNOWN)).items, "a.B$C.inner", 0);
	assert_frame(get(fixture, INNER_ENTRY(FAKE_CODE_SIZE)).items, "a.B$C.inner", 0);
}

static void names_what_was_inlined(void **state)
{
	struct fixture *fixture = *state;
	const struct ml_frame_name *interpreted = get(fixture, INNER_ENTRY(6)).items->name;
	struct ml_java_frames found = get(fixture, CALL_ENTRY);

	assert_int_equal(found.count, 2);
	assert_frame(&found.items[0], "a.B$C.inner", 19);
	assert_frame(&found.items[1], "a.B$C.outer", 41);
	assert_true(found.items[0].is_inlined);
	assert_false(found.items[1].is_inlined);
	assert_int_equal(found.items[1].ip, FAKE_CALL);
	assert_int_equal(found.items[1].address, 50);
	/* By that the report knows compiled and interpreted stacks to be the same. */
	assert_ptr_equal(found.items[0].name, interpreted);
}

static void names_only_the_method_where_nothing_is_said(void **state)
{
	struct fixture *fixture = *state;
	struct ml_java_frames found = get(fixture, CALL_ENTRY + 1);

	assert_int_equal(found.count, 1);
	assert_frame(found.items, "a.B$C.outer", 0);
}

static void does_not_name_code_that_took_its_place(void **state)
{
	struct fixture *fixture = *state;

	fake_put(&fixture->fake, FAKE_NMETHOD + 112, FAKE_COMPILATION + 1, 4);
	assert_int_equal(get(fixture, CALL_ENTRY).count, 0);
}

static void names_the_machines_own_code(void **state)
{
	struct fixture *fixture = *state;
	struct ml_java_frames found = get(fixture, FAKE_CALL_STUB);

	assert_int_equal(found.count, 1);
	assert_int_equal(found.items->kind, ML_FRAME_JIT);
	assert_string_equal(found.items->name->symbol, "call_stub");
	assert_int_equal(found.items->address, 32);
	found = get(fixture, FAKE_CALL_STUB + 1);
	assert_string_equal(found.items->name->symbol, "StubRoutines (1)");
	assert_int_equal(get(fixture, FAKE_CODE + 16).count, 0);
	assert_int_equal(get(fixture, 0x401000).count, 0);
}

static void keeps_names_when_the_process_is_gone(void **state)
{
	struct fixture *fixture = *state;
	struct ml_java_frames found;

	get(fixture, CALL_ENTRY);
	found = ml_java_names_get(fixture->names, &fixture->java, NULL, CALL_ENTRY);
	assert_int_equal(found.count, 2);
	found = ml_java_names_get(fixture->names, &fixture->java, NULL, INNER_ENTRY(0));
	assert_int_equal(found.count, 0);
}

static void prints_hidden_classes_as_java_does(void **state)
{
	struct fixture *fixture = *state;

	fake_symbol(&fixture->fake, FAKE_SYMBOLS + 3 * 64, "a/B$$Lambda+0x0000000000123456");
	assert_string_equal(get(fixture, INNER_ENTRY(0)).items->name->symbol,
			    "a.B$$Lambda/0x0000000000123456.inner");
}

/* Scopes that lead to each other for ever. */
static void ends_in_circles(void **state)
{
	struct fixture *fixture = *state;

	fake_put(&fixture->fake, FAKE_IMMUTABLE + 0x40 + 64 + 8, 4 + 1, 1);
	assert_in_range(get(fixture, CALL_ENTRY).count, 2, 64);
}

static void reads_numbers(void **state)
{
	/* unsigned5.hpp: 191 and 192 are the first ones of two bytes, since 20 and before. */
	const uint8_t old[] = {191, 192, 0, 255, 255, 255, 255, 255}, new[] = {191, 192, 1, 0};
	struct ml_cursor cursor = {.at = old, .end = old + sizeof(old)};

	(void)state;
	assert_int_equal(ml_java_stream_unsigned(&cursor, 17), 191);
	assert_int_equal(ml_java_stream_unsigned(&cursor, 17), 192);
	ml_java_stream_unsigned(&cursor, 17);
	assert_false(cursor.failed);
	assert_int_equal(ml_cursor_left(&cursor), 0);
	cursor = (struct ml_cursor){.at = new, .end = new + sizeof(new)};
	assert_int_equal(ml_java_stream_unsigned(&cursor, 25), 190);
	assert_int_equal(ml_java_stream_unsigned(&cursor, 25), 191);
	assert_false(cursor.failed);
	ml_java_stream_unsigned(&cursor, 25);
	assert_true(cursor.failed);
}

static void reads_lines_backwards_too(void **state)
{
	/* +2 bytecode +3 lines; then by numbers +10 −2; then −5 and 100. */
	uint8_t lines[] = {2 << 3 | 3, 255, 20, 3, 255, 9, 192, 0, 0};
	struct ml_java_method method = {
		.identity = {.code_size = 100}, .lines = lines, .lines_size = sizeof(lines)};

	(void)state;
	lines[6] = 200 - 9;
	assert_int_equal(ml_java_method_line(&method, 17, 0), 0);
	assert_int_equal(ml_java_method_line(&method, 17, 2), 3);
	assert_int_equal(ml_java_method_line(&method, 17, 6), 3);
	assert_int_equal(ml_java_method_line(&method, 17, 12), 1);
	assert_int_equal(ml_java_method_line(&method, 17, 100), 0);
	method.lines_size = 3; /* cut off */
	assert_int_equal(ml_java_method_line(&method, 17, 50), 3);
}

/* Bytes changed at random, by a generator that gives the same ones every time. */
static void survives_damage(void **state)
{
	struct fixture *fixture = *state;
	struct fake_memory *whole = malloc(sizeof(*whole));
	const uint64_t entries[] = {CALL_ENTRY, INNER_ENTRY(3), FAKE_CALL_STUB, FAKE_CALL};
	uint32_t random = 1;

	memcpy(whole, &fixture->fake, sizeof(*whole));
	for (size_t round = 0; round < 2000; round++) {
		for (size_t i = 0; i < 8; i++) {
			random = random * 1664525 + 1013904223;
			fixture->fake.bytes[(random >> 8) % 0x10600] = (uint8_t)random;
		}
		for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++)
			assert_in_range(get(fixture, entries[i]).count, 0, 64);
		ml_java_names_destroy(fixture->names);
		fixture->names = ml_java_names_create();
		if (round % 50 == 49)
			memcpy(&fixture->fake, whole, sizeof(*whole));
	}
	free(whole);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_an_interpreted_method),
		TEST(names_what_was_inlined),
		TEST(names_only_the_method_where_nothing_is_said),
		TEST(does_not_name_code_that_took_its_place),
		TEST(names_the_machines_own_code),
		TEST(keeps_names_when_the_process_is_gone),
		TEST(prints_hidden_classes_as_java_does),
		TEST(ends_in_circles),
		cmocka_unit_test(reads_numbers),
		cmocka_unit_test(reads_lines_backwards_too),
		TEST(survives_damage),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
