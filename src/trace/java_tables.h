/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What HotSpot says of its own structures: libjvm.so exports tables of the fields and types that
 * tools from outside need (src/hotspot/share/runtime/vmStructs.hpp), so that nothing of them has to
 * be known by version. They are read from the process, and nothing in them is trusted.
 */
#ifndef ML_TRACE_JAVA_TABLES_H
#define ML_TRACE_JAVA_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Memory of a JVM: reads @p size bytes, false on any fault. */
struct ml_java_memory {
	bool (*read)(const void *context, uint64_t address, void *buffer, size_t size);
	const void *context;
};

/* Fields that are looked for. No version has all of them. */
#define ML_JAVA_FIELDS(X)                                                                          \
	X(VERSION_MAJOR, "Abstract_VM_Version", "_vm_major_version")                               \
	X(CODE_CACHE_HEAP, "CodeCache", "_heap") /* until 8: one heap */                           \
	X(CODE_CACHE_HEAPS, "CodeCache", "_heaps")                                                 \
	X(ARRAY_LENGTH, "GrowableArrayBase", "_len")                                               \
	X(ARRAY_LENGTH_OLD, "GenericGrowableArray", "_len")                                        \
	X(ARRAY_DATA, "GrowableArray<int>", "_data")                                               \
	X(HEAP_MEMORY, "CodeHeap", "_memory")                                                      \
	X(HEAP_SEGMENTS, "CodeHeap", "_segmap")                                                    \
	X(HEAP_SEGMENT_SHIFT, "CodeHeap", "_log2_segment_size")                                    \
	X(SPACE_START, "VirtualSpace", "_low_boundary")                                            \
	X(SPACE_END, "VirtualSpace", "_high_boundary")                                             \
	X(INTERPRETER, "AbstractInterpreter", "_code")                                             \
	X(STUBS_START, "StubQueue", "_stub_buffer")                                                \
	X(STUBS_SIZE, "StubQueue", "_buffer_limit")                                                \
	X(CALL_STUB_RETURN, "StubRoutines", "_call_stub_return_address")                           \
	X(BLOB_NAME, "CodeBlob", "_name")                                                          \
	X(BLOB_FRAME_SIZE, "CodeBlob", "_frame_size")                                              \
	X(BLOB_FRAME_COMPLETE, "CodeBlob", "_frame_complete_offset")                               \
	X(BLOB_CODE_BEGIN, "CodeBlob", "_code_begin") /* 9 to 22 */                                \
	X(BLOB_CODE_OFFSET, "CodeBlob", "_code_offset")                                            \
	X(BLOB_DATA_OFFSET, "CodeBlob", "_data_offset")                                            \
	X(BLOB_RELOCATION_SIZE, "CodeBlob", "_relocation_size")                                    \
	X(BLOB_MUTABLE_DATA, "CodeBlob", "_mutable_data") /* from 25 */                            \
	X(NMETHOD_METHOD, "nmethod", "_method")                                                    \
	X(COMPILED_METHOD, "CompiledMethod", "_method")            /* 9 to 22 */                   \
	X(COMPILED_SCOPES, "CompiledMethod", "_scopes_data_begin") /* 9 to 22 */                   \
	X(NMETHOD_SCOPES_OFFSET, "nmethod", "_scopes_data_offset") /* others */                    \
	X(NMETHOD_PCS_OFFSET, "nmethod", "_scopes_pcs_offset")                                     \
	X(NMETHOD_PCS_END, "nmethod", "_dependencies_offset")     /* until 22 */                   \
	X(NMETHOD_IMMUTABLE_DATA, "nmethod", "_immutable_data")   /* from 23 */                    \
	X(NMETHOD_METADATA_OFFSET, "nmethod", "_metadata_offset") /* until 24 */                   \
	X(NMETHOD_COMPILATION, "nmethod", "_compile_id")                                           \
	X(METHOD_CONST, "Method", "_constMethod")                                                  \
	X(CONST_CONSTANTS, "ConstMethod", "_constants")                                            \
	X(CONST_SIZE, "ConstMethod", "_constMethod_size")                                          \
	X(CONST_FLAGS, "ConstMethod", "_flags")                                                    \
	X(CONST_FLAGS_NEW, "ConstMethod", "_flags._flags")                                         \
	X(CONST_CODE_SIZE, "ConstMethod", "_code_size")                                            \
	X(CONST_NAME, "ConstMethod", "_name_index")                                                \
	X(POOL_HOLDER, "ConstantPool", "_pool_holder")                                             \
	X(POOL_LENGTH, "ConstantPool", "_length")                                                  \
	X(POOL_FILE, "ConstantPool", "_source_file_name_index")                                    \
	X(CLASS_FILE, "InstanceKlass", "_source_file_name_index") /* until 11 */                   \
	X(CLASS_NAME, "Klass", "_name")                                                            \
	X(SYMBOL_LENGTH, "Symbol", "_length")                                                      \
	X(SYMBOL_LENGTH_OLD, "Symbol", "_length_and_refcount") /* until 15: in its upper half */   \
	X(SYMBOL_BODY, "Symbol", "_body")                                                          \
	X(SYMBOL_BODY_OLD, "Symbol", "_body[0]")

