/* SPDX-License-Identifier: BSD-2-Clause */
/** Rows of the machine's own libraries against elfutils' reading of the same CFI. */
#include "base/array.h"
#include "unwind/rows.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define RBX 3
#define RBP 6
#define RSP 7
#define RIP 16

static bool is_register(const Dwarf_Op *op, uint64_t *reg, int64_t *offset)
{
	if (op->atom == DW_OP_bregx) {
		*reg = op->number;
		*offset = (int64_t)op->number2;
		return true;
	}
	*reg = op->atom - DW_OP_breg0;
	*offset = (int64_t)op->number;
	return op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31;
}

/** The CFA rule libdw tells, as the low half of a row. */
static struct ml_unwind_row cfa_expected(const Dwarf_Op *ops, size_t count)
{
	struct ml_unwind_row row = {.rules = ML_CFA_BAD};
	uint64_t reg;
	int64_t offset, addend;

	if (!count || !is_register(&ops[0], &reg, &offset) ||
	    (reg != RSP && reg != RBP && reg != RBX))
		return row;
	if (count == 1 && offset % 8 == 0 && offset / 8 == (int16_t)(offset / 8)) {
		row.rules = reg == RSP ? ML_CFA_RSP : reg == RBP ? ML_CFA_RBP : ML_CFA_RBX;
		row.cfa_words = (int16_t)(offset / 8);
	} else if ((count == 2 || count == 3) && ops[1].atom == DW_OP_deref) {
		addend = count == 3 ? (int64_t)ops[2].number : 0;
		if (count == 3 && ops[2].atom != DW_OP_plus_uconst)
			return row;
		row.rules = reg == RSP ? ML_CFA_DEREF_RSP : ML_CFA_DEREF_RBP;
		row.cfa_words = ML_DEREF_WORDS(offset / 8, addend / 8);
	} else if (count == 9 && ops[8].atom == DW_OP_plus && ops[5].atom == DW_OP_ge) {
		row.rules = ML_CFA_PLT;
		row.cfa_words = (int16_t)(ops[4].atom - DW_OP_lit0);
	}
	return row;
}

/** Where libdw says that register @p reg of the caller is: at CFA + *@p offset? */
static bool saved_at_cfa(const Dwarf_Op *ops, size_t count, int64_t *offset)
{
	if (!count || ops[0].atom != DW_OP_call_frame_cfa)
		return false;
	*offset = 0;
	if (count >= 2 && ops[1].atom == DW_OP_plus_uconst)
		*offset = (int64_t)ops[1].number;
	return count == 1 || (count == 2 && ops[1].atom == DW_OP_plus_uconst);
}

/** How the caller's @p reg is found by libdw: ML_RBP_*, and the offset in words. */
static uint8_t saved_expected(Dwarf_Frame *frame, int reg, int *words)
{
	Dwarf_Op memory[3], *ops;
	size_t count;
	uint64_t base;
	int64_t offset = 0;
	uint8_t rule = ML_RBP_UNDEF;

	assert_int_equal(dwarf_frame_register(frame, reg, memory, &ops, &count), 0);
	if (!count && !ops)
		rule = ML_RBP_SAME;
	else if (saved_at_cfa(ops, count, &offset) && offset % 8 == 0 && offset >= -1024)
		rule = ML_RBP_CFA;
	else if (count == 1 && is_register(&ops[0], &base, &offset) && base == RBP)
		rule = ML_RBP_RBP;
	*words = rule == ML_RBP_CFA || rule == ML_RBP_RBP ? (int)(offset / 8) : 0;
	return rule;
}

/** The same of @p row. */
static uint8_t saved_told(struct ml_unwind_row row, int reg, int *words)
{
	uint32_t rbp = ML_ROW_RBP(row.rules), rbx = ML_ROW_RBX(row.rules);

	*words = 0;
	if (reg == RBP && (rbp == ML_RBP_CFA || rbp == ML_RBP_RBP))
		*words = rbx == ML_RBX_CFA ? -2 : row.rbp_words;
	if (reg == RBP)
		return (uint8_t)rbp;
	if (rbx == ML_RBX_SAME)
		return ML_RBP_SAME;
	if (rbx == ML_RBX_LOST)
		return ML_RBP_UNDEF;
	*words = row.rbp_words - (rbx == ML_RBX_BELOW_RBP);
	return ML_RBP_CFA;
}

/** How the row should say that the CFA is found, by libdw. */
static struct ml_unwind_row row_expected(Dwarf_Frame *frame)
{
	Dwarf_Op memory[3], *ops, *ra;
	size_t count, ra_count;
	int64_t offset;
	struct ml_unwind_row row;

