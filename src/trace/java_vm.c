/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/java_vm.h"

#include "trace/data_symbol.h"

/* A code cache is no bigger (ReservedCodeCacheSize, globals.hpp). */
#define CODE_CACHE_LIMIT  (2ULL << 30)
#define SEGMENT_SHIFT_MAX 16
#define SEGMENT_SHIFT_MIN 4

/* frame_x86.hpp: interpreter_frame_bcp_offset; until 8 there was no "mirror" above it. */
#define BYTECODE_SLOT     (-64)
#define BYTECODE_SLOT_OLD (-56)

static bool read_live(const void *context, uint64_t address, void *buffer, size_t size)
{
	return ml_process_read(context, address, buffer, size);
}

struct ml_java_memory ml_java_memory_of(const struct ml_process *process)
{
	return (struct ml_java_memory){.read = read_live, .context = process};
}

static bool read_at(const struct ml_java_memory *memory, uint64_t address, void *buffer,
		    size_t size)
{
	return memory->read(memory->context, address, buffer, size);
}

static const struct ml_java_field *field_of(const struct ml_java *java, enum ml_java_field_id id)
{
	return &java->tables.fields[id];
}

bool ml_java_read_field(const struct ml_java_memory *memory, const struct ml_java *java,
			uint64_t base, enum ml_java_field_id id, uint64_t *out)
{
	const struct ml_java_field *field = field_of(java, id);
	uint64_t value = 0;

	if (!field->size || !read_at(memory, base + field->value, &value, field->size))
		return false;
	*out = value;
	return true;
}

/* The two ends of the VirtualSpace at @address. */
static bool read_space(const struct ml_java_memory *memory, const struct ml_java *java,
		       uint64_t address, uint64_t *start, uint64_t *end)
{
	return ml_java_read_field(memory, java, address, ML_JAVA_FIELD_SPACE_START, start) &&
	       ml_java_read_field(memory, java, address, ML_JAVA_FIELD_SPACE_END, end);
}

static bool read_heap(const struct ml_java_memory *memory, const struct ml_java *java,
		      uint64_t address, struct ml_java_heap *out)
{
	uint64_t shift, segments_end;

	if (!field_of(java, ML_JAVA_FIELD_HEAP_MEMORY)->size ||
	    !field_of(java, ML_JAVA_FIELD_HEAP_SEGMENTS)->size ||
	    !ml_java_read_field(memory, java, address, ML_JAVA_FIELD_HEAP_SEGMENT_SHIFT, &shift) ||
	    !read_space(memory, java, address + field_of(java, ML_JAVA_FIELD_HEAP_MEMORY)->value,
			&out->start, &out->end) ||
	    !read_space(memory, java, address + field_of(java, ML_JAVA_FIELD_HEAP_SEGMENTS)->value,
			&out->segments, &segments_end))
		return false;
	out->segment_shift = (uint32_t)shift;
	return shift >= SEGMENT_SHIFT_MIN && shift <= SEGMENT_SHIFT_MAX && out->start &&
	       out->start < out->end && out->end - out->start <= CODE_CACHE_LIMIT &&
	       out->end <= ML_STACK_ADDRESS_MASK && out->segments;
}

/* The addresses of the CodeHeaps; how many. */
static size_t list_heaps(const struct ml_java_memory *memory, const struct ml_java *java,
			 uint64_t *out)
{
	enum ml_java_field_id length_id = field_of(java, ML_JAVA_FIELD_ARRAY_LENGTH)->size
						  ? ML_JAVA_FIELD_ARRAY_LENGTH
						  : ML_JAVA_FIELD_ARRAY_LENGTH_OLD;
	uint64_t array, length, data;

	if (ml_java_read_field(memory, java, 0, ML_JAVA_FIELD_CODE_CACHE_HEAP, &out[0]))
		return out[0] != 0;
	if (!ml_java_read_field(memory, java, 0, ML_JAVA_FIELD_CODE_CACHE_HEAPS, &array) ||
	    !array || !ml_java_read_field(memory, java, array, length_id, &length) || !length ||
	    length > ML_JAVA_HEAPS ||
	    !ml_java_read_field(memory, java, array, ML_JAVA_FIELD_ARRAY_DATA, &data) ||
	    !read_at(memory, data, out, length * sizeof(*out)))
		return 0;
	return length;
}

static bool read_heaps(const struct ml_java_memory *memory, const struct ml_java *java,
		       struct ml_java_layout *layout)
{
	uint64_t addresses[ML_JAVA_HEAPS];
	size_t count = list_heaps(memory, java, addresses);

	for (size_t i = 0; i < count; i++) {
		struct ml_java_heap *heap = &layout->heaps[i];

		if (!read_heap(memory, java, addresses[i], heap))
			return false;
		if (!layout->start || heap->start < layout->start)
			layout->start = heap->start;
		if (heap->end > layout->end)
			layout->end = heap->end;
	}
	layout->heap_count = (uint32_t)count;
	return count > 0;
}

/* It is made after the code cache, so it may not be there yet. */
static void read_interpreter(const struct ml_java_memory *memory, const struct ml_java *java,
			     struct ml_java_layout *layout)
{
	uint64_t queue, start, size;

