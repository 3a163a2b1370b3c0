/* SPDX-License-Identifier: BSD-2-Clause */
/** The small readers and writers of text: cgroups, /proc/PID/stat, suppressions, --trace lines. */
#include "base/clock.h"
#include "cli/call_printer.h"
#include "cli/members.h"
#include "cli/number.h"
#include "cli/suppressions.h"
#include "cli/vitals.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ID "4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339cabcd"

static void seconds(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {
		{"5", 5000000000},  {"0.25", 250000000},     {".5", 500000000},
		{"1.", 1000000000}, {"0.001", ML_NS_PER_MS}, {"1.0000000019", 1000000001},
	};
	static const char *const wrong[] = {
		"", ".", "-1", "1e3", "0", "0.0001", "5 ", "inf", "99999999999999999999"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint64_t ns = 0;

		assert_null(ml_number_seconds(good[i].text, &ns));
		assert_int_equal(ns, good[i].ns);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint64_t ns;
		struct ml_error *error = ml_number_seconds(wrong[i], &ns);

		assert_non_null(error);
		ml_error_free(error);
	}
}

static void cgroup_members(void **state)
{
	assert_true(ml_members_matches("0::/system.slice/docker-" ID ".scope\n", "4c01db0b339c"));
	assert_true(ml_members_matches("0::/system.slice/docker-" ID ".scope\n", ID));
	assert_true(ml_members_matches("12:cpu:/docker/" ID "\n0::/\n", "4c01db"));
	assert_true(ml_members_matches("0::/kubepods/pod1/cri-containerd-" ID ".scope", "4c01db0"));
	assert_true(ml_members_matches("0::/lxc.payload.web/init.scope\n", "web"));
	assert_true(ml_members_matches("0::/machine/web\n", "web"));
	assert_true(ml_members_matches("0::/system.slice/nginx.service\n", "nginx.service"));
	assert_false(ml_members_matches("0::/machine/web2\n", "web"));
	assert_false(ml_members_matches("0::/docker/" ID "\n", "4c01"));
	assert_false(ml_members_matches("0::/docker/" ID "\n", "01db0b339c"));
	assert_false(ml_members_matches("0::/\n", "web"));
	assert_false(ml_members_matches("garbage", "garbage"));
	assert_false(ml_members_matches("", "web"));
}

#define STAT_TAIL                                                                                  \
	" S 41 12 12 0 -1 4194560 10 0 0 0 300 200 7 8 20 0 1 0 5000 1000 50 "                     \
	"18446744073709551615 "                                                                    \
	"94001 94900 140001 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0"

static void process_stat(void **state)
{
	struct ml_vitals stat, other;
	long ticks = sysconf(_SC_CLK_TCK);

	assert_true(ml_vitals_parse("12 (a) b\n) (c)" STAT_TAIL, &stat));
	assert_int_equal(stat.parent, 41);
	assert_int_equal((long)(stat.cpu_s * (double)ticks + 0.5), 500);
	assert_int_equal(stat.resident_bytes, 50 * sysconf(_SC_PAGESIZE));
	assert_int_equal(stat.start_code, 94001);
	assert_int_equal(stat.start_stack, 140001);
	assert_false(ml_vitals_parse("", &other));
	assert_false(ml_vitals_parse("12 (a) S 1", &other));

	other = stat;
	assert_false(ml_vitals_is_other_image(&stat, &other));
	other.start_stack = 140002;
	assert_true(ml_vitals_is_other_image(&stat, &other));
	other.start_stack = 0; /* a zombie, or not permitted to know */
	assert_false(ml_vitals_is_other_image(&stat, &other));
	assert_true(ml_vitals_read(getpid(), &stat));
	assert_int_equal(stat.parent, getppid());
}

static void add_site(struct ml_report *report, const char *symbol, const char *file,
		     const char *module)
{
	struct ml_report_site *site = ml_array_push(&report->sites);

	*site = (struct ml_report_site){.bytes = 100, .count = 1};
	*ml_array_push(&site->frames) =
		(struct ml_report_frame){.symbol = symbol, .file = file, .module = module};
	report->outstanding_bytes += 100;
	report->outstanding_count++;
}

