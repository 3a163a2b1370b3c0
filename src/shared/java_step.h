/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/**
 * One step of a stack walk through code of HotSpot, OpenJDK's virtual machine.
 *
 * Its compiled code uses rbp for data, so that frame pointers lead nowhere; but every piece of code
 * (a CodeBlob) says how big its frames are, and lies where the segment map of the code cache leads
 * to. The return address and the caller's rbp stand at the end of the frame
 * (frame::sender_for_compiled_frame() in src/hotspot/share/runtime/frame.inline.hpp). Frames of the
 * interpreter are found by rbp (frame_x86.hpp).
 *
 * Whoever includes this defines beforehand ML_UNWIND_READ (unwind_step.h) and
 *     ML_JAVA_READ(memory, buffer, size, address)
 * which reads memory that is no stack, and gives 0, or non-zero for a fault.
 */
#ifndef ML_SHARED_JAVA_STEP_H
#define ML_SHARED_JAVA_STEP_H

#include "shared/trace_abi.h"
#include "shared/unwind_step.h"

/* From the middle of a block to its start: 254 segments each, more often in code that replaced
 * smaller pieces of code. */
#define ML_JAVA_HOPS 128
/* A frame of more words is none. */
#define ML_JAVA_FRAME_WORDS (1 << 17)

/* frame_x86.hpp: interpreter_frame_sender_sp_offset and interpreter_frame_method_offset. */
#define ML_JAVA_SENDER_SP_SLOT (-8)
#define ML_JAVA_METHOD_SLOT    (-24)

/** A step: @regs are those of the frame, afterwards those of its caller. */
struct ml_java_step {
	struct ml_unwind_regs regs;
	uint64_t entry; /**< what to keep of the frame; set to its address beforehand */
};

ML_ALWAYS_INLINE int ml_java_has(const struct ml_java_layout *java, uint64_t ip)
{
	return ip >= java->start && ip < java->end;
}

#ifndef ML_JAVA_BLOB
#define ML_JAVA_BLOB(java, ip, memory) ml_java_blob(java, ip, memory)
#endif

/** The CodeBlob that @p ip is in, 0 when there is none. */
ML_ALWAYS_INLINE uint64_t ml_java_blob(const struct ml_java_layout *java, uint64_t ip, void *memory)
{
	uint64_t start = 0, segments = 0, segment;
	uint32_t shift = 0;
	uint8_t back = 0;

	for (uint32_t i = 0; i < ML_JAVA_HEAPS; i++) {
		const struct ml_java_heap *heap = &java->heaps[i];

		if (ip < heap->start || ip >= heap->end)
			continue;
		start = heap->start;
		segments = heap->segments;
		shift = heap->segment_shift & 31;
	}
	if (!start)
		return 0;
	segment = (ip - start) >> shift;
	for (int hop = 0; hop < ML_JAVA_HOPS; hop++) {
		if (ML_JAVA_READ(memory, &back, sizeof(back), segments + segment) || back > segment)
			return 0;
		if (!back)
			return start + (segment << shift) + java->block_header;
		if (back == 255)
			return 0;
		segment -= back;
	}
	return 0;
}

/** How many words the frame has at @p ip, where a signal interrupted @p blob: at its start, and at
 * its end, there is less of it, or nothing. */
ML_ALWAYS_INLINE int32_t ml_java_words_at(const struct ml_java_layout *java, uint64_t blob,
					  uint64_t ip, int32_t words, void *memory)
{
	uint64_t start = 0;
	int32_t complete = 0, offset = 0;
	int16_t complete_short = 0;
	uint8_t code = 0;

	if (java->is_code_offset) {
		if (ML_JAVA_READ(memory, &offset, sizeof(offset), blob + java->code_start))
			return words;
		start = blob + offset;
	} else if (ML_JAVA_READ(memory, &start, sizeof(start), blob + java->code_start)) {
		return words;
	}
	if (java->is_complete_short) {
		if (ML_JAVA_READ(memory, &complete_short, sizeof(complete_short),
				 blob + java->frame_complete))
			return words;
		complete = complete_short;
	} else if (ML_JAVA_READ(memory, &complete, sizeof(complete), blob + java->frame_complete)) {
		return words;
	}
	if (complete > 0 && ip - start < (uint64_t)complete)
		return 1;
	if (ML_JAVA_READ(memory, &code, sizeof(code), ip))
		return words;
	if (code == 0x5d) /* pop rbp */
		return 2;
	return code == 0xc3 ? 1 : words; /* ret */
}

ML_ALWAYS_INLINE enum ml_walk_end ml_java_compiled(const struct ml_java_layout *java,
						   struct ml_java_step *step, void *memory)
{
	struct ml_unwind_regs *regs = &step->regs;
	uint64_t blob = ML_JAVA_BLOB(java, regs->ip - regs->is_call, memory), cfa, ra,
		 bp = regs->bp;
	int32_t words = 0;
	uint32_t compilation = 0;

