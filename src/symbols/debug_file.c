/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/debug_file.h"

#include "base/file.h"
#include "base/strbuf.h"

#include <fcntl.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEBUG_ROOT      "/usr/lib/debug"
#define LINK_SIZE_MAX   8192
#define DEBUG_SIZE_MAX  (8ULL << 30)
#define CRC_CHUNK_BYTES (256U << 10)

/** What a debug file has to match. */
struct wanted {
	struct ml_build_id build_id; /**< size 0: go by the CRC */
	uint32_t crc;
	bool has_crc;
};

/* O_NONBLOCK: a FIFO in the place of the file must not stop us. */
static int open_here(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;

	if (fd >= 0 && (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
			(uint64_t)status.st_size > DEBUG_SIZE_MAX))
		ml_fd_close(&fd);
	return fd;
}

int ml_debug_file_open(struct ml_module *module, const struct ml_file_opener *opener,
		       const char *path)
{
	int fd = -1;

	if (!opener->open)
		return open_here(path);

	ML_ERROR_CLEANUP struct ml_error *error = opener->open(opener->context, module, path, &fd);

	return error ? -1 : fd;
}

/* .gnu_debuglink holds the CRC-32 of IEEE 802.3, which xz uses too. */
static bool has_crc(int fd, uint32_t wanted)
{
	ML_FREE_CLEANUP uint8_t *chunk = ml_alloc(CRC_CHUNK_BYTES);
	uint32_t crc = 0;
	off_t offset = 0;
	ssize_t got;

	while ((got = pread(fd, chunk, CRC_CHUNK_BYTES, offset)) > 0 &&
	       offset < (off_t)DEBUG_SIZE_MAX) {
		crc = lzma_crc32(chunk, (size_t)got, crc);
		offset += got;
	}
	return got == 0 && crc == wanted;
}

static bool belongs(int fd, const char *path, const struct wanted *wanted)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		return false;

	struct ml_image image;
	struct ml_build_id build_id;
	ML_ERROR_CLEANUP struct ml_error *error = ml_image_open(copy, path, &image);

	if (error)
		return false;
	ml_build_id_read(&image, &build_id);
	ml_image_deinit(&image);
	if (wanted->build_id.size > 0)
		return build_id.size == wanted->build_id.size &&
		       memcmp(build_id.bytes, wanted->build_id.bytes, build_id.size) == 0;
	return wanted->has_crc && has_crc(fd, wanted->crc);
}

/* Takes @p fd over; returns it when it is the file wanted, else -1. */
static int checked(int fd, const char *path, const struct wanted *wanted)
{
	if (fd >= 0 && !belongs(fd, path, wanted))
		ml_fd_close(&fd);
	return fd;
}

/* Opens @p path, which is below DEBUG_ROOT, in the target's root or else on this machine. */
static int find_below_root(struct ml_module *module, const struct ml_file_opener *opener,
			   const struct wanted *wanted, const char *path)
{
	int fd = checked(ml_debug_file_open(module, opener, path), path, wanted);

	if (fd < 0 && opener->open)
		fd = checked(open_here(path), path, wanted);
	return fd;
}

static int find_by_build_id(struct ml_module *module, const struct ml_file_opener *opener,
			    const struct wanted *wanted, struct ml_strbuf *path)
{
	const char *hex = wanted->build_id.hex;

	if (wanted->build_id.size < 2)
		return -1;
	ml_strbuf_printf(path, DEBUG_ROOT "/.build-id/%.2s/%s.debug", hex, hex + 2);
	return find_below_root(module, opener, wanted, path->text);
}

static int find_on_servers(const struct ml_file_opener *opener, const struct wanted *wanted,
			   struct ml_strbuf *path)
{
	ml_strbuf_clear(path);
	ml_strbuf_printf(path, "debuginfod:%s", wanted->build_id.hex);
	return checked(ml_debuginfod_find(opener->servers, &wanted->build_id), path->text, wanted);
}

