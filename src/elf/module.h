/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * One ELF file, opened once: identity, segments, symbols, build-id.
 *
 * Everything in the file is hostile. Reading goes through libelf without mapping the file, so that
 * a file truncated while we read it is an error and not a SIGBUS. "Address" in this header is an
 * ELF virtual address (st_value, before relocation).
 */
#ifndef ML_ELF_MODULE_H
#define ML_ELF_MODULE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ml_module;

/** A function or other named address range. @p name is owned by the module. */
struct ml_symbol {
	uint64_t address;
	uint64_t size;    /**< 0 when the file does not say */
	const char *name; /**< mangled, without @VERSION */
	bool is_dynamic;  /**< from .dynsym: a public name */
	bool is_ifunc;    /**< STT_GNU_IFUNC: the address is a resolver's */
};

/**
 * Takes @p fd over (also on failure) and opens it as x86-64 ELF.
 * @p path is what people call the file (as /proc/PID/maps or the user names it); copied.
 * The new module has one reference. Errors name @p path and what is wrong with the file.
 */
struct ml_error *ml_module_open(int fd, const char *path, struct ml_module **out);

/** One reference more. */
struct ml_module *ml_module_ref(struct ml_module *module);
/** NULL is fine. The last reference closes the file. */
void ml_module_unref(struct ml_module *module);

/**
 * Lets @p module use the symbols and sections that @p other has read or will read: the same library
 * in another container. Only when build-id and every byte are the same (a build-id alone may be a
 * lie); false otherwise. Before anything was asked of @p module.
 */
bool ml_module_share(struct ml_module *module, struct ml_module *other);
/** The module whose contents @p module shares, itself when none: what to keep knowledge by. */
struct ml_module *ml_module_original(struct ml_module *module);

/** The name given to ml_module_open(). */
const char *ml_module_path(const struct ml_module *module);
/** The part of the path after the last '/', "[vdso]" for the vDSO. */
const char *ml_module_name(const struct ml_module *module);
/** The open descriptor, for those who need the file itself (uprobes, DWARF). Borrowed. */
int ml_module_fd(const struct ml_module *module);
/** st_dev and st_ino of the file: with them a file is known again. */
dev_t ml_module_device(const struct ml_module *module);
ino_t ml_module_inode(const struct ml_module *module);
/** The GNU build-id, NULL when there is none. @p size in bytes, at most 64. */
const uint8_t *ml_module_build_id(const struct ml_module *module, size_t *size);
/** The build-id as lower-case hex, NULL when there is none. Lives with the module. */
const char *ml_module_build_id_hex(const struct ml_module *module);
/**
 * A program, not a library: ET_EXEC, or ET_DYN with DF_1_PIE, or with PT_INTERP and without
 * DT_SONAME (libc.so.6 has both).
 */
bool ml_module_is_executable(const struct ml_module *module);
/** True when the file asks for no dynamic linker: a static or static-pie program. */
bool ml_module_is_static(const struct ml_module *module);

/** ELF address of byte @p offset of the file, by the PT_LOAD segments. False when none holds it. */
bool ml_module_address_of_offset(const struct ml_module *module, uint64_t offset,
				 uint64_t *address);
/** The opposite: where in the file the byte at @p address is. */
bool ml_module_offset_of_address(const struct ml_module *module, uint64_t address,
				 uint64_t *offset);
/** Reads @p size bytes at ELF address @p address out of the file; false when they are not there. */
bool ml_module_read(const struct ml_module *module, uint64_t address, void *buffer, size_t size);

/**
 * The symbol that covers @p address: its size says so, or (size 0) it is the last one before
 * @p address in its section. Public names win over local ones, and shorter aliases without leading
 * underscores over others. Symbols are read at the first call and kept sorted.
 */
bool ml_module_symbol_at(struct ml_module *module, uint64_t address, struct ml_symbol *out);

/**
 * Adds the .symtab of the separate debug file @p fd (taken over, also on failure) called @p path
 * to the symbols. That it belongs to the module is for the caller to check. Once a module.
 */
struct ml_error *ml_module_add_symbols(struct ml_module *module, int fd, const char *path);

/** Calls @p visit for every defined function symbol (.dynsym, then .symtab, then .gnu_debugdata).
 */
void ml_module_each_function(struct ml_module *module,
			     void (*visit)(const struct ml_symbol *symbol, void *context),
			     void *context);

/**
 * The same without reading the symbols into memory, where that has not been done: for a look at all
 * the names of a huge program. Names are gone once @p visit returns.
 */
void ml_module_scan_functions(struct ml_module *module,
			      void (*visit)(const struct ml_symbol *symbol, void *context),
			      void *context);
/** A copy of @p name that lives as long as @p module; of equal names there is one. */
const char *ml_module_keep_name(struct ml_module *module, const char *name);

/** A defined function of exactly this (mangled) name; public ones first. */
bool ml_module_function_named(struct ml_module *module, const char *name, struct ml_symbol *out);

/** The libelf handle (Elf *), for CFI and DWARF readers. Borrowed; do not end it. */
void *ml_module_elf(struct ml_module *module);

/** An address in a section of the file: where the section starts and its contents. */
struct ml_section {
	uint64_t address;     /**< sh_addr; 0 when not allocated */
	const uint8_t *bytes; /**< decompressed; lives with the module */
	size_t size;
};
/** The section called @p name; false when missing, empty or SHT_NOBITS. */
bool ml_module_section(struct ml_module *module, const char *name, struct ml_section *out);
/** Frees what ml_module_section() gave of section @p name, when nobody uses it any more. */
void ml_module_drop_section(struct ml_module *module, const char *name);

#endif
