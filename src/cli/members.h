/* SPDX-License-Identifier: BSD-2-Clause */
/** The processes of a container, found by their cgroups. */
#ifndef ML_CLI_MEMBERS_H
#define ML_CLI_MEMBERS_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/**
 * True when a component of a path in @p cgroups (the text of /proc/PID/cgroup) is @p name, or is a
 * container id that starts with @p name (at least 6 hex digits). What runtimes put around the id is
 * taken off: "docker-", "cri-containerd-", "crio-", "libpod-", "crun-", "lxc.payload." and
 * ".scope".
 */
bool ml_members_matches(const char *cgroups, const char *name);

/**
 * Calls @p visit for every process of container @p name except ourselves: @p name is in its cgroup,
 * or is the name a runtime keeps for the id there (cli/container_ids.h).
 */
struct ml_error *ml_members_scan(const char *name, void (*visit)(void *context, pid_t pid),
				 void *context);

#endif
