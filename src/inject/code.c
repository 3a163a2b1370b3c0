/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Memory for code in a process: never writable, filled through /proc/PID/mem.
 *
 * Anonymous memory that is executable is what a security module may forbid (SELinux's execmem, with
 * EACCES). Code of a file is another matter (file_map_prot_check() in security/selinux/hooks.c asks
 * for "execute" on the file): a memory file of the process, or as every domain may execute it, a
 * library it has loaded. Of the file only the pages count, which are written over in private.
 */
#include "base/file.h"
#include "inject/injection_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROTECTION (PROT_READ | PROT_EXEC)

bool ml_code_is_forbidden(const struct ml_error *error)
{
	return error && (ml_error_code(error) == EACCES || ml_error_code(error) == EPERM);
}

static void path_of(const struct ml_step *step, int64_t remote, char path[64])
{
	snprintf(path, 64, "/proc/%d/fd/%d", step->pid, (int)remote);
}

static struct ml_error *map_of_memory(struct ml_step *step, const struct ml_code_place *place,
				      uint64_t *out)
{
	ML_FD_CLEANUP int fd = -1;
	int64_t remote = -1;
	char path[64];
	struct ml_error *error =
		ml_memory_create(step, place->scratch, ML_AGENT_MEMORY_NAME, &remote);

	if (error)
		return error;
	path_of(step, remote, path);
	error = ml_memory_open(step, path, &fd);
	if (!error && ftruncate(fd, (off_t)place->size))
		error = ml_error_errno(errno, "%s", path);
	if (!error)
		error = ml_step_mmap(step, place->address, place->size, PROTECTION,
				     MAP_PRIVATE | place->flags, (int)remote, out);
	ml_step_close(step, remote);
	return error;
}

/* A library whose first pages are no code: what a page of it is known for stays elsewhere. */
static const struct ml_mapping *find_library(const struct ml_step *step, size_t size)
{
	ml_array_each (it, &step->maps->list)
		if (it->is_executable && !it->is_writable && !it->is_shared && !it->is_deleted &&
		    it->inode && *it->path == '/' && it->offset >= size &&
		    strlen(it->path) < ML_AGENT_PAGE / 4)
			return it;
	return NULL;
}

static bool is_long_enough(const struct ml_step *step, int64_t remote, size_t size)
{
	char path[64];
	struct stat file;

	path_of(step, remote, path);
	return !stat(path, &file) && S_ISREG(file.st_mode) && (uint64_t)file.st_size >= size;
}

static struct ml_error *map_of_library(struct ml_step *step, const struct ml_code_place *place,
				       uint64_t *out)
{
	const struct ml_mapping *library = find_library(step, place->size);
	const uint64_t open_arguments[6] = {place->scratch, O_RDONLY | O_CLOEXEC};
	char nothing[ML_AGENT_PAGE / 4] = "";
	size_t length = library ? strlen(library->path) + 1 : 0;
	int64_t remote = -1;
	struct ml_error *error;

	if (!library || !ml_stop_write(&step->stop, place->scratch, library->path, length))
		return ml_error_new(ML_ERROR_UNSUPPORTED, "it has no library to take");
	error = ml_step_call(step, "open", SYS_open, open_arguments, &remote);
	ml_stop_write(&step->stop, place->scratch, nothing, length);
	if (error)
		return error;
	if (is_long_enough(step, remote, place->size))
		error = ml_step_mmap(step, place->address, place->size, PROTECTION,
				     MAP_PRIVATE | place->flags, (int)remote, out);
	else
		error = ml_error_new(ML_ERROR_UNSUPPORTED, "its library is too short");
	ml_step_close(step, remote);
	return error;
}

struct ml_error *ml_code_map(struct ml_step *step, const struct ml_code_place *place, uint64_t *out)
{
	struct ml_error *error = ml_step_mmap(step, place->address, place->size, PROTECTION,
					      MAP_PRIVATE | MAP_ANONYMOUS | place->flags, -1, out);

	if (!ml_code_is_forbidden(error))
		return error;
	ml_error_free(error);
	error = map_of_memory(step, place, out);
	if (!error)
		return NULL;
	ml_error_free(error);
	error = map_of_library(step, place, out);
	if (!error)
		return NULL;
	error = ml_error_wrap(error, "code of a library");
	ML_ERROR_CLEANUP struct ml_error *reason = error;

	return ml_error_new(
		ML_ERROR_UNSUPPORTED,
		"process %d may not map memory as code (SELinux's execmem, another security "
		"module, or a system call filter forbids it; %s): allow it (setsebool "
		"deny_execmem off, or a rule of its domain), or use --backend bpf",
		step->pid, ml_error_message(reason));
}
