/* SPDX-License-Identifier: BSD-2-Clause */
/** Recordings with right checksums and contents that nobody honest writes. */
#include "base/leb.h"
#include "record/batch.h"
#include "record/items.h"
#include "run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

/* A recording in the making. */
struct forgery {
	struct ml_strbuf bytes;
	struct ml_items items;
};

static void begin(struct forgery *forgery)
{
	*forgery = (struct forgery){0};
	ml_batch_write_header(&forgery->bytes);
	forgery->items.out = &forgery->bytes;
}

/* Adds an item of @count numbers, each as an unsigned LEB128. */
static void add_item(struct forgery *forgery, enum ml_item kind, size_t count, ...)
{
	va_list args;

	va_start(args, count);
	for (size_t i = 0; i < count; i++)
		ml_leb_unsigned(&forgery->items.item, va_arg(args, uint64_t));
	va_end(args);
	ml_items_add(&forgery->items, kind);
}

#define N(value) ((uint64_t)(value))

static void add_target(struct forgery *forgery)
{
	add_item(forgery, ML_ITEM_TARGET, 11, N(0), N(7), N(0), N(0), N(0), N(0), N(0), N(1), N(10),
		 N(1), N(0));
}

static void add_sites(struct forgery *forgery, unsigned int count)
{
	for (uint64_t i = 0; i < count; i++)
		ml_leb_fixed(&forgery->items.item, i + 1, 8);
	ml_items_add(&forgery->items, ML_ITEM_NEW_SITES);
}

static void add_moment(struct forgery *forgery, uint64_t time_ns)
{
	struct ml_strbuf *item = &forgery->items.item;

	ml_leb_unsigned(item, 0);
	ml_leb_unsigned(item, 0);
	ml_leb_unsigned(item, time_ns);
	for (unsigned int i = 0; i < 7; i++)
		ml_leb_unsigned(item, 0);
	for (unsigned int i = 0; i < 4; i++)
		ml_leb_fixed(item, 0, 8);
	for (unsigned int i = 0; i < 3; i++)
		ml_leb_unsigned(item, 0);
	ml_items_add(&forgery->items, ML_ITEM_MOMENT);
}

/* Reads it to the end and returns what is said of it; free() it. Ends the forgery. */
static char *read_all(struct forgery *forgery, struct ml_record_budget budget)
{
	struct ml_recording *recording;
	struct ml_report report;
	char *said;

	ml_items_flush(&forgery->items);
	struct ml_error *error =
		run_open(forgery->bytes.text, forgery->bytes.length, budget, &recording);

	if (!error) {
		error = ml_replay_report(recording, &(struct ml_replay){0}, &report);
		if (!error) {
			free(run_render(&ml_report_json, &report));
			ml_report_deinit(&report);
		}
		ml_recording_close(recording);
	}
	said = ml_strdup(error ? ml_error_message(error) : "");
	ml_error_free(error);
	ml_strbuf_free(&forgery->bytes);
	ml_items_deinit(&forgery->items);
	return said;
}

static void assert_said(struct forgery *forgery, const char *what)
{
	char *said = read_all(forgery, ML_RECORD_BUDGET);

	if (*what ? !strstr(said, what) : *said)
		fail_msg("'%s' does not say '%s'", said, what);
	free(said);
}

static void plain(void **state)
{
	struct forgery forgery;

	begin(&forgery);
	add_target(&forgery);
	add_moment(&forgery, 1);
	assert_said(&forgery, "");

	begin(&forgery);
	add_moment(&forgery, 1); /* of no target */
	assert_said(&forgery, "makes no sense");

	begin(&forgery);
	add_target(&forgery);
	add_moment(&forgery, 5);
	add_moment(&forgery, 4); /* back in time */
	assert_said(&forgery, "makes no sense");
}

