/* SPDX-License-Identifier: BSD-2-Clause */
#include "record/names_reader.h"

#include <limits.h>
#include <string.h>

const char *ml_names_reader_string(const struct ml_names_reader *reader, struct ml_cursor *item)
{
	uint64_t number = ml_cursor_uleb(item);

	if (number > reader->strings.count) {
		ml_cursor_fail(item);
		return NULL;
	}
	return number ? reader->strings.items[number - 1] : NULL;
}

static bool take_string(struct ml_names_reader *reader, struct ml_cursor *item)
{
	size_t length = ml_cursor_left(item);
	char *text;

	if (!ml_record_charge(reader->limits, length + 1 + 2 * sizeof(text)))
		return false;
	text = ml_alloc(length + 1);
	if (length)
		memcpy(text, item->at, length);
	*ml_array_push(&reader->strings) = text;
	return true;
}

static bool take_module(struct ml_names_reader *reader, struct ml_cursor *item)
{
	struct ml_read_module module;

	module.name = ml_names_reader_string(reader, item);
	module.path = ml_names_reader_string(reader, item);
	module.build_id = ml_names_reader_string(reader, item);
	if (item->failed)
		return true;
	*ml_array_push(&reader->modules) = module;
	return ml_record_charge(reader->limits, 2 * sizeof(module));
}

static void take_name(struct ml_names_reader *reader, struct ml_cursor *item,
		      struct ml_report_frame frame)
{
	uint64_t line;

	frame.symbol = ml_names_reader_string(reader, item);
	frame.mangled = ml_names_reader_string(reader, item);
	frame.short_symbol = ml_names_reader_string(reader, item);
	frame.file = ml_names_reader_string(reader, item);
	line = ml_cursor_uleb(item);
	frame.line = line <= INT_MAX ? (int)line : 0;
	frame.offset = ml_cursor_uleb(item);
	frame.is_inlined = ml_cursor_uleb(item) & 1;
	*ml_array_push(&reader->frames) = frame;
}

static bool take_location(struct ml_names_reader *reader, struct ml_cursor *item)
{
	static const struct ml_read_module unknown = {.name = "unknown"};
	struct ml_read_location location = {.first = reader->frames.count};
	struct ml_stack_frame *frame = &location.frame;
	const struct ml_read_module *module = &unknown;
	uint64_t kind = ml_cursor_uleb(item), flags = ml_cursor_uleb(item);
	uint64_t number = ml_cursor_uleb(item), key, ip;

	if (kind > ML_FRAME_JAVA || number > reader->modules.count)
		ml_cursor_fail(item);
	else if (number)
		module = &reader->modules.items[number - 1];
	ip = ml_cursor_uleb(item);
	frame->address = ml_cursor_uleb(item);
	key = ml_cursor_uleb(item);
	location.count = ml_cursor_uleb(item);
	/* A location without names of its own stands for itself. */
	if (item->failed || location.count > ML_LOCATION_NAMES) {
		ml_cursor_fail(item);
		return true;
	}
	frame->kind = (enum ml_frame_kind)kind;
	frame->is_call = flags & ML_LOCATION_CALL;
	frame->is_interpreter = flags & ML_LOCATION_INTERPRETER;
	/* Interpreted frames are the same when their function is: no address has these values. */
	frame->ip = key ? ~key : ip;
	for (size_t i = 0; i < location.count; i++)
		take_name(reader, item,
			  (struct ml_report_frame){
				  .ip = ip,
				  .address = frame->address,
				  .module = module->name ? module->name : unknown.name,
				  .module_path = module->path,
				  .build_id = module->build_id,
				  .is_interpreter = frame->is_interpreter,
				  .kind = frame->kind,
			  });
	*ml_array_push(&reader->locations) = location;
	return ml_record_charge(reader->limits,
				2 * sizeof(location) +
					2 * location.count * sizeof(struct ml_report_frame));
}

bool ml_names_reader_add_site(struct ml_names_reader *reader, uint64_t id)
{
	*ml_u64map_put(&reader->numbers, id, NULL) = reader->stacks.count;
	*ml_array_push(&reader->stacks) = (struct ml_read_stack){.stack = {.id = id}};
	return ml_record_charge(reader->limits, 2 * sizeof(struct ml_read_stack) +
							3 * sizeof(struct ml_u64map_slot));
}

const struct ml_read_stack *ml_names_reader_stack(const struct ml_names_reader *reader, uint64_t id)
{
	const uint64_t *number = ml_u64map_get(&reader->numbers, id);
	const struct ml_read_stack *stack = number ? &reader->stacks.items[*number] : NULL;

	return stack && stack->stack.frames ? stack : NULL;
}

