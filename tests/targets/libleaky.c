/* SPDX-License-Identifier: BSD-2-Clause */
/** The library that dlopen_leak.c loads. */
#include "truth.h"

size_t leak_in_library(void);

size_t NOINLINE leak_in_library(void)
{
	truth_keep(malloc(truth_opaque(211)));
	return 211;
}