	assert_int_equal(dwarf_frame_register(frame, RIP, memory, &ra, &ra_count), 0);
	if (!ra_count && ra)
		return (struct ml_unwind_row){.rules = ML_CFA_END};

	bool is_plain = saved_at_cfa(ra, ra_count, &offset) && offset == -8;

	assert_int_equal(dwarf_frame_cfa(frame, &ops, &count), 0);
	row = cfa_expected(ops, count);
	if (!is_plain) {
		row.rules = row.cfa_words == ML_SIGNAL_RSP / 8 ? ML_CFA_SIGNAL : ML_CFA_BAD;
		row.cfa_words = 0;
	}
	return row;
}

/** Rows may say that rbx is lost where there is no room for its place. */
static void saved_compare(Dwarf_Frame *frame, struct ml_unwind_row row, uint64_t pc)
{
	static const int regs[] = {RBP, RBX};

	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		int words, expected_words;
		uint8_t rule = saved_told(row, regs[i], &words);
		uint8_t expected = saved_expected(frame, regs[i], &expected_words);

		if (regs[i] == RBX && rule == ML_RBP_UNDEF)
			continue;
		/* elfutils' x86_64_cfi.c calls register 0, not 3, rbx when it says what is kept */
		if (regs[i] == RBX && rule == ML_RBP_SAME && expected == ML_RBP_UNDEF)
			continue;
		if (rule != expected || words != expected_words) {
			print_message("pc %#lx: register %d: %d at %d, libdw: %d at %d\n",
				      (unsigned long)pc, regs[i], rule, words, expected,
				      expected_words);
			fail();
		}
	}
}

/** Compares one pc; false where libdw knows nothing. */
static bool compare(Dwarf_CFI *cfi, const struct ml_unwind_rows *rows, uint32_t pc)
{
	struct ml_unwind_row row = ml_unwind_rows_find(rows, pc), expected;
	Dwarf_Frame *frame;

	if (dwarf_cfi_addrframe(cfi, rows->base + pc, &frame))
		return false;
	expected = row_expected(frame);
	if (ML_ROW_CFA(row.rules) != expected.rules || row.cfa_words != expected.cfa_words) {
		print_message("pc %#lx: rules %#x cfa %d, libdw: %#x %d\n",
			      (unsigned long)rows->base + pc, row.rules, row.cfa_words,
			      expected.rules, expected.cfa_words);
		fail();
	}
	if (expected.rules != ML_CFA_BAD && expected.rules != ML_CFA_SIGNAL &&
	    expected.rules != ML_CFA_END)
		saved_compare(frame, row, rows->base + pc);
	free(frame);
	return true;
}

static void test_library(void **state)
{
	const char *path = *state;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct ml_unwind_rows rows;
	struct ml_module *module;
	size_t compared = 0, unknown = 0;

	if (fd < 0)
		skip();
	assert_null(ml_module_open(fd, path, &module));
	assert_null(ml_unwind_rows_build(module, &rows));

	Dwarf_CFI *cfi = dwarf_getcfi_elf(ml_module_elf(module));

	assert_non_null(cfi);
	for (size_t i = 0; i + 1 < rows.count; i++) {
		uint32_t last = rows.rows[i + 1].pc - 1;

		if (ML_ROW_CFA(rows.rows[i].rules) == ML_CFA_NONE)
			continue;
		compared += compare(cfi, &rows, rows.rows[i].pc);
		if (!compare(cfi, &rows, last))
			unknown++; /* padding */
	}
	print_message("# %s: %zu rows of %zu, %zu end in padding\n", path, compared, rows.count,
		      unknown);
	assert_true(compared > rows.count / 2);
	dwarf_cfi_end(cfi);
	ml_unwind_rows_deinit(&rows);
	ml_module_unref(module);
}

int main(void)
{
	static const char *const paths[] = {
		"/lib/x86_64-linux-gnu/libc.so.6",
		"/lib/x86_64-linux-gnu/libm.so.6",
		"/lib64/ld-linux-x86-64.so.2",
		"/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
		"/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
		"/usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
		"/proc/self/exe",
	};
	struct CMUnitTest tests[sizeof(paths) / sizeof(paths[0])];

	cmocka_set_message_output(CM_OUTPUT_TAP);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		tests[i] = (struct CMUnitTest){.name = paths[i],
					       .test_func = test_library,
					       .initial_state = (void *)paths[i]};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
