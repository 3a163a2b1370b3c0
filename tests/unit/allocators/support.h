/* SPDX-License-Identifier: BSD-2-Clause */
/** What the tests of this folder share: opening a file as a candidate, finding one of its names. */
#ifndef TESTS_ALLOCATORS_SUPPORT_H
#define TESTS_ALLOCATORS_SUPPORT_H

#include "allocators/allocator.h"
#include "base/error.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIBRARIES "/usr/lib/x86_64-linux-gnu/"
#define LIBC      LIBRARIES "libc.so.6"
#define JEMALLOC  LIBRARIES "libjemalloc.so.2"
#define TCMALLOC  LIBRARIES "libtcmalloc_minimal.so.4"
#define MIMALLOC  LIBRARIES "libmimalloc.so.2"
#define TBB       LIBRARIES "libtbbmalloc.so.2"
#define TBB_PROXY LIBRARIES "libtbbmalloc_proxy.so.2"
/* The one that keeps apart what malloc and each form of new has allocated. */
#define TCMALLOC_DEBUG LIBRARIES "libtcmalloc_minimal_debug.so.4"
#define LIBSTDCXX      LIBRARIES "libstdc++.so.6"
#define LOADER         "/usr/lib64/ld-linux-x86-64.so.2"
#define MUSL           "/usr/lib/x86_64-linux-musl/libc.so"

/** Opens @p path; skips the test when the file is not there. */
static inline struct ml_module *open_module(const char *path)
{
	struct ml_module *module;
	struct ml_error *error;
	int fd = path && *path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0) {
		print_message("# no %s\n", path);
		skip();
	}
	error = ml_module_open(fd, path, &module);
	if (error)
		print_message("# %s\n", ml_error_message(error));
	assert_null(error);
	return module;
}

static inline const struct ml_allocator_function *
function_named(const struct ml_allocator *allocator, const char *name)
{
	ml_array_each (function, &allocator->functions)
		if (!strcmp(function->name, name))
			return function;
	return NULL;
}

#endif
