/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/python_stack.h"

void ml_python_stack_name(const struct ml_python_record *record, const struct ml_python *python,
			  struct ml_python_names *names, const struct ml_process *process,
			  struct ml_python_stack *out)
{
	out->python = python;
	out->count = 0;
	for (uint32_t i = 0; i < ML_PYTHON_DEPTH && record->frame[i].code; i++) {
		const struct ml_python_frame *frame = &record->frame[i];

		out->loop_begins[i] = frame->code & ML_PYTHON_LOOP_BEGINS;
		out->frames[i] = (struct ml_stack_frame){
			.ip = frame->instruction,
			.kind = ML_FRAME_PYTHON,
			.name = process ? ml_python_names_get(names, python, process, frame) : NULL,
		};
		out->count++;
	}
}

bool ml_python_stack_is_loop(const struct ml_python_stack *stack,
			     const struct ml_stack_frame *frame)
{
	const struct ml_python *python = stack->python;

	return frame->module && frame->module == python->module &&
	       frame->address - frame->is_call >= python->loop_start &&
	       frame->address - frame->is_call < python->loop_end;
}
