/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/emulator.h"

#include "base/prefix.h"

#include <stdbool.h>
#include <string.h>

static bool is_one_of(const char *name, size_t length, const char *const *list)
{
	for (; *list; list++)
		if (strlen(*list) == length && !memcmp(name, *list, length))
			return true;
	return false;
}

static bool ends_with(const char *name, const char *suffix)
{
	size_t length = strlen(name), end = strlen(suffix);

	return length > end && !strcmp(name + length - end, suffix);
}

/* qemu's user mode: qemu-aarch64, and qemu-aarch64-static where binfmt_misc is to find it. The
 * names are those of its configs/targets (QEMU 9); qemu-system-… and tools have others. */
static enum ml_emulation qemu(const char *machine)
{
	static const char *const foreign[] = {
		"aarch64",      "aarch64_be", "alpha",  "arm",         "armeb",  "cris",
		"hexagon",      "hppa",       "i386",   "loongarch64", "m68k",   "microblaze",
		"microblazeel", "mips",       "mips64", "mips64el",    "mipsel", "mipsn32",
		"mipsn32el",    "nios2",      "or1k",   "ppc",         "ppc64",  "ppc64le",
		"riscv32",      "riscv64",    "s390x",  "sh4",         "sh4eb",  "sparc",
		"sparc32plus",  "sparc64",    "xtensa", "xtensaeb",    NULL};
	static const char *const ours[] = {"x86_64", NULL};
	size_t length = strlen(machine) - (ends_with(machine, "-static") ? strlen("-static") : 0);

	if (is_one_of(machine, length, ours))
		return ML_EMULATION_TRANSLATED;
	return is_one_of(machine, length, foreign) ? ML_EMULATION_FOREIGN : ML_EMULATION_NONE;
}

enum ml_emulation ml_emulation_of(const char *path)
{
	/* Valgrind's launcher, whose tools are memcheck-amd64-linux and their like; DynamoRIO's. */
	static const char *const translators[] = {"valgrind", "valgrind.bin", "drrun", NULL};
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	if (ml_has_prefix(name, "qemu-"))
		return qemu(name + strlen("qemu-"));
	if (is_one_of(name, strlen(name), translators) || ends_with(name, "-amd64-linux") ||
	    ml_has_prefix(name, "libdynamorio.so"))
		return ML_EMULATION_TRANSLATED;
	return ML_EMULATION_NONE;
}
