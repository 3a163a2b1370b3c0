/* SPDX-License-Identifier: BSD-2-Clause */
/** What patching functions at their start (arm.c) and where they are imported (imports.c) share. */
#ifndef ML_INJECT_ARMING_H
#define ML_INJECT_ARMING_H

#include "inject/injection_private.h"

/** A function about to be watched. */
struct ml_site {
	const struct ml_injection_function *function;
	bool is_by_imports; /**< only where modules call it by their tables */
	uint64_t slot;
	uint64_t trampoline; /**< does what the function does */
	/* Of one that is patched at its start. */
	uint64_t address;               /**< of the patch */
	struct ml_prologue_first first; /**< what stays before the patch */
	uint64_t copy;                  /**< of the instructions moved */
	/** What the patch replaced, perhaps with a probe in it. */
	uint8_t before[ML_AGENT_PATCH_BYTES];
	uint32_t patch; /**< its number in the header */
	struct ml_prologue prologue;
};

struct ml_arming {
	struct ml_injection *injection;
	const struct ml_injection_imports *imports;
	struct ml_site *sites;
	size_t count;
	uint32_t first; /**< of the patches that are new */
	struct ml_step step;
};

/** Where the patch of @p site is to lead: where calls are sampled by bytes, to the short way. */
uint64_t ml_site_stub(const struct ml_injection *injection, const struct ml_site *site);

/** The descriptor, the constants, the stub and the short way of the slot of @p site. */
void ml_site_fill(const struct ml_injection *injection, const struct ml_site *site,
		  uint64_t substitute, uint8_t slot[ML_SLOT_BYTES]);

/** True when the function at @p function is watched by its imports. */
bool ml_imports_has(const struct ml_injection *injection, uint64_t function);

/**
 * Prepares the words of all modules that lead to @p function, but for those already written over.
 * False when there is no such word; @p site has no slot when there is none that is new.
 */
bool ml_imports_prepare(struct ml_arming *arming, const struct ml_injection_function *function,
			struct ml_site *site);

/** With all threads stopped: writes over the word of @p patch, unless something else has been
 * written there since it was looked at. */
void ml_imports_write(const struct ml_arming *arming, struct ml_agent_patch *patch);

#endif
