/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/session.h"

#include "base/clock.h"
#include "base/file.h"
#include "cli/note.h"
#include "cli/signals.h"
#include "report/report.h"
#include "target/proc.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* How long a command may take to end when memleak is told to end. */
#define COMMAND_GRACE_NS (2 * ML_NS_PER_SECOND)
/* The images of the targets are compared at most this often between intervals. */
#define LOOK_EVERY_NS (ML_NS_PER_SECOND / 10)
/* How long a process is waited for that has no allocator yet, counted from its start. */
#define YOUNG_S       2
#define YOUNG_POLL_US 10000

/* What a descriptor of the epoll is. */
enum source {
	SOURCE_TIMER,
	SOURCE_SIGNAL,
	SOURCE_TRACER,
	SOURCE_PROCESS,
	SOURCE_LIVE,
	SOURCE_LOOK
};

static struct ml_error *watch(struct ml_session *session, int fd, enum source source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = source};

	if (epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return ml_error_errno(errno, "cannot wait for events");
	return NULL;
}

struct ml_error *ml_session_init(struct ml_session *session, const struct ml_options *options,
				 struct ml_tracer *tracer, const struct ml_report_writer *writer,
				 struct ml_record_file *record)
{
	*session = (struct ml_session){
		.options = options,
		.tracer = tracer,
		.output = writer->output,
		.epoll_fd = epoll_create1(EPOLL_CLOEXEC),
		.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		.look_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		.signal_fd = -1,
	};
	session->targets = (struct ml_targets){
		.tracer = tracer,
		.epoll_fd = session->epoll_fd,
		.epoll_tag = SOURCE_PROCESS,
	};
	session->reporter = (struct ml_reporter){
		.options = options,
		.tracer = tracer,
		.targets = &session->targets,
		.lost = &session->lost,
		.record = record,
		.writer = *writer,
	};
	ml_call_printer_init(&session->calls);
	ml_reporter_start(&session->reporter);
	if (session->epoll_fd < 0 || session->timer_fd < 0 || session->look_fd < 0)
		return ml_error_errno(errno, "cannot wait for events");

	struct ml_error *error = ml_signals_open(&session->signal_fd);

	if (!error)
		error = watch(session, session->signal_fd, SOURCE_SIGNAL);
	if (!error)
		error = watch(session, session->timer_fd, SOURCE_TIMER);
	if (!error)
		error = watch(session, session->look_fd, SOURCE_LOOK);
	if (!error && tracer->ops->event_fd(tracer) >= 0)
		error = watch(session, tracer->ops->event_fd(tracer), SOURCE_TRACER);
	return error;
}

/* Whether @pid was started a moment ago. */
static bool is_young(pid_t pid)
{
	uint64_t started = ml_proc_start_ticks(pid);

	return started && ml_proc_now_ticks() < started + YOUNG_S * (uint64_t)sysconf(_SC_CLK_TCK);
}

/* A process in its start-up may not have mapped its allocator yet: "./server & memleak -p $!". */
static bool attach_grown(struct ml_targets *targets, struct ml_target *target)
{
	while (!ml_targets_attach(targets, target)) {
		if (ml_error_kind(target->problem) != ML_ERROR_UNSUPPORTED ||
		    !is_young(target->pid) || !ml_process_is_alive(target->process))
			return false;
		usleep(YOUNG_POLL_US);
	}
	return true;
}

struct ml_error *ml_session_add(struct ml_session *session, struct ml_process *process)
{
	pid_t pid = ml_process_pid(process);
	struct ml_error *error = ml_targets_add(&session->targets, process);

	if (error)
		return error;
	struct ml_target *target = ml_targets_find(&session->targets, pid);

	if (!attach_grown(&session->targets, target)) {
		error = target->problem;
		target->problem = NULL;
	}
	return error;
}

/* Keeps the first problem; a reader that went away is no problem but an end. */
static void take_problem(struct ml_session *session, struct ml_error *error)
{
	if (!error)
		return;
	if (ml_error_code(error) == EPIPE) {
		session->end = ML_SESSION_READER;
		ml_error_free(error);
	} else if (session->problem) {
		ml_error_free(error);
	} else {
		session->problem = error;
	}
}

static void reap(struct ml_session *session)
{
	if (session->command)
		ml_command_peek(session->command);
	ml_targets_reap(&session->targets);
}

