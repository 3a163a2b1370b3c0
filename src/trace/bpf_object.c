/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/bpf_object.h"

#include "base/file.h"
#include "base/strbuf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KERNEL_BTF "/sys/kernel/btf/vmlinux"

/* Bits of CapEff, include/uapi/linux/capability.h. */
#define CAPABILITY_SYS_ADMIN 21
#define CAPABILITY_PERFMON   38
#define CAPABILITY_BPF       39

/* Warnings kept: the first says what went wrong, the later ones mostly repeat it. */
#define KEPT_LINES  3
#define KEPT_LENGTH 240

static struct {
	const struct ml_tracer_options *options;
	char line[KEPT_LINES][KEPT_LENGTH];
	unsigned int count;
	bool is_refused; /* the verifier said no to a program */
} log_state;

static void keep_line(const char *text)
{
	if (log_state.count >= KEPT_LINES)
		return;
	snprintf(log_state.line[log_state.count++], KEPT_LENGTH, "%.*s", (int)strcspn(text, "\n"),
		 text);
}

/* The verifier's log is one message of many lines; why it refused a program is the last line before
 * its statistics. */
static void keep_reason(const char *text)
{
	const char *end = strstr(text, "\nprocessed ");
	const char *begin = end;

	if (end)
		log_state.is_refused = true;
	while (begin && begin > text && begin[-1] != '\n')
		begin--;
	keep_line(begin ? begin : text);
}

static void note_lines(const struct ml_tracer_options *options, char *text)
{
	char *rest = text;
	const char *line;

	while ((line = strsep(&rest, "\n")))
		if (*line)
			ml_tracer_note(options, line);
}

static int take_message(enum libbpf_print_level level, const char *format, va_list args)
{
	const struct ml_tracer_options *options = log_state.options;
	bool is_noted = options && options->verbose && options->note;
	ML_FREE_CLEANUP char *text = NULL;

	/* Some 250 lines of how it reads the object file. */
	if (level == LIBBPF_DEBUG)
		return 0;
	if (vasprintf(&text, format, args) < 0) {
		text = NULL;
		return 0;
	}
	if (level == LIBBPF_WARN)
		keep_reason(text);
	if (is_noted)
		note_lines(options, text);
	return 0;
}

void ml_bpf_log_start(const struct ml_tracer_options *options)
{
	log_state.options = options;
	log_state.count = 0;
	log_state.is_refused = false;
	/* libbpf >= 1.0 raises RLIMIT_MEMLOCK by itself where the kernel still counts BPF memory by
	 * it (before 5.11), so nothing is to be done for that here. */
	libbpf_set_print(take_message);
}

void ml_bpf_log_stop(void)
{
	log_state.options = NULL;
}

static bool text_has(const char *path, const char *word)
{
	ML_FREE_CLEANUP char *text = NULL;
	ML_ERROR_CLEANUP struct ml_error *error = ml_file_read(AT_FDCWD, path, 65536, &text, NULL);

	return !error && strstr(text, word);
}

/* The value after "NAME:" in /proc/self/status, read in @base; 0 when it is not there. */
static unsigned long long status_number(const char *name, int base)
{
	ML_FREE_CLEANUP char *text = NULL;
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_file_read(AT_FDCWD, "/proc/self/status", 65536, &text, NULL);
	const char *at = error ? NULL : strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, base) : 0;
}

static bool has_capabilities(void)
{
	unsigned long long caps = status_number("\nCapEff:", 16);

	if (caps >> CAPABILITY_SYS_ADMIN & 1)
		return true;
	return (caps >> CAPABILITY_BPF & 1) && (caps >> CAPABILITY_PERFMON & 1);
}

/* Root of a user namespace holds capabilities only over what belongs to that namespace. */
static bool is_in_user_namespace(void)
{
	return !text_has("/proc/self/uid_map", "4294967295");
}

