/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Walks the stacks of the fixtures from outside, as the kernel would, and compares each frame with
 * what glibc's backtrace() said in the process itself. Arguments: the fixture programs. With the
 * environment variable RECORD=DIR the stacks are kept there for test_recorded.c.
 */
#include "base/array.h"
#include "base/file.h"
#include "fixtures/stacks.h"
#include "recording.h"
#include "unwind/text.h"
#include "unwind/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DEPTH      128
#define STEP_LIMIT 200000
#define INT3       0xcc

/** A file that is mapped, with its rows: they take most of the time, and stay the same. */
struct file {
	char path[256];
	struct ml_module *module;
	struct ml_unwind_rows rows;
};

/** One fixture while it runs under ptrace. */
struct traced {
	const char *program;
	pid_t pid;
	int memory_fd;
	ML_ARRAY(struct file *) files;
	ML_ARRAY(struct ml_walk_module) modules; /**< what is mapped at this stop */
	struct stack_stop stop;                  /**< the last one */
	uint64_t window_address;                 /**< where window was read from, in this stop */
	uint64_t window[512];
	struct recording *recording; /**< of the walk in progress; NULL: not wanted */
	uint32_t recorded_rules;     /**< ML_CFA_* of what was kept, as bits */
	unsigned int checked;        /**< stacks compared */
	bool is_stepping;
	unsigned int steps;      /**< walks after a single step */
	unsigned int steps_told; /**< of them, walks that reached the end */
};

/* Reads go through a window of the stack: stepping makes some 10^5 walks. */
static int window_read(struct traced *traced, uint64_t address, uint64_t *word)
{
	uint64_t offset = address - traced->window_address;

	if (offset > sizeof(traced->window) - sizeof(*word))
		return pread(traced->memory_fd, word, sizeof(*word), (off_t)address) !=
		       sizeof(*word);
	memcpy(word, (char *)traced->window + offset, sizeof(*word));
	return 0;
}

static int memory_read(void *context, uint64_t address, uint64_t *word)
{
	struct traced *traced = context;
	int fault = window_read(traced, address, word);

	if (!fault && traced->recording)
		*ml_array_push(&traced->recording->words) =
			(struct recording_word){.address = address, .value = *word};
	return fault;
}

/** The file of a mapping; the vDSO is copied out of the process. */
static int mapping_open(struct traced *traced, const char *path, uint64_t start, uint64_t end)
{
	if (*path == '/')
		return open(path, O_RDONLY | O_CLOEXEC);
	if (strcmp(path, "[vdso]"))
		return -1;

	int fd = memfd_create("vdso", MFD_CLOEXEC);
	char page[4096];

	for (uint64_t at = start; at < end; at += sizeof(page)) {
		assert_int_equal(pread(traced->memory_fd, page, sizeof(page), (off_t)at), 4096);
		assert_int_equal(write(fd, page, sizeof(page)), 4096);
	}
	return fd;
}

/** The file called @path; NULL when it is none. */
static const struct file *file_of(struct traced *traced, const char *path, uint64_t start,
				  uint64_t end)
{
	ml_array_each (known, &traced->files)
		if (!strcmp((*known)->path, path))
			return *known;

	int fd = mapping_open(traced, path, start, end);
	struct file *file;

	if (fd < 0)
		return NULL;
	file = ml_alloc(sizeof(*file));
	snprintf(file->path, sizeof(file->path), "%s", path);
	assert_null(ml_module_open(fd, path, &file->module));
	assert_null(ml_unwind_rows_build(file->module, &file->rows));
	*ml_array_push(&traced->files) = file;
	return file;
}

static void mapping_add(struct traced *traced, const char *path, uint64_t start, uint64_t end,
			uint64_t offset)
{
	const struct file *file = file_of(traced, path, start, end);
	uint64_t address;

	if (!file)
		return;
	assert_true(ml_text_address_of_mapping(file->module, offset, &address));
	*ml_array_push(&traced->modules) = (struct ml_walk_module){
		.start = start, .end = end, .bias = start - address, .rows = &file->rows};
}

static void files_free(struct traced *traced)
{
	ml_array_each (item, &traced->files) {
		ml_unwind_rows_deinit(&(*item)->rows);
		ml_module_unref((*item)->module);
		free(*item);
	}
	ml_array_free(&traced->files);
	ml_array_free(&traced->modules);
}

