/* SPDX-License-Identifier: BSD-2-Clause */
/** Patching functions and putting them back, with all threads stopped. */
#include "base/file.h"
#include "inject/arming.h"

#include <errno.h>
#include <string.h>

/* The patch at the start of the function at @address, or behind its first instruction. */
static const struct ml_agent_patch *find_patch(const struct ml_agent_header *header,
					       uint64_t address)
{
	for (uint32_t i = 0; i < ml_agent_patches(header); i++)
		if (header->patches[i].size == ML_AGENT_PATCH_BYTES &&
		    header->patches[i].address - address <= ML_PROLOGUE_FIRST)
			return &header->patches[i];
	return NULL;
}

/* A library that is loaded again at its old place gets its old slots: they hold the same, and a
 * thread may still be in one. */
static bool find_slot(const struct ml_injection *injection, uint64_t address,
		      const uint8_t original[ML_AGENT_PATCH_BYTES], uint64_t *slot)
{
	const struct ml_agent_header *header = &injection->memory->header;

	for (uint32_t i = 0; i < ml_agent_islands(header); i++)
		for (uint32_t k = 1; k < injection->used[i]; k++) {
			uint64_t at = header->islands[i].start + k * ML_SLOT_BYTES;
			struct ml_agent_patch patch;

			if (!ml_process_read(injection->process, at + ML_SLOT_PATCH, &patch,
					     sizeof(patch)) ||
			    patch.address != address ||
			    memcmp(patch.original, original, ML_AGENT_PATCH_BYTES) != 0)
				continue;
			*slot = at;
			return true;
		}
	return false;
}

/* What @patch was put over is there no more: not even as it was without it. */
static bool is_code_gone(const struct ml_injection *injection, const struct ml_agent_patch *patch)
{
	const struct ml_agent_header *header = &injection->memory->header;
	uint8_t now[ML_AGENT_PATCH_BYTES];

	for (uint32_t i = 0; i < ml_agent_patches(header); i++)
		if (header->patches[i].address == patch->address)
			return false;
	return !ml_process_read(injection->process, patch->address, now, sizeof(now)) ||
	       memcmp(now, patch->original, sizeof(now)) != 0;
}

/* Nothing leads to the slot at @at any more: its function is gone, or could not be patched. (A slot
 * of one that is watched by its imports has another trampoline.) */
static bool is_left(const struct ml_injection *injection, uint64_t at)
{
	struct ml_agent_descriptor descriptor;
	struct ml_agent_patch patch;
	uint64_t code;

	if (!ml_process_read(injection->process, at, &descriptor, sizeof(descriptor)) ||
	    !ml_process_read(injection->process, at + ML_SLOT_CODE, &code, sizeof(code)) ||
	    !ml_process_read(injection->process, at + ML_SLOT_PATCH, &patch, sizeof(patch)))
		return false;
	if (!descriptor.trampoline)
		return !code;
	return descriptor.trampoline == at + ML_SLOT_CODE && is_code_gone(injection, &patch);
}

/* A slot of a function that is gone, for when there is no other: a process may load and unload
 * libraries for ever. */
static bool find_left_slot(const struct ml_injection *injection, uint64_t address, uint64_t *slot)
{
	const struct ml_agent_header *header = &injection->memory->header;

	for (uint32_t i = 0; i < ml_agent_islands(header); i++) {
		if (!ml_is_in_reach(header->islands[i].start, address))
			continue;
		for (uint32_t k = 1; k < injection->used[i]; k++) {
			*slot = header->islands[i].start + k * ML_SLOT_BYTES;
			if (is_left(injection, *slot))
				return true;
		}
	}
	return false;
}

static struct ml_error *take_slot(struct ml_injection *injection, uint64_t address,
				  const uint8_t original[ML_AGENT_PATCH_BYTES], uint64_t *slot)
{
	const struct ml_agent_header *header = &injection->memory->header;
	uint32_t *used = injection->used;

	if (header->mode != ML_AGENT_OFF && find_slot(injection, address, original, slot))
		return NULL;
	for (uint32_t i = 0; i < ml_agent_islands(header); i++) {
		if (used[i] == ML_ISLAND_SLOTS ||
		    !ml_is_in_reach(header->islands[i].start, address))
			continue;
		*slot = header->islands[i].start + used[i]++ * ML_SLOT_BYTES;
		return NULL;
	}
	if (header->mode != ML_AGENT_OFF && find_left_slot(injection, address, slot))
		return NULL;
	return ml_error_new(ML_ERROR_UNSUPPORTED, "no place for its stub");
}

