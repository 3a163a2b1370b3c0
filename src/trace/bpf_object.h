/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * What every BPF tracer shares of loading: libbpf's words caught, failures explained, whether this
 * machine lets us at all.
 */
#ifndef ML_TRACE_BPF_OBJECT_H
#define ML_TRACE_BPF_OBJECT_H

#include "base/error.h"
#include "trace/tracer.h"

struct bpf_object_skeleton;

/**
 * From now on libbpf's messages go to @p options' note when it is verbose; else its last warnings
 * are kept to give the reason in ml_bpf_error(). libbpf has one callback for the whole process, so
 * the last call counts; @p options is borrowed until ml_bpf_log_stop().
 */
void ml_bpf_log_start(const struct ml_tracer_options *options);

/** Takes the borrowed note away again; messages are still kept for ml_bpf_error(). */
void ml_bpf_log_stop(void);

/**
 * NULL when this process may load and attach programs here. Else ML_ERROR_UNSUPPORTED: which of
 * capabilities, lockdown, the bpf() call, a seccomp filter or the kernel's BTF is in the way, and
 * what to do.
 */
struct ml_error *ml_bpf_support(void);

/**
 * An error for @p err (an errno value, either sign) met while doing @p what ("loading the
 * programs"), with libbpf's last words and what to do; forgets those words. @p needs (may be NULL)
 * says which kernel features are used, for when the kernel is too old ("Linux 5.12").
 */
struct ml_error *ml_bpf_error(int err, const char *what, const char *needs);

/** Loads an opened skeleton, with failures explained as by ml_bpf_error(). */
struct ml_error *ml_bpf_load(struct bpf_object_skeleton *skeleton, const char *needs);

#endif
