/* SPDX-License-Identifier: BSD-2-Clause */
#include "unwind/outermost.h"

#include "base/file.h"
#include "base/prefix.h"

/* Used when the entry point's symbol has no size: enough for musl's _start (22 bytes), and for
 * glibc's dynamic linker, whose _start is followed by _dl_start_user, from where constructors are
 * run (sysdeps/x86_64/dl-machine.h, RTLD_START: 62 bytes). */
#define ENTRY_SIZE 64

/* More code than a C library without CFI has (musl: 0.6 MB). */
#define SCAN_LIMIT (32u << 20)

/* A C library has each place once or twice; a hostile file could have millions. */
#define MARKS_AT_MOST 16

/* x86-64 `call rel32`: opcode and a signed 32-bit distance from its end. */
#define CALL_OPCODE  0xe8
#define CALL_SIZE    5

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/**
 * Code where a stack begins or goes on elsewhere. musl is built without CFI (its configure adds
 * -fno-asynchronous-unwind-tables), and without local symbols when it is installed.
 */
struct pattern {
	const char *bytes;
	size_t size;
	const char *callee; /**< function called right after the bytes; NULL: any code */
	uint8_t cfa;        /**< ML_CFA_* of the mark */
	uint8_t marked; /**< of a call's bytes only so many are marked, even where there is CFI */
};

#define PATTERN(bytes, callee, cfa)                                                                \
	{                                                                                          \
		bytes, sizeof(bytes) - 1, callee, cfa, 0                                           \
	}
#define CALL_PATTERN(bytes, call_size, cfa)                                                        \
	{                                                                                          \
		bytes, sizeof(bytes) - 1, NULL, cfa, call_size                                     \
	}

static const struct pattern musl_patterns[] = {
	/* src/env/__libc_start_main.c: exit(main(…)): mov %eax,%edi; call exit */
	PATTERN("\x89\xc7", "exit", ML_CFA_END),
	/* src/thread/pthread_create.c, start: mov %rax,%rdi; call pthread_exit */
	PATTERN("\x48\x89\xc7", "pthread_exit", ML_CFA_END),
	/* the same for C11 threads: movslq %eax,%rdi */
	PATTERN("\x48\x63\xf8", "pthread_exit", ML_CFA_END),
	/* src/thread/x86_64/clone.s: xor %ebp,%ebp; pop %rdi; call *%r9 */
	PATTERN("\x31\xed\x5f\x41\xff\xd1", NULL, ML_CFA_END),
	/* src/signal/x86_64/restore.s: mov $15,%rax; syscall */
	PATTERN("\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05", NULL, ML_CFA_SIGNAL),
};

/**
 * glibc's sysdeps/unix/sysv/linux/x86_64/__start_context.S: mov %rbx,%rsp; mov (%rsp),%rdi; test
 * %rdi,%rdi; je. A coroutine made by makecontext() returns to its first byte, so that the lookup
 * of the call before it finds the padding in front.
 */
static const struct pattern glibc_patterns[] = {
	PATTERN("\x48\x89\xdc\x48\x8b\x3c\x24\x48\x85\xff\x74", NULL, ML_CFA_END),
};

/**
 * asmcgocall() in Go's runtime/asm_amd64.s: call *%rax on the thread's stack; then mov
 * 48(%rsp),%rdi; mov 8(%rdi),%rsi; sub 40(%rsp),%rsi. Its CFI knows nothing of the switch.
 */
static const struct pattern go_patterns[] = {
	CALL_PATTERN("\xff\xd0\x48\x8b\x7c\x24\x30\x48\x8b\x77\x08\x48\x2b\x74\x24\x28", 2,
		     ML_CFA_GO_STACK),
};

static bool calls(const uint8_t *at, const uint8_t *end, uint64_t address, uint64_t callee)
{
	int32_t distance;

	if (end - at < CALL_SIZE || *at != CALL_OPCODE)
		return false;
	memcpy(&distance, at + 1, sizeof(distance));
	return address + CALL_SIZE + (uint64_t)(int64_t)distance == callee;
}

/** Marks every place in @p bytes (at ELF address @p address) where @p pattern stands. */
static void pattern_mark(const struct pattern *pattern, const uint8_t *bytes, size_t size,
			 uint64_t address, uint64_t callee, const struct ml_text *text,
			 struct ml_functions *functions)
{
	const uint8_t *end = bytes + size, *at = bytes;
	size_t marks = 0;

