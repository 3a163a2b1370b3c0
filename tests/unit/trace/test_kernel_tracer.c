/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel tracer against a child that allocates known things. Root only. */
#include "trace/tracer.h"

#include "base/clock.h"
#include "trace/kernel_code.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define EVENTFDS 101
#define PIPES    23
#define WAIT_NS  (5 * ML_NS_PER_SECOND)

/* A child that does what it is told by a letter: e/E opens/closes eventfds, p/P big pipes. */
struct child {
	pid_t pid;
	int orders[2], answers[2];
};

static void child_obey(int *fds, char order)
{
	switch (order) {
	case 'e':
		for (int i = 0; i < EVENTFDS; i++)
			fds[i] = eventfd(0, 0);
		break;
	case 'E':
		for (int i = 0; i < EVENTFDS; i++)
			close(fds[i]);
		break;
	case 'p':
		for (int i = 0; i < PIPES; i++) {
			if (pipe(fds + 2 * i) != 0 || fcntl(fds[2 * i], F_SETPIPE_SZ, 1 << 20) < 0)
				_exit(2);
		}
		break;
	case 'P':
		for (int i = 0; i < 2 * PIPES; i++)
			close(fds[i]);
		break;
	}
}

static void child_start(struct child *child)
{
	int fds[EVENTFDS];
	char order;

	assert_int_equal(pipe(child->orders), 0);
	assert_int_equal(pipe(child->answers), 0);
	child->pid = fork();
	assert_true(child->pid >= 0);
	if (child->pid)
		return;
	close(child->orders[1]);
	while (read(child->orders[0], &order, 1) == 1) {
		child_obey(fds, order);
		if (write(child->answers[1], &order, 1) != 1)
			_exit(3);
	}
	_exit(0);
}

static void child_order(struct child *child, char order)
{
	char answer;

	assert_int_equal(write(child->orders[1], &order, 1), 1);
	assert_int_equal(read(child->answers[0], &answer, 1), 1);
}

static void child_end(struct child *child)
{
	int status;

	close(child->orders[1]);
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	assert_int_equal(status, 0);
	close(child->orders[0]);
	close(child->answers[0]);
	close(child->answers[1]);
}

/* And the first pid namespace (PROC_PID_INIT_INO): blocks carry thread ids as seen from there. */
static void need_root(void)
{
	char link[64] = "";

	if (geteuid() != 0 || readlink("/proc/self/ns/pid", link, sizeof(link) - 1) < 0 ||
	    strcmp(link, "pid:[4026531836]") != 0)
		skip();
}

static struct ml_tracer *start(const struct ml_tracer_options *options)
{
	struct ml_tracer *tracer = NULL;
	struct ml_error *error = ml_kernel_tracer_create(options, &tracer);

	if (!error)
		error = tracer->ops->attach_kernel(tracer);
	if (error)
		fail_msg("%s", ml_error_message(error));
	return tracer;
}

static void take(struct ml_tracer *tracer, struct ml_snapshot *snapshot)
{
	const struct ml_snapshot_filter filter = {.want_ages = true, .want_blocks = true};

	assert_null(tracer->ops->snapshot(tracer, &filter, snapshot));
}

/* Blocks of @tid at @stack; 0 for any. */
static unsigned int blocks_of(const struct ml_snapshot *snapshot, pid_t tid, uint64_t stack)
{
	unsigned int count = 0;

	ml_array_each (block, &snapshot->blocks) {
		count += block->tid == tid && (!stack || block->stack == stack);
	}
	return count;
}

/* The largest site of @tid with exactly @count blocks: its stack, 0 when there is none. */
static uint64_t find_site(const struct ml_snapshot *snapshot, pid_t tid, unsigned int count)
{
	ml_array_each (site, &snapshot->sites) {
		if (site->live_count == count && blocks_of(snapshot, tid, site->stack) == count)
			return site->stack;
	}
	return 0;
}

static void check_sums(const struct ml_snapshot *snapshot)
{
	uint64_t bytes = 0, count = 0;

	ml_array_each (site, &snapshot->sites) {
		bytes += site->live_bytes;
		count += site->live_count;
	}
	ml_array_each (block, &snapshot->blocks)
		bytes -= block->size;
	assert_int_equal(bytes, 0);
	assert_int_equal(count, snapshot->blocks.count);
}

static void check_stack(struct ml_tracer *tracer, uint64_t id)
{
	const struct ml_stack *stack = tracer->ops->stack(tracer, id);
	struct ml_kernel_code code = {0};

	assert_non_null(stack);
	assert_true(stack->count >= 3);
	assert_int_equal(stack->end, ML_WALK_COMPLETE);
	assert_int_equal(stack->frames[0].kind, ML_FRAME_KERNEL);
	assert_true(stack->frames[0].ip >= 0xffffffff80000000);
	assert_ptr_equal(stack, tracer->ops->stack(tracer, id));
	assert_null(ml_kernel_code_read("/proc/kallsyms", &code));
	ml_array_each (range, &code.allocators)
		assert_false(stack->frames[0].ip > range->start &&
			     stack->frames[0].ip <= range->end);
	ml_kernel_code_deinit(&code);
}

