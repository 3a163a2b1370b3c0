/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Where a thread of a target can be made to run code of ours for a moment: executable bytes behind
 * the end of a module's code, which fill its last page and which nobody runs or reads.
 */
#ifndef ML_INJECT_CALL_PLACE_H
#define ML_INJECT_CALL_PLACE_H

#include "base/error.h"
#include "inject/machine.h"
#include "target/process.h"

struct ml_call_place {
	uint64_t address;
	uint8_t bytes[ML_CALL_CODE]; /**< what stands there otherwise */
};

/** Finds one: in the vdso, else in any module. ML_ERROR_UNSUPPORTED when there is none. */
struct ml_error *ml_call_place_find(const struct ml_process *process, struct ml_call_place *out);

#endif
