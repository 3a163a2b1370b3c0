/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The agent's ways in and out, instruction by instruction: the processor's trap flag is set, and at
 * each instruction of the agent a signal handler allocates, frees, or leaves by a jump. Afterwards
 * the books must be right, and the registers of the call what they were.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#include <cmocka.h>

#include "own_agent.h"

uint64_t entry_called, entry_steps, entry_argument;
/* Calls @function with @argument and all registers at known values, with the trap flag when
 * entry_steps; its result. *@changed tells how many of those that must stay did not. */
uint64_t entry_call(const void *function, uint64_t argument, uint64_t *changed);

__asm__(".pushsection .text\n"
	"entry_call: .cfi_startproc\n"
	".irp r, rbx, rbp, r12, r13, r14, r15, rdx\n"
	"	push %\\r; .cfi_adjust_cfa_offset 8; .cfi_rel_offset \\r, 0\n"
	".endr\n"
	"push $0; sub $8, %rsp; .cfi_adjust_cfa_offset 16\n"
	"mov %rdi, entry_called(%rip)\n"
	"mov %rsi, entry_argument(%rip)\n"
	"mov %rsi, %rdi\n"
	"cmpq $0, entry_steps(%rip); je 1f\n"
	"pushf; orq $0x100, (%rsp); popf\n"
	"1:\n"
	".set value, 0x11\n"
	".irp r, rax, rbx, rcx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15\n"
	"	mov $value, %\\r\n"
	"	.set value, value + 1\n"
	".endr\n"
	"call *entry_called(%rip)\n"
	"pushf; andq $~0x100, (%rsp); popf\n"
	"add $8, %rsp; .cfi_adjust_cfa_offset -8\n"
	".set value, 0x12\n"
	".irp r, rbx, rcx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15\n"
	"	cmp $value, %\\r; je 1f; incq (%rsp); 1:\n"
	"	.set value, value + 1\n"
	".endr\n"
	"cmp entry_argument(%rip), %rdi; je 1f; incq (%rsp); 1:\n"
	"pop %rcx; .cfi_adjust_cfa_offset -8\n"
	"pop %rdx; .cfi_adjust_cfa_offset -8\n"
	"mov %rcx, (%rdx)\n"
	".irp r, r15, r14, r13, r12, rbp, rbx\n"
	"	pop %\\r; .cfi_adjust_cfa_offset -8; .cfi_restore \\r\n"
	".endr\n"
	"ret; .cfi_endproc\n"
	".popsection\n");

/* ---- interruptions ----------------------------------------------------------------------------
 */

static void (*interrupt)(void); /* at each instruction of the agent */
static uint32_t steps, next_block;
static uint64_t made, live; /* what the books must say */
static sigjmp_buf left;
static uint32_t leaves_at; /* which instruction */

static void on_step(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *at = context;
	void *next = bench_next;

	(void)signal;
	(void)info;
	if ((uint64_t)at->uc_mcontext.gregs[REG_RIP] - agent_code.start >= agent_code.size)
		return;
	steps++;
	interrupt();
	bench_next = next;
}

static void *take(size_t size)
{
	bench_next = address_of(++next_block, 48);
	made++;
	live++;
	return bench_malloc(size);
}

static void give(void *block)
{
	live--;
	bench_free(block);
}

static void nothing(void)
{
}

static void keep(void)
{
	take(40);
}

static void take_and_give(void)
{
	give(take(40));
}

/* One of some addresses in turn: their places are remembered. */
static void take_again(void)
{
	bench_next = address_of(1000000 + steps % 16, 64);
	bench_free(bench_malloc(24));
	made++;
}

static void leave(void)
{
	if (steps == leaves_at)
		siglongjmp(left, 1);
}

/* ---- the books --------------------------------------------------------------------------------
 */

static uint64_t booked_live(void)
{
	uint64_t n = 0;

	for (uint32_t i = 1; i <= memory->line_count; i++)
		for (uint32_t k = 0; k < ML_AGENT_LINE_BLOCKS; k++)
			n += memory->lines[i].key[k] >> 31;
	return n;
}

/* Of tables that are no thread's own: one who leaves by a jump at the wrong instruction costs the
 * room for a block, and nothing else. */
static void check_none_is_claimed(void)
{
	for (uint32_t i = 1; i <= memory->line_count; i++)
		for (uint32_t k = 0; k < ML_AGENT_LINE_BLOCKS; k++)
			assert_int_not_equal(memory->lines[i].key[k], ML_AGENT_KEY_BUSY);
}

