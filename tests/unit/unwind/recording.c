/* SPDX-License-Identifier: BSD-2-Clause */
#include "recording.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct recording_module *module_of(struct recording *recording,
					  const struct ml_walk_module *module)
{
	for (size_t i = 0; i < recording->module_count; i++) {
		if (recording->modules[i].start == module->start)
			return &recording->modules[i];
	}
	if (recording->module_count == RECORDING_MODULES)
		return NULL;

	struct recording_module *fresh = &recording->modules[recording->module_count++];

	fresh->start = module->start;
	fresh->end = module->end;
	fresh->bias = module->bias;
	fresh->base = module->rows->base;
	return fresh;
}

/** Puts @p row in its place; once. */
static void row_add(struct recording_module *module, struct ml_unwind_row row)
{
	size_t at = module->rows.count;

	ml_array_each (known, &module->rows)
		if (known->pc == row.pc)
			return;
	*ml_array_push(&module->rows) = row;
	for (; at && module->rows.items[at - 1].pc > row.pc; at--)
		module->rows.items[at] = module->rows.items[at - 1];
	module->rows.items[at] = row;
}

static void lookup_add(struct recording *recording, const struct ml_walk_module *modules,
		       size_t count, uint64_t ip)
{
	for (size_t i = 0; i < count; i++) {
		const struct ml_walk_module *module = &modules[i];
		struct recording_module *kept;

		if (ip < module->start || ip >= module->end || !module->rows)
			continue;
		kept = module_of(recording, module);
		if (kept)
			row_add(kept,
				ml_unwind_rows_find(module->rows, (uint32_t)(ip - module->bias -
									     module->rows->base)));
		return;
	}
}

void recording_add_walk(struct recording *recording, const struct ml_walk_module *modules,
			size_t module_count, const uint64_t *frames, size_t frame_count,
			enum ml_walk_end end)
{
	recording->frame_count = frame_count;
	recording->end = end;
	for (size_t i = 0; i < frame_count; i++) {
		recording->frames[i] = frames[i];
		/* Interrupted or called: both lookups are kept. */
		lookup_add(recording, modules, module_count, frames[i]);
		lookup_add(recording, modules, module_count, frames[i] - 1);
	}
}

uint32_t recording_rules(const struct recording *recording)
{
	uint32_t rules = 0;

	for (size_t i = 0; i < recording->module_count; i++)
		ml_array_each (row, &recording->modules[i].rows)
			rules |= 1u << ML_ROW_CFA(row->rules);
	return rules;
}

bool recording_write(const struct recording *recording, const char *path)
{
	const struct ml_walk_start *start = &recording->start;
	FILE *file = fopen(path, "w");

	if (!file)
		return false;
	fprintf(file, "stack %s\n", recording->name);
	fprintf(file, "registers %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 "\n", start->ip,
		start->sp, start->bp, start->bx);
	for (size_t i = 0; i < recording->module_count; i++) {
		const struct recording_module *module = &recording->modules[i];

		fprintf(file, "module %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 "\n",
			module->start, module->end, module->bias, module->base);
		ml_array_each (row, &module->rows)
			fprintf(file, "row %x %d %x %d\n", row->pc, row->cfa_words, row->rules,
				row->rbp_words);
	}
	ml_array_each (word, &recording->words)
		fprintf(file, "word %" PRIx64 " %" PRIx64 "\n", word->address, word->value);
	for (size_t i = 0; i < recording->frame_count; i++)
		fprintf(file, "frame %" PRIx64 "\n", recording->frames[i]);
	fprintf(file, "end %d\n", recording->end);
	return !fclose(file);
}