	while (marks < MARKS_AT_MOST &&
	       (at = memmem(at, (size_t)(end - at), pattern->bytes, pattern->size))) {
		uint64_t start = address + (uint64_t)(at - bytes);

		at += pattern->size;
		if (pattern->callee && !calls(at, end, start + pattern->size, callee))
			continue;
		marks++;
		if (pattern->marked) {
			ml_functions_replace_row(functions, text, start, pattern->marked,
						 (struct ml_unwind_row){.rules = pattern->cfa});
			continue;
		}
		/* From one byte before on: a return address is looked up in the call before it. And
		 * the call that follows: what atexit() and thread-specific data run at the end. */
		ml_functions_add_row(functions, text, start - 1,
				     pattern->size + 1 + (pattern->callee ? CALL_SIZE : 0),
				     (struct ml_unwind_row){.rules = pattern->cfa});
	}
}

/** Marks what stands in one segment, by @p count patterns. */
static void segment_mark(struct ml_module *module, const struct ml_text *text, size_t segment,
			 const struct pattern *patterns, size_t count,
			 struct ml_functions *functions)
{
	uint64_t start = text->segments[segment].start;
	uint64_t size = text->segments[segment].end - start;
	ML_FREE_CLEANUP uint8_t *bytes = NULL;

	if (size > SCAN_LIMIT)
		return;
	bytes = ml_alloc(size);
	if (!ml_module_read(module, start, bytes, size))
		return;
	for (size_t i = 0; i < count; i++) {
		struct ml_symbol callee = {0};

		if (patterns[i].callee &&
		    !ml_module_function_named(module, patterns[i].callee, &callee))
			continue;
		pattern_mark(&patterns[i], bytes, size, start, callee.address, text, functions);
	}
}

static void patterns_mark(struct ml_module *module, const struct ml_text *text,
			  const struct pattern *patterns, size_t count,
			  struct ml_functions *functions)
{
	for (size_t i = 0; i < text->count; i++)
		segment_mark(module, text, i, patterns, count, functions);
}

static void name_mark(struct ml_module *module, const struct ml_text *text, const char *name,
		      struct ml_functions *functions)
{
	struct ml_symbol symbol;

	if (ml_module_function_named(module, name, &symbol) && symbol.size)
		ml_functions_add_row(functions, text, symbol.address, symbol.size,
				     (struct ml_unwind_row){.rules = ML_CFA_END});
}

/** The entry point and what else is known by name. */
static void names_mark(struct ml_module *module, const struct ml_text *text,
		       struct ml_functions *functions)
{
	static const char *const names[] = {"_start", "clone3", "__clone", "__clone3"};
	const struct ml_unwind_row end = {.rules = ML_CFA_END};
	uint64_t size = ENTRY_SIZE;
	struct ml_symbol symbol;

	if (ml_module_symbol_at(module, text->entry, &symbol) && symbol.address == text->entry &&
	    symbol.size)
		size = symbol.size;
	ml_functions_add_row(functions, text, text->entry, size, end);
	for (size_t i = 0; i < COUNT(names); i++)
		name_mark(module, text, names[i], functions);
}

/**
 * Where a goroutine that called C goes on below the Go code that C calls back: gosave_systemstack_
 * switch() leaves the start of systemstack_switch() as the return address, with nothing pushed.
 */
static void go_mark(struct ml_module *module, const struct ml_text *text,
		    struct ml_functions *functions)
{
	static const char *const names[] = {"runtime.systemstack_switch",
					    "runtime.systemstack_switch.abi0"};
	struct ml_symbol symbol;

	patterns_mark(module, text, go_patterns, COUNT(go_patterns), functions);
	for (size_t i = 0; i < COUNT(names); i++) {
		if (ml_module_function_named(module, names[i], &symbol))
			ml_functions_replace_row(
				functions, text, symbol.address - 1, 1,
				(struct ml_unwind_row){.rules = ML_CFA_RSP, .cfa_words = 1});
	}
}

void ml_outermost_mark(struct ml_module *module, const struct ml_text *text,
		       struct ml_functions *functions)
{
	if (text->entry && !ml_functions_cover(functions, text, text->entry)) {
		names_mark(module, text, functions);
		patterns_mark(module, text, musl_patterns, COUNT(musl_patterns), functions);
	} else if (ml_module_is_static(module) ||
		   ml_has_prefix(ml_module_name(module), "libc.so")) {
		patterns_mark(module, text, glibc_patterns, COUNT(glibc_patterns), functions);
	}
	if (ml_text_section_address(module, ".note.go.buildid"))
		go_mark(module, text, functions);
	/* Boost.Context: a fiber's first function returns into it, to exit. */
	if (text->entry || strstr(ml_module_name(module), "context"))
		name_mark(module, text, "make_fcontext", functions);
	ml_functions_sort(functions);
}
