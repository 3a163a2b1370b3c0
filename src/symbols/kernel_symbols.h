/* SPDX-License-Identifier: BSD-2-Clause */
/** The functions of the running kernel, as /proc/kallsyms lists them. */
#ifndef ML_SYMBOLS_KERNEL_SYMBOLS_H
#define ML_SYMBOLS_KERNEL_SYMBOLS_H

#include "base/array.h"
#include "base/error.h"

#include <stdint.h>

struct ml_kernel_symbol {
	uint64_t address;
	const char *name;   /**< in the text */
	const char *module; /**< "kernel" or the name of a loadable module */
};

/** All-zero is empty. */
struct ml_kernel_symbols {
	ML_ARRAY(struct ml_kernel_symbol) list; /**< sorted by address */
	char *text;                             /**< owned; the names point into it */
};

/**
 * Takes @p text, in the format of /proc/kallsyms, over. Functions only. When kptr_restrict hides
 * the addresses (all are 0) there are none.
 */
void ml_kernel_symbols_parse(char *text, struct ml_kernel_symbols *out);

/** The same of the running kernel. */
struct ml_error *ml_kernel_symbols_read(struct ml_kernel_symbols *out);

/** The function that holds @p ip, or NULL. */
const struct ml_kernel_symbol *ml_kernel_symbols_find(const struct ml_kernel_symbols *symbols,
						      uint64_t ip);

void ml_kernel_symbols_deinit(struct ml_kernel_symbols *symbols);

#endif
