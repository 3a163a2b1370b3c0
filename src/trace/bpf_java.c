/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_java.h"

static struct ml_java_names *names_of(struct ml_bpf_process *process)
{
	if (!process->java_names)
		process->java_names = ml_java_names_create();
	return process->java_names;
}

/* Not asked for every name: there are many when a JVM ends. */
static bool is_there(const struct ml_bpf_process *process)
{
	return process->is_attached && ml_process_is_alive(process->process);
}

void ml_bpf_java_name(struct ml_bpf_process *process, const struct ml_stack_record *record)
{
	struct ml_java_memory memory = ml_java_memory_of(process->process);

	if (!process->java.layout.end || !is_there(process))
		return;
	for (uint32_t i = 0; i < record->count; i++)
		ml_java_names_get(names_of(process), &process->java, &memory, record->ip[i]);
}

const struct ml_stack *ml_bpf_java_add(struct ml_stack_store *store, uint64_t id,
				       const struct ml_stack_record *record,
				       struct ml_bpf_process *process,
				       const struct ml_python_stack *python)
{
	struct ml_java_memory memory = ml_java_memory_of(process->process);
	const struct ml_java_namer java = {
		.java = &process->java,
		.memory = is_there(process) ? &memory : NULL,
		.names = names_of(process),
	};

	return ml_stack_store_add(store, id, record, &process->code,
				  process->java.layout.end ? &java : NULL, python);
}
