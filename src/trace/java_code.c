/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/java_code.h"

#include "base/cursor.h"
#include "trace/java_stream.h"

#include <string.h>

/* The stack is not walked here. */
#define ML_UNWIND_READ(memory, address, out) ((void)(memory), (void)(address), *(out) = 0, 1)
#define ML_JAVA_READ(memory, buffer, size, address)                                                \
	(!((const struct ml_java_memory *)(memory))                                                \
		  ->read(((const struct ml_java_memory *)(memory))->context, address, buffer,      \
			 size))
#include "shared/java_step.h"

/* A PcDesc (src/hotspot/share/code/pcDesc.hpp), the same in all versions. */
struct place {
	int32_t code_offset; /* of the return address */
	int32_t scope;       /* where in the scopes its innermost one is written */
	int32_t objects;
	int32_t flags;
};

#define PLACE_LIMIT (1U << 20)
#define SCOPE_LIMIT (1 << 26)
#define SCOPE_BYTES 15 /* three numbers */
#define INDEX_LIMIT (1U << 20)

/* Where a method keeps what was inlined where. */
struct scopes {
	uint64_t places, places_end;
	uint64_t scopes;
	uint64_t metadata; /* the Methods they name by number */
};

static bool read_at(const struct ml_java_memory *memory, uint64_t address, void *buffer,
		    size_t size)
{
	return memory->read(memory->context, address, buffer, size);
}

/* The field @id of @blob as an offset from @base. */
static bool read_offset(const struct ml_java_memory *memory, const struct ml_java *java,
			uint64_t blob, enum ml_java_field_id id, uint64_t base, uint64_t *out)
{
	uint64_t value;

	if (!ml_java_read_field(memory, java, blob, id, &value))
		return false;
	*out = base + value;
	return true;
}

/* Until 24 behind the code or the data, since 25 outside of the code cache. */
static bool find_metadata(const struct ml_java_memory *memory, const struct ml_java *java,
			  uint64_t blob, uint64_t *out)
{
	const struct ml_java_field *offset =
		&java->tables.fields[ML_JAVA_FIELD_NMETHOD_METADATA_OFFSET];
	uint64_t data;

	if (ml_java_read_field(memory, java, blob, ML_JAVA_FIELD_BLOB_MUTABLE_DATA, &data)) {
		if (!read_offset(memory, java, blob, ML_JAVA_FIELD_BLOB_RELOCATION_SIZE, data, out))
			return false;
		*out = (*out + 7) & ~7ULL;
		return true;
	}
	if (offset->size == 4)
		return read_offset(memory, java, blob, ML_JAVA_FIELD_NMETHOD_METADATA_OFFSET, blob,
				   out);
	return read_offset(memory, java, blob, ML_JAVA_FIELD_BLOB_DATA_OFFSET, blob, &data) &&
	       read_offset(memory, java, blob, ML_JAVA_FIELD_NMETHOD_METADATA_OFFSET, data, out);
}

static bool find_scopes(const struct ml_java_memory *memory, const struct ml_java *java,
			uint64_t blob, struct scopes *out)
{
	uint64_t base = blob;
	bool is_apart =
		ml_java_read_field(memory, java, blob, ML_JAVA_FIELD_NMETHOD_IMMUTABLE_DATA, &base);

	if (!read_offset(memory, java, blob, ML_JAVA_FIELD_NMETHOD_PCS_OFFSET, base,
			 &out->places) ||
	    !find_metadata(memory, java, blob, &out->metadata))
		return false;
	if (!ml_java_read_field(memory, java, blob, ML_JAVA_FIELD_COMPILED_SCOPES, &out->scopes) &&
	    !read_offset(memory, java, blob, ML_JAVA_FIELD_NMETHOD_SCOPES_OFFSET, base,
			 &out->scopes))
		return false;
	if (!is_apart)
		return read_offset(memory, java, blob, ML_JAVA_FIELD_NMETHOD_PCS_END, base,
				   &out->places_end);
	out->places_end = out->scopes;
	return true;
}

/* The place of exactly @code_offset, or (!@is_call) the first one behind it. */
static bool find_place(const struct ml_java_memory *memory, const struct scopes *scopes,
		       uint64_t code_offset, bool is_call, struct place *out)
{
	uint64_t low = 0, high = (scopes->places_end - scopes->places) / sizeof(*out);
	bool is_found = false;

	if (scopes->places_end < scopes->places || high > PLACE_LIMIT)
		return false;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		struct place place;

		if (!read_at(memory, scopes->places + middle * sizeof(place), &place,
			     sizeof(place)))
			return false;
		if ((int64_t)place.code_offset < (int64_t)code_offset) {
			low = middle + 1;
			continue;
		}
		high = middle;
		*out = place;
		is_found = true;
	}
	return is_found && (!is_call || (uint64_t)out->code_offset == code_offset);
}