static bool write_slot(const struct ml_injection *injection, const struct ml_site *site,
		       uint64_t substitute, const struct ml_agent_patch *patch)
{
	uint8_t bytes[ML_SLOT_BYTES] = {0};

	ml_site_fill(injection, site, substitute, bytes);
	memcpy(bytes + ML_SLOT_CODE, site->function->bytes, site->copy - site->slot - ML_SLOT_CODE);
	memcpy(bytes + (site->copy - site->slot), site->prologue.code, site->prologue.code_size);
	memcpy(bytes + ML_SLOT_PATCH, patch, sizeof(*patch));
	return ml_process_write(injection->process, site->slot, bytes, sizeof(bytes));
}

/* The trampoline of the function at @address, which is patched; 0 when it is not. */
static uint64_t find_trampoline(const struct ml_arming *arming, uint64_t address)
{
	const struct ml_injection *injection = arming->injection;
	const struct ml_agent_patch *patch = find_patch(&injection->memory->header, address);
	struct ml_agent_descriptor descriptor;
	uint64_t slot;

	for (size_t i = 0; i < arming->count; i++)
		if (!arming->sites[i].is_by_imports &&
		    arming->sites[i].function->address == address)
			return arming->sites[i].trampoline;
	/* By an earlier call of ours. */
	if (!patch || !find_slot(injection, patch->address, patch->original, &slot) ||
	    !ml_process_read(injection->process, slot, &descriptor, sizeof(descriptor)))
		return 0;
	return descriptor.trampoline;
}

/* What is called in the stead of @function, which throws; 0 when there is nothing. A stub that
 * cannot be left out will know that the agent calls it. */
static uint64_t find_substitute(const struct ml_arming *arming,
				const struct ml_injection_function *function)
{
	uint64_t trampoline = find_trampoline(arming, function->substitute);

	return trampoline ? trampoline : function->substitute;
}

/* The instruction before the patch is the file's; a trap on it does not matter. */
static bool is_first_whole(const struct ml_injection *injection, const struct ml_site *site)
{
	size_t size = site->first.length;
	uint8_t now[ML_PROLOGUE_FIRST];

	if (!size)
		return true;
	return ml_process_read(injection->process, site->function->address, now, size) &&
	       ml_machine_is_same(now, site->function->bytes, size);
}

/* Reads code of the process as it is without our own probe. */
static bool read_without_probe(const struct ml_injection *injection, const struct ml_site *site,
			       uint8_t *bytes, size_t size)
{
	const struct ml_injection_function *function = site->function;
	uint64_t at = function->probe - site->address;

	if (!ml_process_read(injection->process, site->address, bytes, size))
		return false;
	if (function->probe && at < size && ml_machine_is_trap(bytes[at]))
		bytes[at] = function->bytes[function->probe - function->address];
	return true;
}

/* When our probe goes the kernel puts back what was there, where it finds a breakpoint: the jump
 * must not look like one there. */
static bool is_taken_for_probe(const struct ml_injection *injection, const struct ml_site *site)
{
	uint64_t at = site->function->probe - site->address;
	uint8_t jump[ML_AGENT_PATCH_BYTES];

	ml_machine_write_jump(jump, site->address, ml_site_stub(injection, site));
	return site->function->probe && at < sizeof(jump) && ml_machine_is_trap(jump[at]);
}

static struct ml_error *choose_slot(struct ml_arming *arming, struct ml_site *site,
				    const uint8_t original[ML_AGENT_PATCH_BYTES])
{
	struct ml_error *error = take_slot(arming->injection, site->address, original, &site->slot);

	/* Those of the next slot are others. */
	if (!error && is_taken_for_probe(arming->injection, site))
		error = take_slot(arming->injection, site->address, original, &site->slot);
	if (!error && is_taken_for_probe(arming->injection, site))
		error = ml_error_new(ML_ERROR_UNSUPPORTED, "its jump would look like a breakpoint");
	return error;
}

/* Everything but the patch itself, while the target runs; site->first is set. */
static struct ml_error *prepare_behind(struct ml_arming *arming,
				       const struct ml_injection_function *function,
				       struct ml_site *site)
{
	struct ml_injection *injection = arming->injection;
	struct ml_agent_header *header = &injection->memory->header;
	size_t skip = site->first.length, size = function->size - skip;
	size_t head = size < 16 ? size : 16;
	uint32_t count = ml_agent_patches(header);
	uint64_t substitute = 0;
	uint8_t now[16];
	struct ml_error *error;

