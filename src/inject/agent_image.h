/* SPDX-License-Identifier: BSD-2-Clause */
/** The agent as bytes to be written into a target. */
#ifndef ML_INJECT_AGENT_IMAGE_H
#define ML_INJECT_AGENT_IMAGE_H

#include "shared/agent_abi.h"

#include <stddef.h>

/** The image's header, followed by the rest: @p size bytes in all. */
const struct ml_agent_image_header *ml_agent_image(size_t *size);

#endif
