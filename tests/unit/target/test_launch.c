/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/launch.h"

#include "base/file.h"
#include "target/maps.h"
#include "target/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What the callback saw. */
struct seen {
	pid_t pid;
	unsigned int calls;
	unsigned int fail_at; /* call that returns an error, 0 for none */
	bool has_libc, had_libc_at_first;
};

static bool maps_libc(pid_t pid)
{
	struct ml_maps maps;
	bool found = false;

	assert_null(ml_maps_read(pid, &maps));
	ml_array_each (mapping, &maps.list)
		found |= mapping->is_executable && strstr(mapping->path, "/libc.so");
	ml_maps_deinit(&maps);
	return found;
}

static struct ml_error *look(void *context)
{
	struct seen *seen = context;

	seen->calls++;
	seen->has_libc = maps_libc(seen->pid);
	if (seen->calls == 1)
		seen->had_libc_at_first = seen->has_libc;
	if (seen->calls == seen->fail_at)
		return ml_error_new(ML_ERROR_SYSTEM, "not today");
	return NULL;
}

static struct ml_launch *start(char *const argv[], const sigset_t *mask, struct seen *seen)
{
	struct ml_launch *launch = NULL;

	struct ml_launch_options options = {.mask = mask};

	assert_null(ml_launch_start(argv, &options, &launch));
	assert_true(ml_launch_pid(launch) > 0);
	seen->pid = ml_launch_pid(launch);
	return launch;
}

