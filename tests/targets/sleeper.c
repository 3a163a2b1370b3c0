/* SPDX-License-Identifier: BSD-2-Clause */
/** Sleeps most of the time, with a filter that kills for restart_syscall(2), by which the kernel
 * goes on with a sleep that was interrupted. */
#include "filter_code.h"
#include "truth.h"

#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

static volatile int stop;

static void *sleep_on(void *unused)
{
	const struct timespec time = {0, 50000000};

	while (!stop)
		nanosleep(&time, NULL);
	return unused;
}

static void filter(void)
{
	load(offsetof(struct seccomp_data, nr));
	add(BPF_JMP | BPF_JEQ | BPF_K, SYS_restart_syscall, 0, 1);
	add(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
	add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(99);
}

int main(void)
{
	pthread_t threads[3];

	filter();
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, sleep_on, NULL);
	truth_ready();
	stop = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	truth_done();
	return 0;
}
