/* SPDX-License-Identifier: BSD-2-Clause */
#include "elf/image.h"

#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Linux refuses program headers of more than 64 KiB (fs/binfmt_elf.c, load_elf_phdrs()). */
#define SEGMENTS_MAX           (65536 / sizeof(Elf64_Phdr))
#define SECTIONS_MAX           (1U << 20)
#define SECTION_NAMES_MAX      (64U << 20)
#define DYNAMIC_ENTRIES_MAX    4096
#define DYNAMIC_ENTRIES_A_READ 64

bool ml_image_read(const struct ml_image *image, uint64_t offset, void *buffer, size_t size)
{
	if (offset > image->size || size > image->size - offset)
		return false;
	if (image->memory) {
		memcpy(buffer, image->memory + offset, size);
		return true;
	}

	uint8_t *to = buffer;

	while (size > 0) {
		ssize_t got = pread(image->fd, to, size, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		to += got;
		offset += (uint64_t)got;
		size -= (size_t)got;
	}
	return true;
}

void *ml_image_load(const struct ml_image *image, uint64_t offset, uint64_t size, size_t limit)
{
	if (offset > image->size || size > image->size - offset || size > limit)
		return NULL;

	char *bytes = malloc((size_t)size + 1);

	if (!bytes || !ml_image_read(image, offset, bytes, (size_t)size)) {
		free(bytes);
		return NULL;
	}
	bytes[size] = '\0';
	return bytes;
}

static struct ml_error *malformed(const char *path, const char *why)
{
	return ml_error_new(ML_ERROR_FORMAT, "%s: %s", path, why);
}

static struct ml_error *check_header(const struct ml_image *image, const char *path)
{
	const Elf64_Ehdr *header = &image->header;

	if (image->size < SELFMAG || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return malformed(path, "not an ELF file");
	if (image->size <= EI_DATA)
		return malformed(path, "truncated within the ELF header");
	if (header->e_ident[EI_CLASS] == ELFCLASS32)
		return malformed(path, "a 32-bit ELF file; only 64-bit x86 can be traced");
	if (header->e_ident[EI_CLASS] != ELFCLASS64)
		return malformed(path, "an ELF file of an unknown class");
	if (header->e_ident[EI_DATA] != ELFDATA2LSB)
		return malformed(path, "an ELF file for a big-endian machine");
	if (image->size < sizeof(*header))
		return malformed(path, "truncated within the ELF header");
	if (header->e_machine != EM_X86_64)
		return ml_error_new(ML_ERROR_FORMAT,
				    "%s: an ELF file for another machine (e_machine %u, wanted %u: "
				    "x86-64)",
				    path, header->e_machine, EM_X86_64);
	return NULL;
}

static struct ml_error *read_segments(struct ml_image *image, const char *path)
{
	const Elf64_Ehdr *header = &image->header;
	size_t count = header->e_phoff ? header->e_phnum : 0;

	if (count == 0)
		return NULL;
	if (header->e_phentsize != sizeof(Elf64_Phdr) || count > SEGMENTS_MAX)
		return malformed(path, "program headers of a size that Linux does not accept");
	image->segments = ml_image_load(image, header->e_phoff, count * sizeof(Elf64_Phdr),
					SEGMENTS_MAX * sizeof(Elf64_Phdr));
	if (!image->segments)
		return malformed(path, "truncated: its program headers lie behind its end");
	image->segment_count = count;
	return NULL;
}

/* Section headers are a help, not a need: whatever is wrong with them, the file has none. */
static void read_sections(struct ml_image *image)
{
	const Elf64_Ehdr *header = &image->header;
	uint64_t count = header->e_shnum;
	uint64_t names = header->e_shstrndx;
	Elf64_Shdr first;

	if (!header->e_shoff || header->e_shentsize != sizeof(first) ||
	    !ml_image_read(image, header->e_shoff, &first, sizeof(first)))
		return;
	/* More than 65279 sections: the true numbers are in section 0 (gABI, "ELF Header"). */
	if (count == 0)
		count = first.sh_size;
	if (names == SHN_XINDEX)
		names = first.sh_link;
	if (count == 0 || count > SECTIONS_MAX)
		return;
	image->sections = ml_image_load(image, header->e_shoff, count * sizeof(first),
					SECTIONS_MAX * sizeof(first));
	if (!image->sections)
		return;
	image->section_count = count;
	if (names == SHN_UNDEF || names >= count || image->sections[names].sh_type == SHT_NOBITS)
		return;
	image->section_names = ml_image_load(image, image->sections[names].sh_offset,
					     image->sections[names].sh_size, SECTION_NAMES_MAX);
	image->section_names_size = image->section_names ? image->sections[names].sh_size : 0;
}

static struct ml_error *read_headers(struct ml_image *image, const char *path)
{
	size_t size = sizeof(image->header);

	if (image->size < size)
		size = image->size;
	if (!ml_image_read(image, 0, &image->header, size))
		return malformed(path, "cannot be read");

	struct ml_error *error = check_header(image, path);

	if (!error)
		error = read_segments(image, path);
	if (!error)
		read_sections(image);
	return error;
}

struct ml_error *ml_image_open(int fd, const char *path, struct ml_image *out)
{
	struct ml_image image = {.fd = fd};
	struct stat status;
	struct ml_error *error;

	if (fstat(fd, &status) < 0)
		error = ml_error_errno(errno, "cannot look at %s", path);
	else if (!S_ISREG(status.st_mode))
		error = malformed(path, "not a regular file");
	else {
		image.size = (uint64_t)status.st_size;
		error = read_headers(&image, path);
	}
	if (error)
		ml_image_deinit(&image);
	else
		*out = image;
	return error;
}

struct ml_error *ml_image_open_memory(const void *memory, size_t size, const char *path,
				      struct ml_image *out)
{
	struct ml_image image = {.fd = -1, .memory = memory, .size = size};
	struct ml_error *error = read_headers(&image, path);

	if (error)
		ml_image_deinit(&image);
	else
		*out = image;
	return error;
}

void ml_image_deinit(struct ml_image *image)
{
	free(image->segments);
	free(image->sections);
	free(image->section_names);
	ml_fd_close(&image->fd);
	*image = (struct ml_image){.fd = -1};
}

const char *ml_image_section_name(const struct ml_image *image, const Elf64_Shdr *section)
{
	if (section->sh_name >= image->section_names_size)
		return "";
	return image->section_names + section->sh_name;
}

static bool has_bytes(const struct ml_image *image, const Elf64_Shdr *section)
{
	return section->sh_type != SHT_NOBITS && section->sh_type != SHT_NULL &&
	       section->sh_size > 0 && section->sh_offset <= image->size &&
	       section->sh_size <= image->size - section->sh_offset;
}

static const Elf64_Shdr *find_from(const struct ml_image *image, size_t first, const char *name)
{
	for (size_t i = first; i < image->section_count; i++) {
		const Elf64_Shdr *section = &image->sections[i];

		if (has_bytes(image, section) &&
		    strcmp(ml_image_section_name(image, section), name) == 0)
			return section;
	}
	return NULL;
}

const Elf64_Shdr *ml_image_section_named(const struct ml_image *image, const char *name)
{
	return find_from(image, 0, name);
}

const Elf64_Shdr *ml_image_section_behind(const struct ml_image *image, const Elf64_Shdr *section,
					  const char *name)
{
	return find_from(image, (size_t)(section - image->sections) + 1, name);
}

const Elf64_Shdr *ml_image_section_of_type(const struct ml_image *image, uint32_t type)
{
	for (size_t i = 0; i < image->section_count; i++) {
		if (image->sections[i].sh_type == type && has_bytes(image, &image->sections[i]))
			return &image->sections[i];
	}
	return NULL;
}

const Elf64_Phdr *ml_image_segment_at(const struct ml_image *image, uint64_t address)
{
	for (size_t i = 0; i < image->segment_count; i++) {
		const Elf64_Phdr *segment = &image->segments[i];

		if (segment->p_type == PT_LOAD && address >= segment->p_vaddr &&
		    address - segment->p_vaddr < segment->p_memsz)
			return segment;
	}
	return NULL;
}

bool ml_image_offset_of(const struct ml_image *image, uint64_t address, uint64_t *offset)
{
	for (size_t i = 0; i < image->segment_count; i++) {
		const Elf64_Phdr *segment = &image->segments[i];

		if (segment->p_type != PT_LOAD || address < segment->p_vaddr ||
		    address - segment->p_vaddr >= segment->p_filesz)
			continue;
		if (__builtin_add_overflow(segment->p_offset, address - segment->p_vaddr, offset))
			continue;
		return true;
	}
	return false;
}

static const Elf64_Phdr *dynamic_segment(const struct ml_image *image)
{
	for (size_t i = 0; i < image->segment_count; i++) {
		if (image->segments[i].p_type == PT_DYNAMIC)
			return &image->segments[i];
	}
	return NULL;
}

bool ml_image_dynamic(const struct ml_image *image, int64_t tag, uint64_t *value)
{
	const Elf64_Phdr *segment = dynamic_segment(image);

	if (!segment)
		return false;

	Elf64_Dyn entries[DYNAMIC_ENTRIES_A_READ];
	uint64_t left = segment->p_filesz / sizeof(*entries);
	uint64_t offset = segment->p_offset;

	if (left > DYNAMIC_ENTRIES_MAX)
		left = DYNAMIC_ENTRIES_MAX;
	while (left > 0) {
		size_t count = left < DYNAMIC_ENTRIES_A_READ ? left : DYNAMIC_ENTRIES_A_READ;

		if (!ml_image_read(image, offset, entries, count * sizeof(*entries)))
			return false;
		for (size_t i = 0; i < count; i++) {
			if (entries[i].d_tag == DT_NULL)
				return false;
			if (entries[i].d_tag != tag)
				continue;
			*value = entries[i].d_un.d_val;
			return true;
		}
		offset += count * sizeof(*entries);
		left -= count;
	}
	return false;
}
