/* SPDX-License-Identifier: BSD-2-Clause */
#include "unwind/frame.h"

#include "unwind/expression.h"

#include <dwarf.h>

/* DW_CFA_remember_state nests once in compiled code; assembly rarely goes beyond two. */
#define SAVED_LIMIT 16

/* The two high bits of the first byte name three instructions with an operand in the rest. */
#define PRIMARY_MASK    0xc0
#define PRIMARY_OPERAND 0x3f

/* Not in elfutils' dwarf.h: LLVM and binutils know it as an instruction for MIPS only. */
#define CFA_MIPS_ADVANCE_LOC8 0x1d

struct machine {
	const struct ml_frame_program *program;
	struct ml_frame *frame;
	struct ml_frame saved[SAVED_LIMIT];
	unsigned int saved_count;
	uint64_t pc;
	bool is_done; /**< the end of the code is reached: later rules say nothing */
};

static void emit(const struct machine *m, const struct ml_frame *frame)
{
	if (m->program->emit && m->pc < m->program->end)
		m->program->emit(m->program->context, m->pc, frame);
}

/** The rules so far hold up to @p pc. Going back is damage. */
static bool move_to(struct machine *m, uint64_t pc)
{
	if (pc < m->pc)
		return false;
	if (pc == m->pc)
		return true;
	emit(m, m->frame);
	m->pc = pc;
	m->is_done = pc >= m->program->end;
	return true;
}

static bool advance(struct machine *m, uint64_t delta)
{
	uint64_t bytes, pc;

	if (__builtin_mul_overflow(delta, m->program->cie->code_align, &bytes) ||
	    __builtin_add_overflow(m->pc, bytes, &pc))
		return false;
	return move_to(m, pc);
}

/** Where @p frame keeps what it knows of register @p reg; NULL for those that do not matter. */
static struct ml_frame_saved *saved_of(struct ml_frame *frame, uint64_t reg)
{
	if (reg == ML_DWARF_RBP)
		return &frame->rbp;
	return reg == ML_DWARF_RBX ? &frame->rbx : NULL;
}

/** Register @p reg is saved at CFA + @p factored * data_align. */
static bool set_offset(struct machine *m, uint64_t reg, int64_t factored)
{
	struct ml_frame_saved *saved = saved_of(m->frame, reg);
	int64_t offset;

	if (__builtin_mul_overflow(factored, m->program->cie->data_align, &offset))
		return false;
	if (saved) {
		*saved = (struct ml_frame_saved){.rule = ML_RBP_CFA, .offset = offset};
	} else if (reg == m->program->cie->ra_register) {
		m->frame->ra = ML_RA_CFA;
		m->frame->ra_offset = offset;
	}
	return true;
}

/** Register @p reg has one of the rules without an operand that matters. */
static void set_rule(struct machine *m, uint64_t reg, uint8_t rule, enum ml_frame_ra ra)
{
	struct ml_frame_saved *saved = saved_of(m->frame, reg);

	if (saved)
		saved->rule = rule;
	else if (reg == m->program->cie->ra_register)
		m->frame->ra = ra;
}

static bool restore(struct machine *m, uint64_t reg)
{
	const struct ml_frame *initial = m->program->initial;

	if (!initial)
		return false;
	if (reg == ML_DWARF_RBP) {
		m->frame->rbp = initial->rbp;
	} else if (reg == ML_DWARF_RBX) {
		m->frame->rbx = initial->rbx;
	} else if (reg == m->program->cie->ra_register) {
		m->frame->ra = initial->ra;
		m->frame->ra_offset = initial->ra_offset;
	}
	return true;
}

static void set_cfa(struct machine *m, uint64_t reg, int64_t offset)
{
	m->frame->cfa_rule = 0;
	m->frame->cfa_register = reg;
	m->frame->cfa_offset = offset;
}

