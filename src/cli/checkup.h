/* SPDX-License-Identifier: BSD-2-Clause */
/** What memleak doctor finds: named checks, each with what to do about it. */
#ifndef ML_CLI_CHECKUP_H
#define ML_CLI_CHECKUP_H

#include "allocators/allocator.h"
#include "base/array.h"
#include "target/process.h"
#include "trace/code_map.h"

#include <stdbool.h>

enum ml_check_status {
	ML_CHECK_OK,
	ML_CHECK_WARN, /**< works, with a limit that is named */
	ML_CHECK_FAIL, /**< does not work */
};

struct ml_check {
	const char *name; /**< static */
	enum ml_check_status status;
	char *detail; /**< owned */
	char *remedy; /**< owned; NULL when there is nothing to do */
};

/** One way to trace. */
struct ml_backend_state {
	bool is_usable;
	char *reason; /**< why not; owned, NULL when usable */
};

struct ml_checkup {
	ML_ARRAY(struct ml_check) checks;
	struct ml_backend_state bpf, agent, kernel;
};

/** Adds a check; @p detail and @p remedy (may be NULL) are taken over. */
void ml_checkup_add(struct ml_checkup *checkup, const char *name, enum ml_check_status status,
		    char *detail, char *remedy);

/** A formatted string for ml_checkup_add(). Never NULL. */
char *ml_checkup_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Says why @p state is not usable, unless there is a reason already; @p reason is taken over. */
void ml_checkup_refuse(struct ml_backend_state *state, char *reason);

/** What this machine lets us do; fills the backends, too. Nothing is attached. */
void ml_checkup_machine(struct ml_checkup *checkup);

/** What is special about @p process; looks for allocators as tracing would. */
void ml_checkup_process(struct ml_checkup *checkup, const struct ml_process *process,
			const struct ml_allocator_options *options);

/** Which files of @p code, the code of @p process, have names and lines for its frames. */
void ml_checkup_symbols(struct ml_checkup *checkup, const struct ml_process *process,
			const struct ml_code_map *code);

/** Looks for an agent in @p process; with @p repairs one that is stale is taken out. */
void ml_checkup_agent(struct ml_checkup *checkup, const struct ml_process *process, bool repairs);

void ml_checkup_deinit(struct ml_checkup *checkup);

#endif
