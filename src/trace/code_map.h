/* SPDX-License-Identifier: BSD-2-Clause */
/** The executable mappings of one process, now and before: which module an address is in. */
#ifndef ML_TRACE_CODE_MAP_H
#define ML_TRACE_CODE_MAP_H

#include "base/array.h"
#include "model/snapshot.h"
#include "target/maps.h"
#include "trace/module_cache.h"

#include <stdbool.h>
#include <stdint.h>

/** One executable mapping. */
struct ml_code {
	uint64_t start, end;
	uint64_t bias; /**< runtime address − ELF address */
	struct ml_module
		*module; /**< borrowed from the cache; NULL for memory without a file (JIT) */
	bool is_mapped;  /**< false once it is gone: kept to name old stacks */
};

struct ml_code_map {
	ML_ARRAY(struct ml_code) list; /**< mapped ones sorted by start, then the gone ones */
	size_t mapped_count;           /**< how many in front are mapped */
	uint64_t unreadable;           /**< files that could not be opened as ELF */
};

/** What a look at the maps found changed. */
struct ml_code_change {
	bool added;   /**< there is code that was not there */
	bool removed; /**< code has gone: resolve stacks that may run through it */
};

/**
 * Compares @p map with @p maps of @p process without changing it. */
struct ml_code_change ml_code_map_compare(const struct ml_code_map *map,
					  const struct ml_maps *maps);

/** Brings @p map up to date with @p maps; opens what is new through @p cache. */
void ml_code_map_update(struct ml_code_map *map, struct ml_module_cache *cache,
			const struct ml_process *process, const struct ml_maps *maps);

/** The newest mapping that holds or held @p ip, or NULL. */
const struct ml_code *ml_code_map_find(const struct ml_code_map *map, uint64_t ip);

/** Puts the return address (or, !@p is_call, address) @p ip into its module. */
struct ml_stack_frame ml_code_map_frame(const struct ml_code_map *map, uint64_t ip, bool is_call);

/** True when the program of @p map has its C library within. */
bool ml_code_map_is_static(const struct ml_code_map *map);

void ml_code_map_deinit(struct ml_code_map *map);

#endif