/** @p value / 8 when that is a whole number that fits into @p bits with its sign. */
static bool words_of(int64_t value, unsigned int bits, int *words)
{
	int64_t limit = (int64_t)1 << (bits - 1);

	if (value % 8 || value / 8 < -limit || value / 8 >= limit)
		return false;
	*words = (int)(value / 8);
	return true;
}

static void set_cfa_expression(struct machine *m, struct ml_cursor bytes)
{
	struct ml_expression expression = ml_expression_recognise(bytes);
	int offset, addend;

	m->frame->cfa_rule = ML_CFA_BAD;
	m->frame->cfa_words = 0;
	if (expression.kind == ML_EXPRESSION_REGISTER) {
		set_cfa(m, expression.reg, expression.offset);
	} else if (expression.kind == ML_EXPRESSION_PLT) {
		m->frame->cfa_rule = ML_CFA_PLT;
		m->frame->cfa_words = expression.threshold;
	} else if (expression.kind == ML_EXPRESSION_DEREF &&
		   words_of(expression.offset, 8, &offset) &&
		   words_of(expression.addend, 8, &addend)) {
		m->frame->cfa_rule =
			expression.reg == ML_DWARF_RBP ? ML_CFA_DEREF_RBP : ML_CFA_DEREF_RSP;
		m->frame->cfa_words = ML_DEREF_WORDS(offset, addend);
	}
}

/** Register @p reg is saved where the expression says, or (@p is_value) is what it says. */
static void set_expression(struct machine *m, uint64_t reg, struct ml_cursor bytes, bool is_value)
{
	struct ml_expression expression = ml_expression_recognise(bytes);

	set_rule(m, reg, ML_RBP_UNDEF, ML_RA_OTHER);
	if (reg == ML_DWARF_RBP && !is_value && expression.kind == ML_EXPRESSION_REGISTER &&
	    expression.reg == ML_DWARF_RBP) {
		m->frame->rbp =
			(struct ml_frame_saved){.rule = ML_RBP_RBP, .offset = expression.offset};
	}
}

/** Instructions that move to another pc. */
static bool run_location(struct machine *m, uint8_t op, struct ml_cursor *in)
{
	switch (op) {
	case DW_CFA_set_loc:
		return move_to(m, ml_cfi_pointer(m->program->section, in,
						 m->program->cie->pointer_encoding));
	case DW_CFA_advance_loc1:
		return advance(m, ml_cursor_unsigned(in, 1));
	case DW_CFA_advance_loc2:
		return advance(m, ml_cursor_unsigned(in, 2));
	case DW_CFA_advance_loc4:
		return advance(m, ml_cursor_unsigned(in, 4));
	case CFA_MIPS_ADVANCE_LOC8:
		return advance(m, ml_cursor_unsigned(in, 8));
	default:
		return false;
	}
}

/** Instructions that say what the CFA is. */
static bool run_cfa(struct machine *m, uint8_t op, struct ml_cursor *in)
{
	struct ml_frame *frame = m->frame;
	int64_t offset = frame->cfa_offset;
	uint64_t reg = frame->cfa_register;

	if (op == DW_CFA_def_cfa_expression) {
		set_cfa_expression(m, ml_cursor_take(in, ml_cursor_uleb(in)));
		return true;
	}
	if (op != DW_CFA_def_cfa_offset && op != DW_CFA_def_cfa_offset_sf)
		reg = ml_cursor_uleb(in);
	if (op == DW_CFA_def_cfa || op == DW_CFA_def_cfa_offset) {
		offset = (int64_t)ml_cursor_uleb(in);
	} else if (op == DW_CFA_def_cfa_sf || op == DW_CFA_def_cfa_offset_sf) {
		if (__builtin_mul_overflow(ml_cursor_sleb(in), m->program->cie->data_align,
					   &offset))
			return false;
	}
	/* DWARF 5 §6.4.2.2: half a rule is valid only where the other half is known. */
	if (frame->cfa_rule && op != DW_CFA_def_cfa && op != DW_CFA_def_cfa_sf)
		return false;
	set_cfa(m, reg, offset);
	return true;
}

