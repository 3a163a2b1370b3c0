/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/launch.h"

#include "base/array.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "target/launch_private.h"
#include "target/ptrace_stop.h"
#include "target/startup.h"
#include "target/yama.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ml_launch {
	pid_t pid;
	bool keeps_to_end;
	bool is_held; /* stopped under our ptrace, or to be killed with us */
};

static struct ml_error *cannot_run(const char *program, const char *why)
{
	ML_STRBUF_CLEANUP struct ml_strbuf shown = {0};

	ml_strbuf_escaped(&shown, program);
	return ml_error_new(ML_ERROR_USAGE, "cannot run %s: %s", ml_strbuf_text(&shown), why);
}

/* Why @p path cannot be executed, or NULL. */
static const char *check_program(const char *path)
{
	struct stat info;

	if (stat(path, &info))
		return strerror(errno);
	if (S_ISDIR(info.st_mode))
		return "it is a directory";
	if (!S_ISREG(info.st_mode))
		return "it is not a regular file";
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS))
		return "it is not executable (chmod +x)";
	return NULL;
}

/*
 * Searches PATH as execvp(3) does, empty parts meaning the working directory; a file that is there
 * but cannot be executed is passed over, and blamed when nothing else is found.
 */
static struct ml_error *search_path(const char *program, char **path)
{
	const char *folder = getenv("PATH");
	const char *why = "not found in PATH";

	if (!folder)
		folder = "/bin:/usr/bin";
	for (;;) {
		struct ml_strbuf file = {0};
		const char *end = strchrnul(folder, ':');

		ml_strbuf_add(&file, folder, (size_t)(end - folder));
		if (file.length)
			ml_strbuf_putc(&file, '/');
		ml_strbuf_puts(&file, program);

		const char *fault = check_program(ml_strbuf_text(&file));

		if (!fault) {
			*path = ml_strbuf_take(&file);
			return NULL;
		}
		if (!access(ml_strbuf_text(&file), F_OK))
			why = fault;
		ml_strbuf_free(&file);
		if (!*end)
			return cannot_run(program, why);
		folder = end + 1;
	}
}

static struct ml_error *find_program(const char *program, char **path)
{
	if (!*program)
		return ml_error_new(ML_ERROR_USAGE, "the command is empty");
	if (!strchr(program, '/'))
		return search_path(program, path);

	const char *fault = check_program(program);

	if (fault)
		return cannot_run(program, fault);
	*path = ml_strdup(program);
	return NULL;
}

/* The ends of the pipes: the parent's word to go on, and errno of an exec that failed. */
struct pipes {
	int go[2];
	int failure[2];
};

static void close_pipes(struct pipes *pipes)
{
	for (int i = 0; i < 2; i++) {
		ml_fd_close(&pipes->go[i]);
		ml_fd_close(&pipes->failure[i]);
	}
}

/* In the child: whoever draws on the terminal has it for itself. */
static void leave_terminal(void)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = STDIN_FILENO; null_fd >= 0 && fd <= STDERR_FILENO; fd++) {
		if (isatty(fd))
			dup2(null_fd, fd);
	}
}

/* In the child: only what signal-safety(7) allows. */
static __attribute__((noreturn)) void run_child(struct pipes *pipes, const char *path,
						char *const argv[],
						const struct ml_launch_options *options)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	char byte;

	/* The tool ignores SIGPIPE for itself, and an ignored signal stays ignored in an exec. */
	sigaction(SIGPIPE, &dfl, NULL);
	close(pipes->go[1]);
	/* An end of file instead of the word: the parent is dead, or could not trace us. */
	if (read(pipes->go[0], &byte, 1) != 1)
		_exit(127);
	if (options->mask)
		sigprocmask(SIG_SETMASK, options->mask, NULL);
	if (options->off_terminal)
		leave_terminal();
	execve(path, argv, environ);

	int err = errno;

	if (write(pipes->failure[1], &err, sizeof(err)) != (ssize_t)sizeof(err))
		_exit(126);
	_exit(127);
}

