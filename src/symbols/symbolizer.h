/* SPDX-License-Identifier: BSD-2-Clause */
/** From (module, address) to what a person reads: function, file, line, inlined callers. */
#ifndef ML_SYMBOLS_SYMBOLIZER_H
#define ML_SYMBOLS_SYMBOLIZER_H

#include "base/array.h"
#include "elf/module.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** One frame as shown. Strings live as long as the symbolizer. */
struct ml_symbol_frame {
	const char *symbol;  /**< demangled, templates in full; NULL when unknown */
	const char *mangled; /**< as in the file; NULL when unknown */
	uint64_t offset;     /**< of the address from the symbol's start */
	const char *file;    /**< source file as DWARF names it, NULL when unknown */
	int line;            /**< 0 when unknown */
	bool is_inlined;     /**< inlined into the next frame of the list */
};

struct ml_symbol_frames {
	ML_ARRAY(struct ml_symbol_frame) list; /**< innermost first; at least one after a lookup */
};

struct ml_symbolizer;

/** @p use_dwarf false: names only, no files and lines. */
struct ml_symbolizer *ml_symbolizer_create(bool use_dwarf);
void ml_symbolizer_destroy(struct ml_symbolizer *symbolizer);

/**
 * Opens @p path of the root that @p module was found in, for reading: a debug file. @p fd is the
 * caller's; only regular files may be opened.
 */
typedef struct ml_error *ml_open_file(void *context, struct ml_module *module, const char *path,
				      int *fd);

/**
 * How debug files of modules are opened. Without it the paths of modules are taken as paths of this
 * machine. With it, a debug file of this machine is used only by equal build-id. Call it before
 * the first lookup.
 */
void ml_symbolizer_set_open_file(struct ml_symbolizer *symbolizer, ml_open_file *open_file,
				 void *context);

/**
 * The frames at ELF address @p address of @p module. With @p is_call the address is a return
 * address: the line is the call's, the offset stays that of @p address. Results are cached by
 * module and address. @p out is emptied first; without any name it holds one frame of NULLs.
 */
void ml_symbolizer_lookup(struct ml_symbolizer *symbolizer, struct ml_module *module,
			  uint64_t address, bool is_call, struct ml_symbol_frames *out);

/** The same for an address of the kernel, by /proc/kallsyms (read at the first call). */
void ml_symbolizer_kernel(struct ml_symbolizer *symbolizer, uint64_t ip,
			  struct ml_symbol_frames *out);

/**
 * The same for JIT code of process @p pid: /tmp/perf-INNER_PID.map in the process's own root, read
 * again when it has grown; else the jit-*.dump that the process has mapped.
 */
void ml_symbolizer_jit(struct ml_symbolizer *symbolizer, pid_t pid, pid_t inner_pid, uint64_t ip,
		       struct ml_symbol_frames *out);

/**
 * Module part of "[…]" in a frame of the kernel at @p ip: "kernel" or the loadable module's name.
 */
const char *ml_symbolizer_kernel_module(struct ml_symbolizer *symbolizer, uint64_t ip);

#endif
