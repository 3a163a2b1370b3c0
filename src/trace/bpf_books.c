/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_books.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/u64map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Entries of one batch; a batch must hold at least the fullest bucket of the kernel's hash. */
#define BATCH_ENTRIES     4096u
#define BATCH_ENTRIES_MAX (1u << 20)
/* Stacks are large. */
#define STACK_BATCH_ENTRIES 512u

/* A map's keys and values, batch by batch. */
struct batch_reader {
	int fd;
	size_t key_size;
	size_t value_size; /* as user space sees it: all CPUs of a per-CPU map */
	void *keys;        /* owned */
	void *values;      /* owned */
	uint32_t capacity;
	uint32_t count; /* entries of this batch */
	uint32_t token; /* the bucket to go on at: what the kernel's hash maps use */
	bool is_started;
	bool is_ended;
};

static void batch_reserve(struct batch_reader *reader, uint32_t capacity)
{
	free(reader->keys);
	free(reader->values);
	reader->keys = ml_alloc(capacity * reader->key_size);
	reader->values = ml_alloc(capacity * reader->value_size);
	reader->capacity = capacity;
}

static void batch_deinit(struct batch_reader *reader)
{
	free(reader->keys);
	free(reader->values);
}
#define BATCH_CLEANUP __attribute__((cleanup(batch_deinit)))

/*
 * Reads the next batch; count is 0 only at the end. Hash maps have batches since Linux 5.6, older
 * than the atomics our programs are compiled to (5.12), so there is no other way to fall back to.
 */
static struct ml_error *batch_next(struct batch_reader *reader)
{
	reader->count = 0;
	while (!reader->is_ended) {
		uint32_t count = reader->capacity, next = 0;
		int err =
			bpf_map_lookup_batch(reader->fd, reader->is_started ? &reader->token : NULL,
					     &next, reader->keys, reader->values, &count, NULL);

		if (err == -ENOSPC && reader->capacity < BATCH_ENTRIES_MAX) {
			batch_reserve(reader, reader->capacity * 2);
			continue;
		}
		if (err && err != -ENOENT)
			return ml_error_errno(-err, "reading a BPF map");
		reader->is_started = true;
		reader->is_ended = err == -ENOENT;
		reader->token = next;
		reader->count = count;
		if (count)
			return NULL;
	}
	return NULL;
}

/* What a snapshot is put together from. */
struct assembly {
	const struct ml_snapshot_filter *filter;
	struct ml_snapshot *out;
	struct ml_u64map site_index; /* stack id → index in out->sites */
	uint64_t last_stack; /* blocks of one bucket differ, those of one site often don't */
	size_t last_index;
};

/* Whether live figures come from the blocks themselves. */
static bool reads_blocks(const struct ml_snapshot_filter *filter)
{
	return filter->want_ages || filter->want_blocks;
}

static struct ml_site_books *site_add(struct assembly *assembly, uint64_t stack)
{
	struct ml_snapshot *out = assembly->out;
	struct ml_site_books *site = ml_array_push(&out->sites);

	*site = (struct ml_site_books){.stack = stack};
	*ml_u64map_put(&assembly->site_index, stack, NULL) = out->sites.count - 1;
	return site;
}

static struct ml_site_books *site_of(struct assembly *assembly, uint64_t stack)
{
	struct ml_snapshot *out = assembly->out;

	if (assembly->last_stack != stack || assembly->last_index >= out->sites.count) {
		const uint64_t *index = ml_u64map_get(&assembly->site_index, stack);

		if (!index)
			return site_add(assembly, stack);
		assembly->last_stack = stack;
		assembly->last_index = *index;
	}
	return &out->sites.items[assembly->last_index];
}

static struct ml_site_record sum_cpus(const struct ml_site_record *records, size_t count)
{
	struct ml_site_record sum = {0};

	for (size_t i = 0; i < count; i++) {
		sum.allocs += records[i].allocs;
		sum.frees += records[i].frees;
		sum.alloc_bytes += records[i].alloc_bytes;
		sum.free_bytes += records[i].free_bytes;
	}
	return sum;
}

static void book_site(struct assembly *assembly, uint64_t stack, struct ml_site_record record)
{
	struct ml_snapshot *out = assembly->out;

	/* Made ahead of its first use: nothing to tell. */
	if (!record.allocs && !record.frees)
		return;

	struct ml_site_books *site = site_of(assembly, stack);

	site->allocs = record.allocs;
	site->frees = record.frees;
	site->alloc_bytes = record.alloc_bytes;
	site->free_bytes = record.free_bytes;
	out->allocs += record.allocs;
	out->frees += record.frees;
	if (record.frees > record.allocs || record.free_bytes > record.alloc_bytes) {
		out->counters[ML_COUNTER_NEGATIVE_SITES]++;
		return;
	}
	if (reads_blocks(assembly->filter))
		return;
	site->live_bytes = site->shown_bytes = record.alloc_bytes - record.free_bytes;
	site->live_count = site->shown_count = record.allocs - record.frees;
}

static struct ml_error *read_sites(const struct ml_bpf_books *books, struct assembly *assembly)
{
	int cpus = books->sites_per_cpu ? libbpf_num_possible_cpus() : 1;
	BATCH_CLEANUP struct batch_reader reader = {.fd = books->sites_fd, .key_size = 8};
	struct ml_error *error;

