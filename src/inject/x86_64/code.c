/* SPDX-License-Identifier: BSD-2-Clause */
/** Instructions written and recognised, without a decoder. */
#include "inject/machine.h"

#include <assert.h>
#include <string.h>

#define BREAKPOINT 0xcc

void ml_machine_write_jump(uint8_t *jump, uint64_t from, uint64_t to)
{
	int32_t distance = (int32_t)(to - from - ML_AGENT_PATCH_BYTES);

	jump[0] = 0xe9;
	memcpy(jump + 1, &distance, sizeof(distance));
}

void ml_machine_write_stub(uint8_t slot[ML_SLOT_BYTES], const struct ml_prologue_first *first)
{
	size_t at = ML_SLOT_STUB + first->undo_size;
	/* push SELF(%rip); jmp *ENTRY(%rip) */
	const uint8_t stub[12] = {0xff, 0x35, (uint8_t)(ML_SLOT_SELF - at - 6),   0xff, 0xff, 0xff,
				  0xff, 0x25, (uint8_t)(ML_SLOT_ENTRY - at - 12), 0xff, 0xff, 0xff};

	memcpy(slot + ML_SLOT_STUB, first->undo, first->undo_size);
	memcpy(slot + at, stub, sizeof(stub));
}

void ml_machine_write_short(uint8_t slot[ML_SLOT_BYTES], const void *image,
			    const struct ml_agent_short *way, uint64_t data,
			    const struct ml_prologue_first *first)
{
	uint8_t *to = slot + ML_SLOT_CODE - (way->end - way->begin);

	assert(to >= slot + ML_SLOT_SHORT);
	memcpy(to, (const uint8_t *)image + way->begin, way->end - way->begin);
	memcpy(to + way->data_end - way->begin - sizeof(data), &data, sizeof(data));
	memcpy(to + way->start - way->begin - first->undo_size, first->undo, first->undo_size);
}

bool ml_machine_is_trap(uint8_t byte)
{
	return byte == BREAKPOINT;
}

bool ml_machine_is_same(const uint8_t *now, const uint8_t *bytes, size_t size)
{
	return (now[0] == BREAKPOINT || now[0] == bytes[0]) &&
	       !memcmp(now + 1, bytes + 1, size - 1);
}

bool ml_machine_is_restorer(const uint8_t code[ML_RESTORER_BYTES])
{
	/* mov $15,%eax; syscall, in both spellings. */
	static const uint8_t wide[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
	static const uint8_t narrow[] = {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05};

	return !memcmp(code, wide, sizeof(wide)) || !memcmp(code, narrow, sizeof(narrow));
}
