/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/** Why a stack walk stopped. */
#ifndef ML_SHARED_WALK_END_H
#define ML_SHARED_WALK_END_H

/** How a walk ended; ML_WALK_MORE while it has not. The order is fixed: it is stored with a stack.
 */
enum ml_walk_end {
	ML_WALK_MORE,
	ML_WALK_COMPLETE,       /**< reached the outermost frame */
	ML_WALK_FAULT,          /**< stack memory could not be read */
	ML_WALK_NO_UNWIND_INFO, /**< code no rule covers, and no frame pointer to follow */
	ML_WALK_DEPTH,          /**< the depth limit */
	ML_WALK_END_COUNT,
};

#endif
