/* SPDX-License-Identifier: BSD-2-Clause */
/** Rows out of CFI written by hand: every instruction, framing, damage. */
#include "base/array.h"
#include "cfi_bytes.h"
#include "unwind/rows.h"

#include <dwarf.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TEXT            CFI_TEXT_ADDRESS
#define BYTES(...)      (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define ADVANCE(n)      (DW_CFA_advance_loc | (n))
#define RULES(cfa, rbp) ((cfa) | (rbp) << 4)

/** The rows of a section, which must be fine. */
static struct ml_unwind_rows rows_of_section(const struct cfi_bytes *cfi, const char *name)
{
	struct ml_module *module = cfi_module(cfi, name, 0);
	struct ml_unwind_rows rows;

	assert_null(ml_unwind_rows_build(module, &rows));
	ml_module_unref(module);
	return rows;
}

/** The rows of one function of 0x40 bytes at TEXT. */
static struct ml_unwind_rows rows_of(const uint8_t *instructions, size_t size)
{
	struct cfi_bytes cfi = {0};
	size_t cie = cfi_add_cie(&cfi, "", 0);

	cfi_add_fde(&cfi, cie, TEXT, 0x40, instructions, size);
	return rows_of_section(&cfi, ".eh_frame");
}

static void assert_row(const struct ml_unwind_rows *rows, uint32_t pc, uint32_t rules,
		       int cfa_words, int rbp_words)
{
	struct ml_unwind_row row = ml_unwind_rows_find(rows, pc);

	assert_int_equal(row.rules, rules);
	assert_int_equal(row.cfa_words, cfa_words);
	assert_int_equal(row.rbp_words, rbp_words);
}

/** Runs the instructions; at pc 1 the rules must be these. */
static void assert_rules(const uint8_t *instructions, size_t size, uint32_t rules, int cfa_words,
			 int rbp_words)
{
	struct ml_unwind_rows rows = rows_of(instructions, size);

	assert_row(&rows, 1, rules, cfa_words, rbp_words);
	assert_row(&rows, 0x40, ML_CFA_NONE, 0, 0);
	ml_unwind_rows_deinit(&rows);
}

static void test_function_with_a_frame_pointer(void **state)
{
	/* push %rbp; mov %rsp,%rbp; …; pop %rbp; ret */
	struct ml_unwind_rows rows = rows_of(
		BYTES(ADVANCE(1), DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2, ADVANCE(3),
		      DW_CFA_def_cfa_register, 6, ADVANCE(0x30), DW_CFA_def_cfa, 7, 8));

	assert_int_equal(rows.base, TEXT);
	assert_int_equal(rows.count, 5);
	assert_row(&rows, 0, RULES(ML_CFA_RSP, ML_RBP_SAME), 1, 0);
	assert_row(&rows, 1, RULES(ML_CFA_RSP, ML_RBP_CFA), 2, -2);
	assert_row(&rows, 3, RULES(ML_CFA_RSP, ML_RBP_CFA), 2, -2);
	assert_row(&rows, 4, RULES(ML_CFA_RBP, ML_RBP_CFA), 2, -2);
	assert_row(&rows, 0x33, RULES(ML_CFA_RBP, ML_RBP_CFA), 2, -2);
	assert_row(&rows, 0x34, RULES(ML_CFA_RSP, ML_RBP_CFA), 1, -2);
	assert_row(&rows, 0x40, ML_CFA_NONE, 0, 0);
	assert_int_equal(rows.bad_count, 0);
	ml_unwind_rows_deinit(&rows);
}

