/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A JVM laid out in fake memory as 25 lays it out: one code heap with a compiled method, into which
 * another one was inlined, and a stub.
 *
 *     1  package a; class B$C { // B.java
 *    41      void outer() { inner(); }
 *    17      void inner() { … }
 */
#ifndef TESTS_TRACE_FAKE_JAVA_H
#define TESTS_TRACE_FAKE_JAVA_H

#include "fake_memory.h"
#include "trace/java_vm.h"

#define FAKE_AT(offset)    (FAKE_ADDRESS + (offset))
#define FAKE_INNER         FAKE_AT(0x1000) /* a Method */
#define FAKE_OUTER         FAKE_AT(0x1100)
#define FAKE_INNER_CONST   FAKE_AT(0x2000)
#define FAKE_OUTER_CONST   FAKE_AT(0x2200)
#define FAKE_POOL          FAKE_AT(0x3000)
#define FAKE_CLASS         FAKE_AT(0x3800)
#define FAKE_SYMBOLS       FAKE_AT(0x4000)
#define FAKE_IMMUTABLE     FAKE_AT(0x5000)
#define FAKE_MUTABLE       FAKE_AT(0x6000)
#define FAKE_TEXTS         FAKE_AT(0x7000)
#define FAKE_SEGMENTS      FAKE_AT(0x8000)
#define FAKE_CODE          FAKE_AT(0x10000)
#define FAKE_CODE_END      FAKE_AT(0x20000)
#define FAKE_NMETHOD       (FAKE_CODE + 0x100 + 8)
#define FAKE_NMETHOD_START (FAKE_NMETHOD + 0x80)
#define FAKE_CALL          (FAKE_NMETHOD_START + 50) /* a return address in it */
#define FAKE_STUB          (FAKE_CODE + 0x400 + 8)
#define FAKE_STUB_START    (FAKE_STUB + 0x40)
#define FAKE_CALL_STUB     (FAKE_STUB_START + 32)
#define FAKE_COMPILATION   0x4321

#define FAKE_CONST_BYTES   56
#define FAKE_CODE_SIZE     20

static inline void fake_field(struct ml_java *java, enum ml_java_field_id id, uint64_t value,
			      uint32_t size)
{
	java->tables.fields[id] = (struct ml_java_field){.value = value, .size = size};
}

static inline void fake_fields(struct ml_java *java)
{
	fake_field(java, ML_JAVA_FIELD_BLOB_NAME, 8, 8);
	fake_field(java, ML_JAVA_FIELD_BLOB_MUTABLE_DATA, 16, 8);
	fake_field(java, ML_JAVA_FIELD_BLOB_RELOCATION_SIZE, 28, 4);
	fake_field(java, ML_JAVA_FIELD_BLOB_CODE_OFFSET, 36, 4);
	fake_field(java, ML_JAVA_FIELD_NMETHOD_METHOD, 80, 8);
	fake_field(java, ML_JAVA_FIELD_NMETHOD_IMMUTABLE_DATA, 96, 8);
	fake_field(java, ML_JAVA_FIELD_NMETHOD_PCS_OFFSET, 104, 4);
	fake_field(java, ML_JAVA_FIELD_NMETHOD_SCOPES_OFFSET, 108, 4);
	fake_field(java, ML_JAVA_FIELD_NMETHOD_COMPILATION, 112, 4);
	fake_field(java, ML_JAVA_FIELD_METHOD_CONST, 8, 8);
	fake_field(java, ML_JAVA_FIELD_CONST_CONSTANTS, 8, 8);
	fake_field(java, ML_JAVA_FIELD_CONST_SIZE, 24, 4);
	fake_field(java, ML_JAVA_FIELD_CONST_FLAGS_NEW, 28, 4);
	fake_field(java, ML_JAVA_FIELD_CONST_CODE_SIZE, 34, 2);
	fake_field(java, ML_JAVA_FIELD_CONST_NAME, 36, 2);
	fake_field(java, ML_JAVA_FIELD_POOL_HOLDER, 24, 8);
	fake_field(java, ML_JAVA_FIELD_POOL_FILE, 54, 2);
	fake_field(java, ML_JAVA_FIELD_POOL_LENGTH, 60, 4);
	fake_field(java, ML_JAVA_FIELD_CLASS_NAME, 24, 8);
	fake_field(java, ML_JAVA_FIELD_SYMBOL_LENGTH, 4, 2);
	fake_field(java, ML_JAVA_FIELD_SYMBOL_BODY, 6, 8);
	java->tables.type_sizes[ML_JAVA_TYPE_CONSTANT_POOL] = 72;
	java->tables.type_sizes[ML_JAVA_TYPE_CONST_METHOD] = FAKE_CONST_BYTES;
}

static inline void fake_bytes(struct fake_memory *memory, uint64_t address, const void *bytes,
			      size_t size)
{
	memcpy(memory->bytes + (address - FAKE_ADDRESS), bytes, size);
}

static inline void fake_symbol(struct fake_memory *memory, uint64_t address, const char *text)
{
	fake_put(memory, address + 4, strlen(text), 2);
	fake_bytes(memory, address + 6, text, strlen(text));
}

/* @lines is the table, with its end. */
static inline void fake_method(struct fake_memory *memory, uint64_t method, uint64_t const_method,
			       uint64_t name, const uint8_t *lines, size_t size)
{
	fake_put(memory, method + 8, const_method, 8);
	fake_put(memory, const_method + 8, FAKE_POOL, 8);
	fake_put(memory, const_method + 24, (FAKE_CONST_BYTES + FAKE_CODE_SIZE + size + 7) / 8, 4);
	fake_put(memory, const_method + 28, 1, 4);
	fake_put(memory, const_method + 34, FAKE_CODE_SIZE, 2);
	fake_put(memory, const_method + 36, name, 2);
	fake_bytes(memory, const_method + FAKE_CONST_BYTES + FAKE_CODE_SIZE, lines, size);
}

static inline void fake_classes(struct fake_memory *memory)
{
	/* Numbers: 1 is 0, …; a signed one is twice its size. 255: both steps follow. */
	static const uint8_t inner[] = {255, 1, 35, 5 << 3 | 2, 0};
	static const uint8_t outer[] = {255, 1, 83, 0};
	static const char *const names[] = {"inner", "outer", "B.java", "a/B$C"};

	fake_put(memory, FAKE_POOL + 24, FAKE_CLASS, 8);
	fake_put(memory, FAKE_POOL + 54, 3, 2);
	fake_put(memory, FAKE_POOL + 60, 4, 4);
	for (uint64_t i = 0; i < 4; i++)
		fake_symbol(memory, FAKE_SYMBOLS + i * 64, names[i]);
	for (uint64_t i = 1; i < 4; i++)
		fake_put(memory, FAKE_POOL + 72 + i * 8, FAKE_SYMBOLS + (i - 1) * 64, 8);
	fake_put(memory, FAKE_CLASS + 24, FAKE_SYMBOLS + 3 * 64, 8);
	fake_method(memory, FAKE_INNER, FAKE_INNER_CONST, 1, inner, sizeof(inner));
	fake_method(memory, FAKE_OUTER, FAKE_OUTER_CONST, 2, outer, sizeof(outer));
}

static inline void fake_blob(struct fake_memory *memory, uint64_t blob, uint64_t bytes,
			     uint64_t text, const char *name, uint64_t start)
{
	uint64_t first = (blob - FAKE_CODE) >> 7;

	for (uint64_t i = 0; i < bytes >> 7; i++)
		fake_put(memory, FAKE_SEGMENTS + first + i, i, 1);
	fake_bytes(memory, text, name, strlen(name) + 1);
	fake_put(memory, blob + 8, text, 8);
	fake_put(memory, blob + 36, start - blob, 4);
}

static inline void fake_code(struct fake_memory *memory)
{
	/* At 8 outer(), bytecode 3, called by nobody; at 4 inner(), bytecode 6, called by it. */
	static const uint8_t scopes[] = {0, 0, 0, 0, 9, 1 + 1, 6 + 1 + 1, 0, 1, 2 + 1, 3 + 1 + 1};
	static const int32_t places[][4] = {{-1}, {20, 8}, {50, 4}, {INT32_MAX}};

	memset(memory->bytes + (FAKE_SEGMENTS - FAKE_ADDRESS), 255, 0x10000 >> 7);
	fake_blob(memory, FAKE_NMETHOD, 0x300, FAKE_TEXTS, "nmethod", FAKE_NMETHOD_START);
	fake_blob(memory, FAKE_STUB, 0x100, FAKE_TEXTS + 64, "StubRoutines (1)", FAKE_STUB_START);
	fake_put(memory, FAKE_NMETHOD + 16, FAKE_MUTABLE, 8);
	fake_put(memory, FAKE_NMETHOD + 28, 13, 4);
	fake_put(memory, FAKE_NMETHOD + 80, FAKE_OUTER, 8);
	fake_put(memory, FAKE_NMETHOD + 96, FAKE_IMMUTABLE, 8);
	fake_put(memory, FAKE_NMETHOD + 104, 0x40, 4);
	fake_put(memory, FAKE_NMETHOD + 108, 0x40 + sizeof(places), 4);
	fake_put(memory, FAKE_NMETHOD + 112, FAKE_COMPILATION, 4);
	fake_bytes(memory, FAKE_IMMUTABLE + 0x40, places, sizeof(places));
	fake_bytes(memory, FAKE_IMMUTABLE + 0x40 + sizeof(places), scopes, sizeof(scopes));
	fake_put(memory, FAKE_MUTABLE + 16, FAKE_INNER, 8);
	fake_put(memory, FAKE_MUTABLE + 24, FAKE_OUTER, 8);
}

/* Both are all-zero before. */
static inline void fake_java(struct fake_memory *memory, struct ml_java *java)
{
	fake_fields(java);
	fake_classes(memory);
	fake_code(memory);
	java->version = 25;
	java->call_stub_return = FAKE_CALL_STUB;
	java->layout.start = FAKE_CODE;
	java->layout.end = FAKE_CODE_END;
	java->layout.heap_count = 1;
	java->layout.heaps[0] = (struct ml_java_heap){.start = FAKE_CODE,
						      .end = FAKE_CODE_END,
						      .segments = FAKE_SEGMENTS,
						      .segment_shift = 7};
	java->layout.block_header = 8;
	java->layout.bytecode = FAKE_CONST_BYTES;
}

#endif