	if (!ml_java_read_field(memory, java, 0, ML_JAVA_FIELD_INTERPRETER, &queue) || !queue ||
	    !ml_java_read_field(memory, java, queue, ML_JAVA_FIELD_STUBS_START, &start) ||
	    !ml_java_read_field(memory, java, queue, ML_JAVA_FIELD_STUBS_SIZE, &size) ||
	    start < layout->start || size > layout->end - start)
		return;
	layout->interpreter_start = start;
	layout->interpreter_end = start + size;
}

/* What the walk needs to know of the structures; false when the tables do not say all of it. */
static bool know_structures(const struct ml_java *java, struct ml_java_layout *layout)
{
	const struct ml_java_field *fields = java->tables.fields;
	bool is_offset = !fields[ML_JAVA_FIELD_BLOB_CODE_BEGIN].size;
	const struct ml_java_field *code =
		&fields[is_offset ? ML_JAVA_FIELD_BLOB_CODE_OFFSET : ML_JAVA_FIELD_BLOB_CODE_BEGIN];

	layout->block_header = java->tables.type_sizes[ML_JAVA_TYPE_HEAP_BLOCK];
	layout->frame_size = (uint32_t)fields[ML_JAVA_FIELD_BLOB_FRAME_SIZE].value;
	layout->code_start = (uint32_t)code->value;
	layout->is_code_offset = is_offset;
	layout->frame_complete = (uint32_t)fields[ML_JAVA_FIELD_BLOB_FRAME_COMPLETE].value;
	layout->is_complete_short = fields[ML_JAVA_FIELD_BLOB_FRAME_COMPLETE].size == 2;
	layout->compilation = (uint32_t)fields[ML_JAVA_FIELD_NMETHOD_COMPILATION].value;
	layout->const_method = (uint32_t)fields[ML_JAVA_FIELD_METHOD_CONST].value;
	layout->bytecode = java->tables.type_sizes[ML_JAVA_TYPE_CONST_METHOD];
	layout->bytecode_slot =
		fields[ML_JAVA_FIELD_CODE_CACHE_HEAP].size ? BYTECODE_SLOT_OLD : BYTECODE_SLOT;
	layout->interpreter = fields[ML_JAVA_FIELD_INTERPRETER].value;
	layout->stubs_start = (uint32_t)fields[ML_JAVA_FIELD_STUBS_START].value;
	layout->stubs_size = (uint32_t)fields[ML_JAVA_FIELD_STUBS_SIZE].value;
	return layout->block_header && code->size == (is_offset ? 4 : 8) &&
	       fields[ML_JAVA_FIELD_BLOB_FRAME_SIZE].size == 4 &&
	       fields[ML_JAVA_FIELD_BLOB_FRAME_COMPLETE].size &&
	       fields[ML_JAVA_FIELD_NMETHOD_COMPILATION].size == 4 &&
	       fields[ML_JAVA_FIELD_METHOD_CONST].size == 8 && layout->bytecode &&
	       fields[ML_JAVA_FIELD_STUBS_START].size == 8 &&
	       fields[ML_JAVA_FIELD_STUBS_SIZE].size == 4;
}

bool ml_java_read(const struct ml_java_memory *memory, struct ml_java *java)
{
	struct ml_java_layout layout = {0};
	uint64_t version = 0;

	ml_java_read_field(memory, java, 0, ML_JAVA_FIELD_VERSION_MAJOR, &version);
	ml_java_read_field(memory, java, 0, ML_JAVA_FIELD_CALL_STUB_RETURN,
			   &java->call_stub_return);
	java->version = (uint32_t)version;
	if (!know_structures(java, &layout) || !read_heaps(memory, java, &layout))
		return false;
	read_interpreter(memory, java, &layout);
	java->layout = layout;
	return true;
}

/* The tables of the JVM that @code is of. */
static bool read_tables(const struct ml_code *code, const struct ml_java_memory *memory,
			struct ml_java_tables *out)
{
	uint64_t exports[ML_JAVA_EXPORT_COUNT];

	for (size_t i = 0; i < ML_JAVA_EXPORT_COUNT; i++) {
		exports[i] = ml_data_symbol_address(code->module, ml_java_export_name(i));
		if (!exports[i])
			return false;
		exports[i] += code->bias;
	}
	return ml_java_tables_read(memory, exports, out);
}

static const struct ml_code *find_library(const struct ml_code_map *code)
{
	const struct ml_module *before = NULL;
	struct ml_symbol symbol;

	for (size_t i = 0; i < code->mapped_count; i++) {
		const struct ml_code *item = &code->list.items[i];

		if (!item->module || item->module == before)
			continue;
		before = item->module;
		if (ml_module_function_named(item->module, "JNI_CreateJavaVM", &symbol))
			return item;
	}
	return NULL;
}

void ml_java_find(const struct ml_code_map *code, const struct ml_process *process,
		  struct ml_java *out)
{
	struct ml_java_memory memory = ml_java_memory_of(process);
	const struct ml_code *library;

	if (!out->has_tables) {
		library = find_library(code);
		out->has_tables = library && read_tables(library, &memory, &out->tables);
	}
	/* Once more when it was there before: it may have been starting. */
	if (out->has_tables)
		ml_java_read(&memory, out);
}
