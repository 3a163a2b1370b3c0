/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way in and out of the agent, x86-64: what most calls are needs nothing of C.
 *
 * A stub has pushed the address of its function's descriptor over the return address. Every general
 * register is as the caller left it and stays so: code compiled with gcc's -fipa-ra relies on
 * registers the psABI calls clobbered when caller and callee are in one file, as within libc. Vector
 * registers are never touched. Below rsp nothing lives at a function's first instruction, and what
 * is written there is in the red zone: signal handlers and debuggers leave it alone.
 *
 * Functions that keep all registers but rax and those of their arguments (KEEPS_REGISTERS; gcc keeps
 * these too, clang does not) are called with those of the call in place; the long way is that of
 * ml_agent_before() and ml_agent_after().
 */
#include "agent/x86_64/offsets.h"
#include "shared/slot.h"

/*
 * The frame of a call: rbp points at the caller's, below it are the registers of the call, then
 * struct call. A way in keeps the first three where the frame would have them.
 */
#define SAVED_BYTES 72
#define FRAME_BYTES (SAVED_BYTES + CALL_BYTES)
#define RED_ZONE    128

.macro keep_registers
	mov	%rax, -16(%rsp)
	mov	%rcx, -24(%rsp)
	mov	%rdx, -32(%rsp)
.endm

.macro build_frame
	mov	%rbp, -8(%rsp)
	lea	-8(%rsp), %rbp
	lea	-FRAME_BYTES(%rbp), %rsp
.endm

/* Flags stay. */
.macro drop_frame
	mov	%rbp, %rsp
	pop	%rbp
	lea	8(%rsp), %rsp
.endm

/* The first three are there by then; the last two are not used on the short ways. */
.macro save_middle
	mov	%rsi, -32(%rbp)
	mov	%rdi, -40(%rbp)
	mov	%r8, -48(%rbp)
	mov	%r9, -56(%rbp)
.endm

.macro save_last
	mov	%r10, -64(%rbp)
	mov	%r11, -72(%rbp)
.endm

.macro load_used
	mov	-8(%rbp), %rax
	mov	-16(%rbp), %rcx
	mov	-24(%rbp), %rdx
	mov	-32(%rbp), %rsi
	mov	-40(%rbp), %rdi
	mov	-48(%rbp), %r8
	mov	-56(%rbp), %r9
.endm

.macro load_registers
	load_used
	mov	-64(%rbp), %r10
	mov	-72(%rbp), %r11
.endm

/* rax: the memory. What there is to do for a call when no tool listens is to let it through. */
.macro find_memory
	mov	ml_agent_data(%rip), %rax
	test	%rax, %rax
	je	pass		/* a forked child */
	cmpl	$MODE_ON, MEMORY_MODE(%rax)
	jne	pass
.endm

/* rdx: the thread's place, where it is looked for first; takes rcx. */
.macro find_thread
	mov	%fs:0, %rcx
	imul	$THREAD_HASH, %ecx, %edx
	shr	$THREAD_HASH_SHIFT, %edx
	shl	$THREAD_SHIFT, %edx
	lea	MEMORY_THREADS(%rax, %rdx), %rdx
	cmp	%rcx, (%rdx)
	jne	long_way
.endm

/* One of many is a heartbeat, which is felt on the long way. */
.macro count_event
	incq	THREAD_EVENTS(%rdx)
	testl	$HEARTBEAT_MASK, THREAD_EVENTS(%rdx)
	je	beat
.endm

/* Sampling by bytes. Carry: there may be a block at rdi that was kept. bit, which may be the register
 * of the data, becomes the number of its bit in the word. */
.macro sift data, word, word32, bit
	imul	$SIEVE_HASH, %edi, \word32
	shr	$SIEVE_WORD_SHIFT, \word32
	mov	DATA_SIEVE(\data, \word, 8), \word32
	imul	$SIEVE_BIT_HASH, %edi, \bit
	shr	$SIEVE_BIT_SHIFT, \bit
	bt	\bit, \word32
