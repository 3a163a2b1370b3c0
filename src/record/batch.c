/* SPDX-License-Identifier: BSD-2-Clause */
#include "record/batch.h"

#include "base/array.h"
#include "base/cursor.h"
#include "base/leb.h"
#include "record/format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define COMPRESSION_LEVEL                                                                          \
	3 /* zstd's default: fast, and higher ones win little on small batches                     \
	   */

static uint32_t checksum(const void *head, size_t head_size, const void *body, size_t size)
{
	uLong crc = crc32(0, head, (uInt)head_size);

	return (uint32_t)(size ? crc32(crc, body, (uInt)size) : crc);
}

void ml_batch_write_header(struct ml_strbuf *out)
{
	size_t start = out->length;

	ml_strbuf_add(out, ML_RECORD_MAGIC, ML_RECORD_MAGIC_SIZE);
	ml_leb_fixed(out, ML_RECORD_MAJOR, 2);
	ml_leb_fixed(out, ML_RECORD_MINOR, 2);
	ml_leb_fixed(out, checksum(out->text + start, ML_RECORD_HEADER - 4, NULL, 0), 4);
}

/* Compresses into @packed; false when it does not pay, or does too well (see ML_BATCH_RATIO). */
static bool compress_content(const struct ml_strbuf *content, struct ml_strbuf *packed)
{
	size_t room = ZSTD_compressBound(content->length);

	packed->text = ml_grow(packed->text, &packed->capacity, room, 1);
	size_t size = ZSTD_compress(packed->text, room, content->text, content->length,
				    COMPRESSION_LEVEL);

	if (ZSTD_isError(size) || size >= content->length ||
	    size < content->length / ML_BATCH_RATIO + 1)
		return false;
	packed->length = size;
	return true;
}

void ml_batch_write(struct ml_strbuf *content, struct ml_strbuf *out)
{
	ML_STRBUF_CLEANUP struct ml_strbuf packed = {0};
	bool is_packed = compress_content(content, &packed);
	const struct ml_strbuf *stored = is_packed ? &packed : content;
	size_t start = out->length;

	ml_leb_fixed(out, ML_BATCH_KIND, 1);
	ml_leb_fixed(out, is_packed ? ML_BATCH_ZSTD : 0, 1);
	ml_leb_fixed(out, 0, 2);
	ml_leb_fixed(out, stored->length, 4);
	ml_leb_fixed(out, content->length, 4);
	ml_leb_fixed(out,
		     checksum(out->text + start, ML_BATCH_HEADER - 4, stored->text, stored->length),
		     4);
	ml_strbuf_add(out, stored->text, stored->length);
	ml_strbuf_clear(content);
}

/* Reads up to @size bytes, fewer only at the end of the file. */
static struct ml_error *read_bytes(int fd, void *buffer, size_t size, size_t *got)
{
	*got = 0;
	while (*got < size) {
		ssize_t count = read(fd, (char *)buffer + *got, size - *got);

		if (count < 0 && errno != EINTR)
			return ml_error_errno(errno, "cannot read");
		if (!count)
			break;
		*got += count > 0 ? (size_t)count : 0;
	}
	return NULL;
}

static struct ml_error *check_header(const uint8_t *bytes, size_t size)
{
	struct ml_cursor cursor = {.at = bytes, .end = bytes + size};
	size_t magic = size < ML_RECORD_MAGIC_SIZE ? size : ML_RECORD_MAGIC_SIZE;

	if (!size)
		return ml_error_new(ML_ERROR_FORMAT, "not a recording: the file is empty");
	if (memcmp(bytes, ML_RECORD_MAGIC, magic))
		return ml_error_new(ML_ERROR_FORMAT,
				    "not a recording of memleak (memleak -w FILE.ml "
				    "makes them)");
	if (size < ML_RECORD_HEADER)
		return ml_error_new(ML_ERROR_FORMAT, "the recording ends within its header");
	cursor.at += ML_RECORD_MAGIC_SIZE;
	unsigned int major = (unsigned int)ml_cursor_unsigned(&cursor, 2);

