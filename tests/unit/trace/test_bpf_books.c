/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshots of tables filled by hand. Needs to make BPF maps: root. */
#include "trace/bpf_books.h"

#include "base/clock.h"
#include "base/file.h"
#include "trace/bpf_object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MANY 20011u /* blocks of one site: several batches */

struct tables {
	struct ml_bpf_books books;
	uint64_t now;
};

static void put_site(struct tables *tables, uint64_t id, struct ml_site_record record)
{
	assert_int_equal(bpf_map_update_elem(tables->books.sites_fd, &id, &record, 0), 0);
}

static void put_block(struct tables *tables, uint64_t address, uint64_t stack, uint64_t size,
		      uint64_t age_ns)
{
	struct ml_live_key key = {.address = address, .tgid = 7};
	struct ml_live_record record = {
		.size = size,
		.weight_bytes = size,
		.weight_count = 1,
		.stack = stack,
		.born_ns = tables->now - age_ns,
		.tid = 8,
	};

	assert_int_equal(bpf_map_update_elem(tables->books.live_fd, &key, &record, 0), 0);
}

static int make_tables(void **state)
{
	struct tables *tables = calloc(1, sizeof(*tables));

	*state = tables;
	tables->now = ml_monotonic_ns();
	tables->books = (struct ml_bpf_books){
		.sites_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "sites", 8,
					   sizeof(struct ml_site_record), 64, NULL),
		.live_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "live", sizeof(struct ml_live_key),
					  sizeof(struct ml_live_record), 32768, NULL),
		.stacks_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "stacks", 8,
					    sizeof(struct ml_stack_record), 64, NULL),
		.counters_fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "counters", 4, 8,
					      ML_SLOT_COUNT, NULL),
		.counters_per_cpu = true,
	};
	return 0;
}

static int drop_tables(void **state)
{
	struct tables *tables = *state;

	ml_fd_close(&tables->books.sites_fd);
	ml_fd_close(&tables->books.live_fd);
	ml_fd_close(&tables->books.stacks_fd);
	ml_fd_close(&tables->books.counters_fd);
	free(tables);
	return 0;
}

static void need_root(struct tables *tables)
{
	if (tables->books.live_fd < 0 && geteuid() != 0)
		skip();
	assert_true(tables->books.live_fd >= 0);
}

static const struct ml_site_books *site_by(const struct ml_snapshot *snapshot, uint64_t stack)
{
	ml_array_each (site, &snapshot->sites) {
		if (site->stack == stack)
			return site;
	}
	return NULL;
}

static void fill(struct tables *tables)
{
	put_site(tables, 100, (struct ml_site_record){MANY, 0, MANY * 16, 0});
	for (uint32_t i = 0; i < MANY; i++)
		put_block(tables, 4096 + i * 16, 100, 16, 5 * ML_NS_PER_SECOND);
	put_site(tables, 200, (struct ml_site_record){10, 8, 1000, 800});
	put_block(tables, 1, 200, 60, 10 * ML_NS_PER_SECOND);
	put_block(tables, 2, 200, 40, 0);
	put_site(tables, 300, (struct ml_site_record){3, 4, 30, 40});
	put_block(tables, 3, 400, 77, ML_NS_PER_SECOND);
}

static void sums_blocks(void **state)
{
	struct tables *tables = *state;
	struct ml_snapshot snapshot = {0};
	const struct ml_snapshot_filter filter = {
		.min_age_ns = 2 * ML_NS_PER_SECOND, .want_ages = true, .want_blocks = true};

	need_root(tables);
	fill(tables);
	assert_null(ml_bpf_books_snapshot(&tables->books, &filter, &snapshot));
	assert_int_equal(snapshot.sites.count, 4);
	assert_int_equal(snapshot.allocs, MANY + 13);
	assert_int_equal(snapshot.frees, 12);
	assert_int_equal(snapshot.blocks.count, MANY + 1);
	assert_int_equal(snapshot.blocks.items[0].pid, 7);
	assert_int_equal(snapshot.blocks.items[0].tid, 8);
	assert_int_equal(site_by(&snapshot, 100)->live_bytes, MANY * 16);
	assert_int_equal(site_by(&snapshot, 100)->shown_count, MANY);

	const struct ml_site_books *mixed = site_by(&snapshot, 200);

	assert_int_equal(mixed->live_bytes, 100);
	assert_int_equal(mixed->live_count, 2);
	assert_int_equal(mixed->shown_bytes, 60);
	assert_int_equal(mixed->oldest_born_ns, tables->now - 10 * ML_NS_PER_SECOND);
	assert_int_equal(mixed->newest_born_ns, tables->now);
	assert_int_equal(site_by(&snapshot, 300)->live_bytes, 0);
	assert_int_equal(snapshot.counters[ML_COUNTER_NEGATIVE_SITES], 1);
	assert_int_equal(site_by(&snapshot, 400)->live_bytes, 77);
	assert_int_equal(site_by(&snapshot, 400)->shown_count, 0);
	ml_snapshot_deinit(&snapshot);
}

