/* SPDX-License-Identifier: BSD-2-Clause */
#include "elf/module_private.h"

#include <stdlib.h>
#include <string.h>

/* The largest .debug_info of distributions (Chromium, LLVM) is below this. */
#define SECTION_SIZE_MAX (1ULL << 30)

/* Compressed sections go through libelf, which refuses more than zlib's best ratio of 1032:1. */
static void decompress(struct ml_module *module, struct ml_loaded_section *loaded)
{
	size_t index = (size_t)(loaded->header - module->image.sections);
	Elf_Scn *section = elf_getscn(module->elf, index);
	Elf64_Chdr header;

	if (!section ||
	    !ml_image_read(&module->image, loaded->header->sh_offset, &header, sizeof(header)) ||
	    header.ch_size > SECTION_SIZE_MAX)
		return;
	/* A DWARF reader may have decompressed this one already. */
	Elf64_Shdr *now = elf64_getshdr(section);

	if (!now || ((now->sh_flags & SHF_COMPRESSED) && elf_compress(section, 0, 0) < 0))
		return;

	Elf_Data *data = elf_rawdata(section, NULL);

	if (!data || !data->d_buf || data->d_size > SECTION_SIZE_MAX)
		return;
	loaded->bytes = malloc(data->d_size ? data->d_size : 1);
	if (!loaded->bytes)
		return;
	memcpy(loaded->bytes, data->d_buf, data->d_size);
	loaded->size = data->d_size;
}

static const struct ml_loaded_section *load_section(struct ml_module *module,
						    const Elf64_Shdr *header)
{
	ml_array_each (loaded, &module->sections) {
		if (loaded->header == header)
			return loaded;
	}

	struct ml_loaded_section *loaded = ml_array_push(&module->sections);

	*loaded = (struct ml_loaded_section){.header = header};
	if (header->sh_flags & SHF_COMPRESSED) {
		decompress(module, loaded);
		return loaded;
	}
	loaded->bytes =
		ml_image_load(&module->image, header->sh_offset, header->sh_size, SECTION_SIZE_MAX);
	loaded->size = header->sh_size;
	return loaded;
}

bool ml_module_section(struct ml_module *module, const char *name, struct ml_section *out)
{
	const Elf64_Shdr *header = ml_image_section_named(&module->image, name);

	if (!header)
		return false;

	const struct ml_loaded_section *loaded = load_section(module, header);

	if (!loaded->bytes || loaded->size == 0)
		return false;
	*out = (struct ml_section){
		.address = (header->sh_flags & SHF_ALLOC) ? header->sh_addr : 0,
		.bytes = loaded->bytes,
		.size = loaded->size,
	};
	return true;
}

void ml_module_free_sections(struct ml_module *module)
{
	ml_array_each (loaded, &module->sections)
		free(loaded->bytes);
	ml_array_free(&module->sections);
}
