/* SPDX-License-Identifier: BSD-2-Clause */
/** What one module says about itself: the names of interest it defines, and what it is. */
#ifndef ML_ALLOCATORS_SURVEY_H
#define ML_ALLOCATORS_SURVEY_H

#include "allocators/options.h"
#include "allocators/roles.h"

/** A name of interest and where it stands. */
struct ml_found {
	struct ml_symbol symbol;
	struct ml_role_name meaning;
};

struct ml_survey {
	ML_ARRAY(struct ml_found) found; /**< by address, one for each; the best name and role */
	struct ml_module *module;        /**< borrowed */
	bool is_main;
	bool is_named;    /**< by -O: its private names count as well */
	bool is_static;   /**< a static program, its own C library included */
	bool is_loader;   /**< glibc's ld.so: what it allocates is its own */
	bool is_libc;     /**< glibc or musl as a library */
	bool is_provider; /**< defines malloc and free for others */
	bool has_glibc, has_jemalloc, has_tcmalloc, has_mimalloc, has_tbb;
	bool has_prefix; /**< some PREFIXmalloc… of -S was found */
};

/**
 * Surveys @p candidate. Marks the @p functions it finds as found. Names that mean nothing in a
 * module like this are left out of the list.
 */
void ml_survey_module(const struct ml_allocator_candidate *candidate,
		      const struct ml_allocator_options *options,
		      struct ml_user_functions *functions, struct ml_survey *out);

void ml_survey_deinit(struct ml_survey *survey);

/** What to call the allocator: see struct ml_allocator. */
const char *ml_survey_kind(const struct ml_survey *survey);

#endif
