/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What an architecture must provide for the injection, beside prologue.h: src/inject/x86_64/ is the
 * one there is. Everything else in this folder knows no instruction and no register.
 */
#ifndef ML_INJECT_MACHINE_H
#define ML_INJECT_MACHINE_H

#include "inject/prologue.h"
#include "shared/agent_abi.h"
#include "shared/slot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

/* That of a function watched by its imports has these patches instead of instructions and patch. */
#define ML_SLOT_WORDS ((ML_SLOT_BYTES - ML_SLOT_CODE) / sizeof(struct ml_agent_patch))

/* ---- registers --------------------------------------------------------------------------------
 */

/** The general registers of a stopped thread; false when it is gone. */
bool ml_registers_get(pid_t tid, struct user_regs_struct *out);
bool ml_registers_set(pid_t tid, const struct user_regs_struct *registers);

/** Where stopped thread @p tid stands; 0 when it is gone. */
uint64_t ml_registers_read_ip(pid_t tid);

/** Where the thread stands. */
uint64_t ml_registers_ip(const struct user_regs_struct *registers);
void ml_registers_set_ip(struct user_regs_struct *registers, uint64_t ip);
/** The thread pointer; 0 before the C library has set it up. */
uint64_t ml_registers_thread(const struct user_regs_struct *registers);
uint64_t ml_registers_sp(const struct user_regs_struct *registers);

/** Sets up system call @p number by the instruction at @p ip. The call the thread was interrupted
 * in, if any, must not be begun again behind it. */
void ml_registers_set_call(struct user_regs_struct *registers, uint64_t ip, long number,
			   const uint64_t arguments[6]);
/** True when the thread was interrupted in a call that it would go on with by restart_syscall(2);
 * once @p registers are set it makes that call anew. */
bool ml_registers_call_anew(struct user_regs_struct *registers);
/** What a system call returned: negative errno for a failure. */
int64_t ml_registers_result(const struct user_regs_struct *registers);

/* ---- addresses --------------------------------------------------------------------------------
 */

/** Where the addresses of programs end (TASK_SIZE_MAX of the kernel). */
#define ML_ADDRESS_END 0x7ffffffff000ull

/* ---- code -------------------------------------------------------------------------------------
 */

/** Bytes of the instruction that makes a system call. */
#define ML_CALL_BYTES 2u

/** Bytes of code that makes one and restores the thread. */
#define ML_CALL_CODE 384u

/**
 * Writes code that makes the system call set up in the registers and behind it, at ML_CALL_BYTES,
 * gives a thread its @p registers and its signal @p mask back and goes on where it was interrupted:
 * should whoever stopped the thread be killed, all is well. It runs anywhere and uses no stack.
 */
void ml_machine_write_call(uint8_t code[ML_CALL_CODE], const struct user_regs_struct *registers,
			   uint64_t mask);

/** True when @p code is such code, of whatever thread. */
bool ml_machine_is_call(const uint8_t code[ML_CALL_CODE]);

/** Writes the jump that stands at @p from and leads to @p to, ML_AGENT_PATCH_BYTES long. */
void ml_machine_write_jump(uint8_t *jump, uint64_t from, uint64_t to);

/** Writes the stub of a slot at ML_SLOT_STUB: @p first is taken back, the address of the descriptor
 * pushed, and the agent entered, by the constants at ML_SLOT_SELF and ML_SLOT_ENTRY. */
void ml_machine_write_stub(uint8_t slot[ML_SLOT_BYTES], const struct ml_prologue_first *first);

/** Writes the short way @p way of the agent's @p image, whose data is at @p data in the target,
 * before the slot's trampoline; it begins by taking back @p first. */
void ml_machine_write_short(uint8_t slot[ML_SLOT_BYTES], const void *image,
			    const struct ml_agent_short *way, uint64_t data,
			    const struct ml_prologue_first *first);

/** True when @p byte is what a breakpoint puts there. */
bool ml_machine_is_trap(uint8_t byte);

/** True when @p now is the instruction @p bytes, perhaps with a breakpoint in it. */
bool ml_machine_is_same(const uint8_t *now, const uint8_t *bytes, size_t size);

/** Bytes that tell where signal handlers return to. */
#define ML_RESTORER_BYTES 9u

/** True when @p code is where signal handlers return to, by every C library's way to say so. */
bool ml_machine_is_restorer(const uint8_t code[ML_RESTORER_BYTES]);

#endif
