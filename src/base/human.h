/* SPDX-License-Identifier: BSD-2-Clause */
/** Figures in the form people read. */
#ifndef ML_BASE_HUMAN_H
#define ML_BASE_HUMAN_H

#include <stdint.h>

/** Room for any text of these functions. */
#define ML_HUMAN_TEXT 32

/** "512 B", "8.0 KiB", "-1.2 MiB" of @p bytes into @p text; gives @p text. */
const char *ml_human_bytes(double bytes, char text[ML_HUMAN_TEXT]);

/** "00:01:23", "3d 04:05:06" of @p seconds into @p text; gives @p text. */
const char *ml_human_duration(uint64_t seconds, char text[ML_HUMAN_TEXT]);

/** "8.0 KiB/s"; what is less than a byte a second by the minute, the hour or the day. */
const char *ml_human_rate(double bytes_per_s, char text[ML_HUMAN_TEXT]);

/** About how long: "1.5 s", "12 s", "3 min", "5.0 h", "4.2 days" of @p seconds. */
const char *ml_human_time(double seconds, char text[ML_HUMAN_TEXT]);

#endif
