/* SPDX-License-Identifier: BSD-2-Clause */
/** Children that a process with an agent forked: they have inherited stubs and patches, which only
 * let their calls through. */
#ifndef ML_TRACE_AGENT_HEIRS_H
#define ML_TRACE_AGENT_HEIRS_H

#include <stddef.h>
#include <stdint.h>

/** Takes out of every process what it has inherited of the agents whose images were at @p images;
 * how many still have it. */
size_t ml_agent_heirs_clean(const uint64_t *images, size_t count);

#endif
