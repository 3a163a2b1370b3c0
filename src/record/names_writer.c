/* SPDX-License-Identifier: BSD-2-Clause */
#include "record/names_writer.h"

#include "base/leb.h"

#include <string.h>
#include <zlib.h>

/* Longer texts are cut: no name is, and items have a limit. */
#define STRING_MAX (1u << 20)

uint64_t ml_names_writer_string(struct ml_names_writer *writer, const char *text)
{
	bool is_new;
	size_t length, number;

	if (!text)
		return 0;
	length = strnlen(text, STRING_MAX);
	number = ml_intern_bytes(&writer->strings, text, length, &is_new) + 1;
	if (is_new) {
		/* Apart from the item under way, which may be the one that asks. */
		struct ml_strbuf waiting = writer->items->item;

		writer->items->item = (struct ml_strbuf){0};
		ml_strbuf_add(&writer->items->item, text, length);
		ml_items_add(writer->items, ML_ITEM_STRING);
		ml_strbuf_free(&writer->items->item);
		writer->items->item = waiting;
	}
	return number;
}

/* The number of what stands in @entry among @known, written as an item when it is new. */
static uint64_t intern_item(struct ml_names_writer *writer, struct ml_intern *known,
			    const struct ml_strbuf *entry, enum ml_item kind)
{
	bool is_new;
	size_t number = ml_intern_bytes(known, ml_strbuf_text(entry), entry->length, &is_new) + 1;

	if (is_new) {
		ml_strbuf_add(&writer->items->item, ml_strbuf_text(entry), entry->length);
		ml_items_add(writer->items, kind);
	}
	return number;
}

static uint64_t module_number(struct ml_names_writer *writer, const char *name, const char *path,
			      const char *build_id)
{
	ML_STRBUF_CLEANUP struct ml_strbuf entry = {0};

	ml_leb_unsigned(&entry, ml_names_writer_string(writer, name));
	ml_leb_unsigned(&entry, ml_names_writer_string(writer, path));
	ml_leb_unsigned(&entry, ml_names_writer_string(writer, build_id));
	return intern_item(writer, &writer->modules, &entry, ML_ITEM_MODULE);
}

/* What tells an interpreted function from others; 0 for native frames. */
static uint64_t key_number(struct ml_names_writer *writer, const struct ml_stack_frame *frame)
{
	bool is_new;
	uint64_t *number;

	if (!frame->name)
		return 0;
	number = ml_u64map_put(&writer->keys, (uint64_t)(uintptr_t)frame->name, &is_new);
	if (is_new)
		*number = writer->keys.count;
	return *number;
}

static void add_name(struct ml_names_writer *writer, struct ml_strbuf *entry,
		     const struct ml_report_frame *frame)
{
	ml_leb_unsigned(entry, ml_names_writer_string(writer, frame->symbol));
	ml_leb_unsigned(entry, ml_names_writer_string(writer, frame->mangled));
	ml_leb_unsigned(entry, ml_names_writer_string(writer, frame->short_symbol));
	ml_leb_unsigned(entry, ml_names_writer_string(writer, frame->file));
	ml_leb_unsigned(entry, frame->line > 0 ? (uint64_t)frame->line : 0);
	ml_leb_unsigned(entry, frame->offset);
	ml_leb_unsigned(entry, frame->is_inlined);
}