	site->function = function;
	site->address = function->address + skip;
	if (function->throws) {
		substitute = find_substitute(arming, function);
		if (!substitute)
			return ml_error_new(ML_ERROR_UNSUPPORTED,
					    "it may throw, and its module has no function that "
					    "allocates like it and does not (--backend bpf "
					    "traces it)");
	}
	if (count == ML_AGENT_PATCHES)
		return ml_error_new(ML_ERROR_UNSUPPORTED, "too many functions");
	if (head < ML_AGENT_PATCH_BYTES || !read_without_probe(injection, site, now, head))
		return ml_error_new(ML_ERROR_UNSUPPORTED, "it is too short or cannot be read");
	if (memcmp(now, function->bytes + skip, head) != 0 || !is_first_whole(injection, site))
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "its code is not the file's: a probe, breakpoint or other "
				    "patch is in it");
	/* Also when we are killed at it a patch is written as a whole: within a page. */
	if (site->address % ML_AGENT_PAGE > ML_AGENT_PAGE - ML_AGENT_PATCH_BYTES)
		return ml_error_new(ML_ERROR_UNSUPPORTED, "it lies across two pages");
	error = choose_slot(arming, site, now);
	site->trampoline = site->slot + ML_SLOT_CODE;
	site->copy = site->slot + ML_SLOT_CODE + (site->first.must_redo ? skip : 0);
	if (!error)
		error = ml_prologue_move(function->bytes + skip, size, site->address, site->copy,
					 &site->prologue);
	if (error)
		return error;

	struct ml_agent_patch *patch = &header->patches[count];

	site->patch = count;

	*patch = (struct ml_agent_patch){.address = site->address, .size = ML_AGENT_PATCH_BYTES};
	memcpy(patch->original, now, ML_AGENT_PATCH_BYTES);
	ml_machine_write_jump(patch->patched, site->address, ml_site_stub(injection, site));
	if (!write_slot(injection, site, substitute, patch))
		return ml_error_errno(errno, "its stub cannot be written");
	header->patch_count = count + 1;
	return NULL;
}

/* Behind the first instruction where that can be, else over it. */
static struct ml_error *prepare_start(struct ml_arming *arming,
				      const struct ml_injection_function *function,
				      struct ml_site *site)
{
	struct ml_error *error;

	ml_prologue_look(function->bytes, function->size, &site->first);
	error = prepare_behind(arming, function, site);
	if (!error || !site->first.must_redo || ml_error_kind(error) != ML_ERROR_UNSUPPORTED)
		return error;
	ml_error_free(error);
	site->first = (struct ml_prologue_first){0};
	return prepare_behind(arming, function, site);
}

/* ---- with all threads stopped -----------------------------------------------------------------
 */

/* The site among whose instructions to be patched, not before the first, @ip is; NULL: none. */
static const struct ml_site *find_site(const struct ml_arming *arming, uint64_t ip)
{
	for (size_t i = 0; i < arming->count; i++) {
		uint64_t offset = ip - arming->sites[i].address;

		if (offset && offset < arming->sites[i].prologue.length)
			return &arming->sites[i];
	}
	return NULL;
}

/* A thread that stands among the instructions to be patched goes on in their copy. */
static struct ml_error *move_thread(const struct ml_stopped *thread, const struct ml_site *site)
{
	struct user_regs_struct regs;

	if (!ml_registers_get(thread->tid, &regs))
		return NULL; /* killed meanwhile */
	for (size_t k = 0; k < site->prologue.move_count; k++)
		if (site->prologue.moves[k].from == thread->ip - site->address)
			ml_registers_set_ip(&regs, site->copy + site->prologue.moves[k].to);
	return ml_registers_set(thread->tid, &regs) ? NULL
						    : ml_error_errno(errno, "moving a thread");
}

static struct ml_error *move_threads(struct ml_arming *arming)
{
	struct ml_error *error = NULL;

	ml_array_each (thread, &arming->step.stop.threads) {
		const struct ml_site *site = find_site(arming, thread->ip);

		if (site && !error)
			error = move_thread(thread, site);
	}
	return error;
}

/* What stands at @site is what was found there: the file's code, or our own probe in it. */
static bool is_as_prepared(struct ml_site *site, const struct ml_agent_patch *patch)
{
	uint64_t probe = site->function->probe - site->address;

	for (size_t i = 0; i < ML_AGENT_PATCH_BYTES; i++)
		if (site->before[i] != patch->original[i] &&
		    !(site->function->probe && i == probe && ml_machine_is_trap(site->before[i])))
			return false;
	return true;
}