static void on_command_stop(struct ml_session *session)
{
	const struct ml_target *target =
		ml_targets_find(&session->targets, ml_command_pid(session->command));

	while (target && target->process &&
	       ml_lost_blocks_dispatch(&session->lost, session->tracer, target->process))
		ml_session_command_execs(session);
}

static void look_at_targets(struct ml_session *session)
{
	if (!session->targets.list.count)
		return;
	session->last_look_ns = ml_monotonic_ns();
	reap(session);
	/* Of an exec these tell before the look finds another image. */
	if (session->watches_end)
		on_command_stop(session);
	if (session->follow)
		ml_follow_dispatch(session->follow);
	ml_targets_look(&session->targets, session->follow);
	ml_session_look_for_children(session);
	ml_session_count_missed(session, false);
}

void ml_session_read_tracer(struct ml_session *session)
{
	session->tracer->ops->dispatch(session->tracer, ml_call_printer_add, &session->calls);
	if (session->options->trace_calls)
		take_problem(session, ml_call_printer_flush(&session->calls, session->output));
}

/* The books of now, on the screen or as a report. */
static struct ml_error *report(struct ml_session *session)
{
	struct ml_error *error = ml_reporter_collect(&session->reporter, false);

	if (error)
		return error;
	if (!session->live)
		return ml_reporter_write(&session->reporter, &(struct ml_moment){0});
	if (ml_live_wants_report(session->live)) {
		struct ml_report shown;

		ml_reporter_build(&session->reporter, &shown);
		ml_live_show(session->live, &shown);
	} else {
		ml_reporter_record(&session->reporter);
	}
	return NULL;
}

static void on_timer(struct ml_session *session)
{
	const struct ml_options *options = session->options;
	uint64_t expirations;
	bool is_last;

	if (read(session->timer_fd, &expirations, sizeof(expirations)) < 0 || session->deadline_ns)
		return;
	session->intervals++;
	is_last = options->count && session->intervals >= options->count;
	ml_session_read_tracer(session);
	look_at_targets(session);
	if (options->container)
		take_problem(session, ml_session_add_members(session));
	ml_targets_note_problems(&session->targets, session->follow);
	if (is_last)
		session->end = ML_SESSION_COUNT;
	if (is_last || options->trace_calls)
		return;
	take_problem(session, report(session));
}

/* Ends the session as @end. A command is asked to end first by signal @number; 0: it was already.
 */
static void stop(struct ml_session *session, enum ml_session_end end, int number)
{
	uint64_t asked_ns = session->deadline_ns - COMMAND_GRACE_NS;

	if (session->command)
		ml_command_peek(session->command);
	if (!session->command || session->command->has_ended) {
		session->end = end;
	} else if (!session->deadline_ns) {
		session->deadline_ns = ml_monotonic_ns() + COMMAND_GRACE_NS;
		if (number)
			kill(ml_command_pid(session->command), number);
	} else if (ml_monotonic_ns() - asked_ns > ML_NS_PER_SECOND / 2) {
		session->end = end; /* asked again: no more patience */
	}
}

/* Ctrl+C goes to the whole foreground group, and only the kernel sends with SI_KERNEL. */
static void on_stop_signal(struct ml_session *session, const struct signalfd_siginfo *info)
{
	stop(session, ML_SESSION_SIGNAL, info->ssi_code == SI_KERNEL ? 0 : (int)info->ssi_signo);
}

static void set_mark(struct ml_session *session)
{
	if (session->options->trace_calls)
		ml_note("no mark is set: --trace makes no reports");
	else
		take_problem(session, ml_reporter_mark(&session->reporter));
}

static void on_signal(struct ml_session *session)
{
	struct signalfd_siginfo info;

	while (read(session->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGUSR1) {
			set_mark(session);
			continue;
		}
		if (info.ssi_signo != SIGCHLD) {
			on_stop_signal(session, &info);
			continue;
		}
		if (session->watches_end)
			on_command_stop(session);
		if (session->command)
			ml_command_peek(session->command);
		if (session->follow)
			ml_follow_dispatch(session->follow);
	}
}

static void on_tracer(struct ml_session *session)
{
	ml_session_read_tracer(session);
	if (ml_monotonic_ns() - session->last_look_ns >= LOOK_EVERY_NS)
		look_at_targets(session);
}

static void on_live(struct ml_session *session)
{
	switch (ml_live_dispatch(session->live)) {
	case ML_LIVE_QUIT:
		stop(session, ML_SESSION_QUIT, SIGINT);
		break;
	case ML_LIVE_MARK:
		set_mark(session);
		break;
	case ML_LIVE_NOTHING:
		break;
	}
}

