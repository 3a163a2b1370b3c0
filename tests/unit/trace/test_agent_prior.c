/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_prior.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/mman.h>

static struct ml_agent_memory *memory;

static int map_memory(void **state)
{
	memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return memory == MAP_FAILED;
}

static int unmap_memory(void **state)
{
	return munmap(memory, sizeof(*memory));
}

static void add(ml_prior_blocks *blocks, uint64_t address, uint64_t stack)
{
	*ml_array_push(blocks) = (struct ml_prior_block){
		.block = {.address = address, .size = 23, .stack = stack},
		.weight_bytes = 23,
		.weight_count = 1,
	};
}

/* What the agent does when a block is freed that it finds. */
static void free_found(uint64_t address)
{
	for (size_t i = 0; i < ML_AGENT_PRIOR; i++)
		if (memory->prior[i] == ML_AGENT_PRIOR_ALIVE(address))
			memory->prior[i] = ML_AGENT_PRIOR_DEAD(address);
}

static struct ml_snapshot read_all(struct ml_agent_prior *prior)
{
	const struct ml_snapshot_filter filter = {.want_ages = true, .want_blocks = true};
	struct ml_snapshot out = {0};

	ml_agent_prior_settle(prior, memory);
	ml_agent_prior_snapshot(prior, &filter, &out);
	return out;
}

static void blocks_leave_when_freed(void **state)
{
	struct ml_agent_prior prior = {0};
	ml_prior_blocks blocks = {0};
	struct ml_snapshot found;

	ml_agent_prior_expect(memory);
	assert_true(memory->has_prior && memory->logs_freed);
	for (uint64_t i = 0; i < 101; i++)
		add(&blocks, 0x10000 + i * 16, 1000 + i % 2);
	/* Freed before it was in the table, and one nobody knows. */
	memory->freed[0] = 0x10000;
	memory->freed[1] = 0x999990;
	memory->freed_count = 2;
	assert_int_equal(ml_agent_prior_fill(&prior, memory, &blocks), 0);
	assert_int_equal(blocks.count, 0);
	free_found(0x10010);
	found = read_all(&prior);
	assert_int_equal(found.blocks.count, 99);
	assert_int_equal(found.sites.count, 2);
	assert_int_equal(found.sites.items[0].live_count + found.sites.items[1].live_count, 99);
	/* They count as freed where they come from. */
	assert_int_equal(found.sites.items[0].frees + found.sites.items[0].live_count, 0);
	assert_int_equal(found.untracked_frees, (uint64_t)-1);
	ml_snapshot_deinit(&found);
	while (memory->logs_freed)
		assert_true(ml_agent_prior_tick(&prior, memory));
	for (uint64_t i = 0; i < 101; i++)
		free_found(0x10000 + i * 16);
	found = read_all(&prior);
	assert_int_equal(found.blocks.count, 0);
	assert_int_equal(memory->has_prior, 0);
	ml_snapshot_deinit(&found);
	ml_agent_prior_deinit(&prior);
}

static void a_log_that_was_too_short_is_said(void **state)
{
	struct ml_agent_prior prior = {0};
	ml_prior_blocks blocks = {0};
	bool all = true;

	ml_agent_prior_expect(memory);
	add(&blocks, 0x10000, 1);
	ml_agent_prior_fill(&prior, memory, &blocks);
	memory->freed_count = ML_AGENT_FREED + 1;
	while (memory->logs_freed)
		all = ml_agent_prior_tick(&prior, memory);
	assert_false(all);
	ml_agent_prior_deinit(&prior);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(blocks_leave_when_freed, map_memory, unmap_memory),
		cmocka_unit_test_setup_teardown(a_log_that_was_too_short_is_said, map_memory,
						unmap_memory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
