/* SPDX-License-Identifier: BSD-2-Clause */
/** Every allocation function of the C library leaks a known number of bytes. */
#include "truth.h"

#include <malloc.h>

#define ROUNDS 23

/** Defines leak_NAME(), which allocates by @p expression once; its line goes to line_NAME. */
#define LEAK(name, expression)                                                                     \
	static int line_##name = __LINE__;                                                         \
	static NOINLINE void leak_##name(void)                                                     \
	{                                                                                          \
		void *pointer = NULL;                                                              \
		expression;                                                                        \
		truth_keep(pointer);                                                               \
	}

LEAK(malloc, pointer = malloc(truth_opaque(101)))
LEAK(calloc, pointer = calloc(truth_opaque(7), 31))
LEAK(realloc, pointer = realloc(NULL, truth_opaque(307)))
LEAK(posix_memalign, if (posix_memalign(&pointer, 64, truth_opaque(409))) abort())
LEAK(aligned_alloc, pointer = aligned_alloc(64, truth_opaque(640)))
#ifdef __GLIBC__
LEAK(reallocarray, pointer = reallocarray(NULL, truth_opaque(11), 53))
LEAK(memalign, pointer = memalign(128, truth_opaque(701)))
LEAK(valloc, pointer = valloc(truth_opaque(809)))
LEAK(pvalloc, pointer = pvalloc(truth_opaque(4096)))
#endif
LEAK(strdup, pointer = strdup("twenty-three characters"))

/** The same call chain, but everything is freed: must not appear. */
static NOINLINE void free_everything(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		void *pointer = truth_keep(malloc(truth_opaque(1009)));

		free(pointer);
	}
}

static const struct {
	const char *name;
	void (*leak)(void);
	int *line;
	size_t bytes;
} leaks[] = {
#define ENTRY(name, bytes)                                                                         \
	{                                                                                          \
		"leak_" #name, leak_##name, &line_##name, bytes                                    \
	}
	ENTRY(malloc, 101),         ENTRY(calloc, 217),        ENTRY(realloc, 307),
	ENTRY(posix_memalign, 409), ENTRY(aligned_alloc, 640),
#ifdef __GLIBC__
	ENTRY(reallocarray, 583),   ENTRY(memalign, 701),      ENTRY(valloc, 809),
	ENTRY(pvalloc, 4096),
#endif
	ENTRY(strdup, 24),
};

int main(void)
{
	truth_ready();
	for (size_t i = 0; i < sizeof(leaks) / sizeof(leaks[0]); i++) {
		for (int round = 0; round < ROUNDS; round++)
			leaks[i].leak();
		truth_site(leaks[i].name, *leaks[i].line, leaks[i].bytes * ROUNDS, ROUNDS);
	}
	free_everything();
	truth_site("free_everything", 0, 0, 0);
	truth_done();
	return 0;
}
