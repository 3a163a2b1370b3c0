/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Where the image goes, and its data page. A forked child has the code and the patches but not the
 * memory, so that page, which has the memory's address, must read as zero there, whatever made the
 * child: MADV_WIPEONFORK (Linux 4.14) does that.
 *
 * Older kernels do it with what they have for stacks. The data page is not inherited
 * (MADV_DONTFORK), and above it lies memory that grows down (MAP_GROWSDOWN): what touches the
 * missing page makes that grow over it, with zeros. Kernels before 4.20 let only what is above the
 * stack pointer grow (arch/x86/mm/fault.c), so it all goes above the stack; those before 4.12 want
 * another free page below (check_stack_guard_page() in mm/memory.c), later ones 256 of them
 * (stack_guard_gap), and nobody maps anything there.
 */
#include "inject/agent_image.h"
#include "inject/injection_private.h"
#include "inject/machine.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Free addresses on either side. */
#define ROOM_BELOW 0x200000ull
#define ROOM_ABOVE 0x10000ull

#define PLAIN      (MAP_PRIVATE | MAP_ANONYMOUS)

static enum { GROWTH_UNKNOWN, GROWTH_WORKS, GROWTH_FAILS } growth;

size_t ml_image_size(void)
{
	size_t size;

	ml_agent_image(&size);
	return ML_AGENT_IMAGE_CODE + (size + ML_AGENT_PAGE - 1) / ML_AGENT_PAGE * ML_AGENT_PAGE;
}

static struct ml_error *write_image(struct ml_step *step, uint64_t base)
{
	size_t size;
	const struct ml_agent_image_header *image = ml_agent_image(&size);

	if (!ml_stop_write(&step->stop, base + ML_AGENT_IMAGE_CODE, image, size))
		return ml_error_errno(errno, "cannot write code into process %d", step->pid);
	return NULL;
}

bool ml_image_fill_sieve(const struct ml_process *process, const struct ml_agent_header *header)
{
	uint64_t sieve[ML_AGENT_SIEVE];

	for (size_t i = 0; i < ML_AGENT_SIEVE; i++)
		sieve[i] = ML_AGENT_SIEVE_ALL;
	return ml_process_write(process, header->pointer + offsetof(struct ml_agent_data, sieve),
				sieve, sizeof(sieve));
}

/* ---- with growth ------------------------------------------------------------------------------
 */

/* A system call and, unless it is 0, what it must return. */
struct call {
	long number;
	uint64_t arguments[6];
	uint64_t result;
};

#define CALLS 5

static void list_calls(uint64_t base, struct call calls[CALLS])
{
	const uint64_t none = (uint64_t)-1, data = base + ML_AGENT_IMAGE_DATA;
	const uint64_t above = data + ML_AGENT_PAGE;

	calls[0] = (struct call){
		SYS_mmap, {base, ml_image_size(), PROT_READ | PROT_EXEC, PLAIN, none}, base};
	calls[1] = (struct call){SYS_munmap, {base, ML_AGENT_PAGE}, 0};
	calls[2] = (struct call){SYS_mmap,
				 {above, base + ML_AGENT_IMAGE_CODE - above, PROT_READ | PROT_WRITE,
				  PLAIN | MAP_FIXED | MAP_GROWSDOWN, none},
				 above};
	calls[3] = (struct call){
		SYS_mmap,
		{data, ML_AGENT_PAGE, PROT_READ | PROT_WRITE, PLAIN | MAP_FIXED, none},
		data};
	calls[4] = (struct call){SYS_madvise, {data, ML_AGENT_PAGE, MADV_DONTFORK}, 0};
}

/* The highest place above the stack; 0 when there is none. A uprobe's page may be at the very end.
 */
static uint64_t find_place(const struct ml_maps *maps)
{
	uint64_t end = ML_ADDRESS_END;

	for (size_t i = maps->list.count; i-- > 0;) {
		const struct ml_mapping *mapping = &maps->list.items[i];

		if (mapping->start >= ML_ADDRESS_END)
			continue;
		if (mapping->end + ROOM_BELOW + ml_image_size() + ROOM_ABOVE <= end)
			return end - ROOM_ABOVE - ml_image_size();
		if (!strcmp(mapping->path, "[stack]"))
			return 0;
		end = mapping->start;
	}
	return 0;
}

/* Whether it works on this kernel, by doing it: status 0. */
static void try_it(void)
{
	struct ml_maps maps = {0};
	struct call calls[CALLS];
	uint64_t base;
	int status = 1;

	ml_error_free(ml_maps_read(getpid(), &maps));
	base = find_place(&maps);
	list_calls(base, calls);
	for (size_t i = 0; base && i < CALLS; i++) {
		const uint64_t *argument = calls[i].arguments;

		if ((uint64_t)syscall(calls[i].number, argument[0], argument[1], argument[2],
				      argument[3], argument[4], argument[5]) != calls[i].result)
			_exit(1);
	}
	if (!base)
		_exit(1);

	volatile uint64_t *word = (volatile uint64_t *)(base + ML_AGENT_IMAGE_DATA);

	*word = 1;

	pid_t child = fork();

	if (!child)
		_exit(*word != 0);
	if (child > 0)
		waitpid(child, &status, 0);
	_exit(status != 0);
}

