/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_cost.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

int ml_bpf_cost_start(void)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	return fd < 0 ? -1 : fd;
}

void ml_bpf_cost_read(const struct bpf_object *object, struct ml_bpf_cost *out)
{
	struct bpf_program *program;

	*out = (struct ml_bpf_cost){0};
	bpf_object__for_each_program(program, object)
	{
		struct bpf_prog_info info = {0};
		uint32_t length = sizeof(info);
		int fd = bpf_program__fd(program);

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length))
			continue;
		out->run_ns += info.run_time_ns;
		out->runs += info.run_cnt;
		out->missed += info.recursion_misses;
	}
}
