/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/**
 * One step of a stack walk, the same code in the kernel, in the agent and in the tool's tests.
 *
 * Whoever includes this defines beforehand
 *     ML_UNWIND_READ(memory, address, out)
 * which reads the 64-bit word at @p address into *@p out and gives 0, or non-zero for a fault.
 */
#ifndef ML_SHARED_UNWIND_STEP_H
#define ML_SHARED_UNWIND_STEP_H

#include "shared/unwind_rows.h"
#include "shared/walk_end.h"

struct ml_unwind_regs {
	uint64_t ip;
	uint64_t sp;
	uint64_t bp;
	uint64_t bx;      /**< as the innermost frame has it … */
	uint64_t bx_at;   /**< … when this is 0; else where it is saved: few walks ever need it */
	uint32_t is_call; /**< ip is a return address: the call is in the instruction before it */
	uint32_t reserved;
};

/* ml_unwind_regs.bx_at of an rbx that cannot be told: no address of a word. */
#define ML_UNWIND_LOST 1

/* A frame pointer further away than this is not one. */
#define ML_FRAME_POINTER_REACH (1u << 20)

#define ML_ALWAYS_INLINE       static inline __attribute__((always_inline))

/** Follows the frame pointer: for code without rows (JIT). */
ML_ALWAYS_INLINE enum ml_walk_end ml_unwind_by_frame_pointer(struct ml_unwind_regs *regs,
							     void *memory)
{
	uint64_t bp = regs->bp, ra, saved;

	if (bp < regs->sp || bp - regs->sp > ML_FRAME_POINTER_REACH || (bp & 7))
		return ML_WALK_NO_UNWIND_INFO;
	if (ML_UNWIND_READ(memory, bp, &saved) || ML_UNWIND_READ(memory, bp + 8, &ra))
		return ML_WALK_FAULT;
	/* Not the end of a stack: it was not a frame pointer. */
	if (!ra)
		return ML_WALK_NO_UNWIND_INFO;
	regs->bp = saved;
	regs->bx_at = ML_UNWIND_LOST;
	regs->sp = bp + 16;
	regs->ip = ra;
	regs->is_call = 1;
	return ML_WALK_MORE;
}

/** Takes the registers out of the signal frame at rsp. */
ML_ALWAYS_INLINE enum ml_walk_end ml_unwind_signal(struct ml_unwind_regs *regs, void *memory)
{
	uint64_t base = regs->sp, ip, sp, bp;

	if (ML_UNWIND_READ(memory, base + ML_SIGNAL_RBP, &bp) ||
	    ML_UNWIND_READ(memory, base + ML_SIGNAL_RSP, &sp) ||
	    ML_UNWIND_READ(memory, base + ML_SIGNAL_RIP, &ip))
		return ML_WALK_FAULT;
	regs->bp = bp;
	regs->bx_at = base + ML_SIGNAL_RBX;
	regs->sp = sp;
	regs->ip = ip;
	regs->is_call = 0;
	return ML_WALK_MORE;
}

/** The CFA of asmcgocall(), called on the stack it left. */
ML_ALWAYS_INLINE uint64_t ml_unwind_go_stack(uint64_t sp, void *memory, int *fault)
{
	uint64_t depth = 0, routine = 0, top = 0;

	*fault = ML_UNWIND_READ(memory, sp + ML_GO_DEPTH, &depth) ||
		 ML_UNWIND_READ(memory, sp + ML_GO_ROUTINE, &routine) ||
		 ML_UNWIND_READ(memory, routine + ML_GO_STACK_TOP, &top);
	return top - depth + 8;
}

/** How far above rsp the CFA of a row of a kind from ML_CFA_RSP_FAR on is. */
ML_ALWAYS_INLINE uint64_t ml_unwind_far_offset(struct ml_unwind_row row)
{
	uint64_t times = ML_ROW_CFA(row.rules) - ML_CFA_RSP_FAR;

	return ML_FAR_UNIT * ((uint16_t)row.cfa_words + ML_FAR_TIMES * times);
}

