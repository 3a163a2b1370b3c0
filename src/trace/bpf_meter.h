/* SPDX-License-Identifier: BSD-2-Clause */
/** How much CPU time probe hits take from the targets: measured now and then for a moment. */
#ifndef ML_TRACE_BPF_METER_H
#define ML_TRACE_BPF_METER_H

#include "base/error.h"
#include "trace/bpf_books.h"
#include "trace/tracer.h"
#include "trace/uprobe_link.h"

struct bpf_object;

struct ml_bpf_meter {
	const struct bpf_object *object; /**< the programs; borrowed */
	const struct ml_bpf_books *books;
	double trap_ns;  /**< what one trap into the kernel takes; < 0: unknown */
	double event_ns; /**< what one probe hit costs, by the last measurement; < 0: unknown */
	double cost_s;   /**< of the events counted, by what they cost at the time */
	uint64_t events; /**< counted in cost_s */
};

/** Measures what a trap takes by probes of @p kind on ourselves; an error leaves it unknown. */
struct ml_error *ml_bpf_meter_init(struct ml_bpf_meter *meter, const struct bpf_object *object,
				   const struct ml_bpf_books *books, enum ml_link_kind kind);

/** What the events so far have cost. Takes 10 ms unless @p is_idle: no process is there to hit
 * probes. */
void ml_bpf_meter_read(struct ml_bpf_meter *meter, bool is_idle, struct ml_tracer_cost *out);

#endif