/* .gnu_debuglink: a file name, its NUL, padding to 4 bytes, the CRC. */
static bool read_debuglink(struct ml_module *module, char **name, uint32_t *crc)
{
	struct ml_section link;

	if (!ml_module_section(module, ".gnu_debuglink", &link) || link.size > LINK_SIZE_MAX)
		return false;

	size_t length = strnlen((const char *)link.bytes, link.size);
	size_t at = (length + 1 + 3) & ~(size_t)3;

	if (length == 0 || at + sizeof(*crc) > link.size || memchr(link.bytes, '/', length))
		return false;
	memcpy(crc, link.bytes + at, sizeof(*crc));
	*name = ml_strdup((const char *)link.bytes);
	return true;
}

static int find_by_debuglink(struct ml_module *module, const struct ml_file_opener *opener,
			     struct wanted *wanted, struct ml_strbuf *path)
{
	static const char *const folders[] = {"", "/.debug"};
	ML_FREE_CLEANUP char *name = NULL;
	const char *module_path = ml_module_path(module);
	const char *slash = strrchr(module_path, '/');

	if (!slash || !read_debuglink(module, &name, &wanted->crc))
		return -1;
	wanted->has_crc = true;
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		ml_strbuf_clear(path);
		ml_strbuf_printf(path, "%.*s%s/%s", (int)(slash - module_path), module_path,
				 folders[i], name);

		int fd =
			checked(ml_debug_file_open(module, opener, path->text), path->text, wanted);

		if (fd >= 0)
			return fd;
	}
	ml_strbuf_clear(path);
	ml_strbuf_printf(path, DEBUG_ROOT "%.*s/%s", (int)(slash - module_path), module_path, name);
	return find_below_root(module, opener, wanted, path->text);
}

int ml_debug_file_find(struct ml_module *module, const struct ml_file_opener *opener, char **path)
{
	ML_STRBUF_CLEANUP struct ml_strbuf buf = {0};
	struct wanted wanted = {0};
	size_t size;
	const uint8_t *bytes = ml_module_build_id(module, &size);

	if (bytes)
		ml_build_id_set(&wanted.build_id, bytes, size);

	int fd = find_by_build_id(module, opener, &wanted, &buf);

	if (fd < 0)
		fd = find_by_debuglink(module, opener, &wanted, &buf);
	if (fd < 0)
		fd = find_on_servers(opener, &wanted, &buf);
	if (fd >= 0)
		*path = ml_strbuf_take(&buf);
	return fd;
}

/* .gnu_debugaltlink: a path, its NUL, the build-id of what it names. */
static bool read_altlink(const struct ml_image *image, char **path, struct ml_build_id *build_id)
{
	const Elf64_Shdr *section = ml_image_section_named(image, ".gnu_debugaltlink");

	if (!section)
		return false;

	size_t size = section->sh_size;
	ML_FREE_CLEANUP char *bytes = ml_image_load(image, section->sh_offset, size, LINK_SIZE_MAX);
	size_t length = bytes ? strlen(bytes) : 0;

	if (length == 0 || length + 1 >= size)
		return false;
	ml_build_id_set(build_id, (const uint8_t *)bytes + length + 1, size - length - 1);
	*path = ml_strdup(bytes);
	return build_id->size > 2;
}

static int find_by_altlink(struct ml_module *module, const struct ml_file_opener *opener,
			   const char *link, const struct wanted *wanted, struct ml_strbuf *path)
{
	/* dwz writes a path relative to the debug file, or an absolute one below DEBUG_ROOT; only
	 * the part behind ".dwz/" says which file it is. */
	const char *name = strstr(link, ".dwz/");

	if (!name || strstr(name, ".."))
		return -1;
	ml_strbuf_clear(path);
	ml_strbuf_printf(path, DEBUG_ROOT "/%s", name);
	return find_below_root(module, opener, wanted, path->text);
}

int ml_debug_file_find_alternate(struct ml_module *module, const struct ml_image *image,
				 const struct ml_file_opener *opener)
{
	ML_FREE_CLEANUP char *link = NULL;
	ML_STRBUF_CLEANUP struct ml_strbuf path = {0};
	struct wanted wanted = {0};

	if (!read_altlink(image, &link, &wanted.build_id))
		return -1;

	int fd = find_by_build_id(module, opener, &wanted, &path);

	if (fd < 0)
		fd = find_by_altlink(module, opener, link, &wanted, &path);
	if (fd < 0)
		fd = find_on_servers(opener, &wanted, &path);
	return fd;
}
