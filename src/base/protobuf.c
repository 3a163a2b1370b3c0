/* SPDX-License-Identifier: BSD-2-Clause */
/* https://protobuf.dev/programming-guides/encoding/ */
#include "base/protobuf.h"

#include "base/leb.h"

enum wire_type { WIRE_VARINT = 0, WIRE_LENGTH = 2 };

static void put_tag(struct ml_strbuf *out, unsigned int field, enum wire_type type)
{
	ml_leb_unsigned(out, (uint64_t)field << 3 | type);
}

void ml_protobuf_u64(struct ml_strbuf *out, unsigned int field, uint64_t value)
{
	if (!value)
		return;
	put_tag(out, field, WIRE_VARINT);
	ml_leb_unsigned(out, value);
}

void ml_protobuf_bytes(struct ml_strbuf *out, unsigned int field, const void *bytes, size_t length)
{
	put_tag(out, field, WIRE_LENGTH);
	ml_leb_unsigned(out, length);
	ml_strbuf_add(out, bytes, length);
}

void ml_protobuf_message(struct ml_strbuf *out, unsigned int field, const struct ml_strbuf *message)
{
	ml_protobuf_bytes(out, field, ml_strbuf_text(message), message->length);
}

void ml_protobuf_packed(struct ml_strbuf *out, unsigned int field, const uint64_t *values,
			size_t count)
{
	ML_STRBUF_CLEANUP struct ml_strbuf packed = {0};

	if (!count)
		return;
	for (size_t i = 0; i < count; i++)
		ml_leb_unsigned(&packed, values[i]);
	ml_protobuf_message(out, field, &packed);
}