	if (cpus < 1)
		return ml_error_errno(-cpus, "counting the CPUs");
	reader.value_size = sizeof(struct ml_site_record) * (size_t)cpus;
	batch_reserve(&reader, BATCH_ENTRIES);
	while (!(error = batch_next(&reader)) && reader.count) {
		const uint64_t *stacks = reader.keys;
		const struct ml_site_record *records = reader.values;

		for (size_t i = 0; i < reader.count; i++)
			book_site(assembly, stacks[i], sum_cpus(records + i * cpus, cpus));
	}
	return error;
}

static void book_block(void *context, const struct ml_live_key *key,
		       const struct ml_live_record *record)
{
	struct assembly *assembly = context;
	const struct ml_block block = {
		.address = key->address,
		.size = record->size,
		.stack = record->stack,
		.born_ns = record->born_ns,
		.pid = (pid_t)key->tgid,
		.tid = (pid_t)record->tid,
	};

	ml_snapshot_add_block(assembly->out, site_of(assembly, record->stack), assembly->filter,
			      &block, record->weight_bytes, record->weight_count);
}

struct ml_error *ml_bpf_books_each_block(const struct ml_bpf_books *books,
					 void (*visit)(void *context, const struct ml_live_key *key,
						       const struct ml_live_record *record),
					 void *context)
{
	BATCH_CLEANUP struct batch_reader reader = {
		.fd = books->live_fd,
		.key_size = sizeof(struct ml_live_key),
		.value_size = sizeof(struct ml_live_record),
	};
	struct ml_error *error;

	batch_reserve(&reader, BATCH_ENTRIES);
	while (!(error = batch_next(&reader)) && reader.count) {
		const struct ml_live_key *keys = reader.keys;
		const struct ml_live_record *records = reader.values;

		for (size_t i = 0; i < reader.count; i++)
			visit(context, &keys[i], &records[i]);
	}
	return error;
}

struct ml_error *ml_bpf_books_counters(const struct ml_bpf_books *books, uint64_t *out)
{
	int cpus = books->counters_per_cpu ? libbpf_num_possible_cpus() : 1;
	ML_FREE_CLEANUP uint64_t *values = NULL;

	if (cpus < 1)
		return ml_error_errno(-cpus, "counting the CPUs");
	values = ml_alloc(sizeof(*values) * (size_t)cpus);
	for (uint32_t slot = 0; slot < ML_SLOT_COUNT; slot++) {
		int err = bpf_map_lookup_elem(books->counters_fd, &slot, values);

		if (err)
			return ml_error_errno(-err, "reading the BPF counters");
		out[slot] = 0;
		for (int cpu = 0; cpu < cpus; cpu++)
			out[slot] += values[cpu];
	}
	return NULL;
}

static struct ml_error *assemble(const struct ml_bpf_books *books, struct assembly *assembly)
{
	struct ml_snapshot *out = assembly->out;
	uint64_t counters[ML_SLOT_COUNT];
	struct ml_error *error = ml_bpf_books_counters(books, counters);

	if (error)
		return error;
	memcpy(out->counters, counters, sizeof(out->counters));
	out->untracked_frees = counters[ML_SLOT_UNTRACKED_FREES];
	/* Blocks before sites: what is allocated in between makes allocations more, not fewer than
	 * the blocks that are there. */
	if (reads_blocks(assembly->filter))
		error = ml_bpf_books_each_block(books, book_block, assembly);
	return error ? error : read_sites(books, assembly);
}

struct ml_error *ml_bpf_books_snapshot(const struct ml_bpf_books *books,
				       const struct ml_snapshot_filter *filter,
				       struct ml_snapshot *out)
{
	struct ml_snapshot fresh = {
		.time_ns = ml_monotonic_ns(),
		.has_cohorts = filter->want_ages && filter->cohorts,
	};
	struct assembly assembly = {.filter = filter, .out = &fresh};
	struct ml_error *error = assemble(books, &assembly);

	ml_u64map_free(&assembly.site_index);
	if (error) {
		ml_snapshot_deinit(&fresh);
		return ml_error_wrap(error, "reading the books");
	}
	ml_snapshot_deinit(out);
	*out = fresh;
	return NULL;
}

bool ml_bpf_books_stack(const struct ml_bpf_books *books, uint64_t id, struct ml_stack_record *out)
{
	struct ml_stack_record record;

	if (bpf_map_lookup_elem(books->stacks_fd, &id, &record) || record.count > ML_STACK_DEPTH)
		return false;
	*out = record;
	return true;
}

void ml_bpf_books_each_stack(const struct ml_bpf_books *books, pid_t pid,
			     void (*visit)(void *context, uint64_t id,
					   const struct ml_stack_record *record),
			     void *context)
{
	BATCH_CLEANUP struct batch_reader reader = {
		.fd = books->stacks_fd,
		.key_size = sizeof(uint64_t),
		.value_size = sizeof(struct ml_stack_record),
	};
	ML_ERROR_CLEANUP struct ml_error *error = NULL;

	batch_reserve(&reader, STACK_BATCH_ENTRIES);
	while (!(error = batch_next(&reader)) && reader.count) {
		const uint64_t *ids = reader.keys;
		const struct ml_stack_record *records = reader.values;

		for (size_t i = 0; i < reader.count; i++)
			if ((pid_t)records[i].tgid == pid)
				visit(context, ids[i], &records[i]);
	}
}