static struct ml_error *explain_permission(void)
{
	if (geteuid() != 0 && !has_capabilities())
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "BPF is not permitted to this user; run as root (sudo), or "
				    "with CAP_BPF and CAP_PERFMON");
	if (is_in_user_namespace())
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "BPF is not permitted inside a user namespace (rootless "
				    "container); run memleak as root on the host");
	if (!has_capabilities())
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "BPF is not permitted: this root lacks CAP_BPF and CAP_PERFMON "
				    "(or CAP_SYS_ADMIN); in a container run it with --privileged");
	if (status_number("\nSeccomp:", 10) == 2)
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "the bpf() system call is refused by a seccomp filter; in a "
				    "container run it with --security-opt seccomp=unconfined");
	return ml_error_new(ML_ERROR_UNSUPPORTED,
			    "the bpf() system call is refused (EPERM) although we have the "
			    "capabilities; a security module (SELinux, AppArmor) may forbid it");
}

struct ml_error *ml_bpf_support(void)
{
	/* Lockdown's confidentiality level forbids programs that read kernel memory, ours do. */
	if (text_has("/sys/kernel/security/lockdown", "[confidentiality]"))
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "the kernel is locked down (confidentiality): BPF may not read "
				    "memory; boot with lockdown=integrity or less");
	if (!has_capabilities() || is_in_user_namespace())
		return explain_permission();

	ML_FD_CLEANUP int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ml_probe", 4, 8, 1, NULL);

	if (map < 0 && (errno == EPERM || errno == EACCES))
		return explain_permission();
	if (map < 0 && errno == ENOSYS && status_number("\nSeccomp:", 10) == 2 &&
	    access(KERNEL_BTF, F_OK) == 0)
		return ml_error_new(
			ML_ERROR_UNSUPPORTED,
			"the bpf() system call is hidden by a seccomp filter (ENOSYS); in "
			"a container run it with --security-opt seccomp=unconfined");
	if (map < 0 && errno == ENOSYS)
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "this kernel is built without BPF (CONFIG_BPF_SYSCALL)");
	if (map < 0)
		return ml_bpf_error(errno, "making a BPF map", NULL);
	if (access(KERNEL_BTF, R_OK) != 0)
		return ml_error_new(ML_ERROR_UNSUPPORTED,
				    "this kernel gives no type information (%s: %s); it needs "
				    "CONFIG_DEBUG_INFO_BTF=y",
				    KERNEL_BTF, strerror(errno));
	return NULL;
}

/* What the user can do about @err, or NULL. */
static const char *remedy(int err)
{
	/* It may have any number: mostly EACCES or EINVAL; E2BIG or ENOSPC when it gave up. */
	if (log_state.is_refused)
		return "the kernel's verifier refused a program: please report it with the output "
		       "of -v";
	switch (err) {
	case EPERM:
	case EACCES:
		return "run as root; `memleak doctor` says what is in the way";
	case EMFILE:
		return "raise the limit of open files (ulimit -n)";
	case ENOMEM:
		return "not enough kernel memory for the tables: lower --max-blocks and "
		       "--stack-storage-size, or free memory";
	default:
		return NULL;
	}
}

struct ml_error *ml_bpf_error(int err, const char *what, const char *needs)
{
	ML_STRBUF_CLEANUP struct ml_strbuf text = {0};

	err = err < 0 ? -err : err;
	ml_strbuf_printf(&text, "%s: %s", what, strerror(err));
	for (unsigned int i = 0; i < log_state.count; i++)
		ml_strbuf_printf(&text, "%s%s", i ? "; " : " (", log_state.line[i]);
	if (log_state.count)
		ml_strbuf_putc(&text, ')');
	if (remedy(err))
		ml_strbuf_printf(&text, "; %s", remedy(err));
	else if (needs)
		ml_strbuf_printf(&text, "; this kernel may be too old: needs %s", needs);
	log_state.count = 0;
	log_state.is_refused = false;
	return ml_error_coded(ML_ERROR_UNSUPPORTED, err, "%s", ml_strbuf_text(&text));
}

struct ml_error *ml_bpf_load(struct bpf_object_skeleton *skeleton, const char *needs)
{
	int err = bpf_object__load_skeleton(skeleton);

	return err ? ml_bpf_error(err, "loading the BPF programs", needs) : NULL;
}
