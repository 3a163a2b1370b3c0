/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_loader.h"

#include "shared/trace_abi.h"
#include "trace/bpf_object.h"
#include "user.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>

/* Sizes of the kernel's tables. Hashes grow as they fill (only their buckets are there from the
 * start: 16 bytes an entry); the unwind tables are there whole: 32 MiB of rows, 4 MiB of pages. */
#define DEFAULT_BLOCKS (1u << 21)
#define DEFAULT_STACKS (1u << 16)
#define ROW_LIMIT      (1u << 22)
#define PAGE_LIMIT     (1u << 19)
#define UNUSED_RING    4096u

/* Without memory for these, an eighth of them is tried, then a sixty-fourth: 1.2 MiB in all. */
#define SHRINK_BITS  3
#define SHRINK_TIMES 2

/* What the programs use; for messages on kernels without. */
#define NEEDS "Linux 5.17 (bpf_loop, BPF cookies)"

static struct ml_error *choose_link(const struct ml_tracer_options *options,
				    enum ml_link_kind *kind)
{
	enum ml_link_kind best = ml_link_kind_best(), wanted = best;

	if (options->link && !ml_link_kind_named(options->link, &wanted))
		return ml_error_new(ML_ERROR_USAGE, "--link: '%s' is not session, multi or perf",
				    options->link);
	if (wanted < best)
		return ml_error_new(ML_ERROR_UNSUPPORTED, "this kernel has no %s links",
				    options->link);
	*kind = wanted;
	return NULL;
}

static void choose_programs(struct ml_user_bpf *skeleton, enum ml_link_kind kind)
{
	bool is_session = kind == ML_LINK_SESSION;
	uint32_t session = ml_link_attach_type(ML_LINK_SESSION);
	uint32_t simple = ml_link_attach_type(is_session ? ML_LINK_MULTI : kind);

	bpf_program__set_autoload(skeleton->progs.on_call, is_session);
	bpf_program__set_autoload(skeleton->progs.on_entry, !is_session);
	bpf_program__set_autoload(skeleton->progs.on_return, !is_session);
	/* Sleeping programs at perf links are of Linux 6.0; those of multi links, 6.6. */
	bpf_program__set_autoload(skeleton->progs.on_load, kind != ML_LINK_PERF);
	bpf_program__set_autoload(skeleton->progs.on_throw, kind != ML_LINK_PERF);
	bpf_program__set_expected_attach_type(skeleton->progs.on_load, simple);
	bpf_program__set_expected_attach_type(skeleton->progs.on_throw, simple);
	bpf_program__set_expected_attach_type(skeleton->progs.on_call, session);
	bpf_program__set_expected_attach_type(skeleton->progs.on_entry, simple);
	bpf_program__set_expected_attach_type(skeleton->progs.on_return, simple);
	bpf_program__set_expected_attach_type(skeleton->progs.on_free, simple);
}

static void size_tables(struct ml_bpf_loaded *loaded, const struct ml_tracer_options *options,
			unsigned int shrink)
{
	struct ml_user_bpf *skeleton = loaded->skeleton;
	uint32_t stacks = options->max_stacks ? options->max_stacks : DEFAULT_STACKS >> shrink;
	uint32_t blocks = options->max_blocks ? options->max_blocks : DEFAULT_BLOCKS >> shrink;

	loaded->row_limit = ROW_LIMIT >> shrink;
	loaded->page_limit = PAGE_LIMIT >> shrink;
	bpf_map__set_max_entries(skeleton->maps.live, blocks);
	bpf_map__set_max_entries(skeleton->maps.stacks, stacks);
	/* One more for ML_STACK_ID_NONE. */
	bpf_map__set_max_entries(skeleton->maps.sites, stacks + 1);
	bpf_map__set_max_entries(skeleton->maps.python_stacks, stacks);
	bpf_map__set_max_entries(skeleton->maps.rows, (uint32_t)loaded->row_limit);
	bpf_map__set_max_entries(skeleton->maps.pages, (uint32_t)loaded->page_limit);
	if (!options->trace_calls)
		bpf_map__set_max_entries(skeleton->maps.call_events, UNUSED_RING);
}

static struct ml_error *configure(struct ml_user_bpf *skeleton,
				  const struct ml_tracer_options *options)
{
	struct ml_trace_config config = {
		.min_size = options->min_size,
		.max_size = options->max_size ? options->max_size : UINT64_MAX,
		.sample_every = options->sample_every ? options->sample_every : 1,
		.sample_bytes = options->sample_bytes,
		.depth = options->max_depth && options->max_depth < ML_STACK_DEPTH
				 ? options->max_depth
				 : ML_STACK_DEPTH,
		.trace_calls = options->trace_calls,
	};
	uint32_t zero = 0;

	if (bpf_map_update_elem(bpf_map__fd(skeleton->maps.config), &zero, &config, BPF_ANY))
		return ml_error_errno(errno, "cannot configure the BPF programs");
	return NULL;
}

/* One try; @p is_memory is set when it failed for want of memory. */
static struct ml_error *try_load(struct ml_bpf_loaded *loaded,
				 const struct ml_tracer_options *options, unsigned int shrink,
				 bool *is_memory)
{
	loaded->skeleton = ml_user_bpf__open();
	if (!loaded->skeleton)
		return ml_bpf_error(errno, "opening the BPF programs", NEEDS);
	choose_programs(loaded->skeleton, loaded->kind);
	size_tables(loaded, options, shrink);

	struct ml_error *error = ml_bpf_load(loaded->skeleton->skeleton, NEEDS);

	*is_memory = error && ml_error_code(error) == ENOMEM;
	if (!error)
		error = configure(loaded->skeleton, options);
	if (error) {
		ml_user_bpf__destroy(loaded->skeleton);
		loaded->skeleton = NULL;
	}
	return error;
}

static void tell_shrunk(const struct ml_tracer_options *options, unsigned int shrink)
{
	char text[160];

	if (!shrink)
		return;
	snprintf(text, sizeof(text),
		 "little kernel memory to be had: tables have 1/%u of their usual size (live "
		 "blocks, "
		 "stacks, unwind rows)",
		 1u << shrink);
	ml_tracer_note(options, text);
}

struct ml_error *ml_bpf_load_user(const struct ml_tracer_options *options,
				  struct ml_bpf_loaded *out)
{
	struct ml_bpf_loaded loaded = {0};
	struct ml_error *error = choose_link(options, &loaded.kind);
	bool is_memory = false;

	if (error)
		return error;
	for (unsigned int times = 0; times <= SHRINK_TIMES; times++) {
		unsigned int shrink = times * SHRINK_BITS;

		ml_error_free(error);
		error = try_load(&loaded, options, shrink, &is_memory);
		if (!error) {
			tell_shrunk(options, shrink);
			*out = loaded;
			return NULL;
		}
		if (!is_memory)
			break;
	}
	return error;
}