/* One address of a stack, with the @count frames it is shown as (none: the allocator's own). */
static uint64_t location_number(struct ml_names_writer *writer, const struct ml_stack_frame *frame,
				const struct ml_report_frame *shown, size_t count)
{
	ML_STRBUF_CLEANUP struct ml_strbuf entry = {0};
	uint64_t module = 0;

	if (count)
		module = module_number(writer, shown->module, shown->module_path, shown->build_id);
	else if (frame->module)
		module = module_number(writer, ml_module_name(frame->module),
				       ml_module_path(frame->module),
				       ml_module_build_id_hex(frame->module));
	ml_leb_unsigned(&entry, frame->kind);
	ml_leb_unsigned(&entry, (frame->is_call ? ML_LOCATION_CALL : 0) |
					(frame->is_interpreter ? ML_LOCATION_INTERPRETER : 0));
	ml_leb_unsigned(&entry, module);
	ml_leb_unsigned(&entry, frame->ip);
	ml_leb_unsigned(&entry, count ? shown->address : frame->address);
	ml_leb_unsigned(&entry, key_number(writer, frame));
	ml_leb_unsigned(&entry, count);
	for (size_t i = 0; i < count; i++)
		add_name(writer, &entry, &shown[i]);
	return intern_item(writer, &writer->locations, &entry, ML_ITEM_LOCATION);
}

/* JIT code may get its name later, and a moved method another one. */
static bool is_settled(const struct ml_report_site *site)
{
	ml_array_each (frame, &site->frames) {
		if (!frame->symbol || frame->kind == ML_FRAME_JIT || frame->kind == ML_FRAME_JAVA)
			return false;
	}
	return true;
}

/* Fills @entry with the stack's item. */
static void describe_stack(struct ml_names_writer *writer, struct ml_frame_namer *namer,
			   const struct ml_stack *stack, struct ml_report_site *site,
			   struct ml_strbuf *entry)
{
	size_t skip = ml_frames_internal(namer, stack), begin = 0;
	size_t ends[ML_RECORD_DEPTH_MAX];

	ml_frames_name(namer, stack, skip, site, ends);
	ml_leb_signed(entry, stack->pid);
	ml_leb_unsigned(entry, stack->end);
	ml_leb_unsigned(entry, skip);
	ml_leb_unsigned(entry, stack->count);
	for (size_t i = 0; i < stack->count; i++) {
		size_t count = i < skip ? 0 : ends[i] - begin;

		ml_leb_unsigned(
			entry,
			location_number(writer, &stack->frames[i], site->frames.items + begin,
					count < ML_LOCATION_NAMES ? count : ML_LOCATION_NAMES));
		begin += count;
	}
}

void ml_names_writer_stack(struct ml_names_writer *writer, struct ml_frame_namer *namer,
			   const struct ml_stack *stack, size_t site)
{
	ML_STRBUF_CLEANUP struct ml_strbuf entry = {0};
	struct ml_report_site shown = {0};

	while (writer->stacks.count <= site)
		*ml_array_push(&writer->stacks) = (struct ml_written_stack){0};

	struct ml_written_stack *written = &writer->stacks.items[site];

	if (written->is_settled || stack->count > ML_RECORD_DEPTH_MAX)
		return;
	describe_stack(writer, namer, stack, &shown, &entry);
	uint32_t checksum = (uint32_t)crc32(0, (const void *)entry.text, (uInt)entry.length) | 1;

	if (checksum != written->checksum) {
		ml_leb_unsigned(&writer->items->item, site);
		ml_strbuf_add(&writer->items->item, entry.text, entry.length);
		ml_items_add(writer->items, ML_ITEM_STACK);
	}
	written->checksum = checksum;
	written->is_settled = is_settled(&shown);
	ml_array_free(&shown.frames);
}

void ml_names_writer_process(struct ml_names_writer *writer, pid_t pid, const char *comm)
{
	uint64_t name = ml_names_writer_string(writer, comm);
	uint64_t *known = ml_u64map_put(&writer->comms, (uint64_t)pid, NULL);

	if (*known == name)
		return;
	*known = name;
	ml_leb_signed(&writer->items->item, pid);
	ml_leb_unsigned(&writer->items->item, name);
	ml_items_add(writer->items, ML_ITEM_PROCESS);
}

void ml_names_writer_deinit(struct ml_names_writer *writer)
{
	ml_intern_free(&writer->strings);
	ml_intern_free(&writer->modules);
	ml_intern_free(&writer->locations);
	ml_u64map_free(&writer->keys);
	ml_u64map_free(&writer->comms);
	ml_array_free(&writer->stacks);
}
