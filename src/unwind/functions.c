/* SPDX-License-Identifier: BSD-2-Clause */
#include "unwind/functions.h"

static bool covered(const struct ml_functions *functions, uint32_t pc)
{
	const struct ml_function *list = functions->list.items;
	size_t low = ml_sorted_up_to(list, functions->sorted_count, pc, pc);

	return low && pc < list[low - 1].end;
}

/** Reads every CIE of the section; *@p by_offset gets offset → index of those that are fine. */
static void cies_read(struct ml_functions *functions, const struct ml_cfi_section *section,
		      struct ml_u64map *by_offset)
{
	struct ml_cfi_record record;
	uint64_t offset = 0;

	while (ml_cfi_record_next(section, &offset, &record)) {
		struct ml_function_cie entry = {.section = section};
		struct ml_frame_program program = {.section = section, .cie = &entry.cie};

		if (record.kind != ML_CFI_CIE)
			continue;
		if (!ml_cfi_cie_parse(section, &record, &entry.cie)) {
			functions->damaged_count++;
			continue;
		}
		program.instructions = entry.cie.instructions;
		if (!ml_frame_run(&program, &entry.initial)) {
			functions->damaged_count++;
			continue;
		}
		*ml_u64map_put(by_offset, record.offset, NULL) = functions->cies.count;
		*ml_array_push(&functions->cies) = entry;
	}
	if (offset < section->size)
		functions->damaged_count++;
}

void ml_functions_add_section(struct ml_functions *functions, const struct ml_text *text,
			      const struct ml_cfi_section *section)
{
	struct ml_u64map by_offset = {0};
	struct ml_cfi_record record;
	uint64_t offset = 0;

	if (section->size > UINT32_MAX) {
		functions->damaged_count++;
		return;
	}
	cies_read(functions, section, &by_offset);
	while (ml_cfi_record_next(section, &offset, &record)) {
		struct ml_function function = {.record = (uint32_t)record.offset};
		struct ml_cfi_fde fde;
		uint64_t *index;

		if (record.kind != ML_CFI_FDE)
			continue;
		index = ml_u64map_get(&by_offset, record.cie_offset);
		if (!index ||
		    !ml_cfi_fde_parse(section, &record, &functions->cies.items[*index].cie, &fde)) {
			functions->damaged_count++;
			continue;
		}
		function.cie = (uint32_t)*index;
		if (ml_text_clip(text, fde.start, fde.size, &function.pc, &function.end) &&
		    !covered(functions, function.pc))
			*ml_array_push(&functions->list) = function;
	}
	ml_u64map_free(&by_offset);
}

void ml_functions_replace_row(struct ml_functions *functions, const struct ml_text *text,
			      uint64_t start, uint64_t size, struct ml_unwind_row row)
{
	struct ml_function function = {.cie = ML_FUNCTION_ROW};

	function.record = (uint16_t)row.cfa_words | (uint32_t)row.rules << 16 |
			  (uint32_t)(uint8_t)row.rbp_words << 24;
	if (ml_text_clip(text, start, size, &function.pc, &function.end))
		*ml_array_push(&functions->list) = function;
}

void ml_functions_add_row(struct ml_functions *functions, const struct ml_text *text,
			  uint64_t start, uint64_t size, struct ml_unwind_row row)
{
	if (!ml_functions_cover(functions, text, start))
		ml_functions_replace_row(functions, text, start, size, row);
}

struct ml_unwind_row ml_function_row(const struct ml_function *function)
{
	return (struct ml_unwind_row){
		.pc = function->pc,
		.cfa_words = (int16_t)(function->record & 0xffff),
		.rules = (uint8_t)(function->record >> 16),
		.rbp_words = (int8_t)(function->record >> 24),
	};
}

static int function_compare(const void *left, const void *right)
{
	const struct ml_function *a = left, *b = right;

	if (a->pc != b->pc)
		return a->pc < b->pc ? -1 : 1;
	return a->record < b->record ? -1 : a->record > b->record;
}

void ml_functions_sort(struct ml_functions *functions)
{
	struct ml_function *list = functions->list.items;
	size_t kept = 0;

	if (!functions->list.count)
		return;
	qsort(list, functions->list.count, sizeof(*list), function_compare);
	for (size_t i = 1; i < functions->list.count; i++) {
		if (list[i].pc == list[kept].pc)
			continue;
		if (list[kept].end > list[i].pc)
			list[kept].end = list[i].pc;
		list[++kept] = list[i];
	}
	functions->list.count = functions->sorted_count = kept + 1;
}

bool ml_functions_cover(const struct ml_functions *functions, const struct ml_text *text,
			uint64_t address)
{
	uint32_t pc, end;

	return ml_text_clip(text, address, 1, &pc, &end) && covered(functions, pc);
}

void ml_functions_deinit(struct ml_functions *functions)
{
	ml_array_free(&functions->list);
	ml_array_free(&functions->cies);
}
