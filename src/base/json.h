/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Writes JSON (RFC 8259) to a stream: valid UTF-8 whatever the strings hold, no locale.
 *
 * Every function takes the member's name as @p key, NULL inside an array and at the top level. The
 * caller closes what it opened; nothing is indented, so a document is one line.
 */
#ifndef ML_BASE_JSON_H
#define ML_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** `{.out = stream}` is ready to use. */
struct ml_json {
	FILE *out;        /**< borrowed; errors are for the caller to ask ferror() about */
	bool needs_comma; /**< something stands before, in the same object or array */
};

void ml_json_object_begin(struct ml_json *json, const char *key);
void ml_json_object_end(struct ml_json *json);
void ml_json_array_begin(struct ml_json *json, const char *key);
void ml_json_array_end(struct ml_json *json);

/** Bytes that are not UTF-8 become U+FFFD, control characters \u00XX; NULL is null. */
void ml_json_string(struct ml_json *json, const char *key, const char *value);
void ml_json_u64(struct ml_json *json, const char *key, uint64_t value);
void ml_json_i64(struct ml_json *json, const char *key, int64_t value);
/** NaN and the infinities, which JSON lacks, are null. */
void ml_json_double(struct ml_json *json, const char *key, double value);
void ml_json_bool(struct ml_json *json, const char *key, bool value);
void ml_json_null(struct ml_json *json, const char *key);
/** @p length bytes that are JSON already. */
void ml_json_raw(struct ml_json *json, const char *key, const char *value, size_t length);
/** An address: "0x…", a string because most readers keep numbers to 53 bits only. */
void ml_json_hex(struct ml_json *json, const char *key, uint64_t value);

#endif
