/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/kernel_symbols.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define KALLSYMS          "/proc/kallsyms"
#define KALLSYMS_SIZE_MAX (128U << 20)
/* kallsyms tells no sizes; no function of the kernel is this long. */
#define FUNCTION_SIZE_MAX (1ULL << 20)

/* One line: "ffffffff81000000 T _stext" or "… t name<TAB>[module]". */
static bool parse_line(char *line, struct ml_kernel_symbol *out)
{
	char *end;

	out->address = strtoull(line, &end, 16);
	if (end == line || end[0] != ' ' || !end[1] || end[2] != ' ' || !end[3])
		return false;
	if (!strchr("tTwW", end[1]) || end[3] == '\t' || out->address == 0)
		return false;

	char *name = end + 3;
	char *tab = strchr(name, '\t');

	out->name = name;
	out->module = "kernel";
	if (!tab)
		return true;
	*tab = '\0';

	char *bracket = strchr(tab + 1, ']');

	if (tab[1] == '[' && bracket && bracket > tab + 2) {
		*bracket = '\0';
		out->module = tab + 2;
	}
	return true;
}

static int compare_symbols(const void *left, const void *right)
{
	const struct ml_kernel_symbol *a = left, *b = right;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	/* In the order of the file, which puts the name the linker met first before its aliases. */
	return (a->name > b->name) - (a->name < b->name);
}

void ml_kernel_symbols_parse(char *text, struct ml_kernel_symbols *out)
{
	memset(out, 0, sizeof(*out));
	out->text = text;
	for (char *line = text, *next; line; line = next) {
		struct ml_kernel_symbol symbol;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (parse_line(line, &symbol))
			*ml_array_push(&out->list) = symbol;
	}
	if (out->list.count > 0)
		qsort(out->list.items, out->list.count, sizeof(*out->list.items), compare_symbols);
}

struct ml_error *ml_kernel_symbols_read(struct ml_kernel_symbols *out)
{
	char *text;
	struct ml_error *error = ml_file_read(AT_FDCWD, KALLSYMS, KALLSYMS_SIZE_MAX, &text, NULL);

	if (!error)
		ml_kernel_symbols_parse(text, out);
	return error;
}

const struct ml_kernel_symbol *ml_kernel_symbols_find(const struct ml_kernel_symbols *symbols,
						      uint64_t ip)
{
	const struct ml_kernel_symbol *list = symbols->list.items;
	size_t low = ml_sorted_up_to(list, symbols->list.count, address, ip);

	if (low == 0 || ip - list[low - 1].address >= FUNCTION_SIZE_MAX)
		return NULL;
	/* Of aliases the first. */
	size_t found = low - 1;

	while (found > 0 && list[found - 1].address == list[found].address)
		found--;
	return &list[found];
}

void ml_kernel_symbols_deinit(struct ml_kernel_symbols *symbols)
{
	ml_array_free(&symbols->list);
	free(symbols->text);
	symbols->text = NULL;
}
