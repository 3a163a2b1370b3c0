/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way in and out of the agent, x86-64.
 *
 * A stub has pushed the address of its function's descriptor over the return address. Every general
 * register is as the caller left it and stays so: code compiled with gcc's -fipa-ra relies on
 * registers the psABI calls clobbered when caller and callee are in one file, as within libc. Vector
 * registers are never touched. Below rsp nothing lives at a function's first instruction.
 *
 * struct call in agent.c is what these pushes build.
 */
#define CALL_BYTES 96

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
ml_agent_entry:
	push	%rbp
	mov	%rsp, %rbp
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	sub	$CALL_BYTES, %rsp
	mov	%rsp, %rdi
	call	ml_agent_before
	test	%eax, %eax
	mov	-8(%rbp), %rax
	mov	-16(%rbp), %rcx
	mov	-24(%rbp), %rdx
	mov	-32(%rbp), %rsi
	mov	-40(%rbp), %rdi
	mov	-48(%rbp), %r8
	mov	-56(%rbp), %r9
	mov	-64(%rbp), %r10
	mov	-72(%rbp), %r11
	jnz	1f
	mov	%rbp, %rsp
	pop	%rbp
	lea	8(%rsp), %rsp
	/* The red zone keeps this word from signal handlers. */
	jmp	*-8(%rsp)

1:	call	*8(%rbp)
	.globl ml_agent_returned
	.hidden ml_agent_returned
ml_agent_returned:
	mov	%rax, -8(%rbp)
	mov	%rcx, -16(%rbp)
	mov	%rdx, -24(%rbp)
	mov	%rsi, -32(%rbp)
	mov	%rdi, -40(%rbp)
	mov	%r8, -48(%rbp)
	mov	%r9, -56(%rbp)
	mov	%r10, -64(%rbp)
	mov	%r11, -72(%rbp)
	mov	%rsp, %rdi
	call	ml_agent_after
	mov	-8(%rbp), %rax
	mov	-16(%rbp), %rcx
	mov	-24(%rbp), %rdx
	mov	-32(%rbp), %rsi
	mov	-40(%rbp), %rdi
	mov	-48(%rbp), %r8
	mov	-56(%rbp), %r9
	mov	-64(%rbp), %r10
	mov	-72(%rbp), %r11
	mov	%rbp, %rsp
	pop	%rbp
	lea	8(%rsp), %rsp
	ret

	.section .note.GNU-stack, "", @progbits
