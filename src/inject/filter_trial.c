/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What a system call filter that we have ourselves lets pass: found by making the calls, as the
 * agent and what gets it in make them, in a process that may die of it.
 */
#include "inject/filter_trial.h"

#include "shared/agent_abi.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#define PLAIN (MAP_PRIVATE | MAP_ANONYMOUS)

static bool try_gettid(void)
{
	return syscall(SYS_gettid) > 0;
}

static bool try_tgkill(void)
{
	return !syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), 0);
}

static bool try_nanosleep(void)
{
	const struct timespec nothing = {0};

	return !syscall(SYS_nanosleep, &nothing, NULL);
}

static bool try_clock_gettime(void)
{
	struct timespec now;

	return !syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
}

/* There is no such `how`, but a filter could say the same. */
static bool try_rt_sigprocmask(void)
{
	uint64_t word = 0;
	bool is_right = syscall(SYS_rt_sigprocmask, -1, &word, NULL, sizeof(word)) < 0;

	return is_right && errno == EINVAL &&
	       syscall(SYS_rt_sigprocmask, -1, NULL, NULL, sizeof(word)) == 0;
}

static bool try_futex(void)
{
	uint32_t word[2] = {1};
	long result = syscall(SYS_futex, word, FUTEX_CMP_REQUEUE_PRIVATE, 0, 0, word, 0);

	return result < 0 && errno == EAGAIN;
}

static bool try_futex_wake(void)
{
	uint32_t word = 0;

	return !syscall(SYS_futex, &word, FUTEX_WAKE, 1, 0, 0, 0);
}

static void *map(int protection)
{
	void *page = mmap(NULL, ML_AGENT_PAGE, protection, PLAIN, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

static bool try_mmap(void)
{
	return map(PROT_NONE) && map(PROT_READ | PROT_WRITE);
}

/* There is another way if it is forbidden. */
static bool try_mmap_code(void)
{
	map(PROT_READ | PROT_EXEC);
	return true;
}

static bool try_mprotect(void)
{
	void *page = map(PROT_READ);

	return page && !mprotect(page, ML_AGENT_PAGE, PROT_READ | PROT_WRITE);
}

static bool try_munmap(void)
{
	void *page = map(PROT_READ);

	return page && !munmap(page, ML_AGENT_PAGE);
}

static bool try_munlock(void)
{
	syscall(SYS_munlock, NULL, 0);
	return true;
}

static bool try_madvise(void)
{
	void *page = map(PROT_READ | PROT_WRITE);

	if (!page || madvise(page, ML_AGENT_PAGE, MADV_DONTFORK))
		return false;
	madvise(page, ML_AGENT_PAGE, MADV_WIPEONFORK);
	return true;
}

static bool try_close(void)
{
	return syscall(SYS_close, -1) < 0 && errno == EBADF;
}

static bool try_memfd_create(void)
{
	syscall(SYS_memfd_create, ML_AGENT_MEMORY_NAME, 1u);
	return true;
}

static const struct {
	const char *name;
	bool (*passes)(void);
	enum ml_agent_call bit; /* 0: it gets the agent in */
} trials[] = {
	{"gettid", try_gettid, ML_AGENT_CALL_GETTID},
	{"tgkill", try_tgkill, ML_AGENT_CALL_TGKILL},
	{"nanosleep", try_nanosleep, ML_AGENT_CALL_NANOSLEEP},
	{"clock_gettime", try_clock_gettime, ML_AGENT_CALL_CLOCK_GETTIME},
	{"rt_sigprocmask", try_rt_sigprocmask, ML_AGENT_CALL_RT_SIGPROCMASK},
	{"futex", try_futex, ML_AGENT_CALL_FUTEX},
	{"futex", try_futex_wake, ML_AGENT_CALL_FUTEX_WAKE},
	{"mmap", try_mmap, 0},
	{"mmap of code", try_mmap_code, 0},
	{"mprotect", try_mprotect, 0},
	{"munmap", try_munmap, 0},
	{"munlock", try_munlock, 0},
	{"madvise", try_madvise, 0},
	{"close", try_close, 0},
	{"memfd_create", try_memfd_create, 0},
};

#define TRIALS (sizeof(trials) / sizeof(*trials))

/* How far the process got: shared with it, for it may not even be able to end by itself. */
struct progress {
	size_t next;
	bool passed[TRIALS];
};

static void try_rest(struct progress *progress)
{
	const struct rlimit no_core = {0};

	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGSYS, SIG_DFL);
	while (progress->next < TRIALS) {
		size_t i = progress->next++;

		progress->passed[i] = trials[i].passes();
	}
	_exit(0);
}

/* One that dies of a call is followed by another for those behind it. */
static struct ml_error *run(struct progress *progress)
{
	while (progress->next < TRIALS) {
		size_t before = progress->next;
		int status;
		pid_t child = fork();

		if (!child)
			try_rest(progress);
		if (child < 0)
			return ml_error_errno(errno, "cannot start a process");
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
		/* Killed by somebody before it did anything. */
		if (progress->next == before)
			return ml_error_new(ML_ERROR_SYSTEM, "a process of ours was killed");
	}
	return NULL;
}

static struct ml_error *judge(pid_t pid, const struct progress *progress, uint32_t *denied)
{
	for (size_t i = 0; i < TRIALS; i++) {
		if (progress->passed[i])
			continue;
		*denied |= trials[i].bit;
		if (!trials[i].bit)
			return ml_error_new(
				ML_ERROR_UNSUPPORTED,
				"process %d has a seccomp filter, as memleak itself, that does not "
				"let the agent's system call %s pass; use --backend bpf outside of "
				"this sandbox",
				pid, trials[i].name);
	}
	return NULL;
}

struct ml_error *ml_filter_try(pid_t pid, uint32_t *denied)
{
	struct progress *progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct ml_error *error;

	if (progress == MAP_FAILED)
		return ml_error_errno(errno, "cannot share memory with a process");
	error = run(progress);
	if (!error)
		error = judge(pid, progress, denied);
	munmap(progress, sizeof(*progress));
	return error;
}