.endm

/* Counts a call that is not kept; one that may be counts as none yet. malloc(0) uses up one byte. */
.macro use_budget thread, size, left, may_be_kept
	mov	THREAD_BUDGET + \thread, \left
	cmp	$1, \size
	sbb	\size, \left
	jbe	\may_be_kept
	mov	\left, THREAD_BUDGET + \thread
	incq	THREAD_EVENTS + \thread
.endm

/* place: where the key of the block of address is or was, as far as thread remembers; word: what it
 * says, may be the register of thread. The names with 32 are those of the same registers' lower
 * halves. */
.macro recall memory, thread, address, address32, word, place, place32, unknown
	mov	\address32, \place32
	shr	$1, \place32
	and	THREAD_RECENT_MASK(\thread), \place32
	add	THREAD_MEMO(\thread), \place
	mov	(\place), \word
	mov	\address, \place
	shr	$RECENT_ADDRESS_SHIFT, \place
	xor	\word, \place
	shl	$(64 - RECENT_BITS), \place
	jne	\unknown
	test	$15, \address32
	jne	\unknown
	mov	\word, \place
	shr	$RECENT_BITS, \place
	and	$RECENT_PLACE, \place32
	lea	RECENT_BASE(\memory, \place, 4), \place
.endm

/* Whether the block of address, which has no entry elsewhere, is at place; takes temporary. */
.macro compare_key address32, temporary, place, otherwise
	mov	\address32, \temporary
	shr	$3, \temporary
	xor	(\place), \temporary
	and	$(KEY_USED | KEY_PLACE), \temporary
	cmp	$KEY_USED, \temporary
	jne	\otherwise
	testl	$SIZE_LARGE, LINE_SIZE(\place)
	jne	\otherwise
.endm

/* rax: the memory. */
.macro check_size size
	cmp	MEMORY_MIN(%rax), \size
	jb	long_way
	cmp	MEMORY_MAX(%rax), \size
	ja	long_way
	cmp	$LARGE_BYTES, \size
	jae	long_way
.endm

.macro find_idle_thread
	find_thread
	cmpq	$0, THREAD_CALL(%rdx)
	jne	long_way
.endm

	.section .header, "a"
	.globl image_header
image_header:
	.quad 0x746e6567616b6c6d
	.long ml_agent_entry - image_header
	.long ml_agent_malloc - image_header
	.long ml_agent_calloc - image_header
	.long ml_agent_realloc - image_header
	.long ml_agent_free - image_header
	.long ml_agent_returned - image_header
	.long ml_agent_data - image_header
	.irp way, malloc, calloc, realloc, free
	.irp part, begin, entered, start, data_end, end
	.long short_\way\()_\part - image_header
	.endr
	.endr

	.text
/* ---- free --------------------------------------------------------------------------------------
 */
	.p2align 6
ml_agent_free:
	keep_registers
	find_memory
	cmpl	$0, MEMORY_EXACT(%rax)
	je	free_sampled
	find_thread
	cmpq	$0, THREAD_CALL(%rdx)
	jne	long_way
	/* What allocators look at first, while the books are being looked for. */
	prefetcht0 -8(%rdi)
	count_event
	test	%rdi, %rdi
	je	pass

	recall	%rax, %rdx, %rdi, %edi, %rdx, %rcx, %ecx, free_unremembered
	compare_key %edi, %edx, %rcx, free_unremembered
	movl	$0, (%rcx)

pass:	mov	(%rsp), %rax
	mov	(%rax), %rax
	mov	%rax, (%rsp)
	mov	-16(%rsp), %rax
	mov	-24(%rsp), %rcx
	mov	-32(%rsp), %rdx
	lea	8(%rsp), %rsp
	jmp	*-8(%rsp)

