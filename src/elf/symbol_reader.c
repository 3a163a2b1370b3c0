/* SPDX-License-Identifier: BSD-2-Clause */
/* Symbol tables of a file, with or without section headers, into a struct ml_symbol_table. */
#include "elf/symbol_table.h"

#include <stdlib.h>
#include <string.h>

/* Chromium with all its symbols has 150 MiB of names. */
#define NAMES_SIZE_MAX (256ULL << 20)
#define SYMBOLS_MAX    (16ULL << 20)
#define SYMBOLS_A_READ 256
#define WORDS_A_READ   1024

/** Where a symbol table lies in the file. */
struct location {
	uint64_t offset;
	uint64_t count;
	uint64_t names_offset;
	uint64_t names_size;
};

static bool find_by_section(const struct ml_image *image, uint32_t type, struct location *out)
{
	const Elf64_Shdr *symbols = ml_image_section_of_type(image, type);

	if (!symbols || symbols->sh_link >= image->section_count)
		return false;

	const Elf64_Shdr *names = &image->sections[symbols->sh_link];

	if (names->sh_type != SHT_STRTAB)
		return false;
	*out = (struct location){
		.offset = symbols->sh_offset,
		.count = symbols->sh_size / sizeof(Elf64_Sym),
		.names_offset = names->sh_offset,
		.names_size = names->sh_size,
	};
	return true;
}

/* DT_HASH begins with nbucket and nchain; there are as many chain entries as symbols (gABI). */
static bool count_by_hash(const struct ml_image *image, uint64_t *count)
{
	uint64_t table, offset;
	uint32_t words[2];

	if (!ml_image_dynamic(image, DT_HASH, &table) ||
	    !ml_image_offset_of(image, table, &offset) ||
	    !ml_image_read(image, offset, words, sizeof(words)))
		return false;
	*count = words[1];
	return true;
}

static bool largest_word(const struct ml_image *image, uint64_t offset, uint32_t count,
			 uint32_t *largest)
{
	uint32_t words[WORDS_A_READ];

	*largest = 0;
	while (count > 0) {
		uint32_t step = count < WORDS_A_READ ? count : WORDS_A_READ;

		if (!ml_image_read(image, offset, words, step * sizeof(*words)))
			return false;
		for (uint32_t i = 0; i < step; i++) {
			if (words[i] > *largest)
				*largest = words[i];
		}
		offset += step * sizeof(*words);
		count -= step;
	}
	return true;
}

/* DT_GNU_HASH does not tell the number of symbols: it is one more than the last of the chain that
 * begins at the largest bucket; bit 0 marks a chain's end. */
static bool count_by_gnu_hash(const struct ml_image *image, uint64_t *count)
{
	struct {
		uint32_t bucket_count, first_symbol, bloom_count, bloom_shift;
	} header;
	uint64_t table, offset;
	uint32_t symbol, hash;

	if (!ml_image_dynamic(image, DT_GNU_HASH, &table) ||
	    !ml_image_offset_of(image, table, &offset) ||
	    !ml_image_read(image, offset, &header, sizeof(header)))
		return false;
	offset += sizeof(header) + sizeof(uint64_t) * (uint64_t)header.bloom_count;
	if (!largest_word(image, offset, header.bucket_count, &symbol))
		return false;
	*count = header.first_symbol;
	if (symbol < header.first_symbol)
		return true;
	offset += sizeof(uint32_t) * (uint64_t)header.bucket_count;
	do {
		uint64_t at = sizeof(hash) * (uint64_t)(symbol - header.first_symbol);

		if (!ml_image_read(image, offset + at, &hash, sizeof(hash)))
			return false;
		symbol++;
	} while (!(hash & 1) && symbol < SYMBOLS_MAX);
	*count = symbol;
	return true;
}

static bool find_by_dynamic(const struct ml_image *image, struct location *out)
{
	uint64_t symbols, names;

	return ml_image_dynamic(image, DT_SYMTAB, &symbols) &&
	       ml_image_offset_of(image, symbols, &out->offset) &&
	       ml_image_dynamic(image, DT_STRTAB, &names) &&
	       ml_image_offset_of(image, names, &out->names_offset) &&
	       ml_image_dynamic(image, DT_STRSZ, &out->names_size) &&
	       (count_by_hash(image, &out->count) || count_by_gnu_hash(image, &out->count));
}

/* The first address behind the code that holds @p symbol; 0 when it does not lie in code. */
static uint64_t code_end(const struct ml_image *image, const Elf64_Sym *symbol)
{
	uint64_t address = symbol->st_value;

	if (symbol->st_shndx < SHN_LORESERVE && symbol->st_shndx < image->section_count) {
		const Elf64_Shdr *section = &image->sections[symbol->st_shndx];

		if (!(section->sh_flags & SHF_EXECINSTR) || address < section->sh_addr ||
		    address - section->sh_addr >= section->sh_size ||
		    section->sh_size > UINT64_MAX - section->sh_addr)
			return 0;
		return section->sh_addr + section->sh_size;
	}

	const Elf64_Phdr *segment = ml_image_segment_at(image, address);

	if (!segment || !(segment->p_flags & PF_X) ||
	    segment->p_memsz > UINT64_MAX - segment->p_vaddr)
		return 0;
	return segment->p_vaddr + segment->p_memsz;
}

static bool is_function(const Elf64_Sym *symbol, const char *name)
{
	unsigned int type = ELF64_ST_TYPE(symbol->st_info);

	if (symbol->st_shndx == SHN_UNDEF || !name[0])
		return false;
	/* Names of the toolchain's own marks: ".annobin_…", ".L…". */
	if (type == STT_NOTYPE)
		return name[0] != '.' && name[0] != '$';
	return type == STT_FUNC || type == STT_GNU_IFUNC;
}

