/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Begins to work only when told, for as long as it is not told to stop: two threads allocate and
 * free as fast as they can, of 2 000 blocks that were there before they free every other one,
 * spread over that time and a while after it, and they leak. "busy" is said when they have begun.
 * At the end the main thread leaks again from where it leaked at first. With an argument all is
 * freed and leaked in a tenth of the rounds.
 */
#include "truth.h"

#include <pthread.h>
#include <stdatomic.h>

#define BLOCKS 2000
#define EARLY  1009
#define LATE   211

static void *old_blocks[BLOCKS];
static atomic_int must_stop;

/* Rounds from one free to the next of a thread, and from one leak to the next. */
static size_t free_rounds = 2000, leak_rounds = 5000;

static NOINLINE void leak_early_and_late(void)
{
	truth_keep(malloc(truth_opaque(101)));
}

static NOINLINE void leak_when_busy(void)
{
	truth_keep(malloc(truth_opaque(47)));
}

static NOINLINE void *allocate_old_block(void)
{
	return truth_keep(malloc(truth_opaque(203)));
}

static NOINLINE void *allocate_large_block(void)
{
	return truth_keep(calloc(1, truth_opaque(300001)));
}

/* Frees every fourth block, the first of which is @first: by free() or realloc(). */
static void free_old_block(size_t round, size_t first)
{
	size_t i = 4 * (round / free_rounds) + first;

	if (round % free_rounds || i >= BLOCKS)
		return;
	if (i % 8 < 4)
		free(old_blocks[i]);
	else
		free(realloc(old_blocks[i], 5000));
}

static void *work(void *argument)
{
	size_t first = (size_t)argument, rounds = 0, late = 0;

	/* Until all that shall be freed or leaked is, too. */
	while (!must_stop || late < LATE || rounds / free_rounds < BLOCKS / 4) {
		void *block = truth_keep(malloc(truth_opaque(rounds % 300 + 1)));

		free_old_block(rounds, first);
		if (late < LATE && rounds % leak_rounds == 0) {
			late++;
			leak_when_busy();
		}
		free(block);
		rounds++;
	}
	return argument;
}

static void be_busy(void)
{
	pthread_t threads[2];

	truth_event("quiet");
	truth_wait();
	for (size_t i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, work, (void *)i);
	truth_event("busy");
	truth_wait();
	must_stop = 1;
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	void *large;

	(void)argv;
	if (argc > 1) {
		free_rounds /= 10;
		leak_rounds /= 10;
	}
	truth_ready();
	for (size_t i = 0; i < BLOCKS; i++)
		old_blocks[i] = allocate_old_block();
	large = allocate_large_block();
	/* One place for both, as the compiler cannot know how often it comes there. */
	for (size_t step = 0; step < truth_opaque(2); step++) {
		for (size_t i = 0; i < truth_opaque(step ? LATE : EARLY); i++)
			leak_early_and_late();
		if (!step)
			be_busy();
	}
	truth_keep(large);
	truth_site("leak_early_and_late", 0, 101 * (EARLY + LATE), EARLY + LATE);
	truth_site("leak_when_busy", 0, 47 * 2 * LATE, 2 * LATE);
	truth_site("allocate_old_block", 0, 203 * (BLOCKS / 2), BLOCKS / 2);
	truth_site("allocate_large_block", 0, 300001, 1);
	truth_done();
	return 0;
}
