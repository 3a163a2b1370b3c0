/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/java_vm.h"

#include "fake_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define FAKE_AT(offset) (FAKE_ADDRESS + (offset))
#define EXPORTS         FAKE_AT(0x100)
#define FIELDS          FAKE_AT(0x1000)
#define TYPES           FAKE_AT(0x8000)
#define TEXTS           FAKE_AT(0x10000)
#define STATICS         FAKE_AT(0x20000)
#define ARRAY           FAKE_AT(0x21000)
#define HEAPS           FAKE_AT(0x22000) /* CodeHeaps, 0x100 bytes each */
#define QUEUE           FAKE_AT(0x23000)
#define CODE            0x7f1200000000ULL

/* VMStructEntry and VMTypeEntry of vmStructs.hpp. */
#define FIELD_STRIDE 56
#define TYPE_STRIDE  40

struct fixture {
	struct fake_memory fake;
	struct ml_java_memory memory;
	uint64_t exports[ML_JAVA_EXPORT_COUNT];
	uint64_t field_count, type_count, text_bytes;
	struct ml_java java;
};

static void put(struct fixture *fixture, uint64_t address, uint64_t value)
{
	fake_put(&fixture->fake, address, value, 8);
}

static uint64_t text(struct fixture *fixture, const char *content)
{
	uint64_t address = TEXTS + fixture->text_bytes;

	memcpy(fixture->fake.bytes + (address - FAKE_ADDRESS), content, strlen(content) + 1);
	fixture->text_bytes += strlen(content) + 1;
	return address;
}

static void add_field(struct fixture *fixture, const char *type, const char *field,
		      const char *of_type, bool is_static, uint64_t value)
{
	uint64_t entry = FIELDS + fixture->field_count++ * FIELD_STRIDE;

	put(fixture, entry, text(fixture, type));
	put(fixture, entry + 8, text(fixture, field));
	put(fixture, entry + 16, text(fixture, of_type));
	put(fixture, entry + 24, is_static);
	put(fixture, entry + (is_static ? 40 : 32), value);
}

static void add_type(struct fixture *fixture, const char *type, uint64_t size)
{
	uint64_t entry = TYPES + fixture->type_count++ * TYPE_STRIDE;

	put(fixture, entry, text(fixture, type));
	put(fixture, entry + 32, size);
}

static void put_exports(struct fixture *fixture)
{
	const uint64_t values[ML_JAVA_EXPORT_COUNT] = {
		[ML_JAVA_EXPORT_STRUCTS] = FIELDS,
		[ML_JAVA_EXPORT_STRUCT_FIELD] = 8,
		[ML_JAVA_EXPORT_STRUCT_TYPE_STRING] = 16,
		[ML_JAVA_EXPORT_STRUCT_IS_STATIC] = 24,
		[ML_JAVA_EXPORT_STRUCT_OFFSET] = 32,
		[ML_JAVA_EXPORT_STRUCT_ADDRESS] = 40,
		[ML_JAVA_EXPORT_STRUCT_STRIDE] = FIELD_STRIDE,
		[ML_JAVA_EXPORT_TYPES] = TYPES,
		[ML_JAVA_EXPORT_TYPE_SIZE] = 32,
		[ML_JAVA_EXPORT_TYPE_STRIDE] = TYPE_STRIDE,
	};

	for (size_t i = 0; i < ML_JAVA_EXPORT_COUNT; i++) {
		fixture->exports[i] = EXPORTS + i * 8;
		put(fixture, fixture->exports[i], values[i]);
	}
}

static void put_tables(struct fixture *fixture)
{
	add_field(fixture, "Abstract_VM_Version", "_vm_major_version", "int", true, STATICS);
	add_field(fixture, "Other", "_name", "const char*", false, 1);
	add_field(fixture, "CodeCache", "_heaps", "GrowableArray<CodeHeap*>*", true, STATICS + 8);
	add_field(fixture, "GrowableArrayBase", "_len", "int", false, 0);
	add_field(fixture, "GrowableArray<int>", "_data", "int*", false, 8);
	add_field(fixture, "CodeHeap", "_memory", "VirtualSpace", false, 8);
	add_field(fixture, "CodeHeap", "_segmap", "VirtualSpace", false, 120);
	add_field(fixture, "CodeHeap", "_log2_segment_size", "int", false, 248);
	add_field(fixture, "VirtualSpace", "_low_boundary", "char*", false, 0);
	add_field(fixture, "VirtualSpace", "_high_boundary", "char*", false, 8);
	add_field(fixture, "AbstractInterpreter", "_code", "StubQueue*", true, STATICS + 16);
	add_field(fixture, "StubQueue", "_stub_buffer", "address", false, 8);
	add_field(fixture, "StubQueue", "_buffer_limit", "int", false, 20);
	add_field(fixture, "CodeBlob", "_frame_size", "int", false, 44);
	add_field(fixture, "CodeBlob", "_frame_complete_offset", "int16_t", false, 54);
	add_field(fixture, "CodeBlob", "_code_offset", "int", false, 36);
	add_field(fixture, "nmethod", "_compile_id", "int", false, 212);
	add_field(fixture, "Method", "_constMethod", "ConstMethod*", false, 8);
	add_type(fixture, "HeapBlock", 8);
	add_type(fixture, "ConstMethod", 56);
}

