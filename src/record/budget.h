/* SPDX-License-Identifier: BSD-2-Clause */
/** What reading one recording may take: recordings are hostile input. */
#ifndef ML_RECORD_BUDGET_H
#define ML_RECORD_BUDGET_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct ml_record_budget {
	uint64_t memory_bytes; /**< all that is kept of it, and the frames of a report */
	uint64_t work;         /**< sum over the moments of the sites they have: some 400 ns each */
};

/** A day of 10 000 sites every 5 s is 173 million sites, and some 100 MiB. */
#define ML_RECORD_BUDGET                                                                           \
	((struct ml_record_budget){.memory_bytes = 2ULL << 30, .work = 1000000000ULL})

/** Takes @p bytes off the limit; false when it is passed. */
static inline bool ml_record_charge(struct ml_record_budget *limits, uint64_t bytes)
{
	if (bytes > limits->memory_bytes)
		return false;
	limits->memory_bytes -= bytes;
	return true;
}

#endif
