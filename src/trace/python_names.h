/* SPDX-License-Identifier: BSD-2-Clause */
/** Names, files and lines of Python functions, read from the code objects of a running process. */
#ifndef ML_TRACE_PYTHON_NAMES_H
#define ML_TRACE_PYTHON_NAMES_H

#include "model/snapshot.h"
#include "trace/python_runtime.h"

struct ml_python_names;

struct ml_python_names *ml_python_names_create(void);
/** NULL is fine. */
void ml_python_names_destroy(struct ml_python_names *names);

/**
 * What @p frame runs in @p process, whose interpreter is @p python; NULL when it cannot be read.
 * Lives with @p names. A code object is read once, and again when another has taken its place.
 */
const struct ml_frame_name *ml_python_names_get(struct ml_python_names *names,
						const struct ml_python *python,
						const struct ml_process *process,
						const struct ml_python_frame *frame);

#endif
