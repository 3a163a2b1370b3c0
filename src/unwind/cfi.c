/* SPDX-License-Identifier: BSD-2-Clause */
#include "unwind/cfi.h"

#include <dwarf.h>

/* DW_EH_PE_* are two fields in a byte: how the number is stored, and what it is relative to. */
#define ENCODING_FORMAT      0x0f
#define ENCODING_APPLICATION 0x70
#define ENCODING_INDIRECT    0x80

static uint64_t pointer_value(struct ml_cursor *cursor, uint8_t format)
{
	switch (format) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		return ml_cursor_unsigned(cursor, 8);
	case DW_EH_PE_uleb128:
		return ml_cursor_uleb(cursor);
	case DW_EH_PE_sleb128:
		return (uint64_t)ml_cursor_sleb(cursor);
	case DW_EH_PE_udata2:
		return ml_cursor_unsigned(cursor, 2);
	case DW_EH_PE_sdata2:
		return (uint64_t)ml_cursor_signed(cursor, 2);
	case DW_EH_PE_udata4:
		return ml_cursor_unsigned(cursor, 4);
	case DW_EH_PE_sdata4:
		return (uint64_t)ml_cursor_signed(cursor, 4);
	default:
		ml_cursor_fail(cursor);
		return 0;
	}
}

uint64_t ml_cfi_pointer(const struct ml_cfi_section *section, struct ml_cursor *cursor,
			uint8_t encoding)
{
	uint64_t base;

	if (encoding & ENCODING_INDIRECT) {
		ml_cursor_fail(cursor);
		return 0;
	}
	switch (encoding & ENCODING_APPLICATION) {
	case DW_EH_PE_absptr:
		base = 0;
		break;
	case DW_EH_PE_pcrel:
		base = section->address + (uint64_t)(cursor->at - section->bytes);
		break;
	case DW_EH_PE_textrel:
		base = section->text;
		break;
	case DW_EH_PE_datarel:
		base = section->data;
		break;
	default:
		ml_cursor_fail(cursor);
		return 0;
	}
	return base + pointer_value(cursor, encoding & ENCODING_FORMAT);
}

/** Reads what follows the length: whether it is a CIE, and else where its CIE is. */
static bool record_identify(const struct ml_cfi_section *section, struct ml_cfi_record *record,
			    bool is_dwarf64)
{
	/* LSB 5 §10.6.1: the CIE id of .eh_frame has 4 bytes, also after an extended length. */
	size_t size = is_dwarf64 && !section->is_eh ? 8 : 4;
	uint64_t at = (uint64_t)(record->body.at - section->bytes);
	uint64_t id = ml_cursor_unsigned(&record->body, size);
	uint64_t cie_id = section->is_eh ? 0 : size == 8 ? UINT64_MAX : UINT32_MAX;

	if (record->body.failed)
		return false;
	record->kind = id == cie_id ? ML_CFI_CIE : ML_CFI_FDE;
	record->cie_offset = section->is_eh ? at - id : id;
	return true;
}

bool ml_cfi_record_next(const struct ml_cfi_section *section, uint64_t *offset,
			struct ml_cfi_record *out)
{
	while (*offset < section->size) {
		struct ml_cursor cursor = {.at = section->bytes + *offset,
					   .end = section->bytes + section->size};
		uint64_t length = ml_cursor_unsigned(&cursor, 4);
		bool is_dwarf64 = length == UINT32_MAX;

		out->offset = *offset;
		if (is_dwarf64)
			length = ml_cursor_unsigned(&cursor, 8);
		out->body = ml_cursor_take(&cursor, length);
		if (cursor.failed)
			return false;
		*offset = (uint64_t)(cursor.at - section->bytes);
		/* A record too short for its own id says nothing; the next one may. */
		if (length && record_identify(section, out, is_dwarf64))
			return true;
	}
	return false;
}

/** Takes the data that the letters of the augmentation announce. */
static bool augmentation_parse(const struct ml_cfi_section *section, const char *letters,
			       struct ml_cursor *data, struct ml_cfi_cie *cie)
{
	for (; *letters; letters++) {
		uint8_t encoding;

		switch (*letters) {
		case 'R':
			cie->pointer_encoding = ml_cursor_u8(data);
			break;
		case 'L':
			ml_cursor_u8(data);
			break;
		case 'P':
			encoding = ml_cursor_u8(data);
			/* The personality is usually read through the GOT: only its size counts. */
			pointer_value(data, encoding & ENCODING_FORMAT);
			break;
		case 'S': /* a signal frame: known by its expressions, see ml_frame_row() */
		case 'B': /* pointers are signed; says nothing on x86-64 */
			break;
		default:
			return false;
		}
	}
	return !data->failed;
}

/** Reads the augmentation string and what belongs to it, up to the alignment factors. */
static const char *cie_head_parse(struct ml_cursor *body, uint8_t *version)
{
	*version = ml_cursor_u8(body);

	const char *augmentation = ml_cursor_text(body);

	if (!augmentation || (*version != 1 && *version != 3 && *version != 4))
		return NULL;
	if (*version == 4) {
		uint8_t address_size = ml_cursor_u8(body);
		uint8_t segment_size = ml_cursor_u8(body);

		if (address_size != 8 || segment_size)
			return NULL;
	}
	/* gcc 2 put a pointer to its exception table here. */
	if (!strcmp(augmentation, "eh")) {
		ml_cursor_unsigned(body, 8);
		return "";
	}
	return augmentation;
}

bool ml_cfi_cie_parse(const struct ml_cfi_section *section, const struct ml_cfi_record *record,
		      struct ml_cfi_cie *out)
{
	struct ml_cursor body = record->body;
	struct ml_cfi_cie cie = {.pointer_encoding = DW_EH_PE_absptr};
	uint8_t version;
	const char *augmentation = cie_head_parse(&body, &version);

	if (!augmentation)
		return false;
	cie.code_align = ml_cursor_uleb(&body);
	cie.data_align = ml_cursor_sleb(&body);
	cie.ra_register = version == 1 ? ml_cursor_u8(&body) : ml_cursor_uleb(&body);
	if (*augmentation == 'z') {
		uint64_t size = ml_cursor_uleb(&body);
		struct ml_cursor data = ml_cursor_take(&body, size);

		cie.has_augmentation_data = true;
		if (data.failed || !augmentation_parse(section, augmentation + 1, &data, &cie))
			return false;
	} else if (*augmentation) {
		return false;
	}
	cie.instructions = body;
	if (body.failed)
		return false;
	*out = cie;
	return true;
}

bool ml_cfi_fde_parse(const struct ml_cfi_section *section, const struct ml_cfi_record *record,
		      const struct ml_cfi_cie *cie, struct ml_cfi_fde *out)
{
	struct ml_cursor body = record->body;
	struct ml_cfi_fde fde = {0};

	fde.start = ml_cfi_pointer(section, &body, cie->pointer_encoding);
	fde.size = pointer_value(&body, cie->pointer_encoding & ENCODING_FORMAT);
	if (cie->has_augmentation_data)
		ml_cursor_take(&body, ml_cursor_uleb(&body));
	if (body.failed)
		return false;
	fde.instructions = body;
	*out = fde;
	return true;
}
