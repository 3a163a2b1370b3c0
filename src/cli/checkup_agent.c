/* SPDX-License-Identifier: BSD-2-Clause */
/** Whether the agent could get into a process, and what others have left there. */
#include "cli/checkup.h"

#include "inject/injection.h"
#include "trace/agent_attach.h"

static void tell_left(struct ml_checkup *checkup, const struct ml_injection_left *left, pid_t pid)
{
	char *remedy = ml_checkup_text("memleak doctor --repair -p %d takes it out, as does the "
				       "next memleak with --backend agent",
				       (int)pid);

	if (left->kind == ML_INJECTION_STALE)
		ml_checkup_add(checkup, "agent", ML_CHECK_WARN,
			       ml_checkup_text("a memleak that was killed left its agent in it (%u "
					       "functions patched); it only lets calls through",
					       left->header.patch_count),
			       remedy);
	else
		ml_checkup_add(checkup, "agent", ML_CHECK_WARN,
			       ml_checkup_text("it was forked by a process that had an agent, and "
					       "has inherited its stubs (%u functions patched), "
					       "which only let calls through",
					       left->header.patch_count),
			       remedy);
}

static void repair(struct ml_checkup *checkup, const struct ml_process *process,
		   const struct ml_injection_left *left)
{
	ML_ERROR_CLEANUP struct ml_error *error = ml_injection_remove_left(process, left);

	if (error)
		ml_checkup_add(checkup, "agent", ML_CHECK_FAIL, ml_strdup(ml_error_message(error)),
			       NULL);
	else
		ml_checkup_add(checkup, "agent", ML_CHECK_OK,
			       ml_checkup_text("took out what was left in it (%u functions put "
					       "back)",
					       left->header.patch_count),
			       NULL);
}

static void check_room(struct ml_checkup *checkup, pid_t pid)
{
	const struct ml_tracer_options options = {0};
	ML_ERROR_CLEANUP struct ml_error *error = ml_agent_check_room(pid, &options);

	if (!error)
		return;
	ml_checkup_refuse(&checkup->agent, ml_strdup(ml_error_message(error)));
	ml_checkup_add(checkup, "room", ML_CHECK_WARN, ml_strdup(ml_error_message(error)),
		       ml_strdup("trace it with --backend bpf"));
}

void ml_checkup_agent(struct ml_checkup *checkup, const struct ml_process *process, bool repairs)
{
	struct ml_injection_left left;
	ML_ERROR_CLEANUP struct ml_error *error = ml_injection_find(process, &left);

	if (error || left.kind == ML_INJECTION_NONE)
		check_room(checkup, ml_process_pid(process));
	if (error)
		ml_checkup_add(checkup, "agent", ML_CHECK_FAIL, ml_strdup(ml_error_message(error)),
			       NULL);
	else if (left.kind == ML_INJECTION_AT_WORK)
		ml_checkup_add(checkup, "agent", ML_CHECK_OK,
			       ml_strdup("another memleak traces it with the agent now"), NULL);
	else if (left.kind == ML_INJECTION_NONE)
		ml_checkup_add(checkup, "agent", ML_CHECK_OK,
			       ml_strdup("no agent is in it, no stubs of one either"), NULL);
	else if (repairs)
		repair(checkup, process, &left);
	else
		tell_left(checkup, &left, ml_process_pid(process));
}