/*
 * Takes our probe out of the function where it is not under the patch: the kernel leaves alone what
 * is no breakpoint any more when the probe itself goes, which takes a while. Until then it would
 * put its own return address on the stack, where the agent could not see the caller's: also when
 * our program for this process declines, for those of other processes' probes that are in the same
 * place do not (handler_chain() in kernel/events/uprobes.c).
 */
static void take_probe(const struct ml_stop *stop, const struct ml_site *site)
{
	const struct ml_injection_function *function = site->function;
	uint64_t at = function->probe - function->address;
	uint8_t now;

	if (!function->probe || at >= function->size ||
	    function->probe - site->address < ML_AGENT_PATCH_BYTES ||
	    !ml_stop_read(stop, function->probe, &now, 1) || !ml_machine_is_trap(now))
		return;
	ml_stop_write(stop, function->probe, &function->bytes[at], 1);
}

static bool patch_start(const struct ml_arming *arming, struct ml_site *site)
{
	const struct ml_agent_patch *patch =
		&arming->injection->memory->header.patches[site->patch];
	const struct ml_stop *stop = &arming->step.stop;

	return ml_stop_read(stop, patch->address, site->before, sizeof(site->before)) &&
	       is_as_prepared(site, patch) &&
	       ml_stop_write(stop, patch->address, patch->patched, ML_AGENT_PATCH_BYTES);
}

static struct ml_error *patch_all(struct ml_arming *arming)
{
	struct ml_agent_header *header = &arming->injection->memory->header;
	size_t done = 0;

	while (done < arming->count &&
	       (arming->sites[done].is_by_imports || patch_start(arming, &arming->sites[done])))
		done++;
	if (done == arming->count) {
		for (size_t i = 0; i < arming->count; i++)
			if (!arming->sites[i].is_by_imports)
				take_probe(&arming->step.stop, &arming->sites[i]);
		for (uint32_t i = arming->first; i < ml_agent_patches(header); i++)
			if (header->patches[i].size == ML_AGENT_WORD_BYTES)
				ml_imports_write(arming, &header->patches[i]);
		return NULL;
	}
	while (done-- > 0) {
		const struct ml_site *site = &arming->sites[done];

		if (!site->is_by_imports)
			ml_stop_write(&arming->step.stop, site->address, site->before,
				      ML_AGENT_PATCH_BYTES);
	}
	return ml_error_new(ML_ERROR_TARGET,
			    "the code of process %d changed while it was being attached to",
			    arming->step.pid);
}

static struct ml_error *arm_with_stop(struct ml_arming *arming)
{
	struct ml_agent_header *header = &arming->injection->memory->header;
	struct ml_error *error = move_threads(arming);

	header->denied = ml_step_denied(&arming->step);
	if (!error)
		error = patch_all(arming);
	if (!error && arming->injection->patched)
		arming->injection->patched(arming->injection->patched_context);
	if (!error)
		__atomic_store_n(&header->mode, ML_AGENT_ON, __ATOMIC_RELEASE);
	ml_stop_end(&arming->step.stop);
	ml_stop_count(&arming->step.stop, header);
	return error;
}

static struct ml_error *arm_stopped(void *context)
{
	struct ml_arming *arming = context;
	const struct ml_agent_header *header = &arming->injection->memory->header;
	struct ml_error *error = NULL;

	if ((header->mode == ML_AGENT_OFF && !ml_image_fill_sieve(arming->step.process, header)) ||
	    !ml_process_write(arming->step.process, header->pointer, &header->address,
			      sizeof(header->address)))
		error = ml_error_errno(errno, "cannot write into process %d", arming->step.pid);
	if (!error)
		error = ml_step_seize(&arming->step, 0, NULL);
	if (!error)
		error = ml_step_stop(&arming->step);
	if (!error)
		error = arm_with_stop(arming);
	ml_step_leave(&arming->step, NULL);
	return error;
}

/* ---- all of them ------------------------------------------------------------------------------
 */

/* In which order functions come: frees tell how the others of their module are watched, and those
 * that throw need one that stands in for them. */
enum turn { TURN_FREE, TURN_PLAIN, TURN_THROWS, TURNS };

static enum turn turn_of(const struct ml_injection_function *function)
{
	if (function->throws)
		return TURN_THROWS;
	return function->role == ML_ROLE_FREE ? TURN_FREE : TURN_PLAIN;
}

/* A free of the function's module is seen by its imports only. */
static bool is_freed_by_imports(const struct ml_arming *arming,
				const struct ml_injection_function *function)
{
	for (size_t i = 0; i < arming->count; i++) {
		const struct ml_site *site = &arming->sites[i];

		if (site->is_by_imports && site->function->role == ML_ROLE_FREE &&
		    site->function->module == function->module)
			return true;
	}
	return false;
}

