/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/jitdump.h"

#include "base/clock.h"
#include "base/file.h"
#include "target/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC        0x4a695444u /* "JiTD" in the byte order of the machine */
#define HEADER_MIN   40
#define PREFIX_SIZE  16 /* of every record: id, total_size, timestamp */
#define LOAD_SIZE    56 /* of a JIT_CODE_LOAD with its prefix, before the name */
#define MOVE_SIZE    64 /* of a JIT_CODE_MOVE with its prefix */
#define NAME_LIMIT   1024
#define RECORD_LIMIT (1u << 20)
#define NAMES_LIMIT  (128ull << 20) /* bytes of all names */

/* Looking for news may take this fraction of the time at most, and is not worth it more often. */
#define REST_FACTOR 10
#define REST_NS     (50 * ML_NS_PER_MS)

enum record_id { RECORD_LOAD = 0, RECORD_MOVE = 1 };

static uint32_t u32_at(const uint8_t *bytes, size_t offset)
{
	uint32_t value;

	memcpy(&value, bytes + offset, sizeof(value));
	return value;
}

static uint64_t u64_at(const uint8_t *bytes, size_t offset)
{
	uint64_t value;

	memcpy(&value, bytes + offset, sizeof(value));
	return value;
}

/* Bytes read, up to @size. */
static size_t read_at(int fd, uint64_t position, uint8_t *bytes, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t got = pread(fd, bytes + have, size - have, (off_t)(position + have));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		have += (size_t)got;
	}
	return have;
}

static void add_entry(struct ml_jitdump *dump, uint64_t start, uint64_t size, const char *name)
{
	if (!size || size > UINT64_MAX - start)
		return;
	*ml_array_push(&dump->entries) = (struct ml_jit_entry){
		.start = start, .end = start + size, .name = name, .order = dump->records};
}

/* @bytes has @size bytes of a record: all of it but the code. */
static void take_load(struct ml_jitdump *dump, const uint8_t *bytes, size_t size)
{
	const char *text = (const char *)bytes + LOAD_SIZE;
	char name[NAME_LIMIT + 1];

	if (size <= LOAD_SIZE || !*text)
		return;

	size_t length = strnlen(text, size - LOAD_SIZE);

	if (length > NAME_LIMIT)
		length = NAME_LIMIT;
	dump->name_bytes += length;
	memcpy(name, text, length);
	name[length] = '\0';

	const char *kept = ml_string_pool_add(&dump->names, name);

	add_entry(dump, u64_at(bytes, 32), u64_at(bytes, 40), kept);
	*ml_u64map_put(&dump->by_index, u64_at(bytes, 48), NULL) = (uint64_t)(uintptr_t)kept;
}

/* The old place keeps its name: stacks from before the move run through it. */
static void take_move(struct ml_jitdump *dump, const uint8_t *bytes, size_t size)
{
	const uint64_t *name =
		size >= MOVE_SIZE ? ml_u64map_get(&dump->by_index, u64_at(bytes, 56)) : NULL;

	if (name)
		add_entry(dump, u64_at(bytes, 40), u64_at(bytes, 48),
			  (const char *)(uintptr_t)*name);
}

/* False when there is no whole record (yet) at the position, or no sensible one. */
static bool read_record(struct ml_jitdump *dump, uint64_t file_size)
{
	uint8_t bytes[LOAD_SIZE + NAME_LIMIT];
	size_t have = read_at(dump->fd, dump->position, bytes, sizeof(bytes));

	if (have < PREFIX_SIZE)
		return false;

	uint32_t total = u32_at(bytes, 4);

	if (total < PREFIX_SIZE || ++dump->records > RECORD_LIMIT ||
	    dump->name_bytes > NAMES_LIMIT) {
		dump->is_damaged = true;
		return false;
	}
	if (total > file_size - dump->position)
		return false;
	if (have > total)
		have = total;
	if (u32_at(bytes, 0) == RECORD_LOAD)
		take_load(dump, bytes, have);
	else if (u32_at(bytes, 0) == RECORD_MOVE)
		take_move(dump, bytes, have);
	dump->position += total;
	return true;
}

/* False when the file has no header (yet), or is something else. */
static bool read_header(struct ml_jitdump *dump)
{
	uint8_t bytes[HEADER_MIN];

	if (read_at(dump->fd, 0, bytes, sizeof(bytes)) < sizeof(bytes))
		return false;
	dump->position = u32_at(bytes, 8);
	dump->is_damaged = u32_at(bytes, 0) != MAGIC || dump->position < HEADER_MIN;
	return !dump->is_damaged;
}

void ml_jitdump_read(struct ml_jitdump *dump)
{
	size_t before = dump->entries.count;
	struct stat status;

	if (dump->is_damaged || fstat(dump->fd, &status) < 0 || status.st_size < HEADER_MIN ||
	    (!dump->position && !read_header(dump)))
		return;
	while (dump->position < (uint64_t)status.st_size &&
	       read_record(dump, (uint64_t)status.st_size))
		continue;
	if (dump->entries.count > before)
		ml_jit_ranges_build(&dump->ranges, &dump->entries);
}

bool ml_jitdump_is_name(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	if (strncmp(name, "jit-", 4) != 0)
		return false;

	size_t digits = strspn(name + 4, "0123456789");

	return digits > 0 && strcmp(name + 4 + digits, ".dump") == 0;
}

/* Opens the very file that is mapped, when it is a regular one: nothing else is ever opened. */
static int open_mapped(pid_t pid, const struct ml_mapping *mapping)
{
	char path[96];
	struct stat status;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid, mapping->start,
		 mapping->end);

	ML_FD_CLEANUP int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

static int find_file(pid_t pid)
{
	struct ml_maps maps = {0};
	ML_ERROR_CLEANUP struct ml_error *error = ml_maps_read(pid, &maps);
	int fd = -1;

	if (error)
		return -1;
	ml_array_each (mapping, &maps.list)
		if (fd < 0 && mapping->is_executable && mapping->inode &&
		    ml_jitdump_is_name(mapping->path))
			fd = open_mapped(pid, mapping);
	ml_maps_deinit(&maps);
	return fd;
}

void ml_jitdump_refresh(struct ml_jitdump *dump, pid_t pid)
{
	uint64_t now_ns = ml_monotonic_ns();

	if (dump->read_ns && now_ns - dump->read_ns < REST_FACTOR * dump->spent_ns + REST_NS)
		return;
	if (dump->fd < 0)
		dump->fd = find_file(pid);
	if (dump->fd >= 0)
		ml_jitdump_read(dump);
	dump->read_ns = ml_monotonic_ns();
	dump->spent_ns = dump->read_ns - now_ns;
}

void ml_jitdump_deinit(struct ml_jitdump *dump)
{
	ml_fd_close(&dump->fd);
	ml_array_free(&dump->entries);
	ml_array_free(&dump->ranges);
	ml_u64map_free(&dump->by_index);
	ml_string_pool_deinit(&dump->names);
}
