/* SPDX-License-Identifier: BSD-2-Clause */
/** Filters of system calls: what they answer to calls that are partly known; noticing new ones. */
#include "inject/filter_program.h"
#include "inject/filter_trial.h"
#include "inject/filter_watch.h"
#include "shared/agent_abi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LENGTH(code)   (sizeof(code) / sizeof(*(code)))
#define LOAD(field)    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define WHEN(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (n), 0)
#define ANSWER(value)  BPF_STMT(BPF_RET | BPF_K, (value))
#define ALLOW          SECCOMP_RET_ALLOW
#define KILL           SECCOMP_RET_KILL_PROCESS

static const struct ml_filter_call tgkill_call = {
	.number = SYS_tgkill,
	.arguments = {77},
	.unknown = ML_FILTER_UNKNOWN_ARGUMENT(1),
};

static uint32_t ask(const struct sock_filter *code, size_t count)
{
	return ml_filter_program_answer(code, count, &tgkill_call);
}

static void test_known_words(void **state)
{
	const struct sock_filter code[] = {
		LOAD(arch),          WHEN(AUDIT_ARCH_X86_64, 1),
		ANSWER(KILL),        LOAD(nr),
		WHEN(SYS_tgkill, 1), ANSWER(KILL),
		LOAD(args[0]),       WHEN(77, 1),
		ANSWER(KILL),        LOAD(args[2]),
		WHEN(0, 1),          ANSWER(KILL),
		ANSWER(ALLOW),
	};

	assert_int_equal(ask(code, LENGTH(code)), ALLOW);
	assert_int_equal(ask(code + 3, LENGTH(code) - 3), ALLOW);
	assert_int_equal(ask(code, LENGTH(code) - 1), KILL);
	assert_int_equal(ask(code, 0), KILL);
}

/* Both ways are gone, and the stricter answer is taken, wherever it stands. */
static void test_unknown_word(void **state)
{
	const struct sock_filter code[] = {
		LOAD(args[1]),
		WHEN(5, 1),
		ANSWER(ALLOW),
		ANSWER(SECCOMP_RET_ERRNO | 1),
	};
	const struct sock_filter same[] = {
		LOAD(args[1]),
		WHEN(5, 1),
		ANSWER(ALLOW),
		ANSWER(ALLOW),
	};
	const struct sock_filter place[] = {
		LOAD(instruction_pointer),
		WHEN(5, 1),
		ANSWER(KILL),
		ANSWER(ALLOW),
	};

	assert_int_equal(ask(code, LENGTH(code)), SECCOMP_RET_ERRNO | 1);
	assert_int_equal(ask(same, LENGTH(same)), ALLOW);
	assert_int_equal(ask(place, LENGTH(place)), KILL);
}

/* Behind the place where two ways meet only what both have is known. */
static void test_ways_that_meet(void **state)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LDX | BPF_IMM, 1),
		LOAD(args[1]),
		WHEN(5, 1),
		BPF_STMT(BPF_LDX | BPF_IMM, 2),
		BPF_STMT(BPF_MISC | BPF_TXA, 0),
		WHEN(1, 1),
		ANSWER(SECCOMP_RET_TRAP),
		LOAD(args[0]),
		WHEN(77, 1),
		ANSWER(KILL),
		ANSWER(ALLOW),
	};

	assert_int_equal(ask(code, LENGTH(code)), SECCOMP_RET_TRAP);
}

static void test_calculation(void **state)
{
	const struct sock_filter code[] = {
		LOAD(args[0]),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf),
		BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 4),
		BPF_STMT(BPF_ST, 3),
		BPF_STMT(BPF_LD | BPF_IMM, 0),
		BPF_STMT(BPF_LDX | BPF_MEM, 3),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
		WHEN(0xd0, 1),
		ANSWER(KILL),
		BPF_STMT(BPF_LD | BPF_LEN, 0),
		WHEN(sizeof(struct seccomp_data), 1),
		ANSWER(KILL),
		ANSWER(SECCOMP_RET_LOG),
	};

	assert_int_equal(ask(code, LENGTH(code)), SECCOMP_RET_LOG);
}

static void test_no_filter(void **state)
{
	const struct sock_filter behind[] = {BPF_STMT(BPF_JMP | BPF_JA, 9), ANSWER(ALLOW)};
	const struct sock_filter outside[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64),
					      ANSWER(ALLOW)};
	const struct sock_filter by_zero[] = {BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0),
					      ANSWER(ALLOW)};
	const struct sock_filter slot[] = {BPF_STMT(BPF_ST, 99), ANSWER(ALLOW)};

	assert_int_equal(ask(behind, LENGTH(behind)), KILL);
	assert_int_equal(ask(outside, LENGTH(outside)), KILL);
	assert_int_equal(ask(by_zero, LENGTH(by_zero)), KILL);
	assert_int_equal(ask(slot, LENGTH(slot)), KILL);
}

