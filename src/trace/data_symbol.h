/* SPDX-License-Identifier: BSD-2-Clause */
/** Variables of a module by name. (Functions are found by elf/module.h.) */
#ifndef ML_TRACE_DATA_SYMBOL_H
#define ML_TRACE_DATA_SYMBOL_H

#include "elf/module.h"

#include <stdint.h>

/** ELF address of the variable @p name of @p module, by .dynsym and .symtab; 0 when not there. */
uint64_t ml_data_symbol_address(struct ml_module *module, const char *name);

#endif
