/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Links to debug files: a byte that says how long .gnu_debuglink (even) or .gnu_debugaltlink (odd)
 * is, the section, and the file that is found under every name asked for.
 */
#include "fuzz.h"

#include "symbols/debug_file.h"

#include <unistd.h>

/** The file there is. */
struct other {
	const uint8_t *data;
	size_t size;
	unsigned int asked;
};

static struct ml_error *open_other(void *context, struct ml_module *module, const char *path,
				   int *fd)
{
	struct other *other = context;

	/* One name each: the module's folder or what is below /usr/lib/debug. */
	FUZZ_CHECK(path[0] == '/' && !strstr(path, "/../"));
	FUZZ_CHECK(++other->asked <= 8);
	*fd = fuzz_file(other->data, other->size);
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t length;

	fuzz_take(&data, &size, &length, sizeof(length));

	size_t link_size = length / 2 < size ? length / 2 : size;
	struct other other = {.data = data + link_size, .size = size - link_size};
	struct ml_file_opener opener = {.open = open_other, .context = &other};
	struct ml_module *module = fuzz_module_with_section(
		length & 1 ? ".gnu_debugaltlink" : ".gnu_debuglink", data, link_size);
	struct ml_image image;
	char *path = NULL;
	int fd;

	FUZZ_CHECK(module);
	fd = ml_debug_file_find(module, &opener, &path);
	FUZZ_CHECK((fd >= 0) == (path != NULL));
	if (fd >= 0)
		close(fd);
	free(path);
	other.asked = 0;
	ml_error_free(ml_image_open(dup(ml_module_fd(module)), "/nowhere/input", &image));
	fd = ml_debug_file_find_alternate(module, &image, &opener);
	if (fd >= 0)
		close(fd);
	ml_image_deinit(&image);
	ml_module_unref(module);
	return 0;
}
