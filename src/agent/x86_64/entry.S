/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way in and out of the agent, x86-64.
 *
 * A stub has pushed the address of its function's descriptor over the return address. Every general
 * register is as the caller left it and stays so: code compiled with gcc's -fipa-ra relies on
 * registers the psABI calls clobbered when caller and callee are in one file, as within libc. Vector
 * registers are never touched. Below rsp nothing lives at a function's first instruction.
 *
 * struct call in agent.c is what the long way builds; ml_agent_..._short() keep all registers.
 */
#include "agent/x86_64/offsets.h"

/* Takes the registers of the call out of its frame; flags stay. */
.macro load_registers
	mov	-8(%rbp), %rax
	mov	-16(%rbp), %rcx
	mov	-24(%rbp), %rdx
	mov	-32(%rbp), %rsi
	mov	-40(%rbp), %rdi
	mov	-48(%rbp), %r8
	mov	-56(%rbp), %r9
	mov	-64(%rbp), %r10
	mov	-72(%rbp), %r11
.endm

/* Puts them there, but for rax. */
.macro save_registers
	mov	%rcx, -16(%rbp)
	mov	%rdx, -24(%rbp)
	mov	%rsi, -32(%rbp)
	mov	%rdi, -40(%rbp)
	mov	%r8, -48(%rbp)
	mov	%r9, -56(%rbp)
	mov	%r10, -64(%rbp)
	mov	%r11, -72(%rbp)
.endm

#define SAVED_BYTES 72

	.section .header, "a"
	.globl image_header
image_header:
	.quad 0x746e6567616b6c6d
	.long ml_agent_entry - image_header
	.long ml_agent_returned - image_header
	.long ml_agent_data - image_header
	.long 0

	.text
	.globl ml_agent_entry
	.hidden ml_agent_entry
	.p2align 6
ml_agent_entry:
	push	%rax
	push	%rcx
	mov	ml_agent_data(%rip), %rax
	test	%rax, %rax
	je	pass		/* a forked child */
	cmpl	$MODE_ON, MEMORY_MODE(%rax)
	jne	pass
	mov	16(%rsp), %rcx
	mov	DESCRIPTOR_ROLE(%rcx), %ecx
	cmpl	$0, MEMORY_EXACT(%rax)
	jne	exact
	cmpq	$0, MEMORY_ALWAYS(%rax)
	je	long_way

	/* Sampling by bytes: most calls need no more than this. */
	cmp	$ROLE_FREE, %ecx
	jne	1f
	mov	%rdi, %rcx
	shr	$4, %rcx
	imul	$0x9e3779b1, %ecx, %ecx
	shr	$16, %ecx
	cmpb	$0, MEMORY_FILTER(%rax, %rcx)
	jne	long_way
	jmp	pass

1:	cmp	$ROLE_MALLOC, %ecx
	jne	long_way
	test	%rdi, %rdi
	je	long_way	/* malloc(0) uses up one byte */
	cmp	MEMORY_ALWAYS(%rax), %rdi
	jae	long_way
	push	%rdx
	mov	%fs:0, %rcx
	movabs	$0x9e3779b97f4a7c15, %rdx
	imul	%rcx, %rdx
	shr	$THREAD_HASH_SHIFT, %rdx
	shl	$THREAD_SHIFT, %rdx
	lea	MEMORY_THREADS(%rax, %rdx), %rdx
	cmp	%rcx, (%rdx)
	jne	long_way_rdx
	mov	THREAD_BUDGET(%rdx), %rcx
	cmp	%rdi, %rcx
	jbe	long_way_rdx
	incq	THREAD_EVENTS(%rdx)
	testl	$HEARTBEAT_MASK, THREAD_EVENTS(%rdx)
	je	long_way_rdx
	sub	%rdi, %rcx
	mov	%rcx, THREAD_BUDGET(%rdx)
	pop	%rdx

pass:	pop	%rcx
	mov	8(%rsp), %rax
	mov	(%rax), %rax
	mov	%rax, 8(%rsp)
	pop	%rax
	lea	8(%rsp), %rsp
	/* The red zone keeps this word from signal handlers. */
	jmp	*-8(%rsp)

	/* Every call is kept. */
exact:	cmp	$ROLE_FREE, %ecx
	jne	1f
	push	%rsi
	mov	%rax, %rsi
	call	ml_agent_free_short
	pop	%rsi
	test	%eax, %eax
	jne	pass
	jmp	long_way

	/* The frame is that of the long way, with only those registers in it that are used here. */
1:	cmp	$ROLE_MALLOC, %ecx
	jne	long_way
	pop	%rcx
	mov	%rdx, -24(%rsp)
	mov	%rax, %rdx
	mov	(%rsp), %rax
	mov	%rbp, (%rsp)
	mov	%rsp, %rbp
	mov	%rax, -8(%rbp)
	mov	%rsi, -32(%rbp)
	lea	-(SAVED_BYTES + CALL_BYTES)(%rbp), %rsp
	mov	%rsp, %rsi
	call	ml_agent_malloc_short
	test	%eax, %eax
	mov	-8(%rbp), %rax
	mov	-24(%rbp), %rdx
	mov	-32(%rbp), %rsi
	jnz	2f
	save_registers
	jmp	1f

long_way_rdx:
	pop	%rdx
long_way:
	pop	%rcx
	mov	(%rsp), %rax
	mov	%rbp, (%rsp)
	mov	%rsp, %rbp
	lea	-(SAVED_BYTES + CALL_BYTES)(%rbp), %rsp
	mov	%rax, -8(%rbp)
	save_registers
1:	mov	%rsp, %rdi
	call	ml_agent_before
	test	%eax, %eax
	load_registers
	jnz	2f
	mov	%rbp, %rsp
	pop	%rbp
	lea	8(%rsp), %rsp
	jmp	*-8(%rsp)

2:	call	*8(%rbp)
	.globl ml_agent_returned
	.hidden ml_agent_returned
ml_agent_returned:
	mov	%rax, -8(%rbp)
	cmpl	$0, CALL_PLAIN(%rsp)
	je	1f
	mov	%rdi, -40(%rbp)
	mov	%rsp, %rdi
	call	ml_agent_after_short
	mov	-40(%rbp), %rdi
	test	%eax, %eax
	je	1f
	mov	-8(%rbp), %rax
	mov	%rbp, %rsp
	pop	%rbp
	lea	8(%rsp), %rsp
	ret

1:	cmpl	$0, CALL_SUBSTITUTED(%rsp)
	jne	3f		/* then registers are to be as they were before */
	save_registers
3:	mov	%rsp, %rdi
	call	ml_agent_after
	test	%eax, %eax
	load_registers
	mov	%rbp, %rsp
	pop	%rbp
	lea	8(%rsp), %rsp
	jnz	4f
	ret
4:	jmp	*-8(%rsp)

	.section .note.GNU-stack, "", @progbits
