/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/rooted.h"

#include "base/array.h"
#include "base/file.h"
#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH_MAX 128
/* MAXSYMLINKS of the kernel. */
#define LINKS_MAX 40

/* Folders from the root's child to where the walk stands, and the path still to go. */
struct walk {
	int root;
	int folders[DEPTH_MAX];
	size_t depth;
	unsigned int links;
	char *rest;
};

static int here(const struct walk *walk)
{
	return walk->depth ? walk->folders[walk->depth - 1] : walk->root;
}

static void leave(struct walk *walk, size_t depth)
{
	while (walk->depth > depth)
		close(walk->folders[--walk->depth]);
}

static int fail(int err)
{
	errno = err;
	return -1;
}

/* Takes the next component off the path: its length, 0 at the end. *is_last says that nothing
 * follows; where a slash does, it must be a folder. */
static size_t next_name(struct walk *walk, char name[NAME_MAX + 1], bool *is_last)
{
	const char *at = walk->rest + strspn(walk->rest, "/");
	size_t length = strcspn(at, "/");
	const char *after = at + length;

	*is_last = !*after;
	if (length <= NAME_MAX) {
		memcpy(name, at, length);
		name[length] = '\0';
	}
	memmove(walk->rest, after, strlen(after) + 1);
	return length;
}

/* Goes on where the link @fd leads. */
static int follow(struct walk *walk, int fd)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(fd, "", target, sizeof(target) - 1);
	struct ml_strbuf path = {0};

	close(fd);
	if (length < 0)
		return -1;
	if (++walk->links > LINKS_MAX)
		return fail(ELOOP);
	target[length] = '\0';
	ml_strbuf_printf(&path, "%s%s", target, walk->rest);
	ml_pointer_free(&walk->rest);
	walk->rest = ml_strbuf_take(&path);
	if (target[0] == '/')
		leave(walk, 0);
	return 0;
}

static int enter(struct walk *walk, int fd)
{
	if (walk->depth == DEPTH_MAX) {
		close(fd);
		return fail(ENAMETOOLONG);
	}
	walk->folders[walk->depth++] = fd;
	return 0;
}

/* One step; 1 when *@out is what was looked for. */
static int step(struct walk *walk, int flags, int *out)
{
	char name[NAME_MAX + 1];
	bool is_last;
	size_t length = next_name(walk, name, &is_last);
	struct stat info;

	if (length > NAME_MAX)
		return fail(ENAMETOOLONG);
	if (!length) {
		*out = openat(here(walk), ".", flags);
		return *out < 0 ? -1 : 1;
	}
	if (!strcmp(name, ".."))
		leave(walk, walk->depth ? walk->depth - 1 : 0);
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return 0;

	int fd = openat(here(walk), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (!fstat(fd, &info) && S_ISLNK(info.st_mode) && !(is_last && flags & O_NOFOLLOW))
		return follow(walk, fd);
	if (!is_last)
		return enter(walk, fd);
	close(fd);
	*out = openat(here(walk), name, flags | O_NOFOLLOW);
	return *out < 0 ? -1 : 1;
}

int ml_rooted_walk(int root_fd, const char *path, int flags)
{
	struct walk walk = {.root = root_fd, .rest = ml_strdup(path)};
	int found = -1, result = *path ? 0 : fail(ENOENT);

	while (!result)
		result = step(&walk, flags | O_CLOEXEC, &found);

	int err = errno;

	leave(&walk, 0);
	ml_pointer_free(&walk.rest);
	errno = err;
	return result > 0 ? found : -1;
}

int ml_rooted_open(int root_fd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (unsigned int)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

	/* A filter may forbid it, too. */
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		return ml_rooted_walk(root_fd, path, flags);
	return fd;
}
