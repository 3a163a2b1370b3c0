/* SPDX-License-Identifier: BSD-2-Clause */
/** The kernel's programs first, and the agent when they cost too much: one tracer to whoever asks.
 */
#include "base/file.h"
#include "base/hash_seed.h"
#include "base/u64map.h"
#include "trace/takeover.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

/* How often it is tried to move a process that cannot be let go just then. */
#define MOVE_ATTEMPTS 100
#define MOVE_PAUSE_US 500

/* How long a move waits for the kernel to have taken its probes out: a second. */
#define SETTLE_LOOKS   50
#define SETTLE_LOOK_MS 20

struct moving_tracer {
	struct ml_tracer tracer;
	struct ml_tracer *bpf;
	struct ml_tracer *agent;     /* NULL before it moves */
	ML_ARRAY(pid_t) pids;        /* the agent's */
	struct ml_u64map by_content; /* hash of a stack of those that moved → its id, 0: several */
	struct ml_u64map ids;        /* of the agent's stacks → of the same stack here */
	int epoll_fd;
};

static struct moving_tracer *self(struct ml_tracer *tracer)
{
	return (struct moving_tracer *)tracer;
}

static bool is_agents(const struct moving_tracer *moving, pid_t pid)
{
	ml_array_each (it, &moving->pids)
		if (*it == pid)
			return true;
	return false;
}

/* Who traces @pid. */
static struct ml_tracer *tracer_of(const struct moving_tracer *moving, pid_t pid)
{
	return is_agents(moving, pid) ? moving->agent : moving->bpf;
}

/* ---- stacks -----------------------------------------------------------------------------------
 */

/* FNV-1a over 64-bit words, with the bits mixed. The address in a Python frame is the instruction;
 * in one of Java the line, too, tells it from others. */
static uint64_t hash_of(const struct ml_stack *stack)
{
	uint64_t hash = 0xcbf29ce484222325ull ^ (uint64_t)stack->pid;

	for (uint32_t i = 0; i < stack->count; i++) {
		const struct ml_stack_frame *frame = &stack->frames[i];
		uint64_t line = frame->name ? (uint64_t)frame->name->line : 0;

		hash = ml_hash_word(hash, frame->ip ^ line << 47);
		hash ^= hash >> 29;
	}
	return hash;
}

static void learn_stack(void *context, uint64_t id, const struct ml_stack_record *record)
{
	struct moving_tracer *moving = context;
	const struct ml_stack *stack = moving->bpf->ops->stack(moving->bpf, id);
	uint64_t *known;
	bool is_new;

	if (!stack)
		return;
	known = ml_u64map_put(&moving->by_content, hash_of(stack), &is_new);
	/* They differ in something that is not in their frames. */
	*known = is_new ? id : 0;
}

/* The id under which a site of the agent's is shown: that it had before, if it had one. */
static uint64_t shown_id(struct moving_tracer *moving, uint64_t id)
{
	bool is_new;
	uint64_t *shown = ml_u64map_put(&moving->ids, id, &is_new);
	const struct ml_stack *stack;

	if (!is_new)
		return *shown;
	*shown = id;
	stack = moving->agent->ops->stack(moving->agent, id);
	if (stack) {
		const uint64_t *known = ml_u64map_get(&moving->by_content, hash_of(stack));

		if (known && *known)
			*shown = *known;
	}
	return *shown;
}

static const struct ml_stack *moving_stack(struct ml_tracer *base, uint64_t id)
{
	struct moving_tracer *moving = self(base);
	const struct ml_stack *stack =
		moving->agent ? moving->agent->ops->stack(moving->agent, id) : NULL;

	return stack ? stack : moving->bpf->ops->stack(moving->bpf, id);
}

/* ---- snapshots --------------------------------------------------------------------------------
 */

static void add_cohorts(struct ml_snapshot *snapshot, const struct ml_snapshot *more,
			struct ml_site_books *site, uint64_t number)
{
	const struct ml_site_cohorts *from;
	struct ml_site_cohorts *to;

	if (!number)
		return;
	if (!site->cohorts) {
		*ml_array_push(&snapshot->cohorts) = (struct ml_site_cohorts){0};
		site->cohorts = snapshot->cohorts.count;
	}
	from = &more->cohorts.items[number - 1];
	to = &snapshot->cohorts.items[site->cohorts - 1];
	for (size_t i = 0; i < ML_COHORTS; i++) {
		to->bytes[i] += from->bytes[i];
		to->count[i] += from->count[i];
	}
}

