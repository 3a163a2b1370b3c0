/* SPDX-License-Identifier: BSD-2-Clause */
/** System calls made in the name of a stopped thread. */
#include "inject/stop.h"

#include "base/clock.h"
#include "target/proc.h"
#include "target/ptrace_stop.h"

#include <sys/wait.h>

#define SPIN_NS 50000u

static struct ml_error *explain(const struct ml_stop *stop)
{
	return ml_error_new(ML_ERROR_TARGET, "process %d ended while it was being attached to",
			    stop->pid);
}

/* The code that is run restores the thread when we cannot any more. */
static struct ml_error *write_code(struct ml_stop *stop, const struct ml_call_place *place,
				   const struct user_regs_struct *registers, uint64_t mask)
{
	uint8_t code[ML_CALL_CODE];

	/* All calls of a stop find the thread in the same state. */
	if (stop->place)
		return NULL;
	ml_machine_write_call(code, registers, mask);
	if (!ml_stop_write(stop, place->address, code, sizeof(code)))
		return explain(stop);
	stop->place = place;
	return NULL;
}

void ml_stop_clear_call(struct ml_stop *stop)
{
	if (stop->place)
		ml_stop_write(stop, stop->place->address, stop->place->bytes,
			      sizeof(stop->place->bytes));
	stop->place = NULL;
}

static void keep_signal(struct ml_stopped *thread, int number)
{
	if (thread->signal_count < ML_SIGNALS_KEPT)
		thread->signals[thread->signal_count++] = (uint8_t)number;
}

/* On another processor the thread comes to its stop sooner than this process could sleep and wake;
 * where it has none, it needs this one. */
static bool wait_for_stop(struct ml_stop *stop, pid_t tid, int *status)
{
	uint64_t end_ns = ml_monotonic_ns() + SPIN_NS;
	pid_t got = 0;

	while (!stop->is_alone && !got) {
		got = waitpid(tid, status, __WALL | WNOHANG);
		stop->is_alone = !got && ml_monotonic_ns() > end_ns;
	}
	if (!got)
		got = waitpid(tid, status, __WALL);
	return got == tid && WIFSTOPPED(*status);
}

/*
 * On to the entry of the call and to its exit, by PTRACE_SYSCALL: of a thread that is stepped
 * (PTRACE_SINGLESTEP) the kernel leaves the trap flag set when its tracer dies (exit_ptrace() does
 * not call user_disable_single_step()), and it would die of SIGTRAP. Other signals than the trap,
 * which can only be stops, wait until the thread goes on.
 */
static bool run(struct ml_stop *stop, struct ml_stopped *thread, uint64_t behind,
		struct user_regs_struct *registers)
{
	int status, seen = 0;

	while (seen < 2) {
		if (ptrace(PTRACE_SYSCALL, thread->tid, NULL, NULL) ||
		    !wait_for_stop(stop, thread->tid, &status))
			return false;
		if (!ml_registers_get(thread->tid, registers))
			return false;
		if (ml_ptrace_stop_kind(status) == ML_PTRACE_SIGNAL)
			keep_signal(thread, WSTOPSIG(status));
		seen += ml_ptrace_stop_kind(status) == ML_PTRACE_SYSCALL &&
			ml_registers_ip(registers) == behind;
	}
	return true;
}

/* The signals the thread holds back. Before Linux 3.11 ptrace does not tell: then nothing changes
 * them, and signals that come between are kept. */
static bool read_mask(pid_t tid, uint64_t *mask)
{
	return !ptrace(PTRACE_GETSIGMASK, tid, (void *)sizeof(*mask), mask) ||
	       ml_proc_blocked(tid, mask);
}

/*
 * At each moment the thread may be let go of: the mask, which must not stay filled, is given back
 * by the code that the registers lead to, and is changed only while they do.
 */
struct ml_error *ml_stop_syscall(struct ml_stop *stop, const struct ml_call_place *place,
				 long number, const uint64_t arguments[6], int64_t *result)
{
	struct ml_stopped *thread = &stop->threads.items[0];
	struct user_regs_struct saved, registers;
	uint64_t mask, all = ~0ull;
	struct ml_error *error;
	bool ok;

	if (!ml_registers_get(thread->tid, &saved) || !read_mask(thread->tid, &mask))
		return explain(stop);
	error = write_code(stop, place, &saved, mask);
	if (error)
		return error;
	registers = saved;
	ml_registers_set_call(&registers, place->address, number, arguments);
	ok = ml_registers_set(thread->tid, &registers);
	ptrace(PTRACE_SETSIGMASK, thread->tid, (void *)sizeof(all), &all);
	ok = ok && run(stop, thread, place->address + ML_CALL_BYTES, &registers);
	/* Also after a failure: what was interrupted must go on as it was. */
	ptrace(PTRACE_SETSIGMASK, thread->tid, (void *)sizeof(mask), &mask);
	ml_registers_set(thread->tid, &saved);
	if (!ok)
		return explain(stop);
	*result = ml_registers_result(&registers);
	return NULL;
}
