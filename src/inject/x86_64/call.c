/* SPDX-License-Identifier: BSD-2-Clause */
/** A system call in a stopped thread's name that needs nobody to clean up behind it. */
#include "inject/machine.h"

#include <string.h>
#include <sys/syscall.h>

#define FLAG_TRAP 0x100u

/* What a system call returns within the kernel when it is to be begun again (linux/errno.h). */
#define ERESTARTSYS           (-512)
#define ERESTARTNOINTR        (-513)
#define ERESTARTNOHAND        (-514)
#define ERESTART_RESTARTBLOCK (-516)

/* The words behind the code: what the thread gets back. */
enum word { FLAGS, SP, ALL_SIGNALS, MASK, IP, REGISTERS, WORDS = REGISTERS + 15 };
#define WORDS_AT (ML_CALL_CODE - 8 * WORDS)

struct writer {
	uint8_t *code;
	size_t at;
};

static void put(struct writer *writer, const void *bytes, size_t size)
{
	memcpy(writer->code + writer->at, bytes, size);
	writer->at += size;
}

/* An instruction whose operand is one of the words, relative to what follows it. */
static void put_with_word(struct writer *writer, const void *opcode, size_t size, size_t word)
{
	int32_t distance;

	put(writer, opcode, size);
	distance = (int32_t)(WORDS_AT + 8 * word - writer->at - sizeof(distance));
	put(writer, &distance, sizeof(distance));
}

/* rt_sigprocmask(SIG_SETMASK, word, NULL, 8); flags stay. */
static void put_mask(struct writer *writer, enum word word)
{
	static const uint8_t lea_rsi[] = {0x48, 0x8d, 0x35};
	static const char rest[] = "\xb8\x0e\0\0\0"     /* mov $SYS_rt_sigprocmask,%eax */
				   "\xbf\x02\0\0\0"     /* mov $SIG_SETMASK,%edi */
				   "\xba\0\0\0\0"       /* mov $0,%edx */
				   "\x41\xba\x08\0\0\0" /* mov $8,%r10d */
				   "\x0f\x05";          /* syscall */

	put_with_word(writer, lea_rsi, sizeof(lea_rsi), word);
	put(writer, rest, sizeof(rest) - 1);
}

/* With all signals held back: meanwhile the stack is none that a handler could run on. */
static void put_flags(struct writer *writer)
{
	static const uint8_t lea_rsp[] = {0x48, 0x8d, 0x25}, mov_rsp[] = {0x48, 0x8b, 0x25};
	static const uint8_t popf = 0x9d;

	put_with_word(writer, lea_rsp, sizeof(lea_rsp), FLAGS);
	put(writer, &popf, 1);
	put_with_word(writer, mov_rsp, sizeof(mov_rsp), SP);
}

static void put_registers(struct writer *writer)
{
	size_t word = REGISTERS;

	for (unsigned int number = 0; number < 16; number++) {
		/* mov word(%rip), the register of that number; rsp has number 4. */
		const uint8_t mov[] = {(uint8_t)(number < 8 ? 0x48 : 0x4c), 0x8b,
				       (uint8_t)((number & 7) << 3 | 5)};

		if (number != 4)
			put_with_word(writer, mov, sizeof(mov), word++);
	}
}

bool ml_registers_call_anew(struct user_regs_struct *registers)
{
	if ((int64_t)registers->orig_rax < 0 || (int64_t)registers->rax != ERESTART_RESTARTBLOCK)
		return false;
	registers->rax = (uint64_t)ERESTARTNOINTR;
	return true;
}

/* As the kernel would do it: the thread goes back to the instruction. */
static void restart(struct user_regs_struct *saved)
{
	if ((int64_t)saved->orig_rax < 0)
		return;
	switch ((int64_t)saved->rax) {
	case ERESTARTSYS:
	case ERESTARTNOINTR:
	case ERESTARTNOHAND:
		saved->rax = saved->orig_rax;
		break;
	case ERESTART_RESTARTBLOCK:
		saved->rax = SYS_restart_syscall;
		break;
	default:
		return;
	}
	saved->rip -= ML_CALL_BYTES;
}

void ml_machine_write_call(uint8_t code[ML_CALL_CODE], const struct user_regs_struct *registers,
			   uint64_t mask)
{
	static const uint8_t call[ML_CALL_BYTES] = {0x0f, 0x05}, jump[] = {0xff, 0x25};
	struct user_regs_struct saved = *registers;
	struct writer writer = {.code = code};

	restart(&saved);

	const uint64_t words[WORDS] = {
		saved.eflags & ~(uint64_t)FLAG_TRAP,
		saved.rsp,
		~0ull,
		mask,
		saved.rip,
		/* By their numbers. */
		saved.rax,
		saved.rcx,
		saved.rdx,
		saved.rbx,
		saved.rbp,
		saved.rsi,
		saved.rdi,
		saved.r8,
		saved.r9,
		saved.r10,
		saved.r11,
		saved.r12,
		saved.r13,
		saved.r14,
		saved.r15,
	};

	memset(code, 0, ML_CALL_CODE);
	put(&writer, call, sizeof(call));
	put_mask(&writer, ALL_SIGNALS);
	put_flags(&writer);
	put_mask(&writer, MASK);
	put_registers(&writer);
	put_with_word(&writer, jump, sizeof(jump), IP);
	memcpy(code + WORDS_AT, words, sizeof(words));
}

bool ml_machine_is_call(const uint8_t code[ML_CALL_CODE])
{
	const struct user_regs_struct none = {0};
	uint8_t same[ML_CALL_CODE];

	ml_machine_write_call(same, &none, 0);
	return !memcmp(code, same, WORDS_AT);
}
