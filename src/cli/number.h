/* SPDX-License-Identifier: BSD-2-Clause */
/** Numbers as people type them, taken strictly: nothing before, nothing behind, nothing rounded. */
#ifndef ML_CLI_NUMBER_H
#define ML_CLI_NUMBER_H

#include "base/error.h"

#include <stdint.h>

/**
 * A decimal whole number from @p min to @p max (UINT64_MAX: no limit to name). ML_ERROR_USAGE
 * quotes @p text and says what is wrong with it.
 */
struct ml_error *ml_number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/** Seconds, with a fraction if wanted ("5", "0.25", ".5"), as nanoseconds: 1 ms to one year. */
struct ml_error *ml_number_seconds(const char *text, uint64_t *out_ns);

#endif
