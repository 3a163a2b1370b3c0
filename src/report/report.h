/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A frozen report: sorted, symbolized, judged. The only thing renderers see.
 */
#ifndef ML_REPORT_REPORT_H
#define ML_REPORT_REPORT_H

#include "base/strbuf.h"
#include "model/snapshot.h"
#include "model/verdict.h"
#include "symbols/symbolizer.h"
#include "target/memory_limit.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

/** One frame as shown; strings are escaped when printed, not here. */
struct ml_report_frame {
	uint64_t ip;
	uint64_t address;         /**< of ip in the ELF file; ip when there is no file */
	const char *symbol;       /**< demangled; NULL when unknown */
	const char *mangled;      /**< as in the file; NULL when unknown */
	const char *short_symbol; /**< for the text report */
	uint64_t offset;    /**< from the symbol's start; from the module's when symbol is NULL */
	const char *module; /**< name without directory; "unknown" when nothing was mapped */
	const char *module_path; /**< as the target names it; NULL when there is no file */
	const char *build_id;    /**< hex or NULL */
	const char *file;        /**< source file as DWARF names it; NULL when unknown */
	int line;                /**< 0 when unknown */
	bool is_inlined;
	bool is_interpreter; /**< only runs the interpreted frames before it: not for people */
	enum ml_frame_kind kind;
};

struct ml_report_site {
	uint64_t id;
	pid_t pid;
	const char *comm;      /**< of pid, for reports of several processes */
	uint64_t bytes, count; /**< outstanding and old enough */
	uint64_t allocs, frees;
	uint64_t alloc_bytes;            /**< ever allocated */
	uint64_t lost_bytes, lost_count; /**< nothing pointed to them when the program ended */
	int64_t oldest_ms, newest_ms;    /**< ages; -1 when unknown */
	struct ml_verdict verdict;
	uint64_t calls;     /**< see ml_report_calls(); 0: not known */
	bool is_stack_lost; /**< the tracer could not give the stack: no frames, no `end` */
	enum ml_walk_end end;
	ML_ARRAY(struct ml_report_frame) frames;
	size_t owner; /**< index + 1 in frames of where to look; 0 = not looked for (owner.h) */
	ML_ARRAY(struct ml_block) blocks; /**< with -a, oldest first */
	/** Its history, oldest first: live blocks of any age. Empty when nothing is known of it. */
	ML_ARRAY(struct ml_timeline_point) points;
};

/** What makes a site big. */
enum ml_report_sort { ML_SORT_SIZE, ML_SORT_COUNT };

/** How allocations were chosen. */
enum ml_sampling_mode { ML_SAMPLING_ALL, ML_SAMPLING_NTH, ML_SAMPLING_BYTES };

/** Lines of a source file around one that a frame names. */
struct ml_report_excerpt {
	const char *file; /**< as frames have it; borrowed like theirs */
	int line;         /**< the one that is meant */
	int first_line;
	char *text; /**< owned; lines end with '\n', bytes as in the file */
};

/** What all verdicts together say (summary.h). */
struct ml_summary {
	char text[256];                       /**< a sentence for people; "" when none was made */
	size_t sites[ML_VERDICT_STARTUP + 1]; /**< by verdict */
	double leak_bytes_per_s, growing_bytes_per_s;
	double eta_s; /**< until the report's limit is reached at this rate; < 0 never or unknown */
};

struct ml_report {
	/* the target */
	bool is_kernel;
	pid_t pid;
	const char *comm, *exe, *container; /**< NULL when unknown */
	const char *backend;
	enum ml_sampling_mode sampling;
	uint64_t sampling_n;
	/* the moment */
	struct timespec time; /**< CLOCK_REALTIME */
	int utc_offset_s;     /**< of the local time where it was made */
	uint64_t now_ns;      /**< CLOCK_MONOTONIC of the snapshot */
	uint64_t start_ns;    /**< the same when tracing began: where the histories' time begins */
	double elapsed_s;
	bool is_final;
	const char *end_reason; /**< why it is the last ("the target ended"), or NULL */
	/* the books */
	uint64_t outstanding_bytes,
		outstanding_count; /**< sums over all sites, not only those shown */
	uint64_t allocs, frees, untracked_frees;
	uint64_t counters[ML_COUNTER_COUNT];
	double target_cpu_fraction; /**< < 0 unknown */
	double tool_cpu_s, events_per_s;
	/* the sites, best first; every site with something to show */
	ML_ARRAY(struct ml_report_site) sites;
	enum ml_report_sort sort; /**< how they are sorted */
	/** The history of the sum of all sites, those suppressed included. */
	ML_ARRAY(struct ml_timeline_point) points;
	/** RSS of the target in live_bytes, the other figures 0. Empty when not known. */
	ML_ARRAY(struct ml_timeline_point) resident;
	/** Source lines, where somebody looked for them (excerpts.h). */
	ML_ARRAY(struct ml_report_excerpt) excerpts;
	size_t top;      /**< how many the text report shows */
	bool is_limited; /**< the user chose `top`: other formats keep to it too */
	bool show_blocks;
	bool use_colour;              /**< terminal colours in the text report */
	bool is_many_processes;       /**< name the processes of sites; set before it is built */
	struct ml_memory_limit limit; /**< what the target's memory runs into */
	struct ml_summary summary;
	ML_ARRAY(char *) notes;   /**< owned; remarks for people on the report, a line each */
	ML_ARRAY(char *) strings; /**< owned; what frames and sites point to */
};

