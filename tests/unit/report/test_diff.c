/* SPDX-License-Identifier: BSD-2-Clause */
/** Which stacks are the same across processes and builds, and what is said of the others. */
#include "report/diff.h"
#include "samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* A site of one call of @symbol at @address of build @build_id, loaded at @base. */
static struct ml_report_site *add_site(struct ml_report *report, const char *symbol,
				       const char *build_id, uint64_t address, uint64_t bytes)
{
	struct ml_report_site *site =
		sample_site(report, 1 + report->sites.count, bytes, bytes / 8);

	*ml_array_push(&site->frames) = (struct ml_report_frame){
		.ip = 0x7f0000000000 + 0x1000 * (uint64_t)report->pid + address,
		.address = address,
		.symbol = symbol,
		.short_symbol = symbol,
		.offset = symbol ? address & 0xff : address,
		.module = "app",
		.build_id = build_id,
	};
	return site;
}

static void make(struct ml_report *report, pid_t pid)
{
	*report = sample_base();
	report->pid = pid;
}

static void free_all(struct ml_diff *diff, struct ml_report *before, struct ml_report *after)
{
	ml_diff_deinit(diff);
	ml_report_deinit(before);
	ml_report_deinit(after);
}

static void assert_change(const struct ml_diff *diff, size_t i, enum ml_change change,
			  int64_t growth)
{
	const struct ml_diff_site *site = &diff->sites.items[i];

	assert_true(i < diff->sites.count);
	assert_string_equal(ml_change_name(site->change), ml_change_name(change));
	assert_int_equal(ml_diff_growth(site->before.bytes, site->after.bytes), growth);
}

/* The same build: the address in the file decides, wherever it is loaded. */
static void same_build(void **state)
{
	struct ml_report before, after;
	struct ml_diff diff;

	make(&before, 1);
	make(&after, 2);
	add_site(&before, "f", "aa", 0x110, 80);
	add_site(&before, "f", "aa", 0x120, 80); /* another call in the same function */
	add_site(&before, "f", "aa", 0x130, 16);
	add_site(&before, "f", "aa", 0x150, 24);
	add_site(&after, "f", "aa", 0x110, 80);
	add_site(&after, "f", "aa", 0x120, 800);
	add_site(&after, "f", "aa", 0x130, 8);
	add_site(&after, "f", "aa", 0x140, 160);
	ml_diff_build(&before, &after, &diff);
	assert_int_equal(diff.sites.count, 4);
	assert_change(&diff, 0, ML_CHANGE_GROWN, 720);
	assert_change(&diff, 1, ML_CHANGE_NEW, 160);
	assert_change(&diff, 2, ML_CHANGE_SHRUNK, -8);
	assert_change(&diff, 3, ML_CHANGE_GONE, -24);
	assert_int_equal(diff.counts[ML_CHANGE_SAME], 1);
	free_all(&diff, &before, &after);
}

/* Rebuilt: names decide, and the calls of one function are one stack. */
static void rebuilt(void **state)
{
	struct ml_report before, after;
	struct ml_diff diff;

	make(&before, 1);
	make(&after, 2);
	add_site(&before, "f", "aa", 0x110, 80);
	add_site(&before, "g", "aa", 0x210, 80);
	add_site(&before, NULL, "aa", 0x310, 80);
	add_site(&after, "f", "bb", 0x1110, 40);
	add_site(&after, "f", "bb", 0x1120, 48);
	add_site(&after, "g", "bb", 0x1210, 80);
	add_site(&after, NULL, "bb", 0x310, 80);
	after.sites.items[2].frames.items[0].module = "app-2";
	ml_diff_build(&before, &after, &diff);
	assert_int_equal(diff.sites.count, 1);
	assert_change(&diff, 0, ML_CHANGE_GROWN, 8);
	assert_int_equal(diff.counts[ML_CHANGE_SAME], 2);
	free_all(&diff, &before, &after);
}

