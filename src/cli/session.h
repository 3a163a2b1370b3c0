/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * One run of the tracer: a single thread, one epoll loop, from "attached" to the last report.
 */
#ifndef ML_CLI_SESSION_H
#define ML_CLI_SESSION_H

#include "base/clock.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "base/u64map.h"
#include "cli/births.h"
#include "cli/call_printer.h"
#include "cli/command.h"
#include "cli/lost_blocks.h"
#include "cli/members.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/reporter.h"
#include "cli/targets.h"
#include "live/live.h"
#include "target/follow.h"
#include "target/launch.h"

#include <stdbool.h>
#include <stdint.h>

/** Why a session is over. */
enum ml_session_end {
	ML_SESSION_GOES_ON,
	ML_SESSION_COUNT,  /**< the last report asked for was made */
	ML_SESSION_SIGNAL, /**< INT, TERM or HUP */
	ML_SESSION_TARGET, /**< every target ended */
	ML_SESSION_QUIT,   /**< by the user, in the live view */
	ML_SESSION_READER, /**< whoever read the reports went away */
};

/** How often it is looked what tracing costs. */
#define ML_SESSION_LOOK_NS ML_NS_PER_SECOND

struct ml_session {
	/* borrowed but for the tracer */
	const struct ml_options *options;
	struct ml_tracer *tracer; /**< owned */
	struct ml_output *output;
	struct ml_command *command; /**< NULL when none was started; to be set before run */

	struct ml_targets targets;
	struct ml_reporter reporter;
	struct ml_follow *follow; /**< NULL without --follow */
	bool had_turn; /**< a followed process was let go for a moment: its children are looked for
			*/
	bool is_launching; /**< the exec that is told is the command's own */
	struct ml_call_printer calls;
	struct ml_live *live; /**< with --live, while it runs */
	bool watches_end;     /**< the command is kept a tracee to its end; before run */
	struct ml_lost_blocks lost;
	struct ml_members members;     /**< of a container */
	uint64_t members_look_ns;      /**< when new ones were looked for last */
	struct ml_u64map members_seen; /**< pid → start time of those that were tried */
	int epoll_fd, timer_fd, signal_fd;
	/** To be called every ML_SESSION_LOOK_NS while the session runs; before run, may be NULL.
	 */
	void (*look)(void *context);
	void *look_context;
	int look_fd; /**< a timer */
	/** Where following begins; NULL before, and where perf does not let us. */
	struct ml_births *births;
	uint64_t began_ticks;  /**< since boot, when everything was attached to */
	uint64_t intervals;    /**< that have passed */
	uint64_t last_look_ns; /**< when the targets' images were last compared */
	uint64_t deadline_ns;  /**< the command's time to end; 0 = nobody asked it to */
	enum ml_session_end end;
	struct ml_error *problem; /**< ends the session with an error */
};

/**
 * Takes @p tracer over; what @p writer borrows, and @p record (NULL: nothing is recorded), must
 * live as long as the session. Signals must be blocked (ml_signals_block()). ml_session_deinit()
 * also after a failure.
 */
struct ml_error *ml_session_init(struct ml_session *session, const struct ml_options *options,
				 struct ml_tracer *tracer, const struct ml_report_writer *writer,
				 struct ml_record_file *record);

/** Takes @p process over (also on failure) and attaches to it. */
struct ml_error *ml_session_add(struct ml_session *session, struct ml_process *process);

/** How often processes that joined the container are looked for. */
#define ML_SESSION_MEMBERS_NS (100 * ML_NS_PER_MS)

/** Attaches to every process of the container; those already tried are left alone. */
struct ml_error *ml_session_add_members(struct ml_session *session);
/** Attaches to those that have joined it, when it is time to look for them. */
void ml_session_look_for_members(struct ml_session *session);

/** Lets a followed process go for a moment in which the tracer stops it (@p begins), or takes it
 * back. False when it cannot be let go now (ml_follow_leave()). */
bool ml_session_ptrace_turn(struct ml_session *session, pid_t pid, bool begins);
/** The command, which is kept to its end, stands at an exec: attaches to its new program and lets
 * it go on. */
void ml_session_command_execs(struct ml_session *session);
/** Learns of children that following has missed; at the @p end there will be no more told. */
void ml_session_count_missed(struct ml_session *session, bool at_end);
/** Attaches to children that were born during such a turn, of whom nobody told. */
void ml_session_look_for_children(struct ml_session *session);

/** Follows @p pid, which was added, and the children it already has. */
struct ml_error *ml_session_follow(struct ml_session *session, pid_t pid);

/**
 * Follows the command of @p launch from its first instruction on, in place of ml_launch_run(),
 * until its process @p pid is attached, has ended, or is seen not to have an allocator.
 */
struct ml_error *ml_session_follow_launch(struct ml_session *session, struct ml_launch *launch,
					  pid_t pid);

/** Lets the tracer handle its events; the calls of --trace are written. */
void ml_session_read_tracer(struct ml_session *session);

/**
 * Reports until the end, makes the last report and detaches. An error means that a report could not
 * be made or written; the tracer is detached all the same.
 */
struct ml_error *ml_session_run(struct ml_session *session);

/** Detaches and destroys the tracer and everything else. */
void ml_session_deinit(struct ml_session *session);

#endif