static void modules_read(struct traced *traced)
{
	ML_FREE_CLEANUP char *text = NULL;
	char path[64];

	traced->modules.count = 0;
	snprintf(path, sizeof(path), "/proc/%d/maps", traced->pid);
	assert_null(ml_file_read(AT_FDCWD, path, 1 << 20, &text, NULL));
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		uint64_t start, end, offset;
		char access[8], name[256] = "";

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %*s %255s", &start,
			   &end, access, &offset, name) >= 4 &&
		    strchr(access, 'x'))
			mapping_add(traced, name, start, end, offset);
	}
}

/** Keeps the walk: at a stop always, between stops when it has a rule that none had before. */
static void record(struct traced *traced, const char *directory, const uint64_t *frames,
		   size_t count, enum ml_walk_end end)
{
	struct recording *recording = traced->recording;
	char path[512];

	recording_add_walk(recording, traced->modules.items, traced->modules.count, frames, count,
			   end);
	snprintf(recording->name, sizeof(recording->name), "%s", traced->stop.name);

	uint32_t rules = recording_rules(recording);

	if (!traced->is_stepping || (rules & ~traced->recorded_rules)) {
		snprintf(path, sizeof(path), "%s/%s-%s-%x.stack", directory,
			 strrchr(traced->program, '/') + 1, recording->name,
			 traced->is_stepping ? rules & ~traced->recorded_rules : 0);
		for (char *at = strrchr(path, '/'); *at; at++)
			*at = *at == ' ' || *at == ':' ? '_' : *at;
		assert_true(recording_write(recording, path));
		traced->recorded_rules |= rules;
	}
	recording_deinit(recording);
	traced->recording = NULL;
}

static size_t walk(struct traced *traced, pid_t thread, uint64_t *frames, enum ml_walk_end *end)
{
	const struct ml_walk_memory memory = {.read = memory_read, .context = traced};
	struct user_regs_struct regs;

	assert_int_equal(ptrace(PTRACE_GETREGS, thread, NULL, &regs), 0);

	/* Reading fails at the end of a stack: then word by word. */
	traced->window_address = regs.rsp;
	if (pread(traced->memory_fd, traced->window, sizeof(traced->window), (off_t)regs.rsp) !=
	    sizeof(traced->window))
		traced->window_address = UINT64_MAX / 2;

	const struct ml_walk_start start = {
		.ip = regs.rip, .sp = regs.rsp, .bp = regs.rbp, .bx = regs.rbx};
	struct recording recording = {.start = start};
	const char *directory = getenv("RECORD");

	traced->recording = directory ? &recording : NULL;

	size_t count = ml_walk(traced->modules.items, traced->modules.count, &memory, &start,
			       frames, DEPTH, end);

	if (directory)
		record(traced, directory, frames, count, *end);
	return count;
}

static void print_frames(const struct traced *traced, const uint64_t *frames, size_t count)
{
	for (size_t i = 0; i < count || (int)i < traced->stop.count; i++)
		print_message("  %2zu walk %#" PRIx64 " truth %p\n", i, i < count ? frames[i] : 0,
			      (int)i < traced->stop.count ? traced->stop.truth[i] : NULL);
}

/** Whether the last frames of the walk are those of the truth, without its first @p skip. */
static bool same_callers(const struct traced *traced, const uint64_t *frames, size_t count,
			 size_t skip)
{
	size_t expected = (size_t)traced->stop.count - skip;

	if (count < expected)
		return false;
	for (size_t i = 0; i < expected; i++) {
		if (frames[count - expected + i] != (uint64_t)traced->stop.truth[skip + i])
			return false;
	}
	return true;
}

static void check_stop(struct traced *traced, pid_t thread)
{
	uint64_t frames[DEPTH];
	enum ml_walk_end end;
	size_t count = walk(traced, thread, frames, &end);
	bool is_right = end == ML_WALK_COMPLETE && (int)count >= traced->stop.least;

	if (traced->stop.count)
		is_right = is_right && (int)count == traced->stop.count &&
			   same_callers(traced, frames, count, 1);
	if (!is_right) {
		print_message("%s: %s: end %d, %zu frames\n", traced->program, traced->stop.name,
			      end, count);
		print_frames(traced, frames, count);
		fail();
	}
	traced->checked++;
	/* What steps are compared with where there is no backtrace(). */
	if (!traced->stop.count) {
		memcpy(traced->stop.truth, frames, count * sizeof(frames[0]));
		traced->stop.count = (int)count;
	}
}

/**
 * A walk somewhere inside a call made by stepped(): it may say that it cannot tell, but must not
 * tell a wrong stack. The truth's frame 1 is in stepped() itself and moves.
 */
