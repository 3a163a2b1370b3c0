/* SPDX-License-Identifier: BSD-2-Clause */
/** The few DWARF expressions that compilers, linkers and assembly put into CFI for x86-64. */
#ifndef ML_UNWIND_EXPRESSION_H
#define ML_UNWIND_EXPRESSION_H

#include "base/cursor.h"

#define ML_DWARF_RBX 3
#define ML_DWARF_RBP 6
#define ML_DWARF_RSP 7

enum ml_expression_kind {
	ML_EXPRESSION_OTHER,
	ML_EXPRESSION_REGISTER, /**< reg + offset */
	ML_EXPRESSION_DEREF,    /**< *(reg + offset) + addend */
	ML_EXPRESSION_PLT,      /**< rsp + 8 + ((rip & 15) >= threshold ? 8 : 0) */
};

struct ml_expression {
	enum ml_expression_kind kind;
	uint8_t reg; /**< ML_DWARF_RBP or ML_DWARF_RSP */
	int64_t offset;
	int64_t addend;
	uint8_t threshold;
};

/** Which of the kinds the expression in @p bytes is. */
struct ml_expression ml_expression_recognise(struct ml_cursor bytes);

#endif
