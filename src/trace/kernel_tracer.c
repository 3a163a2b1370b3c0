/* SPDX-License-Identifier: BSD-2-Clause */
/* The tracer of the kernel's own allocators: BPF programs at their tracepoints. */
#include "trace/tracer.h"

#include "base/array.h"
#include "base/file.h"
#include "base/u64map.h"
#include "bpf/kernel_abi.h"
#include "trace/bpf_books.h"
#include "trace/bpf_calls.h"
#include "trace/bpf_cost.h"
#include "trace/bpf_object.h"
#include "trace/kernel_code.h"
#include "trace/kernel_points.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel.skel.h"

/* Atomics that give the old value: 5.12. Ring buffers and batches are older. */
#define NEEDS          "Linux 5.12 or later with CONFIG_DEBUG_INFO_BTF=y"

#define DEFAULT_STACKS 16384u
#define DEFAULT_BLOCKS (1u << 20)
/* A block takes 120 bytes of kernel memory whether used or not; the default may take this part of
 * the machine's. */
#define BLOCK_BYTES  120u
#define MEMORY_SHARE 32u
#define CALLS_BYTES  (4u << 20)

struct kernel_tracer {
	struct ml_tracer tracer; /* first */
	const struct ml_tracer_options *options;
	struct ml_kernel_bpf *skeleton;
	struct ml_kernel_code code;
	struct ml_kernel_point_info points[ML_KERNEL_POINT_COUNT];
	struct bpf_link *links[ML_KERNEL_POINT_COUNT];
	struct ml_bpf_books books;
	struct ml_bpf_calls *calls; /* NULL without --trace */
	int stats_fd;               /* -1: the kernel does not measure */
	struct ml_u64map stacks;    /* stack id → struct ml_stack * (owned), 0 when it was lost */
};

static struct kernel_tracer *self_of(struct ml_tracer *tracer)
{
	return (struct kernel_tracer *)tracer;
}

static struct bpf_program *program_of(const struct kernel_tracer *self, enum ml_kernel_point point)
{
	const struct ml_kernel_bpf *skeleton = self->skeleton;
	struct bpf_program *const programs[] = {
#define X(name, tracepoint, words, is_alloc)                                                       \
	[ML_KERNEL_##name] = skeleton->progs.trace_##tracepoint,
		ML_KERNEL_POINTS(X)
#undef X
	};

	return programs[point];
}

static bool is_used(const struct kernel_tracer *self, enum ml_kernel_point point)
{
	bool is_percpu =
		point == ML_KERNEL_PERCPU_ALLOC_PERCPU || point == ML_KERNEL_PERCPU_FREE_PERCPU;

	return self->points[point].exists && (!is_percpu || self->options->percpu);
}

/* kmalloc and kfree are everywhere; without one of those that are asked for there is no truth. */
static struct ml_error *check_points(const struct kernel_tracer *self)
{
	static const enum ml_kernel_point needed[] = {
		ML_KERNEL_KMALLOC,         ML_KERNEL_KFREE,         ML_KERNEL_KMEM_CACHE_ALLOC,
		ML_KERNEL_KMEM_CACHE_FREE, ML_KERNEL_MM_PAGE_ALLOC, ML_KERNEL_MM_PAGE_FREE,
	};
	bool has_percpu = self->points[ML_KERNEL_PERCPU_ALLOC_PERCPU].exists &&
			  self->points[ML_KERNEL_PERCPU_FREE_PERCPU].exists;

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (!self->points[needed[i]].exists)
			return ml_error_new(ML_ERROR_UNSUPPORTED,
					    "this kernel has no tracepoint %s; it needs "
					    "CONFIG_TRACEPOINTS=y and CONFIG_BPF_EVENTS=y",
					    ml_kernel_point_names[needed[i]]);
	}
	if (self->options->percpu && !has_percpu)
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "this kernel has no tracepoints of per-CPU memory (-P); they "
				    "came with Linux 4.14");
	return NULL;
}

