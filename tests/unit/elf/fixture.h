/* SPDX-License-Identifier: BSD-2-Clause */
/** A temporary folder with ELF files of every sort, as fixtures.sh builds them. */
#ifndef TESTS_ELF_FIXTURE_H
#define TESTS_ELF_FIXTURE_H

#include "base/file.h"
#include "elf/module.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char fixture_folder[64];

static inline const char *fixture_path(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", fixture_folder, name);
	return path;
}

/* Makes the folder and fills it by @command, a format of printf() for @file and the folder. */
static inline int fixture_make(const char *command, const char *file)
{
	char line[512];

	snprintf(fixture_folder, sizeof(fixture_folder), "/tmp/memleak-fixture-XXXXXX");
	if (!mkdtemp(fixture_folder))
		return -1;
	snprintf(line, sizeof(line), command, file, fixture_folder);
	return system(line);
}

/* From the archive that was built with the tests; a cmocka group setup calls it. */
static inline int fixture_unpack(const char *archive)
{
	return fixture_make("tar -x -f %s -C %s", archive);
}

/* Anew: for tests to which it matters that the folder is where the compiler was. */
static inline int fixture_build(const char *script)
{
	return fixture_make("sh %s %s >&2", script);
}

static inline int fixture_remove(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", fixture_folder);
	return system(command);
}

static inline bool fixture_exists(const char *name)
{
	return access(fixture_path(name), R_OK) == 0;
}

static inline struct ml_module *fixture_open(const char *name)
{
	const char *path = fixture_path(name);
	struct ml_module *module = NULL;
	struct ml_error *error = ml_module_open(open(path, O_RDONLY | O_CLOEXEC), path, &module);

	if (error)
		print_error("%s\n", ml_error_message(error));
	assert_null(error);
	return module;
}

static inline uint64_t fixture_address(struct ml_module *module, const char *function)
{
	struct ml_symbol symbol;

	assert_true(ml_module_function_named(module, function, &symbol));
	return symbol.address;
}

#endif