free_unremembered:
	lea	-RED_ZONE(%rsp), %rsp
	push	%rsi
	push	%rdi
	mov	%rax, %rsi
	call	ml_agent_free_near
	pop	%rdi
	pop	%rsi
	test	%eax, %eax
	lea	RED_ZONE(%rsp), %rsp
	jne	pass
	jmp	long_way

	/* By bytes: a filter knows the blocks that were kept. */
free_sampled:
	cmpq	$0, MEMORY_ALWAYS(%rax)
	je	long_way
	lea	ml_agent_data(%rip), %rdx
	sift	%rdx, %rcx, %ecx, %edx
	jnc	pass
	imul	$SIEVE_HASH, %edi, %ecx
	shr	$SIEVE_WORD_SHIFT, %ecx
	shl	$SIEVE_BITS_SHIFT, %ecx
	or	%ecx, %edx
	cmpq	$0, MEMORY_FILTER(%rax, %rdx, SIEVE_COUNTS)
	je	free_unsieved
	imul	$SIEVE_HASH, %edi, %ecx
	shr	$SIEVE_BYTE_SHIFT, %ecx
	and	$(SIEVE_COUNTS - 1), %ecx
	lea	(%rcx, %rdx, SIEVE_COUNTS), %rcx
	cmpb	$0, MEMORY_FILTER(%rax, %rcx)
	je	pass
	jmp	long_way

free_unsieved:
	lea	-RED_ZONE(%rsp), %rsp
	push	%rsi
	push	%rdi
	mov	%rax, %rsi
	call	ml_agent_clear_sieve
	pop	%rdi
	pop	%rsi
	lea	RED_ZONE(%rsp), %rsp
	jmp	pass

/* ---- malloc, and what takes its size in its place -----------------------------------------------
 */
	.p2align 6
ml_agent_malloc:
	keep_registers
	find_memory
	cmpl	$0, MEMORY_EXACT(%rax)
	je	malloc_sampled
	check_size %rdi
	find_idle_thread
	count_event
	build_frame
	mov	%rdi, CALL_SIZE(%rsp)
	movq	$0, CALL_OLD(%rsp)

	/* rdx: the thread. The size and the old block are there. */
plain_call:
	mov	8(%rbp), %rcx
	mov	(%rcx), %rcx
	mov	%rcx, 8(%rbp)
	mov	%rdx, CALL_THREAD(%rsp)
	movq	$1, CALL_PLAIN(%rsp)	/* and not substituted */
	mov	%rsp, THREAD_CALL(%rdx)

	/* Where its stack is looked for when it is back: as ways_of(). */
	lea	24(%rbp), %rcx
	shl	$WAYS_SP_SHIFT, %rcx
	xor	16(%rbp), %rcx
	movabs	$WAYS_FACTOR, %rax
	imul	%rax, %rcx
	shr	$WAYS_HASH_SHIFT, %rcx
	shl	$WAYS_SHIFT, %rcx
	add	THREAD_MEMO(%rdx), %rcx
	lea	MEMO_TRACES(%rcx), %rcx
	mov	%rcx, CALL_WAYS(%rsp)
	prefetcht0 (%rcx)
	mov	-8(%rbp), %rax
	mov	-16(%rbp), %rcx
	mov	-24(%rbp), %rdx
	jmp	call_function

	/* By bytes: as long as no sampling point is reached. */
malloc_sampled:
	find_thread
	use_budget 0(%rdx), %rdi, %rcx, long_way
	jmp	pass

	.p2align 4
ml_agent_calloc:
	keep_registers
	find_memory
	cmpl	$0, MEMORY_EXACT(%rax)
	je	long_way
	mov	%rdi, %rcx
	imul	%rsi, %rcx
	jo	long_way
	check_size %rcx
	find_idle_thread
	count_event
	build_frame
	mov	%rdi, %rcx
	imul	%rsi, %rcx
	mov	%rcx, CALL_SIZE(%rsp)
	movq	$0, CALL_OLD(%rsp)
	jmp	plain_call

	/* Of a block whose place is remembered. It is taken out, for within the function another
	 * thread may get its address, and kept, for there may be no memory. */
	.p2align 4
