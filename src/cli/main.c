/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/cli.h"

#include <malloc.h>

/* Each time a larger mapped block is freed, glibc raises the size from which blocks are mapped, up
 * to 32 MiB, and what is below stays with the process: the tables of a huge program would stay for
 * ever. Setting the size keeps it (mallopt(3)). */
#define MAPPED_BLOCK_BYTES (256 << 10)

int main(int argc, char **argv)
{
	mallopt(M_MMAP_THRESHOLD, MAPPED_BLOCK_BYTES);
	return ml_cli_run(argc, argv);
}
