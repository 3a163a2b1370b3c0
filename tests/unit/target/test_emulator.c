/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/emulator.h"

#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_other_machines(void **state)
{
	assert_int_equal(ml_emulation_of("/usr/bin/qemu-aarch64"), ML_EMULATION_FOREIGN);
	assert_int_equal(ml_emulation_of("/usr/libexec/qemu-arm-static"), ML_EMULATION_FOREIGN);
	assert_int_equal(ml_emulation_of("qemu-riscv64"), ML_EMULATION_FOREIGN);
	assert_int_equal(ml_emulation_of("qemu-i386"), ML_EMULATION_FOREIGN);
}

static void test_this_machine(void **state)
{
	assert_int_equal(ml_emulation_of("/usr/bin/qemu-x86_64"), ML_EMULATION_TRANSLATED);
	assert_int_equal(ml_emulation_of("qemu-x86_64-static"), ML_EMULATION_TRANSLATED);
	assert_int_equal(ml_emulation_of("/usr/bin/valgrind.bin"), ML_EMULATION_TRANSLATED);
	assert_int_equal(ml_emulation_of("/usr/libexec/valgrind/massif-amd64-linux"),
			 ML_EMULATION_TRANSLATED);
	assert_int_equal(ml_emulation_of("/opt/dr/lib64/release/libdynamorio.so.11.3"),
			 ML_EMULATION_TRANSLATED);
}

static void test_neither(void **state)
{
	static const char *const names[] = {"/usr/bin/qemu-system-x86_64",
					    "qemu-img",
					    "qemu-nbd",
					    "qemu-",
					    "qemu-static",
					    "/opt/qemu-x86_64/bin/cat",
					    "cat",
					    "-amd64-linux",
					    "",
					    "valgrind-listener"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_int_equal(ml_emulation_of(names[i]), ML_EMULATION_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_other_machines),
		cmocka_unit_test(test_this_machine),
		cmocka_unit_test(test_neither),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
