/* SPDX-License-Identifier: BSD-2-Clause */
/** The memory of a process that is not there: 256 KiB at one address. */
#ifndef TESTS_TRACE_FAKE_MEMORY_H
#define TESTS_TRACE_FAKE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FAKE_ADDRESS 0x7f0000000000ULL
#define FAKE_BYTES   (256U << 10)

struct fake_memory {
	uint8_t bytes[FAKE_BYTES];
};

static inline bool fake_read(const void *context, uint64_t address, void *buffer, size_t size)
{
	const struct fake_memory *memory = context;
	uint64_t at = address - FAKE_ADDRESS;

	if (at > FAKE_BYTES || size > FAKE_BYTES - at)
		return false;
	memcpy(buffer, memory->bytes + at, size);
	return true;
}

static inline void fake_put(struct fake_memory *memory, uint64_t address, uint64_t value,
			    size_t size)
{
	memcpy(memory->bytes + (address - FAKE_ADDRESS), &value, size);
}

#endif