	cursor.at += 2;
	if (ml_cursor_unsigned(&cursor, 4) != checksum(bytes, ML_RECORD_HEADER - 4, NULL, 0))
		return ml_error_new(ML_ERROR_FORMAT, "the recording's header is damaged");
	if (major != ML_RECORD_MAJOR)
		return ml_error_new(
			ML_ERROR_FORMAT,
			"the recording has format %u, this memleak reads format %d: use "
			"the memleak that made it",
			major, ML_RECORD_MAJOR);
	return NULL;
}

struct ml_error *ml_batch_read_header(struct ml_batch_reader *reader)
{
	uint8_t bytes[ML_RECORD_HEADER];
	size_t got;
	struct ml_error *error = read_bytes(reader->fd, bytes, sizeof(bytes), &got);

	if (!error)
		error = check_header(bytes, got);
	if (!error)
		reader->offset = sizeof(bytes);
	return error;
}

static void cut(struct ml_batch_reader *reader, const char *why)
{
	snprintf(reader->cut, sizeof(reader->cut), "%s at byte %" PRIu64, why, reader->offset);
}

struct batch_header {
	uint8_t kind, flags;
	uint32_t stored, content, crc;
};

/* True when the header's sizes can be believed; the checksum comes later. */
static bool parse_batch_header(const uint8_t *bytes, struct batch_header *out)
{
	struct ml_cursor cursor = {.at = bytes, .end = bytes + ML_BATCH_HEADER};
	struct batch_header header;

	header.kind = ml_cursor_u8(&cursor);
	header.flags = ml_cursor_u8(&cursor);
	cursor.at += 2;
	header.stored = (uint32_t)ml_cursor_unsigned(&cursor, 4);
	header.content = (uint32_t)ml_cursor_unsigned(&cursor, 4);
	header.crc = (uint32_t)ml_cursor_unsigned(&cursor, 4);
	*out = header;
	if (header.kind != ML_BATCH_KIND || (header.flags & ~ML_BATCH_ZSTD) ||
	    header.content > ML_BATCH_MAX)
		return false;
	if (header.flags & ML_BATCH_ZSTD)
		return header.stored < header.content &&
		       header.content / ML_BATCH_RATIO <= header.stored;
	return header.stored == header.content;
}

static bool unpack(const struct batch_header *header, const struct ml_strbuf *stored,
		   struct ml_strbuf *content)
{
	content->text = ml_grow(content->text, &content->capacity, header->content + 1, 1);
	content->length = header->content;
	if (!(header->flags & ML_BATCH_ZSTD)) {
		memcpy(content->text, stored->text, header->content);
		return true;
	}
	return ZSTD_decompress(content->text, header->content, stored->text, header->stored) ==
	       header->content;
}

struct ml_error *ml_batch_read(struct ml_batch_reader *reader, struct ml_strbuf *content,
			       bool *is_there)
{
	struct ml_strbuf *stored = &reader->stored;
	uint8_t bytes[ML_BATCH_HEADER];
	struct batch_header header;
	size_t got;
	struct ml_error *error = read_bytes(reader->fd, bytes, sizeof(bytes), &got);

	*is_there = false;
	if (error || !got)
		return error;
	if (got < sizeof(bytes)) {
		cut(reader, "cut off");
		return NULL;
	}
	if (!parse_batch_header(bytes, &header)) {
		cut(reader, "damaged");
		return NULL;
	}
	stored->text = ml_grow(stored->text, &stored->capacity, header.stored + 1, 1);
	error = read_bytes(reader->fd, stored->text, header.stored, &got);
	if (error)
		return error;
	if (got < header.stored)
		cut(reader, "cut off");
	else if (checksum(bytes, sizeof(bytes) - 4, stored->text, header.stored) != header.crc ||
		 !unpack(&header, stored, content))
		cut(reader, "damaged");
	else
		*is_there = true;
	if (*is_there)
		reader->offset += sizeof(bytes) + header.stored;
	return NULL;
}

void ml_batch_reader_deinit(struct ml_batch_reader *reader)
{
	ml_strbuf_free(&reader->stored);
}