static void test_strictest_of_all(void **state)
{
	struct sock_filter allow[] = {ANSWER(ALLOW)}, fail[] = {ANSWER(SECCOMP_RET_ERRNO | 38)};
	struct sock_filter kill_thread[] = {ANSWER(SECCOMP_RET_KILL_THREAD)};
	struct sock_filter kill_all[] = {ANSWER(KILL)};
	struct ml_filter_program programs[] = {
		{allow, 1}, {fail, 1}, {kill_all, 1}, {kill_thread, 1}};
	ml_filter_chain chain = {.items = programs};

	assert_int_equal(ml_filter_chain_answer(&chain, &tgkill_call), ALLOW);
	chain.count = 2;
	assert_int_equal(ml_filter_chain_answer(&chain, &tgkill_call), SECCOMP_RET_ERRNO | 38);
	chain.count = 4;
	assert_int_equal(ml_filter_chain_answer(&chain, &tgkill_call), KILL);
}

/* ---- our own -----------------------------------------------------------------------------------
 */

/* Whoever makes the call is killed, or gets an error. */
static void forbid(unsigned int number, unsigned int value)
{
	struct sock_filter code[] = {LOAD(nr), WHEN(number, 1), ANSWER(ALLOW), ANSWER(value)};
	const struct sock_fprog program = {LENGTH(code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(99);
}

/* What ml_filter_try() finds in a process with that filter: its calls, or 0xff for a refusal. */
static int denied_under(unsigned int number, unsigned int value)
{
	int status;
	pid_t child = fork();

	if (!child) {
		uint32_t denied = 0;

		if (number)
			forbid(number, value);
		_exit(ml_filter_try(getpid(), &denied) ? 0xff : (int)denied);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_trial(void **state)
{
	assert_int_equal(denied_under(0, 0), 0);
	assert_int_equal(denied_under(SYS_gettid, KILL),
			 ML_AGENT_CALL_GETTID | ML_AGENT_CALL_TGKILL);
	assert_int_equal(denied_under(SYS_rt_sigprocmask, SECCOMP_RET_ERRNO | 22),
			 ML_AGENT_CALL_RT_SIGPROCMASK);
	assert_int_equal(denied_under(SYS_futex, SECCOMP_RET_TRAP),
			 ML_AGENT_CALL_FUTEX | ML_AGENT_CALL_FUTEX_WAKE);
	assert_int_equal(denied_under(SYS_madvise, SECCOMP_RET_ERRNO | 1), 0xff);
	assert_int_equal(denied_under(SYS_memfd_create, KILL), 0xff);
	assert_int_equal(denied_under(SYS_memfd_create, SECCOMP_RET_ERRNO | 1), 0);
}

/* ---- new ones ----------------------------------------------------------------------------------
 */

static int told[2];

static void *wait_then_filter(void *unused)
{
	char byte;

	if (read(told[0], &byte, 1) == 1)
		forbid(SYS_acct, KILL);
	if (write(STDOUT_FILENO, "", 0) || read(told[0], &byte, 1) != 1)
		_exit(99);
	return unused;
}

/* A process whose other thread gets a filter at the first byte. */
static void live_with_thread(int ready)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, wait_then_filter, NULL) || write(ready, "", 1) != 1)
		_exit(99);
	pthread_join(thread, NULL);
	_exit(0);
}

static void test_watch(void **state)
{
	struct ml_filter_watch watch = {0};
	bool is_noticed = false;
	int ready[2];
	char byte;

	assert_false(pipe(told) || pipe(ready));

	pid_t child = fork();

	if (!child)
		live_with_thread(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	ml_filter_watch_begin(&watch, child);
	for (int i = 0; i < 10; i++)
		assert_false(ml_filter_watch_look(&watch, child));
	assert_int_equal(write(told[1], "", 1), 1);
	for (int i = 0; i < 5000 && !is_noticed; i++) {
		usleep(1000);
		is_noticed = ml_filter_watch_look(&watch, child);
	}
	assert_true(is_noticed);
	ml_filter_watch_begin(&watch, child);
	assert_false(ml_filter_watch_look(&watch, child));
	ml_filter_watch_free(&watch);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_words),    cmocka_unit_test(test_unknown_word),
		cmocka_unit_test(test_ways_that_meet), cmocka_unit_test(test_calculation),
		cmocka_unit_test(test_no_filter),      cmocka_unit_test(test_strictest_of_all),
		cmocka_unit_test(test_trial),          cmocka_unit_test(test_watch),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
