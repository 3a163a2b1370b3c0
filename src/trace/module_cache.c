/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/module_cache.h"

#include "base/array.h"
#include "base/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The vDSO is two or three pages; more is not one. */
#define VDSO_LIMIT_BYTES (64u << 10)

struct entry {
	dev_t device;
	uint64_t inode;           /* 0: the vDSO */
	char *path;               /* overlayfs gives files of two layers one number; owned */
	struct ml_module *module; /* owned reference; NULL when it cannot be opened */
};

struct ml_module_cache {
	ML_ARRAY(struct entry) entries;
};

struct ml_module_cache *ml_module_cache_create(void)
{
	return ml_alloc(sizeof(struct ml_module_cache));
}

void ml_module_cache_destroy(struct ml_module_cache *cache)
{
	if (!cache)
		return;
	ml_array_each (entry, &cache->entries) {
		ml_module_unref(entry->module);
		free(entry->path);
	}
	ml_array_free(&cache->entries);
	free(cache);
}

/* A copy of the vDSO in a memory file: it has no file of its own. */
static struct ml_error *copy_vdso(const struct ml_process *process,
				  const struct ml_mapping *mapping, int *fd)
{
	size_t size = mapping->end - mapping->start;
	ML_FREE_CLEANUP void *bytes = NULL;
	ML_FD_CLEANUP int copy = -1;

	if (size > VDSO_LIMIT_BYTES)
		return ml_error_new(ML_ERROR_FORMAT, "[vdso]: %zu bytes are no vDSO", size);
	bytes = ml_alloc(size);
	if (!ml_process_read(process, mapping->start, bytes, size))
		return ml_error_new(ML_ERROR_TARGET, "[vdso]: cannot read it out of process %d",
				    ml_process_pid(process));

	struct ml_error *error = ml_file_make_nameless("vdso", &copy);

	if (error)
		return ml_error_wrap(error, "[vdso]");
	if (write(copy, bytes, size) != (ssize_t)size)
		return ml_error_errno(errno, "[vdso]: cannot copy it");
	*fd = copy;
	copy = -1;
	return NULL;
}

static bool is_vdso(const struct ml_mapping *mapping)
{
	return !mapping->inode && !strcmp(mapping->path, "[vdso]");
}

static struct ml_error *open_module(const struct ml_process *process,
				    const struct ml_mapping *mapping, struct ml_module **out)
{
	int fd = -1;
	struct ml_error *error = is_vdso(mapping) ? copy_vdso(process, mapping, &fd)
						  : ml_process_open_mapping(process, mapping, &fd);

	return error ? error : ml_module_open(fd, mapping->path, out);
}

/* Containers of one image have their own inodes of the same libraries. */
static void share(const struct ml_module_cache *cache, struct ml_module *module)
{
	ml_array_each (entry, &cache->entries) {
		if (entry->module && ml_module_share(module, entry->module))
			return;
	}
}

struct ml_error *ml_module_cache_get(struct ml_module_cache *cache,
				     const struct ml_process *process,
				     const struct ml_mapping *mapping, struct ml_module **out)
{
	ml_array_each (entry, &cache->entries) {
		if (entry->device != mapping->device || entry->inode != mapping->inode ||
		    strcmp(entry->path, mapping->path) != 0)
			continue;
		if (!entry->module)
			return ml_error_new(ML_ERROR_FORMAT, "%s: seen before", mapping->path);
		*out = entry->module;
		return NULL;
	}

	struct ml_module *module = NULL;
	struct ml_error *error = open_module(process, mapping, &module);

	if (!error)
		share(cache, module);
	*ml_array_push(&cache->entries) = (struct entry){
		.device = mapping->device,
		.inode = mapping->inode,
		.path = ml_strdup(mapping->path),
		.module = module,
	};
	if (!error)
		*out = module;
	return error;
}