static void test_advances(void **state)
{
	struct ml_unwind_rows rows = rows_of(BYTES(
		DW_CFA_advance_loc1, 1, DW_CFA_def_cfa_offset, 16, DW_CFA_advance_loc2, 1, 0,
		DW_CFA_def_cfa_offset, 24, DW_CFA_advance_loc4, 1, 0, 0, 0, DW_CFA_def_cfa_offset,
		32, 0x1d, 1, 0, 0, 0, 0, 0, 0, 0, DW_CFA_def_cfa_offset, 40, DW_CFA_set_loc, 5,
		0x10, 0x40, 0, 0, 0, 0, 0, DW_CFA_def_cfa_offset, 48));

	for (uint32_t pc = 0; pc < 6; pc++)
		assert_row(&rows, pc, ML_CFA_RSP, (int)pc + 1, 0);
	ml_unwind_rows_deinit(&rows);
}

static void test_cfa_instructions(void **state)
{
	/* data alignment -8: factored offsets count down */
	assert_rules(BYTES(DW_CFA_def_cfa_offset_sf, 0x7c), ML_CFA_RSP, 4, 0);
	assert_rules(BYTES(DW_CFA_def_cfa_sf, 6, 0x7d), ML_CFA_RBP, 3, 0);
	assert_rules(BYTES(DW_CFA_def_cfa, 7, 0xa8, 0x80, 0x06), ML_CFA_RSP, 0x3005, 0);
	assert_rules(BYTES(DW_CFA_def_cfa_expression, 2, DW_OP_breg6, 16), ML_CFA_RBP, 2, 0);
}

static void test_big_frames(void **state)
{
	/* 256 KiB less 8 bytes is the last that an ordinary row tells */
	assert_rules(BYTES(DW_CFA_def_cfa_offset, 0xf8, 0xff, 0x0f), ML_CFA_RSP, INT16_MAX, 0);
	assert_rules(BYTES(DW_CFA_def_cfa_offset, 0x80, 0x80, 0x10), ML_CFA_RSP_FAR, 0x4000, 0);
	assert_rules(BYTES(DW_CFA_def_cfa_offset, 0x80, 0x80, 0x10, DW_CFA_offset | 6, 6,
			   DW_CFA_offset | 3, 7),
		     ML_ROW_RULES(ML_CFA_RSP_FAR, ML_RBP_CFA, ML_RBX_BELOW_RBP), 0x4000, -6);
	/* 1 MiB, and 4 MiB less 16 bytes */
	assert_rules(BYTES(DW_CFA_def_cfa_offset, 0x80, 0x80, 0xc0, 0x00), ML_CFA_RSP_FAR + 1, 0,
		     0);
	assert_rules(BYTES(DW_CFA_def_cfa_offset, 0xf0, 0xff, 0xff, 0x01), ML_CFA_RSP_LAST, -1, 0);
	/* more, not a multiple of 16, below rsp, and from another register */
	assert_rules(BYTES(DW_CFA_def_cfa_offset, 0x80, 0x80, 0x80, 0x02), ML_CFA_BAD, 0, 0);
	assert_rules(BYTES(DW_CFA_def_cfa_offset, 0x88, 0x80, 0x10), ML_CFA_BAD, 0, 0);
	assert_rules(BYTES(DW_CFA_def_cfa_offset_sf, 0x80, 0x80, 0x04), ML_CFA_BAD, 0, 0);
	assert_rules(BYTES(DW_CFA_def_cfa, 6, 0x80, 0x80, 0x10), ML_CFA_BAD, 0, 0);
}

