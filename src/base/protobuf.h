/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Writes Protocol Buffers (the wire format of proto3) into a string buffer: messages are nested by
 * writing the inner one into a buffer of its own first. Values that are the default (0, "") are
 * left out, as proto3 wants it.
 */
#ifndef ML_BASE_PROTOBUF_H
#define ML_BASE_PROTOBUF_H

#include "base/strbuf.h"

#include <stddef.h>
#include <stdint.h>

/** uint64, int64 (as two's complement), bool and enum. */
void ml_protobuf_u64(struct ml_strbuf *out, unsigned int field, uint64_t value);

/** An element of repeated strings, bytes or messages: written even when empty. */
void ml_protobuf_bytes(struct ml_strbuf *out, unsigned int field, const void *bytes, size_t length);

/** A message written before into @p message. */
void ml_protobuf_message(struct ml_strbuf *out, unsigned int field,
			 const struct ml_strbuf *message);

/** Repeated uint64 or int64, packed; nothing when there are none. */
void ml_protobuf_packed(struct ml_strbuf *out, unsigned int field, const uint64_t *values,
			size_t count);

#endif
