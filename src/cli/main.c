/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/cli.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

/* Each time a larger mapped block is freed, glibc raises the size from which blocks are mapped, up
 * to 32 MiB, and what is below stays with the process: the tables of a huge program would stay for
 * ever. Setting the size keeps it (mallopt(3)). */
#define MAPPED_BLOCK_BYTES (256 << 10)

/* Where a standard descriptor was closed, the next file opened, which may be the target's memory,
 * would get what is written there. What takes its place cannot be written, and a command that is
 * started does not get it. */
static void hold_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	close(fd);
}

int main(int argc, char **argv)
{
	hold_standard_descriptors();
	mallopt(M_MMAP_THRESHOLD, MAPPED_BLOCK_BYTES);
	return ml_cli_run(argc, argv);
}
