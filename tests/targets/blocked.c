/* SPDX-License-Identifier: BSD-2-Clause */
/** Waits where only a fatal signal reaches it: for its vforked child, until that is told to end. */
#include "truth.h"

int main(void)
{
	pid_t child;

	truth_event("ready");
	child = vfork();
	if (!child) {
		truth_wait();
		_exit(0);
	}
	truth_keep(malloc(truth_opaque(100)));
	truth_done();
	return child < 0;
}