static void put_heap(struct fixture *fixture, uint64_t index, uint64_t start, uint64_t end)
{
	uint64_t heap = HEAPS + index * 0x100;

	put(fixture, ARRAY + 0x100 + index * 8, heap);
	put(fixture, heap + 8, start);
	put(fixture, heap + 16, end);
	put(fixture, heap + 120, 0x7f1300000000ULL + index * 0x1000);
	put(fixture, heap + 128, 0x7f1300001000ULL + index * 0x1000);
	put(fixture, heap + 248, 7);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->memory = (struct ml_java_memory){.read = fake_read, .context = &fixture->fake};
	put_exports(fixture);
	put_tables(fixture);
	put(fixture, STATICS, 25);
	put(fixture, STATICS + 8, ARRAY);
	put(fixture, STATICS + 16, QUEUE);
	put(fixture, ARRAY, 2);
	put(fixture, ARRAY + 8, ARRAY + 0x100);
	put_heap(fixture, 0, CODE + 0x100000, CODE + 0x200000);
	put_heap(fixture, 1, CODE, CODE + 0x100000);
	put(fixture, QUEUE + 8, CODE + 0x5000);
	fake_put(&fixture->fake, QUEUE + 20, 0x3000, 4);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static bool read_all(struct fixture *fixture)
{
	return ml_java_tables_read(&fixture->memory, fixture->exports, &fixture->java.tables) &&
	       ml_java_read(&fixture->memory, &fixture->java);
}

static void reads_what_the_walk_needs(void **state)
{
	struct fixture *fixture = *state;
	const struct ml_java_layout *layout = &fixture->java.layout;

	assert_true(read_all(fixture));
	assert_int_equal(fixture->java.version, 25);
	assert_int_equal(layout->start, CODE);
	assert_int_equal(layout->end, CODE + 0x200000);
	assert_int_equal(layout->heap_count, 2);
	assert_int_equal(layout->heaps[0].start, CODE + 0x100000);
	assert_int_equal(layout->heaps[1].segments, 0x7f1300001000ULL);
	assert_int_equal(layout->heaps[1].segment_shift, 7);
	assert_int_equal(layout->interpreter_start, CODE + 0x5000);
	assert_int_equal(layout->interpreter_end, CODE + 0x8000);
	assert_int_equal(layout->interpreter, STATICS + 16);
	assert_int_equal(layout->block_header, 8);
	assert_int_equal(layout->frame_size, 44);
	assert_int_equal(layout->code_start, 36);
	assert_true(layout->is_code_offset);
	assert_true(layout->is_complete_short);
	assert_int_equal(layout->compilation, 212);
	assert_int_equal(layout->bytecode, 56);
	assert_int_equal(layout->bytecode_slot, -64);
}

static void waits_for_a_starting_machine(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, fixture->exports[ML_JAVA_EXPORT_STRUCT_STRIDE], 0);
	assert_false(read_all(fixture));
	put(fixture, fixture->exports[ML_JAVA_EXPORT_STRUCT_STRIDE], FIELD_STRIDE);
	put(fixture, STATICS + 8, 0);
	put(fixture, STATICS + 16, 0);
	assert_false(read_all(fixture));
	assert_int_equal(fixture->java.layout.end, 0);
	put(fixture, STATICS + 8, ARRAY);
	assert_true(read_all(fixture));
	assert_int_equal(fixture->java.layout.interpreter_end, 0);
}

static void refuses_wild_heaps(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, ARRAY, ML_JAVA_HEAPS + 1);
	assert_false(read_all(fixture));
	put(fixture, ARRAY, 2);
	put(fixture, HEAPS + 248, 40); /* a shift */
	assert_false(read_all(fixture));
	put(fixture, HEAPS + 248, 7);
	put(fixture, HEAPS + 16, CODE + (8ULL << 30)); /* bigger than a code cache can be */
	assert_false(read_all(fixture));
	put(fixture, HEAPS + 16, CODE);
	assert_false(read_all(fixture));
}

static void refuses_tables_of_another_shape(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, fixture->exports[ML_JAVA_EXPORT_STRUCT_OFFSET], FIELD_STRIDE - 7);
	assert_false(read_all(fixture));
	put(fixture, fixture->exports[ML_JAVA_EXPORT_STRUCT_OFFSET], 32);
	/* A member where none can be is as if it was not there. */
	put(fixture, FIELDS + 13 * FIELD_STRIDE + 32, 1ULL << 40);
	assert_false(read_all(fixture));
	put(fixture, FIELDS + 13 * FIELD_STRIDE + 32, 44);
	assert_true(read_all(fixture));
	/* Tables without an end stop where memory does. */
	for (uint64_t at = FIELDS; at < FAKE_AT(FAKE_BYTES) - 8; at += 8)
		put(fixture, at, TEXTS);
	assert_false(read_all(fixture));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_what_the_walk_needs),
		TEST(waits_for_a_starting_machine),
		TEST(refuses_wild_heaps),
		TEST(refuses_tables_of_another_shape),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
