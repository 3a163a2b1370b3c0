/* SPDX-License-Identifier: BSD-2-Clause */
/** Whether the agent's calls pass a system call filter that the tool itself is under. */
#ifndef ML_INJECT_FILTER_TRIAL_H
#define ML_INJECT_FILTER_TRIAL_H

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

/**
 * Adds those that do not to @p denied (enum ml_agent_call). ML_ERROR_UNSUPPORTED, about process
 * @p pid, names one that gets it in.
 */
struct ml_error *ml_filter_try(pid_t pid, uint32_t *denied);

#endif
