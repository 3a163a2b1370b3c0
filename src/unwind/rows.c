/* SPDX-License-Identifier: BSD-2-Clause */
#include "unwind/rows.h"

#include "base/file.h"
#include "unwind/derive.h"
#include "unwind/eh_frame.h"
#include "unwind/functions.h"
#include "unwind/outermost.h"

/* Functions are aligned to 16 bytes: a smaller gap is padding, which never runs. */
#define PADDING_LIMIT 16

/** Rows while they are being made. */
struct builder {
	const struct ml_text *text;
	size_t capacity;
	struct ml_unwind_rows out;
	uint32_t limit; /**< where the function being told ends */
};

static bool row_says_same(struct ml_unwind_row a, struct ml_unwind_row b)
{
	return a.cfa_words == b.cfa_words && a.rules == b.rules && a.rbp_words == b.rbp_words;
}

/** Adds @p row, whose pc is not below the last one's. A later row at the same pc replaces it. */
static void row_add(struct builder *builder, struct ml_unwind_row row)
{
	struct ml_unwind_rows *out = &builder->out;

	if (out->count && out->rows[out->count - 1].pc == row.pc)
		out->count--;
	if (out->count && row_says_same(out->rows[out->count - 1], row))
		return;
	out->rows = ml_grow(out->rows, &builder->capacity, out->count + 1, sizeof(*out->rows));
	out->rows[out->count++] = row;
}

static void frame_add(void *context, uint64_t pc, const struct ml_frame *frame)
{
	struct builder *builder = context;
	struct ml_unwind_row row = ml_frame_row(frame);

	row.pc = (uint32_t)(pc - builder->text->base);
	if (row.pc < builder->limit)
		row_add(builder, row);
}

static void function_add(struct builder *builder, const struct ml_functions *functions,
			 const struct ml_function *function)
{
	if (function->cie == ML_FUNCTION_ROW) {
		row_add(builder, ml_function_row(function));
		return;
	}

	const struct ml_function_cie *entry = &functions->cies.items[function->cie];
	struct ml_frame frame = entry->initial;
	struct ml_cfi_record record;
	struct ml_cfi_fde fde;
	uint64_t offset = function->record;

	if (!ml_cfi_record_next(entry->section, &offset, &record) ||
	    !ml_cfi_fde_parse(entry->section, &record, &entry->cie, &fde))
		return;

	struct ml_frame_program program = {
		.section = entry->section,
		.cie = &entry->cie,
		.instructions = fde.instructions,
		.initial = &entry->initial,
		.start = fde.start,
		.end = builder->text->base + function->end,
		.emit = frame_add,
		.context = builder,
	};

	builder->limit = function->end;
	ml_frame_run(&program, &frame);
}

static void functions_add(struct builder *builder, const struct ml_functions *functions)
{
	uint32_t end = 0;

	for (size_t i = 0; i < functions->list.count; i++) {
		const struct ml_function *function = &functions->list.items[i];

		if (end && function->pc - end >= PADDING_LIMIT)
			row_add(builder, (struct ml_unwind_row){.pc = end});
		function_add(builder, functions, function);
		end = function->end;
	}
	if (end)
		row_add(builder, (struct ml_unwind_row){.pc = end});
}

static void pages_index(struct ml_unwind_rows *rows)
{
	uint32_t last = rows->rows[rows->count - 1].pc >> ML_UNWIND_PAGE_SHIFT;
	size_t row = 0;

	rows->page_base = rows->rows[0].pc >> ML_UNWIND_PAGE_SHIFT;
	rows->page_count = last - rows->page_base + 1;
	rows->pages = ml_alloc((rows->page_count + 1) * sizeof(*rows->pages));
	for (uint32_t i = 0; i < rows->page_count; i++) {
		uint32_t start = (rows->page_base + i) << ML_UNWIND_PAGE_SHIFT;

		while (rows->rows[row].pc < start)
			row++;
		rows->pages[i] = (uint32_t)row;
	}
	rows->pages[rows->page_count] = (uint32_t)rows->count;
}

