/* SPDX-License-Identifier: BSD-2-Clause */
/** The loop of a session, with a tracer that only counts what is asked of it. */
#include "cli/session.h"
#include "cli/signals.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* One for each test. */
static struct fake {
	struct ml_tracer tracer;
	unsigned int adds, removes_kept, removes_dropped, snapshots, detaches;
	uint64_t last_min_age_ns;
	unsigned int last_calls; /* how many are still on their way when it is detached */
	bool fails_to_add, prints_calls;
} fake;

static struct ml_error *fake_add(struct ml_tracer *tracer, struct ml_process *process)
{
	fake.adds++;
	return fake.fails_to_add ? ml_error_new(ML_ERROR_TARGET, "no allocator") : NULL;
}

static struct ml_error *fake_refresh(struct ml_tracer *tracer, pid_t pid)
{
	return NULL;
}

static void fake_remove(struct ml_tracer *tracer, pid_t pid, bool keep)
{
	fake.removes_kept += keep;
	fake.removes_dropped += !keep;
}

static struct ml_error *fake_snapshot(struct ml_tracer *tracer,
				      const struct ml_snapshot_filter *filter,
				      struct ml_snapshot *out)
{
	struct ml_snapshot snapshot = {.time_ns = ml_monotonic_ns(), .allocs = 23};

	/* After it the target may go on; --trace only asks what was lost. */
	assert_true(!fake.detaches || fake.prints_calls);
	snapshot.counters[ML_COUNTER_CALL_EVENTS_LOST] = 7;
	*ml_array_push(&snapshot.sites) = (struct ml_site_books){.stack = 5,
								 .allocs = 23,
								 .alloc_bytes = 2300,
								 .live_bytes = 2300,
								 .live_count = 23,
								 .shown_bytes = 2300,
								 .shown_count = 23};
	fake.snapshots++;
	fake.last_min_age_ns = filter->min_age_ns;
	*out = snapshot;
	return NULL;
}

static const struct ml_stack *fake_stack(struct ml_tracer *tracer, uint64_t id)
{
	return NULL;
}

static int fake_event_fd(struct ml_tracer *tracer)
{
	return -1;
}

static void fake_dispatch(struct ml_tracer *tracer,
			  void (*sink)(void *context, const struct ml_traced_call *call),
			  void *context)
{
	struct ml_traced_call call = {.function = "malloc", .role = ML_ROLE_MALLOC, .size = 101};

	if (fake.detaches && !fake.last_calls)
		return;
	if (fake.detaches) {
		fake.last_calls--;
		call.size = 1009;
	}
	sink(context, &call);
}

static void fake_cost(struct ml_tracer *tracer, struct ml_tracer_cost *out)
{
	*out = (struct ml_tracer_cost){.target_cpu_s = -1};
}

static void fake_detach(struct ml_tracer *tracer)
{
	fake.detaches++;
}

static void fake_destroy(struct ml_tracer *tracer)
{
}

static const struct ml_tracer_ops fake_ops = {
	.name = "fake",
	.add_process = fake_add,
	.refresh_process = fake_refresh,
	.renew_process = fake_add,
	.remove_process = fake_remove,
	.snapshot = fake_snapshot,
	.stack = fake_stack,
	.event_fd = fake_event_fd,
	.dispatch = fake_dispatch,
	.cost = fake_cost,
	.detach = fake_detach,
	.destroy = fake_destroy,
};

static void write_line(FILE *out, const struct ml_report *report)
{
	fprintf(out, "final=%d reason=%s bytes=%llu\n", report->is_final,
		report->end_reason ? report->end_reason : "-",
		(unsigned long long)report->outstanding_bytes);
}

/* Not text or json: written only once, at the end. */
static const struct ml_report_format line_format = {.name = "line", .write = write_line};

/* A child that runs @p script; returns after its exec, which would else be noticed as one. */
static pid_t start_child(const char *script)
{
	int exec_done[2];
	char byte;

	assert_int_equal(pipe2(exec_done, O_CLOEXEC), 0);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execl("/bin/sh", "sh", "-c", script, NULL);
		_exit(127);
	}
	close(exec_done[1]);
	assert_int_equal(read(exec_done[0], &byte, 1), 0);
	close(exec_done[0]);
	return pid;
}

/* What a test runs with. */
struct fixture {
	struct ml_options options;
	struct ml_output output;
	struct ml_session session;
	pid_t child;
};

static void start(struct fixture *fixture, const char *script)
{
	struct ml_process *process;

	fake = (struct fake){.tracer = {&fake_ops}};
	fixture->output = (struct ml_output){memfd_create("reports", 0), "memory", false};
	fixture->child = start_child(script);
	fixture->options.pid = (uint64_t)fixture->child;
	fixture->options.older_ms = 500;
	fixture->options.top = 10;
	if (!fixture->options.format)
		fixture->options.format = &line_format;
	assert_null(ml_process_open(fixture->child, &process));
	assert_null(ml_session_init(&fixture->session, &fixture->options, &fake.tracer,
				    &(struct ml_report_writer){.options = &fixture->options,
							       .output = &fixture->output},
				    NULL));
	assert_null(ml_session_add(&fixture->session, process));
	assert_int_equal(fake.adds, 1);
}

/* Runs to the end and returns what was written; free() it. */
static char *run(struct fixture *fixture)
{
	char *text = calloc(1, 4096);
	struct ml_error *error = ml_session_run(&fixture->session);

	if (error)
		fail_msg("%s", ml_error_message(error));
	assert_true(fake.detaches > 0);
	assert_true(pread(fixture->output.fd, text, 4095, 0) >= 0);
	return text;
}

