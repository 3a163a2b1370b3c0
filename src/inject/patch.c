/* SPDX-License-Identifier: BSD-2-Clause */
/** What stands where a function was patched. */
#include "base/file.h"
#include "inject/injection_private.h"

#include <string.h>
#include <unistd.h>

static bool read_file(const struct ml_process *process, uint64_t address, void *bytes, size_t size)
{
	struct ml_maps maps = {0};
	ML_FD_CLEANUP int fd = -1;
	ML_ERROR_CLEANUP struct ml_error *error = ml_process_maps(process, &maps);
	const struct ml_mapping *mapping = error ? NULL : ml_maps_find(&maps, address);
	off_t offset = mapping ? (off_t)(address - mapping->start + mapping->offset) : 0;

	if (mapping && mapping->inode)
		error = ml_process_open_mapping(process, mapping, &fd);
	ml_maps_deinit(&maps);
	return fd >= 0 && pread(fd, bytes, size, offset) == (ssize_t)size;
}

enum ml_patch_state ml_patch_state(const struct ml_process *process,
				   const struct ml_agent_patch *patch)
{
	uint8_t now[ML_AGENT_PATCH_BYTES], file[ML_AGENT_PATCH_BYTES];

	if (!ml_process_read(process, patch->address, now, sizeof(now)))
		return ML_PATCH_GONE;
	if (!memcmp(now, patch->patched, sizeof(now)))
		return ML_PATCH_OURS;
	if (!memcmp(now, patch->original, sizeof(now)))
		return ML_PATCH_GONE;
	return read_file(process, patch->address, file, sizeof(file)) &&
			       !memcmp(now, file, sizeof(now))
		       ? ML_PATCH_GONE
		       : ML_PATCH_FOREIGN;
}
