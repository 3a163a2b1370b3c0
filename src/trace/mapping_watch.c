/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/mapping_watch.h"

#include "base/array.h"
#include "base/file.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RING_PAGES 16 /* data pages; a power of two */

struct ring {
	int fd;
	void *memory; /* one page of struct perf_event_mmap_page, then the data */
};

struct ml_mapping_watch {
	int epoll_fd;
	size_t page_bytes;
	ML_ARRAY(struct ring) rings;
};

static int open_event(int cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.size = sizeof(attr),
		.mmap = 1, /* executable mappings only */
		.mmap2 = 1,
		.comm = 1,
		.comm_exec = 1,
		.watermark = 1,
		.wakeup_watermark = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static struct ml_error *open_ring(struct ml_mapping_watch *watch, int cpu)
{
	ML_FD_CLEANUP int fd = open_event(cpu);

	if (fd < 0 && errno == ENODEV) /* the CPU is offline */
		return NULL;
	if (fd < 0)
		return ml_error_errno(errno, "cannot watch for new mappings (perf_event_open)");

	void *memory = mmap(NULL, watch->page_bytes * (1 + RING_PAGES), PROT_READ | PROT_WRITE,
			    MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return ml_error_errno(errno, "cannot map a perf ring");
	*ml_array_push(&watch->rings) = (struct ring){.fd = fd, .memory = memory};

	struct epoll_event event = {.events = EPOLLIN};

	if (epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		fd = -1; /* the ring's now */
		return ml_error_errno(errno, "cannot watch a perf ring");
	}
	fd = -1;
	return NULL;
}

struct ml_error *ml_mapping_watch_open(struct ml_mapping_watch **out)
{
	struct ml_mapping_watch *watch = ml_alloc(sizeof(*watch));
	struct ml_error *error = NULL;
	int cpus = libbpf_num_possible_cpus();

	watch->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	watch->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (watch->epoll_fd < 0)
		error = ml_error_errno(errno, "cannot make an epoll descriptor");
	for (int cpu = 0; !error && cpu < cpus; cpu++)
		error = open_ring(watch, cpu);
	if (error) {
		ml_mapping_watch_close(watch);
		return error;
	}
	*out = watch;
	return NULL;
}

void ml_mapping_watch_close(struct ml_mapping_watch *watch)
{
	if (!watch)
		return;
	ml_array_each (ring, &watch->rings) {
		munmap(ring->memory, watch->page_bytes * (1 + RING_PAGES));
		close(ring->fd);
	}
	ml_array_free(&watch->rings);
	ml_fd_close(&watch->epoll_fd);
	free(watch);
}

int ml_mapping_watch_fd(const struct ml_mapping_watch *watch)
{
	return watch->epoll_fd;
}

/* The start of a record, put together where it wraps around the ring's end. */
static void copy_out(const uint8_t *data, uint64_t at, void *out, size_t size, size_t ring_bytes)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)out)[i] = data[(at + i) & (ring_bytes - 1)];
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

static uint64_t handle(const struct record *record, ml_mapping_news *news, void *context)
{
	switch (record->header.type) {
	case PERF_RECORD_MMAP2:
		if (record->inode)
			news(context, (pid_t)record->pid, false);
		return 0;
	case PERF_RECORD_COMM:
		if (record->header.misc & PERF_RECORD_MISC_COMM_EXEC)
			news(context, (pid_t)record->pid, true);
		return 0;
	case PERF_RECORD_LOST:
		return record->value;
	default:
		return 0;
	}
}

static uint64_t read_ring(const struct ring *ring, size_t page_bytes, ml_mapping_news *news,
			  void *context)
{
	struct perf_event_mmap_page *control = ring->memory;
	const uint8_t *data = (const uint8_t *)ring->memory + page_bytes;
	size_t ring_bytes = page_bytes * RING_PAGES;
	uint64_t head = __atomic_load_n(&control->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = control->data_tail, lost = 0;

	while (tail < head) {
		struct record record = {0};

		copy_out(data, tail, &record, sizeof(record), ring_bytes);
		if (record.header.size < sizeof(record.header))
			break;
		lost += handle(&record, news, context);
		tail += record.header.size;
	}
	__atomic_store_n(&control->data_tail, head, __ATOMIC_RELEASE);
	return lost;
}

uint64_t ml_mapping_watch_read(struct ml_mapping_watch *watch, ml_mapping_news *news, void *context)
{
	uint64_t lost = 0;

	ml_array_each (ring, &watch->rings)
		lost += read_ring(ring, watch->page_bytes, news, context);
	return lost;
}
