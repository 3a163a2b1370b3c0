/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The books of one moment, as a tracer hands them over: plain data, nothing symbolized.
 *
 * A *site* is one stack of one process: everything allocated through exactly these calls.
 */
#ifndef ML_MODEL_SNAPSHOT_H
#define ML_MODEL_SNAPSHOT_H

#include "base/array.h"
#include "shared/counters.h"
#include "shared/walk_end.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ml_module; /* elf/module.h; opaque here */

/** Whose code a frame is. */
enum ml_frame_kind {
	ML_FRAME_NATIVE,
	ML_FRAME_JIT, /**< executable memory without a file */
	ML_FRAME_KERNEL,
	ML_FRAME_PYTHON,
	ML_FRAME_JAVA,
};

/** What an interpreter says of one of its functions. Lives as long as the tracer. */
struct ml_frame_name {
	const char *symbol; /**< NULL when it could not be read */
	const char *file;   /**< NULL when it could not be read */
	int line;           /**< 0 when unknown */
};

/** One address of a stack, put into its module while the module was known. */
struct ml_stack_frame {
	uint64_t ip; /**< as in the process: a return address unless !is_call */
	struct ml_module
		*module;  /**< borrowed from the tracer; NULL when nothing was mapped there */
	uint64_t address; /**< ELF address of ip in `module` */
	enum ml_frame_kind kind;
	bool is_call;        /**< the call is in the instruction before ip */
	bool is_interpreter; /**< native code that only runs the interpreted frames before it */
	bool is_inlined;     /**< Java: its code is part of the next frame's */
	const struct ml_frame_name *name; /**< borrowed from the tracer; of interpreted frames */
};

/** A stack, innermost (the caller of the allocator) first. */
struct ml_stack {
	uint64_t id;
	pid_t pid; /**< whose; 0 for the kernel's */
	enum ml_walk_end end;
	uint32_t count;
	struct ml_stack_frame *frames;
};

/** One block that is allocated. */
struct ml_block {
	uint64_t address;
	uint64_t size;    /**< bytes asked for */
	uint64_t stack;   /**< id of its stack */
	uint64_t born_ns; /**< CLOCK_MONOTONIC */
	pid_t pid;
	pid_t tid;
	bool is_sample; /**< it was sampled by bytes, and stands for others, too */
};

/** Blocks of a site that are alive are counted by when they were born, in this many cohorts. */
#define ML_COHORTS 32

/**
 * When each cohort begins, ascending: cohort i is what was born from start_ns[i] until
 * start_ns[i + 1], the last one until now. What was born before the first is counted in it.
 */
struct ml_cohort_starts {
	size_t count;
	uint64_t start_ns[ML_COHORTS];
};

/** What is alive of each cohort of one site. */
struct ml_site_cohorts {
	uint64_t bytes[ML_COHORTS];
	uint64_t count[ML_COHORTS];
};

/** The books of one site. "Shown" figures are those of blocks that pass the age filter. */
struct ml_site_books {
	uint64_t stack; /**< id of its stack; unique in a snapshot */
	uint64_t allocs;
	uint64_t frees;
	uint64_t alloc_bytes; /**< ever allocated */
	uint64_t free_bytes;  /**< ever freed */
	uint64_t live_bytes;  /**< allocated now, any age */
	uint64_t live_count;
	uint64_t shown_bytes; /**< allocated now and old enough */
	uint64_t shown_count;
	uint64_t oldest_born_ns; /**< birth of the oldest block alive; 0 when unknown or none */
	uint64_t newest_born_ns;
	/** Of the live ones, those that nothing pointed to when the program ended. */
	uint64_t lost_bytes;
	uint64_t lost_count;
	uint64_t cohorts; /**< index + 1 in the snapshot's cohorts; 0 = nothing is alive */
};

struct ml_snapshot {
	uint64_t time_ns;                     /**< CLOCK_MONOTONIC */
	ML_ARRAY(struct ml_site_books) sites; /**< in no order; also sites with nothing alive */
	ML_ARRAY(struct ml_block) blocks;     /**< old enough ones, when asked for */
	uint64_t allocs;                      /**< successful allocations seen */
	uint64_t frees;                       /**< frees of blocks we know */
	uint64_t untracked_frees; /**< frees of blocks from before we came (or not sampled) */
	uint64_t counters[ML_COUNTER_COUNT];
	uint64_t resident_bytes; /**< RSS of the targets, all their memory; 0 when unknown */
	bool has_cohorts;        /**< they were counted, as the filter asked */
	ML_ARRAY(struct ml_site_cohorts) cohorts; /**< see ml_site_books.cohorts */
};

