/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/kernel_points.h"

#include "trace/bpf_object.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>

const char *const ml_kernel_point_words[ML_KERNEL_POINT_COUNT] = {
#define X(name, tracepoint, words, is_alloc) [ML_KERNEL_##name] = words,
	ML_KERNEL_POINTS(X)
#undef X
};

const char *const ml_kernel_point_names[ML_KERNEL_POINT_COUNT] = {
#define X(name, tracepoint, words, is_alloc) [ML_KERNEL_##name] = #tracepoint,
	ML_KERNEL_POINTS(X)
#undef X
};

/* The prototype of the tracepoint: its callback's, whose first parameter is private data. */
static const struct btf_type *find_prototype(const struct btf *btf, const char *tracepoint)
{
	char name[64];
	int id;

	snprintf(name, sizeof(name), "btf_trace_%s", tracepoint);
	id = btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
	if (id < 0)
		return NULL;

	const struct btf_type *type = btf__type_by_id(btf, btf__type_by_id(btf, (__u32)id)->type);

	if (!type || !btf_is_ptr(type))
		return NULL;
	type = btf__type_by_id(btf, type->type);
	return type && btf_is_func_proto(type) && btf_vlen(type) >= 1 ? type : NULL;
}

static bool parameter_is_pointer(const struct btf *btf, const struct btf_type *prototype,
				 unsigned int index)
{
	if (index >= btf_vlen(prototype))
		return false;

	int id = btf__resolve_type(btf, btf_params(prototype)[index].type);
	const struct btf_type *type = id < 0 ? NULL : btf__type_by_id(btf, (__u32)id);

	return type && btf_is_ptr(type);
}

struct ml_error *ml_kernel_points_find(struct ml_kernel_point_info info[ML_KERNEL_POINT_COUNT])
{
	struct btf *btf = btf__load_vmlinux_btf();

	if (!btf)
		return ml_bpf_error(errno, "reading the kernel's types (BTF)",
				    "CONFIG_DEBUG_INFO_BTF=y");
	for (unsigned int i = 0; i < ML_KERNEL_POINT_COUNT; i++) {
		const struct btf_type *prototype = find_prototype(btf, ml_kernel_point_names[i]);

		info[i] = (struct ml_kernel_point_info){.exists = prototype != NULL};
		if (!prototype)
			continue;
		info[i].argument_count = btf_vlen(prototype) - 1;
		info[i].third_is_pointer = parameter_is_pointer(btf, prototype, 3);
	}
	btf__free(btf);
	return NULL;
}