static void add_site(struct ml_snapshot *snapshot, struct ml_u64map *index,
		     const struct ml_snapshot *more, const struct ml_site_books *add, uint64_t id)
{
	bool is_new;
	uint64_t *at = ml_u64map_put(index, id, &is_new);
	struct ml_site_books *site;

	if (is_new) {
		*at = snapshot->sites.count;
		*ml_array_push(&snapshot->sites) = (struct ml_site_books){.stack = id};
	}
	site = &snapshot->sites.items[*at];
	site->allocs += add->allocs;
	site->frees += add->frees;
	site->alloc_bytes += add->alloc_bytes;
	site->free_bytes += add->free_bytes;
	site->live_bytes += add->live_bytes;
	site->live_count += add->live_count;
	site->shown_bytes += add->shown_bytes;
	site->shown_count += add->shown_count;
	if (add->oldest_born_ns &&
	    (!site->oldest_born_ns || add->oldest_born_ns < site->oldest_born_ns))
		site->oldest_born_ns = add->oldest_born_ns;
	if (add->newest_born_ns > site->newest_born_ns)
		site->newest_born_ns = add->newest_born_ns;
	add_cohorts(snapshot, more, site, add->cohorts);
}

/* Adds the agent's books to the kernel's. */
static void add_books(struct moving_tracer *moving, struct ml_snapshot *snapshot,
		      const struct ml_snapshot *more)
{
	struct ml_u64map index = {0};

	for (size_t i = 0; i < snapshot->sites.count; i++)
		*ml_u64map_put(&index, snapshot->sites.items[i].stack, NULL) = i;
	ml_array_each (site, &more->sites)
		add_site(snapshot, &index, more, site, shown_id(moving, site->stack));
	ml_u64map_free(&index);
	ml_array_each (block, &more->blocks) {
		struct ml_block *added = ml_array_push(&snapshot->blocks);

		*added = *block;
		added->stack = shown_id(moving, block->stack);
	}
	for (size_t i = 0; i < ML_COUNTER_COUNT; i++)
		snapshot->counters[i] += more->counters[i];
	snapshot->time_ns = more->time_ns;
	snapshot->allocs += more->allocs;
	snapshot->frees += more->frees;
	snapshot->untracked_frees += more->untracked_frees;
}

static struct ml_error *moving_snapshot(struct ml_tracer *base,
					const struct ml_snapshot_filter *filter,
					struct ml_snapshot *out)
{
	struct moving_tracer *moving = self(base);
	struct ml_snapshot more = {0};
	struct ml_error *error = moving->bpf->ops->snapshot(moving->bpf, filter, out);

	if (error || !moving->agent)
		return error;
	error = moving->agent->ops->snapshot(moving->agent, filter, &more);
	if (!error)
		add_books(moving, out, &more);
	ml_snapshot_deinit(&more);
	return error;
}

/* ---- processes --------------------------------------------------------------------------------
 */

/* Of one that is new when the others have moved: what cannot have the agent gets probes. */
static struct ml_error *moving_add_process(struct ml_tracer *base, struct ml_process *process)
{
	struct moving_tracer *moving = self(base);
	pid_t pid = ml_process_pid(process);
	struct ml_error *error;

	if (is_agents(moving, pid))
		return moving->agent->ops->add_process(moving->agent, process);
	if (!moving->agent)
		return moving->bpf->ops->add_process(moving->bpf, process);
	/* It may have kept probes over an exec, and had no allocator when the others moved. */
	ml_bpf_tracer_drop(moving->bpf, pid);
	error = moving->agent->ops->add_process(moving->agent, process);
	if (!error) {
		*ml_array_push(&moving->pids) = pid;
		return NULL;
	}
	moving->agent->ops->remove_process(moving->agent, pid, false);
	if (ml_error_code(error) == ENOENT)
		return error; /* no allocator yet: there is nothing to probe, either */
	ml_error_free(error);
	return moving->bpf->ops->add_process(moving->bpf, process);
}

static struct ml_error *moving_refresh_process(struct ml_tracer *base, pid_t pid)
{
	struct ml_tracer *tracer = tracer_of(self(base), pid);