/* How many of three sites @p text takes out. */
static uint64_t suppressed_by(const char *text)
{
	struct ml_suppressions suppressions;
	struct ml_report_others gone;
	struct ml_report report = {0};

	add_site(&report, "parse_header", "src/parse.c", "app");
	add_site(&report, "g_type_init", NULL, "libgobject-2.0.so.0");
	add_site(&report, NULL, NULL, "unknown");
	assert_null(ml_suppressions_parse(text, "file", &suppressions));
	gone = ml_suppressions_apply(&suppressions, &report);
	assert_int_equal(report.sites.count, 3 - gone.sites);
	assert_int_equal(report.outstanding_bytes, 300 - gone.bytes);
	assert_int_equal(report.outstanding_count, 3 - gone.count);
	assert_int_equal(gone.bytes, 100 * gone.sites);
	ml_array_each (site, &report.sites)
		ml_array_free(&site->frames);
	ml_array_free(&report.sites);
	ml_suppressions_deinit(&suppressions);
	return gone.sites;
}

static void suppressions(void **state)
{
	assert_int_equal(suppressed_by(""), 0);
	assert_int_equal(suppressed_by("# comment\n\n  leak:header  \r\n"), 1);
	assert_int_equal(suppressed_by("leak:libgobject"), 1);
	assert_int_equal(suppressed_by("leak:parse.c$"), 1);
	assert_int_equal(suppressed_by("leak:parse.$"), 0);
	assert_int_equal(suppressed_by("leak:^type"), 0);
	assert_int_equal(suppressed_by("leak:^g_*_init$"), 1);
	assert_int_equal(suppressed_by("leak:*"), 3);
	assert_int_equal(suppressed_by("leak:^app$\nleak:^unknown$\n"), 2);
}

static void bad_suppressions(void **state)
{
	struct ml_suppressions suppressions;
	struct ml_error *error =
		ml_suppressions_parse("leak:a\n#\nrace:b\n", "my.supp", &suppressions);

	assert_non_null(error);
	assert_string_equal(ml_error_message(error), "my.supp:3: 'race:b' is not leak:PATTERN");
	assert_int_equal(ml_error_kind(error), ML_ERROR_USAGE);
	ml_error_free(error);
	error = ml_suppressions_parse("leak:", "s", &suppressions);
	assert_non_null(error);
	assert_string_equal(ml_error_message(error), "s:1: leak: without a pattern");
	ml_error_free(error);
}

static void trace_lines(void **state)
{
	struct ml_call_printer printer;
	struct ml_traced_call call = {.time_ns = 1500000,
				      .pid = 12,
				      .tid = 13,
				      .comm = "a\nb",
				      .function = "realloc",
				      .role = ML_ROLE_REALLOC,
				      .size = 4096,
				      .address = 0x7f00,
				      .old_address = 0x6f00};

	setenv("TZ", "UTC", 1);
	tzset();
	ml_call_printer_init(&printer);
	printer.real_offset_ns = 3600 * ML_NS_PER_SECOND;
	ml_strbuf_clear(&printer.text);
	ml_call_printer_add(&printer, &call);
	assert_string_equal(printer.text.text,
			    "01:00:00.001500 12(13)          a\\x0ab          realloc          "
			    "        4096 0x7f00 (was 0x6f00)\n");
	call = (struct ml_traced_call){.function = "free", .role = ML_ROLE_FREE, .address = 0x7f00};
	ml_strbuf_clear(&printer.text);
	ml_call_printer_add(&printer, &call);
	assert_non_null(strstr(printer.text.text, "free                        - 0x7f00\n"));
	assert_int_equal(printer.allocs, 1);
	assert_int_equal(printer.alloc_bytes, 4096);
	assert_int_equal(printer.frees, 2);
	ml_call_printer_deinit(&printer);
}

static void output_errors(void **state)
{
	struct ml_output output;
	struct ml_error *error = ml_output_open("/nonexistent/x", &output);

	assert_non_null(error);
	assert_string_equal(ml_error_message(error),
			    "cannot write to /nonexistent/x: No such file or directory");
	ml_error_free(error);

	assert_null(ml_output_open("/dev/full", &output));
	error = ml_output_write(&output, "x", 1);
	assert_non_null(error);
	assert_string_equal(ml_error_message(error),
			    "cannot write a report to /dev/full: No space left on device");
	assert_int_equal(ml_error_code(error), ENOSPC);
	ml_error_free(error);
	assert_null(ml_output_close(&output));
	assert_null(ml_output_open("-", &output));
	assert_true(output.is_stdout);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seconds),          cmocka_unit_test(cgroup_members),
		cmocka_unit_test(process_stat),     cmocka_unit_test(suppressions),
		cmocka_unit_test(bad_suppressions), cmocka_unit_test(trace_lines),
		cmocka_unit_test(output_errors),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
