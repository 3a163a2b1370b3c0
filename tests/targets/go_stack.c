/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Leaks where a call leaves its stack the way Go's asmcgocall() does: the program's own "goroutine"
 * runs on a small stack of its own and calls C on the thread's. memleak knows the code by its bytes
 * (runtime/asm_amd64.s) in programs that have Go's build id.
 */
#include "truth.h"

#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>

#define STACK_BYTES 65536

__attribute__((used, section(".note.go.buildid"))) static const char build_id[] = "none";

/* The beginning of Go's struct g. */
struct routine {
	uint64_t stack_low;
	uint64_t stack_top;
};

void call_on_thread_stack(void (*function)(void), uint64_t thread_sp, struct routine *routine);

__asm__("	.text\n"
	"	.type call_on_thread_stack, @function\n"
	"call_on_thread_stack:\n"
	"	.cfi_startproc\n"
	"	mov %rdi, %rax\n"
	"	mov 8(%rdx), %rcx\n"
	"	sub %rsp, %rcx\n"
	"	mov %rsi, %rsp\n"
	"	sub $64, %rsp\n"
	"	and $-16, %rsp\n"
	"	mov %rdx, 48(%rsp)\n"
	"	mov %rcx, 40(%rsp)\n"
	"	call *%rax\n"
	"	mov 48(%rsp), %rdi\n"
	"	mov 8(%rdi), %rsi\n"
	"	sub 40(%rsp), %rsi\n"
	"	mov %rsi, %rsp\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"	.size call_on_thread_stack, . - call_on_thread_stack\n");

static ucontext_t thread, goroutine;
static struct routine *routine;

static NOINLINE void leak_in_c(void)
{
	truth_keep(malloc(truth_opaque(101)));
}

static NOINLINE void go_caller(int depth)
{
	if (depth)
		go_caller(depth - 1);
	else
		call_on_thread_stack(leak_in_c, (uint64_t)thread.uc_mcontext.gregs[REG_RSP] - 1024,
				     routine);
	truth_keep(NULL);
}

static void go_main(void)
{
	for (int i = 0; i < 23; i++)
		go_caller(i % 3);
}

int main(void)
{
	char *stack =
		mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	routine = malloc(sizeof(*routine));
	*routine = (struct routine){(uint64_t)stack, (uint64_t)stack + STACK_BYTES};
	getcontext(&goroutine);
	goroutine.uc_stack.ss_sp = stack;
	goroutine.uc_stack.ss_size = STACK_BYTES;
	goroutine.uc_link = &thread;
	makecontext(&goroutine, go_main, 0);
	truth_ready();
	swapcontext(&thread, &goroutine);
	truth_site("leak_in_c", 0, 2323, 23);
	truth_site("go_caller", 0, 2323, 23);
	truth_site("go_main", 0, 2323, 23);
	truth_done();
	return 0;
}
