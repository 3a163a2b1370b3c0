/* SPDX-License-Identifier: BSD-2-Clause */
/** A history as one line of characters. */
#ifndef ML_LIVE_SPARKLINE_H
#define ML_LIVE_SPARKLINE_H

#include "base/strbuf.h"
#include "model/timeline.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Adds @p columns characters: the live bytes of @p points from @p from_ns to @p to_ns, each column
 * the last value known at its end, zero before the first. The height is relative to the highest
 * one, and zero is the bottom, so what does not change is a straight line at the top. @p wide:
 * block elements (U+2581 …), else ASCII.
 */
void ml_sparkline(const struct ml_timeline_point *points, size_t count, uint64_t from_ns,
		  uint64_t to_ns, unsigned int columns, bool wide, struct ml_strbuf *out);

#endif
