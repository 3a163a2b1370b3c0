/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/maps.h"

#include "base/file.h"
#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* 65530 mappings (vm.max_map_count's default) with paths of PATH_MAX are 270 MB. */
#define MAPS_BYTES_MAX ((size_t)1 << 30)

/* Bytes of a line that an error quotes. */
#define QUOTE_MAX 120

/* A part of the text being read; every reader moves `at` on, none beyond `end`. */
struct cursor {
	const char *at;
	const char *end;
};

static bool read_char(struct cursor *cursor, char wanted)
{
	if (cursor->at == cursor->end || *cursor->at != wanted)
		return false;
	cursor->at++;
	return true;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return 16;
}

static bool read_number(struct cursor *cursor, unsigned int base, uint64_t *value)
{
	const char *first = cursor->at;
	uint64_t number = 0;

	for (; cursor->at != cursor->end; cursor->at++) {
		unsigned int digit = (unsigned int)digit_value(*cursor->at);

		if (digit >= base)
			break;
		if (number > (UINT64_MAX - digit) / base)
			return false;
		number = number * base + digit;
	}
	*value = number;
	return cursor->at != first;
}

/* One of two letters: @p yes sets @p flag, @p no clears it. */
static bool read_flag(struct cursor *cursor, char yes, char no, bool *flag)
{
	*flag = read_char(cursor, yes);
	return *flag || read_char(cursor, no);
}

static bool read_permissions(struct cursor *cursor, struct ml_mapping *mapping)
{
	return read_flag(cursor, 'r', '-', &mapping->is_readable) &&
	       read_flag(cursor, 'w', '-', &mapping->is_writable) &&
	       read_flag(cursor, 'x', '-', &mapping->is_executable) &&
	       read_flag(cursor, 's', 'p', &mapping->is_shared);
}

/*
 * The path with "\012" turned back into a newline. That is the only escape: fs/proc/task_mmu.c
 * prints the path by seq_path(..., "\n"), so any other backslash stands for itself.
 */
static char *unescape(const char *text, size_t length)
{
	char *path = ml_alloc(length + 1);
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		if (length - i >= 4 && !memcmp(text + i, "\\012", 4)) {
			path[used++] = '\n';
			i += 3;
		} else {
			path[used++] = text[i];
		}
	}
	return path;
}

static void read_path(struct cursor *cursor, struct ml_mapping *mapping)
{
	static const char deleted[] = " (deleted)";
	const size_t suffix = sizeof(deleted) - 1;

	while (read_char(cursor, ' '))
		;

	size_t length = (size_t)(cursor->end - cursor->at);

	mapping->is_deleted = length > suffix && !memcmp(cursor->end - suffix, deleted, suffix);
	mapping->path = unescape(cursor->at, mapping->is_deleted ? length - suffix : length);
}

/* False when the line is not of the form proc_pid_maps(5) describes; then nothing is owned. */
static bool read_line(struct cursor line, struct ml_mapping *mapping)
{
	uint64_t major, minor;

	*mapping = (struct ml_mapping){0};
	if (!read_number(&line, 16, &mapping->start) || !read_char(&line, '-') ||
	    !read_number(&line, 16, &mapping->end) || !read_char(&line, ' ') ||
	    !read_permissions(&line, mapping) || !read_char(&line, ' ') ||
	    !read_number(&line, 16, &mapping->offset) || !read_char(&line, ' ') ||
	    !read_number(&line, 16, &major) || !read_char(&line, ':') ||
	    !read_number(&line, 16, &minor) || !read_char(&line, ' ') ||
	    !read_number(&line, 10, &mapping->inode))
		return false;
	if (mapping->start >= mapping->end || major > UINT32_MAX || minor > UINT32_MAX)
		return false;
	if (line.at != line.end && *line.at != ' ')
		return false;
	mapping->device = makedev((unsigned int)major, (unsigned int)minor);
	read_path(&line, mapping);
	return true;
}