static void test_expressions(void **state)
{
	assert_rules(BYTES(DW_CFA_def_cfa_expression, 11, DW_OP_breg7, 8, DW_OP_breg16, 0,
			   DW_OP_lit15, DW_OP_and, DW_OP_lit11, DW_OP_ge, DW_OP_lit3, DW_OP_shl,
			   DW_OP_plus),
		     ML_CFA_PLT, 11, 0);
	assert_rules(BYTES(DW_CFA_def_cfa_expression, 11, DW_OP_breg7, 8, DW_OP_breg16, 0,
			   DW_OP_lit15, DW_OP_and, DW_OP_lit10, DW_OP_ge, DW_OP_lit3, DW_OP_shl,
			   DW_OP_plus),
		     ML_CFA_PLT, 10, 0);
	assert_rules(BYTES(DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78, DW_OP_deref),
		     ML_CFA_DEREF_RBP, ML_DEREF_WORDS(-1, 0), 0);
	assert_rules(BYTES(DW_CFA_def_cfa_expression, 5, DW_OP_breg7, 40, DW_OP_deref,
			   DW_OP_plus_uconst, 8),
		     ML_CFA_DEREF_RSP, ML_DEREF_WORDS(5, 1), 0);
	assert_rules(BYTES(DW_CFA_expression, 6, 2, DW_OP_breg6, 0), RULES(ML_CFA_RSP, ML_RBP_RBP),
		     1, 0);
	/* 8-bit halves of cfa_words: beyond ±1 KiB rows cannot tell */
	assert_rules(BYTES(DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 0x80, 0x08, DW_OP_deref),
		     ML_CFA_BAD, 0, 0);
}

static void test_signal_frame(void **state)
{
	assert_rules(BYTES(DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 0xa0, 0x01, DW_OP_deref,
			   DW_CFA_expression, 16, 3, DW_OP_breg7, 0xa8, 0x01),
		     ML_CFA_SIGNAL, 0, 0);
}

static void test_register_rules(void **state)
{
	const uint32_t at_cfa = RULES(ML_CFA_RSP, ML_RBP_CFA);
	const uint32_t lost = RULES(ML_CFA_RSP, ML_RBP_UNDEF);

	assert_rules(BYTES(DW_CFA_offset_extended, 6, 3), at_cfa, 1, -3);
	assert_rules(BYTES(DW_CFA_offset_extended_sf, 6, 0x7e), at_cfa, 1, 2);
	assert_rules(BYTES(DW_CFA_GNU_negative_offset_extended, 6, 2), at_cfa, 1, 2);
	assert_rules(BYTES(DW_CFA_offset | 6, 2, DW_CFA_restore | 6), ML_CFA_RSP, 1, 0);
	assert_rules(BYTES(DW_CFA_offset | 6, 2, DW_CFA_restore_extended, 6), ML_CFA_RSP, 1, 0);
	assert_rules(BYTES(DW_CFA_offset | 6, 2, DW_CFA_same_value, 6), ML_CFA_RSP, 1, 0);
	assert_rules(BYTES(DW_CFA_undefined, 6), lost, 1, 0);
	assert_rules(BYTES(DW_CFA_register, 6, 3), lost, 1, 0);
	assert_rules(BYTES(DW_CFA_val_offset, 6, 3), lost, 1, 0);
	assert_rules(BYTES(DW_CFA_val_offset_sf, 6, 3), lost, 1, 0);
	assert_rules(BYTES(DW_CFA_val_expression, 6, 2, DW_OP_breg6, 0), lost, 1, 0);
	/* what says nothing about rbp or the return address */
	assert_rules(BYTES(DW_CFA_offset | 12, 2, DW_CFA_GNU_args_size, 0x90, 1, DW_CFA_nop,
			   DW_CFA_GNU_window_save),
		     ML_CFA_RSP, 1, 0);
}

