/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/u64map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Keys of the random test: few enough for many collisions and removals of what is there. */
#define KEYS 499

/* What the table should hold: value 0 is absent. */
struct model {
	uint64_t values[KEYS];
	size_t count;
};

/* Spread like addresses, so that many fall into one run of slots. */
static uint64_t key_of(size_t i)
{
	return i ? UINT64_C(0x7f0000000000) + i * 4096 : 0;
}

static void assert_same(const struct ml_u64map *map, const struct model *model)
{
	uint64_t key, value;
	size_t found = 0;

	assert_int_equal(map->count, model->count);
	for (size_t i = 0; i < KEYS; i++) {
		uint64_t *slot = ml_u64map_get(map, key_of(i));

		assert_int_equal(slot ? *slot : 0, model->values[i]);
	}
	for (size_t cursor = 0; ml_u64map_next(map, &cursor, &key, &value); found++) {
		uint64_t *slot = ml_u64map_get(map, key);

		assert_non_null(slot);
		assert_int_equal(*slot, value);
	}
	assert_int_equal(found, model->count);
}

static void put(struct ml_u64map *map, struct model *model, size_t i, uint64_t value)
{
	bool is_new;
	uint64_t *slot = ml_u64map_put(map, key_of(i), &is_new);

	assert_int_equal(is_new, !model->values[i]);
	assert_int_equal(*slot, model->values[i]);
	model->count += is_new;
	model->values[i] = *slot = value;
}

static void take(struct ml_u64map *map, struct model *model, size_t i)
{
	bool was_there = ml_u64map_remove(map, key_of(i));

	assert_int_equal(was_there, model->values[i] != 0);
	model->count -= was_there;
	model->values[i] = 0;
}

static void agrees_with_a_plain_table(void **state)
{
	struct ml_u64map map = {0};
	struct model model = {0};
	unsigned int seed = 23;

	for (unsigned int round = 1; round <= 40000; round++) {
		size_t i = (size_t)rand_r(&seed) % KEYS;
		/* Fills up and empties in turns. */
		bool fills = round / 2000 % 2 == 0;

		if (rand_r(&seed) % 4 == 0 ? !fills : fills)
			put(&map, &model, i, round);
		else
			take(&map, &model, i);
		if (round % 101 == 0)
			assert_same(&map, &model);
	}
	assert_same(&map, &model);
	ml_u64map_free(&map);
	assert_int_equal(map.count, 0);
}

static void answers_when_empty(void **state)
{
	struct ml_u64map map = {0};
	uint64_t key, value;
	size_t cursor = 0;

	assert_null(ml_u64map_get(&map, 0));
	assert_false(ml_u64map_remove(&map, 0));
	assert_false(ml_u64map_next(&map, &cursor, &key, &value));
	ml_u64map_free(&map);
}

static void stays_at_most_two_thirds_full(void **state)
{
	struct ml_u64map map = {0};

	for (uint64_t i = 0; i < 100003; i++)
		*ml_u64map_put(&map, i << 32, NULL) = i;
	assert_int_equal(map.count, 100003);
	assert_true(3 * map.count <= 2 * map.capacity);
	for (uint64_t i = 0; i < 100003; i++)
		assert_int_equal(*ml_u64map_get(&map, i << 32), i);
	ml_u64map_free(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_a_plain_table),
		cmocka_unit_test(answers_when_empty),
		cmocka_unit_test(stays_at_most_two_thirds_full),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
