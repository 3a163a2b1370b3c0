/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/java_method.h"

#include "base/array.h"
#include "base/strbuf.h"
#include "trace/java_stream.h"

#include <string.h>

#define LINES_LIMIT (256U << 10)
/* ConstMethod::_has_linenumber_table (constMethodFlags.hpp), the same in all versions. */
#define HAS_LINES 1

bool ml_java_method_identify(const struct ml_java_memory *memory, const struct ml_java *java,
			     uint64_t address, struct ml_java_method_identity *out)
{
	struct ml_java_method_identity found = {0};
	uint64_t name_index, code_size;

	if (!ml_java_read_field(memory, java, address, ML_JAVA_FIELD_METHOD_CONST,
				&found.const_method) ||
	    !ml_java_read_field(memory, java, found.const_method, ML_JAVA_FIELD_CONST_CONSTANTS,
				&found.constants) ||
	    !ml_java_read_field(memory, java, found.const_method, ML_JAVA_FIELD_CONST_NAME,
				&name_index) ||
	    !ml_java_read_field(memory, java, found.const_method, ML_JAVA_FIELD_CONST_CODE_SIZE,
				&code_size) ||
	    !found.constants)
		return false;
	found.name_index = (uint32_t)name_index;
	found.code_size = (uint32_t)code_size;
	*out = found;
	return true;
}

/* The text of the Symbol at @address, or NULL. Symbols are modified UTF-8 without a NUL. */
static char *read_symbol(const struct ml_java_memory *memory, const struct ml_java *java,
			 uint64_t address)
{
	const struct ml_java_field *fields = java->tables.fields;
	const struct ml_java_field *body =
		&fields[fields[ML_JAVA_FIELD_SYMBOL_BODY].size ? ML_JAVA_FIELD_SYMBOL_BODY
							       : ML_JAVA_FIELD_SYMBOL_BODY_OLD];
	uint64_t length;

	if (ml_java_read_field(memory, java, address, ML_JAVA_FIELD_SYMBOL_LENGTH_OLD, &length))
		length >>= 16;
	else if (!ml_java_read_field(memory, java, address, ML_JAVA_FIELD_SYMBOL_LENGTH, &length))
		return NULL;
	/* _length is a u2. */
	if (!length || length > UINT16_MAX || !body->size)
		return NULL;

	char *text = ml_alloc(length + 1);

	if (!memory->read(memory->context, address + body->value, text, length) ||
	    strlen(text) != length) {
		free(text);
		return NULL;
	}
	return text;
}

/* The symbol at @index of the constants at @pool, or NULL. */
static char *read_constant(const struct ml_java_memory *memory, const struct ml_java *java,
			   uint64_t pool, uint64_t index)
{
	uint64_t entries = pool + java->tables.type_sizes[ML_JAVA_TYPE_CONSTANT_POOL];
	uint64_t length, symbol;

	if (!index || !ml_java_read_field(memory, java, pool, ML_JAVA_FIELD_POOL_LENGTH, &length) ||
	    index >= length ||
	    !memory->read(memory->context, entries + index * sizeof(symbol), &symbol,
			  sizeof(symbol)))
		return NULL;
	return read_symbol(memory, java, symbol);
}

/* The class of the constants at @pool. */
static uint64_t class_of(const struct ml_java_memory *memory, const struct ml_java *java,
			 uint64_t pool)
{
	uint64_t class;

	return ml_java_read_field(memory, java, pool, ML_JAVA_FIELD_POOL_HOLDER, &class) ? class
											 : 0;
}

static char *read_class_name(const struct ml_java_memory *memory, const struct ml_java *java,
			     uint64_t class)
{
	uint64_t symbol;

	if (!class || !ml_java_read_field(memory, java, class, ML_JAVA_FIELD_CLASS_NAME, &symbol))
		return NULL;
	return read_symbol(memory, java, symbol);
}

/* "java/util/List" as the language writes it; "A$$Lambda+0x1", a hidden class, as Java prints it.
 */