static pid_t wait_for(pid_t pid, int *status)
{
	pid_t got;

	do
		got = waitpid(pid, status, __WALL);
	while (got < 0 && errno == EINTR);
	return got;
}

/* False at its end, which is left to others: they want to know how it ended. */
static bool wait_stop(pid_t pid, int *status)
{
	siginfo_t info = {0};
	int got;

	do
		got = waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT | __WALL);
	while (got < 0 && errno == EINTR);
	return !got && !ml_ptrace_is_end(&info) && wait_for(pid, status) == pid &&
	       WIFSTOPPED(*status);
}

static void kill_child(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	while (wait_for(pid, &status) == pid && WIFSTOPPED(status))
		;
}

static struct ml_error *explain_exec(const char *path, int err)
{
	switch (err) {
	case ENOENT:
		return cannot_run(path, "the interpreter it names (in its #! line, or its ELF "
					"loader) does not exist");
	case ENOEXEC:
		return cannot_run(path, "it is neither a program for this machine nor a script "
					"with a #! line (for a script: sh FILE)");
	case EACCES:
		return cannot_run(path, "not permitted: it or its interpreter is not executable, "
					"or its file system is mounted noexec");
	default:
		return cannot_run(path, strerror(err));
	}
}

/* Until the child stands at its exec. When it ended instead it has been reaped. */
static struct ml_error *wait_exec(pid_t pid, const char *path, int failure_fd)
{
	int status, err;

	for (;;) {
		if (wait_for(pid, &status) < 0)
			return ml_error_errno(errno, "cannot wait for %s", path);
		if (!WIFSTOPPED(status))
			break;
		if (ml_ptrace_stop_kind(status) == ML_PTRACE_EXEC)
			return NULL;
		ml_ptrace_resume(pid, status, PTRACE_CONT);
	}
	if (read(failure_fd, &err, sizeof(err)) == (ssize_t)sizeof(err))
		return explain_exec(path, err);
	return cannot_run(path, WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
						    : "it ended before its start");
}

/* Before Linux 3.8 what we hold goes on when we are killed. */
static long seize(pid_t pid, long options)
{
	long failed = ptrace(PTRACE_SEIZE, pid, NULL, options);

	return failed && errno == EINVAL
		       ? ptrace(PTRACE_SEIZE, pid, NULL, options & ~(long)PTRACE_O_EXITKILL)
		       : failed;
}

static struct ml_error *hold_child(pid_t pid, struct pipes *pipes, const char *path)
{
	long options = PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD;

	/*
	 * Seized rather than PTRACE_TRACEME: the stop at the exec is then an event, which no signal
	 * mask can hide, and stops by job control can be told from others.
	 */
	if (seize(pid, options)) {
		int err = errno;

		kill_child(pid);
		if (err == EPERM)
			return ml_error_new(ML_ERROR_SYSTEM,
					    "not permitted to trace the command %s: %s", path,
					    ml_yama_advice());
		return ml_error_errno(err, "cannot trace the command %s", path);
	}
	ml_fd_close(&pipes->failure[1]);
	if (write(pipes->go[1], "", 1) != 1) {
		int err = errno;

		kill_child(pid);
		return ml_error_errno(err, "cannot start the command %s", path);
	}
	return wait_exec(pid, path, pipes->failure[0]);
}

static struct ml_error *start(const char *path, char *const argv[],
			      const struct ml_launch_options *options, struct pipes *pipes,
			      pid_t *pid)
{
	if (pipe2(pipes->go, O_CLOEXEC) || pipe2(pipes->failure, O_CLOEXEC))
		return ml_error_errno(errno, "cannot make a pipe");

	pid_t child = fork();

	if (child < 0)
		return ml_error_errno(errno, "cannot start a process for %s", path);
	if (child == 0)
		run_child(pipes, path, argv, options);
	*pid = child;
	return hold_child(child, pipes, path);
}

