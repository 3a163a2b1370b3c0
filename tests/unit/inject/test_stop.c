/* SPDX-License-Identifier: BSD-2-Clause */
/** Stopping threads of a child: all of them, one, and one after the other. */
#include "inject/stop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS    20
#define DEADLINE_S 20

/* How often each thread of the child went round. */
struct shared {
	volatile uint64_t rounds[THREADS];
	volatile int ends[THREADS]; /* set by the test */
	volatile pid_t tids[THREADS];
};

struct child {
	struct shared *shared;
	pid_t pid;
};

struct thread {
	struct shared *shared;
	size_t number;
};

/* Most of them sleep now and then, some run. */
static void *go_round(void *argument)
{
	struct thread *thread = argument;
	struct shared *shared = thread->shared;

	shared->tids[thread->number] = (pid_t)syscall(SYS_gettid);
	while (!shared->ends[thread->number]) {
		shared->rounds[thread->number]++;
		if (thread->number % 8)
			usleep(500);
	}
	return NULL;
}

static void be_child(struct shared *shared)
{
	static struct thread threads[THREADS];
	pthread_t id;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < THREADS; i++) {
		threads[i] = (struct thread){shared, i};
		if (i && pthread_create(&id, NULL, go_round, &threads[i]))
			_exit(1);
	}
	go_round(&threads[0]);
	for (;;)
		pause();
}

static time_t now_s(void)
{
	return time(NULL);
}

/* Waits until all threads of the child but those that ended have gone round again. */
static void await_rounds(const struct child *child)
{
	uint64_t before[THREADS];
	time_t end_s = now_s() + DEADLINE_S;

	for (size_t i = 0; i < THREADS; i++)
		before[i] = child->shared->rounds[i];
	for (size_t i = 0; i < THREADS; i++)
		while (!child->shared->ends[i] && child->shared->rounds[i] == before[i]) {
			assert_true(now_s() < end_s);
			usleep(1000);
		}
}

