/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The Python parts of stacks, from the kernel's table until the stack is put together. They are
 * named as soon as the kernel tells of them: code objects are freed, and processes end.
 */
#ifndef ML_TRACE_BPF_PYTHON_H
#define ML_TRACE_BPF_PYTHON_H

#include "base/array.h"
#include "base/error.h"
#include "shared/trace_abi.h"
#include "trace/bpf_process.h"
#include "trace/python_stack.h"

#include <stdint.h>

struct ml_bpf_python;

struct ml_stack_ids {
	uint64_t *items;
	size_t count, capacity;
};

/**
 * @p stacks_fd is the table (stack id → struct ml_python_record), @p events_fd the ring of struct
 * ml_name_event; both borrowed. @p hear is called for each event by ml_bpf_python_dispatch().
 */
struct ml_error *ml_bpf_python_open(int stacks_fd, int events_fd,
				    void (*hear)(void *context, const struct ml_name_event *event),
				    void *context, struct ml_bpf_python **out);
/** NULL is fine. */
void ml_bpf_python_close(struct ml_bpf_python *python);

/** A descriptor for epoll that says when there are events. Borrowed. */
int ml_bpf_python_fd(const struct ml_bpf_python *python);
void ml_bpf_python_dispatch(struct ml_bpf_python *python);

/** Names the functions of stack @p id of @p process and keeps them; nothing when it has none. */
void ml_bpf_python_name(struct ml_bpf_python *python, struct ml_bpf_process *process, uint64_t id);

/** The functions of stack @p id, named now if they were not yet; NULL for none. free() it. */
struct ml_python_stack *ml_bpf_python_take(struct ml_bpf_python *python,
					   struct ml_bpf_process *process, uint64_t id);

/** The stacks of which something is in the kernel's table or kept here. */
void ml_bpf_python_list(const struct ml_bpf_python *python, struct ml_stack_ids *out);

/** Stack @p id is put together: nothing of it is needed any more. */
void ml_bpf_python_forget(struct ml_bpf_python *python, uint64_t id);

#endif