static uint64_t booked_made(void)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < ML_AGENT_STACKS; i++)
		n += memory->sites[i].allocs;
	for (uint32_t i = 0; i < ML_AGENT_THREADS; i++)
		for (uint32_t k = 0; memory->threads[i].pointer && k < ML_AGENT_TRACES; k++)
			n += memory->memos[i].traces[k].allocs;
	return n;
}

/* No thread is seen to be in a call or at its traces. */
static void check_idle(void)
{
	for (uint32_t i = 0; i < ML_AGENT_THREADS; i++) {
		assert_int_equal(memory->threads[i].call, 0);
		assert_int_equal(memory->threads[i].walker, 0);
	}
}

static void check_books(void)
{
	check_idle();
	check_none_is_claimed();
	assert_int_equal(booked_live(), live);
	assert_int_equal(booked_made(), made);
}

/* ---- calls ------------------------------------------------------------------------------------
 */

/* malloc, its stack met before or not, and free, of a block whose place is remembered or not. */
static void call_pair(uint32_t block)
{
	uint64_t changed;

	bench_next = address_of(block, 48);
	made++;
	live++;
	assert_int_equal(entry_call((void *)bench_malloc, 32, &changed),
			 (uint64_t)address_of(block, 48));
	assert_int_equal(changed, 0);
	live--;
	assert_int_equal(entry_call((void *)bench_free, (uint64_t)address_of(block, 48), &changed),
			 0x11);
	assert_int_equal(changed, 0);
}

static void *zero(size_t count, size_t size)
{
	(void)count, (void)size;
	return bench_next;
}

static void *resize(void *block, size_t size)
{
	(void)block, (void)size;
	return bench_next;
}

/* realloc of a block, from where it is to @to. */
static void call_realloc(uint32_t block, void *to)
{
	uint64_t changed;

	bench_next = to;
	assert_int_equal(
		entry_call((void *)bench_realloc, (uint64_t)address_of(block, 48), &changed),
		(uint64_t)to);
	assert_int_equal(changed, 0);
}

/* Some bytes from calloc. The second argument is what the register has. */
static void call_calloc(uint32_t block)
{
	uint64_t changed;

	bench_zero = zero;
	bench_next = address_of(block, 48);
	made++;
	live++;
	assert_int_equal(entry_call((void *)bench_calloc, 2, &changed),
			 (uint64_t)address_of(block, 48));
	assert_int_equal(changed, 0);
}

static void call_calloc_and_free(uint32_t block)
{
	call_calloc(block);
	give(address_of(block, 48));
}

/* realloc of a block to another place, to none, for there is no memory, and in its place. */
static void move(uint32_t block)
{
	bench_resize = resize;
	made += 2;
	call_realloc(block, address_of(block + 1, 48));
	call_realloc(block + 1, NULL);
	call_realloc(block + 1, address_of(block + 1, 48));
	give(address_of(block + 1, 48));
}

static void call_realloc_once(uint32_t block)
{
	bench_resize = resize;
	bench_next = address_of(block, 48);
	bench_malloc(32);
	call_realloc(block, address_of(block + 1, 48));
	bench_free(address_of(block + 1, 48));
}

static void call_others(uint32_t block)
{
	call_calloc(block);
	move(block);
}

static void run_interrupted(uint32_t rounds)
{
	(void)rounds;
	entry_steps = 1;
	for (uint32_t i = 0; i < 5; i++) {
		steps = 0;
		call_others(400000);
	}
	for (uint32_t i = 0; i < 3; i++) {
		steps = 0;
		call_pair(500000);
		/* It is short, unless what interrupts it changes what is remembered. */
		assert_true(steps > 60);
	}
	/* It was not booked: freed long ago, or never given out. */
	live++;
	give(address_of(600000, 48));
	call_pair(0);
	entry_steps = 0;
	call_pair(500000);
}

static void interrupted_by(void (*what)(void))
{
	struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_NODEFER};

	interrupt = what;
	sigaction(SIGTRAP, &action, NULL);
	bench_outermost(1, run_interrupted);
	check_books();
}

static void test_registers_stay(void **state)
{
	(void)state;
	interrupted_by(nothing);
	/* Two walks at most: the stack is known then. */
	assert_int_equal(memory->counters[ML_COUNTER_RETURNS_LOST], 0);
}