/* Where the allocated bytes stand among the arguments of kmalloc. */
static uint32_t kmalloc_size_at(const struct ml_kernel_point_info *info)
{
	return info->third_is_pointer ? 4 : 3;
}

static uint32_t cache_size_at(const struct ml_kernel_point_info *info)
{
	return info->third_is_pointer ? 0 : 3;
}

static uint32_t default_blocks(void)
{
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t fit = memory / MEMORY_SHARE / BLOCK_BYTES;

	return fit < DEFAULT_BLOCKS ? (uint32_t)fit : DEFAULT_BLOCKS;
}

static void prepare_skeleton(struct kernel_tracer *self)
{
	const struct ml_tracer_options *options = self->options;
	const struct ml_kernel_point_info *points = self->points;
	struct ml_kernel_bpf *skeleton = self->skeleton;
	uint32_t stacks = options->max_stacks ? options->max_stacks : DEFAULT_STACKS;
	uint32_t blocks = options->max_blocks ? options->max_blocks : default_blocks();

	for (int i = 0; i < ML_KERNEL_POINT_COUNT; i++)
		bpf_program__set_autoload(program_of(self, (enum ml_kernel_point)i),
					  is_used(self, (enum ml_kernel_point)i));
	skeleton->rodata->kmalloc_size_at = kmalloc_size_at(&points[ML_KERNEL_KMALLOC]);
	skeleton->rodata->kmalloc_node_size_at = kmalloc_size_at(&points[ML_KERNEL_KMALLOC_NODE]);
	skeleton->rodata->cache_alloc_size_at = cache_size_at(&points[ML_KERNEL_KMEM_CACHE_ALLOC]);
	skeleton->rodata->cache_alloc_node_size_at =
		cache_size_at(&points[ML_KERNEL_KMEM_CACHE_ALLOC_NODE]);
	skeleton->rodata->percpu_has_call_site =
		points[ML_KERNEL_PERCPU_ALLOC_PERCPU].argument_count >= 9;
	bpf_map__set_max_entries(skeleton->maps.stacks, stacks);
	/* One more for ML_STACK_ID_NONE. */
	bpf_map__set_max_entries(skeleton->maps.sites, stacks + 1);
	bpf_map__set_max_entries(skeleton->maps.live, blocks);
	bpf_map__set_max_entries(skeleton->maps.calls, options->trace_calls
							       ? CALLS_BYTES
							       : (uint32_t)sysconf(_SC_PAGESIZE));
}

/* Our process id outside all pid namespaces, which is what the programs see. */
static uint32_t tool_tgid(const struct kernel_tracer *self)
{
	LIBBPF_OPTS(bpf_test_run_opts, run);

	if (bpf_prog_test_run_opts(bpf_program__fd(self->skeleton->progs.learn_tool_tgid), &run))
		return (uint32_t)getpid();
	return run.retval;
}

static struct ml_error *fill_tables(struct kernel_tracer *self)
{
	const struct ml_tracer_options *options = self->options;
	uint32_t zero = 0;
	uint64_t none = ML_STACK_ID_NONE;
	struct ml_site_record empty = {0};
	struct ml_kernel_config config = {
		.common =
			{
				.min_size = options->min_size,
				.max_size = options->max_size ? options->max_size : UINT64_MAX,
				.sample_every = options->sample_every,
				.depth = options->max_depth && options->max_depth < ML_STACK_DEPTH
						 ? options->max_depth
						 : ML_STACK_DEPTH,
				.trace_calls = options->trace_calls,
			},
		.tool_tgid = tool_tgid(self),
		.missing_free = options->wa_missing_free,
		.cpu_count = (uint32_t)sysconf(_SC_NPROCESSORS_CONF),
		.page_size = (uint32_t)sysconf(_SC_PAGESIZE),
	};
	int err;

	ml_kernel_code_configure(&self->code, options->percpu, &config);
	err = bpf_map_update_elem(bpf_map__fd(self->skeleton->maps.config), &zero, &config, 0);
	if (!err)
		err = bpf_map_update_elem(self->books.sites_fd, &none, &empty, 0);
	return err ? ml_bpf_error(err, "filling the BPF tables", NULL) : NULL;
}