/** One number tells where both rbp and rbx are, or rbx is lost. */
static void test_rbx(void **state)
{
	assert_rules(BYTES(DW_CFA_def_cfa, 3, 32), ML_CFA_RBX, 4, 0);
	assert_rules(BYTES(DW_CFA_offset | 3, 4), ML_ROW_RULES(ML_CFA_RSP, ML_RBP_SAME, ML_RBX_CFA),
		     1, -4);
	assert_rules(BYTES(DW_CFA_offset | 6, 6, DW_CFA_offset | 3, 7),
		     ML_ROW_RULES(ML_CFA_RSP, ML_RBP_CFA, ML_RBX_BELOW_RBP), 1, -6);
	assert_rules(BYTES(DW_CFA_offset | 6, 2, DW_CFA_offset | 3, 7),
		     ML_ROW_RULES(ML_CFA_RSP, ML_RBP_CFA, ML_RBX_CFA), 1, -7);
	assert_rules(BYTES(DW_CFA_offset | 6, 5, DW_CFA_offset | 3, 7),
		     ML_ROW_RULES(ML_CFA_RSP, ML_RBP_CFA, ML_RBX_LOST), 1, -5);
	assert_rules(BYTES(DW_CFA_undefined, 3), ML_ROW_RULES(ML_CFA_RSP, ML_RBP_SAME, ML_RBX_LOST),
		     1, 0);
	assert_rules(BYTES(DW_CFA_offset | 3, 4, DW_CFA_restore | 3), ML_CFA_RSP, 1, 0);
}

static void test_state_is_remembered(void **state)
{
	struct ml_unwind_rows rows =
		rows_of(BYTES(DW_CFA_def_cfa_offset, 32, DW_CFA_remember_state, ADVANCE(1),
			      DW_CFA_def_cfa_offset, 8, ADVANCE(1), DW_CFA_restore_state));

	assert_row(&rows, 0, ML_CFA_RSP, 4, 0);
	assert_row(&rows, 1, ML_CFA_RSP, 1, 0);
	assert_row(&rows, 2, ML_CFA_RSP, 4, 0);
	ml_unwind_rows_deinit(&rows);
}

static void test_what_rows_cannot_tell(void **state)
{
	assert_rules(BYTES(DW_CFA_def_cfa_register, 0), ML_CFA_BAD, 0, 0);
	assert_rules(BYTES(DW_CFA_def_cfa_offset, 9), ML_CFA_BAD, 0, 0);
	assert_rules(BYTES(DW_CFA_offset | 16, 2), ML_CFA_BAD, 0, 0);
	assert_rules(BYTES(DW_CFA_def_cfa_expression, 1, DW_OP_lit0), ML_CFA_BAD, 0, 0);

	struct ml_unwind_rows rows = rows_of(BYTES(DW_CFA_def_cfa_register, 10));

	assert_int_equal(rows.bad_count, 1);
	ml_unwind_rows_deinit(&rows);
}

static void test_damage_ends_a_function(void **state)
{
	static const struct {
		uint8_t bytes[12];
		size_t size;
	} damages[] = {
		{{0x3f}, 1},                             /* no such instruction */
		{{DW_CFA_restore_state}, 1},             /* nothing remembered */
		{{DW_CFA_def_cfa, 7}, 2},                /* cut */
		{{DW_CFA_def_cfa_expression, 99, 1}, 3}, /* longer than the record */
		{{DW_CFA_def_cfa_offset, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff},
		 12},                                          /* more than 64 bits */
		{{DW_CFA_set_loc, 0, 0, 0, 0, 0, 0, 0, 0}, 9}, /* backwards */
	};

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct cfi_bytes cfi = {0};
		size_t cie = cfi_add_cie(&cfi, "", 0);
		uint8_t bytes[16] = {ADVANCE(4)};

		memcpy(bytes + 1, damages[i].bytes, damages[i].size);
		cfi_add_fde(&cfi, cie, TEXT, 0x40, bytes, damages[i].size + 1);
		cfi_add_fde(&cfi, cie, TEXT + 0x40, 0x40, "", 0);

		struct ml_unwind_rows rows = rows_of_section(&cfi, ".eh_frame");

		assert_row(&rows, 3, ML_CFA_RSP, 1, 0);
		assert_row(&rows, 4, ML_CFA_BAD, 0, 0);
		assert_row(&rows, 0x40, ML_CFA_RSP, 1, 0);
		ml_unwind_rows_deinit(&rows);
	}
}

