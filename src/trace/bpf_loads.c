/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_loads.h"

#include "base/array.h"
#include "base/clock.h"
#include "shared/trace_abi.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

struct ml_bpf_loads {
	int heard_fd;
	struct ring_buffer *ring;
	void (*hear)(void *context, pid_t pid, bool went_on);
	void *context;
};

static int take_event(void *context, void *data, size_t size)
{
	struct ml_bpf_loads *loads = context;
	const struct ml_load_event *event = data;

	if (size < sizeof(*event))
		return 0;
	loads->hear(loads->context, (pid_t)event->tgid,
		    ml_monotonic_ns() - event->time_ns > ML_LOAD_WAIT_NS);
	/* Only a process that is listened to; without memory for it the loader's wait has its own
	 * limit. */
	bpf_map_update_elem(loads->heard_fd, &event->tgid, &event->time_ns, BPF_EXIST);
	return 0;
}

struct ml_error *ml_bpf_loads_open(int heard_fd, int events_fd,
				   void (*hear)(void *context, pid_t pid, bool went_on),
				   void *context, struct ml_bpf_loads **out)
{
	struct ml_bpf_loads *loads = ml_alloc(sizeof(*loads));

	loads->heard_fd = heard_fd;
	loads->hear = hear;
	loads->context = context;
	*out = loads;
	loads->ring = ring_buffer__new(events_fd, take_event, loads, NULL);
	if (!loads->ring)
		return ml_error_errno(errno, "cannot map the ring of loaded libraries");
	return NULL;
}

void ml_bpf_loads_close(struct ml_bpf_loads *loads)
{
	if (!loads)
		return;
	ring_buffer__free(loads->ring);
	free(loads);
}

int ml_bpf_loads_fd(const struct ml_bpf_loads *loads)
{
	return ring_buffer__epoll_fd(loads->ring);
}

void ml_bpf_loads_listen(struct ml_bpf_loads *loads, pid_t pid)
{
	uint32_t key = (uint32_t)pid;
	uint64_t never = 0;

	bpf_map_update_elem(loads->heard_fd, &key, &never, BPF_NOEXIST);
}

void ml_bpf_loads_dispatch(struct ml_bpf_loads *loads)
{
	ring_buffer__consume(loads->ring);
}
