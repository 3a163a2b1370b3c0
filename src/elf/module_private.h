/* SPDX-License-Identifier: BSD-2-Clause */
/** The inside of struct ml_module, for the files of this folder only. */
#ifndef ML_ELF_MODULE_PRIVATE_H
#define ML_ELF_MODULE_PRIVATE_H

#include "base/array.h"
#include "base/intern.h"
#include "elf/build_id.h"
#include "elf/image.h"
#include "elf/module.h"
#include "elf/symbol_table.h"

#include <libelf.h>

/** A section read once; bytes is NULL when it could not be. */
struct ml_loaded_section {
	const Elf64_Shdr *header;
	uint8_t *bytes; /**< owned */
	size_t size;
};

struct ml_module {
	unsigned int references;
	struct ml_module *original; /**< a reference; NULL: it shares nothing */
	char *path;                 /**< owned */
	dev_t device;
	ino_t inode;
	struct ml_image image;
	Elf *elf;
	bool has_interpreter;
	bool is_executable;
	struct ml_build_id build_id;
	struct ml_symbol_table symbols;
	bool has_symbols; /**< symbols have been read */
	bool has_mini_debug_info;
	unsigned int scans;     /**< searches of names without having read them */
	struct ml_intern names; /**< those of ml_module_keep_name() */
	ML_ARRAY(struct ml_loaded_section) sections;
};

/** Frees the sections that ml_module_section() loaded. */
void ml_module_free_sections(struct ml_module *module);

#endif
