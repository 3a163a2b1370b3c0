/* SPDX-License-Identifier: BSD-2-Clause */
#include "elf/module_private.h"

#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Files are compared up to this size; larger ones are read once more. */
#define SHARED_SIZE_MAX (1ULL << 30)
#define CHUNK_BYTES     (256U << 10)

/* A file that is still being written (or was cut) would give half of the truth: say so instead. */
static struct ml_error *check_segments(const struct ml_image *image, const char *path)
{
	for (size_t i = 0; i < image->segment_count; i++) {
		const Elf64_Phdr *segment = &image->segments[i];

		if (segment->p_type != PT_LOAD)
			continue;
		if (segment->p_memsz < segment->p_filesz ||
		    segment->p_memsz > UINT64_MAX - segment->p_vaddr)
			return ml_error_new(ML_ERROR_FORMAT, "%s: segment %zu has a senseless size",
					    path, i);
		if (segment->p_offset > image->size ||
		    segment->p_filesz > image->size - segment->p_offset)
			return ml_error_new(ML_ERROR_FORMAT,
					    "%s: truncated: segment %zu lies behind the end of the "
					    "file",
					    path, i);
	}
	return NULL;
}

static bool has_segment(const struct ml_image *image, uint32_t type)
{
	for (size_t i = 0; i < image->segment_count; i++) {
		if (image->segments[i].p_type == type)
			return true;
	}
	return false;
}

/* libc.so.6 has an interpreter too, so that it can be run to print its version; unlike a program it
 * has a DT_SONAME. */
static bool is_program(const struct ml_module *module)
{
	const struct ml_image *image = &module->image;
	uint64_t flags = 0, name;

	if (image->header.e_type == ET_EXEC)
		return true;
	if (ml_image_dynamic(image, DT_FLAGS_1, &flags) && (flags & DF_1_PIE))
		return true;
	return module->has_interpreter && !ml_image_dynamic(image, DT_SONAME, &name);
}

static struct ml_error *open_file(struct ml_module *module, int fd)
{
	struct ml_error *error = ml_image_open(fd, module->path, &module->image);
	struct stat status;

	if (error)
		return error;
	if (module->image.header.e_type != ET_EXEC && module->image.header.e_type != ET_DYN)
		return ml_error_new(ML_ERROR_FORMAT,
				    "%s: neither a program nor a shared library (ELF type %u)",
				    module->path, module->image.header.e_type);
	error = check_segments(&module->image, module->path);
	if (error)
		return error;
	if (fstat(module->image.fd, &status) < 0)
		return ml_error_errno(errno, "cannot look at %s", module->path);
	module->device = status.st_dev;
	module->inode = status.st_ino;
	elf_version(EV_CURRENT);
	/* Not ELF_C_READ_MMAP: a file that shrinks under a mapping kills its reader (SIGBUS). */
	module->elf = elf_begin(module->image.fd, ELF_C_READ, NULL);
	if (!module->elf || elf_kind(module->elf) != ELF_K_ELF)
		return ml_error_new(ML_ERROR_FORMAT, "%s: libelf cannot read it: %s", module->path,
				    elf_errmsg(-1));
	module->has_interpreter = has_segment(&module->image, PT_INTERP);
	module->is_executable = is_program(module);
	module->has_mini_debug_info =
		ml_image_section_named(&module->image, ML_MINI_DEBUG_INFO) != NULL;
	ml_build_id_read(&module->image, &module->build_id);
	return NULL;
}

struct ml_error *ml_module_open(int fd, const char *path, struct ml_module **out)
{
	struct ml_module *module = ml_alloc(sizeof(*module));

	module->references = 1;
	module->path = ml_strdup(path);
	module->image.fd = -1;

	struct ml_error *error = open_file(module, fd);

	if (error)
		ml_module_unref(module);
	else
		*out = module;
	return error;
}

struct ml_module *ml_module_ref(struct ml_module *module)
{
	module->references++;
	return module;
}

