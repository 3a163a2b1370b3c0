/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/uprobe_link.h"

#include "base/file.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* include/uapi/linux/bpf.h; newer than Debian 12's headers. */
#define ATTACH_UPROBE_MULTI   48
#define ATTACH_UPROBE_SESSION 57
#define MULTI_FLAG_RETURN     1u

/* The uprobe_multi member of union bpf_attr's link_create, as of Linux 6.6. */
struct multi_attr {
	uint32_t prog_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t ref_ctr_offsets;
	uint64_t cookies;
	uint32_t count;
	uint32_t multi_flags;
	uint32_t pid;
	uint32_t reserved;
};

static int link_create(struct multi_attr *attr)
{
	return (int)syscall(SYS_bpf, BPF_LINK_CREATE, attr, sizeof(*attr));
}

static int load_trial(uint32_t attach_type)
{
	static const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = attach_type);

	return bpf_prog_load(BPF_PROG_TYPE_KPROBE, "trial", "Dual BSD/GPL", code, 2, &options);
}

/* What trying to attach to a folder says. */
static int trial_errno(uint32_t attach_type, int program, uint32_t pid)
{
	uint64_t offset = 0;
	struct multi_attr attr = {
		.prog_fd = (uint32_t)program,
		.attach_type = attach_type,
		.path = (uint64_t)(uintptr_t) "/",
		.offsets = (uint64_t)(uintptr_t)&offset,
		.count = 1,
		.pid = pid,
	};
	ML_FD_CLEANUP int link = link_create(&attr);

	return link < 0 ? errno : 0;
}

/* A kernel that knows the link type gets as far as the path, which is no regular file: EBADF.
 * Before Linux 6.10 the pid was taken for that of a single thread; what corrected that also refuses
 * -1 before it looks at the path (bpf_uprobe_multi_link_attach() in kernel/trace/bpf_trace.c). */
static bool has_link(uint32_t attach_type)
{
	ML_FD_CLEANUP int program = load_trial(attach_type);

	return program >= 0 && trial_errno(attach_type, program, 0) == EBADF &&
	       trial_errno(attach_type, program, (uint32_t)-1) == EINVAL;
}

int ml_link_trial_program(enum ml_link_kind kind)
{
	return load_trial(ml_link_attach_type(kind));
}

enum ml_link_kind ml_link_kind_best(void)
{
	if (has_link(ATTACH_UPROBE_SESSION))
		return ML_LINK_SESSION;
	return has_link(ATTACH_UPROBE_MULTI) ? ML_LINK_MULTI : ML_LINK_PERF;
}

bool ml_link_kind_named(const char *name, enum ml_link_kind *out)
{
	static const char *const names[] = {"session", "multi", "perf"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(name, names[i])) {
			*out = (enum ml_link_kind)i;
			return true;
		}
	return false;
}

uint32_t ml_link_attach_type(enum ml_link_kind kind)
{
	static const uint32_t types[] = {ATTACH_UPROBE_SESSION, ATTACH_UPROBE_MULTI, 0};

	return types[kind];
}

static struct ml_error *explain(int err, const struct ml_probe_set *set)
{
	struct ml_error *error =
		ml_error_errno(err, "cannot probe %s in process %d", set->file_name, set->pid);

	switch (err) {
	case EINVAL:
		return ml_error_wrap(error,
				     "another tool may hold a probe with a reference counter "
				     "on the same instruction (see dmesg); end it first");
	case EPERM:
	case EACCES:
		return ml_error_wrap(error, "run as root, or with CAP_BPF and CAP_PERFMON");
	default:
		return error;
	}
}

