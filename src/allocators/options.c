/* SPDX-License-Identifier: BSD-2-Clause */
#include "allocators/options.h"

#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

/* A single digit 1 to 6 (arguments passed in registers) at *@p text, which moves on; 0 = none. */
static int parse_position(const char **text)
{
	int position = **text - '0';

	if (position < 1 || position > 6)
		return 0;
	(*text)++;
	return position;
}

/* The role of [:SIZE_ARG[:COUNT_ARG]]; ML_ROLE_NONE when no role has its arguments there. */
static enum ml_role parse_positions(const char *text)
{
	int size, count = 0;

	if (!*text)
		return ML_ROLE_MALLOC;
	text++;
	size = parse_position(&text);
	if (size && *text == ':') {
		text++;
		count = parse_position(&text);
		if (!count)
			return ML_ROLE_NONE;
	}
	if (*text)
		return ML_ROLE_NONE;
	if (size == 1 && !count)
		return ML_ROLE_MALLOC;
	if (size == 2 && !count)
		return ML_ROLE_ALIGNED_ALLOC;
	/* A product does not care which of the two is the count. */
	if ((size == 2 && count == 1) || (size == 1 && count == 2))
		return ML_ROLE_CALLOC;
	return ML_ROLE_NONE;
}

static struct ml_error *add_function(struct ml_user_functions *functions, const char *option,
				     const char *spec, bool takes_positions)
{
	size_t length = takes_positions ? strcspn(spec, ":") : strlen(spec);
	enum ml_role role = takes_positions ? parse_positions(spec + length) : ML_ROLE_FREE;
	struct ml_user_function *function;

	if (!length)
		return ml_error_new(ML_ERROR_USAGE, "%s '%s': a function name is missing", option,
				    spec);
	if (role == ML_ROLE_NONE)
		return ml_error_new(ML_ERROR_USAGE,
				    "%s '%s': possible are NAME or NAME:1 (the size is the first "
				    "argument), NAME:2 (the second) and NAME:2:1 (the first two "
				    "multiplied, as in calloc)",
				    option, spec);
	function = ml_array_push(&functions->list);
	*function = (struct ml_user_function){.option = option, .role = role};
	function->name = ml_strdup(spec);
	function->name[length] = '\0';
	return NULL;
}

static struct ml_error *parse_all(const struct ml_allocator_options *options,
				  struct ml_user_functions *functions)
{
	struct ml_error *error = NULL;

	for (const char *const *spec = options->alloc_fns; !error && spec && *spec; spec++)
		error = add_function(functions, "--alloc-fn", *spec, true);
	for (const char *const *spec = options->free_fns; !error && spec && *spec; spec++)
		error = add_function(functions, "--free-fn", *spec, false);
	return error;
}

struct ml_error *ml_user_functions_parse(const struct ml_allocator_options *options,
					 struct ml_user_functions *out)
{
	struct ml_user_functions functions = {0};
	struct ml_error *error = options ? parse_all(options, &functions) : NULL;

	if (error)
		ml_user_functions_deinit(&functions);
	else
		*out = functions;
	return error;
}

void ml_user_functions_deinit(struct ml_user_functions *functions)
{
	ml_array_each (function, &functions->list)
		free(function->name);
	ml_array_free(&functions->list);
}

/* "libc.so.6" and "libc-2.31.so" begin with the library "libc". */
static bool is_library_named(const char *file, const char *library, size_t length)
{
	const char *rest = file + length;

	if (strncmp(file, library, length))
		return false;
	return !strncmp(rest, ".so", 3) || (rest[0] == '-' && isdigit((unsigned char)rest[1]));
}

/* A path the user gives may lead to the file by another way (/lib is a link to /usr/lib). */
static bool is_same_file(const char *path, const struct ml_module *module)
{
	struct stat status;

	return !stat(path, &status) && status.st_dev == ml_module_device(module) &&
	       status.st_ino == ml_module_inode(module);
}

bool ml_object_is_module(const char *object, struct ml_module *module)
{
	const char *file = ml_module_name(module);
	size_t length = strlen(object);

	if (strchr(object, '/'))
		return !strcmp(object, ml_module_path(module)) || is_same_file(object, module);
	if (!strcmp(object, file))
		return true;
	/* libc.so means libc.so.6 too. */
	if (length > 3 && !strcmp(object + length - 3, ".so"))
		return !strncmp(file, object, length) && file[length] == '.';
	if (is_library_named(file, object, length) && !strncmp(object, "lib", 3))
		return true;
	if (!strncmp(file, "lib", 3) && is_library_named(file + 3, object, length))
		return true;
	/* musl's C library is its dynamic linker, and called so in /proc/PID/maps. */
	return (!strcmp(object, "c") || !strcmp(object, "libc")) && !strncmp(file, "ld-musl-", 8);
}
