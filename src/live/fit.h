/* SPDX-License-Identifier: BSD-2-Clause */
/** Text cut and filled to columns of a terminal. */
#ifndef ML_LIVE_FIT_H
#define ML_LIVE_FIT_H

#include "base/strbuf.h"

enum ml_fit { ML_FIT_LEFT, ML_FIT_RIGHT };

/**
 * Adds @p text, exactly @p columns wide: blanks fill it up at its right (ML_FIT_LEFT) or left side.
 * What is too long ends in '~'. Control characters become \xNN; what the locale's encoding does not
 * have, '?'.
 */
void ml_fit(struct ml_strbuf *out, const char *text, unsigned int columns, enum ml_fit fit);

#endif