static void test_gaps_and_overlaps(void **state)
{
	struct cfi_bytes cfi = {0};
	size_t cie = cfi_add_cie(&cfi, "", 0);
	size_t other = cfi_add_cie(&cfi, BYTES(DW_CFA_def_cfa_offset, 16));

	cfi_add_fde(&cfi, cie, TEXT + 0x200, 0x40, "", 0);
	cfi_add_fde(&cfi, other, TEXT + 0x220, 0x10, "", 0); /* inside the one before */
	cfi_add_fde(&cfi, cie, TEXT + 0x100, 0x38, "", 0);   /* out of order */
	cfi_add_fde(&cfi, other, TEXT + 0x140, 0x40, "", 0); /* after 8 bytes of padding */
	cfi_add_fde(&cfi, cie, TEXT + 0x300, 0, "", 0);      /* empty */
	cfi_add_fde(&cfi, cie, TEXT + 0x10000, 0x40, "", 0); /* not in code */
	cfi_add_fde(&cfi, cie, 0, 0x40, "", 0);              /* of discarded code */
	cfi_add_fde(&cfi, cie, TEXT + 0xff0, ~0ULL, "", 0);  /* beyond the end of the code */
	cfi_add_number(&cfi, 0, 4);

	struct ml_unwind_rows rows = rows_of_section(&cfi, ".eh_frame");

	assert_row(&rows, 0xff, ML_CFA_NONE, 0, 0);
	assert_row(&rows, 0x100, ML_CFA_RSP, 1, 0);
	assert_row(&rows, 0x13c, ML_CFA_RSP, 1, 0);
	assert_row(&rows, 0x140, ML_CFA_RSP, 2, 0);
	assert_row(&rows, 0x180, ML_CFA_NONE, 0, 0);
	assert_row(&rows, 0x21f, ML_CFA_RSP, 1, 0);
	assert_row(&rows, 0x220, ML_CFA_RSP, 2, 0);
	assert_row(&rows, 0x230, ML_CFA_NONE, 0, 0);
	assert_row(&rows, 0x300, ML_CFA_NONE, 0, 0);
	assert_row(&rows, 0xff0, ML_CFA_RSP, 1, 0);
	assert_row(&rows, 0x1000, ML_CFA_NONE, 0, 0);
	for (size_t i = 1; i < rows.count; i++)
		assert_true(rows.rows[i - 1].pc < rows.rows[i].pc);
	assert_int_equal(rows.pages[rows.page_count], rows.count);
	ml_unwind_rows_deinit(&rows);
}

static void test_outermost_frames(void **state)
{
	assert_rules(BYTES(DW_CFA_undefined, 16), ML_CFA_END, 0, 0);

	/* An entry point without CFI is one, too; here that is at 0x800. */
	struct cfi_bytes cfi = {0};
	size_t cie = cfi_add_cie(&cfi, "", 0);

	cfi_add_fde(&cfi, cie, TEXT, 0x40, "", 0);

	struct ml_module *module = cfi_module(&cfi, ".eh_frame", TEXT + 0x800);
	struct ml_unwind_rows rows;

	assert_null(ml_unwind_rows_build(module, &rows));
	assert_row(&rows, 0x7ff, ML_CFA_NONE, 0, 0);
	assert_row(&rows, 0x800, ML_CFA_END, 0, 0);
	assert_row(&rows, 0x81f, ML_CFA_END, 0, 0);
	assert_row(&rows, 0x840, ML_CFA_NONE, 0, 0);
	ml_unwind_rows_deinit(&rows);
	ml_module_unref(module);
}

/** One CIE with the given body and one FDE of @p fde bytes; its CFA must be rsp + 8 * words. */
static void assert_framing(const char *section, const uint8_t *bytes, size_t size, int words)
{
	struct cfi_bytes cfi = {0};

	cfi_add(&cfi, bytes, size);

	struct ml_unwind_rows rows = rows_of_section(&cfi, section);

	assert_row(&rows, 0x10, ML_CFA_RSP, words, 0);
	ml_unwind_rows_deinit(&rows);
}

