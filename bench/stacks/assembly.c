/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Leaks from a profiling signal that interrupts libcrypto's hand-written assembly, wherever in it:
 * prologues, loops and epilogues. Not from within malloc, which belongs to the call in progress.
 */
#define _GNU_SOURCE
#include "leak.h"

#include <link.h>
#include <openssl/evp.h>
#include <signal.h>
#include <sys/time.h>
#include <ucontext.h>

#define SAMPLES 100

static volatile int samples;

static unsigned long start, end;

static int find_library(struct dl_phdr_info *info, size_t size, void *context)
{
	(void)size;
	(void)context;
	if (!strstr(info->dlpi_name, "libcrypto"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X))
			continue;
		start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
		end = start + info->dlpi_phdr[i].p_memsz;
	}
	return 1;
}

static void on_timer(int number, siginfo_t *info, void *context)
{
	unsigned long ip = (unsigned long)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];

	(void)number;
	(void)info;
	if (ip >= start && ip < end && samples++ < SAMPLES)
		leak_here("signal in libcrypto's assembly");
}

__attribute__((noinline)) static void digest(const EVP_MD *kind)
{
	static unsigned char bytes[4096], result[EVP_MAX_MD_SIZE];

	EVP_Digest(bytes, sizeof(bytes), result, NULL, kind, NULL);
	__asm__ volatile("" ::: "memory");
}

int main(void)
{
	const EVP_MD *kinds[] = {EVP_sha1(), EVP_sha256(), EVP_sha512(), EVP_md5(), EVP_sha3_256()};
	struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
	struct sigaction action;

	leak_ready();
	digest(kinds[0]);
	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_timer;
	action.sa_flags = SA_RESTART | SA_SIGINFO;
	dl_iterate_phdr(find_library, NULL);
	sigaction(SIGPROF, &action, NULL);
	setitimer(ITIMER_PROF, &often, NULL);
	for (int i = 0; samples < SAMPLES && i < 10000000; i++)
		digest(kinds[i % 5]);
	setitimer(ITIMER_PROF, &never, NULL);
	return 0;
}
