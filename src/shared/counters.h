/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/**
 * Everything that can make a number wrong, by name. One list gives the slot in the kernel's table,
 * the key in the JSON report's `caveats`, and the sentence in the text report.
 *
 * X(NAME, json_key, "sentence after the number"), of which the first word that ends with an s is
 * the noun: ml_report_add_caveat() takes the s away for one.
 */
#ifndef ML_SHARED_COUNTERS_H
#define ML_SHARED_COUNTERS_H

#define ML_COUNTERS(X)                                                                             \
	X(LIVE_TABLE_FULL, live_table_full,                                                        \
	  "allocations not kept: the table of live blocks is full (raise --max-blocks)")           \
	X(STACK_TABLE_FULL, stack_table_full,                                                      \
	  "stacks not kept: the stack table is full (raise --stack-storage-size)")                 \
	X(SITE_TABLE_FULL, site_table_full, "allocations of sites beyond the site table")          \
	X(STACKS_LOST, stacks_lost, "blocks whose stack could not be read back")                   \
	X(STACKS_FAULT, stacks_fault, "stacks cut short: memory of the stack could not be read")   \
	X(STACKS_NO_UNWIND_INFO, stacks_no_unwind_info,                                            \
	  "stacks cut short: code without unwind information")                                     \
	X(STACKS_DEPTH, stacks_depth, "stacks cut at the depth limit (--perf-max-stack-depth)")    \
	X(STACK_HASH_COLLISIONS, stack_hash_collisions, "stacks merged by a hash collision")       \
	X(CALLS_MISSED, calls_missed,                                                              \
	  "calls not seen: the kernel had no room to track their return")                          \
	X(RETURNS_LOST, returns_lost,                                                              \
	  "calls whose return was not seen (longjmp, exception, exit)")                            \
	X(TASK_STATE_LOST, task_state_lost, "calls not seen: no memory for the thread's state")    \
	X(MAP_EVENTS_LOST, map_events_lost, "mmap/munmap calls lost: mapped bytes may be wrong")   \
	X(CALL_EVENTS_LOST, call_events_lost, "calls not printed by --trace: the reader was slow") \
	X(MAPPINGS_BEYOND_LIMIT, mappings_beyond_limit,                                            \
	  "executable mappings beyond the kernel table: their frames end a stack")                 \
	X(UNWIND_TABLE_FULL, unwind_table_full,                                                    \
	  "modules without unwind rows: the row table is full")                                    \
	X(MODULES_UNREADABLE, modules_unreadable, "mapped files that could not be read")           \
	X(FUNCTIONS_NOT_PROBED, functions_not_probed,                                              \
	  "allocator functions that could not be probed")                                          \
	X(FUNCTIONS_BY_IMPORTS, functions_by_imports,                                              \
	  "allocator functions seen only where other modules call them, not within their own")     \
	X(FUNCTIONS_LATE, functions_late,                                                          \
	  "allocator functions traced only some time after their library was loaded")              \
	X(FRAMES_UNSYMBOLIZED, frames_unsymbolized, "frames without a symbol")                     \
	X(NEGATIVE_SITES, negative_sites,                                                          \
	  "sites with more frees than allocations (events crossed)")                               \
	X(PROCESSES_UNSEEN, processes_unseen,                                                      \
	  "processes not traced, or not from their start: what they allocated then is missing")

enum ml_counter {
#define X(name, key, text) ML_COUNTER_##name,
	ML_COUNTERS(X)
#undef X
		ML_COUNTER_COUNT,
};

#endif