ml_agent_realloc:
	keep_registers
	find_memory
	cmpl	$0, MEMORY_EXACT(%rax)
	je	long_way
	test	%rdi, %rdi
	je	long_way
	test	%rsi, %rsi
	je	long_way
	check_size %rsi
	find_idle_thread
	mov	%rsi, -40(%rsp)
	recall	%rax, %rdx, %rdi, %edi, %rsi, %rcx, %ecx, realloc_unremembered
	compare_key %edi, %esi, %rcx, realloc_unremembered
	mov	-40(%rsp), %rsi
	count_event
	build_frame
	mov	%rsi, CALL_SIZE(%rsp)
	mov	%rdi, CALL_OLD(%rsp)
	mov	LINE_SIZE(%rcx), %eax
	and	$(LARGE_BYTES - 1), %eax
	mov	%rax, CALL_OLD_SIZE(%rsp)
	mov	LINE_SIZE(%rcx), %eax
	shr	$SIZE_TID, %eax
	mov	%eax, CALL_OLD_TID(%rsp)
	mov	LINE_BORN(%rcx), %eax
	shr	$BORN_SHIFT, %eax
	mov	%eax, CALL_OLD_BORN(%rsp)
	mov	(%rcx), %eax
	and	$(KEY_SAMPLED - 1), %eax
	shr	$KEY_STACK, %eax
	mov	%eax, CALL_OLD_STACK(%rsp)
	movl	$0, (%rcx)
	jmp	plain_call

realloc_unremembered:
	mov	-40(%rsp), %rsi
	jmp	long_way

/* ---- where few calls are kept -------------------------------------------------------------------
 *
 * Copied into slots, where a call that is not kept meets no other page of code and no indirect
 * jump. What it finds in a forked child lets it pass; what it cannot tell is for the image.
 */
/* What allocates returns something in rax: nobody relies on what was in there. */
.macro keep_rcx
	mov	%rcx, -24(%rsp)
.endm

.macro load_rcx
	mov	-24(%rsp), %rcx
.endm

.macro keep_rcx_rdx
	keep_rcx
	mov	%rdx, -32(%rsp)
.endm

.macro load_rcx_rdx
	load_rcx
	mov	-32(%rsp), %rdx
.endm

.macro keep_rax_rcx
	mov	%rax, -16(%rsp)
	keep_rcx
.endm

.macro load_rax_rcx
	mov	-16(%rsp), %rax
	load_rcx
.endm

/* registers: those that are used. data: where the data is, which whoever copies it fills in. */
.macro short_way name, registers, data
	.p2align 4
short_\name\()_begin:
	load_\registers
	push	(short_\name\()_end - ML_SLOT_CODE + ML_SLOT_SELF)(%rip)
	jmp	*(short_\name\()_end - ML_SLOT_CODE + ML_SLOT_LONG)(%rip)
short_\name\()_entered:
	lea	8(%rsp), %rsp
	jmp	short_\name\()_start
	.fill	ML_SLOT_UNDO, 1, 0xcc
short_\name\()_start:
	keep_\registers
	movabs	$0, \data
short_\name\()_data_end:
.endm

.macro short_way_ends name, registers
	load_\registers
short_\name\()_end:
.endm

/* rax: the memory, then the thread's place as far as it is from the first one. Takes rcx. */
.macro find_thread_shortly name
	test	%rax, %rax
	je	1f		/* a forked child */
	mov	%fs:0, %rcx
	imul	$THREAD_HASH, %ecx, %ecx
	shr	$THREAD_HASH_SHIFT, %ecx
	shl	$THREAD_SHIFT, %ecx
	add	%rcx, %rax
	mov	%fs:0, %rcx
	cmp	%rcx, MEMORY_THREADS(%rax)
	jne	short_\name\()_begin