static bool line_read(struct recording *recording, const char *line)
{
	struct ml_walk_start *start = &recording->start;
	struct recording_module *module = &recording->modules[recording->module_count];
	uint64_t frame;
	struct recording_word word;
	unsigned int pc, rules, end;
	int cfa, rbp;

	if (sscanf(line, "stack %63[^\n]", recording->name) == 1 ||
	    sscanf(line, "registers %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64, &start->ip,
		   &start->sp, &start->bp, &start->bx) == 4)
		return true;
	if (recording->module_count < RECORDING_MODULES &&
	    sscanf(line, "module %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64, &module->start,
		   &module->end, &module->bias, &module->base) == 4) {
		recording->module_count++;
		return true;
	}
	if (recording->module_count &&
	    sscanf(line, "row %x %d %x %d", &pc, &cfa, &rules, &rbp) == 4) {
		row_add(module - 1, (struct ml_unwind_row){.pc = pc,
							   .cfa_words = (int16_t)cfa,
							   .rules = (uint8_t)rules,
							   .rbp_words = (int8_t)rbp});
		return true;
	}
	if (sscanf(line, "word %" SCNx64 " %" SCNx64, &word.address, &word.value) == 2) {
		*ml_array_push(&recording->words) = word;
		return true;
	}
	if (recording->frame_count < RECORDING_FRAMES &&
	    sscanf(line, "frame %" SCNx64, &frame) == 1) {
		recording->frames[recording->frame_count++] = frame;
		return true;
	}
	if (sscanf(line, "end %u", &end) != 1)
		return false;
	recording->end = (enum ml_walk_end)end;
	return true;
}

bool recording_read(const char *path, struct recording *out)
{
	FILE *file = fopen(path, "r");
	char line[256];
	bool is_good = file;

	*out = (struct recording){0};
	while (is_good && fgets(line, sizeof(line), file))
		is_good = line_read(out, line);
	if (file)
		fclose(file);
	return is_good && out->frame_count && out->module_count;
}

static int word_read(void *context, uint64_t address, uint64_t *value)
{
	const struct recording *recording = context;

	ml_array_each (word, &recording->words) {
		if (word->address == address) {
			*value = word->value;
			return 0;
		}
	}
	return 1;
}

/** A table of the rows that were kept, with its index of pages. */
static struct ml_unwind_rows table_of(const struct recording_module *module)
{
	const struct ml_unwind_row *last = &module->rows.items[module->rows.count - 1];
	struct ml_unwind_rows rows = {
		.base = module->base, .rows = module->rows.items, .count = module->rows.count};
	uint32_t row = 0;

	rows.page_base = rows.rows[0].pc >> ML_UNWIND_PAGE_SHIFT;
	rows.page_count = (last->pc >> ML_UNWIND_PAGE_SHIFT) - rows.page_base + 1;
	rows.pages = ml_alloc((rows.page_count + 1) * sizeof(*rows.pages));
	for (uint32_t i = 0; i <= rows.page_count; i++) {
		while (row < rows.count && rows.rows[row].pc < (rows.page_base + i)
								       << ML_UNWIND_PAGE_SHIFT)
			row++;
		rows.pages[i] = row;
	}
	return rows;
}

size_t recording_walk(const struct recording *recording, uint64_t *frames, size_t limit,
		      enum ml_walk_end *end)
{
	struct ml_walk_module modules[RECORDING_MODULES];
	struct ml_unwind_rows tables[RECORDING_MODULES];
	const struct ml_walk_memory memory = {.read = word_read, .context = (void *)recording};
	size_t count;

	for (size_t i = 0; i < recording->module_count; i++) {
		const struct recording_module *module = &recording->modules[i];

		tables[i] = table_of(module);
		modules[i] = (struct ml_walk_module){.start = module->start,
						     .end = module->end,
						     .bias = module->bias,
						     .rows = &tables[i]};
	}
	count = ml_walk(modules, recording->module_count, &memory, &recording->start, frames, limit,
			end);
	for (size_t i = 0; i < recording->module_count; i++)
		free(tables[i].pages);
	return count;
}

void recording_deinit(struct recording *recording)
{
	ml_array_free(&recording->words);
	for (size_t i = 0; i < recording->module_count; i++)
		ml_array_free(&recording->modules[i].rows);
}