	return tracer->ops->refresh_process(tracer, pid);
}

static void moving_remove_process(struct ml_tracer *base, pid_t pid, bool keep)
{
	struct moving_tracer *moving = self(base);

	if (is_agents(moving, pid))
		moving->agent->ops->remove_process(moving->agent, pid, keep);
	/* It has what was allocated before the move. */
	moving->bpf->ops->remove_process(moving->bpf, pid, keep);
	for (size_t i = 0; i < moving->pids.count; i++)
		if (moving->pids.items[i] == pid)
			moving->pids.items[i--] = moving->pids.items[--moving->pids.count];
}

static struct ml_error *moving_renew_process(struct ml_tracer *base, struct ml_process *process)
{
	struct moving_tracer *moving = self(base);

	if (!moving->agent)
		return moving->bpf->ops->renew_process(moving->bpf, process);
	moving_remove_process(base, ml_process_pid(process), false);
	ml_error_free(ml_process_refresh(process));
	return moving_add_process(base, process);
}

/* ---- the rest ---------------------------------------------------------------------------------
 */

static int moving_event_fd(struct ml_tracer *base)
{
	return self(base)->epoll_fd;
}

static void moving_dispatch(struct ml_tracer *base,
			    void (*sink)(void *context, const struct ml_traced_call *call),
			    void *context)
{
	struct moving_tracer *moving = self(base);

	moving->bpf->ops->dispatch(moving->bpf, sink, context);
	if (moving->agent)
		moving->agent->ops->dispatch(moving->agent, sink, context);
}

static void moving_cost(struct ml_tracer *base, struct ml_tracer_cost *out)
{
	struct moving_tracer *moving = self(base);
	struct ml_tracer_cost more = {0};

	moving->bpf->ops->cost(moving->bpf, out);
	if (!moving->agent)
		return;
	moving->agent->ops->cost(moving->agent, &more);
	out->events += more.events;
	out->target_cpu_s = out->target_cpu_s < 0 || more.target_cpu_s < 0
				    ? -1
				    : out->target_cpu_s + more.target_cpu_s;
}

static void moving_sample(struct ml_tracer *base, uint64_t mean_bytes)
{
	struct ml_tracer *agent = self(base)->agent;

	agent->ops->sample(agent, mean_bytes);
}

static void moving_detach(struct ml_tracer *base)
{
	struct moving_tracer *moving = self(base);

	if (moving->agent)
		moving->agent->ops->detach(moving->agent);
	moving->bpf->ops->detach(moving->bpf);
}

static void moving_destroy(struct ml_tracer *base)
{
	struct moving_tracer *moving = self(base);

	if (moving->agent)
		moving->agent->ops->destroy(moving->agent);
	moving->bpf->ops->destroy(moving->bpf);
	ml_array_free(&moving->pids);
	ml_u64map_free(&moving->by_content);
	ml_u64map_free(&moving->ids);
	ml_fd_close(&moving->epoll_fd);
	free(moving);
}

/* Before it has moved. */
static bool moving_outlives_exec(struct ml_tracer *base)
{
	return ml_tracer_outlives_exec(self(base)->bpf);
}

#define MOVING_OPS(shown, outlives, how_to_sample)                                                 \
	{                                                                                          \
		.name = (shown), .outlives_exec = (outlives), .add_process = moving_add_process,   \
		.refresh_process = moving_refresh_process, .renew_process = moving_renew_process,  \
		.remove_process = moving_remove_process, .snapshot = moving_snapshot,              \
		.stack = moving_stack, .event_fd = moving_event_fd, .dispatch = moving_dispatch,   \
		.cost = moving_cost, .sample = (how_to_sample), .detach = moving_detach,           \
		.destroy = moving_destroy,                                                         \
	}

static const struct ml_tracer_ops before_ops = MOVING_OPS("bpf", moving_outlives_exec, NULL);
static const struct ml_tracer_ops after_ops = MOVING_OPS("agent", NULL, moving_sample);

static struct ml_error *listen_to(struct moving_tracer *moving, struct ml_tracer *tracer)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (epoll_ctl(moving->epoll_fd, EPOLL_CTL_ADD, tracer->ops->event_fd(tracer), &event) < 0)
		return ml_error_errno(errno, "cannot wait for events");
	return NULL;
}

