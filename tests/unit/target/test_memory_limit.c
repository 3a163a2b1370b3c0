/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/memory_limit.h"

#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];
static int root_fd = -1;

static void put(const char *path, const char *text)
{
	int fd = openat(root_fd, path, O_CREAT | O_WRONLY | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int make_tree(void **state)
{
	snprintf(root, sizeof(root), "/tmp/memory_limit.XXXXXX");
	if (!mkdtemp(root))
		return -1;
	root_fd = open(root, O_PATH | O_DIRECTORY);
	mkdirat(root_fd, "a", 0700);
	mkdirat(root_fd, "a/b", 0700);
	mkdirat(root_fd, "memory", 0700);
	mkdirat(root_fd, "memory/v1", 0700);
	put("a/memory.max", "1000000\n");
	put("a/memory.current", "910000\n");
	put("a/memory.stat", "anon 5\ninactive_file 10000\nactive_file 77\n");
	put("a/b/memory.max", "max\n");
	put("a/b/memory.current", "800000\n");
	put("memory/v1/memory.limit_in_bytes", "5000\n");
	put("memory/v1/memory.usage_in_bytes", "6000\n");
	return 0;
}

static int remove_tree(void **state)
{
	char command[128];

	ml_fd_close(&root_fd);
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void test_nearest_above(void **state)
{
	struct ml_memory_limit limit = {.kind = ML_LIMIT_NONE};

	ml_memory_limit_cgroup(root_fd, "1:cpu:/x\n0::/a/b\n", &limit);
	assert_int_equal(limit.kind, ML_LIMIT_CGROUP);
	assert_int_equal(limit.limit_bytes, 1000000);
	assert_int_equal(limit.used_bytes, 900000);
	/* Nearer, already passed, of the first version. */
	ml_memory_limit_cgroup(root_fd, "4:cpu,memory:/v1", &limit);
	assert_int_equal(limit.limit_bytes, 5000);
	/* Farther. */
	ml_memory_limit_cgroup(root_fd, "0::/a", &limit);
	assert_int_equal(limit.limit_bytes, 5000);
}

static void test_hostile(void **state)
{
	static const char *const texts[] = {
		"",
		"\n\n",
		":",
		"::",
		"0::",
		"0::/..",
		"0::/../../a",
		"0::/a/../../a",
		"0::a",
		"9:memory",
		"9:memoryx,xmemory:/v1",
		"0::/nowhere/at/all",
	};

	put("a/b/memory.max", "99999999999999999999999\n");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct ml_memory_limit limit = {.kind = ML_LIMIT_NONE};

		ml_memory_limit_cgroup(root_fd, texts[i], &limit);
		assert_int_equal(limit.kind, ML_LIMIT_NONE);
	}
}

static void test_this_process(void **state)
{
	struct ml_memory_limit limit;

	ml_memory_limit_find(getpid(), &limit);
	assert_int_not_equal(limit.kind, ML_LIMIT_NONE);
	assert_true(limit.limit_bytes > 0);
	ml_memory_limit_find(0, &limit);
	assert_int_equal(limit.kind, ML_LIMIT_MACHINE);
	assert_true(limit.used_bytes > 0 && limit.used_bytes < limit.limit_bytes);
}

/* Of a child, so that the others are not held to it. */
static void test_address_space(void **state)
{
	/* More than sanitizers map. */
	const struct rlimit rlimit = {1ull << 50, 1ull << 50};
	struct ml_memory_limit limit;
	int status = -1;
	pid_t child;

	ml_memory_limit_address(getpid(), &limit);
	assert_int_equal(limit.kind, ML_LIMIT_NONE);
	child = fork();
	if (!child) {
		setrlimit(RLIMIT_AS, &rlimit);
		ml_memory_limit_address(getpid(), &limit);
		_exit(!(limit.kind == ML_LIMIT_ADDRESS && limit.limit_bytes == rlimit.rlim_cur &&
			limit.used_bytes > 0 && limit.used_bytes < rlimit.rlim_cur));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nearest_above),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_this_process),
		cmocka_unit_test(test_address_space),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