.endm

/* The function may call malloc: is_passing(). */
.macro note_passing
	mov	(%rsp), %rcx
	mov	%rsp, (MEMORY_THREADS + THREAD_PASSING_SP)(%rax)
	mov	%rcx, (MEMORY_THREADS + THREAD_PASSING_IP)(%rax)
.endm

	short_way free, rax_rcx, %rcx
	sift	%rcx, %rax, %eax, %ecx
	jc	short_free_begin
	short_way_ends free, rax_rcx

	short_way malloc, rcx, %rax
	mov	(%rax), %rax
	find_thread_shortly malloc
	use_budget MEMORY_THREADS(%rax), %rdi, %rcx, short_malloc_begin
1:	short_way_ends malloc, rcx

	short_way calloc, rcx_rdx, %rax
	mov	(%rax), %rax
	mov	%rdi, %rdx
	imul	%rsi, %rdx
	jo	short_calloc_begin
	find_thread_shortly calloc
	use_budget MEMORY_THREADS(%rax), %rdx, %rcx, short_calloc_begin
	note_passing
1:	short_way_ends calloc, rcx_rdx

	/* Without a block it may be a jump to malloc. */
	short_way realloc, rcx_rdx, %rdx
	test	%rdi, %rdi
	je	short_realloc_begin
	sift	%rdx, %rax, %eax, %ecx
	jc	short_realloc_begin
	mov	(%rdx), %rax
	find_thread_shortly realloc
	use_budget MEMORY_THREADS(%rax), %rsi, %rcx, short_realloc_begin
	note_passing
1:	short_way_ends realloc, rcx_rdx

/* ---- the long way -------------------------------------------------------------------------------
 */
beat:	decq	THREAD_EVENTS(%rdx)
	jmp	long_way

	.globl ml_agent_entry
	.hidden ml_agent_entry
	.p2align 6
ml_agent_entry:
	keep_registers
	find_memory
long_way:
	build_frame
	save_middle
	save_last
	mov	%rsp, %rdi
	call	ml_agent_before
	test	%eax, %eax
	load_registers
	jnz	call_function
	drop_frame
	jmp	*-8(%rsp)

/* ---- the way back -------------------------------------------------------------------------------
 */
call_function:
	call	*8(%rbp)
	.globl ml_agent_returned
	.hidden ml_agent_returned
ml_agent_returned:
	mov	%rax, -8(%rbp)
	cmpl	$0, CALL_PLAIN(%rsp)
	je	after_long

	mov	%rcx, -16(%rbp)
	mov	%rdx, -24(%rbp)
	save_middle
	mov	ml_agent_data(%rip), %rdi
	test	%rdi, %rdi
	je	after_plain
	test	%rax, %rax
	je	after_plain
	mov	CALL_THREAD(%rsp), %rcx
	cmpq	$0, THREAD_WALKER(%rcx)
	jne	after_plain
	/* An offset that is not known is 0, where no tid is. */
	mov	THREAD_TID_OFFSET(%rcx), %edx
	mov	THREAD_TID(%rcx), %eax
	add	(%rcx), %rdx
	cmp	%eax, (%rdx)
	jne	after_plain
	/* Signal handlers that allocate find it set. */
	lea	24(%rbp), %rsi
	mov	%rsi, THREAD_WALKER(%rcx)
	movq	$0, THREAD_CALL(%rcx)

	/* The trace of the walk from here that is still true: as find_trace(). */
	mov	CALL_WAYS(%rsp), %rdx
	mov	16(%rbp), %rax
way:	cmp	%rax, TRACE_IP(%rdx)
	jne	next_way
	cmp	%rsi, TRACE_SP(%rdx)
	jne	next_way
	mov	MEMORY_EPOCH(%rdi), %r8d
	cmp	TRACE_EPOCH(%rdx), %r8d
	jne	next_way
	cmpb	$0, TRACE_USES_BP(%rdx)
	jne	way_of_bp
