/* SPDX-License-Identifier: BSD-2-Clause */
#include "cfi_bytes.h"

#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

void cfi_add(struct cfi_bytes *cfi, const void *bytes, size_t size)
{
	assert_true(size <= sizeof(cfi->bytes) - cfi->size);
	memcpy(cfi->bytes + cfi->size, bytes, size);
	cfi->size += size;
}

void cfi_add_number(struct cfi_bytes *cfi, uint64_t value, size_t size)
{
	cfi_add(cfi, &value, size);
}

/** Fills in the length of the record that starts at @p start. */
static void close_record(struct cfi_bytes *cfi, size_t start)
{
	uint32_t length = (uint32_t)(cfi->size - start - 4);

	memcpy(cfi->bytes + start, &length, 4);
}

size_t cfi_add_cie(struct cfi_bytes *cfi, const void *more, size_t size)
{
	/* version, "zR", code 1, data -8, ra 16, augmentation: absptr; def_cfa rsp 8; ra at -8 */
	static const uint8_t head[] = {1, 'z', 'R', 0, 1, 0x78, 16, 1, 0, 0x0c, 7, 8, 0x90, 1};
	size_t start = cfi->size;

	cfi_add_number(cfi, 0, 4);
	cfi_add_number(cfi, cfi->is_debug_frame ? UINT32_MAX : 0, 4);
	cfi_add(cfi, head, sizeof(head));
	cfi_add(cfi, more, size);
	close_record(cfi, start);
	return start;
}

void cfi_add_fde(struct cfi_bytes *cfi, size_t cie, uint64_t start, uint64_t length,
		 const void *instructions, size_t size)
{
	size_t record = cfi->size;

	cfi_add_number(cfi, 0, 4);
	cfi_add_number(cfi, cfi->is_debug_frame ? cie : cfi->size - cie, 4);
	cfi_add_number(cfi, start, 8);
	cfi_add_number(cfi, length, 8);
	cfi_add_number(cfi, 0, 1);
	cfi_add(cfi, instructions, size);
	close_record(cfi, record);
}

/** The file: header, one segment of code, one section and the names of sections. */
struct file {
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	Elf64_Shdr sections[3];
	char names[64];
	uint8_t code[CFI_TEXT_SIZE];
};

struct ml_module *cfi_module(const struct cfi_bytes *cfi, const char *name, uint64_t entry)
{
	static struct file file;
	struct ml_module *module;
	int fd = memfd_create("cfi", MFD_CLOEXEC);

	memset(&file, 0, sizeof(file));
	snprintf(file.names + 1, sizeof(file.names) - 1, "%s", name);
	file.header = (Elf64_Ehdr){
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = entry,
		.e_phoff = offsetof(struct file, segment),
		.e_shoff = offsetof(struct file, sections),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 3,
		.e_shstrndx = 2,
	};
	file.segment = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_offset = offsetof(struct file, code),
		.p_vaddr = CFI_TEXT_ADDRESS,
		.p_filesz = CFI_TEXT_SIZE,
		.p_memsz = CFI_TEXT_SIZE,
	};
	if (cfi->code)
		memcpy(file.code, cfi->code, cfi->code_size);
	file.sections[1] = (Elf64_Shdr){.sh_name = 1,
					.sh_type = SHT_PROGBITS,
					.sh_flags = SHF_ALLOC,
					.sh_addr = CFI_ADDRESS,
					.sh_offset = sizeof(file),
					.sh_size = cfi->size,
					.sh_addralign = 1};
	file.sections[2] = (Elf64_Shdr){.sh_type = SHT_STRTAB,
					.sh_offset = offsetof(struct file, names),
					.sh_size = sizeof(file.names),
					.sh_addralign = 1};
	assert_int_equal(write(fd, &file, sizeof(file)), sizeof(file));
	assert_int_equal(write(fd, cfi->bytes, cfi->size), cfi->size);
	assert_null(ml_module_open(fd, "made", &module));
	return module;
}
