/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/code_map.h"

#include "base/prefix.h"
#include "symbols/jitdump.h"

#include "unwind/text.h"

#include <string.h>

/* Mappings that have gone and are still remembered; a JIT that maps for ever must not fill memory.
 */
#define GONE_LIMIT 4096

static bool is_code(const struct ml_mapping *mapping)
{
	/* A page of a jitdump is mapped executable only to be found. */
	return mapping->is_executable && strcmp(mapping->path, "[vsyscall]") != 0 &&
	       !ml_jitdump_is_name(mapping->path);
}

static struct ml_code *find_mapped(const struct ml_code_map *map, uint64_t ip)
{
	size_t low = 0, high = map->mapped_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct ml_code *code = &map->list.items[middle];

		if (ip < code->start)
			high = middle;
		else if (ip >= code->end)
			low = middle + 1;
		else
			return code;
	}
	return NULL;
}

/* The same mapping as before: same place and, when it is a file, same file. */
static bool is_same(const struct ml_code *code, const struct ml_mapping *mapping)
{
	if (code->start != mapping->start || code->end != mapping->end)
		return false;
	if (!code->module)
		return !mapping->inode;
	return !mapping->inode || (ml_module_inode(code->module) == mapping->inode);
}

struct ml_code_change ml_code_map_compare(const struct ml_code_map *map, const struct ml_maps *maps)
{
	struct ml_code_change change = {0};
	size_t same = 0;

	ml_array_each (mapping, &maps->list) {
		if (!is_code(mapping))
			continue;

		const struct ml_code *code = find_mapped(map, mapping->start);

		if (code && is_same(code, mapping))
			same++;
		else
			change.added = true;
	}
	change.removed = same < map->mapped_count;
	return change;
}

/* A JIT may have its code in shared memory, such as Erlang's in memfd:vmem: then it is no ELF file,
 * and nothing that could not be read. */
static bool is_memory_file(const struct ml_mapping *mapping)
{
	return ml_has_prefix(mapping->path, "/memfd:") || ml_has_prefix(mapping->path, "/SYSV") ||
	       ml_has_prefix(mapping->path, "/dev/zero");
}

static struct ml_code code_of(struct ml_code_map *map, struct ml_module_cache *cache,
			      const struct ml_process *process, const struct ml_mapping *mapping)
{
	struct ml_code code = {.start = mapping->start, .end = mapping->end, .is_mapped = true};
	bool has_file = mapping->inode || !strcmp(mapping->path, "[vdso]");
	uint64_t address;

	if (!has_file)
		return code;

	ML_ERROR_CLEANUP struct ml_error *error =
		ml_module_cache_get(cache, process, mapping, &code.module);

	if (error) {
		map->unreadable += !is_memory_file(mapping);
		code.module = NULL;
	} else if (ml_text_address_of_mapping(code.module, mapping->offset, &address)) {
		code.bias = mapping->start - address;
	} else {
		code.module = NULL; /* mapped by hand, not by its program headers */
	}
	return code;
}

/* Of the mappings that have gone, the newest GONE_LIMIT. */
static void forget_old(struct ml_code_map *map)
{
	size_t gone = map->list.count - map->mapped_count;

	if (gone <= GONE_LIMIT)
		return;

	struct ml_code *first = &map->list.items[map->mapped_count];

	memmove(first, first + (gone - GONE_LIMIT), GONE_LIMIT * sizeof(*first));
	map->list.count = map->mapped_count + GONE_LIMIT;
}

void ml_code_map_update(struct ml_code_map *map, struct ml_module_cache *cache,
			const struct ml_process *process, const struct ml_maps *maps)
{
	struct ml_code_map fresh = {.unreadable = map->unreadable};

	ml_array_each (mapping, &maps->list) {
		if (!is_code(mapping))
			continue;

		struct ml_code *code = find_mapped(map, mapping->start);
		struct ml_code now;

		if (code && is_same(code, mapping)) {
			now = *code;
			code->is_mapped = false; /* moved over, not gone */
			code->module = NULL;
			code->end = code->start;
		} else {
			now = code_of(&fresh, cache, process, mapping);
		}
		*ml_array_push(&fresh.list) = now;
	}
	fresh.mapped_count = fresh.list.count;
	ml_array_each (code, &map->list) {
		if (code->start == code->end)
			continue;
		*ml_array_push(&fresh.list) = *code;
		fresh.list.items[fresh.list.count - 1].is_mapped = false;
	}
	forget_old(&fresh);
	ml_array_free(&map->list);
	*map = fresh;
}

const struct ml_code *ml_code_map_find(const struct ml_code_map *map, uint64_t ip)
{
	const struct ml_code *code = find_mapped(map, ip);

	for (size_t i = map->list.count; !code && i > map->mapped_count; i--) {
		const struct ml_code *gone = &map->list.items[i - 1];

		if (ip >= gone->start && ip < gone->end)
			code = gone;
	}
	return code;
}

struct ml_stack_frame ml_code_map_frame(const struct ml_code_map *map, uint64_t ip, bool is_call)
{
	const struct ml_code *code = ml_code_map_find(map, ip - is_call);
	struct ml_stack_frame frame = {.ip = ip, .is_call = is_call, .kind = ML_FRAME_NATIVE};

	if (code && code->module) {
		frame.module = code->module;
		frame.address = ip - code->bias;
	} else if (code) {
		frame.kind = ML_FRAME_JIT;
	}
	return frame;
}

bool ml_code_map_is_static(const struct ml_code_map *map)
{
	for (size_t i = 0; i < map->mapped_count; i++) {
		struct ml_module *module = map->list.items[i].module;

		if (module && ml_module_is_executable(module))
			return ml_module_is_static(module);
	}
	return false;
}

void ml_code_map_deinit(struct ml_code_map *map)
{
	ml_array_free(&map->list);
}
