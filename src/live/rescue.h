/* SPDX-License-Identifier: BSD-2-Clause */
/** Gives the terminal back when the program ends by a crash or a second request to end. */
#ifndef ML_LIVE_RESCUE_H
#define ML_LIVE_RESCUE_H

/** Remembers the modes of the terminal @p fd; before they are changed. */
void ml_rescue_arm(int fd);

/** The terminal was given back. */
void ml_rescue_disarm(void);

#endif
