/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/** Steps through HotSpot's code; part of walk.bpf.h, which defines read_word() before. */
#define ML_JAVA_READ(memory, buffer, size, address)                                                \
	bpf_probe_read_user((buffer), (size), (void *)(address))
/* Global functions, so that the verifier goes through each once and not for every way to it. */
#define ML_JAVA_BLOB(java, ip, memory) java_blob((struct ml_java_layout *)(java), ip)
uint64_t java_blob(struct ml_java_layout *java, uint64_t ip);
#include "shared/java_step.h"

__noinline uint64_t java_blob(struct ml_java_layout *java, uint64_t ip)
{
	return java ? ml_java_blob(java, ip, NULL) : 0;
}

__noinline int java_step(struct ml_process_maps *maps, struct ml_java_step *step,
			 struct thread_state *thread)
{
	if (!maps || !step || !thread)
		return ML_WALK_FAULT;
	return ml_java_step(&maps->java, step, thread);
}
