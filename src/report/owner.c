/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/owner.h"

#include "allocators/allocator.h"
#include "base/prefix.h"
#include "base/u64map.h"
#include "report/foreign_code.h"

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

/* A function that this many others allocate through … */
#define MANY_CALLERS 4
/* … is a wrapper when its call of the allocator is no further than this from its beginning. */
#define SHORT_CODE 96
/* A function whose name only hints at a wrapper needs so many. */
#define SEVERAL_CALLERS 2
/* Names are looked at up to here: templates can have thousands of bytes. */
#define NAME_MAX_BYTES 512

#define COUNT(array)   (sizeof(array) / sizeof((array)[0]))

/* Namespaces whose functions keep things for others. */
static const char *const namespaces[] = {
	"std::",
	"__gnu_cxx::",
	"alloc::",
	"core::",
	"hashbrown::",
	"<alloc::",
	"<std::",
	"<core::",
	"boost::container::",
	"boost::pool",
	"absl::",
	"folly::fb",
	"tcmalloc::",
	"WTF::fastM",
	"QArrayData::",
	"QListData::",
	"operator new",
	"__cxxabiv1::",
	"google::protobuf::Arena",
};

static const char anonymous[] = "(anonymous namespace)::";

/* "void* std::foo<T>()": a function's template instances are demangled with their result. */
static const char *skip_result(const char *symbol)
{
	size_t depth = 0;
	const char *name = symbol;

	for (const char *at = symbol; *at && at < symbol + NAME_MAX_BYTES; at++) {
		if (!depth && ml_has_prefix(at, anonymous)) {
			at += strlen(anonymous) - 1;
			name = at + 1;
		} else if (*at == '<')
			depth++;
		else if (*at == '>' && depth)
			depth--;
		else if (*at == '(' && !depth)
			break;
		else if (*at == ' ' && !depth && ml_has_prefix(at + 1, "operator"))
			return at + 1;
		else if (*at == ' ' && !depth && !ml_has_prefix(name, "operator"))
			name = at + 1;
	}
	return name;
}

static bool is_container_code(const char *symbol)
{
	const char *name = skip_result(symbol);

	for (size_t i = 0; i < COUNT(namespaces); i++)
		if (ml_has_prefix(name, namespaces[i]))
			return true;
	return false;
}

/* The words of an identifier: "sqlite3MemMalloc" is sqlite, mem, malloc. */
struct words {
	size_t count;
	char text[12][24];
};

static void end_word(struct words *words, size_t *length)
{
	if (*length && words->count < COUNT(words->text)) {
		words->text[words->count][*length] = 0;
		words->count++;
	}
	*length = 0;
}

/* The last part of a name with namespaces, without arguments, templates and clones' suffixes. */
static void split(const char *symbol, struct words *words)
{
	const char *start = skip_result(symbol), *end = start + strcspn(start, "(<.@ ");
	size_t length = 0;

	for (const char *at = start; at + 1 < end; at++)
		if (at[0] == ':' && at[1] == ':')
			start = at + 2;
	words->count = 0;
	for (const char *at = start; at < end && words->count < COUNT(words->text); at++) {
		bool begins =
			isupper((unsigned char)*at) && at > start && islower((unsigned char)at[-1]);

		if (!isalpha((unsigned char)*at) || begins)
			end_word(words, &length);
		if (isalpha((unsigned char)*at) && length + 1 < sizeof(words->text[0]))
			words->text[words->count][length++] = (char)tolower((unsigned char)*at);
	}
	end_word(words, &length);
}

static bool is_one_of(const char *word, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(word, list[i]))
			return true;
	return false;
}

static bool ends_with(const char *word, const char *end)
{
	size_t length = strlen(word), tail = strlen(end);

	return length >= tail && !strcmp(word + length - tail, end);
}

