/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/process.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "target/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct ml_process *open_process(pid_t pid)
{
	struct ml_process *process = NULL;

	assert_null(ml_process_open(pid, &process));
	return process;
}

static void assert_refused(pid_t pid, const char *why)
{
	struct ml_process *process = NULL;
	ML_ERROR_CLEANUP struct ml_error *error = ml_process_open(pid, &process);

	assert_non_null(error);
	assert_null(process);
	assert_int_equal(ml_error_kind(error), ML_ERROR_TARGET);
	if (!strstr(ml_error_message(error), why))
		fail_msg("\"%s\" does not say \"%s\"", ml_error_message(error), why);
}

/* A child that only waits; its end is the caller's business. */
static pid_t start_sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void knows_itself(void **state)
{
	struct ml_process *process = open_process(getpid());
	char exe[PATH_MAX] = "";
	sigset_t blocked;
	uint64_t mask;

	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	assert_int_equal(ml_process_pid(process), getpid());
	assert_true(ml_process_pidfd(process) >= 0);
	assert_true(ml_process_start_time(process) > 0);
	assert_true(ml_process_is_alive(process));
	assert_string_equal(ml_process_exe(process), exe);
	assert_int_equal(ml_process_tracer(process), 0);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	assert_true(ml_proc_blocked((pid_t)syscall(SYS_gettid), &mask));
	assert_true(mask & 1ull << (SIGUSR2 - 1));
	sigprocmask(SIG_UNBLOCK, &blocked, NULL);
	assert_true(ml_process_inner_pid(process) > 0);
	assert_in_range(ml_process_seccomp(process), 0, 2);
	ml_process_close(process);
	ml_process_close(NULL);
}

static void reads_a_hostile_name_again(void **state)
{
	struct ml_process *process = open_process(getpid());
	uint64_t start_time = ml_process_start_time(process);
	char old[16];

	prctl(PR_GET_NAME, old);
	prctl(PR_SET_NAME, ") R 1 (\n\x1b[31m");
	assert_null(ml_process_refresh(process));
	assert_string_equal(ml_process_comm(process), ") R 1 (\n\x1b[31m");
	ml_process_close(process);

	process = open_process(getpid());
	assert_int_equal(ml_process_start_time(process), start_time);
	ml_process_close(process);
	prctl(PR_SET_NAME, old);
}

static void refuses_numbers_that_are_no_pids(void **state)
{
	assert_refused(0, "no process with pid 0: pids go from 1 to ");
	assert_refused(-5, "no process with pid -5");
	assert_refused(INT_MAX, "no process with pid 2147483647");

	pid_t pid = start_sleeper();
	char why[64];

	end_child(pid);
	snprintf(why, sizeof(why), "no process with pid %d", pid);
	assert_refused(pid, why);
}

