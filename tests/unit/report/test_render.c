/* SPDX-License-Identifier: BSD-2-Clause */
/** Every format against its golden file; see tests/golden/README.md. */
#include "base/file.h"
#include "report/summary.h"
#include "samples.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static char *render(const struct ml_report_format *format, const struct ml_report *report,
		    size_t *length)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, length);

	format->write(out, report);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void compare(const char *name, const char *format_name, const struct ml_report *report)
{
	const struct ml_report_format *format = ml_report_format_named(format_name);
	ML_FREE_CLEANUP char *expected = NULL;
	char path[512];
	size_t length, expected_length;

	assert_non_null(format);
	ML_FREE_CLEANUP char *text = render(format, report, &length);

	snprintf(path, sizeof(path), ML_GOLDEN_DIR "/%s.%s", name,
		 strcmp(format_name, "text") ? format_name : "txt");
	if (getenv("ML_GOLDEN_UPDATE")) {
		FILE *out = fopen(path, "w");

		assert_non_null(out);
		assert_int_equal(fwrite(text, 1, length, out), length);
		assert_int_equal(fclose(out), 0);
	}
	assert_null(ml_file_read(AT_FDCWD, path, 1 << 20, &expected, &expected_length));
	assert_string_equal(text, expected);
	assert_int_equal(length, expected_length);
}

static void compare_all(const char *name, struct ml_report report)
{
	compare(name, "text", &report);
	compare(name, "json", &report);
	compare(name, "folded", &report);
	ml_report_deinit(&report);
}

static void test_leak(void **state)
{
	compare_all("leak", sample_leak());
}

/* A big block of start-up, six leaks and something steady, where one stack is to be shown. */
static struct ml_report small_leaks(void)
{
	struct ml_report report = sample_base();

	report.top = 1;
	for (uint64_t i = 0; i < 8; i++) {
		struct ml_report_site *site = sample_site(&report, i + 1, 8192 >> i, 1);

		site->verdict.class = i == 0   ? ML_VERDICT_STARTUP
				      : i == 7 ? ML_VERDICT_STEADY
					       : ML_VERDICT_LEAK;
		sample_frame(site, "work", 0x10 + i, "app.c", 9, false);
	}
	return report;
}

static size_t count_of(const char *text, const char *what)
{
	size_t count = 0;

	for (; (text = strstr(text, what)); text++)
		count++;
	return count;
}

static void test_small_leaks_are_shown(void **state)
{
	struct ml_report report = small_leaks();
	size_t length;
	ML_FREE_CLEANUP char *text = render(&ml_report_text, &report, &length);

	assert_int_equal(count_of(text, "allocations from stack"), 1 + 5);
	assert_int_equal(count_of(text, "# smaller, but it leaks:\n\t"), 5);
	assert_non_null(strstr(text, "\t4096 bytes"));
	assert_null(strstr(text, "\t64 bytes"));
	report.is_limited = true;

	ML_FREE_CLEANUP char *limited = render(&ml_report_text, &report, &length);

	assert_int_equal(count_of(limited, "allocations from stack"), 1);
	ml_report_deinit(&report);
}

static void test_kernel(void **state)
{
	compare_all("kernel", sample_kernel());
}

static void test_processes(void **state)
{
	compare_all("processes", sample_processes());
}

static void test_groups_in_text(void **state)
{
	struct ml_report report = sample_base();
	size_t length;

	report.is_many_processes = true;
	report.show_blocks = true;
	for (uint64_t i = 0; i < 5; i++) {
		struct ml_report_site *site = sample_site(&report, 1 + i, 1000 - i, 2);

		site->calls = i == 1 ? 7 : 9;
		site->pid = 100 + (pid_t)i;
		sample_frame(site, i == 1 ? "other" : "handle", 0x11, "worker.c", 101, false);
		*ml_array_push(&site->blocks) = (struct ml_block){.address = 0x1000 + i, .size = 9};
	}
	sample_verdict(&report.sites.items[3], ML_VERDICT_LEAK, 0.9, 1, "it grows");

	ML_FREE_CLEANUP char *text = render(&ml_report_text, &report, &length);

	assert_int_equal(count_of(text, "from stack\n"), 2);
	assert_non_null(strstr(text, "\t3991 bytes in 8 allocations from stack\n\t\thandle+0x11 "));
	assert_non_null(strstr(text, "→ in 4 processes: 100 (app) 1000 bytes, 102 (app) 998 "
				     "bytes, 103 (app) 997 bytes and 1 more\n"));
	assert_non_null(strstr(text, "→ leak (90 %) in 103: it grows"));
	assert_non_null(strstr(text, "\t999 bytes in 2 allocations from stack\n\t\tother+0x11 "));
	assert_non_null(strstr(text, "→ process 101 (app)\n"));
	assert_int_equal(count_of(text, "\taddr = "), 5);
	ml_report_deinit(&report);
}

