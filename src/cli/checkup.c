/* SPDX-License-Identifier: BSD-2-Clause */
/** The list of checks, and those of the machine. */
#include "cli/checkup.h"

#include "target/yama.h"
#include "trace/bpf_object.h"
#include "trace/kernel_points.h"
#include "trace/tracer.h"
#include "trace/uprobe_link.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

void ml_checkup_refuse(struct ml_backend_state *state, char *reason)
{
	if (state->reason) {
		free(reason);
		return;
	}
	state->is_usable = false;
	state->reason = reason;
}

char *ml_checkup_text(const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	int length = vasprintf(&text, format, args);
	va_end(args);
	return length < 0 ? ml_strdup("") : text;
}

void ml_checkup_add(struct ml_checkup *checkup, const char *name, enum ml_check_status status,
		    char *detail, char *remedy)
{
	*ml_array_push(&checkup->checks) = (struct ml_check){name, status, detail, remedy};
}

void ml_checkup_deinit(struct ml_checkup *checkup)
{
	ml_array_each (check, &checkup->checks) {
		free(check->detail);
		free(check->remedy);
	}
	ml_array_free(&checkup->checks);
	free(checkup->bpf.reason);
	free(checkup->agent.reason);
	free(checkup->kernel.reason);
}

static void check_kernel(struct ml_checkup *checkup)
{
	struct utsname name;

	if (!uname(&name))
		ml_checkup_add(
			checkup, "kernel", ML_CHECK_OK,
			ml_checkup_text("%s %s, %s", name.sysname, name.release, name.machine),
			NULL);
}

typedef struct ml_error *tracer_create_fn(const struct ml_tracer_options *options,
					  struct ml_tracer **out);

/* Has a tracer load its programs, with small tables. Nothing less tells: the verifier of each
 * kernel has its own idea of what it can prove. */
static struct ml_error *try_tracer(tracer_create_fn *create)
{
	const struct ml_tracer_options options = {.max_stacks = 1024, .max_blocks = 1024};
	struct ml_tracer *tracer = NULL;
	struct ml_error *error = create(&options, &tracer);

	if (!error)
		tracer->ops->destroy(tracer);
	return error;
}

/* True when BPF may be used at all, be it that only some of the programs can be loaded. */
static bool check_bpf(struct ml_checkup *checkup)
{
	ML_ERROR_CLEANUP struct ml_error *error = ml_bpf_support();
	bool is_permitted = !error;

	if (!error)
		error = try_tracer(ml_bpf_tracer_create);
	checkup->bpf.is_usable = !error;
	if (!error) {
		ml_checkup_add(checkup, "bpf", ML_CHECK_OK,
			       ml_strdup("programs load, type information (BTF) is there"), NULL);
		return true;
	}
	checkup->bpf.reason = ml_strdup(ml_error_message(error));
	ml_checkup_add(checkup, "bpf", ML_CHECK_FAIL, ml_strdup(ml_error_message(error)),
		       ml_strdup("without it, processes can be traced by --backend agent"));
	return is_permitted;
}

static void check_links(struct ml_checkup *checkup)
{
	static const char *const words[] = {
		[ML_LINK_SESSION] = "uprobe session links: one program for call and return",
		[ML_LINK_MULTI] = "uprobe multi links: attached and taken out at once",
		[ML_LINK_PERF] = "perf links only: one a function",
	};
	enum ml_link_kind kind = ml_link_kind_best();
	bool is_slow = kind == ML_LINK_PERF;

	ml_checkup_add(checkup, "probes", is_slow ? ML_CHECK_WARN : ML_CHECK_OK,
		       ml_strdup(words[kind]),
		       is_slow ? ml_strdup("detaching takes seconds; Linux 6.6 and later are fast")
			       : NULL);
}

static struct ml_error *check_points(unsigned int *found)
{
	struct ml_kernel_point_info info[ML_KERNEL_POINT_COUNT];
	struct ml_error *error = ml_kernel_points_find(info);

	for (size_t i = 0; !error && i < ML_KERNEL_POINT_COUNT; i++)
		*found += info[i].exists;
	if (!error && !*found)
		error = ml_error_new(ML_ERROR_UNSUPPORTED, "no tracepoints of kernel allocation");
	return error ? error : try_tracer(ml_kernel_tracer_create);
}

static void check_kernel_points(struct ml_checkup *checkup)
{
	unsigned int found = 0;
	ML_ERROR_CLEANUP struct ml_error *error = check_points(&found);

	checkup->kernel.is_usable = !error;
	if (!error) {
		ml_checkup_add(checkup, "kernel allocators", ML_CHECK_OK,
			       ml_checkup_text("%u tracepoints of kernel allocation", found), NULL);
		return;
	}
	checkup->kernel.reason = ml_strdup(ml_error_message(error));
	ml_checkup_add(checkup, "kernel allocators", ML_CHECK_FAIL,
		       ml_strdup(ml_error_message(error)), NULL);
}

static void check_ptrace(struct ml_checkup *checkup)
{
	int scope = ml_yama_scope();

	if (scope >= 3) {
		ml_checkup_add(checkup, "ptrace", ML_CHECK_FAIL,
			       ml_strdup("forbidden to everybody (kernel.yama.ptrace_scope is 3): "
					 "-c, --, --follow and the agent do not work"),
			       ml_strdup("trace running processes with -p; only a reboot changes "
					 "this"));
		ml_checkup_refuse(&checkup->agent, ml_strdup("ptrace is forbidden"));
	} else if (scope && geteuid()) {
		ml_checkup_add(checkup, "ptrace", ML_CHECK_WARN,
			       ml_checkup_text("kernel.yama.ptrace_scope is %d: %s", scope,
					       scope == 1 ? "you may trace what memleak starts, "
							    "not what runs already"
							  : "only root may trace"),
			       ml_strdup("run memleak as root (sudo)"));
	} else {
		ml_checkup_add(checkup, "ptrace", ML_CHECK_OK,
			       ml_strdup("not forbidden: -c, --, --follow and the agent"), NULL);
	}
}

void ml_checkup_machine(struct ml_checkup *checkup)
{
	checkup->agent.is_usable = true;
	check_kernel(checkup);
	if (check_bpf(checkup)) {
		check_links(checkup);
		check_kernel_points(checkup);
	} else {
		checkup->kernel.reason = ml_strdup(checkup->bpf.reason);
	}
	check_ptrace(checkup);
}
