/* SPDX-License-Identifier: BSD-2-Clause */
/** A walk over rows, registers and memory that nobody vouches for. */
#include "fuzz.h"

#include "base/array.h"
#include "unwind/walk.h"

#define CODE   0x400000ULL
#define STACK  0x7ff000ULL
#define ROWS   16
#define FRAMES 256

/** Stack memory: the rest of the input, from STACK on. */
struct stack {
	const uint8_t *bytes;
	size_t size;
};

static int read_word(void *context, uint64_t address, uint64_t *word)
{
	const struct stack *stack = context;
	uint64_t at = address - STACK;

	if (at > stack->size || stack->size - at < sizeof(*word))
		return -1;
	memcpy(word, stack->bytes + at, sizeof(*word));
	return 0;
}

/* Rows of the input at rising pcs below 1 << ML_UNWIND_PAGE_SHIFT: one page. */
static void take_rows(const uint8_t **data, size_t *size, struct ml_unwind_rows *out)
{
	uint32_t pc = 0;

	out->base = CODE;
	out->rows = ml_alloc(ROWS * sizeof(*out->rows));
	out->pages = ml_alloc(2 * sizeof(*out->pages));
	out->page_count = 1;
	for (; out->count < ROWS; out->count++) {
		struct ml_unwind_row row;

		fuzz_take(data, size, &row, sizeof(row));
		pc += 1 + (row.pc & 63);
		row.pc = pc;
		out->rows[out->count] = row;
	}
	out->pages[1] = (uint32_t)out->count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ml_unwind_rows rows = {0};
	struct ml_walk_start start;
	uint64_t frames[FRAMES + 1], registers[3];
	enum ml_walk_end end;

	fuzz_take(&data, &size, registers, sizeof(registers));
	take_rows(&data, &size, &rows);
	start = (struct ml_walk_start){
		.ip = registers[0],
		.sp = registers[1],
		.bp = registers[2],
		.is_call = registers[0] & 1,
	};

	struct ml_walk_module module = {.start = CODE, .end = CODE + 0x2000, .rows = &rows};
	struct stack stack = {.bytes = data, .size = size};
	struct ml_walk_memory memory = {.read = read_word, .context = &stack};

	frames[FRAMES] = 0x5afe;

	size_t count = ml_walk(&module, 1, &memory, &start, frames, FRAMES, &end);

	FUZZ_CHECK(count >= 1 && count <= FRAMES);
	FUZZ_CHECK(end > ML_WALK_MORE && end < ML_WALK_END_COUNT);
	FUZZ_CHECK(end == ML_WALK_DEPTH ? count == FRAMES : true);
	FUZZ_CHECK(frames[0] == start.ip && frames[FRAMES] == 0x5afe);
	ml_unwind_rows_deinit(&rows);
	return 0;
}
