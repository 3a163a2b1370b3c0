/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * fork: three children that leak 1, 2 and 3 thousand bytes and a page each that they map, and their
 * parent, which leaks 7 thousand. With "exec" as argument: execs itself three times over, then
 * leaks 3333 bytes.
 */
#include "truth.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define CHILDREN 3

static NOINLINE void leak_in_child(size_t bytes)
{
	truth_keep(malloc(truth_opaque(bytes)));
}

static NOINLINE void map_in_child(void)
{
	truth_keep(mmap(NULL, truth_opaque(4096), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static NOINLINE void leak_in_parent(void)
{
	truth_keep(malloc(truth_opaque(7000)));
}

static NOINLINE void leak_after_exec(void)
{
	truth_keep(malloc(truth_opaque(3333)));
}

static void child(size_t bytes, int said)
{
	leak_in_child(bytes);
	truth_site("leak_in_child", 0, bytes, 1);
	map_in_child();
	truth_site("map_in_child", 0, 4096, 1);
	if (write(said, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static int fork_children(void)
{
	pid_t children[CHILDREN];
	int said[2];
	char byte;

	truth_ready();
	if (pipe(said))
		return 1;
	for (size_t i = 0; i < CHILDREN; i++) {
		children[i] = fork();
		if (children[i] == 0)
			child((i + 1) * 1000, said[1]);
	}
	for (int i = 0; i < CHILDREN; i++)
		if (read(said[0], &byte, 1) != 1)
			return 1;
	leak_in_parent();
	truth_site("leak_in_parent", 0, 7000, 1);
	truth_done();
	for (int i = 0; i < CHILDREN; i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
	return 0;
}

static int exec_chain(const char *self, size_t left)
{
	char number[24];

	if (left == 3)
		truth_ready();
	if (left > 0) {
		snprintf(number, sizeof(number), "%zu", left - 1);
		execl(self, self, "exec", number, (char *)NULL);
		return 1;
	}
	leak_after_exec();
	truth_site("leak_after_exec", 0, 3333, 1);
	truth_done();
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return exec_chain("/proc/self/exe", truth_argument(argc, argv, 2, 3));
	return fork_children();
}
