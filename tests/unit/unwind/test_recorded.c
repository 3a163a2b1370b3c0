/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The step function on recorded stacks (arguments: tests/golden/stacks/): the same frames and end
 * as when they were recorded and compared with backtrace(). See recording.h.
 */
#include "recording.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_walk_is_the_recorded_one(void **state)
{
	struct recording recording;
	uint64_t frames[RECORDING_FRAMES];
	enum ml_walk_end end;

	assert_true(recording_read(*state, &recording));

	size_t count = recording_walk(&recording, frames, RECORDING_FRAMES, &end);

	assert_int_equal(end, recording.end);
	assert_int_equal(count, recording.frame_count);
	assert_memory_equal(frames, recording.frames, count * sizeof(*frames));
	recording_deinit(&recording);
}

/** Without any one of the words the walk ends there, and gives no frame that was not there. */
static void test_missing_words_end_the_walk(void **state)
{
	struct recording recording;
	uint64_t frames[RECORDING_FRAMES];
	enum ml_walk_end end;

	assert_true(recording_read(*state, &recording));
	ml_array_each (word, &recording.words) {
		uint64_t address = word->address;

		word->address = 1;

		size_t count = recording_walk(&recording, frames, RECORDING_FRAMES, &end);

		assert_int_equal(end, ML_WALK_FAULT);
		assert_true(count <= recording.frame_count);
		assert_memory_equal(frames, recording.frames, count * sizeof(*frames));
		word->address = address;
	}
	recording_deinit(&recording);
}

int main(int argc, char **argv)
{
	struct CMUnitTest *tests = ml_alloc(2 * (size_t)argc * sizeof(*tests));
	size_t count = 0;
	int failed;

	cmocka_set_message_output(CM_OUTPUT_TAP);
	for (int i = 1; i < argc; i++) {
		const char *slash = strrchr(argv[i], '/');
		const char *name = slash ? slash + 1 : argv[i];

		tests[count++] = (struct CMUnitTest){.name = name,
						     .test_func = test_walk_is_the_recorded_one,
						     .initial_state = argv[i]};
		tests[count++] = (struct CMUnitTest){.name = name,
						     .test_func = test_missing_words_end_the_walk,
						     .initial_state = argv[i]};
	}
	failed = _cmocka_run_group_tests("recorded", tests, count, NULL, NULL);
	free(tests);
	return failed;
}
