/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/demangle.h"

#include "base/array.h"
#include "base/prefix.h"
#include "base/strbuf.h"

#include <stdbool.h>
#include <string.h>

#define ELLIPSIS "\xe2\x80\xa6"
/* Longer names are cut anyway, and dropping takes time that grows with the square. */
#define DEFAULTS_LENGTH_MAX 8192

/** Spellings of the standard library and what people call them, longest first. */
static const struct {
	const char *spelled;
	const char *called;
} spellings[] = {
	{"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >",
	 "std::string"},
	{"std::__1::basic_string<char, std::__1::char_traits<char>, std::__1::allocator<char> >",
	 "std::string"},
	{"std::basic_string<char, std::char_traits<char>, std::allocator<char> >", "std::string"},
	{"std::__cxx11::basic_string<wchar_t, std::char_traits<wchar_t>, "
	 "std::allocator<wchar_t> >",
	 "std::wstring"},
	{"std::__cxx11::", "std::"},
	{"std::__1::", "std::"},
};

static char *replace_spellings(const char *name)
{
	struct ml_strbuf out = {0};

	while (*name) {
		size_t taken = 0;

		for (size_t i = 0; !taken && i < sizeof(spellings) / sizeof(*spellings); i++) {
			size_t length = strlen(spellings[i].spelled);

			if (strncmp(name, spellings[i].spelled, length) != 0)
				continue;
			ml_strbuf_puts(&out, spellings[i].called);
			taken = length;
			/* "… > >" needs no blank any more. */
			taken += name[length - 1] == '>' && !strncmp(name + length, " >", 2);
		}
		if (!taken)
			ml_strbuf_putc(&out, *name++);
		name += taken;
	}
	return ml_strbuf_take(&out);
}

/* Template arguments that the standard library's containers have unless they are told others. */
static const char *const defaults[] = {
	", std::allocator<", ", std::char_traits<", ", std::less<",
	", std::hash<",      ", std::equal_to<",    ", std::default_delete<",
};

/* Behind the '>' that ends the arguments which begin at @p at; NULL when there is none. */
static const char *skip_arguments(const char *at)
{
	for (unsigned int open = 1; *at; at++) {
		open += *at == '<';
		if (*at == '>' && at[-1] != '-' && --open == 0)
			return at + 1;
	}
	return NULL;
}

/* Drops the default argument at @p at when it is the last of its list. */
static void drop_default(char *name, char *at)
{
	for (size_t i = 0; i < sizeof(defaults) / sizeof(*defaults); i++) {
		size_t length = strlen(defaults[i]);

		if (strncmp(at, defaults[i], length) != 0)
			continue;

		const char *end = skip_arguments(at + length);

		if (!end || (end[0] != '>' && strncmp(end, " >", 2) != 0))
			return;
		/* "> >" keeps its blank, as the demangler writes it. */
		if (*end == ' ' && at > name && at[-1] != '>')
			end++;
		memmove(at, end, strlen(end) + 1);
		return;
	}
}

/* std::map<K, V, std::less<K>, std::allocator<…> > becomes std::map<K, V>. From the end on, so that
 * each is the last one of its list when its turn comes. */
static void drop_defaults(char *name)
{
	size_t length = strlen(name);

	for (size_t i = length <= DEFAULTS_LENGTH_MAX ? length : 0; i-- > 0;) {
		if (name[i] == ',')
			drop_default(name, name + i);
	}
}

/* Length of an operator's name at @p at whose characters are no brackets: "operator<<". */
static size_t operator_length(const char *name, const char *at)
{
	static const char *const operators[] = {"<=>", "<<=", ">>=", "->*", "<<", ">>",
						"<=",  ">=",  "->",  "()",  "<",  ">"};
	static const char word[] = "operator";
	size_t length = sizeof(word) - 1;

	if (strncmp(at, word, length) != 0 || (at > name && at[-1] != ':' && at[-1] != ' '))
		return 0;
	for (size_t i = 0; i < sizeof(operators) / sizeof(*operators); i++) {
		if (ml_has_prefix(at + length, operators[i]))
			return length + strlen(operators[i]);
	}
	return length;
}

/* A copy of @p name in which template arguments nested deeper than @p depth are "<…>". The '<' that
 * begins a Rust name ("<T as Trait>::call") holds the name itself and stays. */
static char *elide_templates(const char *name, unsigned int depth)
{
	struct ml_strbuf out = {0};
	unsigned int open = 0;
	unsigned int floor = depth + (name[0] == '<');

	for (const char *at = name; *at; at++) {
		size_t skipped = operator_length(name, at);

		if (skipped > 0) {
			if (open <= floor)
				ml_strbuf_add(&out, at, skipped);
			at += skipped - 1;
			continue;
		}

		bool closes = *at == '>' && open > 0 && at[-1] != '-';

		if (*at == '<' && ++open == floor + 1)
			ml_strbuf_puts(&out, "<" ELLIPSIS);
		if (closes && open-- == floor + 1)
			ml_strbuf_putc(&out, '>');
		else if (open <= floor)
			ml_strbuf_putc(&out, *at);
	}
	return ml_strbuf_take(&out);
}

/* Where the parameter list of @p name begins: the last bracket at the outermost level that is not
 * part of the name. NULL when there is none. */
static const char *find_parameters(const char *name)
{
	static const char anonymous[] = "(anonymous namespace)";
	const char *found = NULL;
	int open = 0;

	for (const char *at = name; *at; at++) {
		size_t skipped = operator_length(name, at);

		if (skipped == 0 && strncmp(at, anonymous, sizeof(anonymous) - 1) == 0)
			skipped = sizeof(anonymous) - 1;
		if (skipped > 0) {
			at += skipped - 1;
			continue;
		}
		if (*at == '(' && open == 0)
			found = at;
		if (*at == '(' || *at == '<' || *at == '{' || *at == '[')
			open++;
		else if (*at == ')' || *at == '}' || *at == ']' ||
			 (*at == '>' && at > name && at[-1] != '-'))
			open -= open > 0;
	}
	return found && found > name ? found : NULL;
}

/* "a::f(int) const::{lambda()#1}" ends in more of the name: nothing is dropped then. */
static char *drop_parameters(const char *name)
{
	const char *parameters = find_parameters(name);
	char *copy = ml_strdup(name);

	if (parameters && !strstr(parameters, "::{") && !strstr(parameters, ")::"))
		copy[parameters - name] = '\0';
	return copy;
}

/* Cuts @p name at @p limit bytes, at the start of a UTF-8 character. */
static void cut(char *name, size_t limit)
{
	size_t end = limit > sizeof(ELLIPSIS) - 1 ? limit - (sizeof(ELLIPSIS) - 1) : 0;

	while (end > 0 && ((unsigned char)name[end] & 0xc0) == 0x80)
		end--;
	/* The name was longer than the limit: what is cut off has room for the ellipsis. */
	strcpy(name + end, limit >= sizeof(ELLIPSIS) - 1 ? ELLIPSIS : "");
}

static void replace(char **name, char *with)
{
	free(*name);
	*name = with;
}

char *ml_demangle_shorten(const char *name, unsigned int limit)
{
	char *text = replace_spellings(name);

	drop_defaults(text);
	if (strlen(text) > limit)
		replace(&text, elide_templates(text, 1));
	if (strlen(text) > limit)
		replace(&text, drop_parameters(text));
	if (strlen(text) > limit)
		replace(&text, elide_templates(text, 0));
	if (strlen(text) > limit)
		cut(text, limit);
	return text;
}
