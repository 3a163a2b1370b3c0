/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/java_names.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/u64map.h"
#include "trace/java_code.h"
#include "trace/java_method.h"

#include <string.h>

/* What is kept of a target: methods, entries, and bytes of both. */
#define METHOD_LIMIT (1U << 18)
#define ENTRY_LIMIT  (1U << 20)
#define BYTES_LIMIT  (256U << 20)
#define STUB_LIMIT   4096 /* names of code that is no method */

/* What was read so lately is not compared again: a starting JVM makes thousands of stacks of the
 * same functions in a moment. */
#define TRUST_NS (ML_NS_PER_MS * 1000)

struct method {
	struct ml_java_method method;
	uint64_t seen_ns;
	struct ml_u64map lines; /* line → struct ml_frame_name *, owned */
};

/* What an entry of a stack stands for. */
struct known {
	uint64_t blob;                           /* compiled code: of these … */
	uint32_t compilation;                    /* … this one */
	uint64_t method;                         /* interpreted: the method there … */
	struct ml_java_method_identity identity; /* … is this one */
	uint64_t seen_ns;
	size_t count;
	struct ml_stack_frame frames[];
};

struct ml_java_names {
	struct ml_u64map by_address; /* newest method there: struct method * */
	struct ml_u64map by_entry;   /* struct known *, owned */
	ML_ARRAY(struct method *) methods;
	ML_ARRAY(struct ml_frame_name *) stubs;
	size_t bytes;
};

struct ml_java_names *ml_java_names_create(void)
{
	return ml_alloc(sizeof(struct ml_java_names));
}

static void free_method(struct method *method)
{
	uint64_t line, name;

	for (size_t cursor = 0; ml_u64map_next(&method->lines, &cursor, &line, &name);)
		free((void *)(uintptr_t)name);
	ml_u64map_free(&method->lines);
	ml_java_method_deinit(&method->method);
	free(method);
}

void ml_java_names_destroy(struct ml_java_names *names)
{
	uint64_t entry, known;

	if (!names)
		return;
	for (size_t cursor = 0; ml_u64map_next(&names->by_entry, &cursor, &entry, &known);)
		free((void *)(uintptr_t)known);
	ml_u64map_free(&names->by_entry);
	ml_u64map_free(&names->by_address);
	ml_array_each (method, &names->methods)
		free_method(*method);
	ml_array_free(&names->methods);
	ml_array_each (stub, &names->stubs) {
		free((char *)(*stub)->symbol);
		free(*stub);
	}
	ml_array_free(&names->stubs);
	free(names);
}

/* ---- methods ---------------------------------------------------------------------------------
 */

static struct method *method_at(struct ml_java_names *names, const struct ml_java *java,
				const struct ml_java_memory *memory, uint64_t address)
{
	const uint64_t *known = ml_u64map_get(&names->by_address, address);
	struct method *method = known ? (struct method *)(uintptr_t)*known : NULL;
	struct ml_java_method_identity identity;
	uint64_t now_ns = ml_monotonic_ns();

	if (method && now_ns - method->seen_ns < TRUST_NS)
		return method;
	if (!ml_java_method_identify(memory, java, address, &identity))
		return NULL;
	if (method && !memcmp(&method->method.identity, &identity, sizeof(identity))) {
		method->seen_ns = now_ns;
		return method;
	}
	if (names->methods.count == METHOD_LIMIT || names->bytes > BYTES_LIMIT)
		return NULL;
	method = ml_alloc(sizeof(*method));
	method->seen_ns = now_ns;
	ml_java_method_read(memory, java, &identity, &method->method);
	names->bytes += sizeof(*method) + method->method.lines_size +
			(method->method.symbol ? strlen(method->method.symbol) : 0);
	*ml_array_push(&names->methods) = method;
	*ml_u64map_put(&names->by_address, address, NULL) = (uint64_t)(uintptr_t)method;
	return method;
}

/* One name for each line, by which the report knows that two frames are the same. */
static const struct ml_frame_name *name_at(struct method *method, const struct ml_java *java,
					   uint32_t bci)
{
	int line = ml_java_method_line(&method->method, java->version, bci);
	bool is_new;
	uint64_t *known = ml_u64map_put(&method->lines, (uint64_t)line, &is_new);

	if (is_new) {
		struct ml_frame_name *name = ml_alloc(sizeof(*name));

		*name = (struct ml_frame_name){
			.symbol = method->method.symbol, .file = method->method.file, .line = line};
		*known = (uint64_t)(uintptr_t)name;
	}
	return (const struct ml_frame_name *)(uintptr_t)*known;
}

static const struct ml_frame_name *stub_name(struct ml_java_names *names, const char *text)
{
	struct ml_frame_name *name;

	ml_array_each (stub, &names->stubs)
		if (!strcmp((*stub)->symbol, text))
			return *stub;
	if (names->stubs.count == STUB_LIMIT || !*text)
		return NULL;
	name = ml_alloc(sizeof(*name));
	name->symbol = ml_strdup(text);
	*ml_array_push(&names->stubs) = name;
	return name;
}

/* ---- entries ---------------------------------------------------------------------------------
 */

static struct known *make_known(size_t count)
{
	struct known *known = ml_alloc(sizeof(*known) + count * sizeof(known->frames[0]));