	if (!blob || ML_JAVA_READ(memory, &words, sizeof(words), blob + java->frame_size) ||
	    ML_JAVA_READ(memory, &compilation, sizeof(compilation), blob + java->compilation))
		return ML_WALK_NO_UNWIND_INFO;
	/* Stubs, among them the one through which native code calls Java: they have frame pointers.
	 */
	if (words <= 0)
		return ml_unwind_by_frame_pointer(regs, memory);
	if (!regs->is_call)
		words = ml_java_words_at(java, blob, regs->ip, words, memory);
	if (words > ML_JAVA_FRAME_WORDS)
		return ML_WALK_NO_UNWIND_INFO;
	cfa = regs->sp + (uint64_t)words * 8;
	if ((words > 1 && ML_UNWIND_READ(memory, cfa - 16, &bp)) ||
	    ML_UNWIND_READ(memory, cfa - 8, &ra))
		return ML_WALK_FAULT;
	if (!ra)
		return ML_WALK_NO_UNWIND_INFO;
	step->entry |= ML_STACK_JAVA_COMPILED | (compilation & ML_JAVA_COMPILATION_MASK)
							<< ML_STACK_ADDRESS_BITS;
	regs->ip = ra;
	regs->sp = cfa;
	regs->bp = bp;
	regs->bx_at = ML_UNWIND_LOST; /* all registers are the callee's to use */
	regs->is_call = 1;
	return ML_WALK_MORE;
}

/** What to keep of an interpreter's frame that is at @p bytecode of @p method; 0 when it runs none.
 */
ML_ALWAYS_INLINE uint64_t ml_java_interpreted_entry(const struct ml_java_layout *java,
						    uint64_t method, uint64_t bytecode,
						    void *memory)
{
	uint64_t const_method = 0, bci;

	if (!method || (method & ~(ML_STACK_ADDRESS_MASK & ~7ull)) ||
	    ML_JAVA_READ(memory, &const_method, sizeof(const_method), method + java->const_method))
		return 0;
	bci = bytecode - (const_method + java->bytecode);
	return ML_JAVA_INTERPRETED_ENTRY(method,
					 bci < ML_JAVA_BCI_UNKNOWN ? bci : ML_JAVA_BCI_UNKNOWN);
}

ML_ALWAYS_INLINE enum ml_walk_end ml_java_interpreted(const struct ml_java_layout *java,
						      struct ml_java_step *step, void *memory)
{
	struct ml_unwind_regs *regs = &step->regs;
	uint64_t bp = regs->bp, bytecode, method, sender_sp, entry;
	enum ml_walk_end end;

	/* Upwards: the stack is read in windows. */
	if (bp < regs->sp || ML_UNWIND_READ(memory, bp + java->bytecode_slot, &bytecode) ||
	    ML_UNWIND_READ(memory, bp + ML_JAVA_METHOD_SLOT, &method) ||
	    ML_UNWIND_READ(memory, bp + ML_JAVA_SENDER_SP_SLOT, &sender_sp))
		return ML_WALK_NO_UNWIND_INFO;
	end = ml_unwind_by_frame_pointer(regs, memory);
	if (end != ML_WALK_MORE)
		return end;
	/* The caller's rsp before the arguments and local variables were laid out below it. */
	if (sender_sp >= regs->sp && sender_sp - regs->sp < ML_FRAME_POINTER_REACH &&
	    !(sender_sp & 7))
		regs->sp = sender_sp;
	entry = ml_java_interpreted_entry(java, method, bytecode, memory);
	if (entry)
		step->entry = entry;
	return ML_WALK_MORE;
}

ML_ALWAYS_INLINE int ml_java_is_interpreter(const struct ml_java_layout *java, uint64_t at,
					    void *memory)
{
	uint64_t queue = 0, start = 0;
	uint32_t size = 0;

	if (java->interpreter_end)
		return at >= java->interpreter_start && at < java->interpreter_end;
	/* It is made after the code cache, of which the tool hears. */
	if (ML_JAVA_READ(memory, &queue, sizeof(queue), java->interpreter) || !queue ||
	    ML_JAVA_READ(memory, &start, sizeof(start), queue + java->stubs_start) ||
	    ML_JAVA_READ(memory, &size, sizeof(size), queue + java->stubs_size))
		return 0;
	return at >= start && at - start < size;
}

/** Goes from a frame whose code is in the code cache (ml_java_has()) to its caller's. */
ML_ALWAYS_INLINE enum ml_walk_end ml_java_step(const struct ml_java_layout *java,
					       struct ml_java_step *step, void *memory)
{
	if (ml_java_is_interpreter(java, step->regs.ip - step->regs.is_call, memory))
		return ml_java_interpreted(java, step, memory);
	return ml_java_compiled(java, step, memory);
}

#endif