/* The scope written at @offset; *@sender is where its caller's is, 0 for none. */
static bool read_scope(const struct ml_java_memory *memory, const struct ml_java *java,
		       const struct scopes *scopes, int32_t offset, struct ml_java_scope *out,
		       int32_t *sender)
{
	uint8_t bytes[SCOPE_BYTES];
	size_t size = sizeof(bytes);
	uint64_t address = scopes->scopes + (uint64_t)offset;

	while (size && !read_at(memory, address, bytes, size))
		size--;

	struct ml_cursor cursor = {.at = bytes, .end = bytes + size};
	uint32_t sender_at = ml_java_stream_unsigned(&cursor, java->version);
	uint32_t method = ml_java_stream_unsigned(&cursor, java->version);
	uint32_t bci = ml_java_stream_unsigned(&cursor, java->version);

	/* Numbers begin at 1; a bci is written one higher, so that -1 can be said. */
	if (cursor.failed || sender_at >= SCOPE_LIMIT || !method || method > INDEX_LIMIT ||
	    !read_at(memory, scopes->metadata + (uint64_t)(method - 1) * sizeof(out->method),
		     &out->method, sizeof(out->method)))
		return false;
	out->bci = bci && bci <= ML_JAVA_BCI_UNKNOWN ? bci - 1 : ML_JAVA_BCI_UNKNOWN;
	*sender = (int32_t)sender_at;
	return true;
}

static void read_scopes(const struct ml_java_memory *memory, const struct ml_java *java,
			uint64_t ip, bool is_call, struct ml_java_code *code)
{
	struct scopes scopes;
	struct place place;

	if (!find_scopes(memory, java, code->blob, &scopes) ||
	    !find_place(memory, &scopes, ip - code->start, is_call, &place))
		return;

	int32_t at = place.scope;

	while (at > 0 && at < SCOPE_LIMIT && code->scope_count < ML_JAVA_INLINES &&
	       read_scope(memory, java, &scopes, at, &code->scopes[code->scope_count], &at))
		code->scope_count++;
}

static bool read_start(const struct ml_java_memory *memory, const struct ml_java *java,
		       uint64_t blob, uint64_t *out)
{
	if (ml_java_read_field(memory, java, blob, ML_JAVA_FIELD_BLOB_CODE_BEGIN, out))
		return true;
	return read_offset(memory, java, blob, ML_JAVA_FIELD_BLOB_CODE_OFFSET, blob, out);
}

static void read_name(const struct ml_java_memory *memory, const struct ml_java *java,
		      struct ml_java_code *code)
{
	size_t size = sizeof(code->name) - 1;
	uint64_t address;

	if (!ml_java_read_field(memory, java, code->blob, ML_JAVA_FIELD_BLOB_NAME, &address))
		return;
	while (size && !read_at(memory, address, code->name, size))
		size /= 2;
	code->name[size] = 0;
}

/* The method that is compiled at the blob; of the calls to native methods nothing else is known. */
static uint64_t method_of(const struct ml_java_memory *memory, const struct ml_java *java,
			  uint64_t blob)
{
	uint64_t method;

	if (ml_java_read_field(memory, java, blob, ML_JAVA_FIELD_COMPILED_METHOD, &method) ||
	    ml_java_read_field(memory, java, blob, ML_JAVA_FIELD_NMETHOD_METHOD, &method))
		return method;
	return 0;
}

bool ml_java_code_compilation(const struct ml_java_memory *memory, const struct ml_java *java,
			      uint64_t blob, uint32_t *out)
{
	uint64_t value;

	if (!ml_java_read_field(memory, java, blob, ML_JAVA_FIELD_NMETHOD_COMPILATION, &value))
		return false;
	*out = (uint32_t)value;
	return true;
}

bool ml_java_code_read(const struct ml_java_memory *memory, const struct ml_java *java, uint64_t ip,
		       bool is_call, struct ml_java_code *out)
{
	uint64_t method;

	memset(out, 0, sizeof(*out));
	if (!ml_java_has(&java->layout, ip - is_call))
		return false;
	out->blob = ml_java_blob(&java->layout, ip - is_call, (void *)memory);
	if (!out->blob || !read_start(memory, java, out->blob, &out->start))
		return false;
	read_name(memory, java, out);
	out->is_method = !strcmp(out->name, "nmethod") || !strcmp(out->name, "native nmethod");
	if (!out->is_method)
		return true;
	if (!ml_java_code_compilation(memory, java, out->blob, &out->compilation))
		return false;
	read_scopes(memory, java, ip, is_call, out);
	method = method_of(memory, java, out->blob);
	if (!out->scope_count && method)
		out->scopes[out->scope_count++] =
			(struct ml_java_scope){.method = method, .bci = ML_JAVA_BCI_UNKNOWN};
	return true;
}