/** So many leaks are shown in text however small they are. */
#define ML_REPORT_LEAKS_SHOWN 5

/** Frames named before, as a recording keeps them. */
struct ml_report_recorded {
	/** How many frames at the front of @p stack belong to the allocator. */
	size_t (*internal)(void *context, const struct ml_stack *stack);
	/** Adds the others to @p site. */
	void (*name)(void *context, const struct ml_stack *stack, struct ml_report_site *site);
};

/** What build needs besides the snapshot. All borrowed. */
struct ml_report_input {
	const struct ml_snapshot *snapshot;
	const struct ml_timeline *timeline; /**< already holds the snapshot */
	struct ml_symbolizer *symbolizer;
	/** The stack of an id, NULL when lost. */
	const struct ml_stack *(*stack)(void *context, uint64_t id);
	/** comm and inner pid of a traced process. */
	const char *(*comm)(void *context, pid_t pid);
	pid_t (*inner_pid)(void *context, pid_t pid);
	const struct ml_report_recorded *recorded; /**< in place of the symbolizer, or NULL */
	void *context;
	enum ml_report_sort sort;
	/** Sites to symbolize, and groups of them (groups.h): their biggest sites. Those behind
	 * stay without frames, but for the first ML_REPORT_LEAKS_SHOWN that leak. 0 = all. */
	size_t symbolize_limit;
};

/**
 * Fills sites (sorted by bytes or count), totals and counters of @p report from @p input; the other
 * members are the caller's to set, before or after. @p report is all-zero or has been deinit'ed.
 *
 * Sites are those with something to show; outstanding_bytes is the sum of theirs. Frames of the
 * allocator itself and of operator new in front are dropped; sites that become the same after that
 * are merged under the id and the verdict of the bigger one; their histories add up. Frames point
 * to strings of the symbolizer, of the modules and of @p report, and must not outlive them; the
 * names comm() gives are copied.
 */
void ml_report_build(const struct ml_report_input *input, struct ml_report *report);

/** Frees what build made. The report is empty afterwards. */
void ml_report_deinit(struct ml_report *report);

/** Adds a remark for people on the whole report: a "# " line of the text, `notes` of the JSON. */
void ml_report_note(struct ml_report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** @p report's time as the clock on the wall of its machine showed it. */
struct tm ml_report_local_time(const struct ml_report *report);

/** How many sites a renderer that lists all of them shows: `top` when the user chose it. */
size_t ml_report_listed(const struct ml_report *report);

/** Adds what @p frame is called where it stands alone, as it is: not escaped. */
void ml_report_frame_name(struct ml_strbuf *name, const struct ml_report_frame *frame);

/** What is behind the last slash of @p path, all of it when nothing is. */
const char *ml_report_file_name(const char *path);

/** The sum of sites that are not there to see. */
struct ml_report_others {
	uint64_t sites, bytes, count, allocs, alloc_bytes;
};
/** Of those that a renderer does not list. */
struct ml_report_others ml_report_others(const struct ml_report *report);

/** Takes the sites that @p is_out is true of out of @p report and its sums; returns theirs. */
struct ml_report_others ml_report_leave_out(struct ml_report *report,
					    bool (*is_out)(const void *context,
							   const struct ml_report_site *site),
					    const void *context);

/** Adds what counter @p i means for the figures when it is @p number, not 0: "1 frame without a
 * symbol". */
void ml_report_add_caveat(struct ml_strbuf *text, size_t i, uint64_t number);

/** A way to write reports. Each format is one file with one of these. */
struct ml_report_format {
	const char *name; /**< as in --format */
	bool is_stream;   /**< reports follow each other; else only the last one is written */
	void (*write)(FILE *out, const struct ml_report *report);
};

extern const struct ml_report_format ml_report_text;
extern const struct ml_report_format ml_report_json;
extern const struct ml_report_format ml_report_folded;
extern const struct ml_report_format ml_report_pprof;
extern const struct ml_report_format ml_report_heaptrack;
extern const struct ml_report_format ml_report_svg;
extern const struct ml_report_format ml_report_html;

/** The format called @p name, or NULL. */
const struct ml_report_format *ml_report_format_named(const char *name);

#endif
