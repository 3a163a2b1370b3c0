/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/perf_map.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/rooted.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of a larger file the end is read: the code that is there now. */
#define TEXT_SIZE_MAX (128U << 20)
#define LINES_MAX     (1U << 20)
/* What is longer is cut: a name is repeated in each stack of a report. */
#define NAME_MAX_BYTES 1024
/* A runtime that compiles without end makes its file grow without end; reading it again and again
 * may take this fraction of the time at most. */
#define REST_FACTOR 10

static bool parse_hex(const char **at, uint64_t *value)
{
	const char *text = *at;
	unsigned int digits = 0;

	*value = 0;
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	for (;; text++, digits++) {
		unsigned int digit;

		if (*text >= '0' && *text <= '9')
			digit = (unsigned int)(*text - '0');
		else if ((*text | 32) >= 'a' && (*text | 32) <= 'f')
			digit = (unsigned int)((*text | 32) - 'a' + 10);
		else
			break;
		if (*value >> 60)
			return false;
		*value = *value << 4 | digit;
	}
	*at = text;
	return digits > 0;
}

static bool parse_line(char *line, struct ml_jit_entry *out)
{
	const char *at = line;
	uint64_t size;

	if (!parse_hex(&at, &out->start) || *at++ != ' ' || !parse_hex(&at, &size) ||
	    *at++ != ' ' || !*at || size == 0 || size > UINT64_MAX - out->start)
		return false;
	out->end = out->start + size;
	out->name = at;
	if (strnlen(at, NAME_MAX_BYTES) == NAME_MAX_BYTES)
		line[at - line + NAME_MAX_BYTES] = '\0';
	return true;
}

/* Where the last LINES_MAX lines of @p text begin. */
static char *last_lines(char *text)
{
	char *at = text + strlen(text);

	for (unsigned int lines = 0; at > text; at--)
		if (at[-1] == '\n' && ++lines > LINES_MAX)
			break;
	return at;
}

void ml_perf_map_parse(struct ml_perf_map *map, char *text)
{
	struct ml_jit_entries entries = {0};
	uint32_t number = 0;

	free(map->text);
	map->text = text;
	for (char *line = last_lines(text), *next; line; line = next, number++) {
		struct ml_jit_entry entry = {.order = number};

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (parse_line(line, &entry))
			*ml_array_push(&entries) = entry;
	}
	ml_jit_ranges_build(&map->ranges, &entries);
	ml_array_free(&entries);
}

/* The file is the target's: no link may lead out of its root, and no FIFO may stop us. */
static int open_map(pid_t pid, pid_t inner_pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/root", pid);

	ML_FD_CLEANUP int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return -1;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", inner_pid);
	return ml_rooted_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
}

/* The last lines of a file of @p file_size bytes. */
static char *read_text(int fd, off_t file_size)
{
	off_t start = file_size > (off_t)TEXT_SIZE_MAX ? file_size - (off_t)TEXT_SIZE_MAX : 0;
	size_t size = (size_t)(file_size - start), have = 0;
	char *text = malloc(size + 1);

	while (text && have < size) {
		ssize_t got = pread(fd, text + have, size - have, start + (off_t)have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		have += (size_t)got;
	}
	if (!text)
		return NULL;
	text[have] = '\0';
	/* The rest of a line would name another place. */
	for (size_t i = 0; start > 0 && i < have && text[i] != '\n'; i++)
		text[i] = '\n';
	return text;
}

static bool is_same(const struct ml_perf_map *map, const struct stat *status)
{
	return map->text && map->device == status->st_dev && map->inode == status->st_ino &&
	       map->size == status->st_size && map->changed.tv_sec == status->st_mtim.tv_sec &&
	       map->changed.tv_nsec == status->st_mtim.tv_nsec;
}

void ml_perf_map_refresh(struct ml_perf_map *map, pid_t pid, pid_t inner_pid)
{
	uint64_t now_ns = ml_monotonic_ns();
	struct stat status;

	if (map->text && now_ns - map->read_ns < REST_FACTOR * map->spent_ns)
		return;

	ML_FD_CLEANUP int fd = open_map(pid, inner_pid);

	if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || is_same(map, &status))
		return;

	char *text = read_text(fd, status.st_size);

	if (!text)
		return;
	ml_perf_map_parse(map, text);
	map->device = status.st_dev;
	map->inode = status.st_ino;
	map->size = status.st_size;
	map->changed = status.st_mtim;
	map->read_ns = ml_monotonic_ns();
	map->spent_ns = map->read_ns - now_ns;
}

const struct ml_jit_range *ml_perf_map_find(const struct ml_perf_map *map, uint64_t ip)
{
	return ml_jit_ranges_find(&map->ranges, ip);
}

void ml_perf_map_deinit(struct ml_perf_map *map)
{
	ml_array_free(&map->ranges);
	free(map->text);
	map->text = NULL;
}