/* Makes room for @p next at the end: what overlaps it is cut. False when it stands out of order. */
static bool cut_overlap(struct ml_maps *maps, const struct ml_mapping *next)
{
	while (maps->list.count) {
		struct ml_mapping *last = &maps->list.items[maps->list.count - 1];

		if (last->end <= next->start)
			return true;
		if (last->start < next->start) {
			last->end = next->start;
			return true;
		}
		if (last->start >= next->end)
			return false;
		free(last->path);
		maps->list.count--;
	}
	return true;
}

static struct ml_error *bad_line(struct cursor line, const char *why)
{
	ML_STRBUF_CLEANUP struct ml_strbuf raw = {0};
	ML_STRBUF_CLEANUP struct ml_strbuf quoted = {0};
	size_t length = (size_t)(line.end - line.at);

	ml_strbuf_add(&raw, line.at, length < QUOTE_MAX ? length : QUOTE_MAX);
	ml_strbuf_escaped(&quoted, ml_strbuf_text(&raw));
	return ml_error_new(ML_ERROR_FORMAT, "memory map line %s: \"%s%s\"", why,
			    ml_strbuf_text(&quoted), length > QUOTE_MAX ? "..." : "");
}

static struct ml_error *add_line(struct ml_maps *maps, struct cursor line)
{
	struct ml_mapping mapping;

	if (!read_line(line, &mapping))
		return bad_line(line, "not understood");
	if (!cut_overlap(maps, &mapping)) {
		free(mapping.path);
		return bad_line(line, "out of order");
	}
	*ml_array_push(&maps->list) = mapping;
	return NULL;
}

struct ml_error *ml_maps_parse(const char *text, struct ml_maps *out)
{
	struct ml_maps maps = {0};

	while (*text) {
		struct cursor line = {.at = text, .end = strchrnul(text, '\n')};
		struct ml_error *error = add_line(&maps, line);

		if (error) {
			ml_maps_deinit(&maps);
			return error;
		}
		text = *line.end ? line.end + 1 : line.end;
	}
	*out = maps;
	return NULL;
}

/* The reason why the maps file of @p pid cannot be read, in the user's words; frees @p error. */
static struct ml_error *explain_read(struct ml_error *error, pid_t pid)
{
	int code = ml_error_code(error);

	if (code == ENOENT || code == ESRCH) {
		ml_error_free(error);
		return ml_error_new(ML_ERROR_TARGET, "no process with pid %d", pid);
	}
	if (code == EACCES || code == EPERM) {
		ml_error_free(error);
		return ml_error_new(ML_ERROR_TARGET,
				    "not permitted to read the memory map of process %d: run as "
				    "root (sudo) or as its user",
				    pid);
	}
	return ml_error_wrap(error, "memory map of process %d", pid);
}

struct ml_error *ml_maps_read_at(int proc_fd, pid_t pid, struct ml_maps *out)
{
	ML_FREE_CLEANUP char *text = NULL;
	size_t length;
	struct ml_error *error = ml_file_read(proc_fd, "maps", MAPS_BYTES_MAX, &text, &length);

	if (error)
		return explain_read(error, pid);
	if (!length)
		return ml_error_new(ML_ERROR_TARGET, "process %d has no memory any more: it ended",
				    pid);
	error = ml_maps_parse(text, out);
	return error ? ml_error_wrap(error, "process %d", pid) : NULL;
}

struct ml_error *ml_maps_read(pid_t pid, struct ml_maps *out)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);

	ML_FD_CLEANUP int proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (proc_fd < 0)
		return explain_read(ml_error_errno(errno, "cannot open %s", path), pid);
	return ml_maps_read_at(proc_fd, pid, out);
}

const struct ml_mapping *ml_maps_find(const struct ml_maps *maps, uint64_t address)
{
	size_t low = 0, high = maps->list.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct ml_mapping *mapping = &maps->list.items[middle];

		if (address < mapping->start)
			high = middle;
		else if (address >= mapping->end)
			low = middle + 1;
		else
			return mapping;
	}
	return NULL;
}

void ml_maps_deinit(struct ml_maps *maps)
{
	ml_array_each (mapping, &maps->list)
		free(mapping->path);
	ml_array_free(&maps->list);
}
