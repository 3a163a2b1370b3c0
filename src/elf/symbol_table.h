/* SPDX-License-Identifier: BSD-2-Clause */
/** The function symbols of a module from all their sources, sorted and searchable. */
#ifndef ML_ELF_SYMBOL_TABLE_H
#define ML_ELF_SYMBOL_TABLE_H

#include "base/array.h"
#include "elf/image.h"
#include "elf/module.h"

/** Where a symbol was read: the order in which people meet them. */
enum ml_symbol_source {
	ML_SYMBOL_DYNAMIC,    /**< .dynsym or PT_DYNAMIC */
	ML_SYMBOL_STATIC,     /**< .symtab of the file */
	ML_SYMBOL_DEBUG_DATA, /**< .symtab of .gnu_debugdata */
	ML_SYMBOL_DEBUG_FILE, /**< .symtab of a separate debug file */
	ML_SYMBOL_SOURCES,
};

/** One symbol in 24 bytes: a big program has some hundred thousand. */
struct ml_symbol_entry {
	uint64_t address;
	uint64_t end;   /**< first address behind it, by its size or (size 0) by what follows */
	uint32_t name;  /**< in its source's names */
	uint8_t source; /**< enum ml_symbol_source */
	bool is_sized;  /**< the file says where it ends */
	bool is_public; /**< dynamic, or not STB_LOCAL */
	bool is_ifunc;
};
_Static_assert(sizeof(struct ml_symbol_entry) == 24, "the size the memory figures count on");

/** From @p start on (up to the next range) addresses may belong to entry @p entry. */
struct ml_symbol_range {
	uint64_t start;
	uint32_t entry;
};

/** All-zero is empty. */
struct ml_symbol_table {
	ML_ARRAY(struct ml_symbol_entry) entries; /**< sorted by address once indexed */
	ML_ARRAY(struct ml_symbol_range) ranges;  /**< sorted by start */
	char *names[ML_SYMBOL_SOURCES];           /**< string tables; owned */
	size_t names_size[ML_SYMBOL_SOURCES];
	uint32_t *buckets; /**< by name: first entry + 1; owned; NULL until asked for */
	uint32_t *chain;   /**< entry -> next entry of its bucket + 1; owned */
	uint32_t bucket_count;
};

/**
 * Adds the function symbols that @p image has as @p source; a source can be added once. What
 * cannot be read is left out. Names given out before stay where they are.
 */
void ml_symbol_table_add(struct ml_symbol_table *table, const struct ml_image *image,
			 enum ml_symbol_source source);

/** What is told of @p entry, whose name is @p name. */
struct ml_symbol ml_symbol_of_entry(const struct ml_symbol_entry *entry, const char *name);

/** Calls @p visit for the same symbols, keeping nothing: names are gone once @p visit returns. */
void ml_symbol_scan(const struct ml_image *image, enum ml_symbol_source source,
		    void (*visit)(const struct ml_symbol *symbol, void *context), void *context);

/** The function of that name, a public one if there is; @p name itself becomes its name. */
bool ml_symbol_scan_named(const struct ml_image *image, enum ml_symbol_source source,
			  const char *name, struct ml_symbol *out);

/** A new entry's place, or NULL when the table is full. For symbol_reader.c. */
struct ml_symbol_entry *ml_symbol_table_push(struct ml_symbol_table *table);

/** Sorts what was added; lookups need it after the last add. */
void ml_symbol_table_index(struct ml_symbol_table *table);

/** Lookups in what was indexed, for ml_module_symbol_at() and its like. */
bool ml_symbol_table_at(const struct ml_symbol_table *table, uint64_t address,
			struct ml_symbol *out);
bool ml_symbol_table_named(struct ml_symbol_table *table, const char *name, struct ml_symbol *out);
void ml_symbol_table_each(const struct ml_symbol_table *table, enum ml_symbol_source source,
			  void (*visit)(const struct ml_symbol *symbol, void *context),
			  void *context);
void ml_symbol_table_deinit(struct ml_symbol_table *table);

#define ML_MINI_DEBUG_INFO ".gnu_debugdata"
/** The xz-compressed ELF in .gnu_debugdata ("MiniDebugInfo"), decompressed (free() it), or NULL. */
void *ml_mini_debug_info_load(const struct ml_image *image, size_t *size);

#endif
