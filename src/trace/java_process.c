/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/java_process.h"

static struct ml_java_names *names_of(struct ml_java_process *java)
{
	if (!java->names)
		java->names = ml_java_names_create();
	return java->names;
}

/* Not asked for every name: there are many when a JVM ends. */
static bool is_there(const struct ml_process *process)
{
	return process && ml_process_is_alive(process);
}

void ml_java_process_name(struct ml_java_process *java, const struct ml_process *process,
			  const struct ml_stack_record *record)
{
	struct ml_java_memory memory = ml_java_memory_of(process);

	if (!java->vm.layout.end || !is_there(process))
		return;
	for (uint32_t i = 0; i < record->count; i++)
		ml_java_names_get(names_of(java), &java->vm, &memory, record->ip[i]);
}

const struct ml_stack *
ml_java_process_add(struct ml_java_process *java, const struct ml_process *process,
		    struct ml_stack_store *store, uint64_t id, const struct ml_stack_record *record,
		    const struct ml_code_map *code, const struct ml_python_stack *python)
{
	struct ml_java_memory memory = ml_java_memory_of(process);

	if (!java->vm.layout.end)
		return ml_stack_store_add(store, id, record, code, NULL, python);

	const struct ml_java_namer namer = {
		.java = &java->vm,
		.memory = is_there(process) ? &memory : NULL,
		.names = names_of(java),
	};

	return ml_stack_store_add(store, id, record, code, &namer, python);
}

void ml_java_process_deinit(struct ml_java_process *java)
{
	ml_java_names_destroy(java->names);
	java->names = NULL;
}