static void write_class_name(struct ml_strbuf *out, const char *name)
{
	for (const char *c = name; *c; c++) {
		bool is_hidden = c[0] == '+' && c[1] == '0' && c[2] == 'x';

		ml_strbuf_putc(out, *c == '/' ? '.' : is_hidden ? '/' : *c);
	}
}

static char *read_name(const struct ml_java_memory *memory, const struct ml_java *java,
		       const struct ml_java_method_identity *identity)
{
	char *name = read_constant(memory, java, identity->constants, identity->name_index);
	char *class = read_class_name(memory, java, class_of(memory, java, identity->constants));
	struct ml_strbuf symbol = {0};

	if (name && class) {
		write_class_name(&symbol, class);
		ml_strbuf_putc(&symbol, '.');
	}
	if (name)
		ml_strbuf_puts(&symbol, name);
	free(class);
	if (!name)
		return NULL;
	free(name);
	return ml_strbuf_take(&symbol);
}

static char *read_file(const struct ml_java_memory *memory, const struct ml_java *java,
		       uint64_t pool)
{
	uint64_t index, class;

	if (ml_java_read_field(memory, java, pool, ML_JAVA_FIELD_POOL_FILE, &index))
		return read_constant(memory, java, pool, index);
	class = class_of(memory, java, pool);
	if (class && ml_java_read_field(memory, java, class, ML_JAVA_FIELD_CLASS_FILE, &index))
		return read_constant(memory, java, pool, index);
	return NULL;
}

/* The line table lies behind the bytecode; where it ends only its contents tell. */
static void read_lines(const struct ml_java_memory *memory, const struct ml_java *java,
		       struct ml_java_method *method)
{
	uint64_t const_method = method->identity.const_method, flags, words;
	uint64_t before =
		java->tables.type_sizes[ML_JAVA_TYPE_CONST_METHOD] + method->identity.code_size;

	if ((!ml_java_read_field(memory, java, const_method, ML_JAVA_FIELD_CONST_FLAGS_NEW,
				 &flags) &&
	     !ml_java_read_field(memory, java, const_method, ML_JAVA_FIELD_CONST_FLAGS, &flags)) ||
	    !(flags & HAS_LINES) ||
	    !ml_java_read_field(memory, java, const_method, ML_JAVA_FIELD_CONST_SIZE, &words) ||
	    words * 8 <= before)
		return;

	size_t size = words * 8 - before;

	if (size > LINES_LIMIT)
		size = LINES_LIMIT;
	method->lines = ml_alloc(size);
	if (memory->read(memory->context, const_method + before, method->lines, size))
		method->lines_size = size;
}

void ml_java_method_read(const struct ml_java_memory *memory, const struct ml_java *java,
			 const struct ml_java_method_identity *identity, struct ml_java_method *out)
{
	*out = (struct ml_java_method){.identity = *identity};
	out->symbol = read_name(memory, java, identity);
	out->file = read_file(memory, java, identity->constants);
	read_lines(memory, java, out);
}

void ml_java_method_deinit(struct ml_java_method *method)
{
	free(method->symbol);
	free(method->file);
	free(method->lines);
}

int ml_java_method_line(const struct ml_java_method *method, uint32_t version, uint32_t bci)
{
	struct ml_cursor cursor = {.at = method->lines};
	uint32_t at = 0, line = 0, best_at = 0, best = 0;

	if (!method->lines_size || bci >= method->identity.code_size)
		return 0;
	cursor.end = method->lines + method->lines_size;
	/* compressedStream.hpp: a byte has both steps (5 bits of bytecode, 3 of lines), 0 ends the
	 * table, 255 is followed by the steps as numbers. Not sorted by bytecode. */
	for (;;) {
		uint8_t steps = ml_cursor_u8(&cursor);

		if (!steps || cursor.failed)
			break;
		if (steps == 255) {
			at += (uint32_t)ml_java_stream_signed(&cursor, version);
			line += (uint32_t)ml_java_stream_signed(&cursor, version);
		} else {
			at += steps >> 3;
			line += steps & 7;
		}
		if (!cursor.failed && at <= bci && at >= best_at) {
			best_at = at;
			best = line;
		}
	}
	return best <= UINT16_MAX ? (int)best : 0;
}
