/* SPDX-License-Identifier: BSD-2-Clause */
/** One call of each kind for --trace, some that fail, and some of threads with names of their own.
 * Prints how many lines they are to make. */
#define _GNU_SOURCE
#include "truth.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

#define ROUNDS 10

static pthread_barrier_t barrier;

static void allocate_and_free(void)
{
	void *pointer = NULL;

	free(truth_keep(malloc(truth_opaque(1001))));
	free(truth_keep(calloc(truth_opaque(7), 149)));
	pointer = truth_keep(realloc(truth_keep(malloc(truth_opaque(1003))), truth_opaque(2003)));
	free(truth_keep(reallocarray(pointer, truth_opaque(3), 1001)));
	if (!posix_memalign(&pointer, 64, truth_opaque(1004)))
		free(truth_keep(pointer));
	free(truth_keep(aligned_alloc(64, truth_opaque(1088))));
	free(truth_keep(strdup("a string that is copied")));
	free(NULL);
}

static void fail(void)
{
	void *pointer = truth_keep(malloc(truth_opaque(1005))), *none = NULL;

	if (realloc(pointer, truth_opaque((size_t)1 << 60)))
		abort();
	if (malloc(truth_opaque((size_t)1 << 60)) || calloc(truth_opaque((size_t)1 << 40), 1 << 30))
		abort();
	if (posix_memalign(&none, 3, truth_opaque(1006)) != EINVAL)
		abort();
	free(pointer);
}

static void map(void)
{
	char *pages = mmap(NULL, truth_opaque(8192), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	pages = mremap(pages, 8192, truth_opaque(16384), MREMAP_MAYMOVE);
	munmap(pages, truth_opaque(16384));
}

static void *run(void *name)
{
	pthread_setname_np(pthread_self(), name);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < ROUNDS; i++)
		free(truth_keep(malloc(truth_opaque(5001))));
	/* Its name can be read as long as it is there. */
	pthread_barrier_wait(&barrier);
	return NULL;
}

static void work_in_threads(void)
{
	static const char *const names[] = {"first thread", "second thread"};
	pthread_t threads[2];

	for (int i = 0; i < 2; i++) {
		pthread_barrier_init(&barrier, NULL, 2);
		if (pthread_create(&threads[i], NULL, run, (void *)names[i]))
			abort();
		pthread_barrier_wait(&barrier);
		truth_wait();
		pthread_barrier_wait(&barrier);
		pthread_join(threads[i], NULL);
	}
}

int main(void)
{
	truth_ready();
	for (int i = 0; i < ROUNDS; i++)
		allocate_and_free();
	fail();
	map();
	work_in_threads();
	truth_done();
	return 0;
}