static void on_look(struct ml_session *session)
{
	uint64_t expirations;

	if (read(session->look_fd, &expirations, sizeof(expirations)) > 0 && session->look)
		session->look(session->look_context);
}

static void handle(struct ml_session *session, enum source source)
{
	switch (source) {
	case SOURCE_TIMER:
		on_timer(session);
		break;
	case SOURCE_SIGNAL:
		on_signal(session);
		break;
	case SOURCE_TRACER:
		on_tracer(session);
		break;
	case SOURCE_PROCESS:
		reap(session);
		break;
	case SOURCE_LIVE:
		on_live(session);
		break;
	case SOURCE_LOOK:
		on_look(session);
		break;
	}
}

/* Ends that no event announces: the targets are gone, or the command's time is over. */
static void check_end(struct ml_session *session)
{
	bool had_targets = session->targets.list.count > 0;

	if (session->end)
		return;
	if (session->deadline_ns &&
	    (session->command->has_ended || ml_monotonic_ns() >= session->deadline_ns))
		session->end = ML_SESSION_SIGNAL;
	else if (had_targets && !ml_targets_alive(&session->targets))
		session->end = ML_SESSION_TARGET;
}

static int wait_ms(const struct ml_session *session)
{
	uint64_t now_ns = ml_monotonic_ns();

	if (!session->deadline_ns)
		return session->options->container ? (int)(ML_SESSION_MEMBERS_NS / ML_NS_PER_MS)
						   : -1;
	return session->deadline_ns > now_ns
		       ? (int)((session->deadline_ns - now_ns) / ML_NS_PER_MS) + 1
		       : 0;
}

static void loop(struct ml_session *session)
{
	while (!session->end && !session->problem) {
		struct epoll_event events[16];
		int count = epoll_wait(session->epoll_fd, events, 16, wait_ms(session));

		if (count < 0 && errno != EINTR) {
			session->problem = ml_error_errno(errno, "cannot wait for events");
			return;
		}
		for (int i = 0; i < count && !session->end; i++)
			handle(session, (enum source)events[i].data.u64);
		if (session->options->container && !session->end)
			ml_session_look_for_members(session);
		check_end(session);
	}
}

static struct ml_error *start_timer(struct ml_session *session)
{
	uint64_t first_ns = ml_monotonic_ns() + session->options->interval_ns;
	uint64_t every_ns = session->options->interval_ns;
	/* Absolute: a report that takes long does not shift those behind it. */
	struct itimerspec timer = {
		.it_value = {(time_t)(first_ns / ML_NS_PER_SECOND),
			     (long)(first_ns % ML_NS_PER_SECOND)},
		.it_interval = {(time_t)(every_ns / ML_NS_PER_SECOND),
				(long)(every_ns % ML_NS_PER_SECOND)},
	};

	const struct itimerspec look = {{ML_SESSION_LOOK_NS / ML_NS_PER_SECOND, 0},
					{ML_SESSION_LOOK_NS / ML_NS_PER_SECOND, 0}};

	if (timerfd_settime(session->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL) < 0 ||
	    timerfd_settime(session->look_fd, 0, &look, NULL) < 0)
		return ml_error_errno(errno, "cannot set the timer");
	return NULL;
}

/* Why the last report is the last. */
static char *end_reason(const struct ml_session *session)
{
	const struct ml_command *command = session->command;
	struct ml_strbuf reason = {0};

	if (session->end == ML_SESSION_TARGET || (command && command->has_ended)) {
		ml_strbuf_puts(&reason, "the target ended");
		if (command && command->has_ended) {
			ml_strbuf_puts(&reason, " (");
			ml_command_describe_end(command, &reason);
			ml_strbuf_putc(&reason, ')');
		}
	}
	return ml_strbuf_take(&reason);
}

/* From here to close_live() the terminal is the view's. */
static struct ml_error *open_live(struct ml_session *session)
{
	bool use_colour =
		ml_output_uses_colour(&(struct ml_output){STDOUT_FILENO, "standard output", true},
				      session->options->color);
	struct ml_error *error = ml_live_open(use_colour, &session->live);

	if (error)
		return error;
	error = watch(session, ml_live_fd(session->live), SOURCE_LIVE);
	return error ? error : report(session);
}

static void close_live(struct ml_session *session)
{
	ml_live_close(session->live);
	session->live = NULL;
}