/* Lost stacks are one, frames of the interpreter are none, Python functions are their file's. */
static void other_frames(void **state)
{
	struct ml_report before, after;
	struct ml_report_site *site;
	struct ml_diff diff;

	make(&before, 1);
	make(&after, 2);
	sample_site(&before, 7, 80, 1)->is_stack_lost = true;
	sample_site(&after, 8, 80, 1)->is_stack_lost = true;
	for (unsigned int i = 0; i < 2; i++) {
		site = add_site(i ? &after : &before, "get", NULL, 0x110 + i, 16);
		site->frames.items[0].kind = ML_FRAME_PYTHON;
		site->frames.items[0].file = "a.py";
		sample_frame(site, "eval", 0x10 * i, NULL, 0, false);
		site->frames.items[1].is_interpreter = true;
	}
	site = add_site(&after, "get", NULL, 0x110, 32);
	site->frames.items[0].kind = ML_FRAME_PYTHON;
	site->frames.items[0].file = "b.py";
	ml_diff_build(&before, &after, &diff);
	assert_int_equal(diff.counts[ML_CHANGE_SAME], 2);
	assert_int_equal(diff.sites.count, 1);
	assert_change(&diff, 0, ML_CHANGE_NEW, 32);
	free_all(&diff, &before, &after);
}

static void leaks(void **state)
{
	struct ml_report before, after;
	struct ml_diff diff;

	make(&before, 1);
	make(&after, 2);
	add_site(&after, "f", "aa", 0x110, 80);
	ml_diff_build(&before, &after, &diff);
	assert_false(ml_diff_is_leak(&diff, &diff.sites.items[0]));
	after.sites.items[0].verdict.class = ML_VERDICT_LEAK;
	assert_true(ml_diff_is_leak(&diff, &diff.sites.items[0]));
	after.sites.items[0].verdict.class = ML_VERDICT_UNKNOWN;
	after.end_reason = "the target ended";
	assert_true(ml_diff_is_leak(&diff, &diff.sites.items[0]));
	ml_diff_deinit(&diff);
	/* Turned round it is gone, which is no leak. */
	before.end_reason = after.end_reason;
	ml_diff_build(&after, &before, &diff);
	assert_false(ml_diff_is_leak(&diff, &diff.sites.items[0]));
	free_all(&diff, &before, &after);
}

static char *written(void (*write)(FILE *out, const struct ml_diff *diff, size_t top),
		     const struct ml_diff *diff, size_t top)
{
	char *text = NULL;
	size_t length;
	FILE *memory = open_memstream(&text, &length);

	write(memory, diff, top);
	fclose(memory);
	return text;
}

static void formats(void **state)
{
	struct ml_report before, after;
	struct ml_diff diff;

	make(&before, 1);
	make(&after, 2);
	add_site(&before, "ev\x1bil", "aa", 0x110, 80);
	add_site(&after, "ev\x1bil", "aa", 0x110, 88);
	add_site(&after, "g", "aa", 0x210, 16);
	ml_diff_build(&before, &after, &diff);

	char *text = written(ml_diff_write_text, &diff, 1);
	char *json = written(ml_diff_write_json, &diff, SIZE_MAX);

	assert_non_null(strstr(text, "Top 1 stacks with changed allocations:\n"
				     "\t+16 bytes in +2 allocations from stack\n"
				     "\t\tg+0x10 [app]\n"
				     "\t\t→ new: 0 bytes in 0 blocks before, 16 bytes in 2 blocks "
				     "after\n"));
	assert_null(strstr(text, "il+"));
	assert_non_null(strstr(text, "# growth: +24 bytes in +3 blocks; stacks: 1 new, 1 grown, 0 "
				     "shrunk, 0 gone, 0 same\n"));
	assert_non_null(strstr(json, "\"kind\":\"diff\""));
	assert_non_null(strstr(json, "\"change\":\"grown\",\"growth_bytes\":8,\"growth_count\":1"));
	assert_null(strchr(json, '\x1b'));
	free(text);
	free(json);
	free_all(&diff, &before, &after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_build),   cmocka_unit_test(rebuilt),
		cmocka_unit_test(other_frames), cmocka_unit_test(leaks),
		cmocka_unit_test(formats),
	};

	setenv("TZ", "UTC", 1);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
