/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_calls.h"

#include "base/array.h"
#include "trace/bpf_object.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ml_bpf_calls {
	struct ring_buffer *ring; /* owned */
	const char *const *functions;
	size_t function_count;
	void (*sink)(void *context, const struct ml_traced_call *call); /* during a dispatch */
	void *context;
	unsigned int left; /* events this dispatch may still take */
};

/* Events of one dispatch: libbpf goes on while there are any, for ever when the writers are faster
 * than the sink, and the tool has more to do. The descriptor stays readable for the rest. */
#define DISPATCH_EVENTS 16384u

static const char *role_name(uint32_t role)
{
	static const char *const names[ML_ROLE_COUNT] = {
		[ML_ROLE_MALLOC] = "malloc",
		[ML_ROLE_CALLOC] = "calloc",
		[ML_ROLE_REALLOC] = "realloc",
		[ML_ROLE_REALLOCARRAY] = "reallocarray",
		[ML_ROLE_POSIX_MEMALIGN] = "posix_memalign",
		[ML_ROLE_ALIGNED_ALLOC] = "aligned_alloc",
		[ML_ROLE_FREE] = "free",
		[ML_ROLE_MMAP] = "mmap",
		[ML_ROLE_MUNMAP] = "munmap",
		[ML_ROLE_MREMAP] = "mremap",
	};

	return role < ML_ROLE_COUNT && names[role] ? names[role] : "?";
}

static int take_event(void *context, void *data, size_t size)
{
	struct ml_bpf_calls *calls = context;
	struct ml_call_event event;
	char comm[sizeof(event.comm) + 1] = "";

	if (size < sizeof(event) || !calls->sink)
		return 0;
	memcpy(&event, data, sizeof(event));
	memcpy(comm, event.comm, sizeof(event.comm));

	const char *name = event.function < calls->function_count ? calls->functions[event.function]
								  : role_name(event.role);
	struct ml_traced_call call = {
		.time_ns = event.time_ns,
		.pid = (pid_t)event.tgid,
		.tid = (pid_t)event.tid,
		.comm = comm,
		.function = name,
		.role = (enum ml_role)event.role,
		.size = event.size,
		.address = event.address,
		.old_address = event.old_address,
	};

	calls->sink(calls->context, &call);
	/* A negative answer ends the reading, after this event. */
	return --calls->left ? 0 : -EAGAIN;
}

struct ml_error *ml_bpf_calls_open(int map_fd, const char *const *functions, size_t count,
				   struct ml_bpf_calls **out)
{
	struct ml_bpf_calls *calls = ml_alloc(sizeof(*calls));

	calls->ring = ring_buffer__new(map_fd, take_event, calls, NULL);
	if (!calls->ring) {
		int err = errno;

		free(calls);
		return ml_bpf_error(err, "opening the ring buffer of calls", "Linux 5.8");
	}
	ml_bpf_calls_set_functions(calls, functions, count);
	*out = calls;
	return NULL;
}

void ml_bpf_calls_set_functions(struct ml_bpf_calls *calls, const char *const *functions,
				size_t count)
{
	calls->functions = functions;
	calls->function_count = count;
}

int ml_bpf_calls_fd(const struct ml_bpf_calls *calls)
{
	return ring_buffer__epoll_fd(calls->ring);
}

void ml_bpf_calls_dispatch(struct ml_bpf_calls *calls,
			   void (*sink)(void *context, const struct ml_traced_call *call),
			   void *context)
{
	calls->sink = sink;
	calls->context = context;
	calls->left = DISPATCH_EVENTS;
	ring_buffer__consume(calls->ring);
	calls->sink = NULL;
}

void ml_bpf_calls_close(struct ml_bpf_calls *calls)
{
	if (!calls)
		return;
	ring_buffer__free(calls->ring);
	free(calls);
}