/** The CFA of @p row; 0 when it cannot be told (never a real CFA). Sets *@p fault on a fault. */
ML_ALWAYS_INLINE uint64_t ml_unwind_cfa(struct ml_unwind_row row, const struct ml_unwind_regs *regs,
					void *memory, int *fault)
{
	int64_t offset = (int64_t)ML_DEREF_OFFSET(row.cfa_words) * 8;
	int64_t addend = (int64_t)ML_DEREF_ADDEND(row.cfa_words) * 8;
	int64_t plain = (int64_t)row.cfa_words * 8;
	uint64_t cfa = 0;

	switch (ML_ROW_CFA(row.rules)) {
	case ML_CFA_RSP:
		return regs->sp + plain;
	case ML_CFA_RBP:
		return regs->bp + plain;
	case ML_CFA_PLT:
		return regs->sp + 8 + ((int16_t)(regs->ip & 15) >= row.cfa_words ? 8 : 0);
	case ML_CFA_DEREF_RBP:
		*fault = ML_UNWIND_READ(memory, regs->bp + offset, &cfa);
		return cfa + addend;
	case ML_CFA_DEREF_RSP:
		*fault = ML_UNWIND_READ(memory, regs->sp + offset, &cfa);
		return cfa + addend;
	case ML_CFA_RBX:
		if (regs->bx_at == ML_UNWIND_LOST)
			return 0;
		cfa = regs->bx;
		if (regs->bx_at)
			*fault = ML_UNWIND_READ(memory, regs->bx_at, &cfa);
		return cfa + plain;
	case ML_CFA_GO_STACK:
		return ml_unwind_go_stack(regs->sp, memory, fault);
	default:
		return regs->sp + ml_unwind_far_offset(row);
	}
}

/** Where the caller's rbx is: for ml_unwind_regs.bx_at. */
ML_ALWAYS_INLINE uint64_t ml_unwind_rbx(struct ml_unwind_row row, uint64_t cfa, uint64_t bx_at)
{
	uint32_t rule = ML_ROW_RBX(row.rules);

	if (rule == ML_RBX_SAME)
		return bx_at;
	if (rule == ML_RBX_LOST)
		return ML_UNWIND_LOST;
	return cfa + (int64_t)row.rbp_words * 8 - (rule == ML_RBX_BELOW_RBP ? 8 : 0);
}

/** Goes to the caller's frame by @p row, the row in effect at regs->ip - regs->is_call. */
ML_ALWAYS_INLINE enum ml_walk_end ml_unwind_by_row(struct ml_unwind_row row,
						   struct ml_unwind_regs *regs, void *memory)
{
	uint32_t rule = ML_ROW_CFA(row.rules), rbp_rule = ML_ROW_RBP(row.rules);
	int64_t rbp_offset = ML_ROW_RBX(row.rules) == ML_RBX_CFA ? -16 : row.rbp_words * 8;
	int fault = 0;

	if (rule == ML_CFA_SIGNAL)
		return ml_unwind_signal(regs, memory);
	if (rule == ML_CFA_END)
		return ML_WALK_COMPLETE;
	if (rule == ML_CFA_NONE)
		return ml_unwind_by_frame_pointer(regs, memory);
	if (rule == ML_CFA_BAD)
		return ML_WALK_NO_UNWIND_INFO;

	uint64_t cfa = ml_unwind_cfa(row, regs, memory, &fault);
	uint64_t ra, bp = regs->bp;

	if (fault)
		return ML_WALK_FAULT;
	/* The stack grows down and in words: a CFA that does not rise is a wrong one, and would let
	 * the walk go round in circles. Another stack may lie anywhere. */
	if ((cfa <= regs->sp && rule != ML_CFA_GO_STACK) || (cfa & 7))
		return ML_WALK_NO_UNWIND_INFO;
	if (rbp_rule == ML_RBP_CFA)
		fault = ML_UNWIND_READ(memory, cfa + rbp_offset, &bp);
	else if (rbp_rule == ML_RBP_RBP)
		fault = ML_UNWIND_READ(memory, regs->bp + (int64_t)row.rbp_words * 8, &bp);
	else if (rbp_rule == ML_RBP_UNDEF)
		bp = 0; /* never a stack address: whoever needs it stops */
	if (fault || ML_UNWIND_READ(memory, cfa - 8, &ra))
		return ML_WALK_FAULT;
	if (!ra)
		return ML_WALK_COMPLETE;
	regs->bp = bp;
	regs->bx_at = ml_unwind_rbx(row, cfa, regs->bx_at);
	regs->sp = cfa;
	regs->ip = ra;
	regs->is_call = 1;
	return ML_WALK_MORE;
}

#endif
