/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding the allocators' code in a list of symbols. */
#include "trace/kernel_code.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char symbols[] = "ffffffff81000d40 T asm_common_interrupt\n"
			      "ffffffff81000d80 T asm_spurious_interrupt\n"
			      "ffffffff81000db0 T asm_sysvec_irq_work\n"
			      "ffffffff81000dd0 T asm_exc_nmi\n"
			      "ffffffff81600000 T __alloc_pages_noprof\n"
			      "ffffffff81600100 T clear_page\n"
			      "ffffffff81600200 t alloc_pages_mpol.isra.0\n"
			      "ffffffff81600300 t allocate_slab\n"
			      "ffffffff81600400 t allocate_slab_not\n"
			      "ffffffff81600500 t pcpu_alloc_pages.constprop.0\n"
			      "ffffffff81600600 T folio_alloc_swap\n"
			      "ffffffff81600700 d allocate_slab_data\n"
			      "ffffffffc0000000 t new_slab\t[module]\n";

/* Writes @text into a file whose name is the caller's to free and unlink. */
static char *write_symbols(const char *text)
{
	char *path = strdup("/tmp/ml-kallsyms-XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return path;
}

static struct ml_error *read_symbols(const char *text, struct ml_kernel_code *code)
{
	char *path = write_symbols(text);
	struct ml_error *error = ml_kernel_code_read(path, code);

	unlink(path);
	free(path);
	return error;
}

static void finds_ranges(void **state)
{
	struct ml_kernel_code code = {0};
	struct ml_kernel_config config = {0};

	assert_null(read_symbols(symbols, &code));
	assert_int_equal(code.slab_pages.count, 1);
	assert_int_equal(code.slab_pages.items[0].start, 0xffffffff81600300);
	assert_int_equal(code.slab_pages.items[0].end, 0xffffffff81600400);
	assert_int_equal(code.percpu_pages.count, 1);
	assert_int_equal(code.interrupt.start, 0xffffffff81000d40);
	assert_int_equal(code.interrupt.end, 0xffffffff81000dd0);

	ml_kernel_code_configure(&code, false, &config);
	assert_int_equal(config.nested[0].start, 0xffffffff81600300);
	assert_int_equal(config.nested[1].start, 0);
	ml_kernel_code_configure(&code, true, &config);
	assert_int_equal(config.nested[1].start, 0xffffffff81600500);
	ml_kernel_code_deinit(&code);
}

static void trims_own_frames(void **state)
{
	/* two frames of the tracing, the allocator, its caller, the allocator again */
	const uint64_t page[] = {0xffffffffc0001000, 0xffffffff81100000, 0xffffffff81600050,
				 0xffffffff81600250, 0xffffffff81600650, 0xffffffff81600050};
	const uint64_t caller_first[] = {0xffffffff81600650, 0xffffffff81700000};
	const uint64_t only_own[] = {0xffffffff81600050};
	struct ml_kernel_code code = {0};

	assert_null(read_symbols(symbols, &code));
	assert_int_equal(ml_kernel_code_own_frames(&code, page, 6), 4);
	assert_int_equal(ml_kernel_code_own_frames(&code, caller_first, 2), 0);
	assert_int_equal(ml_kernel_code_own_frames(&code, only_own, 1), 0);
	assert_int_equal(ml_kernel_code_own_frames(&code, NULL, 0), 0);
	ml_kernel_code_deinit(&code);
}

static void refuses_hidden_addresses(void **state)
{
	struct ml_kernel_code code = {0};
	ML_ERROR_CLEANUP struct ml_error *hidden =
		read_symbols("0000000000000000 T allocate_slab\n", &code);
	ML_ERROR_CLEANUP struct ml_error *missing = ml_kernel_code_read("/nonexistent", &code);

	assert_non_null(hidden);
	assert_int_equal(ml_error_kind(hidden), ML_ERROR_UNSUPPORTED);
	assert_non_null(strstr(ml_error_message(hidden), "kptr_restrict"));
	assert_non_null(missing);
}

static void survives_nonsense(void **state)
{
	static const char start[] = "ffffffff81600300 t allocate_slab\n \nx\nffff\nffffffff8160";
	char text[8192];
	struct ml_kernel_code code = {0};

	memset(text, 'f', sizeof(text));
	memcpy(text, start, sizeof(start) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_null(read_symbols(text, &code));
	assert_int_equal(code.slab_pages.count, 1);
	ml_kernel_code_deinit(&code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_ranges),
		cmocka_unit_test(trims_own_frames),
		cmocka_unit_test(refuses_hidden_addresses),
		cmocka_unit_test(survives_nonsense),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