1:	mov	THREAD_STACK_START(%rcx), %r8
	cmp	%r8, %rsi
	jb	next_way
	add	THREAD_STACK_SIZE(%rcx), %r8
	sub	%rsi, %r8
	mov	TRACE_REACH(%rdx), %eax
	cmp	%r8, %rax
	jae	reload_way
	movzwl	TRACE_COUNT(%rdx), %r9d
	mov	TRACE_FIRST(%rdx), %esi
	test	%r9d, %r9d
	je	found
	mov	THREAD_MEMO(%rcx), %rax
	lea	MEMO_WORDS(%rax, %rsi, 8), %rsi
	lea	(%rsi, %r9, 8), %r9

	/* Each word's place follows from those before it. */
.macro compare_word i
	mov	(8 * \i)(%rsi), %rax
	movzwl	%ax, %r8d
	shr	$16, %rax
	cmp	%rax, 24(%rbp, %r8, 8)
	jne	reload_way
.endm
2:	compare_word 0
	compare_word 1
	compare_word 2
	compare_word 3
	add	$(8 * WORDS_UNROLLED), %rsi
	cmp	%r9, %rsi
	jne	2b

found:	mov	-8(%rbp), %rax
	cmpw	$END_COMPLETE, TRACE_END(%rdx)
	jne	found_other

	/* A place: where the address was booked before, if that is remembered. */
take_place:
	recall	%rdi, %rcx, %rax, %eax, %rsi, %r8, %r8d, new_place
	cmpl	$0, (%r8)
	jne	new_place
	bt	$RECENT_OWN_BIT, %rsi
	jnc	shared_place

	/* The block, and what its stack counts. */
fill:	mov	CALL_SIZE(%rsp), %rsi
	mov	THREAD_TID_BITS(%rcx), %r9d
	or	%esi, %r9d
	mov	%r9d, LINE_SIZE(%r8)
	mov	MEMORY_NOW(%rdi), %r9
	sub	MEMORY_START(%rdi), %r9
	shr	$TICK_SHIFT, %r9
	mov	%eax, %edi
	and	$7, %edi
	lea	(%rdi, %r9, 8), %edi
	mov	%edi, LINE_BORN(%r8)
	mov	TRACE_STACK(%rdx), %edi
	shl	$KEY_STACK, %edi
	shr	$3, %eax
	and	$KEY_PLACE, %eax
	lea	-KEY_USED(%rax, %rdi), %eax
	mov	%eax, (%r8)
	incq	TRACE_ALLOCS(%rdx)
	add	%rsi, TRACE_BYTES(%rdx)
	movq	$0, THREAD_WALKER(%rcx)

	load_used
	drop_frame
	ret

way_of_bp:
	mov	(%rbp), %r8
	cmp	%r8, TRACE_BP(%rdx)
	je	1b
	jmp	next_way

reload_way:
	lea	24(%rbp), %rsi
	mov	16(%rbp), %rax
next_way:
	add	$(1 << TRACE_SHIFT), %rdx
	test	$((1 << WAYS_SHIFT) - 1), %edx
	jne	way
	movl	$CALL_MISSED, CALL_PLAIN(%rsp)
	jmp	leave_traces

	/* It has Python functions, or is not complete. The functions are those that they were: as
	 * is_seen(). */
found_other:
	cmpw	$(END_COMPLETE | STACK_LOOP), TRACE_END(%rdx)
	jne	leave_traces
	mov	THREAD_MEMO(%rcx), %rsi
	mov	MEMORY_NOW(%rdi), %r8
	shr	$PYTHON_AGE_SHIFT, %r8
	add	MEMORY_UNMAPS(%rdi), %r8d
	movzwl	%r8w, %r8d
	cmp	MEMO_PYTHON(%rsi), %r8d
	jne	see_python
	mov	(MEMO_PYTHON + PYTHON_WORD_BYTES)(%rsi), %r9d
	lea	(MEMO_PYTHON + PYTHON_WORDS)(%rsi), %r8
	add	%r8, %r9
