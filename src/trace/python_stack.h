/* SPDX-License-Identifier: BSD-2-Clause */
/** The Python functions of one stack, named, ready to go between its native frames. */
#ifndef ML_TRACE_PYTHON_STACK_H
#define ML_TRACE_PYTHON_STACK_H

#include "model/snapshot.h"
#include "shared/trace_abi.h"
#include "trace/python_names.h"
#include "trace/python_runtime.h"

#include <stdbool.h>
#include <stdint.h>

struct ml_python_stack {
	const struct ml_python *python; /**< borrowed */
	uint32_t count;
	struct ml_stack_frame frames[ML_PYTHON_DEPTH]; /**< innermost first */
	bool loop_begins[ML_PYTHON_DEPTH]; /**< the last one that its run of the eval loop executes
					    */
};

/** Names what @p record holds; @p process is NULL when it is gone. */
void ml_python_stack_name(const struct ml_python_record *record, const struct ml_python *python,
			  struct ml_python_names *names, const struct ml_process *process,
			  struct ml_python_stack *out);

/** True when @p frame is native code of the eval loop. */
bool ml_python_stack_is_loop(const struct ml_python_stack *stack,
			     const struct ml_stack_frame *frame);

#endif