struct ml_error *ml_moving_tracer_create(struct ml_tracer *bpf, struct ml_tracer **out)
{
	struct moving_tracer *moving = ml_alloc(sizeof(*moving));
	struct ml_error *error;

	moving->tracer.ops = &before_ops;
	moving->bpf = bpf;
	moving->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	error = moving->epoll_fd < 0 ? ml_error_errno(errno, "cannot make an epoll descriptor")
				     : listen_to(moving, bpf);
	if (error)
		moving_destroy(&moving->tracer);
	else
		*out = &moving->tracer;
	return error;
}

/* ---- the move ---------------------------------------------------------------------------------
 */

struct letting_go {
	struct ml_tracer *bpf;
	pid_t pid;
};

static void let_go(void *context)
{
	const struct letting_go *letting_go = context;

	ml_bpf_tracer_let_go(letting_go->bpf, letting_go->pid);
}

static struct ml_error *move_books(struct moving_tracer *moving, pid_t pid, struct ml_move *out)
{
	ml_prior_blocks blocks = {0};
	struct ml_error *error =
		ml_bpf_tracer_give(moving->bpf, pid, &blocks, ml_agent_tracer_maps(moving->agent));

	out->blocks += blocks.count;
	out->lost += ml_agent_tracer_give(moving->agent, pid, &blocks);
	ml_bpf_tracer_each_stack(moving->bpf, pid, learn_stack, moving);
	return error;
}

static struct ml_error *move_process(struct moving_tracer *moving, struct ml_process *process,
				     struct ml_move *out)
{
	struct letting_go letting_go = {moving->bpf, ml_process_pid(process)};
	struct ml_error *error =
		ml_agent_tracer_take_over(moving->agent, process, let_go, &letting_go);

	if (error)
		return error;
	*ml_array_push(&moving->pids) = letting_go.pid;
	out->processes++;
	return move_books(moving, letting_go.pid, out);
}

static struct ml_error *begin_agent(struct moving_tracer *moving,
				    const struct ml_tracer_options *options)
{
	struct ml_error *error;

	/* There was nothing to move at the last time. */
	if (moving->agent)
		return NULL;
	error = ml_agent_tracer_create(options, &moving->agent);
	if (error)
		return error;
	error = listen_to(moving, moving->agent);
	if (error) {
		moving->agent->ops->destroy(moving->agent);
		moving->agent = NULL;
	}
	return error;
}

/* Processes that wait for the tool must not wait for all the others to have moved. */
static void look_after_others(const struct ml_tracer_options *options)
{
	if (options->meanwhile)
		options->meanwhile(options->turn_context);
}

/* One that forks all the time is seldom to be let go at once. */
static struct ml_error *move_when_ready(struct moving_tracer *moving,
					const struct ml_tracer_options *options,
					struct ml_process *process, struct ml_move *out)
{
	struct ml_error *error = move_process(moving, process, out);

	for (int i = 0; i < MOVE_ATTEMPTS && error && ml_error_code(error) == EAGAIN; i++) {
		ml_error_free(error);
		look_after_others(options);
		usleep(MOVE_PAUSE_US);
		error = move_process(moving, process, out);
	}
	look_after_others(options);
	return error;
}

static void settle(struct moving_tracer *moving, const struct ml_tracer_options *options)
{
	for (unsigned int i = 0; i < SETTLE_LOOKS; i++) {
		if (ml_bpf_tracer_settle(moving->bpf, SETTLE_LOOK_MS))
			return;
		look_after_others(options);
	}
}

struct ml_error *ml_moving_tracer_move(struct ml_tracer *base,
				       const struct ml_tracer_options *options, struct ml_move *out)
{
	struct moving_tracer *moving = self(base);
	struct ml_error *error = begin_agent(moving, options);
	struct ml_process *process;

	*out = (struct ml_move){0};
	if (error)
		return error;
	ml_bpf_tracer_prepare(moving->bpf);
	for (size_t i = 0; (process = ml_bpf_tracer_process(moving->bpf, &i));) {
		error = move_when_ready(moving, options, process, out);
		if (!error)
			continue;
		out->stayed++;
		ml_error_free(out->problem);
		out->problem = error;
	}
	settle(moving, options);
	if (out->processes)
		moving->tracer.ops = &after_ops;
	return NULL;
}