static void test_empty(void **state)
{
	struct ml_report report = sample_empty();
	size_t length;

	compare_all("empty", report);
	report.allocs = 23;

	ML_FREE_CLEANUP char *text = render(&ml_report_text, &report, &length);

	assert_non_null(strstr(text, "# nothing outstanding: every block allocated since tracing "
				     "began was freed"));
}

/** No byte of a report may drive a terminal, whatever the target's names hold. */
static void test_no_control_characters(void **state)
{
	static const char *const formats[] = {"text", "json", "folded", "heaptrack"};
	struct ml_report report = sample_leak();

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		size_t length;
		ML_FREE_CLEANUP char *text =
			render(ml_report_format_named(formats[i]), &report, &length);

		for (size_t at = 0; at < length; at++) {
			unsigned char c = (unsigned char)text[at];

			assert_true(c >= 0x20 || c == '\n' || (c == '\t' && i == 0));
			assert_true(c != 0x7f);
			assert_false(c == 0xc2 && (unsigned char)text[at + 1] < 0xa0);
		}
	}
	ml_report_deinit(&report);
}

/** Reports of every kind as pprof: gzip's magic number, and the same bytes again. */
static void test_pprof(void **state)
{
	struct ml_report reports[] = {sample_leak(), sample_kernel(), sample_processes(),
				      sample_empty()};

	for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++) {
		size_t length, again_length;
		ML_FREE_CLEANUP char *bytes = render(&ml_report_pprof, &reports[i], &length);
		ML_FREE_CLEANUP char *again = render(&ml_report_pprof, &reports[i], &again_length);

		assert_true(length > 18);
		assert_memory_equal(bytes, "\x1f\x8b\x08\x00\x00\x00\x00\x00", 8);
		assert_int_equal(length, again_length);
		assert_memory_equal(bytes, again, length);
		ml_report_deinit(&reports[i]);
	}
}

/** What --top leaves out is there in sum: 4096, then 4073 + 4050 in two blocks. */
static void test_heaptrack_others(void **state)
{
	struct ml_report report = sample_kernel();
	size_t length;
	ML_FREE_CLEANUP char *text = render(&ml_report_heaptrack, &report, &length);

	assert_non_null(strstr(text, "a 1000 1\n+ 0\n"));
	assert_non_null(strstr(text, "[other sites]\n"));
	assert_non_null(strstr(text, "a fdd 2\n+ 1\na fde 2\n+ 2\n"));
	ml_report_deinit(&report);
}

/** Names of the target are text, whatever markup or script they look like. */
static void test_svg(void **state)
{
	struct ml_report report = sample_leak();
	struct ml_report_site *site = &report.sites.items[0];
	size_t length;

	site->frames.items[0].symbol = site->frames.items[0].short_symbol =
		"a]]><script>alert('&')</script>\x01";
	ML_FREE_CLEANUP char *text = render(&ml_report_svg, &report, &length);

	assert_non_null(strstr(text, "a]]&gt;&lt;script&gt;alert('&amp;')&lt;/script&gt;\\x01"));
	assert_null(strstr(text, "<script>alert"));
	assert_non_null(
		strstr(text, "step [app] (inlined)\n40.0 KiB in 5 blocks, grows by 8.0 KiB/s\n"));
	assert_non_null(strstr(text, "mostly leak"));
	assert_non_null(strstr(text, "; 1 frame narrower than 49 B left out"));
	ml_report_deinit(&report);
}

/** More frames than anybody can see are left out, and that is said. */
static void test_svg_limits(void **state)
{
	struct ml_report report = sample_base();
	size_t length, drawn = 0;
	char name[40];

	for (uint64_t i = 0; i < 10000; i++) {
		struct ml_report_site *site = sample_site(&report, i + 1, i == 0 ? 1 << 20 : 64, 1);

		snprintf(name, sizeof(name), "f%d", (int)i);
		*ml_array_push(&report.strings) = ml_strdup(name);
		sample_frame(site, report.strings.items[i], 0, NULL, 0, false);
	}
	ML_FREE_CLEANUP char *text = render(&ml_report_svg, &report, &length);

	for (const char *p = text; (p = strstr(p, "<g class=\"f ")); p++)
		drawn++;
	assert_int_equal(drawn, 2); /* "all" and f0: the others are 0.004 % each */
	assert_non_null(strstr(text, "9999 frames narrower than 1.6 KiB left out"));
	ml_report_deinit(&report);
}

static size_t occurrences(const char *text, const char *what)
{
	size_t count = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		count++;
	return count;
}

