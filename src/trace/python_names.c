/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/python_names.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "base/u64map.h"
#include "symbols/python_line.h"

#include <string.h>

/* A code object that was there so short a time ago is not looked at again. A program that begins
 * has thousands of stacks with the same functions in them. */
#define CHECKED_NS 5000000U

/* What is believed of a target's objects. */
#define CODE_LIMIT       65536 /* code objects */
#define TEXT_LIMIT       4096U /* characters of a name */
#define LINE_TABLE_LIMIT (1U << 20)
#define CODE_BYTES       256 /* of a code object's head: all members we look at are within */

/* PyObject and its kin (Include/object.h, cpython/bytesobject.h, cpython/unicodeobject.h). */
#define OBJECT_TYPE            8
#define BYTES_SIZE             16
#define BYTES_CONTENT          32
#define TEXT_LENGTH            16
#define TEXT_STATE             32
#define TEXT_KIND(state)       ((state) >> 2 & 7) /* bytes of a character: 1, 2 or 4 */
#define TEXT_IS_COMPACT(state) ((state) >> 5 & 1)
#define TEXT_IS_ASCII(state)   ((state) >> 6 & 1)

/* What tells one code object from a later one at its address. */
struct code_identity {
	uint64_t name, file, line_table;
	int32_t first_line;
};

struct code {
	struct code_identity identity;
	uint64_t checked_ns; /* when it was seen to be there */
	char *name, *file;   /* owned */
	uint8_t *line_table;
	size_t line_table_size;
	struct ml_u64map lines; /* line → struct ml_frame_name *, owned */
};

struct ml_python_names {
	struct ml_u64map by_address; /* newest code object there: struct code * */
	ML_ARRAY(struct code *) codes;
};

struct ml_python_names *ml_python_names_create(void)
{
	return ml_alloc(sizeof(struct ml_python_names));
}

static void free_code(struct code *code)
{
	uint64_t line, name;

	for (size_t cursor = 0; ml_u64map_next(&code->lines, &cursor, &line, &name);)
		free((void *)(uintptr_t)name);
	ml_u64map_free(&code->lines);
	free(code->name);
	free(code->file);
	free(code->line_table);
	free(code);
}

void ml_python_names_destroy(struct ml_python_names *names)
{
	if (!names)
		return;
	ml_array_each (code, &names->codes)
		free_code(*code);
	ml_array_free(&names->codes);
	ml_u64map_free(&names->by_address);
	free(names);
}

/* ---- objects of the target ------------------------------------------------------------------- */

static void add_character(struct ml_strbuf *text, uint32_t character)
{
	if (character < 0x80) {
		ml_strbuf_putc(text, (char)character);
	} else if (character < 0x800) {
		ml_strbuf_putc(text, (char)(0xc0 | character >> 6));
		ml_strbuf_putc(text, (char)(0x80 | (character & 63)));
	} else if (character < 0x10000) {
		ml_strbuf_putc(text, (char)(0xe0 | character >> 12));
		ml_strbuf_putc(text, (char)(0x80 | (character >> 6 & 63)));
		ml_strbuf_putc(text, (char)(0x80 | (character & 63)));
	} else {
		ml_strbuf_putc(text, (char)(0xf0 | (character >> 18 & 7)));
		ml_strbuf_putc(text, (char)(0x80 | (character >> 12 & 63)));
		ml_strbuf_putc(text, (char)(0x80 | (character >> 6 & 63)));
		ml_strbuf_putc(text, (char)(0x80 | (character & 63)));
	}
}

/* The str at @address in UTF-8 (free() it), or NULL. */
static char *read_text(const struct ml_process *process, const struct ml_python_code_layout *layout,
		       uint64_t address)
{
	uint8_t head[TEXT_STATE + 4], content[TEXT_LIMIT * 4];
	uint64_t length;
	uint32_t state;

	if (!ml_process_read(process, address, head, sizeof(head)))
		return NULL;
	memcpy(&length, head + TEXT_LENGTH, sizeof(length));
	memcpy(&state, head + TEXT_STATE, sizeof(state));

	uint32_t width = TEXT_KIND(state);
	uint64_t start = address + (TEXT_IS_ASCII(state) ? layout->text : layout->wide_text);

	if (!TEXT_IS_COMPACT(state) || (width != 1 && width != 2 && width != 4) || !length ||
	    length > TEXT_LIMIT || !ml_process_read(process, start, content, length * width))
		return NULL;

	struct ml_strbuf text = {0};

	for (size_t i = 0; i < length; i++) {
		uint32_t character = 0;

		memcpy(&character, content + i * width, width);
		if (!character || character > 0x10ffff)
			break;
		add_character(&text, character);
	}
	return ml_strbuf_take(&text);
}