/* malloc, zmalloc, kcalloc, xrealloc, strdup, vasprintf: says that it gives memory to others. */
static bool is_strong(const char *word)
{
	static const char *const ends[] = {"malloc",   "calloc", "realloc",  "zalloc", "palloc",
					   "memalign", "strdup", "strndup",  "memdup", "wcsdup",
					   "sprintf",  "sbrk",   "reallocf", "allocz"};

	for (size_t i = 0; i < COUNT(ends); i++)
		if (ends_with(word, ends[i]))
			return true;
	return false;
}

/* What may stand in a wrapper's name behind the word that says so: xmalloc_array, alloc_or_die. */
static bool is_qualifier(const char *word)
{
	static const char *const qualifiers[] = {
		"array", "n",     "zero",  "zeroed",  "clear",    "or",     "die",     "abort",
		"fail",  "raw",   "impl",  "inner",   "internal", "ex",     "ext",     "extended",
		"safe",  "try",   "trace", "debug",   "dbg",      "usable", "aligned", "with",
		"size",  "flags", "int",   "at",      "generic",  "noprof", "wrap",    "wrapper",
		"hook",  "func",  "fn",    "bytes",   "mem",      "memory", "small",   "large",
		"huge",  "slow",  "fast",  "tracked", "checked",  "block",  "chunk",
	};

	return strlen(word) <= 2 || is_one_of(word, qualifiers, COUNT(qualifiers));
}

/* What may stand in front of a plain "alloc": mem_alloc, arena_alloc, but not session_alloc. */
static bool is_place(const char *word)
{
	static const char *const places[] = {
		"mem",      "memory",    "pool",    "arena",   "heap",    "slab",  "slice",
		"zone",     "my",        "safe",    "checked", "raw",     "do",    "obj",
		"object",   "chunk",     "block",   "region",  "bump",    "stack", "cache",
		"freelist", "allocator", "ngx",     "apr",     "av",      "g",     "kmem",
		"os",       "sys",       "default", "virtual", "context", "set",   "page",
		"pages",    "buddy",     "vm",      "gc",      "py",      "type",  "generic",
		"lib",      "util",      "std",     "rust",    "rdl",     "rg",    "exchange",
		"global",   "impl",
	};

	return strlen(word) <= 2 || is_one_of(word, places, COUNT(places));
}

static bool is_plain(const char *word)
{
	static const char *const plain[] = {"alloc", "allocate", "mallocx", "rallocx"};

	return is_one_of(word, plain, COUNT(plain));
}

/* What says that a function is one to look at, whatever it allocates with: leak_malloc,
 * CWE401_Memory_Leak__char_malloc_01, test_strdup, and what it makes: char_malloc. */
static bool is_telltale(const char *word)
{
	static const char *const words[] = {
		"bad",    "bug",     "buggy",  "case",   "char",    "cwe",    "demo",
		"double", "example", "float",  "forget", "forgets", "forgot", "good",
		"int",    "juliet",  "long",   "lose",   "loses",   "lost",   "main",
		"missed", "never",   "sample", "struct", "test",    "tests",  "without",
	};

	return ml_has_prefix(word, "leak") || is_one_of(word, words, COUNT(words));
}

/** What a name tells. */
enum hint {
	NO_WRAPPER,
	WRAPPER,
	PERHAPS, /**< a wrapper if several functions allocate through it */
};

static enum hint judge_front(const struct words *words, size_t at, bool is_method)
{
	bool has_place = is_method;

	for (size_t i = 0; i < at; i++)
		if (is_telltale(words->text[i]))
			return PERHAPS;
	if (is_strong(words->text[at]))
		return WRAPPER;
	for (size_t i = 0; i < at; i++) {
		if (!is_place(words->text[i]) && !is_qualifier(words->text[i]) &&
		    !is_plain(words->text[i]))
			return NO_WRAPPER;
		has_place = true;
	}
	/* allocate(), alloc_memory(): a small program's own step as well as a library's. */
	return has_place ? WRAPPER : PERHAPS;
}

static enum hint judge_name(const char *symbol)
{
	const char *scope = strstr(symbol, "::");
	bool is_method = scope && scope < symbol + strcspn(symbol, "(");
	struct words words;
	size_t at;