static bool run_state(struct machine *m, uint8_t op)
{
	if (op == DW_CFA_remember_state) {
		if (m->saved_count == SAVED_LIMIT)
			return false;
		m->saved[m->saved_count++] = *m->frame;
		return true;
	}
	if (!m->saved_count)
		return false;
	*m->frame = m->saved[--m->saved_count];
	return true;
}

/** Instructions that say where a register is; all begin with its number. */
static bool run_register(struct machine *m, uint8_t op, struct ml_cursor *in)
{
	uint64_t reg = ml_cursor_uleb(in);

	switch (op) {
	case DW_CFA_offset_extended:
		return set_offset(m, reg, (int64_t)ml_cursor_uleb(in));
	case DW_CFA_offset_extended_sf:
		return set_offset(m, reg, ml_cursor_sleb(in));
	case DW_CFA_GNU_negative_offset_extended:
		return set_offset(m, reg, (int64_t)(0 - ml_cursor_uleb(in)));
	case DW_CFA_restore_extended:
		return restore(m, reg);
	case DW_CFA_undefined:
		set_rule(m, reg, ML_RBP_UNDEF, ML_RA_UNDEFINED);
		return true;
	case DW_CFA_same_value:
		set_rule(m, reg, ML_RBP_SAME, ML_RA_OTHER);
		return true;
	case DW_CFA_register:
	case DW_CFA_val_offset:
	case DW_CFA_val_offset_sf:
		ml_cursor_uleb(in);
		set_rule(m, reg, ML_RBP_UNDEF, ML_RA_OTHER);
		return true;
	case DW_CFA_expression:
	case DW_CFA_val_expression:
		set_expression(m, reg, ml_cursor_take(in, ml_cursor_uleb(in)),
			       op == DW_CFA_val_expression);
		return true;
	default:
		return false;
	}
}

static bool run_extended(struct machine *m, uint8_t op, struct ml_cursor *in)
{
	switch (op) {
	case DW_CFA_nop:
	case DW_CFA_GNU_window_save:
		return true;
	case DW_CFA_GNU_args_size:
		ml_cursor_uleb(in);
		return true;
	case DW_CFA_set_loc:
	case DW_CFA_advance_loc1:
	case DW_CFA_advance_loc2:
	case DW_CFA_advance_loc4:
	case CFA_MIPS_ADVANCE_LOC8:
		return run_location(m, op, in);
	case DW_CFA_remember_state:
	case DW_CFA_restore_state:
		return run_state(m, op);
	case DW_CFA_def_cfa:
	case DW_CFA_def_cfa_register:
	case DW_CFA_def_cfa_offset:
	case DW_CFA_def_cfa_expression:
	case DW_CFA_def_cfa_sf:
	case DW_CFA_def_cfa_offset_sf:
		return run_cfa(m, op, in);
	default:
		return run_register(m, op, in);
	}
}

static bool run_one(struct machine *m, struct ml_cursor *in)
{
	uint8_t op = ml_cursor_u8(in);
	uint8_t operand = op & PRIMARY_OPERAND;

	switch (op & PRIMARY_MASK) {
	case DW_CFA_advance_loc:
		return advance(m, operand);
	case DW_CFA_offset:
		return set_offset(m, operand, (int64_t)ml_cursor_uleb(in));
	case DW_CFA_restore:
		return restore(m, operand);
	default:
		return run_extended(m, op, in);
	}
}

bool ml_frame_run(const struct ml_frame_program *program, struct ml_frame *frame)
{
	struct machine m = {.program = program, .pc = program->start};
	struct ml_cursor in = program->instructions;

	m.frame = frame;
	while (ml_cursor_left(&in) && !m.is_done) {
		if (!run_one(&m, &in) || in.failed) {
			frame->cfa_rule = ML_CFA_BAD;
			frame->ra = ML_RA_OTHER;
			emit(&m, frame);
			return false;
		}
	}
	emit(&m, frame);
	return true;
}