static void test_handlers_that_allocate(void **state)
{
	(void)state;
	interrupted_by(keep);
}

static void test_handlers_that_allocate_and_free(void **state)
{
	(void)state;
	interrupted_by(take_and_give);
	interrupted_by(take_again);
}

/* Three blocks, from further in than the call that was left: so it is seen that it was. */
__attribute__((noinline)) static void take_further_in(void)
{
	volatile char room[1024];

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = 0;
	for (uint32_t i = 1; i <= 3; i++) {
		bench_next = address_of(700000 + i, 48);
		bench_malloc(32);
		assert_int_equal(booked_live(), i);
	}
}

/* Whether the handler left @calls at the instruction @at. */
__attribute__((noinline)) static bool is_left_at(void (*calls)(uint32_t block), uint32_t at)
{
	leaves_at = at;
	steps = 0;
	if (sigsetjmp(left, 1)) {
		entry_steps = 0;
		return true;
	}
	entry_steps = 1;
	calls(700000);
	entry_steps = 0;
	return false;
}

/* After so many walks a stack is remembered. */
#define MEETINGS 3

/* Each instruction of the short ways in turn, once the stack is known. The block of a call that was
 * left may be in the books or not; it is freed in either case. How many instructions there are. */
static uint32_t leave_each(void (*calls)(uint32_t block))
{
	bool is_left = true;
	uint32_t at = 0;

	for (uint32_t i = 0; is_left && at < 1000; i++) {
		at = i < MEETINGS ? 0 : i - MEETINGS + 1;
		is_left = is_left_at(calls, at) || !at;
		bench_free(address_of(700000, 48));
		bench_free(address_of(700001, 48));
		take_further_in();
		for (uint32_t k = 1; k <= 3; k++)
			bench_free(address_of(700000 + k, 48));
		assert_int_equal(booked_live(), 0);
		/* What was left is forgotten by then. */
		calls(700000);
	}
	return at;
}

static void run_left(uint32_t rounds)
{
	(void)rounds;
	assert_in_range(leave_each(call_pair), 60, 400);
	assert_in_range(leave_each(call_calloc_and_free), 30, 300);
	assert_in_range(leave_each(call_realloc_once), 60, 300);
}

static void test_handlers_that_jump_out(void **state)
{
	struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_NODEFER};

	(void)state;
	interrupt = leave;
	sigaction(SIGTRAP, &action, NULL);
	bench_outermost(1, run_left);
}

/* ---- sampling by bytes ------------------------------------------------------------------------
 */

/* Most pairs of 32 bytes are kept, or none of a test's. */
#define MEAN_FEW  64u
#define MEAN_MANY (1u << 30)

static const uint64_t *sieve_word(const void *block)
{
	const struct ml_agent_data *data =
		(const void *)(agent_code.start - ML_AGENT_IMAGE_CODE + ML_AGENT_IMAGE_DATA);

	return &data->sieve[ml_agent_sieve_word((uint64_t)block)];
}

static bool is_in_sieve(const void *block)
{
	return *sieve_word(block) >> ml_agent_sieve_bit((uint64_t)block) & 1;
}

/* What was kept of all blocks that handlers took is found when it is freed. */
static void check_all_found(void)
{
	while (next_block)
		bench_free(address_of(next_block--, 48));
	check_idle();
	assert_int_equal(booked_live(), 0);
	for (uint32_t i = 0; i < ML_AGENT_FILTER; i++)
		assert_int_equal(memory->filter[i], 0);
}

static void run_sampled(uint32_t rounds)
{
	entry_steps = 1;
	for (uint32_t i = 0; i < rounds; i++)
		call_pair(500000);
	entry_steps = 0;
}

static void run_others(uint32_t rounds)
{
	entry_steps = 1;
	for (uint32_t i = 0; i < rounds; i++)
		call_others(500000);
	entry_steps = 0;
}

static void sampled_interrupted_by(void (*what)(void))
{
	struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_NODEFER};

	interrupt = what;
	sigaction(SIGTRAP, &action, NULL);
	bench_outermost(16, run_sampled);
	bench_outermost(16, run_others);
	check_all_found();
}

