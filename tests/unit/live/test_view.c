/* SPDX-License-Identifier: BSD-2-Clause */
/** Keys of the live view, and what a new report does to the selection. */
#include "live/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SITES 5

struct fixture {
	struct ml_report_frame frames[SITES];
	struct ml_report_site sites[SITES];
	struct ml_report report;
	struct ml_view view;
};

static void fill(struct fixture *fixture)
{
	static const char *const names[SITES] = {"alpha", "beta", "gamma", "delta", "epsilon"};

	memset(fixture, 0, sizeof(*fixture));
	for (size_t i = 0; i < SITES; i++) {
		struct ml_report_site *site = &fixture->sites[i];

		fixture->frames[i] = (struct ml_report_frame){
			.symbol = names[i], .module = i == 4 ? "libother.so" : "app"};
		*site = (struct ml_report_site){.id = 100 + i, .bytes = 500 - i, .count = 10 + i};
		site->frames.items = &fixture->frames[i];
		site->frames.count = 1;
	}
	fixture->sites[2].verdict =
		(struct ml_verdict){.class = ML_VERDICT_LEAK, .growth_bytes_per_s = 7};
	fixture->sites[3].verdict = (struct ml_verdict){.class = ML_VERDICT_STEADY};
	fixture->report.sites.items = fixture->sites;
	fixture->report.sites.count = SITES;
	fixture->view.height = 3;
	ml_view_set_report(&fixture->view, &fixture->report);
}

static uint64_t first_id(const struct fixture *fixture)
{
	return fixture->sites[fixture->view.rows.items[0]].id;
}

static void press(struct fixture *fixture, const char *keys)
{
	for (; *keys; keys++)
		assert_int_equal(ml_view_key(&fixture->view, (unsigned char)*keys),
				 ML_VIEW_NOTHING);
}

static void test_moves(void **state)
{
	struct fixture fixture;

	fill(&fixture);
	assert_int_equal(ml_view_selected(&fixture.view)->id, 100);
	press(&fixture, "jjj");
	assert_int_equal(fixture.view.cursor, 3);
	assert_int_equal(fixture.view.first, 1);
	ml_view_key(&fixture.view, ML_KEY_END);
	assert_int_equal(fixture.view.cursor, 4);
	ml_view_key(&fixture.view, ML_KEY_PAGE_UP);
	assert_int_equal(fixture.view.cursor, 2);
	ml_view_key(&fixture.view, ML_KEY_HOME);
	ml_view_key(&fixture.view, ML_KEY_UP);
	assert_int_equal(fixture.view.cursor, 0);
	assert_int_equal(fixture.view.first, 0);
	ml_view_deinit(&fixture.view);
}

static void test_sorts(void **state)
{
	struct fixture fixture;

	fill(&fixture);
	press(&fixture, "s");
	assert_int_equal(first_id(&fixture), 104); /* blocks */
	press(&fixture, "s");
	assert_int_equal(first_id(&fixture), 102); /* growth */
	press(&fixture, "s");
	assert_int_equal(first_id(&fixture), 102); /* verdict */
	assert_int_equal(fixture.view.rows.items[SITES - 1], 3);
	press(&fixture, "s");
	assert_int_equal(first_id(&fixture), 100);
	ml_view_deinit(&fixture.view);
}

static void test_selection_follows_its_site(void **state)
{
	struct fixture fixture;

	fill(&fixture);
	press(&fixture, "jj");
	assert_int_equal(fixture.view.selected, 102);
	fixture.sites[2].bytes = 9000;
	ml_view_set_report(&fixture.view, &fixture.report);
	assert_int_equal(fixture.view.cursor, 0);
	assert_int_equal(ml_view_selected(&fixture.view)->id, 102);
	ml_view_deinit(&fixture.view);
}

static void test_filter(void **state)
{
	struct fixture fixture;

	fill(&fixture);
	press(&fixture, "/LIBO");
	assert_true(fixture.view.is_typing);
	assert_int_equal(fixture.view.rows.count, 1);
	assert_int_equal(first_id(&fixture), 104);
	ml_view_key(&fixture.view, ML_KEY_BACKSPACE);
	ml_view_key(&fixture.view, ML_KEY_ENTER);
	assert_string_equal(fixture.view.filter, "LIB");
	ml_view_key(&fixture.view, ML_KEY_ESCAPE);
	assert_int_equal(fixture.view.rows.count, SITES);
	press(&fixture, "/leak");
	assert_int_equal(first_id(&fixture), 102);
	press(&fixture, "q"); /* a letter like any other here */
	assert_null(ml_view_selected(&fixture.view));
	ml_view_deinit(&fixture.view);
}

static void test_filter_is_bounded(void **state)
{
	struct fixture fixture;

	fill(&fixture);
	press(&fixture, "/");
	for (size_t i = 0; i < 3 * ML_VIEW_FILTER; i++)
		press(&fixture, "x");
	assert_int_equal(strlen(fixture.view.filter), ML_VIEW_FILTER - 1);
	ml_view_deinit(&fixture.view);
}

static void test_stack_closes_when_its_site_is_gone(void **state)
{
	struct fixture fixture;

	fill(&fixture);
	press(&fixture, "jj");
	ml_view_key(&fixture.view, ML_KEY_ENTER);
	assert_int_equal(fixture.view.page, ML_VIEW_STACK);
	fixture.sites[2].id = 999;
	ml_view_set_report(&fixture.view, &fixture.report);
	assert_int_equal(fixture.view.page, ML_VIEW_SITES);
	ml_view_deinit(&fixture.view);
}

static void test_wishes(void **state)
{
	struct fixture fixture;

	fill(&fixture);
	assert_int_equal(ml_view_key(&fixture.view, 'm'), ML_VIEW_MARK);
	press(&fixture, "p");
	assert_true(fixture.view.is_paused);
	press(&fixture, "?q");
	assert_int_equal(fixture.view.page, ML_VIEW_SITES);
	assert_int_equal(ml_view_key(&fixture.view, 'q'), ML_VIEW_QUIT);
	ml_view_deinit(&fixture.view);
}

static void test_empty(void **state)
{
	struct ml_view view = {0};
	const struct ml_report report = {0};

	ml_view_key(&view, ML_KEY_DOWN);
	ml_view_key(&view, ML_KEY_ENTER);
	ml_view_set_report(&view, &report);
	ml_view_key(&view, 's');
	ml_view_key(&view, ML_KEY_ENTER);
	assert_int_equal(view.page, ML_VIEW_SITES);
	assert_null(ml_view_selected(&view));
	ml_view_deinit(&view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_sorts),
		cmocka_unit_test(test_selection_follows_its_site),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_filter_is_bounded),
		cmocka_unit_test(test_stack_closes_when_its_site_is_gone),
		cmocka_unit_test(test_wishes),
		cmocka_unit_test(test_empty),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
