/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * A program in an odd state, which leaks 23 blocks of 101 bytes and says so.
 *
 * Each argument is a state it takes: NAME[=NUMBER] before it is ready, +NAME[=NUMBER] when it is
 * told to work, that is with memleak attached. It ends with 0 when all is as it should be.
 */
#include "truth.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define COUNT 23
#define BYTES 101
#define PAGE  4096
#define MDWE  65 /* PR_SET_MDWE, Linux 6.3 */

static size_t failed;
static int is_strict;

static NOINLINE void leak_here(void)
{
	for (size_t i = 0; i < COUNT; i++)
		truth_keep(malloc(truth_opaque(BYTES)));
}

/* The only call a strict one may make is write(). */
static void tell(const char *line)
{
	if (write(STDOUT_FILENO, line, strlen(line)) < 0)
		failed++;
}

static void expect(int is_true)
{
	failed += !is_true;
}

/* ---- limits ---------------------------------------------------------------------------------- */

static size_t address_space(void)
{
	char text[256];
	int fd = open("/proc/self/statm", O_RDONLY);
	ssize_t size = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[size > 0 ? size : 0] = '\0';
	return strtoull(text, NULL, 10) * PAGE;
}

static void limit(int resource, size_t value)
{
	const struct rlimit limits = {value, value};

	expect(!setrlimit(resource, &limits));
}

static void limit_memory(size_t megabytes)
{
	limit(RLIMIT_AS, address_space() + (megabytes << 20));
}

static void limit_locked(size_t bytes)
{
	limit(RLIMIT_MEMLOCK, bytes);
}

static void limit_files(size_t bytes)
{
	limit(RLIMIT_FSIZE, bytes);
}

static void use_up_descriptors(size_t count)
{
	struct rlimit limits;

	getrlimit(RLIMIT_NOFILE, &limits);
	limits.rlim_cur = count;
	expect(!setrlimit(RLIMIT_NOFILE, &limits));
	while (dup(STDIN_FILENO) >= 0)
		;
	expect(errno == EMFILE);
}

static void close_all(size_t unused)
{
	(void)unused;
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
}

static void lock_all(size_t unused)
{
	(void)unused;
	expect(!mlockall(MCL_CURRENT | MCL_FUTURE));
}

/* ---- rights ---------------------------------------------------------------------------------- */

static void deny_write_execute(size_t unused)
{
	void *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)unused;
	expect(!prctl(MDWE, 1, 0, 0, 0));
	expect(mprotect(page, PAGE, PROT_READ | PROT_EXEC) && errno == EACCES);
}

static void hide(size_t unused)
{
	(void)unused;
	expect(!prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

static void become_nobody(size_t unused)
{
	(void)unused;
	expect(!setgid(65534) && !setuid(65534));
}

static void drop_capabilities(size_t unused)
{
	const struct {
		unsigned int version;
		int pid;
	} header = {0x20080522, 0};
	const unsigned int nothing[6] = {0};

	(void)unused;
	expect(!syscall(SYS_capset, &header, nothing));
}

/* ---- system call filters --------------------------------------------------------------------- */

/* Whoever makes call @number is killed. */
static int forbid_in(size_t number, unsigned int flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {sizeof(code) / sizeof(*code), code};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static void forbid(size_t number)
{
	expect(!forbid_in(number, 0));
}

/* Set by a thread that has a filter now. */
static int has_filtered_thread;

static void wait_for_filter(void)
{
	while (!__atomic_load_n(&has_filtered_thread, __ATOMIC_ACQUIRE))
		usleep(1000);
}

static void *live_filtered(void *number)
{
	expect(!forbid_in((size_t)number, 0));
	truth_event("filtered");
	__atomic_store_n(&has_filtered_thread, 1, __ATOMIC_RELEASE);
	for (;;)
		pause();
	return NULL;
}

static void forbid_in_thread(size_t number)
{
	pthread_t thread;

	expect(!pthread_create(&thread, NULL, live_filtered, (void *)number));
	wait_for_filter();
}

/* Only read(), write(), exit() and sigreturn() from here on. */
static void be_strict(size_t unused)
{
	(void)unused;
	free(truth_keep(malloc(COUNT * (BYTES + 32))));
	expect(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0));
	is_strict = 1;
}

static void *live_strictly(void *unused)
{
	char byte;

	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
	__atomic_store_n(&has_filtered_thread, 1, __ATOMIC_RELEASE);
	while (read(STDERR_FILENO, &byte, 1) < 0)
		;
	return unused;
}

static void be_strict_in_thread(size_t unused)
{
	static int pipe_ends[2];
	pthread_t thread;

	(void)unused;
	expect(!pipe(pipe_ends) && dup2(pipe_ends[0], STDERR_FILENO) == STDERR_FILENO);
	expect(!pthread_create(&thread, NULL, live_strictly, NULL));
	wait_for_filter();
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void map_many(size_t count)
{
	for (size_t i = 0; i < count; i++)
		expect(mmap(NULL, PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

/* Writes to all its code what stands there, as a program does that looks after its own pages. */
static void protect_around(size_t unused)
{
	uintptr_t page = (uintptr_t)malloc & ~(uintptr_t)(PAGE - 1);

	(void)unused;
	for (int i = 0; i < 100; i++) {
		expect(!mprotect((void *)page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
		expect(!mprotect((void *)page, 2 * PAGE, PROT_READ | PROT_EXEC));
	}
}

/* ---------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*take)(size_t number);
} states[] = {
	{"limit-memory", limit_memory},
	{"limit-locked", limit_locked},
	{"limit-files", limit_files},
	{"no-descriptors", use_up_descriptors},
	{"close-all", close_all},
	{"lock-all", lock_all},
	{"deny-write-execute", deny_write_execute},
	{"hide", hide},
	{"become-nobody", become_nobody},
	{"drop-capabilities", drop_capabilities},
	{"forbid", forbid},
	{"forbid-in-thread", forbid_in_thread},
	{"strict", be_strict},
	{"strict-thread", be_strict_in_thread},
	{"map-many", map_many},
	{"protect-around", protect_around},
};

static void take(const char *word)
{
	size_t length = strcspn(word, "=");

	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		if (strlen(states[i].name) == length && !strncmp(states[i].name, word, length)) {
			states[i].take(word[length] ? strtoull(word + length + 1, NULL, 0) : 0);
			return;
		}
	failed++;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (argv[i][0] != '+')
			take(argv[i]);
	truth_ready();
	for (int i = 1; i < argc; i++)
		if (argv[i][0] == '+')
			take(argv[i] + 1);
	leak_here();
	tell("{\"site\":\"leak_here\",\"line\":0,\"bytes\":2323,\"count\":23}\n");
	tell("{\"event\":\"done\"}\n");
	truth_wait();
	for (size_t i = 1; i < 1000; i++)
		free(truth_keep(malloc(truth_opaque(i % 100 + 1))));
	/* exit_group() is not among what a strict one may call. */
	if (is_strict)
		syscall(SYS_exit, failed != 0);
	return failed != 0;
}
