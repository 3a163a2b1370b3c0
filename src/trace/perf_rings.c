/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/perf_rings.h"

#include "base/array.h"
#include "base/file.h"

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RING_PAGES 16 /* data pages; a power of two */

struct ring {
	int fd;
	void *memory; /* one page of struct perf_event_mmap_page, then the data */
};

struct ml_perf_rings {
	int epoll_fd;
	size_t page_bytes;
	ML_ARRAY(struct ring) list;
};

static struct ml_error *open_ring(struct ml_perf_rings *rings, struct perf_event_attr *attr,
				  const char *what, int cpu)
{
	ML_FD_CLEANUP int fd =
		(int)syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0 && errno == ENODEV) /* the CPU is offline */
		return NULL;
	if (fd < 0)
		return ml_error_errno(errno, "cannot %s (perf_event_open)", what);

	void *memory = mmap(NULL, rings->page_bytes * (1 + RING_PAGES), PROT_READ | PROT_WRITE,
			    MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return ml_error_errno(errno, "cannot map a perf ring");
	*ml_array_push(&rings->list) = (struct ring){.fd = fd, .memory = memory};

	struct epoll_event event = {.events = EPOLLIN};

	if (epoll_ctl(rings->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		fd = -1; /* the ring's now */
		return ml_error_errno(errno, "cannot watch a perf ring");
	}
	fd = -1;
	return NULL;
}

struct ml_error *ml_perf_rings_open(struct perf_event_attr *attr, const char *what,
				    struct ml_perf_rings **out)
{
	struct ml_perf_rings *rings = ml_alloc(sizeof(*rings));
	struct ml_error *error = NULL;
	/* Not libbpf's, which complains where /sys is not mounted. */
	int cpus = (int)sysconf(_SC_NPROCESSORS_CONF);

	attr->size = sizeof(*attr);
	rings->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	rings->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (rings->epoll_fd < 0)
		error = ml_error_errno(errno, "cannot make an epoll descriptor");
	for (int cpu = 0; !error && cpu < cpus; cpu++)
		error = open_ring(rings, attr, what, cpu);
	if (error) {
		ml_perf_rings_close(rings);
		return error;
	}
	*out = rings;
	return NULL;
}

void ml_perf_rings_close(struct ml_perf_rings *rings)
{
	if (!rings)
		return;
	ml_array_each (ring, &rings->list) {
		munmap(ring->memory, rings->page_bytes * (1 + RING_PAGES));
		close(ring->fd);
	}
	ml_array_free(&rings->list);
	ml_fd_close(&rings->epoll_fd);
	free(rings);
}

int ml_perf_rings_fd(const struct ml_perf_rings *rings)
{
	return rings->epoll_fd;
}

void ml_perf_rings_enable(const struct ml_perf_rings *rings, bool on)
{
	ml_array_each (ring, &rings->list)
		ioctl(ring->fd, on ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, 0);
}

/* The start of a record, put together where it wraps around the ring's end. */
static void copy_out(const uint8_t *data, uint64_t at, void *out, size_t size, size_t ring_bytes)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)out)[i] = data[(at + i) & (ring_bytes - 1)];
}

static void read_ring(const struct ring *ring, size_t page_bytes,
		      void (*visit)(void *context, const struct perf_event_header *record),
		      void *context)
{
	struct perf_event_mmap_page *control = ring->memory;
	const uint8_t *data = (const uint8_t *)ring->memory + page_bytes;
	size_t ring_bytes = page_bytes * RING_PAGES;
	uint64_t head = __atomic_load_n(&control->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = control->data_tail;

	while (tail < head) {
		union {
			struct perf_event_header header;
			uint8_t bytes[ML_PERF_RECORD_BYTES];
		} record = {0};
		size_t size;

		copy_out(data, tail, &record, sizeof(record.header), ring_bytes);
		size = record.header.size;
		if (size < sizeof(record.header))
			break;
		copy_out(data, tail, &record, size < sizeof(record) ? size : sizeof(record),
			 ring_bytes);
		visit(context, &record.header);
		tail += size;
	}
	__atomic_store_n(&control->data_tail, head, __ATOMIC_RELEASE);
}

void ml_perf_rings_read(const struct ml_perf_rings *rings,
			void (*visit)(void *context, const struct perf_event_header *record),
			void *context)
{
	ml_array_each (ring, &rings->list)
		read_ring(ring, rings->page_bytes, visit, context);
}
