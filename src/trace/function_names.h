/* SPDX-License-Identifier: BSD-2-Clause */
/** Numbers for names of probed functions: what a cookie has room for. */
#ifndef ML_TRACE_FUNCTION_NAMES_H
#define ML_TRACE_FUNCTION_NAMES_H

#include "base/array.h"

#include <stdint.h>

struct ml_function_names {
	ML_ARRAY(const char *) list; /**< by number; each a copy of ours */
};

/** The number of @p name, new or old; the last one of 16 bits is shared by all beyond. */
uint16_t ml_function_names_id(struct ml_function_names *names, const char *name);

void ml_function_names_deinit(struct ml_function_names *names);

#endif
