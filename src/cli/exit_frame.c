/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/exit_frame.h"

#include "elf/module.h"
#include "unwind/rows.h"

#include <string.h>

static int read_word(const void *process, uint64_t address, uint64_t *word)
{
	return ml_process_read(process, address, word, sizeof(*word)) ? 0 : 1;
}

#define ML_UNWIND_READ(memory, address, out) read_word(memory, address, out)
#include "shared/unwind_step.h"

/* glibc: abort(), raise(), pthread_kill(), __pthread_kill_implementation(); exit() has fewer. */
#define FRAMES 6
/* rbx, rbp and r12 to r15: what a function saves of its caller's. */
#define KEPT 6

/* The C library of the thread, or the static program that has it within. */
struct library {
	const struct ml_process *process;
	struct ml_module *module;
	struct ml_unwind_rows rows;
	uint64_t start, end, bias;
};

static struct ml_error *open_library(struct library *library, uint64_t ip)
{
	struct ml_maps maps = {0};
	struct ml_error *error = ml_process_maps(library->process, &maps);
	const struct ml_mapping *mapping = error ? NULL : ml_maps_find(&maps, ip);
	uint64_t address;
	int fd = -1;

	if (!error && !mapping)
		error = ml_error_new(ML_ERROR_TARGET, "no code at its end");
	if (!error)
		error = ml_process_open_mapping(library->process, mapping, &fd);
	if (!error)
		error = ml_module_open(fd, mapping->path, &library->module);
	if (!error && !ml_module_address_of_offset(library->module,
						   ip - mapping->start + mapping->offset, &address))
		error = ml_error_new(ML_ERROR_FORMAT, "its file has no such code");
	if (!error) {
		library->start = mapping->start;
		library->end = mapping->end;
		library->bias = ip - address;
		error = ml_unwind_rows_build(library->module, &library->rows);
	}
	ml_maps_deinit(&maps);
	return error;
}

static void close_library(struct library *library)
{
	ml_unwind_rows_deinit(&library->rows);
	ml_module_unref(library->module);
}

static bool is_exit(const struct library *library, uint64_t ip)
{
	static const char *const names[] = {"exit", "quick_exit", "abort"};
	struct ml_symbol symbol;

	if (!ml_module_symbol_at(library->module, ip - library->bias, &symbol))
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(symbol.name, names[i]))
			return true;
	return false;
}

static void add(struct ml_reach_roots *roots, uint64_t word)
{
	if (roots->register_count < sizeof(roots->registers) / sizeof(roots->registers[0]))
		roots->registers[roots->register_count++] = word;
}

/* What the frame between @sp and @cfa has saved: compilers push rbx and rbp behind the others, so
 * that these lie between the lower of them and the return address. */
static void add_saved(struct ml_reach_roots *roots, const struct library *library,
		      struct ml_unwind_row row, uint64_t sp, uint64_t cfa)
{
	int64_t words = ML_ROW_RBX(row.rules) == ML_RBX_CFA ? -2 : row.rbp_words;
	uint64_t low = cfa, rbx = ml_unwind_rbx(row, cfa, cfa), word;

	if (ML_ROW_RBP(row.rules) == ML_RBP_CFA)
		low = cfa + (uint64_t)(words * 8);
	if (ML_ROW_RBX(row.rules) != ML_RBX_LOST && rbx < low)
		low = rbx;
	if (low < sp || low + 8ull * (KEPT + 1) < cfa)
		return;
	for (uint64_t at = low; at < cfa - 8; at += 8)
		if (!read_word(library->process, at, &word))
			add(roots, word);
}

/* Goes out to exit()'s caller; false when the thread did not come by exit(). */
static bool walk_out(const struct library *library, struct ml_unwind_regs *regs,
		     struct ml_reach_roots *roots)
{
	for (int i = 0; i < FRAMES; i++) {
		uint64_t ip = regs->ip - regs->is_call, sp = regs->sp;
		struct ml_unwind_row row;

		if (ip < library->start || ip >= library->end)
			return false;
		row = ml_unwind_rows_find(&library->rows,
					  (uint32_t)(ip - library->bias - library->rows.base));
		if (ml_unwind_by_row(row, regs, (void *)library->process) != ML_WALK_MORE)
			return false;
		add_saved(roots, library, row, sp, regs->sp);
		if (is_exit(library, ip))
			return true;
	}
	return false;
}

static void take_all(const struct user_regs_struct *registers, struct ml_reach_roots *roots)
{
	_Static_assert(sizeof(*registers) <= sizeof(roots->registers), "room for all of them");
	memcpy(roots->registers, registers, sizeof(*registers));
	roots->register_count = sizeof(*registers) / sizeof(roots->registers[0]);
	roots->stack_pointer = registers->rsp;
}

void ml_exit_frame_roots(const struct ml_process *process, const struct user_regs_struct *registers,
			 struct ml_reach_roots *roots)
{
	struct library library = {.process = process};
	struct ml_unwind_regs regs = {.ip = registers->rip,
				      .sp = registers->rsp,
				      .bp = registers->rbp,
				      .bx = registers->rbx};
	const uint64_t kept[KEPT] = {registers->rbx, registers->rbp, registers->r12,
				     registers->r13, registers->r14, registers->r15};
	ML_ERROR_CLEANUP struct ml_error *error = open_library(&library, regs.ip);

	*roots = (struct ml_reach_roots){0};
	if (!error && walk_out(&library, &regs, roots)) {
		for (size_t i = 0; i < KEPT; i++)
			add(roots, kept[i]);
		roots->stack_pointer = regs.sp;
	} else {
		take_all(registers, roots);
	}
	roots->thread_pointer = registers->fs_base;
	close_library(&library);
}
