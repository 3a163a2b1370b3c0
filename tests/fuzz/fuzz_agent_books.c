/* SPDX-License-Identifier: BSD-2-Clause */
/** The memory an agent keeps its books in, which the target can write: words of the input go to
 * places that lead to others. */
#include "fuzz.h"

#include "trace/agent_books.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINES       512u
#define PLACE_BYTES 11

/* Where a word of the input goes: the first byte says what, two bytes say which of them. */
static void *place(struct ml_agent_memory *memory, uint8_t what, uint16_t which)
{
	switch (what % 12) {
	case 0:
		return &memory->pages[1 + which % 4][(which >> 2) % ML_AGENT_PAGE_REGIONS];
	case 1:
		return &memory->lines[which % LINES].more;
	case 2:
		return &memory->lines[which % LINES].key[(which >> 9) % ML_AGENT_LINE_BLOCKS];
	case 3:
		return &memory->lines[which % LINES].size[(which >> 9) % ML_AGENT_LINE_BLOCKS];
	case 4:
		return &memory->stacks[which % 16].first;
	case 5:
		return &memory->stacks[which % 16].count;
	case 6:
		return &memory->words[which % 512];
	case 7:
		return &memory->map_events[which % 16].sequence;
	case 8:
		return &memory->map_events[which % 16].event.stack;
	case 9:
		return &memory->threads[which % 8].pointer;
	case 10:
		return &memory->threads[which % 8].trace_pages;
	default:
		return &memory->memos[which % 8].traces[(which >> 3) % ML_AGENT_TRACES].stack;
	}
}

static void read_all(struct ml_agent_books *books)
{
	const struct ml_snapshot_filter everything = {.want_ages = true, .want_blocks = true};
	struct ml_snapshot snapshot = {0};
	struct ml_python_record python;
	struct ml_stack_record stack;
	struct ml_map_event event;

	ml_agent_books_snapshot(books, &everything, NULL, &snapshot);
	FUZZ_CHECK(snapshot.blocks.count <= LINES * ML_AGENT_LINE_BLOCKS);
	ml_snapshot_deinit(&snapshot);
	for (uint64_t id = 0; id < 20; id++)
		ml_agent_books_stack(books, id, &stack, &python);
	while (ml_agent_books_next_map(books, &event))
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* And one more, for the end of a word that is written to the last one's last member. */
	size_t bytes = sizeof(struct ml_agent_memory) + (LINES + 1) * sizeof(struct ml_agent_line);
	struct ml_agent_books books = {.lines = LINES, .pid = 1};

	books.fd = memfd_create("books", MFD_CLOEXEC);
	if (books.fd < 0 || ftruncate(books.fd, (off_t)bytes))
		return 0;
	books.memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, books.fd, 0);
	for (; size >= PLACE_BYTES; data += PLACE_BYTES, size -= PLACE_BYTES)
		memcpy(place(books.memory, data[0], (uint16_t)(data[1] | data[2] << 8)), data + 3,
		       data[0] < 128 ? 4 : 8);
	books.memory->stack_count = 16;
	read_all(&books);
	munmap(books.memory, bytes);
	close(books.fd);
	return 0;
}
