/* SPDX-License-Identifier: BSD-2-Clause */
#include "unwind/walk.h"

static int word_read(void *memory, uint64_t address, uint64_t *word)
{
	const struct ml_walk_memory *source = memory;

	return source->read(source->context, address, word);
}

#define ML_UNWIND_READ(memory, address, out) word_read(memory, address, out)
#include "shared/unwind_step.h"

/** The row in effect at run-time address @p ip; kind ML_CFA_NONE when there is none. */
static struct ml_unwind_row row_at(const struct ml_walk_module *modules, size_t count, uint64_t ip)
{
	for (size_t i = 0; i < count; i++) {
		const struct ml_walk_module *module = &modules[i];
		uint64_t pc;

		if (ip < module->start || ip >= module->end || !module->rows)
			continue;
		pc = ip - module->bias - module->rows->base;
		if (pc <= UINT32_MAX)
			return ml_unwind_rows_find(module->rows, (uint32_t)pc);
	}
	return (struct ml_unwind_row){0};
}

size_t ml_walk(const struct ml_walk_module *modules, size_t module_count,
	       const struct ml_walk_memory *memory, const struct ml_walk_start *start,
	       uint64_t *frames, size_t limit, enum ml_walk_end *end)
{
	struct ml_unwind_regs regs = {
		.ip = start->ip,
		.sp = start->sp,
		.bp = start->bp,
		.bx = start->bx,
		.is_call = start->is_call,
	};
	size_t count = 0;

	*end = ML_WALK_DEPTH;
	while (count < limit) {
		struct ml_unwind_row row = row_at(modules, module_count, regs.ip - regs.is_call);

		frames[count++] = regs.ip;
		*end = ml_unwind_by_row(row, &regs, (void *)memory);
		if (*end != ML_WALK_MORE)
			return count;
		*end = ML_WALK_DEPTH;
	}
	return count;
}
