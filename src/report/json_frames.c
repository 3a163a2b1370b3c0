/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/json_frames.h"

static void write_frame(struct ml_json *json, const struct ml_report_frame *frame)
{
	static const char *const kinds[] = {
		[ML_FRAME_NATIVE] = "native", [ML_FRAME_JIT] = "jit",
		[ML_FRAME_KERNEL] = "kernel", [ML_FRAME_PYTHON] = "python",
		[ML_FRAME_JAVA] = "java",
	};

	ml_json_object_begin(json, NULL);
	ml_json_hex(json, "ip", frame->ip);
	ml_json_string(json, "symbol", frame->symbol);
	ml_json_u64(json, "offset", frame->offset);
	ml_json_string(json, "module", frame->module);
	ml_json_string(json, "build_id", frame->build_id);
	ml_json_string(json, "file", frame->file);
	if (frame->line > 0)
		ml_json_i64(json, "line", frame->line);
	else
		ml_json_null(json, "line");
	ml_json_bool(json, "inlined", frame->is_inlined);
	ml_json_string(json, "kind", kinds[frame->kind]);
	ml_json_object_end(json);
}

/** Of what is written of a frame; texts by address, since equal ones mostly are the same. */
static bool is_same(const struct ml_report_frame *a, const struct ml_report_frame *b)
{
	return a->ip == b->ip && a->symbol == b->symbol && a->offset == b->offset &&
	       a->module == b->module && a->build_id == b->build_id && a->file == b->file &&
	       a->line == b->line && a->is_inlined == b->is_inlined && a->kind == b->kind;
}

static uint64_t hash_of(const struct ml_report_frame *frame)
{
	return frame->ip * 0x9e3779b97f4a7c15ULL ^ (uint64_t)(uintptr_t)frame->symbol ^
	       (uint64_t)frame->line << 40;
}

/** Writes @p frame down for the next time; false when there is no memory for it. */
static bool keep(struct ml_json_frames *frames, const struct ml_report_frame *frame)
{
	struct ml_json json = {.out = frames->stream};
	size_t start;

	if (!frames->stream)
		json.out = frames->stream = open_memstream(&frames->text, &frames->length);
	if (!frames->stream || fflush(frames->stream))
		return false;
	start = frames->length;
	write_frame(&json, frame);
	if (fflush(frames->stream))
		return false;
	*ml_array_push(&frames->written) = (struct ml_json_frame){
		.frame = frame, .start = start, .length = frames->length - start};
	return true;
}

void ml_json_frames_add(struct ml_json_frames *frames, struct ml_json *json,
			const struct ml_report_frame *frame)
{
	const struct ml_json_frame *written;
	bool is_new;
	uint64_t *index = ml_u64map_put(&frames->by_hash, hash_of(frame), &is_new);

	if (is_new) {
		*index = frames->written.count;
		if (!keep(frames, frame))
			*index = UINT64_MAX;
	}
	written = *index == UINT64_MAX ? NULL : &frames->written.items[*index];
	if (written && is_same(written->frame, frame))
		ml_json_raw(json, NULL, frames->text + written->start, written->length);
	else
		write_frame(json, frame);
}

void ml_json_frames_free(struct ml_json_frames *frames)
{
	if (frames->stream)
		fclose(frames->stream);
	free(frames->text);
	ml_array_free(&frames->written);
	ml_u64map_free(&frames->by_hash);
}
