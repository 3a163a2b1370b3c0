/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/symbolizer.h"

#include "base/file.h"
#include "base/u64map.h"
#include "symbols/debug_file.h"
#include "symbols/debug_info.h"
#include "symbols/demangle.h"
#include "symbols/jitdump.h"
#include "symbols/kernel_symbols.h"
#include "symbols/perf_map.h"
#include "symbols/string_pool.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** What is kept of one module. */
struct known_module {
	struct ml_module *module; /**< a reference */
	struct ml_dwarf *dwarf;   /**< NULL: none, or not wanted */
	/** By is_call: address -> first frame in `frames` << 32 | number of frames. */
	struct ml_u64map lookups[2];
	ML_ARRAY(struct ml_symbol_frame) frames;
};

struct ml_symbolizer {
	bool use_dwarf;
	struct ml_file_opener opener;
	struct ml_string_pool strings;
	struct ml_u64map demangled; /**< mangled name in the pool -> demangled one in the pool */
	struct ml_u64map modules;   /**< struct ml_module * -> struct known_module * */
	struct ml_u64map perf_maps; /**< pid -> struct ml_perf_map * */
	struct ml_u64map jitdumps;  /**< pid -> struct ml_jitdump * */
	struct ml_kernel_symbols kernel;
	bool has_kernel; /**< /proc/kallsyms has been read, or tried to */
	struct ml_dwarf_frames scratch;
};

struct ml_symbolizer *ml_symbolizer_create(bool use_dwarf)
{
	struct ml_symbolizer *symbolizer = ml_alloc(sizeof(*symbolizer));

	symbolizer->use_dwarf = use_dwarf;
	symbolizer->opener.servers = ml_debuginfod_create();
	return symbolizer;
}

static void free_module(struct known_module *known)
{
	ml_dwarf_close(known->dwarf);
	ml_u64map_free(&known->lookups[0]);
	ml_u64map_free(&known->lookups[1]);
	ml_array_free(&known->frames);
	ml_module_unref(known->module);
	free(known);
}

void ml_symbolizer_destroy(struct ml_symbolizer *symbolizer)
{
	uint64_t key, value;

	if (!symbolizer)
		return;
	for (size_t cursor = 0; ml_u64map_next(&symbolizer->modules, &cursor, &key, &value);)
		free_module((struct known_module *)(uintptr_t)value);
	for (size_t cursor = 0; ml_u64map_next(&symbolizer->perf_maps, &cursor, &key, &value);) {
		struct ml_perf_map *map = (struct ml_perf_map *)(uintptr_t)value;

		ml_perf_map_deinit(map);
		free(map);
	}
	for (size_t cursor = 0; ml_u64map_next(&symbolizer->jitdumps, &cursor, &key, &value);) {
		struct ml_jitdump *dump = (struct ml_jitdump *)(uintptr_t)value;

		ml_jitdump_deinit(dump);
		free(dump);
	}
	ml_u64map_free(&symbolizer->jitdumps);
	ml_u64map_free(&symbolizer->modules);
	ml_u64map_free(&symbolizer->perf_maps);
	ml_u64map_free(&symbolizer->demangled);
	ml_array_free(&symbolizer->scratch.list);
	ml_debuginfod_destroy(symbolizer->opener.servers);
	ml_kernel_symbols_deinit(&symbolizer->kernel);
	ml_string_pool_deinit(&symbolizer->strings);
	free(symbolizer);
}

void ml_symbolizer_set_open_file(struct ml_symbolizer *symbolizer, ml_open_file *open_file,
				 void *context)
{
	symbolizer->opener.open = open_file;
	symbolizer->opener.context = context;
}

/* Fills in both names of @p frame from the mangled one. */
static void set_name(struct ml_symbolizer *symbolizer, const char *mangled,
		     struct ml_symbol_frame *frame)
{
	bool is_new;

	frame->mangled = ml_string_pool_add(&symbolizer->strings, mangled);