static void prepare(struct ml_arming *arming, const struct ml_injection_function *function,
		    struct ml_injection_outcome *outcome)
{
	struct ml_site *site = &arming->sites[arming->count];
	/* Never both ways: a call would be counted twice. */
	bool is_known =
		function->is_by_imports || ml_imports_has(arming->injection, function->address);

	/* One that was refused before may have left something here. */
	*site = (struct ml_site){0};
	if (!is_known && !is_freed_by_imports(arming, function))
		outcome->refused = prepare_start(arming, function, site);
	else if (!is_known)
		outcome->refused = ml_error_new(
			ML_ERROR_UNSUPPORTED,
			"what frees its blocks cannot be patched at its start, either");
	/* An exception cannot pass the stub's frame. */
	if ((outcome->refused || is_known) && !function->throws)
		outcome->is_by_imports = ml_imports_prepare(arming, function, site);
	if (!outcome->refused || outcome->is_by_imports)
		arming->count++;
}

static struct ml_error *prepare_all(struct ml_arming *arming,
				    const struct ml_injection_function *functions, size_t count,
				    enum turn turn, struct ml_injection_outcome *outcomes)
{
	for (size_t i = 0; i < count; i++) {
		if (turn_of(&functions[i]) != turn)
			continue;
		prepare(arming, &functions[i], &outcomes[i]);
		if (turn == TURN_FREE && outcomes[i].refused && !outcomes[i].is_by_imports)
			return ml_error_new(ML_ERROR_UNSUPPORTED,
					    "%s of process %d can be patched neither at its "
					    "start nor where it is called from, so what is freed "
					    "would look leaked: %s",
					    functions[i].name, arming->step.pid,
					    ml_error_message(outcomes[i].refused));
	}
	return NULL;
}

/* The tracer that the process has until now sees every call and lets exceptions pass: the agent is
 * not to do less. */
static struct ml_error *refuse_partial(const struct ml_injection_function *functions, size_t count,
				       const struct ml_injection_outcome *outcomes)
{
	for (size_t i = 0; i < count; i++)
		if (outcomes[i].refused && functions[i].role != ML_ROLE_LOADED)
			return ml_error_new(
				ML_ERROR_UNSUPPORTED, "calls of %s would be missed from inside: %s",
				functions[i].name, ml_error_message(outcomes[i].refused));
	for (size_t i = 0; i < count; i++)
		if (functions[i].may_throw)
			return ml_error_new(ML_ERROR_UNSUPPORTED,
					    "an exception that %s throws would end the program",
					    functions[i].name);
	return NULL;
}

struct ml_error *ml_injection_arm(struct ml_injection *injection,
				  const struct ml_injection_function *functions, size_t count,
				  const struct ml_injection_imports *imports,
				  struct ml_injection_outcome *outcomes)
{
	struct ml_agent_header *header = &injection->memory->header;
	struct ml_arming arming = {
		.injection = injection,
		.imports = imports,
		.first = ml_agent_patches(header),
		.step = {.process = injection->process, .pid = ml_process_pid(injection->process)}};
	ML_FREE_CLEANUP struct ml_site *sites = ml_alloc(sizeof(*sites) * (count + 1));
	struct ml_error *error =
		ml_filter_look(injection->process, &arming.step.filter, &arming.step.denied);

	arming.sites = sites;
	for (enum turn turn = 0; turn < TURNS && !error; turn++)
		error = prepare_all(&arming, functions, count, turn, outcomes);
	if (!error && injection->patched)
		error = refuse_partial(functions, count, outcomes);
	if (!error && (header->patch_count > arming.first || !arming.first))
		error = ml_step_run(injection->process, arm_stopped, &arming);
	/* Whoever was to write the patches may have been killed when some were written. */
	if (error)
		ml_injection_prune(injection);
	return error;
}

/* ---- what is patched --------------------------------------------------------------------------
 */

bool ml_injection_has(const struct ml_injection *injection, uint64_t address)
{
	return find_patch(&injection->memory->header, address);
}

size_t ml_injection_prune(struct ml_injection *injection)
{
	struct ml_agent_header *header = &injection->memory->header;
	uint32_t kept = 0, count = ml_agent_patches(header);

	for (uint32_t i = 0; i < count; i++) {
		const struct ml_agent_patch patch = header->patches[i];

		if (ml_patch_state(injection->process, &patch) != ML_PATCH_GONE)
			header->patches[kept++] = patch;
	}
	header->patch_count = kept;
	return count - kept;
}