static int start_child(void **state)
{
	struct child *child = calloc(1, sizeof(*child));

	child->shared = mmap(NULL, sizeof(*child->shared), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(child->shared, MAP_FAILED);
	child->pid = fork();
	if (!child->pid)
		be_child(child->shared);
	assert_true(child->pid > 0);
	await_rounds(child);
	*state = child;
	return 0;
}

static int end_child(void **state)
{
	struct child *child = *state;

	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	munmap(child->shared, sizeof(*child->shared));
	free(child);
	return 0;
}

static uint64_t sum(const struct child *child)
{
	uint64_t rounds = 0;

	for (size_t i = 0; i < THREADS; i++)
		rounds += child->shared->rounds[i];
	return rounds;
}

static void assert_ok(struct ml_error *error)
{
	if (error)
		fail_msg("%s", ml_error_message(error));
}

static void test_all_stop_and_go_on(void **state)
{
	struct child *child = *state;
	struct ml_stop stop;
	uint64_t rounds;

	assert_ok(ml_stop_seize(child->pid, 0, &stop));
	await_rounds(child);
	assert_ok(ml_stop_begin(&stop));
	assert_int_equal(stop.threads.count, THREADS);
	rounds = sum(child);
	ml_array_each (thread, &stop.threads) {
		assert_true(thread->is_stopped);
		assert_true(thread->ip != 0);
	}
	usleep(5000);
	assert_true(sum(child) == rounds);
	ml_stop_end(&stop);
	assert_true(stop.longest_ns >= 5000000);
	await_rounds(child);
}

static void test_one_stops_alone(void **state)
{
	struct child *child = *state;
	struct ml_stop stop;
	uint64_t rounds;
	time_t end_s = now_s() + DEADLINE_S;

	assert_ok(ml_stop_seize(child->pid, child->shared->tids[3], &stop));
	assert_ok(ml_stop_begin(&stop));
	assert_int_equal(stop.threads.count, 1);
	rounds = child->shared->rounds[3];
	for (uint64_t others = child->shared->rounds[1]; child->shared->rounds[1] == others;) {
		assert_true(now_s() < end_s);
		usleep(1000);
	}
	assert_true(child->shared->rounds[3] == rounds);
	ml_stop_end(&stop);
	await_rounds(child);
}

/* What visits have seen. */
struct seen {
	size_t count;
	pid_t tids[4 * THREADS];
	pid_t again; /* to be looked at again */
	bool is_wrong;
};

static bool look(void *context, const struct ml_stop *stop, const struct ml_stopped *thread)
{
	struct seen *seen = context;
	uint64_t word;

	seen->is_wrong |= !thread->is_stopped || !thread->ip ||
			  !ml_stop_read(stop, thread->ip & ~7ull, &word, sizeof(word));
	if (seen->count < sizeof(seen->tids) / sizeof(*seen->tids))
		seen->tids[seen->count++] = thread->tid;
	return thread->tid != seen->again;
}

static size_t times_seen(const struct seen *seen, pid_t tid)
{
	size_t times = 0;

	for (size_t i = 0; i < seen->count; i++)
		times += seen->tids[i] == tid;
	return times;
}

/* Visits until @left of @tids are left: on a busy machine a thread may take long to stop. */
static void visit(const struct child *child, ml_proc_tids *tids, size_t left, struct seen *seen)
{
	time_t end_s = now_s() + DEADLINE_S;
	struct ml_stop stop = {.pid = child->pid, .memory_fd = -1};

	while (tids->count > left) {
		assert_true(now_s() < end_s);
		assert_ok(ml_stop_visit(&stop, tids, look, seen));
	}
	assert_true(stop.longest_ns > 0);
	assert_int_equal(tids->count, left);
}

static void test_each_is_visited_once(void **state)
{
	struct child *child = *state;
	struct seen seen = {.again = child->shared->tids[7]};
	ml_proc_tids tids = {0};

	assert_true(ml_proc_threads(child->pid, &tids));
	assert_int_equal(tids.count, THREADS);
	visit(child, &tids, 1, &seen);
	assert_false(seen.is_wrong);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(times_seen(&seen, child->shared->tids[i]), 1);
	assert_int_equal(tids.items[0], seen.again);
	await_rounds(child);

	seen.again = 0;
	visit(child, &tids, 0, &seen);
	assert_true(times_seen(&seen, child->shared->tids[7]) > 1);
	for (size_t i = 0; i < THREADS; i++)
		assert_true(i == 7 || times_seen(&seen, child->shared->tids[i]) == 1);
	await_rounds(child);
}

/* Whose numbers others may have by now. */
static void test_ended_and_foreign_ones_are_not_touched(void **state)
{
	struct child *child = *state;
	struct seen seen = {0};
	ml_proc_tids tids = {0};
	struct ml_stop stop;
	time_t end_s = now_s() + DEADLINE_S;
	pid_t ended = child->shared->tids[5];

	assert_true(ml_proc_threads(child->pid, &tids));
	*ml_array_push(&tids) = getppid();
	child->shared->ends[5] = 1;
	while (!syscall(SYS_tgkill, child->pid, ended, 0)) {
		assert_true(now_s() < end_s);
		usleep(1000);
	}
	visit(child, &tids, 0, &seen);
	assert_int_equal(seen.count, THREADS - 1);
	assert_int_equal(times_seen(&seen, ended), 0);
	assert_int_equal(times_seen(&seen, getppid()), 0);
	assert_int_equal(ml_proc_tracer(getppid()), 0);

	assert_ok(ml_stop_seize(child->pid, getppid(), &stop));
	assert_int_equal(stop.threads.count, 0);
	ml_stop_forget(&stop);
	assert_int_equal(ml_proc_tracer(getppid()), 0);
	await_rounds(child);
}

/* It stays stopped, and is told nothing. */
static void test_stopped_by_job_control(void **state)
{
	struct child *child = *state;
	struct seen seen = {0};
	ml_proc_tids tids = {0};
	uint64_t rounds;
	int status;

	kill(child->pid, SIGSTOP);
	assert_int_equal(waitpid(child->pid, &status, WUNTRACED), child->pid);
	assert_true(ml_proc_threads(child->pid, &tids));
	visit(child, &tids, 0, &seen);
	assert_int_equal(seen.count, THREADS);
	rounds = sum(child);
	usleep(5000);
	assert_true(sum(child) == rounds);
	kill(child->pid, SIGCONT);
	await_rounds(child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_stop_and_go_on, start_child, end_child),
		cmocka_unit_test_setup_teardown(test_one_stops_alone, start_child, end_child),
		cmocka_unit_test_setup_teardown(test_each_is_visited_once, start_child, end_child),
		cmocka_unit_test_setup_teardown(test_ended_and_foreign_ones_are_not_touched,
						start_child, end_child),
		cmocka_unit_test_setup_teardown(test_stopped_by_job_control, start_child,
						end_child),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
