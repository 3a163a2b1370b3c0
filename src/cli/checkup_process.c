/* SPDX-License-Identifier: BSD-2-Clause */
/** Checks of one process: what would be probed, and what might be in the way. */
#include "cli/checkup.h"

#include "base/strbuf.h"
#include "trace/module_cache.h"
#include "trace/process_allocators.h"

#include <stdio.h>
#include <sys/utsname.h>

static void check_name(struct ml_checkup *checkup, const struct ml_process *process)
{
	ML_STRBUF_CLEANUP struct ml_strbuf text = {0};

	ml_strbuf_printf(&text, "%d (", (int)ml_process_pid(process));
	ml_strbuf_puts(&text, ml_process_comm(process));
	ml_strbuf_puts(&text, "), ");
	ml_strbuf_puts(&text, *ml_process_exe(process) ? ml_process_exe(process) : "no file");
	if (ml_process_container(process))
		ml_strbuf_printf(&text, ", in container %s", ml_process_container(process));
	ml_checkup_add(checkup, "process", ML_CHECK_OK, ml_strbuf_take(&text), NULL);
}

static void check_tracer(struct ml_checkup *checkup, const struct ml_process *process)
{
	pid_t tracer = ml_process_tracer(process);

	if (tracer)
		ml_checkup_add(checkup, "debugger", ML_CHECK_WARN,
			       ml_checkup_text("process %d holds it by ptrace: --follow and the "
					       "agent do not work",
					       (int)tracer),
			       ml_strdup("trace it with --backend bpf and without --follow, or "
					 "end the debugger"));
	if (tracer)
		ml_checkup_refuse(&checkup->agent,
				  ml_checkup_text("process %d holds it by ptrace", (int)tracer));
}

/* Neither from the kernel nor from inside. */
static void refuse_both(struct ml_checkup *checkup, const char *reason)
{
	ml_checkup_refuse(&checkup->bpf, ml_strdup(reason));
	ml_checkup_refuse(&checkup->agent, ml_strdup(reason));
}

/*
 * Linux 6.11 made returns of probed functions go through a system call of their own ("uprobe: Add
 * uretprobe syscall to speed up return probe"); a seccomp filter that does not know it kills the
 * process. Linux 6.14 lets that call pass every filter ("seccomp: passthrough uretprobe systemcall
 * without filtering"), and so do later stable releases of those between. A trial would kill whoever
 * makes it, so the version has to do.
 */
static bool filters_uretprobe(const char *release)
{
	unsigned int major, minor;

	return sscanf(release, "%u.%u", &major, &minor) == 2 && major == 6 && minor >= 11 &&
	       minor <= 13;
}

static void check_seccomp(struct ml_checkup *checkup, const struct ml_process *process)
{
	struct utsname name;

	if (ml_process_seccomp(process) != 2 || uname(&name))
		return;
	if (filters_uretprobe(name.release))
		ml_checkup_add(
			checkup, "seccomp", ML_CHECK_WARN,
			ml_checkup_text("it has a system call filter, and Linux %s may kill "
					"such a process when a probed function returns",
					name.release),
			ml_strdup("use a kernel with the fix (6.14, or a stable release that "
				  "has it), or allow system call uretprobe in its filter"));
	else
		ml_checkup_add(checkup, "seccomp", ML_CHECK_OK,
			       ml_strdup("it has a system call filter; probes pass it"), NULL);
}

static void tell_allocators(struct ml_checkup *checkup, const struct ml_allocators *allocators)
{
	ML_STRBUF_CLEANUP struct ml_strbuf text = {0};
	size_t slow = 0, all = 0;

	ml_array_each (allocator, &allocators->list) {
		ml_strbuf_printf(&text, "%s%s in %s (%zu functions)", text.length ? ", " : "",
				 allocator->kind, ml_module_name(allocator->module),
				 allocator->functions.count);
		ml_array_each (function, &allocator->functions)
			slow += !function->is_emulated;
		all += allocator->functions.count;
	}
	if (!all) {
		refuse_both(checkup, "it has no allocator that is known");
		ml_checkup_add(checkup, "allocators", ML_CHECK_FAIL,
			       ml_checkup_text("no allocation functions found in: %s",
					       allocators->looked_at ? allocators->looked_at : ""),
			       ml_strdup("name them with -O FILE, -S PREFIX or "
					 "--alloc-fn/--free-fn"));
		return;
	}
	if (slow)
		ml_strbuf_printf(&text,
				 "; %zu of them can be probed only by single steps, which "
				 "cost more a call",
				 slow);
	ml_checkup_add(checkup, "allocators", ML_CHECK_OK, ml_strbuf_take(&text), NULL);
}

static void check_code(struct ml_checkup *checkup, const struct ml_code_map *code,
		       const struct ml_allocator_options *options)
{
	struct ml_allocators allocators = {0};
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_code_map_allocators(code, options, &allocators);

	if (code->unreadable)
		ml_checkup_add(checkup, "files", ML_CHECK_WARN,
			       ml_checkup_text("%llu mapped files could not be read: their frames "
					       "have no names",
					       (unsigned long long)code->unreadable),
			       NULL);
	if (error) {
		refuse_both(checkup, ml_error_message(error));
		ml_checkup_add(checkup, "allocators", ML_CHECK_FAIL,
			       ml_strdup(ml_error_message(error)), NULL);
	} else {
		tell_allocators(checkup, &allocators);
	}
	ml_allocators_deinit(&allocators);
}

static void check_maps(struct ml_checkup *checkup, const struct ml_process *process,
		       const struct ml_allocator_options *options)
{
	struct ml_module_cache *cache;
	struct ml_code_map code = {0};
	struct ml_maps maps;
	ML_ERROR_CLEANUP struct ml_error *error = ml_process_maps(process, &maps);

	if (error) {
		ml_checkup_add(checkup, "maps", ML_CHECK_FAIL, ml_strdup(ml_error_message(error)),
			       NULL);
		return;
	}
	cache = ml_module_cache_create();
	ml_code_map_update(&code, cache, process, &maps);
	check_code(checkup, &code, options);
	ml_checkup_symbols(checkup, process, &code);
	ml_code_map_deinit(&code);
	ml_module_cache_destroy(cache);
	ml_maps_deinit(&maps);
}

void ml_checkup_process(struct ml_checkup *checkup, const struct ml_process *process,
			const struct ml_allocator_options *options)
{
	check_name(checkup, process);
	check_maps(checkup, process, options);
	check_tracer(checkup, process);
	check_seccomp(checkup, process);
}
