/* SPDX-License-Identifier: BSD-2-Clause */
/** The processes of a container, found by their cgroups. */
#ifndef ML_CLI_MEMBERS_H
#define ML_CLI_MEMBERS_H

#include "base/error.h"
#include "cli/container_ids.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** Whom to look for; all-zero but for the name to begin with. */
struct ml_members {
	const char *name;            /**< as the user gave it; borrowed */
	struct ml_container_ids ids; /**< what the runtimes call it, as of the last scan */
	pid_t newest;                /**< the last pid given out when it was looked last */
	pid_t first;                 /**< processes from here on are still looked at */
	uint64_t first_ns;           /**< since when */
};

/**
 * True when a component of a path in @p cgroups (the text of /proc/PID/cgroup) is @p name, or is a
 * container id that starts with @p name (at least 6 hex digits). What runtimes and systemd put
 * around ids and names is taken off ("docker-", "cri-containerd-", "lxc.payload.", "machine-", …,
 * ".scope", ".service").
 */
bool ml_members_matches(const char *cgroups, const char *name);

/**
 * Calls @p visit for every process of the container except ourselves: the name is in its cgroup, or
 * is the name a runtime keeps for the id there (cli/container_ids.h).
 */
struct ml_error *ml_members_scan(struct ml_members *members,
				 void (*visit)(void *context, pid_t pid), void *context);

/**
 * The same for processes made of late: cheap when there are none. A process is looked at for a
 * second or two, for runtimes put it into its cgroup some time after they made it.
 */
void ml_members_scan_new(struct ml_members *members, void (*visit)(void *context, pid_t pid),
			 void *context);

void ml_members_deinit(struct ml_members *members);

#endif
