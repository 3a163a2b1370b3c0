/* SPDX-License-Identifier: BSD-2-Clause */
/** memleak doctor: what works on this machine for this target, what does not, and what to do. */
#ifndef ML_CLI_DOCTOR_COMMAND_H
#define ML_CLI_DOCTOR_COMMAND_H

#include "cli/options.h"

#include "base/error.h"

/** Looks and prints; an error when it could not print, or not look at the process that was named.
 */
struct ml_error *ml_doctor_command(const struct ml_options *options);

#endif
