/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/follow.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "target/maps.h"
#include "target/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_NS (20 * ML_NS_PER_SECOND)

/* The program tests/unit/target/programs/family.c, its parent, and what both have said. */
struct family {
	pid_t parent;
	pid_t pid;
	int input;  /* its stdin */
	int output; /* its stdout, and its parent's reports */
	struct ml_strbuf text;
};

/* One call of ours. */
struct call {
	enum { FORKED, EXECED, MAPPED, EXITED } kind;
	pid_t pid, child;
	bool is_vfork, has_libc, was_stopped;
};

struct record {
	ML_ARRAY(struct call) calls;
	bool wants_no_children;
};

static void report(int fd, const char *what, int number)
{
	char line[64];
	int length = snprintf(line, sizeof(line), "%s %d\n", what, number);

	if (write(fd, line, (size_t)length) != length)
		_exit(9);
}

/* The real parent: says what waitpid() says. */
static __attribute__((noreturn)) void watch(int input, int output)
{
	int status;
	pid_t pid = fork();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pid == 0) {
		dup2(input, STDIN_FILENO);
		dup2(output, STDOUT_FILENO);
		execl(FAMILY_PROGRAM, FAMILY_PROGRAM, (char *)NULL);
		_exit(9);
	}
	while (waitpid(pid, &status, WUNTRACED | WCONTINUED) == pid) {
		if (WIFSTOPPED(status))
			report(output, "stopped", WSTOPSIG(status));
		else if (WIFCONTINUED(status))
			report(output, "continued", 0);
		else if (WIFEXITED(status))
			report(output, "exited", WEXITSTATUS(status));
		else
			report(output, "killed", WTERMSIG(status));
	}
	_exit(0);
}

/* Serves @p follow (may be NULL) until the family has said @p line. */
static void serve_until(struct ml_follow *follow, struct family *family, const char *line)
{
	uint64_t deadline_ns = ml_monotonic_ns() + WAIT_NS;

	while (!strstr(ml_strbuf_text(&family->text), line)) {
		char chunk[256];
		ssize_t got = read(family->output, chunk, sizeof(chunk));

		if (got > 0)
			ml_strbuf_add(&family->text, chunk, (size_t)got);
		else
			usleep(500);
		if (follow)
			ml_follow_dispatch(follow);
		if (ml_monotonic_ns() > deadline_ns)
			fail_msg("no \"%s\" in \"%s\"", line, ml_strbuf_text(&family->text));
	}
}

/* The number behind @p word. */
static pid_t said(const struct family *family, const char *word)
{
	const char *at = strstr(ml_strbuf_text(&family->text), word);

	assert_non_null(at);
	return atoi(at + strlen(word));
}

static void make_pipes(struct family *family, int *child_input, int *child_output)
{
	int input[2], output[2];

	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	assert_int_equal(pipe2(output, O_CLOEXEC), 0);
	assert_int_equal(fcntl(output[0], F_SETFL, O_NONBLOCK), 0);
	*family = (struct family){.input = input[1], .output = output[0]};
	*child_input = input[0];
	*child_output = output[1];
}

static struct family start_family(void)
{
	struct family family;
	int input, output;

	make_pipes(&family, &input, &output);
	family.parent = fork();
	if (family.parent == 0) {
		close(family.input);
		watch(input, output);
	}
	close(input);
	close(output);
	serve_until(NULL, &family, "ready ");
	family.pid = said(&family, "ready ");
	return family;
}

