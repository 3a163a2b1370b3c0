/* SPDX-License-Identifier: BSD-2-Clause */
/** What the steps of an injection share. */
#ifndef ML_INJECT_INJECTION_PRIVATE_H
#define ML_INJECT_INJECTION_PRIVATE_H

#include "inject/filter.h"
#include "inject/injection.h"
#include "inject/machine.h"
#include "inject/stop.h"
#include "target/maps.h"

/*
 * An island: its first slot says whose it is; the others (machine.h) have one function each. A
 * forked child, which has the islands but not the memory, can be cleaned by them.
 */
#define ML_ISLAND_BYTES (8 * ML_AGENT_PAGE)
#define ML_ISLAND_MAGIC 0x6e616c736967616dull
#define ML_ISLAND_SLOTS (ML_ISLAND_BYTES / ML_SLOT_BYTES)
/* How far a jump may go; rel32 reaches 2 GiB, the rest is for data the moved code uses. */
#define ML_ISLAND_REACH 0x70000000ull

/** The first slot of an island. */
struct ml_island_header {
	uint64_t magic;
	uint64_t address; /**< of the island itself */
	uint64_t returned;
	struct ml_agent_range image;
};

/** One step: the process stopped, and where it can run system calls. */
struct ml_step {
	const struct ml_process *process;
	pid_t pid;
	struct ml_call_place place;
	enum ml_filter_state filter;
	uint32_t denied;   /**< calls of the agent (enum ml_agent_call) that our own forbids */
	bool may_call;     /**< set when it is stopped: no filter sees our calls, or it was tried */
	bool is_suspended; /**< the filters of a held process are, until ml_step_leave() */
	struct ml_stop stop;
	const struct ml_maps *maps; /**< as read when it was seized */
};

/** Finds where the process can run system calls. ML_ERROR_UNSUPPORTED when there is no such place.
 */
struct ml_error *ml_step_prepare(const struct ml_process *process, struct ml_step *step);
/** The same for a process whose filters may have become stricter since it was attached to. */
struct ml_error *ml_step_prepare_end(const struct ml_process *process, struct ml_step *step);
/**
 * Takes hold of the process, all threads (@p only 0) or one; to be called by what ml_step_run()
 * runs. Its maps are read then, into @p maps (NULL: not needed), for what comes. Then
 * ml_step_stop(), and in any case ml_step_leave().
 */
struct ml_error *ml_step_seize(struct ml_step *step, pid_t only, struct ml_maps *maps);
struct ml_error *ml_step_stop(struct ml_step *step);
/** Forgets what the two took; those that are not stopped any more may be gone. */
void ml_step_leave(struct ml_step *step, struct ml_maps *maps);

/** The agent's system calls (enum ml_agent_call) that the stopped threads' filters forbid, or may.
 */
uint32_t ml_step_denied(const struct ml_step *step);

/**
 * Runs @p work in a process of its own and waits for it; its error comes back. What is held by our
 * own ptrace is worked on by this process.
 */
struct ml_error *ml_step_run(const struct ml_process *process,
			     struct ml_error *(*work)(void *context), void *context);

/** Makes the stopped process run a system call; @p what names it in the error. */
struct ml_error *ml_step_call(struct ml_step *step, const char *what, long number,
			      const uint64_t arguments[6], int64_t *result);
struct ml_error *ml_step_mmap(struct ml_step *step, uint64_t hint, size_t size, int protection,
			      int flags, int fd, uint64_t *out);
void ml_step_close(struct ml_step *step, int64_t remote);
void ml_step_munmap(struct ml_step *step, uint64_t start, uint64_t size);

/**
 * Looks how the data page of the image can be made to read as zero in a forked child; not to be
 * done while anybody is stopped.
 */
void ml_image_look(void);
/** Bytes it takes, data page and code. */
size_t ml_image_size(void);
/**
 * Maps the image into the stopped process and writes it; @p header gets its place.
 * ML_ERROR_UNSUPPORTED when forked children could not be told apart.
 */
struct ml_error *ml_image_map(struct ml_step *step, struct ml_agent_header *header);
/** Fills the sieve of an agent that is not at work: all calls are looked at until it turns out that
 * they need not be. */
bool ml_image_fill_sieve(const struct ml_process *process, const struct ml_agent_header *header);
/** Gives a forked child the data page of what it has inherited. */
struct ml_error *ml_image_renew(struct ml_step *step, const struct ml_agent_header *header);

/** Where code is to be mapped. */
struct ml_code_place {
	uint64_t address; /**< as mmap() takes it */
	size_t size;
	int flags;        /**< MAP_FIXED and the like */
	uint64_t scratch; /**< zeros, for a while */
};

/** True when @p error says that memory may not be code. */
bool ml_code_is_forbidden(const struct ml_error *error);
/** Maps memory that is executable and not writable, whatever way the process is allowed. */
struct ml_error *ml_code_map(struct ml_step *step, const struct ml_code_place *place,
			     uint64_t *out);

/** Has the stopped process make a memory file: its descriptor there. */
struct ml_error *ml_memory_create(struct ml_step *step, uint64_t scratch, const char *name,
				  int64_t *remote);
/** Makes a memory file of @p size bytes in the stopped process, maps it there, and gives its
 * address there and a descriptor here. */
struct ml_error *ml_memory_make(struct ml_step *step, uint64_t scratch, size_t size,
				uint64_t *address, int *fd);
/**
 * Opens what the target was made to create, by a link of /proc/PID. Other threads of it may run,
 * and have put a file there that they may only read, and we write: it must be one without a name.
 */
struct ml_error *ml_memory_open(const struct ml_step *step, const char *path, int *fd);
/** True when @p mapping is such a file. */
bool ml_memory_is(const struct ml_process *process, const struct ml_mapping *mapping);
/** Whether the file system of @p fd has so much room. */
bool ml_memory_has_room(int fd, uint64_t bytes);
/** A descriptor of such a file that @p process has open, as one has whose tool was killed while it
 * made the memory; -1 for none. */
int ml_memory_descriptor(const struct ml_process *process);
/** A descriptor through a socket, from the process that works to the tool. */
struct ml_error *ml_descriptor_send(int socket, int fd);
int ml_descriptor_receive(int socket);

/**
 * Maps islands so that each of @p functions has a slot in reach; @p used counts the slots given
 * away.
 */
struct ml_error *ml_islands_map(struct ml_step *step, struct ml_agent_header *header,
				const uint32_t used[ML_AGENT_ISLANDS],
				const struct ml_injection_function *functions, size_t count);

/** What stands where something was patched. */
enum ml_patch_state {
	ML_PATCH_OURS,    /**< our jump */
	ML_PATCH_GONE,    /**< nothing, or the code of a file as the file has it: loaded anew */
	ML_PATCH_FOREIGN, /**< what somebody else put there, who may have kept our jump elsewhere */
};

enum ml_patch_state ml_patch_state(const struct ml_process *process,
				   const struct ml_agent_patch *patch);

static inline bool ml_is_in_reach(uint64_t a, uint64_t b)
{
	return (a > b ? a - b : b - a) < ML_ISLAND_REACH;
}

#endif
