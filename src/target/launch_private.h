/* SPDX-License-Identifier: BSD-2-Clause */
/** What follow.c needs of launch.c. */
#ifndef ML_TARGET_LAUNCH_PRIVATE_H
#define ML_TARGET_LAUNCH_PRIVATE_H

struct ml_launch;

/** Another part traces the child from now on: it is no longer killed with @p launch. */
void ml_launch_disown(struct ml_launch *launch);

#endif
