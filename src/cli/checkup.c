/* SPDX-License-Identifier: BSD-2-Clause */
/** The list of checks, and those of the machine. */
#include "cli/checkup.h"

#include "base/file.h"
#include "target/yama.h"
#include "trace/bpf_object.h"
#include "trace/kernel_points.h"
#include "trace/uprobe_link.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

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

static void check_bpf(struct ml_checkup *checkup)
{
	ML_ERROR_CLEANUP struct ml_error *error = ml_bpf_support();

	checkup->bpf.is_usable = !error;
	if (!error) {
		ml_checkup_add(checkup, "bpf", ML_CHECK_OK,
			       ml_strdup("programs can be loaded, type information (BTF) is there"),
			       NULL);
		return;
	}
	checkup->bpf.reason = ml_strdup(ml_error_message(error));
	ml_checkup_add(checkup, "bpf", ML_CHECK_FAIL, ml_strdup(ml_error_message(error)),
		       ml_strdup("run memleak as root, outside of a container or in a privileged "
				 "one"));
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

static void check_kernel_points(struct ml_checkup *checkup)
{
	struct ml_kernel_point_info info[ML_KERNEL_POINT_COUNT];
	ML_ERROR_CLEANUP struct ml_error *error = ml_kernel_points_find(info);
	unsigned int found = 0;

	for (size_t i = 0; !error && i < ML_KERNEL_POINT_COUNT; i++)
		found += info[i].exists;
	checkup->kernel.is_usable = found > 0;
	if (found) {
		ml_checkup_add(checkup, "kernel allocators", ML_CHECK_OK,
			       ml_checkup_text("%u tracepoints of kernel allocation", found), NULL);
		return;
	}
	const char *why = error ? ml_error_message(error) : "no tracepoints of kernel allocation";

	checkup->kernel.reason = ml_strdup(why);
	ml_checkup_add(checkup, "kernel allocators", ML_CHECK_FAIL, ml_strdup(why), NULL);
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
		checkup->agent.is_usable = false;
		checkup->agent.reason = ml_strdup("ptrace is forbidden");
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
	check_bpf(checkup);
	if (checkup->bpf.is_usable) {
		check_links(checkup);
		check_kernel_points(checkup);
	} else {
		checkup->kernel.reason = ml_strdup(checkup->bpf.reason);
	}
	check_ptrace(checkup);
}
