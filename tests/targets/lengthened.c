/* SPDX-License-Identifier: BSD-2-Clause */
/** Makes a list longer by realloc() every 20 ms, until a line comes: its one block never gets old.
 */
#include "truth.h"

#include <poll.h>

static NOINLINE void *lengthen(void *list, size_t count)
{
	return truth_keep(realloc(list, truth_opaque(count) * 64));
}

int main(void)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	size_t count = 0;
	void *list = NULL;

	truth_ready();
	while (!poll(&input, 1, 20))
		list = lengthen(list, ++count);
	return 0;
}