static void finish(struct fixture *fixture)
{
	ml_session_deinit(&fixture->session);
	close(fixture->output.fd);
	kill(fixture->child, SIGKILL);
	waitpid(fixture->child, NULL, 0);
}

static void target_end_makes_the_final_report(void **state)
{
	struct fixture fixture = {.options.interval_ns = 60 * ML_NS_PER_SECOND};

	start(&fixture, "exec sleep 0.1");
	ML_FREE_CLEANUP char *text = run(&fixture);

	assert_string_equal(text, "final=1 reason=the target ended bytes=2300\n");
	assert_int_equal(fixture.session.end, ML_SESSION_TARGET);
	assert_int_equal(fake.snapshots, 1);
	assert_int_equal(fake.last_min_age_ns, 0);
	assert_int_equal(fake.removes_kept, 1);
	finish(&fixture);
}

static void older_stands_at_the_targets_end(void **state)
{
	struct fixture fixture = {.options.interval_ns = 60 * ML_NS_PER_SECOND};

	fixture.options.given = 1ULL << ML_OPTION_OLDER;
	start(&fixture, "exec sleep 0.05");
	free(run(&fixture));
	assert_int_equal(fake.last_min_age_ns, 500 * ML_NS_PER_MS);
	finish(&fixture);
}

static void interrupt_makes_the_final_report(void **state)
{
	struct fixture fixture = {.options.interval_ns = 60 * ML_NS_PER_SECOND};

	start(&fixture, "exec sleep 60");
	raise(SIGINT);
	ML_FREE_CLEANUP char *text = run(&fixture);

	assert_string_equal(text, "final=1 reason=- bytes=2300\n");
	assert_int_equal(fixture.session.end, ML_SESSION_SIGNAL);
	assert_int_equal(fake.last_min_age_ns, 500 * ML_NS_PER_MS);
	finish(&fixture);
}

static void count_ends_with_the_last_interval(void **state)
{
	struct fixture fixture = {.options = {.interval_ns = 30 * ML_NS_PER_MS, .count = 3}};

	start(&fixture, "exec sleep 60");
	ML_FREE_CLEANUP char *text = run(&fixture);

	assert_int_equal(fake.snapshots, 3);
	assert_string_equal(text, "final=1 reason=- bytes=2300\n");
	assert_int_equal(fixture.session.end, ML_SESSION_COUNT);
	finish(&fixture);
}

static void reader_that_left_is_a_quiet_end(void **state)
{
	struct fixture fixture = {
		.options = {.interval_ns = 10 * ML_NS_PER_MS, .format = &ml_report_text}};
	int ends[2];

	start(&fixture, "exec sleep 60");
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	dup2(ends[1], fixture.output.fd);
	close(ends[1]);
	assert_null(ml_session_run(&fixture.session));
	assert_int_equal(fixture.session.end, ML_SESSION_READER);
	assert_true(fake.detaches > 0);
	finish(&fixture);
}

static void full_disk_is_an_error(void **state)
{
	struct fixture fixture = {
		.options = {.interval_ns = 10 * ML_NS_PER_MS, .format = &ml_report_text}};
	int full = open("/dev/full", O_WRONLY);

	start(&fixture, "exec sleep 60");
	dup2(full, fixture.output.fd);
	close(full);
	struct ml_error *error = ml_session_run(&fixture.session);

	assert_non_null(error);
	assert_int_equal(ml_error_code(error), ENOSPC);
	assert_true(fake.detaches > 0);
	ml_error_free(error);
	finish(&fixture);
}

static void exec_is_noticed(void **state)
{
	struct fixture fixture = {.options = {.interval_ns = 100 * ML_NS_PER_MS, .count = 4}};

	start(&fixture, "sleep 0.15; exec sleep 60");
	free(run(&fixture));
	assert_int_equal(fake.adds, 2);
	finish(&fixture);
}

static void trace_prints_calls_only(void **state)
{
	struct fixture fixture = {
		.options = {.interval_ns = 20 * ML_NS_PER_MS, .count = 2, .trace_calls = true}};

	start(&fixture, "exec sleep 60");
	fake.prints_calls = true;
	fake.last_calls = 3;
	ML_FREE_CLEANUP char *text = run(&fixture);

	assert_int_equal(fake.snapshots, 1);
	assert_memory_equal(text, "TIME ", 5);
	assert_non_null(strstr(text, "malloc                    101 0x0\n"));
	assert_int_equal(fake.last_calls, 0);
	assert_non_null(strstr(text, "malloc                   1009 0x0\n"));
	finish(&fixture);
}

static void failure_to_attach_is_returned(void **state)
{
	struct fixture fixture = {.options.interval_ns = ML_NS_PER_SECOND};
	struct ml_process *process;

	start(&fixture, "exec sleep 60");
	fake.fails_to_add = true;
	assert_null(ml_process_open(getpid(), &process));
	struct ml_error *error = ml_session_add(&fixture.session, process);

	assert_non_null(error);
	assert_string_equal(ml_error_message(error), "no allocator");
	ml_error_free(error);
	finish(&fixture);
}

static int block_signals(void **state)
{
	sigset_t before;

	ml_signals_block(&before);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(target_end_makes_the_final_report),
		cmocka_unit_test(older_stands_at_the_targets_end),
		cmocka_unit_test(count_ends_with_the_last_interval),
		cmocka_unit_test(reader_that_left_is_a_quiet_end),
		cmocka_unit_test(full_disk_is_an_error),
		cmocka_unit_test(exec_is_noticed),
		cmocka_unit_test(trace_prints_calls_only),
		cmocka_unit_test(failure_to_attach_is_returned),
		/* Last: it leaves a handler for the next INT. */
		cmocka_unit_test(interrupt_makes_the_final_report),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, block_signals, NULL);
}
