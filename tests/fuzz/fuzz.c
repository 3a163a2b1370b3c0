/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz.h"

#include "base/array.h"

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = ml_alloc(size + 1);

	if (size > 0)
		memcpy(text, data, size);
	return text;
}

int fuzz_file(const uint8_t *data, size_t size)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	FUZZ_CHECK(fd >= 0);
	while (size > 0) {
		ssize_t written = write(fd, data, size);

		FUZZ_CHECK(written > 0);
		data += written;
		size -= (size_t)written;
	}
	return fd;
}

struct ml_module *fuzz_module(const uint8_t *data, size_t size)
{
	struct ml_module *module = NULL;

	ml_error_free(ml_module_open(fuzz_file(data, size), "/nowhere/input", &module));
	return module;
}

void fuzz_take(const uint8_t **data, size_t *size, void *out, size_t out_size)
{
	size_t taken = *size < out_size ? *size : out_size;

	memset(out, 0, out_size);
	if (taken > 0)
		memcpy(out, *data, taken);
	*data += taken;
	*size -= taken;
}

/** The file that fuzz_module_with_section() makes, without the section's bytes at its end. */
struct wrapper {
	Elf64_Ehdr header;
	Elf64_Phdr code;
	Elf64_Shdr sections[4];
	char names[64];
};

struct ml_module *fuzz_module_with_section(const char *name, const uint8_t *data, size_t size)
{
	static const char first_names[] = "\0.shstrtab\0.text";
	struct wrapper wrapper = {
		.header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				       EV_CURRENT},
			   .e_type = ET_EXEC,
			   .e_machine = EM_X86_64,
			   .e_version = EV_CURRENT,
			   .e_phoff = offsetof(struct wrapper, code),
			   .e_shoff = offsetof(struct wrapper, sections),
			   .e_ehsize = sizeof(Elf64_Ehdr),
			   .e_phentsize = sizeof(Elf64_Phdr),
			   .e_phnum = 1,
			   .e_shentsize = sizeof(Elf64_Shdr),
			   .e_shnum = 4,
			   .e_shstrndx = 1},
		.code = {.p_type = PT_LOAD,
			 .p_flags = PF_R | PF_X,
			 .p_vaddr = FUZZ_CODE_ADDRESS,
			 .p_memsz = FUZZ_CODE_SIZE},
		.sections = {[1] = {.sh_name = 1,
				    .sh_type = SHT_STRTAB,
				    .sh_offset = offsetof(struct wrapper, names),
				    .sh_size = sizeof(wrapper.names)},
			     [2] = {.sh_name = 11,
				    .sh_type = SHT_NOBITS,
				    .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
				    .sh_addr = FUZZ_CODE_ADDRESS,
				    .sh_size = FUZZ_CODE_SIZE},
			     [3] = {.sh_name = sizeof(first_names),
				    .sh_type = SHT_PROGBITS,
				    .sh_flags = SHF_ALLOC,
				    .sh_addr = FUZZ_CODE_ADDRESS + 2 * FUZZ_CODE_SIZE,
				    .sh_offset = sizeof(wrapper),
				    .sh_size = size}},
	};
	uint8_t *file = ml_alloc(sizeof(wrapper) + size);

	memcpy(wrapper.names, first_names, sizeof(first_names));
	strcpy(wrapper.names + sizeof(first_names), name);
	memcpy(file, &wrapper, sizeof(wrapper));
	if (size > 0)
		memcpy(file + sizeof(wrapper), data, size);

	struct ml_module *module = fuzz_module(file, sizeof(wrapper) + size);

	free(file);
	return module;
}
