/* SPDX-License-Identifier: BSD-2-Clause */
#include "inject/agent_image.h"

static const union {
	unsigned char bytes[sizeof((const unsigned char[]){
#include "agent_bytes.h"
	})];
	struct ml_agent_image_header header;
} image = {.bytes = {
#include "agent_bytes.h"
	   }};

const struct ml_agent_image_header *ml_agent_image(size_t *size)
{
	*size = sizeof(image.bytes);
	return &image.header;
}