	known->count = count;
	known->seen_ns = ml_monotonic_ns();
	return known;
}

static struct known *read_interpreted(struct ml_java_names *names, const struct ml_java *java,
				      const struct ml_java_memory *memory, uint64_t entry)
{
	uint64_t address = ML_JAVA_METHOD(entry);
	uint32_t bci = ML_JAVA_BCI(entry);
	struct method *method = method_at(names, java, memory, address);
	struct known *known;

	if (!method)
		return NULL;
	known = make_known(1);
	known->method = address;
	known->identity = method->method.identity;
	known->frames[0] = (struct ml_stack_frame){
		.ip = known->identity.const_method + java->layout.bytecode + bci,
		.address = bci,
		.kind = ML_FRAME_JAVA,
		.name = name_at(method, java, bci),
	};
	/* A native method has no bytecode. */
	if (bci == ML_JAVA_BCI_UNKNOWN) {
		known->frames[0].ip = address;
		known->frames[0].address = 0;
	}
	return known;
}

static struct known *read_stub(struct ml_java_names *names, const struct ml_java *java,
			       const struct ml_java_code *code, uint64_t ip, bool is_call)
{
	const char *text = ip == java->call_stub_return ? "call_stub" : code->name;
	struct known *known = make_known(1);

	known->frames[0] = (struct ml_stack_frame){
		.ip = ip,
		.is_call = is_call,
		.kind = ML_FRAME_JIT,
		.address = ip - code->start,
		.name = stub_name(names, text),
	};
	return known;
}

static struct known *read_compiled(struct ml_java_names *names, const struct ml_java *java,
				   const struct ml_java_memory *memory, uint64_t entry)
{
	bool is_call = !(entry & ML_STACK_IP_INTERRUPTED);
	uint64_t ip = entry & ML_STACK_ADDRESS_MASK;
	struct ml_java_code code;
	struct known *known;

	if (!ml_java_code_read(memory, java, ip, is_call, &code))
		return NULL;
	if (!code.is_method)
		return read_stub(names, java, &code, ip, is_call);
	if ((entry & ML_STACK_JAVA_COMPILED) &&
	    ML_JAVA_COMPILATION(entry) != (code.compilation & ML_JAVA_COMPILATION_MASK))
		return NULL;
	known = make_known(code.scope_count);
	known->blob = code.blob;
	known->compilation = code.compilation;
	for (uint32_t i = 0; i < code.scope_count; i++) {
		const struct ml_java_scope *scope = &code.scopes[i];
		struct method *method = method_at(names, java, memory, scope->method);

		known->frames[i] = (struct ml_stack_frame){
			.ip = ip,
			.is_call = is_call,
			.kind = ML_FRAME_JAVA,
			.address = ip - code.start,
			.is_inlined = i + 1 < code.scope_count,
			.name = method ? name_at(method, java, scope->bci) : NULL,
		};
	}
	return known;
}

/* Whether what @known was read from is still there. */
static bool is_there(const struct known *known, const struct ml_java *java,
		     const struct ml_java_memory *memory)
{
	struct ml_java_method_identity identity;
	uint32_t compilation;

	if (known->method)
		return ml_java_method_identify(memory, java, known->method, &identity) &&
		       !memcmp(&identity, &known->identity, sizeof(identity));
	if (known->blob)
		return ml_java_code_compilation(memory, java, known->blob, &compilation) &&
		       compilation == known->compilation;
	return true;
}

static bool is_current(struct known *known, const struct ml_java *java,
		       const struct ml_java_memory *memory)
{
	uint64_t now_ns = ml_monotonic_ns();

	if (now_ns - known->seen_ns < TRUST_NS)
		return true;
	known->seen_ns = now_ns;
	return is_there(known, java, memory);
}

static struct known *read_entry(struct ml_java_names *names, const struct ml_java *java,
				const struct ml_java_memory *memory, uint64_t entry)
{
	if (entry & ML_STACK_JAVA_INTERPRETED)
		return read_interpreted(names, java, memory, entry);
	return read_compiled(names, java, memory, entry);
}

static bool is_java(const struct ml_java *java, uint64_t entry)
{
	return (entry & (ML_STACK_JAVA_INTERPRETED | ML_STACK_JAVA_COMPILED)) ||
	       (entry >= java->layout.start && entry < java->layout.end);
}

struct ml_java_frames ml_java_names_get(struct ml_java_names *names, const struct ml_java *java,
					const struct ml_java_memory *memory, uint64_t entry)
{
	uint64_t *slot;
	struct known *known, *fresh;

	if (!is_java(java, entry))
		return (struct ml_java_frames){0};
	slot = ml_u64map_get(&names->by_entry, entry);
	known = slot ? (struct known *)(uintptr_t)*slot : NULL;
	if (memory && (!known || !is_current(known, java, memory)) &&
	    (known || names->by_entry.count < ENTRY_LIMIT)) {
		fresh = read_entry(names, java, memory, entry);
		if (fresh) {
			free(known);
			known = fresh;
			*ml_u64map_put(&names->by_entry, entry, NULL) = (uint64_t)(uintptr_t)known;
		}
	}
	if (!known)
		return (struct ml_java_frames){0};
	return (struct ml_java_frames){.items = known->frames, .count = known->count};
}