static struct ml_error *load(struct kernel_tracer *self)
{
	struct ml_kernel_bpf *skeleton = ml_kernel_bpf__open();
	struct ml_error *error;

	if (!skeleton)
		return ml_bpf_error(errno, "opening the BPF programs", NEEDS);
	self->skeleton = skeleton;
	prepare_skeleton(self);
	error = ml_bpf_load(skeleton->skeleton, NEEDS);
	if (error)
		return error;
	self->books = (struct ml_bpf_books){
		.sites_fd = bpf_map__fd(skeleton->maps.sites),
		.live_fd = bpf_map__fd(skeleton->maps.live),
		.stacks_fd = bpf_map__fd(skeleton->maps.stacks),
		.counters_fd = bpf_map__fd(skeleton->maps.counters),
		.counters_per_cpu = true,
	};
	error = fill_tables(self);
	if (error || !self->options->trace_calls)
		return error;
	return ml_bpf_calls_open(bpf_map__fd(skeleton->maps.calls), ml_kernel_point_words,
				 ML_KERNEL_POINT_COUNT, &self->calls);
}

/* Without kallsyms there are only more frames and pages counted twice: worth a note, not an end. */
static void read_code(struct kernel_tracer *self)
{
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_kernel_code_read("/proc/kallsyms", &self->code);
	char text[256];

	if (!error)
		return;
	snprintf(text, sizeof(text), "%s: pages of slabs are counted twice, as pages and as slabs",
		 ml_error_message(error));
	ml_tracer_note(self->options, text);
}

static struct ml_error *kernel_attach(struct ml_tracer *tracer)
{
	struct kernel_tracer *self = self_of(tracer);

	/* In the order of the enum: frees come first, so that no block's free is missed. */
	for (int i = 0; i < ML_KERNEL_POINT_COUNT; i++) {
		char what[64];

		if (!is_used(self, (enum ml_kernel_point)i) || self->links[i])
			continue;
		self->links[i] = bpf_program__attach(program_of(self, (enum ml_kernel_point)i));
		if (self->links[i])
			continue;

		int err = errno;

		snprintf(what, sizeof(what), "attaching to the tracepoint %s",
			 ml_kernel_point_names[i]);
		tracer->ops->detach(tracer);
		return ml_bpf_error(err, what, NEEDS);
	}
	return NULL;
}

static void kernel_detach(struct ml_tracer *tracer)
{
	struct kernel_tracer *self = self_of(tracer);

	/* Allocations first. */
	for (int i = ML_KERNEL_POINT_COUNT - 1; i >= 0; i--) {
		bpf_link__destroy(self->links[i]);
		self->links[i] = NULL;
	}
}

static struct ml_error *kernel_snapshot(struct ml_tracer *tracer,
					const struct ml_snapshot_filter *filter,
					struct ml_snapshot *out)
{
	struct kernel_tracer *self = self_of(tracer);
	struct ml_bpf_cost cost;
	struct ml_error *error = ml_bpf_books_snapshot(&self->books, filter, out);

	if (error)
		return error;
	ml_bpf_cost_read(self->skeleton->obj, &cost);
	out->counters[ML_COUNTER_CALLS_MISSED] += cost.missed;
	return NULL;
}

static struct ml_stack *stack_make(const struct kernel_tracer *self, uint64_t id)
{
	struct ml_stack_record record;

	if (id == ML_STACK_ID_NONE || !ml_bpf_books_stack(&self->books, id, &record))
		return NULL;

	size_t own = ml_kernel_code_own_frames(&self->code, record.ip, record.count);
	struct ml_stack *stack = ml_alloc(sizeof(*stack));

