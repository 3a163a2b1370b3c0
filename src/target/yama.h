/* SPDX-License-Identifier: BSD-2-Clause */
/** What the machine says of ptrace (Documentation/admin-guide/LSM/Yama.rst). */
#ifndef ML_TARGET_YAMA_H
#define ML_TARGET_YAMA_H

/** kernel.yama.ptrace_scope, 0 where there is none: 1 only descendants, 2 only root, 3 nobody. */
int ml_yama_scope(void);

/** Why ptrace was refused to us with EPERM, most likely, and what to do: the end of a sentence. */
const char *ml_yama_advice(void);

#endif
