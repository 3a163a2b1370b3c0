/* SPDX-License-Identifier: BSD-2-Clause */
#include "inject/injection_private.h"

#include "target/maps.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEARCHED_BYTES (64u << 10)

/* What comes back from the other process. */
struct outcome {
	bool is_done;
	bool has_error;
	enum ml_error_kind kind;
	char message[1024];
};

/* Not to be ended half-way by what ends the tool: Ctrl+C, a group's SIGKILL, a closed terminal. */
static void work(struct ml_error *(*step)(void *context), void *context, struct outcome *outcome)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	setsid();

	struct ml_error *error = step(context);

	if (error) {
		outcome->kind = ml_error_kind(error);
		snprintf(outcome->message, sizeof(outcome->message), "%s", ml_error_message(error));
	}
	outcome->has_error = error != NULL;
	outcome->is_done = true;
	_exit(0);
}

struct ml_error *ml_step_run(struct ml_error *(*step)(void *context), void *context)
{
	struct outcome *outcome = mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct ml_error *error = NULL;

	if (outcome == MAP_FAILED)
		return ml_error_errno(errno, "cannot share memory with the attaching process");

	pid_t child = fork();

	if (!child)
		work(step, context, outcome);
	if (child < 0)
		error = ml_error_errno(errno, "cannot start the attaching process");
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	if (!error && !outcome->is_done)
		error = ml_error_new(ML_ERROR_SYSTEM, "the attaching process was killed");
	if (!error && outcome->has_error)
		error = ml_error_new(outcome->kind, "%s", outcome->message);
	munmap(outcome, sizeof(*outcome));
	return error;
}

static uint64_t search(pid_t pid, uint64_t start, uint64_t end)
{
	static unsigned char bytes[SEARCHED_BYTES];
	size_t size = end - start < sizeof(bytes) ? end - start : sizeof(bytes);
	struct iovec local = {bytes, size}, remote = {(void *)(uintptr_t)start, size};

	if (process_vm_readv(pid, &local, 1, &remote, 1, 0) != (ssize_t)size)
		return 0;
	for (size_t i = 0; i + 1 < size; i++)
		if (bytes[i] == 0x0f && bytes[i + 1] == 0x05)
			return start + i;
	return 0;
}

uint64_t ml_syscall_instruction(pid_t pid)
{
	struct ml_maps maps = {0};
	ML_ERROR_CLEANUP struct ml_error *error = ml_maps_read(pid, &maps);
	uint64_t found = 0;

	if (error)
		return 0;
	ml_array_each (mapping, &maps.list)
		if (!found && !strcmp(mapping->path, "[vdso]"))
			found = search(pid, mapping->start, mapping->end);
	ml_array_each (mapping, &maps.list)
		if (!found && mapping->is_executable && mapping->inode)
			found = search(pid, mapping->start, mapping->end);
	ml_maps_deinit(&maps);
	return found;
}
