/* SPDX-License-Identifier: BSD-2-Clause */
#include "unwind/expression.h"

#include <dwarf.h>

static bool at_end(const struct ml_cursor *bytes)
{
	return !bytes->failed && !ml_cursor_left(bytes);
}

/**
 * What binutils, gold and lld write for a PLT entry: one word more is on the stack once its `push`
 * has run, which ends at byte 11 of the 16 (10 and others with IBT, where the push comes first).
 */
static bool plt_recognise(struct ml_cursor *bytes, uint8_t *threshold)
{
	if (ml_cursor_u8(bytes) != DW_OP_breg16 || ml_cursor_sleb(bytes) != 0 ||
	    ml_cursor_u8(bytes) != DW_OP_lit15 || ml_cursor_u8(bytes) != DW_OP_and)
		return false;

	uint8_t literal = ml_cursor_u8(bytes);

	if (literal < DW_OP_lit0 || literal > DW_OP_lit31)
		return false;
	if (ml_cursor_u8(bytes) != DW_OP_ge || ml_cursor_u8(bytes) != DW_OP_lit3 ||
	    ml_cursor_u8(bytes) != DW_OP_shl || ml_cursor_u8(bytes) != DW_OP_plus)
		return false;
	*threshold = literal - DW_OP_lit0;
	return at_end(bytes);
}

static bool deref_recognise(struct ml_cursor *bytes, int64_t *addend)
{
	if (ml_cursor_u8(bytes) != DW_OP_deref)
		return false;
	*addend = 0;
	if (at_end(bytes))
		return true;
	if (ml_cursor_u8(bytes) != DW_OP_plus_uconst)
		return false;
	*addend = (int64_t)ml_cursor_uleb(bytes);
	return at_end(bytes);
}

struct ml_expression ml_expression_recognise(struct ml_cursor bytes)
{
	struct ml_expression expression = {.kind = ML_EXPRESSION_OTHER};
	uint8_t op = ml_cursor_u8(&bytes);

	if (op != DW_OP_breg6 && op != DW_OP_breg7)
		return expression;
	expression.reg = op - DW_OP_breg0;
	expression.offset = ml_cursor_sleb(&bytes);

	struct ml_cursor rest = bytes;

	if (at_end(&bytes))
		expression.kind = ML_EXPRESSION_REGISTER;
	else if (deref_recognise(&rest, &expression.addend))
		expression.kind = ML_EXPRESSION_DEREF;
	else if (expression.reg == ML_DWARF_RSP && expression.offset == 8 &&
		 plt_recognise(&bytes, &expression.threshold))
		expression.kind = ML_EXPRESSION_PLT;
	return expression;
}