python_word:
	mov	(%r8), %rax
	mov	(%rax), %rax
	cmp	%rax, 8(%r8)
	jne	see_python
	add	$16, %r8
	cmp	%r9, %r8
	jne	python_word

	/* Where the newest one is, as hash_python(). */
	mov	(MEMO_PYTHON + PYTHON_CODE_AT)(%rsi), %rax
	mov	(%rax), %r8
	and	$-8, %r8
	mov	(MEMO_PYTHON + PYTHON_MARK_AT)(%rsi), %rax
	movzbl	(%rax), %r9d
	xor	%eax, %eax
	cmp	(MEMO_PYTHON + PYTHON_MARK_VALUE)(%rsi), %r9d
	sete	%al
	or	%rax, %r8
	mov	(MEMO_PYTHON + PYTHON_INSTRUCTION_AT)(%rsi), %rax
	mov	(%rax), %rax
	add	%rax, %rax
	xor	%rax, %r8
	xor	(MEMO_PYTHON + PYTHON_OUTER_HASH)(%rsi), %r8
	movabs	$WAYS_FACTOR, %rax
	imul	%rax, %r8
	mov	%r8, %rax
	shr	$PYTHON_STIR_SHIFT, %rax
	xor	%rax, %r8
	or	$1, %r8

	/* The trace that went with it last. */
	movzwl	TRACE_PYTHON(%rdx), %eax
	shl	$TRACE_SHIFT, %eax
	lea	MEMO_PYTHON_TRACES(%rsi, %rax), %rsi
	cmp	TRACE_IP(%rsi), %r8
	jne	see_python
	mov	TRACE_STACK(%rdx), %eax
	cmp	TRACE_SP(%rsi), %rax
	jne	see_python
	cmpl	$KEY_STACKS, TRACE_STACK(%rsi)
	jae	leave_traces
	mov	%rsi, %rdx
	mov	-8(%rbp), %rax
	jmp	take_place

see_python:
	mov	%rcx, %rsi
	push	%rdi
	call	ml_agent_with_python
	pop	%rdi
	mov	%rax, %rdx
	mov	-8(%rbp), %rax
	test	%rdx, %rdx
	jne	take_place
	jmp	leave_traces

	/* Other threads take places there, too, or only another one does. */
shared_place:
	test	%rsi, %rsi
	js	new_place
	xor	%eax, %eax
	mov	$KEY_BUSY, %esi
	lock cmpxchg %esi, (%r8)
	mov	-8(%rbp), %rax
	je	fill
new_place:
	push	%rcx
	push	%rdx
	push	%rdi
	mov	%rcx, %rsi
	mov	%rax, %rdx
	mov	(24 + CALL_SIZE)(%rsp), %rcx
	call	ml_agent_place
	pop	%rdi
	pop	%rdx
	pop	%rcx
	mov	%rax, %r8
	mov	-8(%rbp), %rax
	test	%r8, %r8
	jne	fill

leave_traces:
	movq	$0, THREAD_WALKER(%rcx)
after_plain:
	save_last
	jmp	1f

after_long:
	cmpl	$0, CALL_SUBSTITUTED(%rsp)
	jne	1f		/* then registers are to be as they were before */
	mov	%rcx, -16(%rbp)
	mov	%rdx, -24(%rbp)
	save_middle
	save_last
1:	mov	%rsp, %rdi
	call	ml_agent_after
	test	%eax, %eax
	load_registers
	drop_frame
	jnz	2f
	ret
2:	jmp	*-8(%rsp)

	.section .note.GNU-stack, "", @progbits