	uint64_t *known =
		ml_u64map_put(&symbolizer->demangled, (uint64_t)(uintptr_t)frame->mangled, &is_new);

	if (is_new)
		*known = (uint64_t)(uintptr_t)ml_string_pool_take(&symbolizer->strings,
								  ml_demangle(frame->mangled));
	frame->symbol = (const char *)(uintptr_t)*known;
}

/* Opens the DWARF of a module and the symbols of its debug file. */
static void open_debug_info(struct ml_symbolizer *symbolizer, struct known_module *known)
{
	struct ml_module *module = known->module;
	int fd = fcntl(ml_module_fd(module), F_DUPFD_CLOEXEC, 0);

	if (fd >= 0 && symbolizer->use_dwarf)
		known->dwarf = ml_dwarf_open(module, fd, &symbolizer->opener);
	else
		ml_fd_close(&fd);
	if (known->dwarf)
		return;

	ML_FREE_CLEANUP char *path = NULL;
	int debug_fd = ml_debug_file_find(module, &symbolizer->opener, &path);

	if (debug_fd < 0)
		return;
	fd = fcntl(debug_fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0)
		ml_error_free(ml_module_add_symbols(module, fd, path));
	if (symbolizer->use_dwarf)
		known->dwarf = ml_dwarf_open(module, debug_fd, &symbolizer->opener);
	else
		ml_fd_close(&debug_fd);
}

static struct known_module *need_module(struct ml_symbolizer *symbolizer, struct ml_module *module)
{
	bool is_new;

	module = ml_module_original(module);

	uint64_t *value = ml_u64map_put(&symbolizer->modules, (uint64_t)(uintptr_t)module, &is_new);

	if (is_new) {
		struct known_module *known = ml_alloc(sizeof(*known));

		known->module = ml_module_ref(module);
		open_debug_info(symbolizer, known);
		*value = (uint64_t)(uintptr_t)known;
	}
	return (struct known_module *)(uintptr_t)*value;
}

/* Adds the frames at @p address to the module's; their number. */
static uint32_t find_frames(struct ml_symbolizer *symbolizer, struct known_module *known,
			    uint64_t address, bool is_call)
{
	/* A return address may be the first byte of another line, or (behind a call that does not
	 * return) of another function: what is asked for is the call before it. */
	uint64_t looked_up = address - (is_call && address > 0);
	struct ml_dwarf_frames *dwarf = &symbolizer->scratch;
	struct ml_symbol symbol = {0};
	bool has_symbol = ml_module_symbol_at(known->module, looked_up, &symbol);
	size_t first = known->frames.count;

	dwarf->list.count = 0;
	if (known->dwarf)
		ml_dwarf_lookup(known->dwarf, looked_up, dwarf);
	if (dwarf->list.count == 0)
		*ml_array_push(&dwarf->list) = (struct ml_dwarf_frame){0};
	for (size_t i = 0; i < dwarf->list.count; i++) {
		const struct ml_dwarf_frame *from = &dwarf->list.items[i];
		uint64_t start = has_symbol ? symbol.address : from->start;
		/* The file's own symbol table knows aliases and the parts of split functions. */
		const char *name = has_symbol && !from->is_inlined ? symbol.name : from->name;
		struct ml_symbol_frame frame = {
			.offset = start ? address - start : 0,
			.file = ml_string_pool_add(&symbolizer->strings, from->file),
			.line = from->line,
			.is_inlined = from->is_inlined,
		};

		/* The name is in a supplementary file that is not here: the line of the call in the
		 * outer function says more than the nameless line. */
		if (!name && from->is_inlined)
			continue;
		if (name)
			set_name(symbolizer, name, &frame);
		*ml_array_push(&known->frames) = frame;
	}
	return (uint32_t)(known->frames.count - first);
}

static void add_frame(struct ml_symbol_frames *out, const struct ml_symbol_frame *frame)
{
	*ml_array_push(&out->list) = *frame;
}