static bool can_wipe(void)
{
	void *page = mmap(NULL, ML_AGENT_PAGE, PROT_READ, PLAIN, -1, 0);
	bool can = page != MAP_FAILED && !madvise(page, ML_AGENT_PAGE, MADV_WIPEONFORK);

	if (page != MAP_FAILED)
		munmap(page, ML_AGENT_PAGE);
	return can;
}

void ml_image_look(void)
{
	int status = 1;
	pid_t child;

	if (growth != GROWTH_UNKNOWN)
		return;
	/* If a newer kernel refuses it to one process, growth is as we know it. */
	growth = GROWTH_WORKS;
	if (can_wipe())
		return;
	child = fork();
	if (!child)
		try_it();
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	growth = status ? GROWTH_FAILS : GROWTH_WORKS;
}

static struct ml_error *refuse(const struct ml_step *step, const char *why)
{
	return ml_error_new(ML_ERROR_UNSUPPORTED,
			    "children that process %d forks could not be told from it: this "
			    "needs Linux 4.14, or %s",
			    step->pid, why);
}

static struct ml_error *map_growing(struct ml_step *step, uint64_t *base)
{
	struct call calls[CALLS];
	struct ml_error *error = NULL;
	int64_t result;

	*base = find_place(step->maps);
	if (!*base)
		return refuse(step, "free addresses above its stack, which it has not "
				    "(kernel.randomize_va_space is 0, or setarch -R)");
	if (growth == GROWTH_FAILS)
		return refuse(step, "stacks that grow as those of older ones do");
	list_calls(*base, calls);
	for (size_t i = 0; i < CALLS && !error; i++) {
		error = ml_step_call(step, "mapping memory above the stack", calls[i].number,
				     calls[i].arguments, &result);
		if (!error && (uint64_t)result != calls[i].result)
			error = refuse(step, "memory above its stack");
	}
	if (!error)
		error = write_image(step, *base);
	if (error)
		ml_step_munmap(step, *base, ml_image_size());
	return error;
}

struct ml_error *ml_image_renew(struct ml_step *step, const struct ml_agent_header *header)
{
	struct call calls[CALLS];
	struct ml_error *error = NULL;
	int64_t result;

	if (!header->grows)
		return NULL;
	list_calls(header->image.start, calls);
	for (size_t i = CALLS - 2; i < CALLS && !error; i++)
		error = ml_step_call(step, "mapping memory above the stack", calls[i].number,
				     calls[i].arguments, &result);
	return error;
}

/* ---- the usual way ----------------------------------------------------------------------------
 */

static struct ml_error *wipe_data(struct ml_step *step, uint64_t base)
{
	const uint64_t wipe[6] = {base + ML_AGENT_IMAGE_DATA, ML_AGENT_PAGE, MADV_WIPEONFORK};
	int64_t result;

	return ml_step_call(step, "madvise", SYS_madvise, wipe, &result);
}

/* Where anonymous memory may not be code: a file's over the data. */
static struct ml_error *map_over_data(struct ml_step *step, uint64_t *base)
{
	struct ml_error *error =
		ml_step_mmap(step, 0, ml_image_size(), PROT_READ | PROT_WRITE, PLAIN, -1, base);
	const struct ml_code_place place = {
		.address = *base + ML_AGENT_IMAGE_CODE,
		.size = ml_image_size() - ML_AGENT_IMAGE_CODE,
		.flags = MAP_FIXED,
		.scratch = *base + ML_AGENT_IMAGE_DATA + offsetof(struct ml_agent_data, scratch),
	};
	uint64_t code;

	if (error)
		return error;
	error = ml_code_map(step, &place, &code);
	if (!error)
		error = write_image(step, *base);
	if (!error)
		error = wipe_data(step, *base);
	if (error)
		ml_step_munmap(step, *base, ml_image_size());
	return error;
}

static struct ml_error *map_wiped(struct ml_step *step, uint64_t *base)
{
	struct ml_error *error =
		ml_step_mmap(step, 0, ml_image_size(), PROT_READ | PROT_EXEC, PLAIN, -1, base);
	const uint64_t protect[6] = {*base + ML_AGENT_IMAGE_DATA, ML_AGENT_PAGE,
				     PROT_READ | PROT_WRITE};
	int64_t result;

	if (ml_code_is_forbidden(error)) {
		ml_error_free(error);
		return map_over_data(step, base);
	}
	if (error)
		return error;
	/* At once: should we be killed, the mapping is known by that. */
	error = write_image(step, *base);
	if (!error)
		error = ml_step_call(step, "mprotect", SYS_mprotect, protect, &result);
	if (!error)
		error = wipe_data(step, *base);
	if (error)
		ml_step_munmap(step, *base, ml_image_size());
	return error;
}

struct ml_error *ml_image_map(struct ml_step *step, struct ml_agent_header *header)
{
	size_t size;
	const struct ml_agent_image_header *image = ml_agent_image(&size);
	uint64_t base = 0, code;
	struct ml_error *error = map_wiped(step, &base);

	if (error && ml_error_code(error) == EINVAL) {
		ml_error_free(error);
		header->grows = true;
		error = map_growing(step, &base);
	}
	if (error)
		return error;
	code = base + ML_AGENT_IMAGE_CODE;
	header->image = (struct ml_agent_range){base, ml_image_size()};
	header->pointer = code + (uint64_t)(int64_t)image->data;
	header->returned = code + image->returned;
	return NULL;
}
