/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/**
 * The parts of the books that processes and the kernel keep alike. Include it behind the map
 * `sites`, which each program sizes and allocates in its own way.
 */
#ifndef ML_BPF_BOOKS_BPF_H
#define ML_BPF_BOOKS_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ML_SLOT_COUNT);
	__type(key, uint32_t);
	__type(value, uint64_t);
} counters SEC(".maps");

/* Adds one to @slot: an enum ml_counter or enum ml_books_slot. */
static __always_inline void count(uint32_t slot)
{
	uint64_t *value = bpf_map_lookup_elem(&counters, &slot);

	if (value)
		__sync_fetch_and_add(value, 1);
}

/* Books in its site that the block of @record, just taken out of the live table, is freed. */
static __always_inline void book_site_free(const struct ml_live_record *record)
{
	uint64_t id = record->stack;
	struct ml_site_record *site = bpf_map_lookup_elem(&sites, &id);

	if (!site)
		return;
	__sync_fetch_and_add(&site->frees, record->weight_count);
	__sync_fetch_and_add(&site->free_bytes, record->weight_bytes);
}

#endif
