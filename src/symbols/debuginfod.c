/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/debuginfod.h"

#include "base/array.h"
#include "base/clock.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libdebuginfod.so.1"
/* Without a byte more; for one file; for all of a run. */
#define SILENCE_MAX_NS (5 * ML_NS_PER_SECOND)
#define FILE_MAX_NS    (60 * ML_NS_PER_SECOND)
#define TOTAL_MAX_NS   (120 * ML_NS_PER_SECOND)
/* While no server has said how much is to come, the library counts the times it calls us instead of
 * bytes (elfutils 0.178 to 0.188): steps of one. */
#define STEP_LEAST 64

/* As in debuginfod_find_debuginfo(3) of elfutils 0.178 and later: memleak is built without the
 * library's header. */
struct client;
typedef int check_progress(struct client *client, long done, long total);

struct ml_debuginfod {
	struct client *client;
	struct client *(*begin)(void);
	void (*end)(struct client *client);
	int (*find)(struct client *client, const unsigned char *build_id, int size, char **path);
	void (*set_progress)(struct client *client, check_progress *check);
	uint64_t deadline_ns; /**< of the file */
	uint64_t silent_ns;   /**< since when nothing came */
	uint64_t total_ns;    /**< waited so far */
	long done;            /**< bytes when something came last */
	bool gave_up;
};

/* Whose transfer goes on in this thread: the library's callback is told nothing of it. */
static _Thread_local struct ml_debuginfod *asking;

/* Called while a transfer goes on; other than 0 ends it. */
static int check_time(struct client *client, long done, long total)
{
	uint64_t now_ns = ml_monotonic_ns();

	if (done >= asking->done + STEP_LEAST || (total > 0 && done > asking->done)) {
		asking->done = done;
		asking->silent_ns = now_ns;
	}
	asking->gave_up |=
		now_ns > asking->deadline_ns || now_ns - asking->silent_ns > SILENCE_MAX_NS;
	return asking->gave_up;
}

/* Once loaded the library stays: libcurl below it leaves things behind that run at exit. */
static bool load(struct ml_debuginfod *servers)
{
	void *library = dlopen(LIBRARY, RTLD_NOW);

	if (!library)
		return false;
	*(void **)&servers->begin = dlsym(library, "debuginfod_begin");
	*(void **)&servers->end = dlsym(library, "debuginfod_end");
	*(void **)&servers->find = dlsym(library, "debuginfod_find_debuginfo");
	*(void **)&servers->set_progress = dlsym(library, "debuginfod_set_progressfn");
	if (!servers->begin || !servers->end || !servers->find || !servers->set_progress)
		return false;
	servers->client = servers->begin();
	if (servers->client)
		servers->set_progress(servers->client, check_time);
	return servers->client != NULL;
}

struct ml_debuginfod *ml_debuginfod_create(void)
{
	const char *urls = getenv("DEBUGINFOD_URLS");

	if (!urls || urls[strspn(urls, " ")] == '\0')
		return NULL;

	struct ml_debuginfod *servers = ml_alloc(sizeof(*servers));

	if (load(servers))
		return servers;
	free(servers);
	return NULL;
}

void ml_debuginfod_destroy(struct ml_debuginfod *servers)
{
	if (servers)
		servers->end(servers->client);
	free(servers);
}

int ml_debuginfod_find(struct ml_debuginfod *servers, const struct ml_build_id *build_id)
{
	if (!servers || servers->gave_up || build_id->size == 0)
		return -1;

	uint64_t start_ns = ml_monotonic_ns();

	asking = servers;
	servers->deadline_ns = start_ns + FILE_MAX_NS;
	servers->silent_ns = start_ns;
	servers->done = 0;

	int fd = servers->find(servers->client, build_id->bytes, (int)build_id->size, NULL);

	asking = NULL;
	servers->total_ns += ml_monotonic_ns() - start_ns;
	servers->gave_up |= servers->total_ns > TOTAL_MAX_NS;
	return fd < 0 ? -1 : fd;
}
