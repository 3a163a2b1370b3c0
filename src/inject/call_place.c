/* SPDX-License-Identifier: BSD-2-Clause */
#include "inject/call_place.h"

#include "base/file.h"
#include "target/maps.h"
#include "target/yama.h"

#include <elf.h>
#include <string.h>
#include <unistd.h>

#define SEGMENTS_LIMIT 64
#define ALIGNMENT      16u

/* The headers of a module, as they are mapped. */
struct headers {
	Elf64_Ehdr file;
	Elf64_Phdr segments[SEGMENTS_LIMIT];
	uint64_t bias;
};

static bool read_headers(const struct ml_process *process, const struct ml_mapping *mapping,
			 struct headers *out)
{
	Elf64_Ehdr *file = &out->file;

	if (!ml_process_read(process, mapping->start, file, sizeof(*file)) ||
	    memcmp(file->e_ident, ELFMAG, SELFMAG) != 0 || file->e_ident[EI_CLASS] != ELFCLASS64 ||
	    file->e_phentsize != sizeof(Elf64_Phdr) || file->e_phnum > SEGMENTS_LIMIT ||
	    file->e_phoff > mapping->end - mapping->start ||
	    !ml_process_read(process, mapping->start + file->e_phoff, out->segments,
			     file->e_phnum * sizeof(Elf64_Phdr)))
		return false;
	for (size_t i = 0; i < file->e_phnum; i++)
		if (out->segments[i].p_type == PT_LOAD) {
			out->bias = mapping->start -
				    (out->segments[i].p_vaddr & ~(uint64_t)(ML_AGENT_PAGE - 1));
			return true;
		}
	return false;
}

/* In memory the vdso has its section headers behind its only segment. */
static uint64_t end_of(const struct headers *headers, const Elf64_Phdr *segment, bool is_vdso)
{
	uint64_t bytes =
		segment->p_memsz > segment->p_filesz ? segment->p_memsz : segment->p_filesz;
	uint64_t end = headers->bias + segment->p_vaddr + bytes, sections;

	sections = headers->bias + headers->file.e_shoff +
		   (uint64_t)headers->file.e_shnum * headers->file.e_shentsize;
	return is_vdso && sections > end ? sections : end;
}

/* What the file has there, zeros behind its end. */
static bool read_file(const struct ml_process *process, const struct ml_mapping *mapping,
		      struct ml_call_place *place)
{
	off_t offset = (off_t)(place->address - mapping->start + mapping->offset);
	ML_FD_CLEANUP int fd = -1;

	memset(place->bytes, 0, sizeof(place->bytes));
	if (!mapping->inode)
		return true;

	ML_ERROR_CLEANUP struct ml_error *error = ml_process_open_mapping(process, mapping, &fd);

	return !error && pread(fd, place->bytes, sizeof(place->bytes), offset) >= 0;
}

/* Nobody else has put something there; what a killed tool left is ours. */
static bool is_free(const struct ml_process *process, const struct ml_call_place *place)
{
	uint8_t now[ML_CALL_CODE];

	return ml_process_read(process, place->address, now, sizeof(now)) &&
	       (!memcmp(now, place->bytes, sizeof(now)) || ml_machine_is_call(now));
}

static bool look_behind(const struct ml_process *process, const struct ml_maps *maps, uint64_t end,
			struct ml_call_place *place)
{
	const struct ml_mapping *mapping = ml_maps_find(maps, end - 1);

	place->address = (end + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
	return mapping && mapping->is_executable && !mapping->is_writable && !mapping->is_shared &&
	       place->address < mapping->end && mapping->end - place->address >= ML_CALL_CODE &&
	       mapping->end - place->address < ML_AGENT_PAGE &&
	       read_file(process, mapping, place) && is_free(process, place);
}

static bool look(const struct ml_process *process, const struct ml_maps *maps,
		 const struct ml_mapping *first, bool is_vdso, struct ml_call_place *place)
{
	struct headers headers;

	if (!read_headers(process, first, &headers))
		return false;
	for (size_t i = 0; i < headers.file.e_phnum; i++) {
		const Elf64_Phdr *segment = &headers.segments[i];

		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) && segment->p_memsz &&
		    look_behind(process, maps, end_of(&headers, segment, is_vdso), place))
			return true;
	}
	return false;
}

/* Who may not use ptrace reads the maps, but no memory. */
static struct ml_error *explain(const struct ml_process *process, const struct ml_maps *maps)
{
	pid_t pid = ml_process_pid(process);
	char byte;

	if (maps->list.count && ml_process_is_alive(process) &&
	    !ml_process_read(process, maps->list.items[0].start, &byte, 1))
		return ml_error_new(ML_ERROR_TARGET, "not permitted to trace process %d: %s", pid,
				    ml_yama_advice());
	return ml_error_new(ML_ERROR_UNSUPPORTED,
			    "process %d has no place for code that makes system calls", pid);
}

struct ml_error *ml_call_place_find(const struct ml_process *process, struct ml_call_place *out)
{
	struct ml_maps maps = {0};
	struct ml_error *error = ml_process_maps(process, &maps);
	bool found = false;

	if (error)
		return error;
	ml_array_each (mapping, &maps.list)
		if (!found && !strcmp(mapping->path, "[vdso]"))
			found = look(process, &maps, mapping, true, out);
	ml_array_each (mapping, &maps.list)
		if (!found && mapping->inode && !mapping->offset && !mapping->is_writable &&
		    mapping->is_readable)
			found = look(process, &maps, mapping, false, out);
	if (!found)
		error = explain(process, &maps);
	ml_maps_deinit(&maps);
	return error;
}
