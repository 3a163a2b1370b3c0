/* SPDX-License-Identifier: BSD-2-Clause */
#include "allocators/probe_site.h"

#include "support.h"

#define PICK(role, site, ...)                                                                      \
	pick((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), role, site)

static bool pick(const uint8_t *bytes, size_t size, enum ml_role role, struct ml_probe_site *site)
{
	struct ml_code code = {.bytes = bytes, .size = size, .is_whole = true};

	return ml_probe_site_pick(&code, role, site);
}

static void assert_site(bool found, const struct ml_probe_site *site, size_t offset,
			bool is_emulated)
{
	assert_true(found);
	assert_int_equal(site->offset, offset);
	assert_int_equal(site->is_emulated, is_emulated);
}

static void test_emulated_entries(void **state)
{
	struct ml_probe_site site;

	/* push %rbp; ret */
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0x55, 0xc3), &site, 0, true);
	/* push %r12; ret */
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0x41, 0x54, 0xc3), &site, 0, true);
	/* nop; nopw 0(%rax,%rax) */
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0x90, 0xc3), &site, 0, true);
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00, 0xc3), &site, 0,
		    true);
	/* jmp elsewhere; call elsewhere */
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0xe9, 0, 1, 0, 0), &site, 0, true);
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0xe8, 0, 1, 0, 0, 0xc3), &site, 0, true);
	/* bnd jmp */
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0xf2, 0xe9, 0, 1, 0, 0), &site, 0, true);
}

static void test_endbr64_is_passed(void **state)
{
	struct ml_probe_site site;

	assert_site(PICK(ML_ROLE_MALLOC, &site, 0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0xc3), &site, 4,
		    true);
}

static void test_null_check_of_free(void **state)
{
	struct ml_probe_site site;

	/* test %rdi,%rdi; je +2; push %rbp; pop %rbp; ret: the je itself is passed by every call */
	assert_site(PICK(ML_ROLE_FREE, &site, 0x48, 0x85, 0xff, 0x74, 0x02, 0x55, 0x5d, 0xc3),
		    &site, 3, true);
}

static void test_not_emulated(void **state)
{
	struct ml_probe_site site;

	/* Neither pause, nor push of a word or of memory, nor a jump with the operand size prefix;
	 * the entry is what remains. */
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0xf3, 0x90, 0xc3), &site, 0, false);
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0x66, 0x55, 0xc3), &site, 0, false);
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0xff, 0x37, 0xc3), &site, 0, false);
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0xc3), &site, 0, false);
	/* mov $11,%eax; syscall; push: nothing behind a system call */
	assert_site(PICK(ML_ROLE_MUNMAP, &site, 0xb8, 0x0b, 0, 0, 0, 0x0f, 0x05, 0x55, 0xc3), &site,
		    0, false);
}

static void test_arguments_must_be_intact(void **state)
{
	struct ml_probe_site site;
	/* mov %rdi,%rsi; push %rbp; ret */
	const uint8_t moves_rsi[] = {0x48, 0x89, 0xfe, 0x55, 0xc3};
	/* xor %di,%di (a part of rdi); push %rbp; ret */
	const uint8_t clears_di[] = {0x66, 0x31, 0xff, 0x55, 0xc3};
	/* mul %rdx writes rdx without naming it; push %rbp; ret */
	const uint8_t multiplies[] = {0x48, 0xf7, 0xe2, 0x55, 0xc3};

	assert_site(pick(moves_rsi, sizeof(moves_rsi), ML_ROLE_MALLOC, &site), &site, 3, true);
	assert_site(pick(moves_rsi, sizeof(moves_rsi), ML_ROLE_CALLOC, &site), &site, 0, false);
	assert_site(pick(clears_di, sizeof(clears_di), ML_ROLE_FREE, &site), &site, 0, false);
	assert_site(pick(multiplies, sizeof(multiplies), ML_ROLE_CALLOC, &site), &site, 3, true);
	assert_site(pick(multiplies, sizeof(multiplies), ML_ROLE_REALLOCARRAY, &site), &site, 0,
		    false);
}

