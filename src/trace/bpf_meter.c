/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_meter.h"

#include "base/file.h"
#include "trace/bpf_cost.h"
#include "trace/trap_cost.h"

#include <unistd.h>

/* How long the cost is measured at each report. */
#define COST_WINDOW_US 10000

struct ml_error *ml_bpf_meter_init(struct ml_bpf_meter *meter, const struct bpf_object *object,
				   const struct ml_bpf_books *books, enum ml_link_kind kind)
{
	*meter = (struct ml_bpf_meter){.object = object, .books = books, .event_ns = -1};
	return ml_trap_cost_measure(kind, &meter->trap_ns);
}

static uint64_t events_so_far(const struct ml_bpf_meter *meter)
{
	uint64_t counters[ML_SLOT_COUNT];
	ML_ERROR_CLEANUP struct ml_error *error = ml_bpf_books_counters(meter->books, counters);

	return error ? 0 : counters[ML_SLOT_EVENTS];
}

/* What a probe hit costs now. The kernel's clock around each program is itself a tenth of the cost
 * in a virtual machine, so it runs for a moment only. An idle moment changes nothing. */
static void measure(struct ml_bpf_meter *meter)
{
	struct ml_bpf_cost before, after;
	ML_FD_CLEANUP int stats_fd = ml_bpf_cost_start();

	if (stats_fd < 0)
		return;
	ml_bpf_cost_read(meter->object, &before);

	uint64_t events = events_so_far(meter);

	usleep(COST_WINDOW_US);
	events = events_so_far(meter) - events;
	ml_bpf_cost_read(meter->object, &after);
	if (events)
		meter->event_ns = ((double)(after.run_ns - before.run_ns) +
				   (double)(after.runs - before.runs) * meter->trap_ns) /
				  (double)events;
}

void ml_bpf_meter_read(struct ml_bpf_meter *meter, bool is_idle, struct ml_tracer_cost *out)
{
	if (meter->trap_ns >= 0 && !is_idle)
		measure(meter);
	out->events = events_so_far(meter);
	if (meter->event_ns < 0) {
		out->target_cpu_s = out->events ? -1 : 0;
		return;
	}
	meter->cost_s += (double)(out->events - meter->events) * meter->event_ns / 1e9;
	meter->events = out->events;
	out->target_cpu_s = meter->cost_s;
}