static void end_family(struct family *family)
{
	kill(family->pid, SIGKILL);
	if (family->parent)
		assert_int_equal(waitpid(family->parent, NULL, 0), family->parent);
	close(family->input);
	close(family->output);
	ml_strbuf_free(&family->text);
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

static bool maps_libc(pid_t pid)
{
	struct ml_maps maps;
	bool found = false;
	ML_ERROR_CLEANUP struct ml_error *error = ml_maps_read(pid, &maps);

	if (error)
		return false;
	ml_array_each (mapping, &maps.list)
		found |= mapping->is_executable && strstr(mapping->path, "/libc.so");
	ml_maps_deinit(&maps);
	return found;
}

static bool on_forked(void *context, pid_t parent, pid_t child, bool is_vfork)
{
	struct record *record = context;

	*ml_array_push(&record->calls) = (struct call){.kind = FORKED,
						       .pid = parent,
						       .child = child,
						       .is_vfork = is_vfork,
						       .was_stopped = state_of(child) == 't'};
	return !record->wants_no_children;
}

static void on_mapped(void *context, pid_t pid, bool is_exec)
{
	struct record *record = context;

	*ml_array_push(&record->calls) = (struct call){.kind = is_exec ? EXECED : MAPPED,
						       .pid = pid,
						       .has_libc = maps_libc(pid),
						       .was_stopped = state_of(pid) == 't'};
}

static void on_exited(void *context, pid_t pid, int status)
{
	struct record *record = context;

	*ml_array_push(&record->calls) = (struct call){.kind = EXITED, .pid = pid};
}

static const struct ml_follow_events events = {
	.forked = on_forked,
	.mapped = on_mapped,
	.exited = on_exited,
};

static struct ml_follow *follow_family(const struct family *family, struct record *record)
{
	struct ml_follow *follow = NULL;

	assert_null(ml_follow_start(family->pid, &events, record, &follow));
	return follow;
}

static unsigned int count(const struct record *record, int kind, pid_t pid)
{
	unsigned int found = 0;

	ml_array_each (call, &record->calls)
		found += (int)call->kind == kind && call->pid == pid;
	return found;
}

static const struct call *find_birth(const struct record *record, pid_t child)
{
	ml_array_each (call, &record->calls)
		if (call->kind == FORKED && call->child == child)
			return call;
	return NULL;
}

static void assert_born(const struct record *record, pid_t parent, pid_t child, bool is_vfork)
{
	const struct call *call = find_birth(record, child);

	assert_non_null(call);
	assert_int_equal(call->pid, parent);
	assert_int_equal(call->is_vfork, is_vfork);
	assert_true(call->was_stopped);
	assert_int_equal(count(record, EXITED, child), 1);
}

/* All that family.c does after its line of input. */
static void assert_whole_life(const struct record *record, const struct family *family)
{
	pid_t spawned = said(family, "\nspawned ");

	assert_born(record, family->pid, said(family, "\nforked "), false);
	assert_born(record, family->pid, spawned, true);
	assert_born(record, family->pid, said(family, "thread-forked "), false);
	assert_int_equal(count(record, FORKED, family->pid), 3);
	assert_int_equal(count(record, EXECED, spawned), 1);
	assert_in_range(count(record, MAPPED, spawned), 1, 20);
	assert_int_equal(count(record, EXITED, family->pid), 1);
	ml_array_each (call, &record->calls) {
		if (call->kind == EXECED)
			assert_true(call->was_stopped && !call->has_libc);
		if (call->kind == MAPPED)
			assert_true(call->was_stopped);
	}
}

static void tells_of_every_child_and_exec(void **state)
{
	struct family family = start_family();
	struct record record = {0};
	struct ml_follow *follow = follow_family(&family, &record);

	assert_int_equal(write(family.input, "\n", 1), 1);
	serve_until(follow, &family, "exited ");
	assert_non_null(strstr(ml_strbuf_text(&family.text), "exited 7\n"));
	ml_follow_dispatch(follow);
	assert_whole_life(&record, &family);
	assert_int_equal(count(&record, EXECED, family.pid), 1); /* by a thread */
	ml_follow_stop(follow);
	ml_array_free(&record.calls);
	end_family(&family);
}

static void lets_go_of_children_nobody_wants(void **state)
{
	struct family family = start_family();
	struct record record = {.wants_no_children = true};
	struct ml_follow *follow = follow_family(&family, &record);

	assert_int_equal(write(family.input, "\n", 1), 1);
	serve_until(follow, &family, "exited ");
	assert_non_null(strstr(ml_strbuf_text(&family.text), "exited 7\n"));
	ml_follow_dispatch(follow);

	pid_t child = said(&family, "\nforked ");

	assert_int_equal(count(&record, FORKED, family.pid), 3);
	assert_int_equal(count(&record, EXITED, child), 0);
	assert_int_equal(count(&record, EXECED, family.pid), 1);
	assert_int_equal(count(&record, EXITED, family.pid), 1);
	ml_follow_stop(follow);
	ml_array_free(&record.calls);
	end_family(&family);
}

static void follows_a_launched_command_from_its_exec(void **state)
{
	char *argv[] = {(char *)FAMILY_PROGRAM, NULL};
	struct ml_launch *launch = NULL;
	struct ml_follow *follow = NULL;
	struct family family;
	struct record record = {0};
	int input, output, saved_input = dup(STDIN_FILENO), saved_output = dup(STDOUT_FILENO);

	make_pipes(&family, &input, &output);
	fflush(stdout);
	dup2(input, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	assert_null(ml_launch_start(argv, &(struct ml_launch_options){0}, &launch));
	dup2(saved_input, STDIN_FILENO);
	dup2(saved_output, STDOUT_FILENO);
	close(saved_input);
	close(saved_output);
	family.pid = ml_launch_pid(launch);
	assert_null(ml_follow_launch(launch, &events, &record, &follow));
	ml_launch_destroy(launch);
	assert_int_equal(count(&record, EXECED, family.pid), 1);
	assert_int_equal(write(family.input, "\n", 1), 1);
	serve_until(follow, &family, "thread-forked ");

	uint64_t deadline_ns = ml_monotonic_ns() + WAIT_NS;

	while (!count(&record, EXITED, family.pid) && ml_monotonic_ns() < deadline_ns)
		ml_follow_dispatch(follow);
	assert_whole_life(&record, &family);
	assert_int_equal(count(&record, EXECED, family.pid), 2);
	ml_follow_stop(follow);
	ml_array_free(&record.calls);
	close(input);
	close(output);
	end_family(&family);
}

static void passes_signals_and_stops_on(void **state)
{
	struct family family = start_family();
	struct record record = {0};
	struct ml_follow *follow = follow_family(&family, &record);

	kill(family.pid, SIGUSR1);
	serve_until(follow, &family, "signal 10\n");
	kill(family.pid, SIGSTOP);
	serve_until(follow, &family, "stopped 19\n");
	kill(family.pid, SIGCONT);
	serve_until(follow, &family, "continued 0\n");
	kill(family.pid, SIGTERM);
	serve_until(follow, &family, "killed 15\n");
	ml_follow_dispatch(follow);
	assert_int_equal(count(&record, EXITED, family.pid), 1);
	ml_follow_stop(follow);
	ml_array_free(&record.calls);
	end_family(&family);
}

static unsigned int count_traced_threads(pid_t pid)
{
	unsigned int traced = 0;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/task", pid);

	DIR *tasks = opendir(path);

	assert_non_null(tasks);
	for (struct dirent *entry; (entry = readdir(tasks));)
		traced +=
			atoi(entry->d_name) > 0 && ml_proc_tracer(atoi(entry->d_name)) == getpid();
	closedir(tasks);
	return traced;
}

static void lets_go_of_every_thread(void **state)
{
	struct family family = start_family();
	struct record record = {0};
	struct ml_follow *follow = follow_family(&family, &record);

	assert_int_equal(count_traced_threads(family.pid), 4);
	assert_null(ml_follow_add(follow, family.pid)); /* again: nothing new */

	uint64_t begin_ns = ml_monotonic_ns();

	ml_follow_stop(follow);
	assert_true(ml_monotonic_ns() - begin_ns < ML_NS_PER_SECOND);
	assert_int_equal(count_traced_threads(family.pid), 0);
	assert_int_equal(record.calls.count, 0);
	kill(family.pid, SIGUSR1);
	serve_until(NULL, &family, "signal 10\n");
	assert_int_equal(write(family.input, "\n", 1), 1);
	serve_until(NULL, &family, "exited 7\n");
	end_family(&family);
}

static void wait_traced_stop(pid_t pid)
{
	uint64_t deadline_ns = ml_monotonic_ns() + WAIT_NS;

	while (state_of(pid) != 't' && ml_monotonic_ns() < deadline_ns)
		usleep(500);
	assert_int_equal(state_of(pid), 't');
}

/* A child just born would be nobody's. */
static void keeps_one_that_has_something_to_tell(void **state)
{
	struct family family = start_family();
	struct record record = {0};
	struct ml_follow *follow = follow_family(&family, &record);

	assert_int_equal(write(family.input, "\n", 1), 1);
	wait_traced_stop(family.pid);
	assert_false(ml_follow_leave(follow, family.pid));
	assert_int_equal(count_traced_threads(family.pid), 4);
	serve_until(follow, &family, "exited 7\n");
	ml_follow_dispatch(follow);
	assert_whole_life(&record, &family);
	ml_follow_stop(follow);
	ml_array_free(&record.calls);
	end_family(&family);
}

/* waitid() tells of a tracee's stops even when it was asked for ends. */
static void leaves_a_process_that_stands_already(void **state)
{
	struct family family = start_family();
	struct record record = {0};
	struct ml_follow *follow = follow_family(&family, &record);

	assert_int_equal(ptrace(PTRACE_INTERRUPT, family.pid, NULL, NULL), 0);
	wait_traced_stop(family.pid);
	assert_true(ml_follow_leave(follow, family.pid));
	assert_int_equal(count_traced_threads(family.pid), 0);
	assert_int_not_equal(state_of(family.pid), 't');
	ml_follow_stop(follow);
	assert_int_equal(record.calls.count, 0);
	end_family(&family);
}

static void leaves_a_stopped_process_stopped(void **state)
{
	struct family family = start_family();
	struct record record = {0};
	struct ml_follow *follow = follow_family(&family, &record);

	kill(family.pid, SIGSTOP);
	serve_until(follow, &family, "stopped 19\n");
	ml_follow_stop(follow);
	assert_int_equal(count_traced_threads(family.pid), 0);
	usleep(50000);
	assert_int_equal(state_of(family.pid), 'T');

	/* And one that was stopped before we came. */
	follow = follow_family(&family, &record);
	ml_follow_dispatch(follow);
	usleep(10000);
	ml_follow_dispatch(follow);
	ml_follow_stop(follow);
	usleep(50000);
	assert_int_equal(state_of(family.pid), 'T');
	kill(family.pid, SIGCONT);
	serve_until(NULL, &family, "continued 0\n");
	assert_int_equal(write(family.input, "\n", 1), 1);
	serve_until(NULL, &family, "exited 7\n");
	end_family(&family);
}

static void survives_the_end_of_the_tool(void **state)
{
	struct family family = start_family();
	pid_t tool = fork();

	if (tool == 0) {
		struct record record = {0};

		follow_family(&family, &record);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(tool, NULL, 0), tool);
	kill(family.pid, SIGUSR1);
	serve_until(NULL, &family, "signal 10\n");
	assert_int_equal(write(family.input, "\n", 1), 1);
	serve_until(NULL, &family, "exited 7\n");
	end_family(&family);
}

static void leaves_other_children_alone(void **state)
{
	struct family family = start_family();
	struct record record = {0};
	struct ml_follow *follow = follow_family(&family, &record);
	siginfo_t info;
	int status;
	pid_t other = fork();

	if (other == 0)
		_exit(11);
	assert_int_equal(waitid(P_PID, (id_t)other, &info, WEXITED | WNOWAIT), 0);
	kill(family.pid, SIGUSR1);
	serve_until(follow, &family, "signal 10\n"); /* served although a zombie is in the way */
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_int_equal(WEXITSTATUS(status), 11);
	ml_follow_stop(follow);
	end_family(&family);
}

static void says_why_it_cannot_follow(void **state)
{
	struct family family = start_family();
	struct record record = {0};
	struct ml_follow *follow = follow_family(&family, &record), *second = NULL;
	pid_t other = fork();

	if (other == 0) {
		ML_ERROR_CLEANUP struct ml_error *error =
			ml_follow_start(family.pid, &events, &record, &second);

		_exit(error && strstr(ml_error_message(error), "is traced by process") ? 0 : 1);
	}

	int status;

	assert_int_equal(waitpid(other, &status, 0), other);
	assert_int_equal(status, 0);

	ML_ERROR_CLEANUP struct ml_error *error = ml_follow_start(other, &events, &record, &second);

	assert_int_equal(ml_error_kind(error), ML_ERROR_TARGET);
	assert_non_null(strstr(ml_error_message(error), "no process with pid"));
	assert_null(second);
	ml_follow_stop(follow);
	ml_follow_stop(NULL);
	end_family(&family);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_of_every_child_and_exec),
		cmocka_unit_test(lets_go_of_children_nobody_wants),
		cmocka_unit_test(follows_a_launched_command_from_its_exec),
		cmocka_unit_test(passes_signals_and_stops_on),
		cmocka_unit_test(lets_go_of_every_thread),
		cmocka_unit_test(keeps_one_that_has_something_to_tell),
		cmocka_unit_test(leaves_a_process_that_stands_already),
		cmocka_unit_test(leaves_a_stopped_process_stopped),
		cmocka_unit_test(survives_the_end_of_the_tool),
		cmocka_unit_test(leaves_other_children_alone),
		cmocka_unit_test(says_why_it_cannot_follow),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
