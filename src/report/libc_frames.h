/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Names for the frames glibc's start-up leaves at the outer end of every stack.
 *
 * They are private functions, so a libc without debug symbols (Debian's, unless libc6-dbg is
 * installed) has no name for them. Their place tells what they are: what clone3() returns into is
 * start_thread, what stands between main and __libc_start_main is __libc_start_call_main
 * (glibc 2.34 and later).
 */
#ifndef ML_REPORT_LIBC_FRAMES_H
#define ML_REPORT_LIBC_FRAMES_H

#include "report/report.h"

/** Names those of @p site's frames that have no symbol; @p site was just filled from @p stack. */
void ml_libc_frames_name(const struct ml_stack *stack, struct ml_report_site *site);

#endif
