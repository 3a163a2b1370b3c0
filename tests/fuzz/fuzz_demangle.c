/* SPDX-License-Identifier: BSD-2-Clause */
/** Mangled names, and names cut to the width of a report. The first byte is the width. */
#include "fuzz.h"

#include "symbols/demangle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;

	unsigned int limit = data[0];
	char *mangled = fuzz_text(data + 1, size - 1);
	char *name = ml_demangle(mangled);
	char *shortened = ml_demangle_shorten(name, limit);
	char *as_it_is = ml_demangle_shorten(mangled, limit);

	FUZZ_CHECK(strlen(shortened) <= limit);
	FUZZ_CHECK(strlen(as_it_is) <= limit);
	free(mangled);
	free(name);
	free(shortened);
	free(as_it_is);
	return 0;
}