/** One symbol table and whom its functions are given to. */
struct reading {
	const struct ml_image *image;
	enum ml_symbol_source source;
	struct location where;
	char *names; /**< where.names_size bytes and a NUL */
	/** False: it has enough. */
	bool (*take)(void *context, const struct ml_symbol_entry *entry);
	void *context;
};

/* Gives @p symbol on when it is a function; false when that was enough. */
static bool read_symbol(const struct reading *reading, const Elf64_Sym *symbol)
{
	if (symbol->st_name >= reading->where.names_size ||
	    !is_function(symbol, reading->names + symbol->st_name))
		return true;

	uint64_t end = code_end(reading->image, symbol);

	if (end == 0)
		return true;
	if (symbol->st_size > 0 && symbol->st_size < end - symbol->st_value)
		end = symbol->st_value + symbol->st_size;

	struct ml_symbol_entry entry = {
		.address = symbol->st_value,
		.end = end,
		.name = symbol->st_name,
		.source = (uint8_t)reading->source,
		.is_sized = symbol->st_size > 0,
		.is_public = reading->source == ML_SYMBOL_DYNAMIC ||
			     ELF64_ST_BIND(symbol->st_info) != STB_LOCAL,
		.is_ifunc = ELF64_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC,
	};

	return reading->take(reading->context, &entry);
}

/* "malloc@@GLIBC_2.2.5" becomes "malloc", once for all symbols that share the text. */
static void cut_versions(char *names, size_t size)
{
	char *at = names;

	while ((at = memchr(at, '@', size - (size_t)(at - names)))) {
		if (at > names && at[-1] != '\0')
			*at = '\0';
		at++;
	}
}

static void read_symbols(const struct reading *reading)
{
	Elf64_Sym symbols[SYMBOLS_A_READ];
	uint64_t left = reading->where.count < SYMBOLS_MAX ? reading->where.count : SYMBOLS_MAX;
	uint64_t offset = reading->where.offset;

	while (left > 0) {
		size_t count = left < SYMBOLS_A_READ ? left : SYMBOLS_A_READ;

		if (!ml_image_read(reading->image, offset, symbols, count * sizeof(*symbols)))
			return;
		for (size_t i = 0; i < count; i++) {
			if (!read_symbol(reading, &symbols[i]))
				return;
		}
		offset += count * sizeof(*symbols);
		left -= count;
	}
}

/* Finds the symbols of @p source and reads their names (the caller's); false when it has none. */
static bool open_source(const struct ml_image *image, enum ml_symbol_source source,
			struct reading *out)
{
	struct location where;
	bool found;

	if (source == ML_SYMBOL_DYNAMIC)
		found = find_by_section(image, SHT_DYNSYM, &where) ||
			find_by_dynamic(image, &where);
	else
		found = find_by_section(image, SHT_SYMTAB, &where);
	if (!found)
		return false;
	if (where.names_size > NAMES_SIZE_MAX)
		where.names_size = NAMES_SIZE_MAX;

	char *names = ml_image_load(image, where.names_offset, where.names_size, NAMES_SIZE_MAX);

	if (!names)
		return false;
	cut_versions(names, where.names_size);
	*out = (struct reading){.image = image, .source = source, .where = where, .names = names};
	return true;
}

static bool push_entry(void *table, const struct ml_symbol_entry *entry)
{
	struct ml_symbol_entry *place = ml_symbol_table_push(table);

	if (place)
		*place = *entry;
	return place != NULL;
}

void ml_symbol_table_add(struct ml_symbol_table *table, const struct ml_image *image,
			 enum ml_symbol_source source)
{
	struct reading reading;

	if (table->names[source] || !open_source(image, source, &reading))
		return;
	table->names[source] = reading.names;
	table->names_size[source] = reading.where.names_size;
	reading.take = push_entry;
	reading.context = table;
	read_symbols(&reading);
}

/** Whom ml_symbol_scan() tells. */
struct scan {
	const struct reading *reading;
	void (*visit)(const struct ml_symbol *symbol, void *context);
	void *context;
};

static bool tell(void *context, const struct ml_symbol_entry *entry)
{
	const struct scan *scan = context;
	struct ml_symbol symbol = ml_symbol_of_entry(entry, scan->reading->names + entry->name);

	scan->visit(&symbol, scan->context);
	return true;
}

void ml_symbol_scan(const struct ml_image *image, enum ml_symbol_source source,
		    void (*visit)(const struct ml_symbol *symbol, void *context), void *context)
{
	struct reading reading;
	struct scan scan = {.reading = &reading, .visit = visit, .context = context};

	if (!open_source(image, source, &reading))
		return;
	reading.take = tell;
	reading.context = &scan;
	read_symbols(&reading);
	free(reading.names);
}

/** What ml_symbol_scan_named() looks for. */
struct search {
	const struct reading *reading;
	const char *name;
	struct ml_symbol_entry found;
	bool is_found;
};

static bool compare_name(void *context, const struct ml_symbol_entry *entry)
{
	struct search *search = context;

	if (strcmp(search->reading->names + entry->name, search->name) != 0)
		return true;
	search->found = *entry;
	search->is_found = true;
	return !entry->is_public;
}

bool ml_symbol_scan_named(const struct ml_image *image, enum ml_symbol_source source,
			  const char *name, struct ml_symbol *out)
{
	struct reading reading;
	struct search search = {.reading = &reading, .name = name};

	if (!open_source(image, source, &reading))
		return false;
	reading.take = compare_name;
	reading.context = &search;
	read_symbols(&reading);
	free(reading.names);
	if (search.is_found)
		*out = ml_symbol_of_entry(&search.found, name);
	return search.is_found;
}
