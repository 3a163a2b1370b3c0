/* SPDX-License-Identifier: BSD-2-Clause */
/** The table of a CPython code object (co_linetable, 3.11 on) that says which line an instruction
 * is of. */
#ifndef ML_SYMBOLS_PYTHON_LINE_H
#define ML_SYMBOLS_PYTHON_LINE_H

#include <stddef.h>
#include <stdint.h>

/**
 * The line of the instruction at byte @p offset of the bytecode, by the @p size bytes of @p table;
 * @p first_line is co_firstlineno. 0 when the table does not say.
 */
int ml_python_line(const uint8_t *table, size_t size, int first_line, uint64_t offset);

#endif
