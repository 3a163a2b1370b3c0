/* SPDX-License-Identifier: BSD-2-Clause */
/** The leak of rust.rs. */
#include "leak.h"

void leak_told_by_c(const char *name)
{
	leak_here(name);
	__asm__ volatile("" ::: "memory");
}

void leak_ready_in_c(void)
{
	leak_ready();
}
