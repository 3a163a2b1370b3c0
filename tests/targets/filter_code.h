/* SPDX-License-Identifier: BSD-2-Clause */
/** A filter of system calls in the making. */
#ifndef FILTER_CODE_H
#define FILTER_CODE_H

#include <linux/filter.h>
#include <stddef.h>

#define CODE_MAX 1024

static struct sock_filter code[CODE_MAX];
static struct sock_fprog program = {.filter = code};

static void add(unsigned int operation, unsigned int value, unsigned int yes, unsigned int no)
{
	code[program.len++] =
		(struct sock_filter)BPF_JUMP((unsigned short)operation, value, yes, no);
}

static void load(size_t offset)
{
	add(BPF_LD | BPF_W | BPF_ABS, (unsigned int)offset, 0, 0);
}

#endif
