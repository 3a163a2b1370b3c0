/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_profile.h"

#include "base/array.h"
#include "base/clock.h"
#include "trace/perf_rings.h"

#include <asm/perf_regs.h>

/* Time of a CPU between two looks. An odd number, not to fall in step with what the target does. */
#define PERIOD_NS 997000u

/* How long looks are taken at a time; always at first, and one time of how many later: an idle CPU
 * is woken by a look. */
#define WINDOW_NS   (190 * ML_NS_PER_MS)
#define FIRST_TICKS 25
#define LATER_EVERY 5

/* Of what was found before so much is kept at each tick that is looked at: about ten count. */
#define KEPT_SHARE 0.9
/* So many looks must have found the agent for the figure to be within some 20 %, or so many calls
 * must have been made without. */
#define LOOKS_MIN  25
#define EVENTS_MIN 10000000

struct profiled {
	pid_t pid;
	const struct ml_agent_header *header;
};

struct ml_agent_profile {
	struct ml_perf_rings *rings;
	ML_ARRAY(struct profiled) processes;
	unsigned int ticks;
	uint64_t tick_ns; /* when the last one was */
	bool is_on;
	uint64_t begin_events; /* when it was switched on */
	uint64_t found;        /* looks that found an agent since then */
	double looks, events;  /* of the ticks before, the older the less */
};

/* A sample as we ask for it (perf_event_open(2)). */
struct sample {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t abi; /* 0: a thread of the kernel, without what follows */
	uint64_t ip;  /* in user space, also while the kernel works for it */
};

struct ml_error *ml_agent_profile_open(struct ml_agent_profile **out)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = PERIOD_NS,
		.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_REGS_USER,
		.sample_regs_user = 1ull << PERF_REG_X86_IP,
		.exclude_idle = 1,
		.disabled = 1,
	};
	struct ml_perf_rings *rings;
	struct ml_error *error = ml_perf_rings_open(&attr, "measure what calls take", &rings);

	if (error)
		return error;
	*out = ml_alloc(sizeof(**out));
	(*out)->rings = rings;
	return NULL;
}

void ml_agent_profile_close(struct ml_agent_profile *profile)
{
	if (!profile)
		return;
	ml_perf_rings_close(profile->rings);
	ml_array_free(&profile->processes);
	free(profile);
}

void ml_agent_profile_add(struct ml_agent_profile *profile, pid_t pid,
			  const struct ml_agent_header *header)
{
	if (profile)
		*ml_array_push(&profile->processes) = (struct profiled){pid, header};
}

void ml_agent_profile_drop(struct ml_agent_profile *profile, pid_t pid)
{
	for (size_t i = 0; profile && i < profile->processes.count; i++)
		if (profile->processes.items[i].pid == pid)
			profile->processes.items[i--] =
				profile->processes.items[--profile->processes.count];
}

static void look(void *context, const struct perf_event_header *header)
{
	const struct sample *sample = (const struct sample *)header;
	struct ml_agent_profile *profile = context;

	if (header->type != PERF_RECORD_SAMPLE || !sample->abi)
		return;
	ml_array_each (process, &profile->processes)
		if ((pid_t)sample->pid == process->pid &&
		    ml_agent_has_code(process->header, sample->ip))
			profile->found++;
}

static void switch_on(struct ml_agent_profile *profile, uint64_t events)
{
	profile->is_on = true;
	profile->begin_events = events;
	profile->found = 0;
	ml_perf_rings_enable(profile->rings, true);
}

static void switch_off(struct ml_agent_profile *profile, uint64_t events)
{
	ml_perf_rings_enable(profile->rings, false);
	ml_perf_rings_read(profile->rings, look, profile);
	profile->is_on = false;
	/* Those of a process that ended may be missing. */
	if (events <= profile->begin_events)
		return;
	profile->looks = profile->looks * KEPT_SHARE + (double)profile->found;
	profile->events = profile->events * KEPT_SHARE + (double)(events - profile->begin_events);
}

void ml_agent_profile_tick(struct ml_agent_profile *profile, uint64_t events)
{
	uint64_t now_ns = ml_monotonic_ns();

	if (!profile || now_ns - profile->tick_ns < WINDOW_NS)
		return;
	profile->tick_ns = now_ns;
	profile->ticks++;
	if (profile->is_on)
		switch_off(profile, events);
	if (profile->processes.count &&
	    (profile->ticks < FIRST_TICKS || profile->ticks % LATER_EVERY == 0))
		switch_on(profile, events);
}

void ml_agent_profile_begin_anew(struct ml_agent_profile *profile)
{
	if (!profile)
		return;
	profile->ticks = 0;
	profile->looks = profile->events = 0;
}

double ml_agent_profile_call_ns(const struct ml_agent_profile *profile)
{
	if (!profile || profile->events < 1 ||
	    (profile->looks < LOOKS_MIN && profile->events < EVENTS_MIN))
		return -1;
	return profile->looks * PERIOD_NS / profile->events;
}