/* Numbers of things that are not there, or too many of them. */
static void bad_numbers(void **state)
{
	static const struct {
		enum ml_item kind;
		uint64_t numbers[8];
		size_t count;
	} items[] = {
		{ML_ITEM_MODULE, {1, 0, 0}, 3},                   /* a string that is not there */
		{ML_ITEM_MODULE, {UINT64_MAX, 0, 0}, 3},          /**/
		{ML_ITEM_LOCATION, {9, 0, 0, 1, 1, 0, 0}, 7},     /* a kind there is not */
		{ML_ITEM_LOCATION, {0, 0, 1, 1, 1, 0, 0}, 7},     /* a module that is not there */
		{ML_ITEM_LOCATION, {0, 0, 0, 1, 1, 0, 99999}, 7}, /* more names than follow */
		{ML_ITEM_STACK, {9, 0, 1, 0, 0}, 5},              /* a site that is not there */
		{ML_ITEM_STACK, {0, 0, 1, 0, 1000000}, 5},        /* more frames than follow */
		{ML_ITEM_STACK, {0, 0, 77, 0, 0}, 5},             /* an end there is not */
		{ML_ITEM_STACK, {0, 0, 1, 5, 0}, 5},              /* skips more than there is */
		{ML_ITEM_STACK, {0, 0, 1, 0, 1, 1}, 6},           /* a location that is not there */
		{ML_ITEM_SITES, {UINT64_MAX}, 1},                 /* more entries than can be */
		{ML_ITEM_SITES, {1, 18, 0}, 3},                   /* a site that is not there */
		{ML_ITEM_SITES, {4096, 0, 0}, 3},                 /* more entries than follow */
		{ML_ITEM_GONE_SITES, {1, 18}, 2},                 /**/
		{ML_ITEM_FREED_BLOCKS, {1, 1, 0}, 3},             /* a block that is not there */
		{ML_ITEM_BLOCKS, {1, 1, 0, 1, 99, 1, 0}, 7},      /* of a site that is not there */
		{ML_ITEM_TARGET, {0}, 1},                         /* too short */
		{ML_ITEM_MOMENT, {0}, 1},                         /**/
		{ML_ITEM_NEW_SITES, {1}, 1},                      /**/
		{0, {0}, 1},                                      /* no kind at all */
	};

	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
		struct forgery forgery;

		begin(&forgery);
		add_target(&forgery);
		add_sites(&forgery, 2);
		for (size_t k = 0; k < items[i].count; k++)
			ml_leb_unsigned(&forgery.items.item, items[i].numbers[k]);
		ml_items_add(&forgery.items, items[i].kind);
		add_moment(&forgery, 1);
		assert_said(&forgery, items[i].kind ? "makes no sense" : "does not know");
	}
}

/* What a later version may add is skipped; what must be known is not. */
static void later_versions(void **state)
{
	struct forgery forgery;

	begin(&forgery);
	add_target(&forgery);
	add_item(&forgery, ML_ITEM_OPTIONAL + 5, 3, N(1), N(2), N(3));
	add_moment(&forgery, 1);
	assert_said(&forgery, "");

	begin(&forgery);
	add_item(&forgery, ML_ITEM_END + 1, 1, N(1));
	assert_said(&forgery, "does not know");

	begin(&forgery);
	forgery.bytes.text[8] = 2;
	uint32_t crc = (uint32_t)crc32(0, (const void *)forgery.bytes.text, 12);

	memcpy(forgery.bytes.text + 12, &crc, 4);
	assert_said(&forgery, "format 2");
}

/* A batch that says it unpacks to much more than a recorder would pack. */
static void zip_bomb(void **state)
{
	struct forgery forgery;
	struct ml_strbuf *content = &forgery.items.content;

	begin(&forgery);
	ml_leb_unsigned(content, ML_ITEM_STRING);
	ml_leb_unsigned(content, 8 << 20);
	content->text = ml_grow(content->text, &content->capacity, (8 << 20) + 16, 1);
	memset(content->text + content->length, 'a', 8 << 20);
	content->length += 8 << 20;
	/* Honest: stored as it is, so that the size of the file bounds the work. */
	ml_items_flush(&forgery.items);
	assert_true(forgery.bytes.length > 8 << 20);
	add_target(&forgery);
	add_moment(&forgery, 1);
	assert_said(&forgery, "");

	/* Not honest: few bytes that claim to be many. */
	begin(&forgery);
	add_target(&forgery);
	add_moment(&forgery, 1);
	ml_items_flush(&forgery.items);

	size_t start = forgery.bytes.length;

	ml_leb_fixed(&forgery.bytes, ML_BATCH_KIND | ML_BATCH_ZSTD << 8, 4);
	ml_leb_fixed(&forgery.bytes, 16, 4);
	ml_leb_fixed(&forgery.bytes, ML_BATCH_MAX, 4);
	ml_leb_fixed(&forgery.bytes, crc32(0, (const void *)(forgery.bytes.text + start), 12), 4);
	ml_leb_fixed(&forgery.bytes, 0, 8);
	ml_leb_fixed(&forgery.bytes, 0, 8);
	assert_said(&forgery, "");
}

/* Memory and time have limits, however small the items are. */
static void budgets(void **state)
{
	const struct ml_record_budget small = {.memory_bytes = 64 << 10, .work = 100000};
	struct forgery forgery;
	char *said;

	begin(&forgery);
	add_target(&forgery);
	add_sites(&forgery, 2000);
	add_moment(&forgery, 1);
	said = read_all(&forgery, small);
	assert_non_null(strstr(said, "of memory"));
	free(said);

	begin(&forgery);
	add_target(&forgery);
	for (uint64_t i = 1; i < 200000; i++)
		add_moment(&forgery, i);
	said = read_all(&forgery, small);
	assert_non_null(strstr(said, "too many moments"));
	free(said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),          cmocka_unit_test(bad_numbers),
		cmocka_unit_test(later_versions), cmocka_unit_test(zip_bomb),
		cmocka_unit_test(budgets),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
