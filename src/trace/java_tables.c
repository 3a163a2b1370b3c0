/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/java_tables.h"

#include <string.h>

/* More than any version has: 17 has 1200 fields and 700 types. */
#define ENTRY_LIMIT  16384
#define STRIDE_LIMIT 256
#define NAME_BYTES   64 /* longer ones are none of ours */
#define OFFSET_LIMIT (1U << 16)

struct wish {
	const char *type, *field;
};

static const struct wish wishes[ML_JAVA_FIELD_COUNT] = {
#define X(id, type, field) {type, field},
	ML_JAVA_FIELDS(X)
#undef X
};

static const char *const type_names[ML_JAVA_TYPE_COUNT] = {
#define X(id, type) type,
	ML_JAVA_TYPES(X)
#undef X
};

static const char *const export_names[ML_JAVA_EXPORT_COUNT] = {
#define X(id, name) name,
	ML_JAVA_EXPORTS(X)
#undef X
};

const char *ml_java_export_name(enum ml_java_export id)
{
	return export_names[id];
}

/* A table of entries of one size. */
struct table {
	const struct ml_java_memory *memory;
	uint64_t address;
	uint64_t stride;
	uint8_t entry[STRIDE_LIMIT];
};

static bool read_entry(struct table *table, size_t index)
{
	const struct ml_java_memory *memory = table->memory;

	return memory->read(memory->context, table->address + index * table->stride, table->entry,
			    table->stride);
}

static uint64_t word_of(const struct table *table, uint64_t offset)
{
	uint64_t word = 0;

	memcpy(&word, table->entry + offset, sizeof(word));
	return word;
}

/* The text at @address; empty when it is longer than a name of ours can be. */
static void read_name(const struct ml_java_memory *memory, uint64_t address, char *out)
{
	size_t size = NAME_BYTES;

	/* A text near the end of its mapping: less of it can be read. */
	while (size && !memory->read(memory->context, address, out, size))
		size /= 2;
	if (!memchr(out, 0, size))
		out[0] = 0;
}

/* The bytes a member of C++ type @type has. */
static uint32_t size_of(const char *type)
{
	static const char *const bytes_2[] = {"u2", "uint16_t", "int16_t", "jushort"};
	static const char *const bytes_4[] = {"int", "jint",     "unsigned int", "juint",
					      "u4",  "uint32_t", "int32_t"};

	for (size_t i = 0; i < sizeof(bytes_2) / sizeof(*bytes_2); i++)
		if (!strcmp(type, bytes_2[i]))
			return 2;
	for (size_t i = 0; i < sizeof(bytes_4) / sizeof(*bytes_4); i++)
		if (!strcmp(type, bytes_4[i]))
			return 4;
	return !strcmp(type, "u1") ? 1 : 8;
}

static bool is_type_wished(const char *type)
{
	for (size_t i = 0; i < ML_JAVA_FIELD_COUNT; i++)
		if (!strcmp(wishes[i].type, type))
			return true;
	return false;
}

static void take_field(const struct table *table, const uint64_t *where, const char *type,
		       struct ml_java_tables *out)
{
	char field[NAME_BYTES], type_string[NAME_BYTES];
	int32_t is_static = 0;

	read_name(table->memory, word_of(table, where[ML_JAVA_EXPORT_STRUCT_FIELD]), field);
	for (size_t i = 0; i < ML_JAVA_FIELD_COUNT; i++) {
		if (strcmp(wishes[i].type, type) != 0 || strcmp(wishes[i].field, field) != 0)
			continue;
		memcpy(&is_static, table->entry + where[ML_JAVA_EXPORT_STRUCT_IS_STATIC],
		       sizeof(is_static));

		uint64_t value = word_of(table, where[is_static ? ML_JAVA_EXPORT_STRUCT_ADDRESS
								: ML_JAVA_EXPORT_STRUCT_OFFSET]);

		if (!is_static && value >= OFFSET_LIMIT)
			return;
		read_name(table->memory, word_of(table, where[ML_JAVA_EXPORT_STRUCT_TYPE_STRING]),
			  type_string);
		out->fields[i] =
			(struct ml_java_field){.value = value, .size = size_of(type_string)};
	}
}

/* @where has offsets in an entry, by enum ml_java_export. */
static void read_fields(struct table *table, const uint64_t *where, struct ml_java_tables *out)
{
	char type[NAME_BYTES] = "";
	uint64_t type_before = 0;
	bool is_wished = false;

	for (size_t i = 0; i < ENTRY_LIMIT && read_entry(table, i); i++) {
		uint64_t type_at = word_of(table, where[ML_JAVA_EXPORT_STRUCT_TYPE]);

		if (!type_at)
			return;
		/* Fields of one type stand together. */
		if (type_at != type_before) {
			read_name(table->memory, type_at, type);
			is_wished = is_type_wished(type);
			type_before = type_at;
		}
		if (is_wished)
			take_field(table, where, type, out);
	}
}

static void read_types(struct table *table, const uint64_t *where, struct ml_java_tables *out)
{
	char name[NAME_BYTES];

	for (size_t i = 0; i < ENTRY_LIMIT && read_entry(table, i); i++) {
		uint64_t name_at = word_of(table, where[ML_JAVA_EXPORT_TYPE_NAME]);
		uint64_t size = word_of(table, where[ML_JAVA_EXPORT_TYPE_SIZE]);

		if (!name_at)
			return;
		read_name(table->memory, name_at, name);
		for (size_t type = 0; type < ML_JAVA_TYPE_COUNT; type++)
			if (!strcmp(type_names[type], name) && size < OFFSET_LIMIT)
				out->type_sizes[type] = (uint32_t)size;
	}
}

/* Whether the words at the offsets of exports @first to @last are within an entry of @stride. */
static bool is_sane(const uint64_t *values, uint64_t stride, size_t first, size_t last)
{
	if (stride < sizeof(uint64_t) || stride > STRIDE_LIMIT)
		return false;
	for (size_t i = first; i <= last; i++)
		if (values[i] > stride - sizeof(uint64_t))
			return false;
	return true;
}

bool ml_java_tables_read(const struct ml_java_memory *memory, const uint64_t *exports,
			 struct ml_java_tables *out)
{
	uint64_t values[ML_JAVA_EXPORT_COUNT];

	for (size_t i = 0; i < ML_JAVA_EXPORT_COUNT; i++)
		if (!memory->read(memory->context, exports[i], &values[i], sizeof(values[i])))
			return false;

	struct table fields = {.memory = memory,
			       .address = values[ML_JAVA_EXPORT_STRUCTS],
			       .stride = values[ML_JAVA_EXPORT_STRUCT_STRIDE]};
	struct table types = {.memory = memory,
			      .address = values[ML_JAVA_EXPORT_TYPES],
			      .stride = values[ML_JAVA_EXPORT_TYPE_STRIDE]};

	if (!fields.address || !types.address ||
	    !is_sane(values, fields.stride, ML_JAVA_EXPORT_STRUCT_TYPE,
		     ML_JAVA_EXPORT_STRUCT_ADDRESS) ||
	    !is_sane(values, types.stride, ML_JAVA_EXPORT_TYPE_NAME, ML_JAVA_EXPORT_TYPE_SIZE))
		return false;
	memset(out, 0, sizeof(*out));
	read_fields(&fields, values, out);
	read_types(&types, values, out);
	return true;
}
