/* SPDX-License-Identifier: BSD-2-Clause */
/** Maps, unmaps in part, overlays, moves; and calls that fail, which change nothing. */
#include "truth.h"

#include <sys/mman.h>

#define PAGE 4096UL

static NOINLINE char *map_pages(size_t pages)
{
	char *map = mmap(NULL, truth_opaque(pages) * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		abort();
	return truth_keep(map);
}

/** Defines a function NAME that runs BODY with `map`, a fresh mapping of PAGES pages. */
#define CASE(name, pages, body)                                                                    \
	static NOINLINE void name(void)                                                            \
	{                                                                                          \
		char *map = map_pages(pages);                                                      \
		body;                                                                              \
		truth_keep(map);                                                                   \
	}

CASE(unmap_nothing, 16, )
CASE(unmap_all, 16, munmap(map, 16 * PAGE))
CASE(unmap_start, 16, munmap(map, 3 * PAGE))
CASE(unmap_middle, 16, munmap(map + 5 * PAGE, 2 * PAGE))
CASE(unmap_end, 16, munmap(map + 12 * PAGE, 4 * PAGE))
CASE(unmap_failed, 16, munmap(map + 1, PAGE))

static NOINLINE void map_failed(void)
{
	void *map =
		mmap(NULL, truth_opaque(1UL << 60), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map != MAP_FAILED)
		abort();
}

static NOINLINE void map_over(char *map)
{
	void *over = mmap(map, truth_opaque(4) * PAGE, PROT_READ,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (over == MAP_FAILED)
		abort();
	truth_keep(over);
}

CASE(overlaid, 16, map_over(map + 2 * PAGE))

static NOINLINE void remap(char *map, size_t old_pages, size_t new_pages, int flags)
{
	void *moved = mremap(map, old_pages * PAGE, truth_opaque(new_pages) * PAGE, flags);

	if (moved == MAP_FAILED)
		abort();
	truth_keep(moved);
}

static NOINLINE void remap_shrink(char *map)
{
	remap(map, 16, 6, 0);
	truth_keep(map);
}

static NOINLINE void remap_move(char *map)
{
	char *target = map_pages(32);

	munmap(target, 32 * PAGE);
	if (mremap(map, 16 * PAGE, 24 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == MAP_FAILED)
		abort();
	truth_keep(target);
}

CASE(shrunk, 16, remap_shrink(map))
CASE(moved, 16, remap_move(map))

static NOINLINE void failed_realloc(void)
{
	void *block = truth_keep(malloc(truth_opaque(7777)));

	if (realloc(block, truth_opaque((size_t)1 << 62)))
		abort();
	truth_keep(block);
}

int main(void)
{
	truth_ready();
	unmap_nothing();
	truth_site("unmap_nothing", 0, 16 * PAGE, 1);
	unmap_all();
	truth_site("unmap_all", 0, 0, 0);
	unmap_start();
	truth_site("unmap_start", 0, 13 * PAGE, 1);
	unmap_middle();
	truth_site("unmap_middle", 0, 14 * PAGE, 2);
	unmap_end();
	truth_site("unmap_end", 0, 12 * PAGE, 1);
	unmap_failed();
	truth_site("unmap_failed", 0, 16 * PAGE, 1);
	map_failed();
	truth_site("map_failed", 0, 0, 0);
	/* `overlaid` is on the stack of both: 12 pages of the first map and 4 of the second. */
	overlaid();
	truth_site("overlaid", 0, 16 * PAGE, 0);
	truth_site("map_over", 0, 4 * PAGE, 1);
	shrunk();
	truth_site("shrunk", 0, 6 * PAGE, 1);
	moved();
	truth_site("moved", 0, 24 * PAGE, 1);
	failed_realloc();
	truth_site("failed_realloc", 0, 7777, 1);
	truth_done();
	return 0;
}