/* Following first: the agent is taken out by ptrace, too. */
static void detach(struct ml_session *session)
{
	ml_follow_stop(session->follow);
	session->follow = NULL;
	session->tracer->ops->detach(session->tracer);
}

static struct ml_error *last_report(struct ml_session *session)
{
	/* What the target had when it ended of its own accord it can never free any more, however
	 * young it is; --older given in so many words stands. */
	bool all_ages = session->end == ML_SESSION_TARGET &&
			!ml_options_has(session->options, ML_OPTION_OLDER);
	ML_FREE_CLEANUP char *reason = end_reason(session);
	struct ml_moment moment = {.is_final = true, .end_reason = *reason ? reason : NULL};
	struct ml_error *error;

	ml_session_count_missed(session, true);
	error = ml_reporter_collect(&session->reporter, all_ages);
	/* The target must not wait for symbols to be looked up. */
	detach(session);
	return error ? error : ml_reporter_write(&session->reporter, &moment);
}

/* What makes the lines fewer than the calls. */
static struct ml_error *note_lost_calls(struct ml_session *session)
{
	static const enum ml_counter losses[] = {
		ML_COUNTER_CALL_EVENTS_LOST,     ML_COUNTER_CALLS_MISSED,
		ML_COUNTER_RETURNS_LOST,         ML_COUNTER_TASK_STATE_LOST,
		ML_COUNTER_FUNCTIONS_NOT_PROBED,
	};
	const struct ml_snapshot_filter nothing = {0};
	struct ml_snapshot snapshot = {0};
	struct ml_error *error =
		session->tracer->ops->snapshot(session->tracer, &nothing, &snapshot);

	for (size_t i = 0; !error && i < sizeof(losses) / sizeof(losses[0]); i++) {
		ML_STRBUF_CLEANUP struct ml_strbuf text = {0};

		if (!snapshot.counters[losses[i]])
			continue;
		ml_report_add_caveat(&text, losses[i], snapshot.counters[losses[i]]);
		ml_note("%s", ml_strbuf_text(&text));
	}
	ml_snapshot_deinit(&snapshot);
	return error;
}

/* The end of --trace: the calls still on their way, and totals beside the lines. */
static struct ml_error *last_calls(struct ml_session *session)
{
	struct ml_call_printer *calls = &session->calls;
	struct ml_error *error = NULL;
	uint64_t before;

	detach(session);
	/* A dispatch takes a part of them. */
	do {
		before = calls->allocs + calls->frees;
		session->tracer->ops->dispatch(session->tracer, ml_call_printer_add, calls);
		error = ml_call_printer_flush(calls, session->output);
	} while (!error && calls->allocs + calls->frees != before);
	if (error)
		return error;
	ml_note("%" PRIu64 " allocations of %" PRIu64 " bytes, %" PRIu64 " frees", calls->allocs,
		calls->alloc_bytes, calls->frees);
	return note_lost_calls(session);
}

struct ml_error *ml_session_run(struct ml_session *session)
{
	session->began_ticks = ml_proc_now_ticks();
	ml_session_read_tracer(session);
	take_problem(session, start_timer(session));
	if (session->options->trace_calls)
		take_problem(session, ml_call_printer_flush(&session->calls, session->output));
	if (session->options->live)
		take_problem(session, open_live(session));
	check_end(session);
	loop(session);
	close_live(session);
	if (!session->problem && session->end != ML_SESSION_READER) {
		if (session->end == ML_SESSION_SIGNAL)
			ml_signals_let_second_end();
		ml_targets_note_problems(&session->targets, session->follow);
		take_problem(session, session->options->trace_calls ? last_calls(session)
								    : last_report(session));
	}
	detach(session);

	struct ml_error *problem = session->problem;

	session->problem = NULL;
	return problem;
}

void ml_session_deinit(struct ml_session *session)
{
	close_live(session);
	detach(session);
	ml_reporter_deinit(&session->reporter);
	ml_births_close(session->births);
	session->tracer->ops->destroy(session->tracer);
	ml_targets_deinit(&session->targets);
	ml_call_printer_deinit(&session->calls);
	ml_u64map_free(&session->members_seen);
	ml_members_deinit(&session->members);
	ml_lost_blocks_deinit(&session->lost);
	ml_error_free(session->problem);
	ml_fd_close(&session->signal_fd);
	ml_fd_close(&session->timer_fd);
	ml_fd_close(&session->look_fd);
	ml_fd_close(&session->epoll_fd);
}
