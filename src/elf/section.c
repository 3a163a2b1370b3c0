/* SPDX-License-Identifier: BSD-2-Clause */
#include "elf/module_private.h"

#include <stdlib.h>

/* The largest .debug_info of distributions (Chromium, LLVM) is below this. */
#define SECTION_SIZE_MAX (1ULL << 30)

static const struct ml_loaded_section *load_section(struct ml_module *module,
						    const Elf64_Shdr *header)
{
	ml_array_each (loaded, &module->sections) {
		if (loaded->header == header)
			return loaded;
	}

	struct ml_loaded_section *loaded = ml_array_push(&module->sections);

	*loaded = (struct ml_loaded_section){.header = header};

	uint64_t size = ml_image_section_size(&module->image, header);

	if (size == 0 || size > SECTION_SIZE_MAX)
		return loaded;
	loaded->size = (size_t)size;
	loaded->bytes = malloc(loaded->size);
	if (loaded->bytes &&
	    !ml_image_section_read(&module->image, header, loaded->bytes, loaded->size)) {
		free(loaded->bytes);
		loaded->bytes = NULL;
	}
	return loaded;
}

bool ml_module_section(struct ml_module *module, const char *name, struct ml_section *out)
{
	module = ml_module_original(module);

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

void ml_module_drop_section(struct ml_module *module, const char *name)
{
	module = ml_module_original(module);

	const Elf64_Shdr *header = ml_image_section_named(&module->image, name);

	for (size_t i = 0; header && i < module->sections.count; i++) {
		struct ml_loaded_section *loaded = &module->sections.items[i];

		if (loaded->header != header)
			continue;
		free(loaded->bytes);
		*loaded = module->sections.items[--module->sections.count];
		return;
	}
}

void ml_module_free_sections(struct ml_module *module)
{
	ml_array_each (loaded, &module->sections)
		free(loaded->bytes);
	ml_array_free(&module->sections);
}