static void refuses_a_zombie(void **state)
{
	pid_t pid = fork();
	siginfo_t info;
	char why[64];

	if (pid == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	snprintf(why, sizeof(why), "is a zombie: it has ended and waits for its parent, process %d",
		 getpid());
	assert_refused(pid, why);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void *wait_forever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void refuses_when_the_main_thread_is_gone(void **state)
{
	pid_t pid = fork();

	if (pid == 0) {
		pthread_t thread;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pthread_create(&thread, NULL, wait_forever, NULL);
		syscall(SYS_exit, 0);
	}
	for (int i = 0; i < 500; i++) {
		ML_FREE_CLEANUP char *text = NULL;
		struct ml_proc_stat stat = {0};
		char path[32];

		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		assert_null(ml_file_read(AT_FDCWD, path, 4096, &text, NULL));
		assert_true(ml_proc_stat_parse(text, &stat));
		if (stat.state == 'Z')
			break;
		usleep(10000);
	}
	assert_refused(pid, "has ended while other threads (1) run on");
	end_child(pid);
}

/* A kernel thread's pid, 0 when none can be seen (in a pid namespace of our own). */
static pid_t find_kernel_thread(void)
{
	DIR *proc = opendir("/proc");
	pid_t found = 0;

	for (struct dirent *entry; !found && (entry = readdir(proc));) {
		ML_FREE_CLEANUP char *text = NULL;
		struct ml_proc_stat stat = {0};
		char path[300];

		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		if (atoi(entry->d_name) <= 0)
			continue;

		ML_ERROR_CLEANUP struct ml_error *error =
			ml_file_read(AT_FDCWD, path, 4096, &text, NULL);

		if (!error && ml_proc_stat_parse(text, &stat) && stat.is_kernel)
			found = atoi(entry->d_name);
	}
	closedir(proc);
	return found;
}

static void refuses_a_kernel_thread(void **state)
{
	pid_t pid = find_kernel_thread();

	if (!pid)
		skip();
	assert_refused(pid, "is a kernel thread and has no memory of its own");
}

static void says_whose_process_it_is(void **state)
{
	if (geteuid() != 0) {
		assert_refused(1, "run as root (sudo)");
		return;
	}

	/* As another user, in a child so that this process stays root. */
	pid_t target = start_sleeper();
	pid_t pid = fork();

	if (pid == 0) {
		struct ml_process *process;

		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(2);

		ML_ERROR_CLEANUP struct ml_error *error = ml_process_open(target, &process);

		_exit(error && strstr(ml_error_message(error), "belongs to user root (uid 0); run "
							       "as root (sudo) or as that user")
			      ? 0
			      : 1);
	}

	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	end_child(target);
}

static void *report_tid(void *tid)
{
	__atomic_store_n((pid_t *)tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	return wait_forever(NULL);
}

static void turns_a_thread_into_its_process(void **state)
{
	pid_t tid = 0;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, report_tid, &tid), 0);
	while (!__atomic_load_n(&tid, __ATOMIC_ACQUIRE))
		usleep(1000);

	struct ml_process *process = open_process(tid);

	assert_int_equal(ml_process_pid(process), getpid());
	ml_process_close(process);
	pthread_cancel(thread);
	pthread_join(thread, NULL);
}

static void sees_the_end(void **state)
{
	pid_t pid = start_sleeper();
	struct ml_process *process = open_process(pid);
	struct pollfd end = {.fd = ml_process_pidfd(process), .events = POLLIN};
	struct ml_maps maps;
	char byte;

	assert_true(ml_process_is_alive(process));
	kill(pid, SIGKILL);
	assert_int_equal(poll(&end, 1, 5000), 1);
	assert_false(ml_process_is_alive(process));
	assert_int_equal(waitpid(pid, NULL, 0), pid);

	ML_ERROR_CLEANUP struct ml_error *error = ml_process_maps(process, &maps);
	ML_ERROR_CLEANUP struct ml_error *refresh = ml_process_refresh(process);

	assert_int_equal(ml_error_kind(error), ML_ERROR_TARGET);
	assert_int_equal(ml_error_kind(refresh), ML_ERROR_TARGET);
	assert_false(ml_process_read(process, (uintptr_t)&byte, &byte, 1));
	ml_process_close(process);
}

static void reads_memory_or_nothing(void **state)
{
	static const char text[] = "twenty-three";
	struct ml_process *process = open_process(getpid());
	char buffer[sizeof(text)];
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *pages =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(munmap(pages + page, page), 0);
	assert_true(ml_process_read(process, (uintptr_t)text, buffer, sizeof(buffer)));
	assert_string_equal(buffer, text);
	assert_true(ml_process_read(process, (uintptr_t)pages + page - 4, buffer, 4));
	assert_false(ml_process_read(process, (uintptr_t)pages + page - 4, buffer, 5));
	assert_false(ml_process_read(process, 0, buffer, 1));
	assert_false(ml_process_read(process, UINT64_MAX, buffer, 1));
	munmap(pages, page);
	ml_process_close(process);
}

static void opens_the_file_behind_its_code(void **state)
{
	struct ml_process *process = open_process(getpid());
	struct ml_maps maps;
	struct stat mapped, exe;
	int fd = -1;

	assert_null(ml_process_maps(process, &maps));
	assert_null(ml_process_open_mapping(process, ml_maps_find(&maps, (uintptr_t)knows_itself),
					    &fd));
	assert_int_equal(fstat(fd, &mapped), 0);
	assert_int_equal(stat("/proc/self/exe", &exe), 0);
	assert_int_equal(mapped.st_ino, exe.st_ino);
	close(fd);

	ML_ERROR_CLEANUP struct ml_error *error =
		ml_process_open_mapping(process, ml_maps_find(&maps, (uintptr_t)&fd), &fd);

	assert_int_equal(ml_error_kind(error), ML_ERROR_UNSUPPORTED);
	assert_string_equal(ml_error_message(error), "[stack] has no file behind it");
	ml_maps_deinit(&maps);
	ml_process_close(process);
}

/* A file of one page that holds @p letter; the descriptor is the caller's. */
static int make_file(const char *path, char letter)
{
	char page[4096];
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	memset(page, letter, sizeof(page));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	return fd;
}

static void never_takes_another_file_for_the_mapped_one(void **state)
{
	char folder[] = "/tmp/memleak-test-XXXXXX";
	char path[64], letter = 0;
	struct ml_process *process = open_process(getpid());
	struct ml_maps maps;
	int fd = -1;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/a b", folder);

	int old = make_file(path, 'o');
	char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, old, 0);

	assert_int_equal(unlink(path), 0);

	int new = make_file(path, 'n');

	assert_null(ml_process_maps(process, &maps));

	struct ml_mapping mapping = *ml_maps_find(&maps, (uintptr_t)page);

	assert_true(mapping.is_deleted);
	assert_string_equal(mapping.path, path);

	ML_ERROR_CLEANUP struct ml_error *error = ml_process_open_mapping(process, &mapping, &fd);

	/* Root gets the very file although its name is another's now; others get no file at all. */
	if (!error) {
		assert_int_equal(pread(fd, &letter, 1, 0), 1);
		assert_int_equal(letter, 'o');
		close(fd);
	}
	/* With an address that is not mapped only the path is left, and its inode is wrong. */
	mapping.start = 0x1000;
	mapping.end = 0x2000;
	ml_error_free(error);
	error = ml_process_open_mapping(process, &mapping, &fd);
	assert_non_null(strstr(ml_error_message(error), "is another file now"));
	unlink(path);
	rmdir(folder);
	close(old);
	close(new);
	munmap(page, 4096);
	ml_maps_deinit(&maps);
	ml_process_close(process);
}

