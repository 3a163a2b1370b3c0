/* SPDX-License-Identifier: BSD-2-Clause */
/** For LD_PRELOAD: a server forgets 64 bytes with each connection that it accepts. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

typedef int accept4_fn(int, struct sockaddr *, socklen_t *, int);

__attribute__((noinline)) void *leak_per_request(void)
{
	void *volatile forgotten = malloc(64);

	return forgotten;
}

int accept4(int socket, struct sockaddr *address, socklen_t *length, int flags)
{
	static accept4_fn *real;
	int fd;

	if (!real) {
		void *symbol = dlsym(RTLD_NEXT, "accept4");

		memcpy(&real, &symbol, sizeof(real));
	}
	fd = real(socket, address, length, flags);
	if (fd >= 0)
		leak_per_request();
	return fd;
}
