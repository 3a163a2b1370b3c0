/* SPDX-License-Identifier: BSD-2-Clause */
/** The dynamic loader of a process, and the function it calls when it has loaded something. */
#ifndef ML_TRACE_DYNAMIC_LOADER_H
#define ML_TRACE_DYNAMIC_LOADER_H

#include "elf/module.h"
#include "trace/code_map.h"

/** The function that loaders call for debuggers. */
#define ML_DEBUG_STATE "_dl_debug_state"

struct ml_dynamic_loader {
	const struct ml_code *code; /**< where it is mapped; borrowed from the map */
	/** Called when the loader begins to change what is loaded and when that is done, before any
	 * code of the new libraries runs (glibc: elf/dl-open.c; musl: ldso/dynlink.c). */
	struct ml_symbol debug_state;
};

/** Finds it among the mapped code; false when there is none, as in a static program. */
bool ml_dynamic_loader_find(const struct ml_code_map *map, struct ml_dynamic_loader *out);

#endif