static void assert_not_opened(const struct ml_process *process, const char *path, const char *why)
{
	int fd = -1;
	ML_ERROR_CLEANUP struct ml_error *error = ml_process_open_file(process, path, &fd);

	assert_non_null(error);
	assert_int_equal(fd, -1);
	if (!strstr(ml_error_message(error), why))
		fail_msg("\"%s\" does not say \"%s\"", ml_error_message(error), why);
}

static void opens_regular_files_only(void **state)
{
	struct ml_process *process = open_process(getpid());
	char folder[] = "/tmp/memleak-test-XXXXXX";
	char fifo[64];
	int fd = -1;

	assert_non_null(mkdtemp(folder));
	snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_null(ml_process_open_file(process, "/etc/passwd", &fd));
	close(fd);
	assert_not_opened(process, fifo, "is not a regular file");
	assert_not_opened(process, "/dev/null", "is not a regular file");
	assert_not_opened(process, "/", "is not a regular file");
	assert_not_opened(process, "/no\x1bsuch", "/no\\x1bsuch");
	assert_not_opened(process, "/proc/self/exe", "Too many levels"); /* a magic link */
	unlink(fifo);
	rmdir(folder);
	ml_process_close(process);
}

/* Root reads more than the process it looks at: what is passed on must not be that. */
static void opens_what_the_process_may_read(void **state)
{
	char folder[] = "/tmp/memleak-test-XXXXXX", file[64];
	struct ml_process *process;
	int fd = -1;

	if (geteuid())
		skip();
	assert_non_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/file", folder);
	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);
	assert_true(fd >= 0);
	close(fd);
	fd = -1;

	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	process = open_process(pid);
	assert_null(ml_process_open_readable(process, file, &fd)); /* it is root, too */
	close(fd);
	fd = -1;
	ml_process_close(process);
	end_child(pid);

	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (setgid(65534) || setuid(65534) || write(ready[1], "", 1) != 1)
			_exit(1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	process = open_process(pid);
	assert_null(ml_process_open_readable(process, "/etc/passwd", &fd));
	close(fd);
	fd = -1;
	for (int step = 0; step < 3; step++) {
		/* By the folder's mode, by the file's, and by that of our group, which is 0. */
		assert_int_equal(chmod(folder, step == 0 ? 0700 : 0755), 0);
		assert_int_equal(chmod(file, step == 0 ? 0644 : step == 1 ? 0600 : 0640), 0);

		ML_ERROR_CLEANUP struct ml_error *error =
			ml_process_open_readable(process, file, &fd);

		assert_non_null(error);
		assert_int_equal(fd, -1);
	}
	assert_int_equal(access("/root", W_OK), 0); /* we are who we were */
	fd = open(file, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
	close(ready[0]);
	close(ready[1]);
	ml_process_close(process);
	end_child(pid);
	unlink(file);
	rmdir(folder);
}

/* A process whose root is @p folder. */
static pid_t start_in_root(const char *folder)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);

	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (chroot(folder) || chdir("/") || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void stays_inside_the_root_of_the_process(void **state)
{
	if (geteuid() != 0)
		skip();

	char folder[] = "/tmp/memleak-test-XXXXXX";
	char inside[64], out[64], up[64], letter = 0;
	int fd = -1;

	assert_non_null(mkdtemp(folder));
	snprintf(inside, sizeof(inside), "%s/passwd", folder);
	snprintf(out, sizeof(out), "%s/out", folder);
	snprintf(up, sizeof(up), "%s/up", folder);
	close(make_file(inside, 'i'));
	assert_int_equal(symlink("/passwd", out), 0);
	assert_int_equal(symlink("../../../../etc/passwd", up), 0);

	pid_t pid = start_in_root(folder);
	struct ml_process *process = open_process(pid);

	assert_null(ml_process_open_file(process, "/out", &fd));
	assert_int_equal(pread(fd, &letter, 1, 0), 1);
	assert_int_equal(letter, 'i');
	close(fd);
	fd = -1;
	assert_not_opened(process, "/up", "No such file");
	assert_not_opened(process, "/../../etc/passwd", "No such file");

	/* A path printed from our root, as maps does, is found below the other root. */
	struct stat info;
	struct ml_mapping mapping = {.start = 0x1000, .end = 0x2000, .path = inside};

	assert_int_equal(stat(inside, &info), 0);
	mapping.inode = info.st_ino;
	assert_null(ml_process_open_mapping(process, &mapping, &fd));
	close(fd);
	ml_process_close(process);
	end_child(pid);
	unlink(up);
	unlink(out);
	unlink(inside);
	rmdir(folder);
}

static void reads_status_and_stat_texts(void **state)
{
	static const char status[] =
		"Name:\tTgid: 7\nTgid:\t42\nNSpid:\t42\t7\t1\nEmpty:\t\nLast:\t9";
	struct ml_proc_stat stat = {0};

	assert_int_equal(ml_proc_status_number(status, "Tgid:", 0, -1), 42);
	assert_int_equal(ml_proc_status_number(status, "NSpid:", 0, -1), 42);
	assert_int_equal(ml_proc_status_number(status, "NSpid:", 1, -1), 7);
	assert_int_equal(ml_proc_status_number(status, "NSpid:", 3, -1), -1);
	assert_int_equal(ml_proc_status_number(status, "NSpid:", -1, -1), 1);
	assert_int_equal(ml_proc_status_number(status, "Empty:", 0, -1), -1);
	assert_int_equal(ml_proc_status_number(status, "Empty:", -1, -1), -1);
	assert_int_equal(ml_proc_status_number(status, "Last:", 0, -1), 9);
	assert_int_equal(ml_proc_status_number(status, "Missing:", 0, -1), -1);
	assert_true(ml_proc_stat_parse("7 (a) b (c) S 1 7 7 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 3 0 "
				       "987654321 0 0",
				       &stat));
	assert_int_equal(stat.state, 'S');
	assert_true(stat.is_kernel);
	assert_int_equal(stat.threads, 3);
	assert_int_equal(stat.start_time, 987654321);
	assert_int_equal(stat.heap_start, 0);
	assert_true(ml_proc_stat_parse("7 (a) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 9 23 24 "
				       "18446744073709551615 26 27 28 29 30 31 32 33 34 35 36 37 "
				       "38 39 40 41 42 43 44 45 46 94000000000000 48",
				       &stat));
	assert_int_equal(stat.heap_start, 94000000000000);
	assert_false(ml_proc_stat_parse("7 (a) S 1 2", &stat));
	assert_false(ml_proc_stat_parse("", &stat));
	assert_int_equal(ml_proc_tgid(getpid()), getpid());
	assert_int_equal(ml_proc_tgid(INT_MAX), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_itself),
		cmocka_unit_test(reads_a_hostile_name_again),
		cmocka_unit_test(refuses_numbers_that_are_no_pids),
		cmocka_unit_test(refuses_a_zombie),
		cmocka_unit_test(refuses_when_the_main_thread_is_gone),
		cmocka_unit_test(refuses_a_kernel_thread),
		cmocka_unit_test(says_whose_process_it_is),
		cmocka_unit_test(turns_a_thread_into_its_process),
		cmocka_unit_test(sees_the_end),
		cmocka_unit_test(reads_memory_or_nothing),
		cmocka_unit_test(opens_the_file_behind_its_code),
		cmocka_unit_test(never_takes_another_file_for_the_mapped_one),
		cmocka_unit_test(opens_regular_files_only),
		cmocka_unit_test(opens_what_the_process_may_read),
		cmocka_unit_test(stays_inside_the_root_of_the_process),
		cmocka_unit_test(reads_status_and_stat_texts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