	if (is_container_code(symbol))
		return WRAPPER;
	split(symbol, &words);
	for (at = words.count; at-- > 0;)
		if (is_strong(words.text[at]) || is_plain(words.text[at]))
			break;
	if (at >= words.count)
		return NO_WRAPPER;
	for (size_t i = at + 1; i < words.count; i++)
		if (!is_qualifier(words.text[i]))
			return NO_WRAPPER;
	return judge_front(&words, at, is_method);
}

bool ml_owner_is_wrapper_name(const char *symbol)
{
	return judge_name(symbol) == WRAPPER;
}

/* What all sites of a report have in common, to tell wrappers by their callers. */
struct finder {
	const char *const *wrappers;
	struct ml_u64map callers; /* function → how many different ones call it in front */
	struct ml_u64map pairs;   /* function and caller → 1 */
};

static bool is_of_user(const struct finder *finder, const struct ml_report_frame *frame)
{
	for (const char *const *pattern = finder->wrappers; pattern && *pattern; pattern++)
		if (!fnmatch(*pattern, frame->symbol, 0) ||
		    (frame->mangled && !fnmatch(*pattern, frame->mangled, 0)))
			return true;
	return false;
}

/* A key of the function that @frame is in: where it begins. */
static uint64_t function_key(const struct ml_report_frame *frame)
{
	return (frame->ip - frame->offset) * 0x9e3779b97f4a7c15ULL;
}

static bool is_known_wrapper(const struct finder *finder, const struct ml_report_frame *frame)
{
	if (ml_foreign_is_runtime(frame->module) || ml_foreign_is_standard_source(frame->file) ||
	    ml_foreign_is_bridge(frame->symbol))
		return true;
	return frame->symbol &&
	       (is_of_user(finder, frame) || ml_owner_is_wrapper_name(frame->symbol) ||
		(frame->mangled && ml_allocator_is_wrapper(frame->mangled)));
}

/* Code that many allocate through, and short; or several, and its name says so. */
static bool is_shared(const struct finder *finder, const struct ml_report_frame *frame)
{
	const uint64_t *callers;

	if (!frame->symbol || frame->is_inlined || frame->kind != ML_FRAME_NATIVE)
		return false;
	callers = ml_u64map_get(&finder->callers, function_key(frame));
	if (!callers || *callers < SEVERAL_CALLERS)
		return false;
	return (*callers >= MANY_CALLERS && frame->offset <= SHORT_CODE) ||
	       judge_name(frame->symbol) == PERHAPS;
}

/* The module that runs the interpreted frames of @site; NULL when there are none. */
static const char *interpreter_of(const struct ml_report_site *site)
{
	const char *interpreter = NULL;

	ml_array_each (frame, &site->frames)
		if (frame->is_interpreter)
			interpreter = frame->module;
	return interpreter;
}

/* The first frame of an interpreted language when only the interpreter stands before it. */
static size_t skip_interpreter(const struct ml_report_site *site, size_t at)
{
	const struct ml_report_frame *frames = site->frames.items;
	const char *interpreter = interpreter_of(site);

	if (!interpreter)
		return at;
	for (size_t i = at; i < site->frames.count; i++)
		if (frames[i].kind != ML_FRAME_NATIVE ||
		    (strcmp(frames[i].module, interpreter) != 0 &&
		     !ml_foreign_is_runtime(frames[i].module)))
			return i;
	return at;
}

/* Something to look at: main() of a program without lines says nothing that is not known. */
static bool is_telling(const struct ml_report_frame *frame)
{
	return frame->symbol && (frame->file || strcmp(frame->symbol, "main") != 0);
}

static bool is_passed_over(const struct finder *finder, const struct ml_report_frame *frame,
			   const char *interpreter)
{
	return frame->kind == ML_FRAME_NATIVE &&
	       (ml_foreign_is_library(frame) || is_known_wrapper(finder, frame) ||
		(interpreter && !strcmp(frame->module, interpreter)));
}

