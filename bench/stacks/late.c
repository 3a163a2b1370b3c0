/* SPDX-License-Identifier: BSD-2-Clause */
/** A library loaded late: it leaks in its constructor, and while one of its functions is bound. */
void leak_from_library(const char *name);

static void nothing(void)
{
}

/* An IFUNC is resolved inside _dl_runtime_resolve() when a call binds it lazily. */
static void (*resolve(void))(void)
{
	leak_from_library("lazy binding of a PLT entry");
	return nothing;
}

void bound_late(void) __attribute__((ifunc("resolve")));

__attribute__((constructor)) static void begin(void)
{
	leak_from_library("constructor of a library just loaded");
	__asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void call_late(void (*leak)(const char *))
{
	bound_late();
	__asm__ volatile("" ::: "memory");
	leak("library, after its binding");
	__asm__ volatile("" ::: "memory");
}