/** What a caller wants of a snapshot. */
struct ml_snapshot_filter {
	uint64_t min_age_ns; /**< blocks younger than this are alive but not shown */
	bool want_blocks;    /**< fill `blocks` */
	/** Blocks born before are alive but not shown: what came after a mark. CLOCK_MONOTONIC. */
	uint64_t born_after_ns;
	bool want_ages; /**< false (--combined-only): do not read single blocks; shown = live */
	/** Borrowed; NULL: no cohorts. They come with the ages only. */
	const struct ml_cohort_starts *cohorts;
};

/**
 * Sorts the sites by their stacks' ids: the same books make the same report, in whatever order a
 * tracer keeps them.
 */
void ml_snapshot_sort(struct ml_snapshot *snapshot);

/** The cohort of a block born at @p born_ns; @p starts has at least one. */
static inline size_t ml_cohort_of(const struct ml_cohort_starts *starts, uint64_t born_ns)
{
	size_t low = 0, high = starts->count;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (starts->start_ns[middle] <= born_ns)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/** Counts a block of @p site that is alive in its cohort, when cohorts are asked for. */
static inline void ml_snapshot_add_cohort(struct ml_snapshot *snapshot, struct ml_site_books *site,
					  const struct ml_snapshot_filter *filter, uint64_t born_ns,
					  uint64_t bytes, uint64_t count)
{
	struct ml_site_cohorts *cohorts;
	size_t cohort;

	if (!filter->want_ages || !filter->cohorts)
		return;
	if (!site->cohorts) {
		*ml_array_push(&snapshot->cohorts) = (struct ml_site_cohorts){0};
		site->cohorts = snapshot->cohorts.count;
	}
	cohorts = &snapshot->cohorts.items[site->cohorts - 1];
	cohort = ml_cohort_of(filter->cohorts, born_ns);
	cohorts->bytes[cohort] += bytes;
	cohorts->count[cohort] += count;
}

/** Books a block of @p site that is alive: live figures and ages, not yet its cohort. */
static inline void ml_site_books_add(struct ml_site_books *site, uint64_t born_ns, uint64_t bytes,
				     uint64_t count)
{
	site->live_bytes += bytes;
	site->live_count += count;
	if (!site->oldest_born_ns || born_ns < site->oldest_born_ns)
		site->oldest_born_ns = born_ns;
	if (born_ns > site->newest_born_ns)
		site->newest_born_ns = born_ns;
}

/** Shows @p block of @p site, which stands for @p count blocks of @p bytes, when it is old enough.
 */
static inline void ml_snapshot_show_block(struct ml_snapshot *snapshot, struct ml_site_books *site,
					  const struct ml_snapshot_filter *filter,
					  const struct ml_block *block, uint64_t bytes,
					  uint64_t count)
{
	/* Born after the snapshot began: age 0. */
	uint64_t age = block->born_ns < snapshot->time_ns ? snapshot->time_ns - block->born_ns : 0;

	if (filter->want_ages &&
	    (age < filter->min_age_ns || block->born_ns < filter->born_after_ns))
		return;
	site->shown_bytes += bytes;
	site->shown_count += count;
	if (filter->want_blocks)
		*ml_array_push(&snapshot->blocks) = *block;
}

/**
 * Books @p block of @p site (one of @p snapshot's), which stands for @p count blocks of @p bytes,
 * and shows it when it is old enough.
 */
static inline void ml_snapshot_add_block(struct ml_snapshot *snapshot, struct ml_site_books *site,
					 const struct ml_snapshot_filter *filter,
					 const struct ml_block *block, uint64_t bytes,
					 uint64_t count)
{
	ml_site_books_add(site, block->born_ns, bytes, count);
	ml_snapshot_add_cohort(snapshot, site, filter, block->born_ns, bytes, count);
	ml_snapshot_show_block(snapshot, site, filter, block, bytes, count);
}

static inline void ml_snapshot_deinit(struct ml_snapshot *snapshot)
{
	ml_array_free(&snapshot->sites);
	ml_array_free(&snapshot->blocks);
	ml_array_free(&snapshot->cohorts);
}

#endif
