/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Leaks from a profiling signal that interrupts libcrypto's hand-written assembly, wherever in it:
 * prologues, loops and epilogues.
 */
#include "leak.h"

#include <openssl/evp.h>
#include <signal.h>
#include <sys/time.h>

#define SAMPLES 100

static volatile int samples;

static void on_timer(int number)
{
	(void)number;
	if (samples++ < SAMPLES)
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
	action.sa_handler = on_timer;
	action.sa_flags = SA_RESTART;
	sigaction(SIGPROF, &action, NULL);
	setitimer(ITIMER_PROF, &often, NULL);
	for (int i = 0; samples < SAMPLES && i < 10000000; i++)
		digest(kinds[i % 5]);
	setitimer(ITIMER_PROF, &never, NULL);
	return 0;
}