static void check_step(struct traced *traced, pid_t thread)
{
	uint64_t frames[DEPTH];
	enum ml_walk_end end;
	size_t count = walk(traced, thread, frames, &end);

	traced->steps++;
	if (end != ML_WALK_COMPLETE)
		return;
	traced->steps_told++;
	if (!same_callers(traced, frames, count, 2)) {
		print_message("%s: %s: step %u\n", traced->program, traced->stop.name,
			      traced->steps);
		print_frames(traced, frames, count);
		fail();
	}
}

static bool at_breakpoint(struct traced *traced, pid_t thread)
{
	struct user_regs_struct regs;
	uint8_t byte;

	assert_int_equal(ptrace(PTRACE_GETREGS, thread, NULL, &regs), 0);
	if (pread(traced->memory_fd, &byte, 1, (off_t)regs.rip - 1) != 1 || byte != INT3)
		return false;
	assert_int_equal(
		pread(traced->memory_fd, &traced->stop, sizeof(traced->stop), (off_t)regs.rdi),
		sizeof(traced->stop));
	return true;
}

/** Single-steps @p thread, with a walk after each, until the fixture's next breakpoint. */
static void step_through(struct traced *traced, pid_t thread)
{
	struct stack_stop begin = traced->stop;
	unsigned int first = traced->steps, told = traced->steps_told;
	int status;

	for (int i = 0; i < STEP_LIMIT; i++) {
		struct user_regs_struct regs;
		uint8_t byte = 0;

		assert_int_equal(ptrace(PTRACE_SINGLESTEP, thread, NULL, 0), 0);
		assert_int_equal(waitpid(thread, &status, __WALL), thread);
		assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
		traced->is_stepping = true;
		check_step(traced, thread);
		traced->is_stepping = false;
		assert_int_equal(ptrace(PTRACE_GETREGS, thread, NULL, &regs), 0);
		assert_int_equal(pread(traced->memory_fd, &byte, 1, (off_t)regs.rip), 1);
		if (byte == INT3)
			break;
	}
	print_message("# %s: %s: %u of %u walks reach the end\n", traced->program, begin.name,
		      traced->steps_told - told, traced->steps - first);
}

/** The fixture stopped at its int3. */
static void handle_breakpoint(struct traced *traced, pid_t thread)
{
	check_stop(traced, thread);
	if (traced->stop.action == STACK_STEP_BEGIN)
		step_through(traced, thread);
}

/** One event of the fixture; false when it is over. */
static bool handle_event(struct traced *traced, int *status)
{
	pid_t thread = waitpid(-1, status, __WALL);
	int signal_number = 0;

	if (thread < 0 && errno == ECHILD)
		return false;
	assert_true(thread > 0);
	if (!WIFSTOPPED(*status))
		return thread != traced->pid;
	if (WSTOPSIG(*status) != SIGTRAP && WSTOPSIG(*status) != SIGSTOP)
		signal_number = WSTOPSIG(*status);
	else if (WSTOPSIG(*status) == SIGTRAP && !(*status >> 16)) {
		/* Libraries come with the first stop after the start. */
		modules_read(traced);
		if (at_breakpoint(traced, thread))
			handle_breakpoint(traced, thread);
	}
	ptrace(PTRACE_CONT, thread, NULL, signal_number);
	return true;
}

static void test_fixture(void **state)
{
	struct traced traced = {.program = *state, .memory_fd = -1};
	char path[64];
	int status;

	traced.pid = fork();
	if (!traced.pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		unsetenv("LD_BIND_NOW");
		execl(traced.program, traced.program, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(traced.pid, &status, 0), traced.pid);
	assert_true(WIFSTOPPED(status));
	ptrace(PTRACE_SETOPTIONS, traced.pid, NULL, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
	snprintf(path, sizeof(path), "/proc/%d/mem", traced.pid);
	traced.memory_fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(traced.memory_fd >= 0);
	ptrace(PTRACE_CONT, traced.pid, NULL, 0);
	while (handle_event(&traced, &status))
		;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(traced.checked >= 16);
	print_message("# %s: %u stacks right\n", traced.program, traced.checked);
	files_free(&traced);
	ml_fd_close(&traced.memory_fd);
}

int main(int argc, char **argv)
{
	struct CMUnitTest *tests = ml_alloc((size_t)argc * sizeof(*tests));
	int failed;

	cmocka_set_message_output(CM_OUTPUT_TAP);
	for (int i = 1; i < argc; i++) {
		const char *slash = strrchr(argv[i], '/');

		tests[i - 1] = (struct CMUnitTest){.name = slash ? slash + 1 : argv[i],
						   .test_func = test_fixture,
						   .initial_state = argv[i]};
	}
	failed = _cmocka_run_group_tests("stacks", tests, (size_t)argc - 1, NULL, NULL);
	free(tests);
	return failed;
}
