/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The code that makes a system call and restores its thread, run the way it is when the tracer is
 * killed: by a child whose tracer ends at each step of a call.
 */
#include "inject/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK 0x1122334455667788ull
#define MASK (1ull << (SIGUSR2 - 1))

/* What the child writes, and how often it was there. */
struct shared {
	volatile uint64_t rounds, wrong;
	uint8_t *code;    /* where it is written */
	uint64_t address; /* where it runs */
};

/* Goes round with marks in registers, flags and the red zone; ends when one is not as it was. */
static void go_round(struct shared *shared)
{
	uint64_t wrong = 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_SETMASK, &set, NULL);
	for (;;) {
		__asm__ volatile("mov %[mark], %%r12\n\t"
				 "mov %[mark], %%r8\n\t"
				 "mov %[mark], %%rax\n\t"
				 "mov %[mark], %%rcx\n\t"
				 "mov %[mark], %%r11\n\t"
				 "mov %%r12, -64(%%rsp)\n\t"
				 "movq %%r12, %%xmm3\n\t"
				 "mov $2000, %%edx\n\t"
				 "std\n\t"
				 "1: dec %%edx\n\t"
				 "stc\n\t"
				 "jnc 2f\n\t"
				 "test %%edx, %%edx\n\t"
				 "jnz 1b\n\t"
				 "pushfq\n\t"
				 "pop %%rdx\n\t"
				 "cld\n\t"
				 "test $0x400, %%edx\n\t"
				 "jz 2f\n\t"
				 "cmp %%r12, %%r8\n\t"
				 "jne 2f\n\t"
				 "cmp %%r12, %%rax\n\t"
				 "jne 2f\n\t"
				 "cmp %%r12, %%rcx\n\t"
				 "jne 2f\n\t"
				 "cmp %%r12, %%r11\n\t"
				 "jne 2f\n\t"
				 "movq %%xmm3, %%rdx\n\t"
				 "cmp %%r12, %%rdx\n\t"
				 "jne 2f\n\t"
				 "cmp %%r12, -64(%%rsp)\n\t"
				 "je 3f\n\t"
				 "2: cld\n\t"
				 "mov $1, %[wrong]\n\t"
				 "3:"
				 : [wrong] "+b"(wrong)
				 : [mark] "r"(MARK)
				 : "r12", "r8", "rax", "rcx", "r11", "rdx", "xmm3", "memory", "cc");
		if (wrong)
			shared->wrong++;
		sigprocmask(SIG_SETMASK, NULL, &set);
		if (!sigismember(&set, SIGUSR2) || sigismember(&set, SIGUSR1))
			shared->wrong++;
		shared->rounds++;
	}
}

static void step(pid_t pid)
{
	int status;

	ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	waitpid(pid, &status, __WALL);
}

/* What a tool does, up to step @last, before it is killed. */
static void trace(pid_t pid, const struct shared *shared, int last)
{
	const uint64_t arguments[6] = {0, ML_AGENT_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
				       (uint64_t)-1};
	struct user_regs_struct saved, registers;
	uint64_t all = ~0ull, mask = 0;
	int status;

	ptrace(PTRACE_SEIZE, pid, NULL, (long)PTRACE_O_TRACESYSGOOD);
	ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	waitpid(pid, &status, __WALL);
	ml_registers_get(pid, &saved);
	ptrace(PTRACE_GETSIGMASK, pid, (void *)sizeof(mask), &mask);
	ml_machine_write_call(shared->code, &saved, mask);
	registers = saved;
	ml_registers_set_call(&registers, shared->address, SYS_mmap, arguments);
	if (last > 0)
		ml_registers_set(pid, &registers);
	if (last > 1)
		ptrace(PTRACE_SETSIGMASK, pid, (void *)sizeof(all), &all);
	if (last > 2)
		step(pid);
	if (last > 3)
		step(pid);
	if (last > 4)
		ptrace(PTRACE_SETSIGMASK, pid, (void *)sizeof(mask), &mask);
	if (last > 5)
		ml_registers_set(pid, &saved);
	raise(SIGKILL);
}

static void wait_rounds(const struct shared *shared, uint64_t more)
{
	uint64_t from = shared->rounds;

	for (int i = 0; i < 10000 && shared->rounds - from < more; i++)
		usleep(1000);
	assert_true(shared->rounds - from >= more);
}

static struct shared *make_shared(void)
{
	struct shared *shared = mmap(NULL, ML_AGENT_PAGE, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int file = memfd_create("code", 0);
	void *code = mmap(NULL, ML_AGENT_PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);

	assert_int_equal(ftruncate(file, ML_AGENT_PAGE), 0);
	shared->code = mmap(NULL, ML_AGENT_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	shared->address = (uintptr_t)code;
	close(file);
	return shared;
}

static void test_killed_anywhere(void **state)
{
	struct shared *shared = make_shared();
	pid_t child = fork();

	if (!child)
		go_round(shared);
	wait_rounds(shared, 10);
	for (int i = 0; i < 140; i++) {
		int status;
		pid_t tracer = fork();

		if (!tracer)
			trace(child, shared, i % 7);
		waitpid(tracer, &status, 0);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_int_equal(waitpid(child, &status, WNOHANG), 0);
		wait_rounds(shared, 10);
		assert_int_equal(shared->wrong, 0);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* What was interrupted in a system call goes back to it, as the kernel would have it. */
static void test_restart(void **state)
{
	struct user_regs_struct registers = {.rip = 0x1002, .rax = (uint64_t)-512, .orig_rax = 7};
	uint8_t code[ML_CALL_CODE];
	uint64_t words[20];

	ml_machine_write_call(code, &registers, MASK);
	memcpy(words, code + ML_CALL_CODE - sizeof(words), sizeof(words));
	assert_int_equal(words[3], MASK);
	assert_int_equal(words[4], 0x1000);
	assert_int_equal(words[5], 7);
	registers.orig_rax = (uint64_t)-1;
	ml_machine_write_call(code, &registers, MASK);
	memcpy(words, code + ML_CALL_CODE - sizeof(words), sizeof(words));
	assert_int_equal(words[4], 0x1002);
	assert_int_equal(words[5], (uint64_t)-512);
	assert_true(ml_machine_is_call(code));
	code[0] = 0;
	assert_false(ml_machine_is_call(code));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_anywhere),
		cmocka_unit_test(test_restart),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