#define QUAD(n) (n) & 255, (n) >> 8 & 255, (n) >> 16 & 255, (n) >> 24 & 255, 0, 0, 0, 0

static void test_framing_of_debug_frame(void **state)
{
	/* version 3, 32 bits */
	assert_framing(".debug_frame",
		       BYTES(14, 0, 0, 0, 255, 255, 255, 255, 3, 0, 1, 0x78, 16, DW_CFA_def_cfa, 7,
			     16, 0x90, 1, 20, 0, 0, 0, 0, 0, 0, 0, QUAD(0x401000), QUAD(0x40)),
		       2);
	/* version 4 with address and segment sizes, 64 bits */
	assert_framing(".debug_frame",
		       BYTES(255, 255, 255, 255, 20, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255,
			     255, 255, 255, 4, 0, 8, 0, 1, 0x78, 16, DW_CFA_def_cfa, 7, 24, 0x90, 1,
			     255, 255, 255, 255, 24, 0, 0, 0, 0, 0, 0, 0, QUAD(0), QUAD(0x401000),
			     QUAD(0x40)),
		       3);
}

static void test_framing_of_eh_frame(void **state)
{
	/* all letters; pcrel sdata4 addresses: 0x401000 - 0x500025 */
	assert_framing(".eh_frame",
		       BYTES(29, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'P', 'L', 'R', 'S', 'B', 0, 1, 0x78,
			     16, 7, 0x9b, 1, 2, 3, 4, 0x1b, 0x1b, DW_CFA_def_cfa, 7, 16, 0x90, 1, 0,
			     14, 0, 0, 0, 37, 0, 0, 0, 0xd7, 0x0f, 0xf0, 0xff, 0x40, 0, 0, 0, 1, 0,
			     0, 0, 0, 0),
		       2);
	/* gcc 2: "eh" and a pointer */
	assert_framing(".eh_frame",
		       BYTES(24, 0, 0, 0, 0, 0, 0, 0, 1, 'e', 'h', 0, QUAD(0), 1, 0x78, 16,
			     DW_CFA_def_cfa, 7, 32, 0x90, 1, 20, 0, 0, 0, 32, 0, 0, 0,
			     QUAD(0x401000), QUAD(0x40)),
		       4);
}

static void test_damaged_section_is_an_error(void **state)
{
	struct cfi_bytes cfi = {0};
	struct ml_unwind_rows rows = {.count = 7};

	cfi_add(&cfi, BYTES(200, 0, 0, 0, 0, 0, 0, 0));

	struct ml_module *module = cfi_module(&cfi, ".eh_frame", 0);
	struct ml_error *error = ml_unwind_rows_build(module, &rows);

	assert_non_null(error);
	assert_int_equal(ml_error_kind(error), ML_ERROR_FORMAT);
	assert_int_equal(rows.count, 7);
	ml_error_free(error);
	ml_module_unref(module);
}

static void test_no_cfi_is_an_empty_table(void **state)
{
	struct cfi_bytes cfi = {0};

	cfi_add_number(&cfi, 0, 4);

	struct ml_unwind_rows rows = rows_of_section(&cfi, ".eh_frame");

	assert_int_equal(rows.count, 0);
	assert_row(&rows, 5, ML_CFA_NONE, 0, 0);
	ml_unwind_rows_deinit(&rows);
	rows = rows_of_section(&cfi, ".other");
	assert_int_equal(rows.count, 0);
	ml_unwind_rows_deinit(&rows);
}

