/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/python_runtime.h"

#include "trace/data_symbol.h"

#include <string.h>

/* Include/internal/pycore_frame.h and pycore_pystate.h of each version, for x86-64. */
static const struct ml_python python_3_11 = {
	.layout = {.main_interpreter = 48,
		   .first_thread = 16,
		   .next_thread = 8,
		   .thread_id = 152,
		   .frames = 56,
		   .has_cframe = 1,
		   .cframe_frame = 8,
		   .code = 32,
		   .previous = 48,
		   .instruction = 56,
		   .mark = 68,
		   .mark_value = 1,
		   .mark_is_function = 1},
	.code = {.first_line = 72,
		 .file = 112,
		 .qualified_name = 128,
		 .line_table = 136,
		 .bytecode = 184,
		 .text = 48,
		 .wide_text = 72},
};
static const struct ml_python python_3_12 = {
	.layout = {.main_interpreter = 48,
		   .first_thread = 72,
		   .next_thread = 8,
		   .thread_id = 136,
		   .frames = 56,
		   .has_cframe = 1,
		   .cframe_frame = 0,
		   .code = 0,
		   .previous = 8,
		   .instruction = 56,
		   .mark = 70,
		   .mark_value = 3},
	.code = {.first_line = 68,
		 .file = 112,
		 .qualified_name = 128,
		 .line_table = 136,
		 .bytecode = 192,
		 .text = 40,
		 .wide_text = 56},
};

/* Words of struct _Py_DebugOffsets (Include/internal/pycore_runtime.h), which 3.13 puts at the
 * start of _PyRuntime so that tools need not know its structures. */
enum debug_word {
	DEBUG_COOKIE = 0,
	DEBUG_FREE_THREADED = 2,
	DEBUG_INTERPRETERS_HEAD = 5,
	DEBUG_THREADS_HEAD = 9,
	DEBUG_THREAD_NEXT = 21,
	DEBUG_THREAD_FRAME = 23,
	DEBUG_THREAD_ID = 24,
	DEBUG_FRAME_PREVIOUS = 29,
	DEBUG_FRAME_CODE = 30,
	DEBUG_FRAME_INSTRUCTION = 31,
	DEBUG_FRAME_OWNER = 33,
	DEBUG_CODE_FILE = 35,
	DEBUG_CODE_QUALIFIED_NAME = 37,
	DEBUG_CODE_LINE_TABLE = 38,
	DEBUG_CODE_FIRST_LINE = 39,
	DEBUG_CODE_BYTECODE = 43,
	DEBUG_WORDS,
};

#define DEBUG_OFFSET_LIMIT (1U << 20)

/* Fills @out from what the 3.13 interpreter at @runtime says of itself. */
static bool read_3_13(const struct ml_process *process, uint64_t runtime, struct ml_python *out)
{
	uint64_t word[DEBUG_WORDS];

	if (!ml_process_read(process, runtime, word, sizeof(word)) ||
	    memcmp(&word[DEBUG_COOKIE], "xdebugpy", 8) != 0 || word[DEBUG_FREE_THREADED])
		return false;
	for (size_t i = DEBUG_FREE_THREADED; i < DEBUG_WORDS; i++)
		if (word[i] >= DEBUG_OFFSET_LIMIT)
			return false;
	*out = (struct ml_python){
		.layout =
			{
				/* The main interpreter stands behind the head of their list. */
				.main_interpreter = word[DEBUG_INTERPRETERS_HEAD] + 8,
				.first_thread = (uint32_t)word[DEBUG_THREADS_HEAD],
				.next_thread = (uint32_t)word[DEBUG_THREAD_NEXT],
				.thread_id = (uint32_t)word[DEBUG_THREAD_ID],
				.frames = (uint32_t)word[DEBUG_THREAD_FRAME],
				.code = (uint32_t)word[DEBUG_FRAME_CODE],
				.previous = (uint32_t)word[DEBUG_FRAME_PREVIOUS],
				.instruction = (uint32_t)word[DEBUG_FRAME_INSTRUCTION],
				.mark = (uint32_t)word[DEBUG_FRAME_OWNER],
				.mark_value = 3, /* FRAME_OWNED_BY_CSTACK */
			},
		.code =
			{
				.first_line = (uint32_t)word[DEBUG_CODE_FIRST_LINE],
				.file = (uint32_t)word[DEBUG_CODE_FILE],
				.qualified_name = (uint32_t)word[DEBUG_CODE_QUALIFIED_NAME],
				.line_table = (uint32_t)word[DEBUG_CODE_LINE_TABLE],
				.bytecode = (uint32_t)word[DEBUG_CODE_BYTECODE],
				.text = 40,
				.wide_text = 56,
			},
	};

	const struct ml_python_layout *layout = &out->layout;

	return layout->code < ML_PYTHON_FRAME_BYTES && layout->previous < ML_PYTHON_FRAME_BYTES &&
	       layout->instruction < ML_PYTHON_FRAME_BYTES && layout->mark < ML_PYTHON_FRAME_BYTES;
}

/* The structures of the interpreter whose Py_Version is @version (0xMMmmpprr). */
static bool know_version(const struct ml_process *process, uint64_t version, uint64_t runtime,
			 struct ml_python *out)
{
	switch (version >> 16) {
	case 0x030b:
		*out = python_3_11;
		return true;
	case 0x030c:
		*out = python_3_12;
		return true;
	case 0x030d:
		return read_3_13(process, runtime, out);
	}
	return false;
}

static bool find_in(const struct ml_code *code, const struct ml_process *process,
		    struct ml_python *out)
{
	struct ml_symbol loop;
	uint64_t version = 0, runtime, version_at;

	if (!ml_module_function_named(code->module, "_PyEval_EvalFrameDefault", &loop))
		return false;
	runtime = ml_data_symbol_address(code->module, "_PyRuntime");
	version_at = ml_data_symbol_address(code->module, "Py_Version");
	/* A constant: the file has it, whatever the dynamic linker has done so far. */
	if (!runtime || !version_at ||
	    !ml_module_read(code->module, version_at, &version, sizeof(version)))
		return false;
	runtime += code->bias;
	if (!know_version(process, version, runtime, out))
		return false;
	out->layout.main_interpreter += runtime;
	out->code_type = ml_data_symbol_address(code->module, "PyCode_Type") + code->bias;
	out->module = code->module;
	out->loop_start = loop.address;
	out->loop_end = loop.address + loop.size;
	out->layout.loop_start = out->loop_start + code->bias;
	out->layout.loop_end = out->loop_end + code->bias;
	return true;
}

void ml_python_find(const struct ml_code_map *code, const struct ml_process *process,
		    struct ml_python *out)
{
	const struct ml_module *before = NULL;

	for (size_t i = 0; i < code->mapped_count; i++) {
		const struct ml_code *item = &code->list.items[i];

		if (!item->module || item->module == before)
			continue;
		before = item->module;
		if (find_in(item, process, out))
			return;
	}
	*out = (struct ml_python){0};
}
