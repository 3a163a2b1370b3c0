/* SPDX-License-Identifier: BSD-2-Clause */
/** --trace: one line a call. */
#ifndef ML_CLI_CALL_PRINTER_H
#define ML_CLI_CALL_PRINTER_H

#include "base/strbuf.h"
#include "cli/output.h"
#include "trace/tracer.h"

#include <stdint.h>
#include <time.h>

struct ml_call_printer {
	struct ml_strbuf text;  /**< lines not written yet */
	uint64_t allocs, frees; /**< printed so far; realloc is both */
	uint64_t alloc_bytes;
	uint64_t real_offset_ns; /**< CLOCK_REALTIME minus CLOCK_MONOTONIC */
	time_t second;           /**< of the newest line … */
	char clock[16];          /**< … and its text */
};

/** Starts with the header line and reads the clocks. */
void ml_call_printer_init(struct ml_call_printer *printer);
void ml_call_printer_deinit(struct ml_call_printer *printer);

/** Adds one call: the sink of ml_tracer_ops.dispatch(); @p printer is a struct ml_call_printer. */
void ml_call_printer_add(void *printer, const struct ml_traced_call *call);

/** Writes what was added. */
struct ml_error *ml_call_printer_flush(struct ml_call_printer *printer, struct ml_output *output);

#endif
