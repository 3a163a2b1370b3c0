/* SPDX-License-Identifier: BSD-2-Clause */
/** What taking the agent out (remove.c) and looking who is within it (within.c) share. */
#ifndef ML_INJECT_REMOVAL_H
#define ML_INJECT_REMOVAL_H

#include "inject/injection_private.h"

/** Bytes of stack looked at for the frame of a signal handler that interrupted the agent. */
#define ML_REMOVAL_STACK (1u << 20)

/* A thread's place in the agent's memory. */
struct ml_removal_place {
	uint32_t number;
	uint64_t pointer;
};

struct ml_removal {
	struct ml_agent_memory *memory; /* ours; NULL: read through the process */
	int fd;                         /* its file; -1 */
	struct ml_agent_header header;  /* a copy: the memory goes */
	struct ml_step step;
	struct ml_maps maps;
	int descriptor;       /* of the memory's file, left open; -1 */
	int attempt;          /* how often all were looked at before */
	uint64_t *stack;      /* ML_REMOVAL_STACK bytes to read one into */
	uint32_t id;          /* what the memory knows this removal by */
	bool is_marked;       /* by that */
	pid_t caller;         /* the thread that is to unmap it; 0 any */
	ml_proc_tids rest;    /* the others that may be within the agent */
	struct ml_stop looks; /* at them */
	bool has_dropped;     /* most of its pages */
	/* Those in use, as of when so many threads had got one. */
	bool knows_places;
	ML_ARRAY(struct ml_removal_place) places;
	uint32_t tid_count;
};

/** Reads the maps anew. */
struct ml_error *ml_removal_read_maps(struct ml_removal *removal);

/** Looks which threads have places, once the agent is off, and again when there is a new one. */
void ml_removal_find_places(struct ml_removal *removal);

/** Whether a stopped thread is not within the agent; @p context is the removal. */
bool ml_removal_is_out(void *context, const struct ml_stop *stop, const struct ml_stopped *thread);

#endif
