/* SPDX-License-Identifier: BSD-2-Clause */
/* .gnu_debugdata: an xz-compressed ELF with the .symtab that a distribution (Fedora) stripped. */
#include "elf/symbol_table.h"

#include <lzma.h>
#include <stdlib.h>

#define COMPRESSED_MAX   (64ULL << 20)
#define DECOMPRESSED_MAX (256ULL << 20)
/* Symbol tables shrink to a fifth or so; a bomb of zeroes to a thousandth. */
#define RATIO_MAX          200ULL
#define RATIO_FREE         (1ULL << 20)
#define DECODER_MEMORY_MAX (128ULL << 20)
#define FIRST_SIZE         (256U << 10)

/* Makes the output twice as large; false at @p limit. */
static bool grow(lzma_stream *stream, uint8_t **bytes, size_t *capacity, size_t limit)
{
	size_t used = (size_t)stream->total_out;
	size_t wanted = *capacity ? *capacity * 2 : FIRST_SIZE;

	if (wanted > limit)
		wanted = limit;
	if (wanted <= used)
		return false;

	uint8_t *grown = realloc(*bytes, wanted);

	if (!grown)
		return false;
	*bytes = grown;
	*capacity = wanted;
	stream->next_out = grown + used;
	stream->avail_out = wanted - used;
	return true;
}

static void *decompress(const uint8_t *compressed, size_t size, size_t *out_size)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	size_t limit = RATIO_FREE + RATIO_MAX * size;
	size_t capacity = 0;
	uint8_t *bytes = NULL;
	lzma_ret status = lzma_stream_decoder(&stream, DECODER_MEMORY_MAX, 0);

	if (limit > DECOMPRESSED_MAX)
		limit = DECOMPRESSED_MAX;
	stream.next_in = compressed;
	stream.avail_in = size;
	while (status == LZMA_OK) {
		if (stream.avail_out == 0 && !grow(&stream, &bytes, &capacity, limit))
			break;
		status = lzma_code(&stream, LZMA_FINISH);
	}
	*out_size = (size_t)stream.total_out;
	lzma_end(&stream);
	if (status == LZMA_STREAM_END)
		return bytes;
	free(bytes);
	return NULL;
}

void *ml_mini_debug_info_load(const struct ml_image *image, size_t *size)
{
	const Elf64_Shdr *section = ml_image_section_named(image, ML_MINI_DEBUG_INFO);

	if (!section)
		return NULL;

	uint8_t *compressed =
		ml_image_load(image, section->sh_offset, section->sh_size, COMPRESSED_MAX);

	if (!compressed)
		return NULL;

	void *bytes = decompress(compressed, section->sh_size, size);

	free(compressed);
	return bytes;
}