/* Runs the command to its end; returns its exit status. */
static int run(char *const argv[], const sigset_t *mask, struct seen *seen)
{
	struct ml_launch *launch = start(argv, mask, seen);
	int status;

	assert_null(ml_launch_run(launch, look, seen));
	assert_int_equal(ml_proc_tracer(seen->pid), 0);
	ml_launch_destroy(launch);
	assert_int_equal(waitpid(seen->pid, &status, 0), seen->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void tells_of_libc_before_the_program_runs(void **state)
{
	char *argv[] = {(char *)"true", NULL};
	struct seen seen = {0};

	assert_int_equal(run(argv, NULL, &seen), 0);
	assert_in_range(seen.calls, 2, 20);
	assert_false(seen.had_libc_at_first);
	assert_true(seen.has_libc);
}

static void lets_a_static_program_go_at_once(void **state)
{
	char *argv[] = {(char *)STATIC_PROGRAM, NULL};
	struct seen seen = {0};

	assert_int_equal(run(argv, NULL, &seen), 42);
	assert_int_equal(seen.calls, 1);
	assert_false(seen.has_libc);
}

static void gives_the_child_its_mask_and_sigpipe(void **state)
{
	char *argv[] = {(char *)STATIC_PROGRAM, NULL};
	char *masked[] = {(char *)STATIC_PROGRAM, (char *)"masked", NULL};
	struct seen seen = {0};
	sigset_t mask;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	assert_int_equal(run(argv, &mask, &seen), 42);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGTRAP); /* must not hide the stop at the exec */
	assert_int_equal(run(masked, &mask, &seen), 42);
	signal(SIGPIPE, SIG_DFL);
}

static void sees_libraries_of_a_loader_run_by_hand(void **state)
{
	char *argv[] = {(char *)"/lib64/ld-linux-x86-64.so.2", (char *)"/bin/true", NULL};
	struct seen seen = {0};

	if (access(argv[0], X_OK))
		skip();
	assert_int_equal(run(argv, NULL, &seen), 0);
	assert_in_range(seen.calls, 3, 20); /* the loader, the program, libc at least */
	assert_true(seen.has_libc);
}

/* A file of mode @p mode with @p text, in a folder of its own; @p path is for remove_file(). */
static void make_file(char *path, size_t size, const char *text, mode_t mode)
{
	char folder[] = "/tmp/memleak-test-XXXXXX";

	assert_non_null(mkdtemp(folder));
	snprintf(path, size, "%s/file", folder);

	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void remove_file(char *path)
{
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
}

static void runs_a_script_by_its_interpreter(void **state)
{
	char path[64];
	struct seen seen = {0};
	char *argv[] = {path, NULL};

	make_file(path, sizeof(path), "#!/bin/sh\nexit 23\n", 0755);
	assert_int_equal(run(argv, NULL, &seen), 23);
	assert_true(seen.has_libc);
	remove_file(path);
}

static void assert_not_started(const char *program, const char *why)
{
	char *argv[] = {(char *)program, NULL};
	struct ml_launch *launch = NULL;
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_launch_start(argv, &(struct ml_launch_options){0}, &launch);

	assert_non_null(error);
	assert_null(launch);
	assert_int_equal(ml_error_kind(error), ML_ERROR_USAGE);
	if (!strstr(ml_error_message(error), why))
		fail_msg("\"%s\" does not say \"%s\"", ml_error_message(error), why);
	/* Nothing is left behind. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void says_why_it_cannot_run_something(void **state)
{
	char path[64];

	assert_not_started("", "the command is empty");
	assert_not_started("no-such-program-23",
			   "cannot run no-such-program-23: not found in PATH");
	assert_not_started("/no/such", "cannot run /no/such: No such file or directory");
	assert_not_started("/tmp", "cannot run /tmp: it is a directory");
	assert_not_started("/dev/null", "it is not a regular file");
	make_file(path, sizeof(path), "#!/bin/sh\n", 0644);
	assert_not_started(path, "it is not executable (chmod +x)");
	remove_file(path);
	make_file(path, sizeof(path), "#!/no/such/interpreter\n", 0755);
	assert_not_started(path, "the interpreter it names");
	remove_file(path);
	make_file(path, sizeof(path), "exit 0\n", 0755);
	assert_not_started(path, "neither a program for this machine nor a script");
	remove_file(path);
}

static void searches_path_like_a_shell(void **state)
{
	char path[64], old_path[4096], dir[64], new_path[256];
	char *argv[] = {(char *)"file", NULL};
	struct seen seen = {0};

	make_file(path, sizeof(path), "#!/bin/sh\nexit 5\n", 0755);
	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	snprintf(old_path, sizeof(old_path), "%s", getenv("PATH"));
	snprintf(new_path, sizeof(new_path), "/no/such:/etc/passwd:%s", dir);
	setenv("PATH", new_path, 1);
	assert_int_equal(run(argv, NULL, &seen), 5);
	chmod(path, 0644);
	assert_not_started("file", "it is not executable");
	setenv("PATH", old_path, 1);
	remove_file(path);
}

static void kills_the_child_when_the_callback_fails(void **state)
{
	char *argv[] = {(char *)"true", NULL};
	struct seen seen = {.fail_at = 2};
	struct ml_launch *launch = start(argv, NULL, &seen);
	ML_ERROR_CLEANUP struct ml_error *error = ml_launch_run(launch, look, &seen);

	assert_string_equal(ml_error_message(error), "not today");
	assert_int_equal(seen.calls, 2);
	assert_int_equal(kill(seen.pid, 0), -1);
	ml_launch_destroy(launch);
}

static void kills_a_child_never_let_go(void **state)
{
	char *argv[] = {(char *)"true", NULL};
	struct seen seen = {0};
	struct ml_launch *launch = start(argv, NULL, &seen);

	assert_int_equal(kill(seen.pid, 0), 0);
	ml_launch_destroy(launch);
	assert_int_equal(kill(seen.pid, 0), -1);
	ml_launch_destroy(NULL);
}

static struct ml_error *kill_it(void *context)
{
	struct seen *seen = context;

	seen->calls++;
	kill(seen->pid, SIGKILL);
	return NULL;
}

static void takes_the_death_of_the_child(void **state)
{
	char *argv[] = {(char *)"true", NULL};
	struct seen seen = {0};
	struct ml_launch *launch = start(argv, NULL, &seen);

	assert_null(ml_launch_run(launch, kill_it, &seen));
	assert_true(seen.calls >= 1);
	ml_launch_destroy(launch);
}

static struct ml_error *send_term_once(void *context)
{
	struct seen *seen = context;

	if (++seen->calls == 1)
		kill(seen->pid, SIGTERM);
	return NULL;
}

static void passes_signals_on(void **state)
{
	char *argv[] = {(char *)"sleep", (char *)"30", NULL};
	struct seen seen = {0};
	struct ml_launch *launch = start(argv, NULL, &seen);

	int status;

	/* It dies of the signal in the middle of its start; who started it learns how. */
	assert_null(ml_launch_run(launch, send_term_once, &seen));
	assert_int_equal(waitpid(seen.pid, &status, 0), seen.pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	ml_launch_destroy(launch);
}

/* Starts a sleeper in a process that then dies by SIGKILL; returns the sleeper's pid. */
static pid_t launch_and_die(bool is_let_go)
{
	int report[2];
	pid_t pid = 0;

	assert_int_equal(pipe(report), 0);

	pid_t tool = fork();

	if (tool == 0) {
		char *argv[] = {(char *)"sleep", (char *)"30", NULL};
		struct seen seen = {0};
		struct ml_launch *launch = start(argv, NULL, &seen);

		if (is_let_go)
			assert_null(ml_launch_run(launch, look, &seen));
		if (write(report[1], &seen.pid, sizeof(seen.pid)) != sizeof(seen.pid))
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(read(report[0], &pid, sizeof(pid)), sizeof(pid));
	assert_int_equal(waitpid(tool, NULL, 0), tool);
	close(report[0]);
	close(report[1]);
	return pid;
}

static char state_of(pid_t pid)
{
	ML_FREE_CLEANUP char *text = NULL;
	struct ml_proc_stat stat = {0};
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);

	ML_ERROR_CLEANUP struct ml_error *error = ml_file_read(AT_FDCWD, path, 4096, &text, NULL);

	return !error && ml_proc_stat_parse(text, &stat) ? stat.state : 'X';
}

static void dies_with_the_tool_until_let_go(void **state)
{
	pid_t held = launch_and_die(false);
	pid_t free = launch_and_die(true);

	for (int i = 0; i < 500 && !strchr("XZ", state_of(held)); i++)
		usleep(10000);
	assert_non_null(strchr("XZ", state_of(held)));
	assert_null(strchr("XZTt", state_of(free)));
	kill(free, SIGKILL);
}

static void cuts_commands_into_words(void **state)
{
	static const struct {
		const char *command;
		const char *words[5];
	} cases[] = {
		{"ls", {"ls"}},
		{"  ls \t -l\n", {"ls", "-l"}},
		{"a 'b c' d", {"a", "b c", "d"}},
		{"a \"b 'c' \\\"d\\\" \\n\"", {"a", "b 'c' \"d\" \\n"}},
		{"a\\ b '' \"\"", {"a b", "", ""}},
		{"pre'fix'\"ed\"", {"prefixed"}},
		{"a 'b\\'", {"a", "b\\"}},
		{"a $HOME * ;", {"a", "$HOME", "*", ";"}},
		{"a b c d", {"a", "b", "c", "d"}},
		{"\\\"", {"\""}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char **words = NULL;
		size_t count = 0;

		assert_null(ml_launch_words(cases[i].command, &words));
		for (; cases[i].words[count]; count++)
			assert_string_equal(words[count], cases[i].words[count]);
		assert_null(words[count]);
		free(words);
	}
}

static void refuses_unfinished_commands(void **state)
{
	static const char *const commands[] = {"", " \t\n", "a 'b", "a \"b", "a \"b\\\"", "a \\"};

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		char **words = NULL;
		ML_ERROR_CLEANUP struct ml_error *error = ml_launch_words(commands[i], &words);

		assert_int_equal(ml_error_kind(error), ML_ERROR_USAGE);
		assert_null(words);
	}
}

static void takes_any_garbage_as_words(void **state)
{
	static const char alphabet[] = "ab '\"\\\t";
	unsigned int seed = 23;

	for (int round = 0; round < 5000; round++) {
		char command[24];
		char **words = NULL;
		size_t length = (size_t)rand_r(&seed) % sizeof(command), total = 0;

		for (size_t i = 0; i < length; i++)
			command[i] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		command[length ? length - 1 : 0] = '\0';

		ML_ERROR_CLEANUP struct ml_error *error = ml_launch_words(command, &words);

		for (size_t i = 0; !error && words[i]; i++)
			total += strlen(words[i]);
		assert_true(total <= strlen(command));
		free(words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_of_libc_before_the_program_runs),
		cmocka_unit_test(lets_a_static_program_go_at_once),
		cmocka_unit_test(sees_libraries_of_a_loader_run_by_hand),
		cmocka_unit_test(gives_the_child_its_mask_and_sigpipe),
		cmocka_unit_test(runs_a_script_by_its_interpreter),
		cmocka_unit_test(says_why_it_cannot_run_something),
		cmocka_unit_test(searches_path_like_a_shell),
		cmocka_unit_test(kills_the_child_when_the_callback_fails),
		cmocka_unit_test(kills_a_child_never_let_go),
		cmocka_unit_test(takes_the_death_of_the_child),
		cmocka_unit_test(passes_signals_on),
		cmocka_unit_test(dies_with_the_tool_until_let_go),
		cmocka_unit_test(cuts_commands_into_words),
		cmocka_unit_test(refuses_unfinished_commands),
		cmocka_unit_test(takes_any_garbage_as_words),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