/* Types whose sizes are looked for. */
#define ML_JAVA_TYPES(X)                                                                           \
	X(HEAP_BLOCK, "HeapBlock")                                                                 \
	X(CONST_METHOD, "ConstMethod")                                                             \
	X(CONSTANT_POOL, "ConstantPool")

enum ml_java_field_id {
#define X(id, type, field) ML_JAVA_FIELD_##id,
	ML_JAVA_FIELDS(X)
#undef X
		ML_JAVA_FIELD_COUNT
};

enum ml_java_type_id {
#define X(id, type) ML_JAVA_TYPE_##id,
	ML_JAVA_TYPES(X)
#undef X
		ML_JAVA_TYPE_COUNT
};

struct ml_java_field {
	uint64_t value; /**< offset in its type; the address of a static one */
	uint32_t size;  /**< bytes, by its type: 1, 2, 4 or 8; 0: there is no such field */
};

struct ml_java_tables {
	struct ml_java_field fields[ML_JAVA_FIELD_COUNT];
	uint32_t type_sizes[ML_JAVA_TYPE_COUNT]; /**< 0: there is no such type */
};

/* The variables that lead to the tables: of each where it is in the process. */
#define ML_JAVA_EXPORTS(X)                                                                         \
	X(STRUCTS, "gHotSpotVMStructs")                                                            \
	X(STRUCT_TYPE, "gHotSpotVMStructEntryTypeNameOffset")                                      \
	X(STRUCT_FIELD, "gHotSpotVMStructEntryFieldNameOffset")                                    \
	X(STRUCT_TYPE_STRING, "gHotSpotVMStructEntryTypeStringOffset")                             \
	X(STRUCT_IS_STATIC, "gHotSpotVMStructEntryIsStaticOffset")                                 \
	X(STRUCT_OFFSET, "gHotSpotVMStructEntryOffsetOffset")                                      \
	X(STRUCT_ADDRESS, "gHotSpotVMStructEntryAddressOffset")                                    \
	X(STRUCT_STRIDE, "gHotSpotVMStructEntryArrayStride")                                       \
	X(TYPES, "gHotSpotVMTypes")                                                                \
	X(TYPE_NAME, "gHotSpotVMTypeEntryTypeNameOffset")                                          \
	X(TYPE_SIZE, "gHotSpotVMTypeEntrySizeOffset")                                              \
	X(TYPE_STRIDE, "gHotSpotVMTypeEntryArrayStride")

enum ml_java_export {
#define X(id, name) ML_JAVA_EXPORT_##id,
	ML_JAVA_EXPORTS(X)
#undef X
		ML_JAVA_EXPORT_COUNT
};

/** The name of a variable of the list. */
const char *ml_java_export_name(enum ml_java_export id);

/**
 * Reads the tables that the variables at @p exports (by enum ml_java_export) lead to. False while
 * the variables are not set (the library's constructors have not run) or make no sense.
 */
bool ml_java_tables_read(const struct ml_java_memory *memory, const uint64_t *exports,
			 struct ml_java_tables *out);

#endif