static void free_stack(struct ml_read_stack *stack)
{
	free(stack->stack.frames);
	free(stack->locations);
}

/* Takes the locations of @stack, whose count is known. */
static void take_frames(struct ml_names_reader *reader, struct ml_cursor *item,
			struct ml_read_stack *stack)
{
	for (uint32_t i = 0; i < stack->stack.count; i++) {
		uint64_t number = ml_cursor_uleb(item);

		if (!number || number > reader->locations.count) {
			ml_cursor_fail(item);
			return;
		}

		const struct ml_read_location *location = &reader->locations.items[number - 1];

		stack->locations[i] = (uint32_t)(number - 1);
		stack->stack.frames[i] = location->frame;
		stack->shown += i < stack->skip ? 0 : location->count;
	}
}

static bool take_stack(struct ml_names_reader *reader, struct ml_cursor *item)
{
	uint64_t site = ml_cursor_uleb(item);
	int64_t pid = ml_cursor_sleb(item);
	uint64_t end = ml_cursor_uleb(item), skip = ml_cursor_uleb(item);
	uint64_t count = ml_cursor_uleb(item);

	/* Every frame takes a byte at least, which bounds what is allocated for it. */
	if (site >= reader->stacks.count || pid < 0 || pid > INT_MAX || end >= ML_WALK_END_COUNT ||
	    count > ML_RECORD_DEPTH_MAX || count > ml_cursor_left(item) || skip > count) {
		ml_cursor_fail(item);
		return true;
	}
	struct ml_read_stack stack = {
		.stack = {.id = reader->stacks.items[site].stack.id,
			  .pid = (pid_t)pid,
			  .end = (enum ml_walk_end)end,
			  .count = (uint32_t)count,
			  .frames = ml_alloc(count * sizeof(*stack.stack.frames))},
		.locations = ml_alloc(count * sizeof(*stack.locations)),
		.skip = (size_t)skip,
	};

	take_frames(reader, item, &stack);
	if (item->failed) {
		free_stack(&stack);
		return true;
	}
	free_stack(&reader->stacks.items[site]);
	reader->stacks.items[site] = stack;
	/* With the frames of the report it will stand in. */
	return ml_record_charge(reader->limits,
				count * (sizeof(struct ml_stack_frame) + 4) +
					stack.shown * sizeof(struct ml_report_frame));
}

static bool take_process(struct ml_names_reader *reader, struct ml_cursor *item)
{
	int64_t pid = ml_cursor_sleb(item);
	const char *comm = ml_names_reader_string(reader, item);

	if (item->failed)
		return true;
	*ml_u64map_put(&reader->comms, (uint64_t)pid, NULL) = (uint64_t)(uintptr_t)comm;
	return ml_record_charge(reader->limits, 3 * sizeof(struct ml_u64map_slot));
}

bool ml_names_reader_take(struct ml_names_reader *reader, enum ml_item kind, struct ml_cursor *item)
{
	switch (kind) {
	case ML_ITEM_STRING:
		return take_string(reader, item);
	case ML_ITEM_MODULE:
		return take_module(reader, item);
	case ML_ITEM_LOCATION:
		return take_location(reader, item);
	case ML_ITEM_STACK:
		return take_stack(reader, item);
	case ML_ITEM_PROCESS:
		return take_process(reader, item);
	default:
		return true;
	}
}

void ml_names_reader_name(const struct ml_names_reader *reader, const struct ml_read_stack *stack,
			  struct ml_report_site *site)
{
	ml_array_reserve(&site->frames, stack->shown);
	for (size_t i = stack->skip; i < stack->stack.count; i++) {
		const struct ml_read_location *location =
			&reader->locations.items[stack->locations[i]];

		for (size_t k = 0; k < location->count; k++)
			*ml_array_push(&site->frames) = reader->frames.items[location->first + k];
	}
}

void ml_names_reader_deinit(struct ml_names_reader *reader)
{
	ml_array_each (text, &reader->strings)
		free(*text);
	ml_array_each (stack, &reader->stacks)
		free_stack(stack);
	ml_array_free(&reader->strings);
	ml_array_free(&reader->modules);
	ml_array_free(&reader->locations);
	ml_array_free(&reader->frames);
	ml_array_free(&reader->stacks);
	ml_u64map_free(&reader->numbers);
	ml_u64map_free(&reader->comms);
}
