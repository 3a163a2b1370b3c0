/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Writes what cannot be into the agent's memory, once that is there, as fast as it can until a line
 * comes: random words where chance would have it, numbers at and beyond every limit in what counts
 * or leads elsewhere. Its code changes now and then, so that the tool has to write there, too. It
 * allocates nothing meanwhile, since the agent would believe it all.
 *
 * scribbler [SEED [LIBRARY]]: LIBRARY is what is mapped and unmapped
 */
#include "truth.h"

#include "shared/agent_abi.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static uint64_t state = 1;

static uint64_t number(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* One that a reader may have forgotten. */
static uint64_t edge(void)
{
	static const uint64_t edges[] = {
		0,
		1,
		UINT64_MAX,
		UINT32_MAX,
		INT32_MAX,
		INT64_MAX,
		1ull << 63,
		ML_AGENT_STACKS,
		ML_AGENT_LINES,
		ML_AGENT_PAGES,
		ML_AGENT_WORDS,
		ML_AGENT_PATCHES,
		ML_AGENT_ISLANDS,
		ML_PROCESS_MAPS,
		sizeof(struct ml_agent_memory),
	};
	uint64_t random = number();

	if (random & 1)
		return number();
	return edges[(random >> 8) % (sizeof(edges) / sizeof(*edges))] + (random >> 4) % 3 - 1;
}

static struct ml_agent_memory *find(void)
{
	static char text[1 << 16];
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start = 0;

	while (maps && fgets(text, sizeof(text), maps))
		if (strstr(text, "/memfd:" ML_AGENT_MEMORY_NAME))
			sscanf(text, "%lx", &start);
	if (maps)
		fclose(maps);
	return (struct ml_agent_memory *)start;
}

/* A file that is shorter than what is mapped ends who reads it. Root can open it again. */
static void shorten(const struct ml_agent_memory *memory, uint64_t size)
{
	char path[96];
	int file;

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)memory,
		 (unsigned long)memory + (unsigned long)size);
	file = open(path, O_RDWR);
	if (file >= 0 && !ftruncate(file, 0))
		truth_event("shortened");
	close(file);
}

#define SCRIBBLE(member) (member) = (__typeof__(member))edge()

/* Where the tool finds what to patch and to take out. The mode says that all is well, or it would
 * be taken for switched off. */
static void scribble_header(struct ml_agent_memory *memory)
{
	struct ml_agent_header *header = &memory->header;

	SCRIBBLE(header->size);
	SCRIBBLE(header->island_count);
	SCRIBBLE(header->patch_count);
	SCRIBBLE(header->stops);
	SCRIBBLE(header->patches[number() % ML_AGENT_PATCHES].size);
	SCRIBBLE(header->patches[number() % ML_AGENT_PATCHES].address);
	SCRIBBLE(header->islands[number() % ML_AGENT_ISLANDS].start);
	SCRIBBLE(header->islands[number() % ML_AGENT_ISLANDS].size);
	SCRIBBLE(header->tid_offset);
	SCRIBBLE(memory->maps[number() & 1].count);
	SCRIBBLE(memory->maps_current);
	SCRIBBLE(memory->tgid);
	SCRIBBLE(memory->config.sample_bytes);
}

/* Tables of lines that overlap, lead in circles, or lie beyond the end. */
static void scribble_blocks(struct ml_agent_memory *memory)
{
	uint32_t page = number() % 8, line = number() % 4096;
	struct ml_agent_line *at = &memory->lines[line];

	memory->page_count = number() % 64 ? ML_AGENT_PAGES : (uint32_t)edge();
	memory->pages[page][number() % ML_AGENT_PAGE_REGIONS] =
		number() % 4 ? ML_AGENT_TABLE(line, number() % 14, number() & 1) : edge();
	memory->page_tops[page] = (uint32_t)edge();
	at->more = number() % 4 ? ML_AGENT_TABLE(number() % 4096, number() % 14, 0) : edge();
	for (int i = 0; i < ML_AGENT_LINE_BLOCKS; i++) {
		at->key[i] = (uint32_t)number() | ML_AGENT_KEY_USED;
		at->size[i] = (uint32_t)edge();
		at->born[i] = (uint32_t)edge();
	}
	memory->large[number() % ML_AGENT_LARGE] =
		(struct ml_agent_large){edge(), (uint32_t)number(), (uint32_t)edge()};
}