/** The kind of the CFA rule, and in *@p words its offset. */
static uint8_t cfa_of(const struct ml_frame *frame, int *words)
{
	*words = frame->cfa_words;
	if (frame->cfa_rule)
		return frame->cfa_rule;
	if (!words_of(frame->cfa_offset, 16, words))
		return ML_CFA_BAD;
	if (frame->cfa_register == ML_DWARF_RSP)
		return ML_CFA_RSP;
	if (frame->cfa_register == ML_DWARF_RBX)
		return ML_CFA_RBX;
	return frame->cfa_register == ML_DWARF_RBP ? ML_CFA_RBP : ML_CFA_BAD;
}

/** Adds to @p row the rules for rbp and rbx, which share one number. */
static void saved_add(const struct ml_frame *frame, struct ml_unwind_row *row)
{
	uint8_t rbp = frame->rbp.rule, rbx = ML_RBX_LOST;
	bool rbx_at_cfa = frame->rbx.rule == ML_RBP_CFA;
	int words = 0, rbx_words = 0;

	if ((rbp == ML_RBP_CFA || rbp == ML_RBP_RBP) && !words_of(frame->rbp.offset, 8, &words))
		rbp = ML_RBP_UNDEF;
	if (rbx_at_cfa && !words_of(frame->rbx.offset, 8, &rbx_words))
		rbx_at_cfa = false;
	if (frame->rbx.rule == ML_RBP_SAME) {
		rbx = ML_RBX_SAME;
	} else if (rbx_at_cfa && rbp == ML_RBP_CFA && rbx_words == words - 1) {
		rbx = ML_RBX_BELOW_RBP;
	} else if (rbx_at_cfa && (rbp == ML_RBP_SAME || rbp == ML_RBP_UNDEF ||
				  (rbp == ML_RBP_CFA && words == -2))) {
		rbx = ML_RBX_CFA;
		words = rbx_words;
	}
	row->rbp_words = (int8_t)words;
	row->rules |= ML_ROW_RULES(0, rbp, rbx);
}

/** The row of a CFA that may be too far above rsp for an ordinary one; else of kind ML_CFA_BAD. */
static struct ml_unwind_row far_row(const struct ml_frame *frame)
{
	uint64_t units = (uint64_t)frame->cfa_offset / ML_FAR_UNIT, times = units / ML_FAR_TIMES;
	struct ml_unwind_row row = {.cfa_words = (int16_t)units};

	if (frame->cfa_rule || frame->cfa_register != ML_DWARF_RSP ||
	    frame->cfa_offset % ML_FAR_UNIT || times > ML_CFA_RSP_LAST - ML_CFA_RSP_FAR)
		return (struct ml_unwind_row){.rules = ML_CFA_BAD};
	row.rules = (uint8_t)(ML_CFA_RSP_FAR + times);
	saved_add(frame, &row);
	return row;
}

struct ml_unwind_row ml_frame_row(const struct ml_frame *frame)
{
	struct ml_unwind_row row = {0};
	int cfa_words;
	uint8_t cfa = cfa_of(frame, &cfa_words);

	/* __restore_rt of glibc (sysdeps/unix/sysv/linux/x86_64/libc_sigaction.c): the CFA is
	 * the saved rsp of the ucontext, the return address is not below it. */
	if (cfa == ML_CFA_DEREF_RSP && frame->ra == ML_RA_OTHER &&
	    cfa_words == ML_DEREF_WORDS(ML_SIGNAL_RSP / 8, 0))
		return (struct ml_unwind_row){.rules = ML_CFA_SIGNAL};
	if (frame->ra == ML_RA_UNDEFINED)
		return (struct ml_unwind_row){.rules = ML_CFA_END};
	if (frame->ra != ML_RA_CFA || frame->ra_offset != -8)
		return (struct ml_unwind_row){.rules = ML_CFA_BAD};
	if (cfa == ML_CFA_BAD)
		return far_row(frame);
	row.cfa_words = (int16_t)cfa_words;
	row.rules = cfa;
	saved_add(frame, &row);
	return row;
}
