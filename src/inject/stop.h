/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Threads of a target, stopped by ptrace without a signal, and system calls made in their name.
 *
 * For a process forked for the purpose, which is not killed with the tool: what it began is then
 * finished. Only what is held at its birth or exec by the tool's own ptrace is handled by the tool
 * itself. But a killed one, too, leaves every thread in order: the kernel lets them go on.
 */
#ifndef ML_INJECT_STOP_H
#define ML_INJECT_STOP_H

#include "base/array.h"
#include "base/error.h"
#include "inject/call_place.h"
#include "shared/agent_abi.h"
#include "target/proc.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** Signals that can come to a thread while it runs a call of ours; Linux 3.11 keeps them away. */
#define ML_SIGNALS_KEPT 64u

struct ml_stopped {
	pid_t tid;
	bool was_running;  /**< when all were listed */
	bool is_stopped;   /**< it has been seen to be */
	uint64_t ip;       /**< where it stood then */
	uint64_t begin_ns; /**< CLOCK_MONOTONIC when it was told to stop, or had not done so yet */
	/** To be delivered when it goes on. */
	uint8_t signals[ML_SIGNALS_KEPT];
	uint32_t signal_count;
};

struct ml_stop {
	pid_t pid;
	int memory_fd; /**< /proc/PID/mem */
	bool is_held;  /**< stopped by our own ptrace before, and to stay so */
	bool is_alone; /**< they have no other processor than ours, it seems */
	/** Its filters may kill for restart_syscall(2), which a sleep goes on with after a stop. */
	bool is_filtered;
	pid_t only;                        /**< the thread that is stopped; 0: all are */
	const struct ml_call_place *place; /**< where code of ours stands; NULL: none yet */
	uint64_t longest_ns; /**< how long a thread was stopped at most, of those that go on */
	ML_ARRAY(struct ml_stopped) threads;
};

/**
 * Takes hold of every thread of @p pid, or of thread @p only (not 0), so that nobody else can; if
 * that one has ended there are no threads then. They run on, but one that gets a signal waits until
 * they are stopped: soon. After an error, and when the caller does not stop them after all, they
 * are let go by its end.
 */
struct ml_error *ml_stop_seize(pid_t pid, pid_t only, struct ml_stop *out);

/** Forgets a stop that was ended, or came to nothing. */
void ml_stop_forget(struct ml_stop *stop);

/** Stops what was seized, and threads that were born meanwhile; the main one comes first. Nothing
 * is stopped on an error. */
struct ml_error *ml_stop_begin(struct ml_stop *stop);

/** Looks at stopped thread @p thread; true when it need not be looked at again. */
typedef bool ml_stop_look(void *context, const struct ml_stop *stop,
			  const struct ml_stopped *thread);

/**
 * Stops threads @p tids a few at a time, each for no longer than it takes to @p look at it. @p stop
 * says of which process, and what it is given for that; memory_fd is -1. Those that need not be
 * looked at again leave @p tids, as do those that have ended; one that does not stop stays, and is
 * still told to: it is to be visited again soon, or let go by the caller's end.
 */
struct ml_error *ml_stop_visit(struct ml_stop *stop, ml_proc_tids *tids, ml_stop_look *look,
			       void *context);

/** For a process of one thread that our own ptrace has stopped already; it stays stopped. */
struct ml_error *ml_stop_begin_held(pid_t pid, struct ml_stop *out);

/** Counts the stop, which has just ended, or with one thread is about to, in @p header. */
void ml_stop_count(const struct ml_stop *stop, struct ml_agent_header *header);

/** Lets all go on but a held one. */
void ml_stop_end(struct ml_stop *stop);

bool ml_stop_read(const struct ml_stop *stop, uint64_t address, void *buffer, size_t size);
/** Also into memory the target itself cannot write. */
bool ml_stop_write(const struct ml_stop *stop, uint64_t address, const void *buffer, size_t size);

/**
 * Makes the first stopped thread run system call @p number at @p place, which must live as long as
 * the stop. *@p result is its raw result, negative errno for a failure. A tool that is killed
 * meanwhile, wherever it is, leaves a thread that goes on as it would have.
 */
struct ml_error *ml_stop_syscall(struct ml_stop *stop, const struct ml_call_place *place,
				 long number, const uint64_t arguments[6], int64_t *result);

/** Puts back what stands there otherwise; ml_stop_end() does. */
void ml_stop_clear_call(struct ml_stop *stop);

#endif
