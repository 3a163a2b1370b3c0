/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Closes probe links beside everything else: those of processes that are gone, and all at the end.
 *
 * Closing one takes the kernel tens of milliseconds (it waits for grace periods, which overlap when
 * several are closed at once), and a followed program whose children live for one each must not
 * wait for that.
 */
#ifndef ML_TRACE_LINK_KEEPER_H
#define ML_TRACE_LINK_KEEPER_H

#include "trace/uprobe_link.h"

#include <stddef.h>

struct ml_link_keeper;

struct ml_link_keeper *ml_link_keeper_create(void);

/** Takes the descriptors of @p links over, which is empty afterwards. */
void ml_link_keeper_give(struct ml_link_keeper *keeper, struct ml_links *links);

/**
 * Waits until all is closed, at most @p limit_ms; gives how many descriptors are left. They stay
 * until the tool ends.
 */
size_t ml_link_keeper_drain(struct ml_link_keeper *keeper, unsigned int limit_ms);

/** Drains for a last moment and ends the threads; one that is stuck is left alone. NULL is fine. */
void ml_link_keeper_destroy(struct ml_link_keeper *keeper);

#endif
