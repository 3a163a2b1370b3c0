/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/demangle.h"

#include "base/array.h"
#include "base/file.h"
#include "base/strbuf.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <string.h>

/* A mangled name is a program: substitutions let a few bytes stand for an endless text, and
 * libiberty follows them. Longer input or output than this is no name for people anyway. */
#define MANGLED_MAX   4096
#define DEMANGLED_MAX (64U << 10)
/* libiberty's D demangler has no way to stop it; back references ("Q") are what makes its output
 * grow, so there may be only a few of them. */
#define D_MANGLED_MAX         1024
#define D_BACK_REFERENCES_MAX 24

/* For every pack expansion ("Dp") libiberty's d_find_pack() walks the type behind it without
 * printing anything, and follows substitutions ("S0_") as if each were a copy: 2^N steps for N of
 * them. */
#define PACK_SUBSTITUTIONS_MAX 16

#define OPTIONS                (DMGL_PARAMS | DMGL_ANSI | DMGL_RET_DROP)

/** Output of libiberty, which offers no other way out of its printing than a jump. */
struct sink {
	struct ml_strbuf text;
	jmp_buf overflow;
};

static void add_text(const char *text, size_t length, void *context)
{
	struct sink *sink = context;

	if (sink->text.length + length > DEMANGLED_MAX)
		longjmp(sink->overflow, 1);
	ml_strbuf_add(&sink->text, text, length);
}

typedef int (*demangler)(const char *mangled, int options, demangle_callbackref callback,
			 void *context);

/* In a function of its own, so that no local variable is changed between setjmp() and the jump. */
static bool demangle_into(demangler demangle, const char *mangled, struct sink *sink)
{
	return setjmp(sink->overflow) == 0 && demangle(mangled, OPTIONS, add_text, sink);
}

/* libiberty's callback demanglers allocate nothing that a jump out of them would leak. */
static char *demangle_with(demangler demangle, const char *mangled)
{
	struct sink sink = {0};

	if (demangle_into(demangle, mangled, &sink) && sink.text.length > 0)
		return ml_strbuf_take(&sink.text);
	ml_strbuf_free(&sink.text);
	return NULL;
}

static bool has_endless_pack(const char *mangled)
{
	const char *pack = strstr(mangled, "Dp");
	unsigned int substitutions = 0;

	for (; pack && *pack; pack++)
		substitutions += *pack == 'S';
	return substitutions > PACK_SUBSTITUTIONS_MAX;
}

static char *demangle_d(const char *mangled)
{
	unsigned int references = 0;

	for (const char *at = mangled; *at; at++)
		references += *at == 'Q';
	if (strlen(mangled) > D_MANGLED_MAX || references > D_BACK_REFERENCES_MAX)
		return NULL;
	return dlang_demangle(mangled, OPTIONS);
}

/* @p mangled without any suffix of a clone; NULL when it is not a mangled name. */
static char *demangle_plain(const char *mangled)
{
	if (mangled[0] != '_' || strlen(mangled) > MANGLED_MAX)
		return NULL;
	if (mangled[1] == 'R')
		return demangle_with(rust_demangle_callback, mangled);
	if (mangled[1] == 'D')
		return demangle_d(mangled);
	if (mangled[1] != 'Z')
		return NULL;
	/* Rust's legacy names are C++ names that end in "17h" and a hash of 16 digits. */
	char *text = demangle_with(rust_demangle_callback, mangled);

	if (text || has_endless_pack(mangled))
		return text;
	return demangle_with(cplus_demangle_v3_callback, mangled);
}

static bool is_word(const char *at, size_t length, const char *word)
{
	return strlen(word) == length && memcmp(at, word, length) == 0;
}

static bool is_number(const char *at, size_t length)
{
	return length > 0 && strspn(at, "0123456789") >= length;
}

/* Words that GCC and Clang put behind the name of a changed copy of a function. */
static bool is_copy_word(const char *at, size_t length)
{
	static const char *const words[] = {"isra", "constprop", "lto_priv", "localalias", "llvm"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (is_word(at, length, words[i]))
			return true;
	}
	return false;
}

/* Understands the suffix of a clone ("" when there is none): false for anything else behind a dot.
 * @p part becomes the mark of a function's part. */
static bool read_suffix(const char *suffix, const char **part)
{
	*part = "";
	while (*suffix == '.') {
		size_t length = strcspn(++suffix, ".");

		if (is_word(suffix, length, "cold"))
			*part = " [.cold]";
		else if (is_word(suffix, length, "part"))
			*part = " [.part]";
		else if (!is_copy_word(suffix, length) && !is_number(suffix, length))
			return false;
		suffix += length;
	}
	return *suffix == '\0';
}

char *ml_demangle(const char *mangled)
{
	size_t length = strcspn(mangled, ".");
	const char *part = "";
	bool is_clone = length > 0 && read_suffix(mangled + length, &part);
	ML_FREE_CLEANUP char *stem = ml_strdup(mangled);

	if (is_clone)
		stem[length] = '\0';

	char *text = demangle_plain(stem);

	if (!is_clone || !*part)
		return text ? text : ml_strdup(stem);

	struct ml_strbuf marked = {0};

	ml_strbuf_puts(&marked, text ? text : stem);
	ml_strbuf_puts(&marked, part);
	free(text);
	return ml_strbuf_take(&marked);
}
