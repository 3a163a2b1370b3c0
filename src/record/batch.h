/* SPDX-License-Identifier: BSD-2-Clause */
/** Header and batches of a recording: compressed, each with a checksum. */
#ifndef ML_RECORD_BATCH_H
#define ML_RECORD_BATCH_H

#include "base/error.h"
#include "base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Adds the 16 bytes a recording begins with. */
void ml_batch_write_header(struct ml_strbuf *out);

/** Adds one batch that holds @p content, which is at most ML_BATCH_MAX bytes and is emptied. */
void ml_batch_write(struct ml_strbuf *content, struct ml_strbuf *out);

/** Reads a recording from the front to the end; also from a pipe. */
struct ml_batch_reader {
	int fd;          /**< borrowed */
	uint64_t offset; /**< bytes read of whole batches and the header */
	/** Why there is no further batch though the end was not reached in order; "" so far. */
	char cut[120];
	struct ml_strbuf stored; /**< memory of the batch being read */
};

/**
 * Reads and checks the header. ML_ERROR_FORMAT says what the file is instead, or that another
 * version wrote it.
 */
struct ml_error *ml_batch_read_header(struct ml_batch_reader *reader);

/**
 * Reads the next batch into @p content. False at the end of the file; when that is within a batch,
 * or the batch's checksum is wrong, `cut` says so. An error is one of reading.
 */
struct ml_error *ml_batch_read(struct ml_batch_reader *reader, struct ml_strbuf *content,
			       bool *is_there);

void ml_batch_reader_deinit(struct ml_batch_reader *reader);

#endif