static struct ml_error *attach_multi(struct ml_links *links, uint32_t attach_type, int program_fd,
				     bool is_return, const struct ml_probe_set *set)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", set->file_fd);

	struct multi_attr attr = {
		.prog_fd = (uint32_t)program_fd,
		.attach_type = attach_type,
		.path = (uint64_t)(uintptr_t)path,
		.offsets = (uint64_t)(uintptr_t)set->offsets,
		.cookies = (uint64_t)(uintptr_t)set->cookies,
		.count = (uint32_t)set->count,
		.multi_flags = is_return ? MULTI_FLAG_RETURN : 0,
		.pid = (uint32_t)set->pid,
	};
	int link = link_create(&attr);

	if (link < 0)
		return explain(errno, set);
	*ml_array_push(&links->list) = (struct ml_link){link, false};
	return NULL;
}

/* The dynamic PMU of uprobes: its type number and the bit of config that means "return". */
static struct ml_error *uprobe_pmu(uint32_t *type, uint64_t *return_bit)
{
	static const char *const base = "/sys/bus/event_source/devices/uprobe";
	ML_FREE_CLEANUP char *type_text = NULL;
	ML_FREE_CLEANUP char *bit_text = NULL;
	char path[128];

	snprintf(path, sizeof(path), "%s/type", base);

	struct ml_error *error = ml_file_read(-1, path, 64, &type_text, NULL);

	if (!error) {
		snprintf(path, sizeof(path), "%s/format/retprobe", base);
		error = ml_file_read(-1, path, 64, &bit_text, NULL);
	}
	if (error)
		return ml_error_wrap(error, "this kernel has no uprobes (CONFIG_UPROBE_EVENTS)");

	unsigned int bit = 0;

	if (sscanf(type_text, "%u", type) != 1 || sscanf(bit_text, "config:%u", &bit) != 1 ||
	    bit > 63)
		return ml_error_new(ML_ERROR_SYSTEM, "%s: not as expected", base);
	*return_bit = 1ull << bit;
	return NULL;
}

static int open_perf_probe(uint32_t type, uint64_t config, const char *path, uint64_t offset,
			   pid_t pid)
{
	struct perf_event_attr attr = {
		.type = type,
		.size = sizeof(attr),
		.config = config,
		.uprobe_path = (uint64_t)(uintptr_t)path,
		.probe_offset = offset,
	};

	return (int)syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* Two descriptors a probe: the event and its BPF link, which is what carries the cookie. */
static struct ml_error *attach_perf(struct ml_links *links, int program_fd, bool is_return,
				    const struct ml_probe_set *set)
{
	uint32_t type = 0;
	uint64_t return_bit = 0;
	char path[64];
	struct ml_error *error = uprobe_pmu(&type, &return_bit);

	if (error)
		return error;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", set->file_fd);
	for (size_t i = 0; i < set->count; i++) {
		int event = open_perf_probe(type, is_return ? return_bit : 0, path, set->offsets[i],
					    set->pid);

		if (event < 0)
			return explain(errno, set);
		*ml_array_push(&links->list) = (struct ml_link){event, is_return};

		LIBBPF_OPTS(bpf_link_create_opts, options,
			    .perf_event.bpf_cookie = set->cookies[i]);
		int link = bpf_link_create(program_fd, event, BPF_PERF_EVENT, &options);

		if (link < 0)
			return explain(-link, set);
		*ml_array_push(&links->list) = (struct ml_link){link, is_return};
		if (ioctl(event, PERF_EVENT_IOC_ENABLE, 0) < 0)
			return explain(errno, set);
	}
	return NULL;
}

static void close_from(struct ml_links *links, size_t first)
{
	while (links->list.count > first)
		ml_fd_close(&links->list.items[--links->list.count].fd);
}

struct ml_error *ml_links_attach(struct ml_links *links, enum ml_link_kind kind, int program_fd,
				 bool is_return, const struct ml_probe_set *set)
{
	size_t before = links->list.count;
	struct ml_error *error;

	if (!set->count)
		return NULL;
	error = kind == ML_LINK_PERF ? attach_perf(links, program_fd, is_return, set)
				     : attach_multi(links, ml_link_attach_type(kind), program_fd,
						    is_return, set);
	if (error)
		close_from(links, before);
	return error;
}

void ml_links_close(struct ml_links *links)
{
	close_from(links, 0);
	ml_array_free(&links->list);
}
