/* SPDX-License-Identifier: BSD-2-Clause */
/** What the steps of an injection share. */
#ifndef ML_INJECT_INJECTION_PRIVATE_H
#define ML_INJECT_INJECTION_PRIVATE_H

#include "inject/injection.h"
#include "inject/stop.h"

/* An island's slots, one a function: descriptor, two constants, stub, trampoline. */
#define ML_ISLAND_BYTES (4 * ML_AGENT_PAGE)
#define ML_SLOT_BYTES   256u
#define ML_SLOT_ENTRY   16u
#define ML_SLOT_SELF    24u
#define ML_SLOT_STUB    32u
#define ML_SLOT_CODE    64u
#define ML_ISLAND_SLOTS (ML_ISLAND_BYTES / ML_SLOT_BYTES)
/* How far a jump may go; rel32 reaches 2 GiB, the rest is for data the moved code uses. */
#define ML_ISLAND_REACH 0x70000000ull

/** Runs @p step in a process of its own and waits for it; its error comes back. */
struct ml_error *ml_step_run(struct ml_error *(*step)(void *context), void *context);

/** An address of a `syscall` instruction in @p pid, 0 when none is found. */
uint64_t ml_syscall_instruction(pid_t pid);

static inline bool ml_is_in_reach(uint64_t a, uint64_t b)
{
	return (a > b ? a - b : b - a) < ML_ISLAND_REACH;
}

#endif
