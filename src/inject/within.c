/* SPDX-License-Identifier: BSD-2-Clause */
/** Whether a stopped thread is within the agent. */
#include "inject/removal.h"

#include <string.h>

/* From then on maps are read while a thread is stopped, if need be. */
#define QUICK_ATTEMPTS 4

static bool is_restorer(const struct ml_stop *stop, uint64_t address)
{
	uint8_t code[ML_RESTORER_BYTES];

	return ml_stop_read(stop, address, code, sizeof(code)) && ml_machine_is_restorer(code);
}

struct ml_error *ml_removal_read_maps(struct ml_removal *removal)
{
	struct ml_maps maps = {0};
	struct ml_error *error = ml_process_maps(removal->step.process, &maps);

	if (error)
		return error;
	ml_maps_deinit(&removal->maps);
	removal->maps = maps;
	return NULL;
}

/* The mapping a stopped thread's stack is in. The maps of a process with many threads take long to
 * read: at first that is done before the thread is stopped, and @unsure when it has come since. */
static const struct ml_mapping *find_stack(struct ml_removal *removal, uint64_t sp, bool *unsure)
{
	const struct ml_mapping *stack = ml_maps_find(&removal->maps, sp);

	*unsure = !stack && removal->attempt < QUICK_ATTEMPTS;
	if (stack || *unsure)
		return stack;
	ml_error_free(ml_removal_read_maps(removal));
	return ml_maps_find(&removal->maps, sp);
}

/* A signal handler runs that interrupted the agent: the frame below its saved rip tells. A forked
 * child, whose calls nobody notes, may have been in one that the agent made. */
static bool is_interrupted(struct ml_removal *removal, const struct ml_stop *stop, uint64_t sp)
{
	bool unsure;
	const struct ml_mapping *stack = find_stack(removal, sp, &unsure);
	uint64_t low = sp & ~7ull, size;
	uint64_t *words = removal->stack;

	if (!stack)
		return unsure;
	size = stack->end - low < ML_REMOVAL_STACK ? stack->end - low : ML_REMOVAL_STACK;
	if (!ml_stop_read(stop, low, words, size))
		return false;
	for (uint64_t i = (ML_SIGNAL_RIP + 8) / 8; i < size / 8; i++)
		if (ml_agent_has_code(&removal->header, words[i]) &&
		    (is_restorer(stop, words[i - (ML_SIGNAL_RIP + 8) / 8]) ||
		     (!removal->header.address && words[i] == removal->header.returned)))
			return true;
	return false;
}

/* Reads what the agent keeps at @offset of its memory. */
static void read_memory(const struct ml_removal *removal, size_t offset, void *out, size_t size)
{
	memset(out, 0, size);
	if (removal->memory)
		memcpy(out, (const char *)removal->memory + offset, size);
	else if (removal->header.address)
		ml_process_read(removal->step.process, removal->header.address + offset, out, size);
}

static uint64_t thread_word(const struct ml_removal *removal, uint32_t i, size_t member)
{
	uint64_t word;

	read_memory(removal,
		    offsetof(struct ml_agent_memory, threads) + i * sizeof(struct ml_agent_thread) +
			    member,
		    &word, sizeof(word));
	return word;
}

/* Since the agent is off no thread gets a place that is not about to, which is rare: the places are
 * looked for before anybody is looked at, and again only when there is a new one. */
void ml_removal_find_places(struct ml_removal *removal)
{
	uint32_t tid_count;

	read_memory(removal, offsetof(struct ml_agent_memory, tid_count), &tid_count,
		    sizeof(tid_count));
	if (removal->knows_places && tid_count == removal->tid_count)
		return;
	removal->knows_places = true;
	removal->tid_count = tid_count;
	removal->places.count = 0;
	for (uint32_t i = 0; i < ML_AGENT_THREADS; i++) {
		uint64_t pointer =
			thread_word(removal, i, offsetof(struct ml_agent_thread, pointer));

		if (pointer)
			*ml_array_push(&removal->places) = (struct ml_removal_place){i, pointer};
	}
}

/* A function the agent called has not returned: its return address still stands where the agent
 * called from. One left by a longjmp does not count. */
static bool is_called(const struct ml_removal *removal, const struct ml_stop *stop,
		      uint64_t pointer)
{
	ml_array_each (place, &removal->places) {
		uint64_t call, word;

		if (place->pointer != pointer)
			continue;
		call = thread_word(removal, place->number, offsetof(struct ml_agent_thread, call));
		if (call && ml_stop_read(stop, call - 8, &word, sizeof(word)) &&
		    word == removal->header.returned)
			return true;
	}
	return false;
}

bool ml_removal_is_out(void *context, const struct ml_stop *stop, const struct ml_stopped *thread)
{
	struct ml_removal *removal = context;
	struct user_regs_struct regs;

	if (!ml_registers_get(thread->tid, &regs))
		return true; /* killed meanwhile */
	ml_removal_find_places(removal);
	return !ml_agent_has_code(&removal->header, ml_registers_ip(&regs)) &&
	       !is_called(removal, stop, ml_registers_thread(&regs)) &&
	       !is_interrupted(removal, stop, ml_registers_sp(&regs));
}
