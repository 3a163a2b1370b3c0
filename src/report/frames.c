/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/frames.h"

#include "allocators/allocator.h"
#include "report/libc_frames.h"
#include "symbols/demangle.h"

/** Bytes a name may take in a line of the text report. */
#define SHORT_NAME_LIMIT 100

static bool ask_internal(struct ml_frame_namer *namer, const struct ml_stack_frame *frame)
{
	struct ml_symbol symbol;

	return ml_module_symbol_at(frame->module, frame->address - frame->is_call, &symbol) &&
	       ml_allocator_is_internal(symbol.name);
}

static bool is_internal(struct ml_frame_namer *namer, const struct ml_stack_frame *frame)
{
	/* One key for module and address; the odd factor spreads the pointer over all bits. */
	uint64_t key =
		((uint64_t)(uintptr_t)frame->module * 0x9e3779b97f4a7c15ULL) ^ frame->address;
	bool is_new;
	uint64_t *known = ml_u64map_put(&namer->internal, key, &is_new);

	if (is_new)
		*known = ask_internal(namer, frame);
	return *known;
}

size_t ml_frames_internal(struct ml_frame_namer *namer, const struct ml_stack *stack)
{
	const struct ml_report_input *input = namer->input;
	size_t count = 0;

	if (input->recorded)
		return input->recorded->internal(input->context, stack);
	while (count + 1 < stack->count && stack->frames[count].module &&
	       is_internal(namer, &stack->frames[count]))
		count++;
	return count;
}

/** The short form of @p symbol, made once a report. */
static const char *short_name(struct ml_frame_namer *namer, const char *symbol)
{
	bool is_new;
	uint64_t *known;

	known = ml_u64map_put(&namer->shortened, (uint64_t)(uintptr_t)symbol, &is_new);
	if (is_new) {
		char *made = ml_demangle_shorten(symbol, SHORT_NAME_LIMIT);

		*ml_array_push(&namer->report->strings) = made;
		*known = (uint64_t)(uintptr_t)made;
	}
	return (const char *)(uintptr_t)*known;
}

/** Takes over what the runtime says of its own function, if it said something. */
static void name_by_runtime(const struct ml_stack_frame *frame, struct ml_symbol_frames *out)
{
	if (frame->name)
		*ml_array_push(&out->list) = (struct ml_symbol_frame){
			.symbol = frame->name->symbol,
			.mangled = frame->name->symbol,
			.file = frame->name->file,
			.line = frame->name->line,
			.offset = frame->address,
			.is_inlined = frame->is_inlined,
		};
}

static const char *runtime_of(const struct ml_stack_frame *frame)
{
	return frame->kind == ML_FRAME_PYTHON ? "python"
	       : frame->kind == ML_FRAME_JAVA ? "java"
					      : "jit";
}

/** What all frames at one address have in common; fills namer->found. */
static struct ml_report_frame look_up(struct ml_frame_namer *namer, const struct ml_stack *stack,
				      const struct ml_stack_frame *frame)
{
	const struct ml_report_input *input = namer->input;
	struct ml_report_frame shown = {
		.ip = frame->ip, .address = frame->ip, .offset = frame->ip, .kind = frame->kind};

	namer->found.list.count = 0;
	shown.is_interpreter = frame->is_interpreter;
	if (frame->kind == ML_FRAME_PYTHON || frame->kind == ML_FRAME_JAVA || frame->name) {
		name_by_runtime(frame, &namer->found);
		shown.module = runtime_of(frame);
	} else if (frame->kind == ML_FRAME_KERNEL) {
		ml_symbolizer_kernel(input->symbolizer, frame->ip, &namer->found);
		shown.module = ml_symbolizer_kernel_module(input->symbolizer, frame->ip);
	} else if (frame->module) {
		ml_symbolizer_lookup(input->symbolizer, frame->module, frame->address,
				     frame->is_call, &namer->found);
		shown.module = ml_module_name(frame->module);
		shown.build_id = ml_module_build_id_hex(frame->module);
		shown.module_path = ml_module_path(frame->module);
		shown.offset = shown.address = frame->address;
	} else if (frame->kind == ML_FRAME_NATIVE) {
		shown.module = "unknown";
	} else {
		pid_t inner = input->inner_pid ? input->inner_pid(input->context, stack->pid)
					       : stack->pid;

		ml_symbolizer_jit(input->symbolizer, stack->pid, inner, frame->ip, &namer->found);
		shown.module = "jit";
	}
	return shown;
}

/** How many of the frames found are allocator glue inlined into the site's owner. */
static size_t inlined_internal(const struct ml_symbol_frames *found)
{
	size_t count = 0;

	while (count + 1 < found->list.count && found->list.items[count].is_inlined &&
	       found->list.items[count].mangled &&
	       ml_allocator_is_internal(found->list.items[count].mangled))
		count++;
	return count;
}

static void name_frame(struct ml_frame_namer *namer, const struct ml_stack *stack,
		       const struct ml_stack_frame *frame, struct ml_report_site *site)
{
	struct ml_report_frame shown = look_up(namer, stack, frame);
	size_t first = site->frames.count ? 0 : inlined_internal(&namer->found);

	if (!namer->found.list.count)
		*ml_array_push(&namer->found.list) = (struct ml_symbol_frame){0};
	for (size_t i = first; i < namer->found.list.count; i++) {
		const struct ml_symbol_frame *found = &namer->found.list.items[i];
		struct ml_report_frame *added = ml_array_push(&site->frames);

		*added = shown;
		added->file = found->file;
		added->line = found->line;
		if (!found->symbol)
			continue;
		added->symbol = found->symbol;
		added->mangled = found->mangled;
		added->short_symbol = short_name(namer, found->symbol);
		added->offset = found->offset;
		added->is_inlined = found->is_inlined;
	}
}

void ml_frames_name(struct ml_frame_namer *namer, const struct ml_stack *stack, size_t skip,
		    struct ml_report_site *site, size_t *ends)
{
	const struct ml_report_input *input = namer->input;

	if (input->recorded) {
		input->recorded->name(input->context, stack, site);
	} else {
		for (size_t i = skip; i < stack->count; i++) {
			name_frame(namer, stack, &stack->frames[i], site);
			if (ends)
				ends[i] = site->frames.count;
		}
		ml_libc_frames_name(stack, site);
	}
	ml_array_each (frame, &site->frames)
		namer->report->counters[ML_COUNTER_FRAMES_UNSYMBOLIZED] += !frame->symbol;
}

void ml_frames_deinit(struct ml_frame_namer *namer)
{
	ml_u64map_free(&namer->internal);
	ml_u64map_free(&namer->shortened);
	ml_array_free(&namer->found.list);
}
