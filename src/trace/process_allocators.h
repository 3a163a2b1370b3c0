/* SPDX-License-Identifier: BSD-2-Clause */
/** The allocation functions of a process, by what is mapped in it. */
#ifndef ML_TRACE_PROCESS_ALLOCATORS_H
#define ML_TRACE_PROCESS_ALLOCATORS_H

#include "allocators/allocator.h"
#include "trace/code_map.h"

/** Finds them among the modules of @p code. ML_ERROR_TARGET where its code is translated
 * (target/emulator.h): such a process must not be changed. */
struct ml_error *ml_code_map_allocators(const struct ml_code_map *code,
					const struct ml_allocator_options *options,
					struct ml_allocators *out);

/** ML_ERROR_UNSUPPORTED "no allocation functions found …", with all that was looked at
 * and what can be done. */
struct ml_error *ml_allocators_none(const struct ml_allocators *allocators,
				    const struct ml_code_map *code, pid_t pid);

/** True for the files of glibc and musl, by their names. */
bool ml_module_is_c_library(const struct ml_module *module);

/** True when an mmap called by code of @p module is the allocator's or the C library's own. */
bool ml_allocators_own(const struct ml_allocators *allocators, const struct ml_module *module);

#endif