/* From @at, in somebody else's library, out to who calls it; to the first name when that has none.
 */
static size_t skip_library(const struct finder *finder, const struct ml_report_site *site,
			   size_t at)
{
	const struct ml_report_frame *frames = site->frames.items;
	const char *interpreter = interpreter_of(site);
	size_t i = at;

	while (i < site->frames.count && is_passed_over(finder, &frames[i], interpreter))
		i++;
	if (i < site->frames.count && is_telling(&frames[i]))
		return i;
	for (i = at; i < site->frames.count; i++)
		if (is_telling(&frames[i]) && !is_known_wrapper(finder, &frames[i]))
			return i;
	return at;
}

/* From @at, a function without a name, to the next name in the same module or in a language that
 * has lines. */
static size_t skip_nameless(const struct ml_report_site *site, size_t at)
{
	const struct ml_report_frame *frames = site->frames.items;
	const char *interpreter = interpreter_of(site);

	for (size_t i = at; i < site->frames.count; i++) {
		bool is_same = !strcmp(frames[i].module, frames[at].module) &&
			       (!interpreter || strcmp(frames[i].module, interpreter) != 0);

		if (is_telling(&frames[i]) &&
		    (is_same || frames[i].file || frames[i].kind != ML_FRAME_NATIVE) &&
		    !ml_foreign_is_runtime(frames[i].module))
			return i;
	}
	return at;
}

/* Out of the JDK, where a Java program's own method is what made it allocate. */
static size_t skip_jdk(const struct ml_report_site *site, size_t at)
{
	const struct ml_report_frame *frames = site->frames.items;
	size_t i = at;

	while (i < site->frames.count && ml_foreign_is_jdk(&frames[i]))
		i++;
	return i < site->frames.count && frames[i].kind == ML_FRAME_JAVA ? i : at;
}

static size_t first_outside(const struct finder *finder, const struct ml_report_site *site)
{
	size_t at = 0;

	while (at < site->frames.count && is_known_wrapper(finder, &site->frames.items[at]))
		at++;
	return at;
}

/* Takes down who calls the function in front of @site, wrappers known by name left out. */
static void add_callers(struct finder *finder, const struct ml_report_site *site)
{
	size_t at = first_outside(finder, site);
	const struct ml_report_frame *frame = &site->frames.items[at];
	uint64_t function, caller;
	bool is_new;

	if (at + 1 >= site->frames.count)
		return;
	function = function_key(frame);
	caller = function_key(frame + 1);
	ml_u64map_put(&finder->pairs, function ^ (caller << 1 | caller >> 63), &is_new);
	if (is_new)
		(*ml_u64map_put(&finder->callers, function, NULL))++;
}

static size_t owner_of(const struct finder *finder, const struct ml_report_site *site)
{
	size_t at = first_outside(finder, site);

	while (at + 1 < site->frames.count && is_shared(finder, &site->frames.items[at]) &&
	       !ml_foreign_is_runtime(site->frames.items[at + 1].module))
		at++;
	at = skip_jdk(site, at);
	if (at < site->frames.count && ml_foreign_is_library(&site->frames.items[at]))
		at = skip_library(finder, site, at);
	at = skip_interpreter(site, at);
	if (at < site->frames.count && !site->frames.items[at].symbol)
		at = skip_nameless(site, at);
	/* Nothing but wrappers: the innermost is as good as any. */
	return at < site->frames.count ? at + 1 : 1;
}

void ml_owners_find(struct ml_report *report, const char *const *wrappers)
{
	struct finder finder = {.wrappers = wrappers};

	ml_array_each (site, &report->sites)
		if (site->frames.count)
			add_callers(&finder, site);
	ml_array_each (site, &report->sites)
		site->owner = site->frames.count ? owner_of(&finder, site) : 0;
	ml_u64map_free(&finder.callers);
	ml_u64map_free(&finder.pairs);
}
