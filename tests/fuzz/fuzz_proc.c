/* SPDX-License-Identifier: BSD-2-Clause */
/** Texts of /proc, with names that a target chooses. The first byte says which file it is. */
#include "fuzz.h"

#include "symbols/kernel_symbols.h"
#include "target/container.h"
#include "target/maps.h"
#include "target/proc.h"

static void parse_maps(const char *text)
{
	struct ml_maps maps = {0};
	struct ml_error *error = ml_maps_parse(text, &maps);

	if (error)
		FUZZ_CHECK(strchr(ml_error_message(error), '\n') == NULL);
	for (size_t i = 0; i < maps.list.count; i++) {
		const struct ml_mapping *mapping = &maps.list.items[i];

		FUZZ_CHECK(mapping->path && mapping->start < mapping->end);
		FUZZ_CHECK(i == 0 || maps.list.items[i - 1].end <= mapping->start);
		FUZZ_CHECK(ml_maps_find(&maps, mapping->start) == mapping);
		FUZZ_CHECK(ml_maps_find(&maps, mapping->end - 1) == mapping);
	}
	ml_error_free(error);
	ml_maps_deinit(&maps);
}

static void parse_status(const char *text)
{
	for (int index = -2; index <= 2; index++)
		ml_proc_status_number(text, "NSpid:", index, -1);
	ml_proc_status_number(text, "Tgid:", 0, 0);
}

static void parse_kallsyms(const char *text)
{
	struct ml_kernel_symbols symbols = {0};

	ml_kernel_symbols_parse(strdup(text), &symbols);
	for (size_t i = 0; i < symbols.list.count; i++) {
		const struct ml_kernel_symbol *symbol = &symbols.list.items[i];

		FUZZ_CHECK(i == 0 || symbols.list.items[i - 1].address <= symbol->address);
		FUZZ_CHECK(strlen(symbol->name) > 0 && strlen(symbol->module) > 0);
		FUZZ_CHECK(ml_kernel_symbols_find(&symbols, symbol->address));
	}
	ml_kernel_symbols_find(&symbols, UINT64_MAX);
	ml_kernel_symbols_deinit(&symbols);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ml_proc_stat stat;

	if (size < 1)
		return 0;

	char *text = fuzz_text(data + 1, size - 1);

	switch (data[0] % 5) {
	case 0:
		parse_maps(text);
		break;
	case 1:
		ml_proc_stat_parse(text, &stat);
		break;
	case 2:
		parse_status(text);
		break;
	case 3:
		free(ml_container_name(text));
		break;
	case 4:
		parse_kallsyms(text);
		break;
	}
	free(text);
	return 0;
}
