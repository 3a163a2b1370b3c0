/* SPDX-License-Identifier: BSD-2-Clause */
/** A JIT compiler in small: two functions made at run time leak; one is announced in a perf map,
 * the other in a jitdump. */
#include "truth.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>

/* push %rbp; mov %rsp,%rbp; movabs $f,%rax; call *%rax; pop %rbp; ret */
static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xb8, 0,    0,    0,
				     0,    0,    0,    0,    0,    0xff, 0xd0, 0x5d, 0xc3};

typedef void *compiled(size_t size);

static compiled *compile(unsigned char *at, void *callee)
{
	memcpy(at, code, sizeof(code));
	memcpy(at + 6, &callee, sizeof(callee));
	return (compiled *)(void *)at;
}

static int open_file(const char *format)
{
	char path[64];

	snprintf(path, sizeof(path), format, (int)getpid());
	return open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
}

static void write_perf_map(compiled *function)
{
	int fd = open_file("/tmp/perf-%d.map");

	dprintf(fd, "%lx %zx leak_in_jit\n", (unsigned long)function, sizeof(code));
	close(fd);
}

static void write_jitdump(compiled *function)
{
	static const char name[] = "Dumped.leak()";
	const uint32_t header[] = {0x4a695444, 1, 40, 62, 0, (uint32_t)getpid(), 0, 0, 0, 0};
	const uint32_t prefix[] = {0, 56 + sizeof(name) + sizeof(code), 0, 0, 0, 0};
	const uint64_t body[] = {(uintptr_t)function, (uintptr_t)function, sizeof(code), 0};
	int fd = open_file("/tmp/jit-%d.dump");

	if (write(fd, header, sizeof(header)) < 0 || write(fd, prefix, sizeof(prefix)) < 0 ||
	    write(fd, body, sizeof(body)) < 0 || write(fd, name, sizeof(name)) < 0 ||
	    write(fd, code, sizeof(code)) < 0 ||
	    mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED)
		_exit(98);
}

int main(void)
{
	unsigned char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	compiled *mapped = compile(memory, malloc), *dumped = compile(memory + 256, malloc);

	write_perf_map(mapped);
	write_jitdump(dumped);
	truth_ready();
	for (int i = 0; i < 10; i++) {
		truth_keep(mapped(truth_opaque(100)));
		truth_keep(dumped(truth_opaque(200)));
	}
	truth_site("leak_in_jit", 0, 1000, 10);
	truth_site("Dumped.leak()", 0, 2000, 10);
	truth_done();
	return 0;
}