static void sees_growth_and_its_end(void **state)
{
	const struct ml_tracer_options options = {0};
	struct ml_snapshot snapshot = {0};
	struct child child;

	need_root();
	child_start(&child);

	struct ml_tracer *tracer = start(&options);
	uint64_t give_up = ml_monotonic_ns() + WAIT_NS, site;

	child_order(&child, 'e');
	take(tracer, &snapshot);
	check_sums(&snapshot);
	site = find_site(&snapshot, child.pid, EVENTFDS);
	assert_int_not_equal(site, 0);
	check_stack(tracer, site);
	/* What the tool itself allocates is not looked at. */
	assert_int_equal(blocks_of(&snapshot, getpid(), 0), 0);

	child_order(&child, 'E');
	/* Files and directory entries are freed after an RCU grace period. */
	do {
		usleep(20000);
		take(tracer, &snapshot);
	} while (blocks_of(&snapshot, child.pid, site) && ml_monotonic_ns() < give_up);
	assert_int_equal(blocks_of(&snapshot, child.pid, site), 0);
	check_sums(&snapshot);
	assert_true(snapshot.frees >= EVENTFDS);

	tracer->ops->destroy(tracer);
	ml_snapshot_deinit(&snapshot);
	child_end(&child);
}

/* A large kmalloc takes pages from the page allocator: counted once. */
static void counts_large_blocks_once(void **state)
{
	/* 256 struct pipe_buffer of 40 bytes; order-2 pages. */
	const struct ml_tracer_options options = {.min_size = 10240, .max_size = 16384};
	struct ml_snapshot snapshot = {0};
	struct child child;

	need_root();
	child_start(&child);

	struct ml_tracer *tracer = start(&options);

	child_order(&child, 'p');
	take(tracer, &snapshot);
	assert_int_equal(blocks_of(&snapshot, child.pid, 0), PIPES);
	ml_array_each (block, &snapshot.blocks)
		assert_in_range(block->size, 10240, 16384);
	child_order(&child, 'P');
	take(tracer, &snapshot);
	assert_int_equal(blocks_of(&snapshot, child.pid, 0), 0);

	tracer->ops->destroy(tracer);
	ml_snapshot_deinit(&snapshot);
	child_end(&child);
}

static void is_silent_after_detach(void **state)
{
	const struct ml_tracer_options options = {.percpu = true, .wa_missing_free = true};
	struct ml_snapshot before = {0}, after = {0};
	struct ml_tracer_cost cost;
	struct child child;

	need_root();
	child_start(&child);

	struct ml_tracer *tracer = start(&options);

	child_order(&child, 'e');
	tracer->ops->detach(tracer);
	tracer->ops->detach(tracer);
	take(tracer, &before);
	child_order(&child, 'E');
	take(tracer, &after);
	assert_true(before.allocs >= EVENTFDS);
	assert_int_equal(after.allocs, before.allocs);
	assert_int_equal(after.frees, before.frees);
	assert_int_equal(after.untracked_frees, before.untracked_frees);
	tracer->ops->cost(tracer, &cost);
	assert_true(cost.events >= EVENTFDS);
	assert_true(cost.target_cpu_s > 0);
	assert_int_equal(tracer->ops->event_fd(tracer), -1);

	tracer->ops->destroy(tracer);
	ml_snapshot_deinit(&before);
	ml_snapshot_deinit(&after);
	child_end(&child);
}

struct seen {
	pid_t pid;
	unsigned int kmallocs, frees;
};

static void see(void *context, const struct ml_traced_call *call)
{
	struct seen *seen = context;

	if (call->pid != seen->pid)
		return;
	assert_true(call->address != 0 && call->size != 0);
	assert_non_null(strstr(call->comm, "test"));
	seen->kmallocs += strcmp(call->function, "kmalloc") == 0 && call->role == ML_ROLE_MALLOC;
	seen->frees += strcmp(call->function, "kfree") == 0 && call->role == ML_ROLE_FREE;
}

static void tells_calls(void **state)
{
	const struct ml_tracer_options options = {.trace_calls = true};
	struct child child;

	need_root();
	child_start(&child);

	struct ml_tracer *tracer = start(&options);
	struct seen seen = {.pid = child.pid};
	struct pollfd event = {.fd = tracer->ops->event_fd(tracer), .events = POLLIN};

	assert_true(event.fd >= 0);
	child_order(&child, 'e');
	child_order(&child, 'E');
	assert_int_equal(poll(&event, 1, 1000), 1);
	tracer->ops->dispatch(tracer, see, &seen);
	assert_true(seen.kmallocs >= EVENTFDS);
	assert_true(seen.frees >= EVENTFDS);

	tracer->ops->destroy(tracer);
	child_end(&child);
}

/* Tables that are far too small: counted, never silent, and the books still agree. */
static void says_when_full(void **state)
{
	const struct ml_tracer_options options = {.max_blocks = 8, .max_stacks = 2};
	struct ml_snapshot snapshot = {0};
	struct child child;

	need_root();
	child_start(&child);

	struct ml_tracer *tracer = start(&options);

	child_order(&child, 'e');
	tracer->ops->detach(tracer);
	take(tracer, &snapshot);
	check_sums(&snapshot);
	assert_true(snapshot.counters[ML_COUNTER_LIVE_TABLE_FULL] > 0);
	assert_true(snapshot.counters[ML_COUNTER_STACK_TABLE_FULL] > 0);
	assert_int_equal(snapshot.allocs - snapshot.frees, snapshot.blocks.count);
	assert_null(tracer->ops->stack(tracer, ML_STACK_ID_NONE));

	tracer->ops->destroy(tracer);
	ml_snapshot_deinit(&snapshot);
	child_end(&child);
}

static void refuses_byte_sampling(void **state)
{
	const struct ml_tracer_options options = {.sample_bytes = 4096};
	struct ml_tracer *tracer = NULL;
	ML_ERROR_CLEANUP struct ml_error *error = ml_kernel_tracer_create(&options, &tracer);

	assert_non_null(error);
	assert_int_equal(ml_error_kind(error), ML_ERROR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sees_growth_and_its_end),
		cmocka_unit_test(counts_large_blocks_once),
		cmocka_unit_test(is_silent_after_detach),
		cmocka_unit_test(tells_calls),
		cmocka_unit_test(says_when_full),
		cmocka_unit_test(refuses_byte_sampling),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