/** Nothing a target is called, and no line of its source, is markup or script in the page. */
static void test_html(void **state)
{
	struct ml_report report = sample_leak();
	struct ml_report_site *site = &report.sites.items[0];
	struct ml_timeline_point points[] = {{.time_ns = 90000000000, .live_bytes = 8192},
					     {.time_ns = 100000000000, .live_bytes = 40960}};
	size_t length;

	report.start_ns = 90000000000;
	report.comm = "a\"><img src=x onerror=alert(1)>";
	site->frames.items[0].symbol = site->frames.items[0].short_symbol =
		"</script><script>alert('\"')</script><!--\xe2\x80\xa8\xe2\x80\xae\x1b[2J\xff";
	for (size_t i = 0; i < 2; i++) {
		*ml_array_push(&site->points) = points[i];
		*ml_array_push(&report.points) = points[i];
	}
	*ml_array_push(&report.excerpts) =
		(struct ml_report_excerpt){.file = site->frames.items[0].file,
					   .line = 9,
					   .first_line = 8,
					   .text = ml_strdup("{\n\tp = \"</script>\x07\";\n")};
	ml_summary_make(&report);

	ML_FREE_CLEANUP char *text = render(&ml_report_html, &report, &length);

	assert_int_equal(strlen(text), length);
	assert_null(strstr(text, "<script>alert"));
	assert_null(strstr(text, "<img"));
	assert_null(strstr(text, "<!--"));
	assert_int_equal(occurrences(text, "</script"), occurrences(text, "<script"));
	assert_null(strstr(text, "\xe2\x80\xa8"));
	assert_non_null(strstr(text, "\\u{2028}\\u{202e}\\x1b[2J\xef\xbf\xbd"));
	assert_null(strchr(text, '\x1b'));
	assert_null(strchr(text, '\x07'));
	assert_non_null(strstr(text, "1 site leaks 8.0 KiB/s</h1>"));
	assert_non_null(strstr(text, "&lt;/script&gt;&lt;script&gt;alert('&quot;')"));
	assert_non_null(strstr(text, "\"\\u003c/script>\\u003cscript>alert('\\\"')"));
	assert_non_null(strstr(text, "[8,[\"{\",\"    p = \\\"\\u003c/script>\\\\x07\\\";\"]]"));
	assert_non_null(strstr(text, "\"times\":[0,10000],\"total\":[8192,40960]"));
	assert_non_null(strstr(text, "[1,0,8192,40960]"));
	assert_non_null(strstr(text, "<li>101 stacks cut at the depth limit"));
	assert_int_equal(occurrences(text, "://"), occurrences(text, "http://www.w3.org/"));
	ml_report_deinit(&report);
}

/** What the page says first, by what the sites are judged to be. */
static void test_html_verdicts(void **state)
{
	static const struct {
		enum ml_verdict_class class;
		const char *words;
	} cases[] = {
		{ML_VERDICT_LEAK, "<h1>2 sites leak 2.0 KiB/s together</h1>"},
		{ML_VERDICT_GROWING,
		 "<h1>No leak seen in 10 s, but 2 sites grow by 2.0 KiB/s together</h1>"},
		{ML_VERDICT_CACHE,
		 "<h1>No leak seen in 10 s</h1>\n<p class=\"lead\">2 are caches.</p>"},
		{ML_VERDICT_UNKNOWN, "<h1>Too early to say what leaks: 10 s watched</h1>"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ml_report report = sample_base();
		size_t length;

		for (uint64_t id = 0; id < 2; id++)
			sample_verdict(sample_site(&report, id + 1, 1000, 1), cases[i].class, 0.5,
				       1024, "");
		ml_summary_make(&report);

		ML_FREE_CLEANUP char *text = render(&ml_report_html, &report, &length);

		assert_non_null(strstr(text, cases[i].words));
		ml_report_deinit(&report);
	}

	struct ml_report nothing = sample_empty();
	size_t length;
	ML_FREE_CLEANUP char *text = render(&ml_report_html, &nothing, &length);

	assert_non_null(strstr(text, "<h1>Nothing is outstanding</h1>"));
}

static void test_local_time(void **state)
{
	struct ml_report report = sample_empty();
	size_t length;

	report.utc_offset_s = -(3 * 3600 + 30 * 60);

	ML_FREE_CLEANUP char *text = render(&ml_report_json, &report, &length);

	assert_non_null(strstr(text, "\"time\":\"2026-01-22T23:30:41.023-03:30\""));
}

static void test_format_names(void **state)
{
	assert_ptr_equal(ml_report_format_named("json"), &ml_report_json);
	assert_null(ml_report_format_named("jso"));
	assert_null(ml_report_format_named(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leak),
		cmocka_unit_test(test_small_leaks_are_shown),
		cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_processes),
		cmocka_unit_test(test_groups_in_text),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_no_control_characters),
		cmocka_unit_test(test_pprof),
		cmocka_unit_test(test_heaptrack_others),
		cmocka_unit_test(test_svg),
		cmocka_unit_test(test_svg_limits),
		cmocka_unit_test(test_html),
		cmocka_unit_test(test_html_verdicts),
		cmocka_unit_test(test_local_time),
		cmocka_unit_test(test_format_names),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