/** Gives back what growing took too much, counts, and makes the index. */
static void rows_finish(struct ml_unwind_rows *rows)
{
	struct ml_unwind_row *exact;

	if (!rows->count)
		return;
	exact = realloc(rows->rows, rows->count * sizeof(*rows->rows));
	if (exact)
		rows->rows = exact;
	for (size_t i = 0; i < rows->count; i++)
		rows->bad_count += ML_ROW_CFA(rows->rows[i].rules) == ML_CFA_BAD;
	pages_index(rows);
}

static bool section_find(struct ml_module *module, const char *name, struct ml_cfi_section *out)
{
	struct ml_section section;

	if (!ml_module_section(module, name, &section))
		return false;
	*out = (struct ml_cfi_section){
		.bytes = section.bytes,
		.size = section.size,
		.address = section.address,
		.is_eh = !strcmp(name, ".eh_frame"),
	};
	out->text = ml_text_section_address(module, ".text");
	out->data = ml_text_section_address(module, ".got.plt");
	if (!out->data)
		out->data = ml_text_section_address(module, ".got");
	return true;
}

/**
 * Whether so much of the code is without CFI that it was built without: it is read itself then. The
 * start-up files of a program without CFI may have some, and hand-written functions of others none.
 */
static bool lacks_cfi(const struct ml_functions *functions, const struct ml_text *text)
{
	uint64_t covered = 0, all = 0;

	if (!functions->list.count ||
	    (text->entry && !ml_functions_cover(functions, text, text->entry)))
		return true;
	ml_array_each (function, &functions->list)
		covered += function->end - function->pc;
	for (size_t i = 0; i < text->count; i++)
		all += text->segments[i].end - text->segments[i].start;
	return text->entry && covered < all / 2;
}

struct ml_error *ml_unwind_rows_build(struct ml_module *module, struct ml_unwind_rows *out)
{
	struct ml_functions functions = {0};
	struct ml_cfi_section eh_frame, debug_frame;
	ML_FREE_CLEANUP void *read_bytes = NULL;
	struct ml_error *error = NULL;
	struct ml_text text;
	struct builder builder = {.text = &text};

	ml_text_read(module, &text);
	if (section_find(module, ".eh_frame", &eh_frame)) {
		ml_functions_add_section(&functions, &text, &eh_frame);
		ml_functions_sort(&functions);
	} else if (ml_eh_frame_read(module, &eh_frame)) {
		read_bytes = (void *)eh_frame.bytes;
		ml_functions_add_section(&functions, &text, &eh_frame);
		ml_functions_sort(&functions);
	}
	/* Go and hand-written assembly have only this one, also next to .eh_frame of C code. */
	if (section_find(module, ".debug_frame", &debug_frame)) {
		ml_functions_add_section(&functions, &text, &debug_frame);
		ml_functions_sort(&functions);
	}
	if (!functions.list.count && functions.damaged_count)
		error = ml_error_new(ML_ERROR_FORMAT,
				     "%s: its unwind information (.eh_frame) is damaged; "
				     "stacks are followed by frame pointers there",
				     ml_module_path(module));
	if (!error) {
		bool is_derived = lacks_cfi(&functions, &text);

		ml_outermost_mark(module, &text, &functions);
		if (is_derived)
			ml_derive_functions(module, &text, &functions);
		builder.out.base = text.base;
		functions_add(&builder, &functions);
		rows_finish(&builder.out);
		*out = builder.out;
	}
	ml_functions_deinit(&functions);
	return error;
}

struct ml_unwind_row ml_unwind_rows_find(const struct ml_unwind_rows *rows, uint32_t pc)
{
	uint32_t page = pc >> ML_UNWIND_PAGE_SHIFT;
	size_t low, high;

	if (!rows->count || pc < rows->rows[0].pc)
		return (struct ml_unwind_row){0};
	page -= rows->page_base;
	low = page < rows->page_count ? rows->pages[page] : rows->count;
	high = page < rows->page_count ? rows->pages[page + 1] : rows->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (rows->rows[middle].pc <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	return rows->rows[low - 1];
}

void ml_unwind_rows_deinit(struct ml_unwind_rows *rows)
{
	free(rows->rows);
	free(rows->pages);
	*rows = (struct ml_unwind_rows){0};
}
