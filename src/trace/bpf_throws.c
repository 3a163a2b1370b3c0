/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_throws.h"

#include "base/array.h"
#include "base/file.h"
#include "base/thread.h"
#include "shared/trace_abi.h"
#include "trace/tracer.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

struct ml_bpf_throws {
	const struct ml_tracer_options *options;
	int program_fd, events_fd, mended_fd; /* borrowed */
	bool is_begun, has_thread;
	struct ring_buffer *ring;
	int over_fd; /* readable when the thread is to end */
	pthread_t thread;
};

struct ml_bpf_throws *ml_bpf_throws_create(const struct ml_tracer_options *options, int program_fd,
					   int events_fd, int mended_fd)
{
	struct ml_bpf_throws *throws = ml_alloc(sizeof(*throws));

	throws->options = options;
	throws->program_fd = program_fd;
	throws->events_fd = events_fd;
	throws->mended_fd = mended_fd;
	throws->over_fd = -1;
	return throws;
}

/* ---- the thread -------------------------------------------------------------------------------
 */

static int mend(void *context, void *data, size_t size)
{
	struct ml_bpf_throws *throws = context;
	struct ml_throw_event *event = data;

	if (size < sizeof(*event))
		return 0;
	for (size_t i = 0; i < ML_THROW_WORDS; i++) {
		struct ml_throw_word *word = &event->word[i];
		const struct iovec here = {&word->address, sizeof(word->address)};
		const struct iovec there = {(void *)(uintptr_t)word->place, sizeof(word->address)};

		if (word->place)
			process_vm_writev((pid_t)event->tgid, &here, 1, &there, 1, 0);
	}
	bpf_map_update_elem(throws->mended_fd, &event->tid, &event->time_ns, BPF_ANY);
	return 0;
}

/* A thread that throws waits for us, and is not to wait for a report that is written. Those that
 * wait keep their CPUs busy: we must not wait for one, where that is permitted. */
static void *mend_all(void *context)
{
	const struct sched_param first = {.sched_priority = 1};
	struct ml_bpf_throws *throws = context;
	struct pollfd news[] = {{.fd = ring_buffer__epoll_fd(throws->ring), .events = POLLIN},
				{.fd = throws->over_fd, .events = POLLIN}};

	sched_setscheduler(0, SCHED_FIFO, &first);
	while (!news[1].revents)
		if (poll(news, 2, -1) > 0 && news[0].revents)
			ring_buffer__consume(throws->ring);
	return NULL;
}

static struct ml_error *start_thread(struct ml_bpf_throws *throws)
{
	struct ml_error *error = ml_thread_start(&throws->thread, mend_all, throws);

	throws->has_thread = !error;
	return error;
}

static struct ml_error *begin(struct ml_bpf_throws *throws)
{
	if (throws->program_fd < 0)
		return ml_error_new(ML_ERROR_UNSUPPORTED, "that needs the links of Linux 6.6");
	throws->over_fd = eventfd(0, EFD_CLOEXEC);
	if (throws->over_fd < 0)
		return ml_error_errno(errno, "cannot make an event descriptor");
	throws->ring = ring_buffer__new(throws->events_fd, mend, throws, NULL);
	if (!throws->ring)
		return ml_error_errno(errno, "cannot map the ring of exceptions");
	return start_thread(throws);
}

int ml_bpf_throws_program(struct ml_bpf_throws *throws)
{
	struct ml_error *error = throws->is_begun ? NULL : begin(throws);

	throws->is_begun = true;
	if (error)
		error = ml_error_wrap(error, "an exception that operator new throws would end the "
					     "program (with --backend agent it does not)");
	if (error)
		ml_tracer_note(throws->options, ml_error_message(error));
	ml_error_free(error);
	return throws->has_thread ? throws->program_fd : -1;
}

void ml_bpf_throws_destroy(struct ml_bpf_throws *throws)
{
	if (!throws)
		return;
	if (throws->has_thread && !eventfd_write(throws->over_fd, 1))
		pthread_join(throws->thread, NULL);
	ring_buffer__free(throws->ring);
	ml_fd_close(&throws->over_fd);
	free(throws);
}