struct ml_error *ml_launch_start(char *const argv[], const struct ml_launch_options *options,
				 struct ml_launch **out)
{
	ML_FREE_CLEANUP char *path = NULL;
	struct pipes pipes = {.go = {-1, -1}, .failure = {-1, -1}};
	pid_t pid = -1;
	struct ml_error *error = find_program(argv[0] ? argv[0] : "", &path);

	if (error)
		return error;
	error = start(path, argv, options, &pipes, &pid);
	close_pipes(&pipes);
	if (error)
		return error;

	struct ml_launch *launch = ml_alloc(sizeof(*launch));

	*launch = (struct ml_launch){.pid = pid, .is_held = true};
	*out = launch;
	return NULL;
}

pid_t ml_launch_pid(const struct ml_launch *launch)
{
	return launch->pid;
}

void ml_launch_disown(struct ml_launch *launch)
{
	launch->is_held = false;
}

/* A stop on the way; @p over when the child is to be let go from there. */
static struct ml_error *handle_stop(struct ml_startup *startup, int status,
				    ml_launch_mapped *mapped, void *context, bool *over)
{
	struct ml_error *error;

	switch (ml_ptrace_stop_kind(status)) {
	case ML_PTRACE_EXEC:
		/* It execs again before it has started; all begins anew. */
		*over = !ml_startup_begin(startup, startup->pid);
		error = mapped(context);
		ml_startup_continue(startup);
		return error;
	case ML_PTRACE_SYSCALL:
		switch (ml_startup_syscall(startup)) {
		case ML_STARTUP_MAPPED:
			return mapped(context);
		case ML_STARTUP_OVER:
			*over = true;
			return NULL;
		case ML_STARTUP_GOES_ON:
			return NULL;
		}
		return NULL;
	default:
		return NULL;
	}
}

/* Each call fails only when the child was killed meanwhile. */
static void let_go(struct ml_launch *launch)
{
	if (launch->keeps_to_end) {
		ptrace(PTRACE_SETOPTIONS, launch->pid, NULL, (long)ML_LAUNCH_KEPT_OPTIONS);
		ptrace(PTRACE_CONT, launch->pid, NULL, 0L);
	} else {
		ptrace(PTRACE_DETACH, launch->pid, NULL, 0L);
	}
	launch->is_held = false;
}

void ml_launch_keep_to_end(struct ml_launch *launch)
{
	launch->keeps_to_end = true;
}

/* From the exec stop until the loader is done. */
static struct ml_error *run(struct ml_launch *launch, ml_launch_mapped *mapped, void *context)
{
	struct ml_startup startup;
	int status = SIGTRAP << 8 | 0x7f | PTRACE_EVENT_EXEC << 16; /* where it stands now */
	bool over = false;

	startup.pid = launch->pid;
	for (;;) {
		struct ml_error *error = handle_stop(&startup, status, mapped, context, &over);

		if (error)
			return error;
		if (over)
			break;
		ml_ptrace_resume(launch->pid, status, PTRACE_SYSCALL);
		if (!wait_stop(launch->pid, &status)) {
			launch->is_held = false;
			return NULL;
		}
	}
	let_go(launch);
	return NULL;
}

struct ml_error *ml_launch_run(struct ml_launch *launch, ml_launch_mapped *mapped, void *context)
{
	struct ml_error *error = run(launch, mapped, context);

	if (error && launch->is_held) {
		kill_child(launch->pid);
		launch->is_held = false;
	}
	return error;
}

struct ml_error *ml_launch_run_again(struct ml_launch *launch, ml_launch_mapped *mapped,
				     void *context)
{
	long options = PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD;

	if (ptrace(PTRACE_SETOPTIONS, launch->pid, NULL, options))
		return NULL; /* killed meanwhile */

	struct ml_error *error = run(launch, mapped, context);

	if (error)
		let_go(launch);
	return error;
}

void ml_launch_destroy(struct ml_launch *launch)
{
	if (!launch)
		return;
	if (launch->is_held)
		kill_child(launch->pid);
	free(launch);
}
