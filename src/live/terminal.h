/* SPDX-License-Identifier: BSD-2-Clause */
/** Whether the standard output is a terminal that can show a full-screen view. */
#ifndef ML_LIVE_TERMINAL_H
#define ML_LIVE_TERMINAL_H

#include "base/error.h"

/** Says what is missing and what to do. Touches nothing. */
struct ml_error *ml_terminal_check(void);

#endif
