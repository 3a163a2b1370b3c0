/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/startup.h"

#include "base/file.h"
#include "target/maps.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

#define PROGRAM_HEADERS_MAX 64
#define DYNAMIC_ENTRIES_MAX 256

/*
 * A loader that makes so many calls without mapping any code is not loading: it is a libc that is
 * its own loader (musl) under a program without DT_DEBUG. A search along a long RPATH takes some
 * ten calls for each folder.
 */
#define IDLE_CALLS_MAX 4000

/* Selector of 64-bit user code, __USER_CS of arch/x86/include/asm/segment.h. */
#define CODE_SEGMENT_64 0x33

static bool read_memory(pid_t pid, uint64_t address, void *buffer, size_t size)
{
	struct iovec local = {.iov_base = buffer, .iov_len = size};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

/* The values of the auxiliary vector that matter here, 0 where it has none. */
struct auxv {
	uint64_t headers;
	uint64_t header_count;
	uint64_t loader;
};

static bool read_auxv(pid_t pid, struct auxv *auxv)
{
	ML_FREE_CLEANUP char *bytes = NULL;
	size_t size;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);

	ML_ERROR_CLEANUP struct ml_error *error = ml_file_read(AT_FDCWD, path, 4096, &bytes, &size);

	if (error)
		return false;
	*auxv = (struct auxv){0};
	for (size_t at = 0; at + sizeof(Elf64_auxv_t) <= size; at += sizeof(Elf64_auxv_t)) {
		Elf64_auxv_t entry;

		memcpy(&entry, bytes + at, sizeof(entry));
		if (entry.a_type == AT_PHDR)
			auxv->headers = entry.a_un.a_val;
		else if (entry.a_type == AT_PHNUM)
			auxv->header_count = entry.a_un.a_val;
		else if (entry.a_type == AT_BASE)
			auxv->loader = entry.a_un.a_val;
	}
	return true;
}

/* What the dynamic section says. */
struct dynamic {
	uint64_t debug_slot; /* address of the DT_DEBUG value, or 0 */
	bool has_name;       /* DT_SONAME: it is a library */
};

static void read_dynamic(pid_t pid, uint64_t address, uint64_t size, struct dynamic *dynamic)
{
	Elf64_Dyn entries[DYNAMIC_ENTRIES_MAX];
	size_t count = size / sizeof(*entries);

	if (count > DYNAMIC_ENTRIES_MAX)
		count = DYNAMIC_ENTRIES_MAX;
	if (!count || !read_memory(pid, address, entries, count * sizeof(*entries)))
		return;
	for (size_t i = 0; i < count && entries[i].d_tag != DT_NULL; i++) {
		if (entries[i].d_tag == DT_DEBUG)
			dynamic->debug_slot =
				address + i * sizeof(*entries) + offsetof(Elf64_Dyn, d_un);
		dynamic->has_name |= entries[i].d_tag == DT_SONAME;
	}
}

static struct dynamic find_dynamic(pid_t pid, const struct auxv *auxv)
{
	Elf64_Phdr headers[PROGRAM_HEADERS_MAX];
	size_t count = auxv->header_count;
	struct dynamic dynamic = {0};
	uint64_t bias = 0;

	if (!count || count > PROGRAM_HEADERS_MAX ||
	    !read_memory(pid, auxv->headers, headers, count * sizeof(*headers)))
		return dynamic;
	/* A library, such as a loader run by hand, has no PT_PHDR; its first segment is at 0. */
	if (headers[0].p_type == PT_LOAD)
		bias = auxv->headers - sizeof(Elf64_Ehdr) - headers[0].p_vaddr;
	for (size_t i = 0; i < count; i++)
		if (headers[i].p_type == PT_PHDR)
			bias = auxv->headers - headers[i].p_vaddr;
	for (size_t i = 0; i < count; i++)
		if (headers[i].p_type == PT_DYNAMIC)
			read_dynamic(pid, bias + headers[i].p_vaddr, headers[i].p_memsz, &dynamic);
	return dynamic;
}