static void read_line_table(const struct ml_process *process, struct code *code)
{
	uint64_t size, address = code->identity.line_table;

	if (!ml_process_read(process, address + BYTES_SIZE, &size, sizeof(size)) || !size ||
	    size > LINE_TABLE_LIMIT)
		return;
	code->line_table = ml_alloc(size);
	if (ml_process_read(process, address + BYTES_CONTENT, code->line_table, size))
		code->line_table_size = size;
}

/* False when there is no code object at @address. */
static bool read_identity(const struct ml_process *process, const struct ml_python *python,
			  uint64_t address, struct code_identity *out)
{
	const struct ml_python_code_layout *layout = &python->code;
	uint8_t head[CODE_BYTES];
	uint64_t type;

	if (layout->first_line > CODE_BYTES - 8 || layout->file > CODE_BYTES - 8 ||
	    layout->qualified_name > CODE_BYTES - 8 || layout->line_table > CODE_BYTES - 8 ||
	    !ml_process_read(process, address, head,
			     layout->bytecode < CODE_BYTES ? layout->bytecode : CODE_BYTES))
		return false;
	memset(out, 0, sizeof(*out));
	memcpy(&type, head + OBJECT_TYPE, sizeof(type));
	memcpy(&out->name, head + layout->qualified_name, sizeof(out->name));
	memcpy(&out->file, head + layout->file, sizeof(out->file));
	memcpy(&out->line_table, head + layout->line_table, sizeof(out->line_table));
	memcpy(&out->first_line, head + layout->first_line, sizeof(out->first_line));
	return type == python->code_type;
}

/* ---- names ----------------------------------------------------------------------------------- */

static struct code *code_at(struct ml_python_names *names, const struct ml_python *python,
			    const struct ml_process *process, uint64_t address)
{
	const uint64_t *known = ml_u64map_get(&names->by_address, address);
	struct code *code = known ? (struct code *)(uintptr_t)*known : NULL;
	uint64_t now_ns = ml_clock_ns(CLOCK_MONOTONIC_COARSE);
	struct code_identity identity;

	if (code && now_ns - code->checked_ns < CHECKED_NS)
		return code;
	if (!read_identity(process, python, address, &identity))
		return NULL;
	if (code && !memcmp(&code->identity, &identity, sizeof(identity))) {
		code->checked_ns = now_ns;
		return code;
	}
	if (names->codes.count == CODE_LIMIT)
		return NULL;
	code = ml_alloc(sizeof(*code));
	code->identity = identity;
	code->checked_ns = now_ns;
	code->name = read_text(process, &python->code, identity.name);
	code->file = read_text(process, &python->code, identity.file);
	read_line_table(process, code);
	*ml_array_push(&names->codes) = code;
	*ml_u64map_put(&names->by_address, address, NULL) = (uint64_t)(uintptr_t)code;
	return code;
}

const struct ml_frame_name *ml_python_names_get(struct ml_python_names *names,
						const struct ml_python *python,
						const struct ml_process *process,
						const struct ml_python_frame *frame)
{
	uint64_t address = frame->code & ~ML_PYTHON_LOOP_BEGINS;
	struct code *code = code_at(names, python, process, address);
	uint64_t bytecode = address + python->code.bytecode;
	bool is_new;

	if (!code)
		return NULL;

	/* A function that has not begun: its instruction is the one before the first. */
	uint64_t offset = frame->instruction >= bytecode ? frame->instruction - bytecode : 0;
	int line = ml_python_line(code->line_table, code->line_table_size,
				  code->identity.first_line, offset);
	uint64_t *known = ml_u64map_put(&code->lines, (uint64_t)line, &is_new);

	if (is_new) {
		struct ml_frame_name *name = ml_alloc(sizeof(*name));

		*name = (struct ml_frame_name){
			.symbol = code->name, .file = code->file, .line = line};
		*known = (uint64_t)(uintptr_t)name;
	}
	return (const struct ml_frame_name *)(uintptr_t)*known;
}
