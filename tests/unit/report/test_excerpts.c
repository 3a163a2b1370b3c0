/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/file.h"
#include "report/excerpts.h"
#include "samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/** A file system of two files; the second one is as bad as they get. */
struct files {
	const char *text;
	size_t length;
	unsigned int opened;
};

static int open_file(void *context, const char *file)
{
	struct files *files = context;

	files->opened++;
	if (strcmp(file, "/src/app.c"))
		return -1;

	int fd = memfd_create("source", MFD_CLOEXEC);

	assert_int_equal(write(fd, files->text, files->length), files->length);
	return fd;
}

static struct ml_report report_of(const char *file, int line)
{
	struct ml_report report = sample_base();

	sample_frame(sample_site(&report, 1, 100, 1), "leaky", 0, file, line, false);
	return report;
}

static void test_lines(void **state)
{
	struct files files = {"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11", 23, 0};
	static const struct {
		int line, first_line;
		const char *text; /**< NULL: none */
	} cases[] = {
		{1, 1, "1\n2\n3\n4\n5\n"},    {6, 2, "2\n3\n4\n5\n6\n7\n8\n9\n10\n"},
		{11, 7, "7\n8\n9\n10\n11\n"}, {12, 0, NULL},
		{2147483647, 0, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ml_report report = report_of("/src/app.c", cases[i].line);

		ml_excerpts_read(&report, open_file, &files);
		assert_int_equal(report.excerpts.count, cases[i].text ? 1 : 0);
		if (cases[i].text) {
			assert_string_equal(report.excerpts.items[0].text, cases[i].text);
			assert_int_equal(report.excerpts.items[0].first_line, cases[i].first_line);
			assert_int_equal(report.excerpts.items[0].line, cases[i].line);
		}
		ml_report_deinit(&report);
	}
}

static void expect_none(const char *file, const char *text, size_t length, unsigned int opened)
{
	struct files files = {text, length, 0};
	struct ml_report report = report_of(file, 1);

	ml_excerpts_read(&report, open_file, &files);
	assert_int_equal(report.excerpts.count, 0);
	assert_int_equal(files.opened, opened);
	ml_report_deinit(&report);
}

static void test_what_is_no_source(void **state)
{
	size_t length = (4 << 20) + 1;
	ML_FREE_CLEANUP char *long_text = ml_alloc(length);

	memset(long_text, 'x', length);
	expect_none("/src/other.c", "1\n", 2, 1);
	expect_none("app.c", "1\n", 2, 0); /* relative: not even asked for */
	expect_none("/src/app.c", "\x7f\x45LF\0\n", 7, 1);
	expect_none("/src/app.c", "", 0, 1);
	expect_none("/src/app.c", long_text, length, 1);
}

/** A file is opened once and a line read once, leaks first; long lines are cut. */
static void test_bounds(void **state)
{
	char text[3000];
	struct files files = {text, sizeof(text), 0};
	struct ml_report report = sample_base();

	memset(text, 'y', sizeof(text));
	text[0] = '\n';
	for (uint64_t i = 0; i < 3; i++) {
		struct ml_report_site *site = sample_site(&report, i + 1, 100, 1);

		sample_frame(site, "f", 0, "/src/app.c", i == 2 ? 2 : 1, false);
		if (i == 2)
			site->verdict.class = ML_VERDICT_LEAK;
	}
	ml_excerpts_read(&report, open_file, &files);
	assert_int_equal(files.opened, 1);
	assert_int_equal(report.excerpts.count, 2);
	assert_int_equal(report.excerpts.items[0].line, 2);
	assert_int_equal(strlen(report.excerpts.items[0].text), 1 + 200 + 1);
	ml_report_deinit(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_what_is_no_source),
		cmocka_unit_test(test_bounds),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
