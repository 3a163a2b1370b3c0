/* SPDX-License-Identifier: BSD-2-Clause */
/** The processes of a session: their life, from the first mapping to the end. */
#ifndef ML_CLI_TARGETS_H
#define ML_CLI_TARGETS_H

#include "base/array.h"
#include "base/error.h"
#include "cli/vitals.h"
#include "target/follow.h"
#include "target/process.h"
#include "trace/tracer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** One process. It stays in the list after its end: reports still name it. */
struct ml_target {
	/** Owned. NULL once it has ended, but for the first of the list: a shell script can start
	 * more children than there are descriptors. */
	struct ml_process *process;
	pid_t pid;
	char *comm;       /**< once process is NULL; owned */
	pid_t inner_pid;  /**< the same */
	bool is_attached; /**< its present image is traced */
	bool has_ended;
	bool is_late;     /**< it began, or its program did, while tracing went on without it */
	bool missed_exec; /**< an exec while nobody followed it: the next look tells */
	bool is_noted;    /**< the user was told why it is not attached */
	struct ml_error *problem;     /**< why the last try to attach failed, or NULL; owned */
	struct ml_vitals first, last; /**< when it came to us, and at the last look */
};

struct ml_targets {
	ML_ARRAY(struct ml_target) list;
	struct ml_tracer *tracer; /**< borrowed */
	uint64_t missed;          /**< processes that never came to us */
	int epoll_fd;             /**< gets the pidfds; borrowed */
	uint64_t epoll_tag;       /**< epoll data of the pidfds */
};

/**
 * Takes @p process over (also on failure) and watches for its end; nothing is attached yet.
 */
struct ml_error *ml_targets_add(struct ml_targets *targets, struct ml_process *process);

/** The one with @p pid that has not ended, or NULL. Lives until the next add. */
struct ml_target *ml_targets_find(const struct ml_targets *targets, pid_t pid);

/**
 * Opens @p path in the root of the first target that has it: a debug file, which is known again by
 * its build-id. @p fd is the caller's.
 */
struct ml_error *ml_targets_open_file(const struct ml_targets *targets, const char *path, int *fd);

/** The same for source lines that a report shows: only what the target itself may read. */
struct ml_error *ml_targets_open_source(const struct ml_targets *targets, const char *path,
					int *fd);

/**
 * Attaches to @p target, or has new mappings looked at when it is attached already. A failure is
 * kept in `problem` and the target stays: a process in the middle of its start-up may not have
 * mapped its allocator yet. True when it is attached now.
 */
bool ml_targets_attach(struct ml_targets *targets, struct ml_target *target);

/** The target is stopped at an exec: what the old image had is forgotten, the new one attached to.
 */
void ml_targets_reimage(struct ml_targets *targets, struct ml_target *target);

/** Tells the user that @p target runs another program now. */
void ml_target_note_exec(const struct ml_target *target);

/**
 * Attaches to the new image of those that exec'ed since the last look, and tries those again that
 * are not attached; what @p follow (NULL: nobody) will tell of is left to it. The tracer must have
 * read its news (dispatch, snapshot) just before.
 */
void ml_targets_look(struct ml_targets *targets, const struct ml_follow *follow);

/** How many processes are not traced, or came too late for what they allocated first. */
uint64_t ml_targets_unseen(const struct ml_targets *targets);

/** True for the pid of one that is or was a target. */
bool ml_targets_had(const struct ml_targets *targets, pid_t pid);

/** Nobody followed @p pid for a moment: whether it exec'ed then is remembered for the next look. */
void ml_targets_check_exec(const struct ml_targets *targets, pid_t pid);

/** Tells the user about targets that could not be attached to, once each; of those that @p follow
 * (NULL: nobody) sees in their start-up not yet. */
void ml_targets_note_problems(struct ml_targets *targets, const struct ml_follow *follow);

/** Books the end of those that ended. */
void ml_targets_reap(struct ml_targets *targets);

size_t ml_targets_alive(const struct ml_targets *targets);

/** CPU seconds that all of them used since they were added. */
double ml_targets_cpu_s(struct ml_targets *targets);

/** RSS of those alive at the last look, which ml_targets_cpu_s() is; shared pages count in each. */
uint64_t ml_targets_resident_bytes(const struct ml_targets *targets);

/** comm and inner pid of a process that is or was in the list; "?" and @p pid when it was not. */
const char *ml_targets_comm(void *targets, pid_t pid);
pid_t ml_targets_inner_pid(void *targets, pid_t pid);

/** Closes the processes; to be called when the tracer is gone. */
void ml_targets_deinit(struct ml_targets *targets);

#endif