void ml_module_unref(struct ml_module *module)
{
	if (!module || --module->references > 0)
		return;
	ml_module_unref(module->original);
	ml_symbol_table_deinit(&module->symbols);
	ml_intern_free(&module->names);
	ml_module_free_sections(module);
	elf_end(module->elf);
	ml_image_deinit(&module->image);
	free(module->path);
	free(module);
}

static bool has_same_bytes(const struct ml_image *a, const struct ml_image *b)
{
	ML_FREE_CLEANUP uint8_t *chunks = ml_alloc(2 * (size_t)CHUNK_BYTES);

	if (a->size != b->size || a->size > SHARED_SIZE_MAX)
		return false;
	for (uint64_t at = 0; at < a->size; at += CHUNK_BYTES) {
		size_t size = a->size - at < CHUNK_BYTES ? a->size - at : CHUNK_BYTES;

		if (!ml_image_read(a, at, chunks, size) ||
		    !ml_image_read(b, at, chunks + CHUNK_BYTES, size) ||
		    memcmp(chunks, chunks + CHUNK_BYTES, size) != 0)
			return false;
	}
	return true;
}

bool ml_module_share(struct ml_module *module, struct ml_module *other)
{
	const struct ml_build_id *a = &module->build_id, *b = &other->build_id;

	if (module == other || a->size == 0 || a->size != b->size ||
	    memcmp(a->bytes, b->bytes, a->size) != 0 ||
	    !has_same_bytes(&module->image, &other->image))
		return false;
	module->original = ml_module_ref(ml_module_original(other));
	return true;
}

struct ml_module *ml_module_original(struct ml_module *module)
{
	return module->original ? module->original : module;
}

const char *ml_module_path(const struct ml_module *module)
{
	return module->path;
}

const char *ml_module_name(const struct ml_module *module)
{
	const char *slash = strrchr(module->path, '/');

	return slash ? slash + 1 : module->path;
}

int ml_module_fd(const struct ml_module *module)
{
	return module->image.fd;
}

dev_t ml_module_device(const struct ml_module *module)
{
	return module->device;
}

ino_t ml_module_inode(const struct ml_module *module)
{
	return module->inode;
}

const uint8_t *ml_module_build_id(const struct ml_module *module, size_t *size)
{
	*size = module->build_id.size;
	return module->build_id.size ? module->build_id.bytes : NULL;
}

const char *ml_module_build_id_hex(const struct ml_module *module)
{
	return module->build_id.size ? module->build_id.hex : NULL;
}

bool ml_module_is_executable(const struct ml_module *module)
{
	return module->is_executable;
}

bool ml_module_is_static(const struct ml_module *module)
{
	return module->is_executable && !module->has_interpreter;
}

bool ml_module_address_of_offset(const struct ml_module *module, uint64_t offset, uint64_t *address)
{
	const struct ml_image *image = &module->image;

	for (size_t i = 0; i < image->segment_count; i++) {
		const Elf64_Phdr *segment = &image->segments[i];

		if (segment->p_type != PT_LOAD || offset < segment->p_offset ||
		    offset - segment->p_offset >= segment->p_filesz)
			continue;
		*address = segment->p_vaddr + (offset - segment->p_offset);
		return true;
	}
	return false;
}

bool ml_module_offset_of_address(const struct ml_module *module, uint64_t address, uint64_t *offset)
{
	return ml_image_offset_of(&module->image, address, offset);
}

bool ml_module_read(const struct ml_module *module, uint64_t address, void *buffer, size_t size)
{
	const struct ml_image *image = &module->image;
	const Elf64_Phdr *segment = ml_image_segment_at(image, address);

	if (!segment)
		return false;

	uint64_t at = address - segment->p_vaddr;

	/* What lies behind the file's part of a segment is zeroes that are not in the file. */
	if (at > segment->p_filesz || size > segment->p_filesz - at)
		return false;
	return ml_image_read(image, segment->p_offset + at, buffer, size);
}

void *ml_module_elf(struct ml_module *module)
{
	return ml_module_original(module)->elf;
}