static void test_code_without_cfi(void **state)
{
	static const uint8_t entry[] = {0xe8, 0x0b, 0xf8, 0xff, 0xff, 0xf4}; /* call 0x10; hlt */
	/* push %rbp; mov %rsp,%rbp; and $-64,%rsp; call 0x30; leave; ret */
	static const uint8_t with_frame[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xc0,
					     0xe8, 0x13, 0,    0,    0,    0xc9, 0xc3};
	/* push %rbx; push %rbp; sub $24,%rsp; jz 0x3e; mov %rax,%rbp; jmp 0x3e … */
	static const uint8_t without[] = {0x53, 0x55, 0x48, 0x83, 0xec, 0x18, 0x74, 0x06, 0x48,
					  0x89, 0xc5, 0xeb, 0x01, 0x90,
					  /* 3e: add $24,%rsp; pop %rbp; pop %rbx; ret */
					  0x48, 0x83, 0xc4, 0x18, 0x5d, 0x5b, 0xc3};
	/* whether rbx is changed is not followed */
	const uint32_t by_rsp = ML_ROW_RULES(ML_CFA_RSP, ML_RBP_SAME, ML_RBX_LOST);
	const uint32_t saved = ML_ROW_RULES(ML_CFA_RSP, ML_RBP_CFA, ML_RBX_LOST);
	const uint32_t framed = ML_ROW_RULES(ML_CFA_RBP, ML_RBP_CFA, ML_RBX_LOST);
	uint8_t code[CFI_TEXT_SIZE] = {0};
	struct cfi_bytes cfi = {.code = code, .code_size = sizeof(code)};
	struct ml_unwind_rows rows;

	memcpy(code + 0x800, entry, sizeof(entry));
	memcpy(code + 0x10, with_frame, sizeof(with_frame));
	memcpy(code + 0x30, without, sizeof(without));
	cfi_add_number(&cfi, 0, 4);

	struct ml_module *module = cfi_module(&cfi, ".eh_frame", TEXT + 0x800);

	assert_null(ml_unwind_rows_build(module, &rows));
	assert_row(&rows, 0x804, ML_CFA_END, 0, 0);
	assert_row(&rows, 0x10, by_rsp, 1, 0);
	assert_row(&rows, 0x11, saved, 2, -2);
	assert_row(&rows, 0x14, framed, 2, -2);
	assert_row(&rows, 0x1c, framed, 2, -2);
	assert_row(&rows, 0x1e, by_rsp, 1, 0);
	assert_row(&rows, 0x30, by_rsp, 1, 0);
	assert_row(&rows, 0x31, by_rsp, 2, 0);
	assert_row(&rows, 0x32, saved, 3, -3);
	assert_row(&rows, 0x36, saved, 6, -3);
	assert_row(&rows, 0x3e, saved, 6, -3);
	assert_row(&rows, 0x42, saved, 3, -3);
	assert_row(&rows, 0x43, by_rsp, 2, 0);
	assert_row(&rows, 0x44, by_rsp, 1, 0);
	assert_row(&rows, 0x100, ML_CFA_NONE, 0, 0);
	ml_unwind_rows_deinit(&rows);
	ml_module_unref(module);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_function_with_a_frame_pointer),
		cmocka_unit_test(test_advances),
		cmocka_unit_test(test_cfa_instructions),
		cmocka_unit_test(test_big_frames),
		cmocka_unit_test(test_expressions),
		cmocka_unit_test(test_signal_frame),
		cmocka_unit_test(test_register_rules),
		cmocka_unit_test(test_rbx),
		cmocka_unit_test(test_state_is_remembered),
		cmocka_unit_test(test_what_rows_cannot_tell),
		cmocka_unit_test(test_damage_ends_a_function),
		cmocka_unit_test(test_gaps_and_overlaps),
		cmocka_unit_test(test_outermost_frames),
		cmocka_unit_test(test_code_without_cfi),
		cmocka_unit_test(test_framing_of_debug_frame),
		cmocka_unit_test(test_framing_of_eh_frame),
		cmocka_unit_test(test_damaged_section_is_an_error),
		cmocka_unit_test(test_no_cfi_is_an_empty_table),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