static void test_most_pass(void **state)
{
	(void)state;
	configure(MEAN_MANY);
	sampled_interrupted_by(nothing);
	/* The first free finds the sieve full. */
	assert_false(is_in_sieve(address_of(500000, 48)));
	steps = 0;
	bench_outermost(1, run_sampled);
	assert_in_range(steps, 10, 50);
	steps = 0;
	bench_outermost(1, run_others);
	assert_in_range(steps, 40, 240);
	sampled_interrupted_by(keep);
	sampled_interrupted_by(take_and_give);
	sampled_interrupted_by(take_again);
}

static void test_some_are_kept(void **state)
{
	(void)state;
	configure(MEAN_FEW);
	sampled_interrupted_by(nothing);
	sampled_interrupted_by(keep);
	sampled_interrupted_by(take_and_give);
	sampled_interrupted_by(take_again);
}

/* A block that is kept is found though others of its bit in the sieve were not. */
static void test_sieve(void **state)
{
	uint32_t kept = 0;

	(void)state;
	configure(MEAN_FEW);
	for (uint32_t i = 0; i < 1000; i++) {
		void *block = address_of(i, 48);

		bench_next = block;
		bench_malloc(32);
		kept += booked_live();
		if (booked_live())
			assert_true(is_in_sieve(block));
		bench_free(block);
		bench_free(block);
		assert_int_equal(booked_live(), 0);
		assert_false(is_in_sieve(block));
	}
	assert_in_range(kept, 200, 600);
}

/* As of C libraries that have only malloc: what these functions do by it is theirs. */
static void *zero_by_malloc(size_t count, size_t size)
{
	return bench_malloc(count * size);
}

static void *resize_by_malloc(void *block, size_t size)
{
	void *moved = bench_malloc(size);

	bench_free(block);
	return moved;
}

/* How many of a thousand blocks of 32 bytes are kept. */
static uint32_t count_kept(void *(*make)(uint32_t i))
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < 1000; i++) {
		bench_next = address_of(1000 + i, 48);

		void *block = make(i);

		assert_ptr_equal(block, address_of(1000 + i, 48));
		assert_in_range(booked_live(), 0, 1);
		kept += booked_live();
		bench_free(block);
		assert_int_equal(booked_live(), 0);
	}
	return kept;
}

static void *make_by_calloc(uint32_t i)
{
	(void)i;
	return bench_calloc(2, 16);
}

static void *make_by_realloc(uint32_t i)
{
	return bench_realloc(address_of(i, 48), 32);
}

/* Each has one chance of 1 - e^(-1/2), by the function or by what it calls. */
static void test_nested_calls(void **state)
{
	(void)state;
	configure(MEAN_FEW);
	memory->is_static = 1;
	bench_zero = zero;
	bench_resize = resize;
	assert_in_range(count_kept(make_by_calloc), 300, 490);
	assert_in_range(count_kept(make_by_realloc), 300, 490);
	bench_zero = zero_by_malloc;
	bench_resize = resize_by_malloc;
	assert_in_range(count_kept(make_by_calloc), 300, 490);
	assert_in_range(count_kept(make_by_realloc), 300, 490);
}

/* Left anywhere, a thread has as far to go to its next point as before, or less by the call. */
static void run_sampled_left(uint32_t rounds)
{
	const struct ml_agent_thread *thread = memory->threads;
	uint32_t at = 1;
	uint64_t budget;

	(void)rounds;
	bench_free(address_of(700000, 48));
	while (!thread->pointer)
		thread++;
	do
		budget = thread->byte_budget;
	while (is_left_at(call_pair, at++) && budget - thread->byte_budget <= 32);
	assert_in_range(at, 10, 50);
	assert_int_equal(budget - thread->byte_budget, 32);
}

static void test_sampled_handlers_that_jump_out(void **state)
{
	struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_NODEFER};

	(void)state;
	configure(MEAN_MANY);
	bench_outermost(2, run_sampled);
	interrupt = leave;
	sigaction(SIGTRAP, &action, NULL);
	bench_outermost(1, run_sampled_left);
}

/* The agent in this process, its books empty. */
static int set_up(void **state)
{
	(void)state;
	made = live = 0;
	next_block = 0;
	return begin();
}

static int tear_down(void **state)
{
	(void)state;
	return unload();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_registers_stay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_handlers_that_allocate, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_handlers_that_allocate_and_free, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_handlers_that_jump_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_most_pass, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_some_are_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sieve, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nested_calls, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sampled_handlers_that_jump_out, set_up,
						tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
