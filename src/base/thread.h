/* SPDX-License-Identifier: BSD-2-Clause */
/** Threads of the tool. */
#ifndef ML_BASE_THREAD_H
#define ML_BASE_THREAD_H

#include "base/error.h"

#include <pthread.h>

/** Starts a thread that runs @p run with @p context and gets no signals: they are the main
 * thread's. Who starts it joins it. */
struct ml_error *ml_thread_start(pthread_t *thread, void *(*run)(void *context), void *context);

#endif