static void subtracts_without_ages(void **state)
{
	struct tables *tables = *state;
	struct ml_snapshot snapshot = {0};
	const struct ml_snapshot_filter filter = {.min_age_ns = 2 * ML_NS_PER_SECOND};

	need_root(tables);
	fill(tables);
	assert_null(ml_bpf_books_snapshot(&tables->books, &filter, &snapshot));
	assert_int_equal(snapshot.sites.count, 3);
	assert_int_equal(snapshot.blocks.count, 0);
	assert_int_equal(site_by(&snapshot, 200)->live_bytes, 200);
	assert_int_equal(site_by(&snapshot, 200)->shown_count, 2);
	assert_int_equal(site_by(&snapshot, 300)->shown_bytes, 0);
	/* A second one replaces the first. */
	assert_null(ml_bpf_books_snapshot(&tables->books, &filter, &snapshot));
	assert_int_equal(snapshot.sites.count, 3);
	ml_snapshot_deinit(&snapshot);
}

static void sums_counters_of_cpus(void **state)
{
	struct tables *tables = *state;
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values = calloc((size_t)cpus, sizeof(*values)), counters[ML_SLOT_COUNT];
	uint32_t slot = ML_SLOT_UNTRACKED_FREES;
	struct ml_snapshot snapshot = {0};
	const struct ml_snapshot_filter filter = {.want_ages = true};

	need_root(tables);
	for (int i = 0; i < cpus; i++)
		values[i] = 23;
	assert_int_equal(bpf_map_update_elem(tables->books.counters_fd, &slot, values, 0), 0);
	assert_null(ml_bpf_books_counters(&tables->books, counters));
	assert_int_equal(counters[ML_SLOT_UNTRACKED_FREES], 23 * cpus);
	assert_int_equal(counters[ML_COUNTER_CALLS_MISSED], 0);
	assert_null(ml_bpf_books_snapshot(&tables->books, &filter, &snapshot));
	assert_int_equal(snapshot.untracked_frees, 23 * cpus);
	ml_snapshot_deinit(&snapshot);
	free(values);
}

static void reads_stacks(void **state)
{
	struct tables *tables = *state;
	struct ml_stack_record in = {.count = 2, .end = ML_WALK_COMPLETE, .ip = {11, 22}}, out;
	uint64_t id = 5, bad = 6;

	need_root(tables);
	assert_int_equal(bpf_map_update_elem(tables->books.stacks_fd, &id, &in, 0), 0);
	in.count = ML_STACK_DEPTH + 1;
	assert_int_equal(bpf_map_update_elem(tables->books.stacks_fd, &bad, &in, 0), 0);
	assert_true(ml_bpf_books_stack(&tables->books, 5, &out));
	assert_int_equal(out.count, 2);
	assert_int_equal(out.ip[1], 22);
	assert_false(ml_bpf_books_stack(&tables->books, 6, &out));
	assert_false(ml_bpf_books_stack(&tables->books, 7, &out));
}

static void explains_errors(void **state)
{
	struct tables *tables = *state;
	struct ml_snapshot snapshot = {0};
	const struct ml_snapshot_filter filter = {.want_ages = true};
	struct ml_bpf_books broken = tables->books;

	need_root(tables);
	broken.live_fd = -1;

	ML_ERROR_CLEANUP struct ml_error *error =
		ml_bpf_books_snapshot(&broken, &filter, &snapshot);

	assert_non_null(error);
	assert_null(snapshot.sites.items);
}

int main(void)
{
#define WITH_TABLES(test) cmocka_unit_test_setup_teardown(test, make_tables, drop_tables)
	const struct CMUnitTest tests[] = {
		WITH_TABLES(sums_blocks),           WITH_TABLES(subtracts_without_ages),
		WITH_TABLES(sums_counters_of_cpus), WITH_TABLES(reads_stacks),
		WITH_TABLES(explains_errors),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