static void scribble_stacks(struct ml_agent_memory *memory)
{
	struct ml_agent_stack *stack = &memory->stacks[number() % 65536];
	uint64_t random = number();

	SCRIBBLE(memory->stack_count);
	*stack = (struct ml_agent_stack){
		.hash = number(), .first = (uint32_t)edge(), .outer = (uint32_t)number() % 65536};
	stack->count = (uint16_t)(random & 1 ? random >> 8 : (random >> 8) % 130);
	stack->own = (uint16_t)(random & 2 ? random >> 24 : (random >> 24) % 130);
	stack->skip = (uint16_t)(random & 4 ? random >> 40 : (random >> 40) % 130);
	stack->end = (uint16_t)edge();
	memory->words[number() % 4096] = edge();
	memory->sites[number() % 65536] = (struct ml_agent_site){edge(), edge()};
	SCRIBBLE(memory->counters[number() % ML_SLOT_COUNT]);
}

/* Ever more events, each as if it had just been written. */
static void scribble_events(struct ml_agent_memory *memory)
{
	uint64_t tail = memory->map_event_tail, call = memory->call_event_tail;

	for (uint64_t i = tail; i < tail + 64; i++)
		memory->map_events[i % ML_AGENT_MAP_EVENTS] = (struct ml_agent_map_event){
			i + 1,
			{.time_ns = number(),
			 .address = edge(),
			 .length = edge(),
			 .old_address = edge(),
			 .old_length = edge(),
			 .stack = edge(),
			 .tgid = (uint32_t)edge(),
			 .tid = (uint32_t)edge(),
			 .role = number() % 4 ? ML_ROLE_MMAP + number() % 3 : (uint32_t)edge()}};
	for (uint64_t i = call; i < call + 64; i++)
		memory->call_events[i % ML_AGENT_CALL_EVENTS] = (struct ml_agent_call_event){
			i + 1,  edge(),           edge(),           edge(),
			edge(), (uint32_t)edge(), (uint16_t)edge(), (uint16_t)edge()};
	memory->call_event_head = number() % 4 ? call + 64 : edge();
	if (!(number() % 256)) {
		SCRIBBLE(memory->map_event_tail);
		SCRIBBLE(memory->call_event_tail);
	}
}

static void scribble_threads(struct ml_agent_memory *memory)
{
	uint32_t number_of = number() % ML_AGENT_THREADS;
	struct ml_agent_thread *thread = &memory->threads[number_of];

	SCRIBBLE(thread->pointer);
	SCRIBBLE(thread->call);
	SCRIBBLE(thread->events);
	SCRIBBLE(thread->trace_pages);
	SCRIBBLE(thread->python_pages);
	SCRIBBLE(thread->untracked_frees);
	SCRIBBLE(memory->memos[number_of % 16].traces[number() % ML_AGENT_TRACES].stack);
	SCRIBBLE(memory->memos[number_of % 16].traces[number() % ML_AGENT_TRACES].allocs);
	SCRIBBLE(memory->tids[number() % ML_AGENT_TIDS]);
	SCRIBBLE(memory->freed_count);
	SCRIBBLE(memory->tid_count);
}

/* By system calls: the agent would look at calls of the C library's functions. */
static void change_code(int library)
{
	static long code;

	if (code > 0)
		syscall(SYS_munmap, code, 1 << 20);
	code = syscall(SYS_mmap, NULL, 1 << 20, PROT_READ | PROT_EXEC, MAP_PRIVATE, library, 0);
}

int main(int argc, char **argv)
{
	static void (*const ways[])(struct ml_agent_memory *) = {scribble_header, scribble_blocks,
								 scribble_stacks, scribble_events,
								 scribble_threads};
	struct pollfd line = {STDIN_FILENO, POLLIN, 0};
	struct ml_agent_memory *memory = NULL;
	int library = argc > 2 ? open(argv[2], O_RDONLY) : -1;

	state = argc > 1 ? strtoull(argv[1], NULL, 0) | 1 : 1;
	truth_event("ready");
	while (!memory && !poll(&line, 1, 10))
		memory = find();
	/* It is being filled when it is there. */
	if (memory)
		while (memory->header.mode != ML_AGENT_ON)
			usleep(1000);
	if (memory)
		shorten(memory, memory->header.size);
	truth_event("scribbling");
	while (memory && poll(&line, 1, 0) <= 0) {
		for (int i = 0; i < 65536; i++)
			ways[number() % (sizeof(ways) / sizeof(*ways))](memory);
		change_code(library);
	}
	truth_event("done");
	return 0;
}