void ml_symbolizer_lookup(struct ml_symbolizer *symbolizer, struct ml_module *module,
			  uint64_t address, bool is_call, struct ml_symbol_frames *out)
{
	struct known_module *known = need_module(symbolizer, module);
	bool is_new;
	uint64_t *value = ml_u64map_put(&known->lookups[is_call], address, &is_new);

	if (is_new) {
		uint64_t first = known->frames.count;

		*value = first << 32 | find_frames(symbolizer, known, address, is_call);
	}

	size_t first = (size_t)(*value >> 32), count = (size_t)(uint32_t)*value;

	out->list.count = 0;
	for (size_t i = 0; i < count; i++)
		add_frame(out, &known->frames.items[first + i]);
}

static const struct ml_kernel_symbol *find_kernel(struct ml_symbolizer *symbolizer, uint64_t ip)
{
	if (!symbolizer->has_kernel) {
		symbolizer->has_kernel = true;
		ml_error_free(ml_kernel_symbols_read(&symbolizer->kernel));
	}
	return ml_kernel_symbols_find(&symbolizer->kernel, ip);
}

void ml_symbolizer_kernel(struct ml_symbolizer *symbolizer, uint64_t ip,
			  struct ml_symbol_frames *out)
{
	const struct ml_kernel_symbol *symbol = find_kernel(symbolizer, ip);
	struct ml_symbol_frame frame = {0};

	if (symbol) {
		set_name(symbolizer, symbol->name, &frame);
		frame.offset = ip - symbol->address;
	}
	out->list.count = 0;
	add_frame(out, &frame);
}

const char *ml_symbolizer_kernel_module(struct ml_symbolizer *symbolizer, uint64_t ip)
{
	const struct ml_kernel_symbol *symbol = find_kernel(symbolizer, ip);

	return symbol ? symbol->module : "kernel";
}

static struct ml_perf_map *need_perf_map(struct ml_symbolizer *symbolizer, pid_t pid,
					 pid_t inner_pid)
{
	bool is_new;
	uint64_t *value = ml_u64map_put(&symbolizer->perf_maps, (uint64_t)pid, &is_new);

	if (is_new)
		*value = (uint64_t)(uintptr_t)ml_alloc(sizeof(struct ml_perf_map));

	struct ml_perf_map *map = (struct ml_perf_map *)(uintptr_t)*value;

	ml_perf_map_refresh(map, pid, inner_pid);
	return map;
}

static struct ml_jitdump *need_jitdump(struct ml_symbolizer *symbolizer, pid_t pid)
{
	bool is_new;
	uint64_t *value = ml_u64map_put(&symbolizer->jitdumps, (uint64_t)pid, &is_new);

	if (is_new) {
		struct ml_jitdump *made = ml_alloc(sizeof(*made));

		made->fd = -1;
		*value = (uint64_t)(uintptr_t)made;
	}

	struct ml_jitdump *dump = (struct ml_jitdump *)(uintptr_t)*value;

	ml_jitdump_refresh(dump, pid);
	return dump;
}

void ml_symbolizer_jit(struct ml_symbolizer *symbolizer, pid_t pid, pid_t inner_pid, uint64_t ip,
		       struct ml_symbol_frames *out)
{
	const struct ml_perf_map *map = need_perf_map(symbolizer, pid, inner_pid);
	const struct ml_jit_range *range = ml_perf_map_find(map, ip);
	struct ml_symbol_frame frame = {0};

	if (!range)
		range = ml_jit_ranges_find(&need_jitdump(symbolizer, pid)->ranges, ip);
	if (range) {
		bool is_mangled =
			strncmp(range->name, "_Z", 2) == 0 || strncmp(range->name, "_R", 2) == 0;

		/* Runtimes write names for people; a dot in one is no compiler's suffix. */
		if (is_mangled)
			set_name(symbolizer, range->name, &frame);
		else
			frame.symbol = frame.mangled =
				ml_string_pool_add(&symbolizer->strings, range->name);
		frame.offset = ip - range->code_start;
	}
	out->list.count = 0;
	add_frame(out, &frame);
}
