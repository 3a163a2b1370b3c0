/* SPDX-License-Identifier: BSD-2-Clause */
/** What stands where a function was patched. */
#include "base/file.h"
#include "inject/injection_private.h"

#include <string.h>
#include <unistd.h>

/* What the file that is mapped at @address has there. */
static bool read_file(const struct ml_process *process, const struct ml_mapping *mapping,
		      uint64_t address, void *bytes, size_t size)
{
	ML_FD_CLEANUP int fd = -1;
	off_t offset = (off_t)(address - mapping->start + mapping->offset);
	ML_ERROR_CLEANUP struct ml_error *error =
		mapping->inode ? ml_process_open_mapping(process, mapping, &fd) : NULL;

	return !error && fd >= 0 && pread(fd, bytes, size, offset) == (ssize_t)size;
}

/* The word leads to other code than the function and our stub: whoever wrote that may have kept the
 * word. The loader, which finds the function at the first call, may have written the word, too; or
 * the module is gone and something else is there. */
static bool is_foreign_word(const struct ml_process *process, const struct ml_agent_patch *patch,
			    uint64_t now)
{
	struct ml_maps maps = {0};
	const struct ml_mapping *mapping;
	uint64_t stub, function;
	bool is_code;

	memcpy(&stub, patch->patched, sizeof(stub));
	if (!ml_process_read(process, stub - ML_SLOT_STUB, &function, sizeof(function)) ||
	    now == function)
		return false;
	ml_error_free(ml_process_maps(process, &maps));
	mapping = ml_maps_find(&maps, now);
	is_code = mapping && mapping->is_executable;
	ml_maps_deinit(&maps);
	return is_code;
}

/* Data of no file is what has come to the place of a module that was unloaded. */
static bool is_foreign_code(const struct ml_process *process, const struct ml_agent_patch *patch,
			    const uint8_t now[ML_AGENT_PATCH_BYTES])
{
	uint8_t file[ML_AGENT_PATCH_BYTES];
	struct ml_maps maps = {0};
	ML_ERROR_CLEANUP struct ml_error *error = ml_process_maps(process, &maps);
	const struct ml_mapping *mapping = error ? NULL : ml_maps_find(&maps, patch->address);
	bool is_code = mapping && (mapping->inode || mapping->is_executable);
	bool is_file = is_code && read_file(process, mapping, patch->address, file, sizeof(file)) &&
		       !memcmp(now, file, sizeof(file));

	ml_maps_deinit(&maps);
	return error || (is_code && !is_file);
}

enum ml_patch_state ml_patch_state(const struct ml_process *process,
				   const struct ml_agent_patch *patch)
{
	uint8_t now[sizeof(patch->patched)];
	uint64_t word;

	if (patch->size > sizeof(now) ||
	    !ml_process_read(process, patch->address, now, patch->size))
		return ML_PATCH_GONE;
	if (!memcmp(now, patch->patched, patch->size))
		return ML_PATCH_OURS;
	if (!memcmp(now, patch->original, patch->size))
		return ML_PATCH_GONE;
	memcpy(&word, now, sizeof(word));
	return (patch->size == ML_AGENT_WORD_BYTES ? is_foreign_word(process, patch, word)
						   : is_foreign_code(process, patch, now))
		       ? ML_PATCH_FOREIGN
		       : ML_PATCH_GONE;
}
