/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Every mapped file once, however many processes and mappings it has; files of equal contents
 * share what is read of them (ml_module_share()).
 */
#ifndef ML_TRACE_MODULE_CACHE_H
#define ML_TRACE_MODULE_CACHE_H

#include "base/error.h"
#include "elf/module.h"
#include "target/process.h"

struct ml_module_cache;

struct ml_module_cache *ml_module_cache_create(void);
/** Drops the cache's references. NULL is fine. */
void ml_module_cache_destroy(struct ml_module_cache *cache);

/**
 * The module behind @p mapping of @p process; borrowed, lives as long as the cache. The vDSO is
 * read out of the process's memory. A file that cannot be opened or is no ELF is an error the first
 * time and ML_ERROR_FORMAT "…: seen before" later, so that it is not tried at every look.
 */
struct ml_error *ml_module_cache_get(struct ml_module_cache *cache,
				     const struct ml_process *process,
				     const struct ml_mapping *mapping, struct ml_module **out);

#endif