/* Finds the loader's image: the mappings of one file around its base address. */
static void find_loader(struct ml_startup *startup, uint64_t base)
{
	struct ml_maps maps;
	ML_ERROR_CLEANUP struct ml_error *error = ml_maps_read(startup->pid, &maps);

	if (error)
		return;

	const struct ml_mapping *first = ml_maps_find(&maps, base);

	ml_array_each (mapping, &maps.list) {
		if (!first || mapping < first || mapping->inode != first->inode ||
		    mapping->device != first->device)
			continue;
		startup->loader_start = first->start;
		startup->loader_end = mapping->end;
	}
	ml_maps_deinit(&maps);
}

bool ml_startup_begin(struct ml_startup *startup, pid_t pid)
{
	struct user_regs_struct regs;
	struct auxv auxv;

	/* The stop stands inside execve(): its end comes next. */
	*startup = (struct ml_startup){.pid = pid, .is_exit_next = true};
	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) || regs.cs != CODE_SEGMENT_64)
		return false;
	if (!read_auxv(pid, &auxv))
		return false;

	struct dynamic dynamic = find_dynamic(pid, &auxv);

	/* Without a loader it is static, unless it is one itself: "ld.so PROGRAM". */
	if (!auxv.loader && !dynamic.has_name)
		return false;
	startup->debug_slot = dynamic.debug_slot;
	find_loader(startup, auxv.loader ? auxv.loader : auxv.headers);
	return true;
}

/*
 * A process that was stepped through a system call of ours since its PTRACE_EVENT_EXEC has left
 * execve() on the way, whose end is then no stop any more.
 */
void ml_startup_continue(struct ml_startup *startup)
{
	siginfo_t info;

	if (!ptrace(PTRACE_GETSIGINFO, startup->pid, NULL, &info) &&
	    info.si_code >> 8 != PTRACE_EVENT_EXEC)
		startup->is_exit_next = false;
}

/* Arguments survive a system call on x86-64 (all but rax, rcx and r11), so its end tells all. */
static bool has_mapped_code(const struct user_regs_struct *regs)
{
	bool failed = regs->rax >= (unsigned long)-4095L;

	switch (regs->orig_rax) {
	case SYS_mmap:
	case SYS_mprotect:
	case SYS_pkey_mprotect:
		return !failed && (regs->rdx & PROT_EXEC);
	case SYS_mremap:
		return !failed; /* what is moved may be code */
	default:
		return false;
	}
}

/*
 * Whether the loader is done: by what it tells debuggers where the program has DT_DEBUG (glibc sets
 * it before it maps the first library, with r_state RT_ADD until all are relocated; musl fills
 * r_debug only at the end), else by a system call from elsewhere.
 */
static bool is_loaded(const struct ml_startup *startup, const struct user_regs_struct *regs)
{
	struct r_debug debug;
	uint64_t address;

	if (!startup->debug_slot)
		return regs->rip < startup->loader_start || regs->rip >= startup->loader_end;
	return read_memory(startup->pid, startup->debug_slot, &address, sizeof(address)) &&
	       address && read_memory(startup->pid, address, &debug, sizeof(debug)) &&
	       debug.r_version > 0 && debug.r_map && debug.r_state == RT_CONSISTENT;
}

enum ml_startup_step ml_startup_syscall(struct ml_startup *startup)
{
	struct user_regs_struct regs;
	bool is_exit = startup->is_exit_next;

	startup->is_exit_next = !is_exit;
	if (ptrace(PTRACE_GETREGS, startup->pid, NULL, &regs))
		return ML_STARTUP_GOES_ON; /* killed meanwhile: its end is reported next */
	if (is_exit && has_mapped_code(&regs)) {
		startup->idle_calls = 0;
		return ML_STARTUP_MAPPED;
	}
	if (is_exit)
		return ML_STARTUP_GOES_ON;
	if (++startup->idle_calls > IDLE_CALLS_MAX || is_loaded(startup, &regs))
		return ML_STARTUP_OVER;
	return ML_STARTUP_GOES_ON;
}
