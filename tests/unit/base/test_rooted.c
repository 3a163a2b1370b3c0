/* SPDX-License-Identifier: BSD-2-Clause */
/* The walk finds what openat2() finds, and nothing outside. */
#include "base/rooted.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const folders[] = {"outside", "root", "root/usr", "root/usr/lib"};
static const char *const files[] = {"outside/file", "root/file", "root/usr/lib/file"};
static const struct {
	const char *name, *target;
} links[] = {
	{"root/absolute", "/usr/lib"},    {"root/up", "../../../../outside/file"},
	{"root/lib", "usr/lib"},          {"root/usr/back", "../../../.."},
	{"root/usr/lib/again", "/file"},  {"root/loop", "loop"},
	{"root/outside", "/../outside"},  {"root/usr/dangling", "/nothing/there"},
	{"root/chain", "absolute/again"}, {"root/slash", "/usr/lib/"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int make_tree(void **state)
{
	char folder[] = "/tmp/memleak-test-XXXXXX";
	int base, bad = 0;

	if (!mkdtemp(folder))
		return -1;
	base = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < COUNT(folders); i++)
		bad |= mkdirat(base, folders[i], 0755);
	for (size_t i = 0; i < COUNT(files); i++)
		bad |= close(openat(base, files[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	for (size_t i = 0; i < COUNT(links); i++)
		bad |= symlinkat(links[i].target, base, links[i].name);
	close(base);
	*state = strdup(folder);
	return bad;
}

static int remove_tree(void **state)
{
	int base = open(*state, O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < COUNT(links); i++)
		unlinkat(base, links[i].name, 0);
	for (size_t i = 0; i < COUNT(files); i++)
		unlinkat(base, files[i], 0);
	for (size_t i = COUNT(folders); i-- > 0;)
		unlinkat(base, folders[i], AT_REMOVEDIR);
	close(base);
	rmdir(*state);
	free(*state);
	return 0;
}

static int open_root(void *const *state)
{
	char path[64];
	int root;

	snprintf(path, sizeof(path), "%s/root", (const char *)*state);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(root >= 0);
	return root;
}

/* What @fd is, or the error it stands for. */
static struct stat look_at(int fd)
{
	struct stat info = {.st_ino = 0, .st_size = fd < 0 ? errno : 0};

	if (fd >= 0) {
		assert_int_equal(fstat(fd, &info), 0);
		close(fd);
	}
	return info;
}

static void finds_what_the_kernel_finds(void **state)
{
	static const char *const paths[] = {
		"file",
		"/file",
		"//usr///lib/file",
		"usr/lib/../../file",
		"../outside",
		"up",
		"absolute/file",
		"lib/again",
		"usr/back",
		"usr/back/file",
		"loop",
		"outside/file",
		"usr/dangling",
		"chain",
		"slash/file",
		"slash/",
		"file/x",
		"file/",
		"",
		"/",
		"..",
		"../../..",
		"usr/lib/.",
		"usr/./lib/..",
		"usr/lib/nothing",
		"nothing/../file",
		"absolute/../file",
		"lib/../lib/file",
	};
	static const int flags[] = {O_PATH, O_RDONLY | O_NOFOLLOW, O_PATH | O_NOFOLLOW};
	int root = open_root(state);

	for (size_t i = 0; i < COUNT(paths); i++) {
		for (size_t k = 0; k < COUNT(flags); k++) {
			struct stat theirs = look_at(ml_rooted_open(root, paths[i], flags[k]));
			struct stat ours = look_at(ml_rooted_walk(root, paths[i], flags[k]));

			if (theirs.st_ino != ours.st_ino || theirs.st_size != ours.st_size)
				fail_msg("%s with %o: %llu (%lld) is not %llu (%lld)", paths[i],
					 (unsigned int)flags[k], (unsigned long long)ours.st_ino,
					 (long long)ours.st_size, (unsigned long long)theirs.st_ino,
					 (long long)theirs.st_size);
		}
	}
	close(root);
}

static void never_leaves_the_root(void **state)
{
	static const char *const paths[] = {"up", "outside/file", "../outside/file",
					    "usr/back/outside/file"};
	int root = open_root(state);

	for (size_t i = 0; i < COUNT(paths); i++)
		assert_int_equal(ml_rooted_walk(root, paths[i], O_PATH), -1);
	close(root);
}

static void long_names_are_refused(void **state)
{
	char name[400], deep[2 * 300 + 1] = "";
	int root = open_root(state);

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(ml_rooted_walk(root, name, O_PATH), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	for (size_t i = 0; i < 300; i++)
		memcpy(deep + 2 * i, "./", 3);
	assert_true(look_at(ml_rooted_walk(root, deep, O_PATH)).st_ino != 0);
	close(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds_what_the_kernel_finds, make_tree,
						remove_tree),
		cmocka_unit_test_setup_teardown(never_leaves_the_root, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(long_names_are_refused, make_tree, remove_tree),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
