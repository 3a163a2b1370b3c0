/* SPDX-License-Identifier: BSD-2-Clause */
/** The user's words on allocators, taken apart. */
#ifndef ML_ALLOCATORS_OPTIONS_H
#define ML_ALLOCATORS_OPTIONS_H

#include "allocators/allocator.h"

/** A function the user named. */
struct ml_user_function {
	const char *option; /**< "--alloc-fn" or "--free-fn" */
	char *name;         /**< owned */
	enum ml_role role;
	bool is_found; /**< some module has it */
	bool is_ifunc; /**< some module has it as an IFUNC, which cannot be probed */
};

struct ml_user_functions {
	ML_ARRAY(struct ml_user_function) list;
};

/** Takes --alloc-fn and --free-fn apart; ML_ERROR_USAGE for words that mean nothing. */
struct ml_error *ml_user_functions_parse(const struct ml_allocator_options *options,
					 struct ml_user_functions *out);

void ml_user_functions_deinit(struct ml_user_functions *functions);

/**
 * True when -O @p object means @p module: its path, its file name, the name without version
 * (libc.so) or the name between "lib" and ".so" (c, as bcc takes it).
 */
bool ml_object_is_module(const char *object, struct ml_module *module);

#endif
