/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Probes on functions of a process, by the best kind of link the kernel has.
 *
 * *session* (Linux 6.13): one program for entry and return, the return skipped at the entry's word;
 * *multi* (6.6): many probes a link; *perf* (5.15, for cookies): one link a probe, slow to take
 * out. libbpf 1.1.2 knows the last only, so the others are made by bpf(BPF_LINK_CREATE).
 */
#ifndef ML_TRACE_UPROBE_LINK_H
#define ML_TRACE_UPROBE_LINK_H

#include "base/array.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum ml_link_kind { ML_LINK_SESSION, ML_LINK_MULTI, ML_LINK_PERF };

/** The best kind this kernel has. Asks by trying, never by version. */
enum ml_link_kind ml_link_kind_best(void);

/** The kind called @p name ("session", "multi", "perf"); false when there is none. */
bool ml_link_kind_named(const char *name, enum ml_link_kind *out);

/** The expected_attach_type programs need to be loaded with for @p kind (0 for perf). */
uint32_t ml_link_attach_type(enum ml_link_kind kind);

/** Loads the least program ("return 0") for links of @p kind; a descriptor, negative on failure. */
int ml_link_trial_program(enum ml_link_kind kind);

/** Where to probe: byte offsets in the file behind `file_fd`, and each probe's cookie. */
struct ml_probe_set {
	int file_fd;           /**< borrowed */
	const char *file_name; /**< for errors */
	pid_t pid;             /**< only this process */
	const uint64_t *offsets;
	const uint64_t *cookies;
	size_t count;
};

struct ml_link {
	int fd;          /**< closing it takes the probe out */
	bool goes_first; /**< see ml_link_keeper_give() */
};

/** The links made so far. */
struct ml_links {
	ML_ARRAY(struct ml_link) list;
};

/**
 * Attaches @p program_fd to all of @p set; @p is_return: at the functions' returns (not for session
 * programs, which do both). On failure nothing stays attached. EINVAL can mean another tool's probe
 * with a reference counter on the same instruction: the error says so.
 */
struct ml_error *ml_links_attach(struct ml_links *links, enum ml_link_kind kind, int program_fd,
				 bool is_return, const struct ml_probe_set *set);

/** Takes all probes out. */
void ml_links_close(struct ml_links *links);

#endif
