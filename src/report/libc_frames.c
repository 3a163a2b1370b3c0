/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/libc_frames.h"

#include "elf/frame_index.h"

#include <string.h>

static bool is_libc(const struct ml_stack_frame *frame)
{
	const char *name = frame->module ? ml_module_name(frame->module) : "";

	return !strcmp(name, "libc.so.6") || !strncmp(name, "libc-2.", 7);
}

static bool has_name(const struct ml_report_frame *frame, const char *name)
{
	return frame->symbol && !strcmp(frame->symbol, name);
}

/* The offset counts from the function's start, which unwind information knows without a symbol. */
static void give_name(const struct ml_stack_frame *frame, struct ml_report_frame *shown,
		      const char *name)
{
	uint64_t start;

	if (shown->symbol || !is_libc(frame) ||
	    !ml_frame_index_function(frame->module, frame->address - frame->is_call, &start))
		return;
	shown->symbol = shown->short_symbol = name;
	shown->offset = frame->address - start;
}

/* clone3.S describes the child's part, which never returns, apart from the rest in front of it. */
#define CLONE3_HEAD_BYTES 0x40

static void name_clone3(const struct ml_stack_frame *frame, struct ml_report_frame *shown)
{
	uint64_t start, head;

	give_name(frame, shown, "clone3");
	if (!shown->symbol)
		return;
	start = frame->address - shown->offset;
	if (ml_frame_index_function(frame->module, start - 1, &head) &&
	    start - head < CLONE3_HEAD_BYTES)
		shown->offset = frame->address - head;
}

void ml_libc_frames_name(const struct ml_stack *stack, struct ml_report_site *site)
{
	if (stack->end != ML_WALK_COMPLETE || stack->count < 3 || site->frames.count < 3)
		return;

	/* From the outer end on both lists are the same frames: nothing is inlined there. */
	const struct ml_stack_frame *frame = &stack->frames[stack->count - 1];
	struct ml_report_frame *shown = &site->frames.items[site->frames.count - 1];

	if (is_libc(frame)) {
		bool is_thread = !shown->symbol || has_name(shown, "clone");

		if (!shown->symbol)
			name_clone3(frame, shown);
		if (is_thread)
			give_name(frame - 1, shown - 1, "start_thread");
	} else if (has_name(shown - 1, "__libc_start_main")) {
		give_name(frame - 2, shown - 2, "__libc_start_call_main");
	}
}
