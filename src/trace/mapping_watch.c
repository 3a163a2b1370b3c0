/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/mapping_watch.h"

#include "base/array.h"
#include "trace/perf_rings.h"

struct ml_mapping_watch {
	struct ml_perf_rings *rings;
};

struct ml_error *ml_mapping_watch_open(struct ml_mapping_watch **out)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.mmap = 1, /* executable mappings only */
		.mmap2 = 1,
		.comm = 1,
		.comm_exec = 1,
		.watermark = 1,
		.wakeup_watermark = 1,
	};
	struct ml_perf_rings *rings;
	struct ml_error *error = ml_perf_rings_open(&attr, "watch for new mappings", &rings);

	if (error)
		return error;
	*out = ml_alloc(sizeof(**out));
	(*out)->rings = rings;
	return NULL;
}

void ml_mapping_watch_close(struct ml_mapping_watch *watch)
{
	if (watch)
		ml_perf_rings_close(watch->rings);
	free(watch);
}

int ml_mapping_watch_fd(const struct ml_mapping_watch *watch)
{
	return ml_perf_rings_fd(watch->rings);
}

/* What the records of interest begin with after their header (perf_event_open(2)). */
struct record {
	struct perf_event_header header;
	uint32_t pid, tid; /* MMAP2 and COMM; LOST: id */
	uint64_t value;    /* LOST: how many; MMAP2: address */
	uint64_t length, offset;
	uint32_t major, minor;
	uint64_t inode; /* MMAP2: 0 for memory without a file, which a JIT maps all the time */
};

_Static_assert(sizeof(struct record) <= ML_PERF_RECORD_BYTES, "it is shown whole");

struct reading {
	ml_mapping_news *news;
	void *context;
	uint64_t lost;
};

static void handle(void *context, const struct perf_event_header *header)
{
	const struct record *record = (const struct record *)header;
	struct reading *reading = context;

	switch (header->type) {
	case PERF_RECORD_MMAP2:
		if (record->inode)
			reading->news(reading->context, (pid_t)record->pid, false);
		break;
	case PERF_RECORD_COMM:
		if (header->misc & PERF_RECORD_MISC_COMM_EXEC)
			reading->news(reading->context, (pid_t)record->pid, true);
		break;
	case PERF_RECORD_LOST:
		reading->lost += record->value;
		break;
	default:
		break;
	}
}

uint64_t ml_mapping_watch_read(struct ml_mapping_watch *watch, ml_mapping_news *news, void *context)
{
	struct reading reading = {.news = news, .context = context};

	ml_perf_rings_read(watch->rings, handle, &reading);
	return reading.lost;
}
