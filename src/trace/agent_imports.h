/* SPDX-License-Identifier: BSD-2-Clause */
/** Where the modules of a process call a function by their global offset tables. */
#ifndef ML_TRACE_AGENT_IMPORTS_H
#define ML_TRACE_AGENT_IMPORTS_H

#include "inject/injection.h"
#include "trace/code_map.h"

/** What is looked through. Borrowed. */
struct ml_agent_imports {
	const struct ml_process *process;
	const struct ml_code_map *code;
};

/**
 * For struct ml_injection_imports: the words that may be written over without anything but calls
 * being led elsewhere. Not those whose value the code takes, which it may keep for longer than the
 * stub it would lead to is there; nor those of which it is not certain to what the loader will bind
 * them at the first call. True when none had to be left, and the function is a library's, which
 * others call by its name: when there are no words either, nobody calls it yet.
 */
bool ml_agent_imports_find(void *imports, const struct ml_injection_function *function,
			   ml_injection_words *out);

#endif