static void test_moved_size(void **state)
{
	struct ml_probe_site site;
	/* mov %rdi,%rsi; mov %fs:(%rax),%rdi; push %rbp; ret: f(size) becomes f(heap, size) */
	const uint8_t moves[] = {0x48, 0x89, 0xfe, 0x64, 0x48, 0x8b, 0x38, 0x55, 0xc3};
	/* The same, and the size is lost: xor %esi,%esi before the push */
	const uint8_t loses[] = {0x48, 0x89, 0xfe, 0x64, 0x48, 0x8b, 0x38, 0x31, 0xf6, 0x55, 0xc3};
	/* mov %rdi,%rsi; xor %esi,%esi; xor %edi,%edi; push: no copy is left when rdi goes */
	const uint8_t undoes[] = {0x48, 0x89, 0xfe, 0x31, 0xf6, 0x31, 0xff, 0x55, 0xc3};

	assert_site(pick(moves, sizeof(moves), ML_ROLE_MALLOC, &site), &site, 7, true);
	assert_int_equal(site.role, ML_ROLE_ALIGNED_ALLOC);
	assert_site(pick(loses, sizeof(loses), ML_ROLE_MALLOC, &site), &site, 0, false);
	assert_int_equal(site.role, ML_ROLE_MALLOC);
	assert_site(pick(undoes, sizeof(undoes), ML_ROLE_MALLOC, &site), &site, 0, false);
	assert_site(pick(moves, sizeof(moves), ML_ROLE_FREE, &site), &site, 0, false);
}

static void test_stack_pointer_must_be_intact(void **state)
{
	struct ml_probe_site site;

	/* sub $8,%rsp; call */
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0x48, 0x83, 0xec, 8, 0xe8, 0, 1, 0, 0, 0xc3), &site,
		    0, false);
}

static void test_no_branch_into_the_way(void **state)
{
	struct ml_probe_site site;

	/* 0: xor %eax,%eax; 2: push %rbp; 3: pop %rbp; 4: jne 2; 6: ret */
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0x31, 0xc0, 0x55, 0x5d, 0x75, 0xfc, 0xc3), &site, 0,
		    false);
	/* The same with jne 0 is a recursion: each pass is a call as far as a probe can tell. */
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0x31, 0xc0, 0x55, 0x5d, 0x75, 0xfa, 0xc3), &site, 2,
		    true);
	/* Data behind the code: what branches where is unknown. */
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0x31, 0xc0, 0x55, 0xc3, 0x06, 0x06), &site, 0,
		    false);
}

static void test_refused_instructions(void **state)
{
	struct ml_probe_site site;

	/* int3, hlt, ud2, in, lock: no probe there, and nothing known behind them */
	assert_false(PICK(ML_ROLE_MALLOC, &site, 0xcc, 0x55, 0xc3));
	assert_false(PICK(ML_ROLE_MALLOC, &site, 0xf4, 0x55, 0xc3));
	assert_false(PICK(ML_ROLE_MALLOC, &site, 0x0f, 0x0b, 0x55, 0xc3));
	/* lock incl (%rdi); push: passed over */
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0xf0, 0xff, 0x07, 0x55, 0xc3), &site, 3, true);
	/* lock incl (%rdi); mov %rsp,%rax; ret: the mov is the first that can be probed */
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0xf0, 0xff, 0x07, 0x48, 0x89, 0xe0, 0xc3), &site, 3,
		    false);
	/* cs nopw: a nop, but the kernel refuses the prefix */
	assert_site(PICK(ML_ROLE_MALLOC, &site, 0x2e, 0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0x55,
			 0xc3),
		    &site, 10, true);
	assert_false(PICK(ML_ROLE_MALLOC, &site, 0x06));
	assert_false(pick((const uint8_t *)"", 0, ML_ROLE_MALLOC, &site));
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void test_random_bytes(void **state)
{
	uint32_t seed = 101;
	uint8_t bytes[64];
	size_t found = 0;

	for (int round = 0; round < 20000; round++) {
		size_t size = next_random(&seed) % sizeof(bytes) + 1;
		/* Exactly sized, so that the sanitizer sees a read beyond the end. */
		uint8_t *exact = malloc(size);
		struct ml_probe_site site = {.offset = SIZE_MAX};
		struct ml_code code = {.bytes = exact, .size = size, .is_whole = round & 1};
		struct ml_instruction instruction;

		for (size_t i = 0; i < size; i++)
			exact[i] = (uint8_t)next_random(&seed);
		if (ml_probe_site_pick(&code, (enum ml_role)(round % ML_ROLE_COUNT), &site)) {
			found++;
			assert_true(ml_code_decode(&code, site.offset, &instruction));
			assert_true(site.offset + instruction.zydis.length <= size);
		} else {
			assert_int_equal(site.offset, SIZE_MAX);
		}
		free(exact);
	}
	assert_true(found > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_emulated_entries),
		cmocka_unit_test(test_endbr64_is_passed),
		cmocka_unit_test(test_null_check_of_free),
		cmocka_unit_test(test_not_emulated),
		cmocka_unit_test(test_arguments_must_be_intact),
		cmocka_unit_test(test_moved_size),
		cmocka_unit_test(test_stack_pointer_must_be_intact),
		cmocka_unit_test(test_no_branch_into_the_way),
		cmocka_unit_test(test_refused_instructions),
		cmocka_unit_test(test_random_bytes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