	*stack = (struct ml_stack){
		.id = id,
		.end = (enum ml_walk_end)record.end,
		.count = record.count - (uint32_t)own,
	};
	stack->frames = ml_alloc(sizeof(*stack->frames) * (stack->count ? stack->count : 1));
	for (uint32_t i = 0; i < stack->count; i++)
		stack->frames[i] = (struct ml_stack_frame){
			.ip = record.ip[own + i],
			.address = record.ip[own + i],
			.kind = ML_FRAME_KERNEL,
			.is_call = true,
		};
	return stack;
}

static const struct ml_stack *kernel_stack(struct ml_tracer *tracer, uint64_t id)
{
	struct kernel_tracer *self = self_of(tracer);
	bool is_new;
	uint64_t *known = ml_u64map_put(&self->stacks, id, &is_new);

	if (is_new)
		*known = (uint64_t)(uintptr_t)stack_make(self, id);
	return (const struct ml_stack *)(uintptr_t)*known;
}

static int kernel_event_fd(struct ml_tracer *tracer)
{
	struct kernel_tracer *self = self_of(tracer);

	return self->calls ? ml_bpf_calls_fd(self->calls) : -1;
}

static void kernel_dispatch(struct ml_tracer *tracer,
			    void (*sink)(void *context, const struct ml_traced_call *call),
			    void *context)
{
	struct kernel_tracer *self = self_of(tracer);

	if (self->calls)
		ml_bpf_calls_dispatch(self->calls, sink, context);
}

static void kernel_cost(struct ml_tracer *tracer, struct ml_tracer_cost *out)
{
	struct kernel_tracer *self = self_of(tracer);
	struct ml_bpf_cost cost;

	ml_bpf_cost_read(self->skeleton->obj, &cost);
	out->target_cpu_s = self->stats_fd < 0 ? -1 : (double)cost.run_ns / 1e9;
	out->events = cost.runs;
}

static void kernel_destroy(struct ml_tracer *tracer)
{
	struct kernel_tracer *self = self_of(tracer);
	uint64_t id, value;
	size_t cursor = 0;

	kernel_detach(tracer);
	ml_bpf_calls_close(self->calls);
	while (ml_u64map_next(&self->stacks, &cursor, &id, &value)) {
		struct ml_stack *stack = (struct ml_stack *)(uintptr_t)value;

		if (stack)
			free(stack->frames);
		free(stack);
	}
	ml_u64map_free(&self->stacks);
	ml_kernel_code_deinit(&self->code);
	ml_kernel_bpf__destroy(self->skeleton);
	ml_fd_close(&self->stats_fd);
	ml_bpf_log_stop();
	free(self);
}

static const struct ml_tracer_ops kernel_ops = {
	.name = "kernel",
	.attach_kernel = kernel_attach,
	.snapshot = kernel_snapshot,
	.stack = kernel_stack,
	.event_fd = kernel_event_fd,
	.dispatch = kernel_dispatch,
	.cost = kernel_cost,
	.detach = kernel_detach,
	.destroy = kernel_destroy,
};

static struct ml_error *prepare(struct kernel_tracer *self)
{
	struct ml_error *error = ml_bpf_support();

	if (!error)
		error = ml_kernel_points_find(self->points);
	if (!error)
		error = check_points(self);
	if (error)
		return error;
	read_code(self);
	error = load(self);
	if (!error)
		self->stats_fd = ml_bpf_cost_start();
	return error;
}

struct ml_error *ml_kernel_tracer_create(const struct ml_tracer_options *options,
					 struct ml_tracer **out)
{
	if (options->sample_bytes)
		return ml_error_new(ML_ERROR_USAGE, "--sample-bytes works on processes only; "
						    "for the kernel use --sample-rate");

	struct kernel_tracer *self = ml_alloc(sizeof(*self));

	self->tracer.ops = &kernel_ops;
	self->options = options;
	self->stats_fd = -1;
	ml_bpf_log_start(options);

	struct ml_error *error = prepare(self);

	if (error) {
		kernel_destroy(&self->tracer);
		return ml_error_wrap(error, "tracing the kernel's allocators");
	}
	*out = &self->tracer;
	return NULL;
}
