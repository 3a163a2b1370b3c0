/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/summary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void add_site(struct ml_report *report, enum ml_verdict_class class, double growth)
{
	*ml_array_push(&report->sites) = (struct ml_report_site){
		.bytes = 23,
		.verdict = {.class = class, .growth_bytes_per_s = growth},
	};
}

static void test_leaks(void **state)
{
	struct ml_report report = {
		.elapsed_s = 60,
		.container = "web",
		.limit = {ML_LIMIT_CGROUP, 512ULL << 20, 30ULL << 20},
	};

	add_site(&report, ML_VERDICT_LEAK, 8192);
	add_site(&report, ML_VERDICT_LEAK, 409.6);
	add_site(&report, ML_VERDICT_CACHE, 101);
	add_site(&report, ML_VERDICT_LEAK, NAN);
	ml_summary_make(&report);
	assert_string_equal(report.summary.text,
			    "3 sites leak 8.4 KiB/s together; at this rate the container's limit "
			    "of 512.0 MiB is reached in 16.3 h");
	assert_int_equal(report.summary.sites[ML_VERDICT_LEAK], 3);
	assert_true(fabs(report.summary.eta_s - 482.0 * 1048576 / 8601.6) < 1);
	report.end_reason = "the target ended";
	ml_summary_make(&report);
	assert_string_equal(report.summary.text, "3 sites leak 8.4 KiB/s together");
	assert_true(report.summary.eta_s < 0);
	ml_report_deinit(&report);
}

static void test_limits(void **state)
{
	static const struct {
		struct ml_memory_limit limit;
		const char *text;
	} examples[] = {
		{{ML_LIMIT_NONE, 0, 0}, "1 site leaks 1.0 KiB/s"},
		{{ML_LIMIT_CGROUP, 1 << 20, 0},
		 "1 site leaks 1.0 KiB/s; at this rate the cgroup's limit of 1.0 MiB is reached in "
		 "17 min"},
		{{ML_LIMIT_ADDRESS, 1 << 20, 1 << 21},
		 "1 site leaks 1.0 KiB/s; at this rate the address space's limit of 1.0 MiB is "
		 "reached in 0.0 s"},
		{{ML_LIMIT_DATA, 1 << 20, 1 << 19},
		 "1 site leaks 1.0 KiB/s; at this rate the data segment's limit of 1.0 MiB is "
		 "reached in 9 min"},
		{{ML_LIMIT_MACHINE, 1 << 30, 1 << 29},
		 "1 site leaks 1.0 KiB/s; at this rate the machine's 512.0 MiB of available memory "
		 "last 6.1 days"},
		{{ML_LIMIT_MACHINE, 1ULL << 50, 0}, "1 site leaks 1.0 KiB/s"},
	};

	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		struct ml_report report = {.elapsed_s = 60, .limit = examples[i].limit};

		add_site(&report, ML_VERDICT_LEAK, 1024);
		ml_summary_make(&report);
		assert_string_equal(report.summary.text, examples[i].text);
		ml_report_deinit(&report);
	}
}

static void test_no_leak(void **state)
{
	struct ml_report report = {.elapsed_s = 60};

	ml_summary_make(&report);
	assert_string_equal(report.summary.text, "no leak seen in 60 s");
	add_site(&report, ML_VERDICT_UNKNOWN, 0);
	ml_summary_make(&report);
	assert_string_equal(report.summary.text, "too early to say what leaks: 60 s watched");
	for (int i = 0; i < 3; i++)
		add_site(&report, ML_VERDICT_CACHE, 0);
	add_site(&report, ML_VERDICT_STARTUP, 0);
	ml_summary_make(&report);
	assert_string_equal(report.summary.text, "no leak seen in 60 s; 3 are caches, 1 is from "
						 "start-up, 1 is not clear yet");
	add_site(&report, ML_VERDICT_GROWING, 512);
	ml_summary_make(&report);
	assert_string_equal(report.summary.text,
			    "no leak seen in 60 s, but 1 site grows by 512 B/s");
	ml_report_deinit(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaks),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_no_leak),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
