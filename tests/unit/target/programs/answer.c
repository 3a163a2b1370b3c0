/* SPDX-License-Identifier: BSD-2-Clause */
/* Ends with status 42, or 1 when SIGPIPE is ignored or SIGUSR2 is not blocked as it should be. */
#include <signal.h>
#include <stddef.h>

int main(int argc, char **argv)
{
	struct sigaction action;
	sigset_t mask;

	(void)argv;
	sigaction(SIGPIPE, NULL, &action);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	if (action.sa_handler != SIG_DFL || sigismember(&mask, SIGUSR2) != (argc > 1))
		return 1;
	return 42;
}
