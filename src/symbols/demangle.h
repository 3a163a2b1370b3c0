/* SPDX-License-Identifier: BSD-2-Clause */
/** Mangled names of C++ (Itanium ABI), Rust (legacy and v0) and D into readable ones. */
#ifndef ML_SYMBOLS_DEMANGLE_H
#define ML_SYMBOLS_DEMANGLE_H

/** @p mangled readable, or a copy of it when it is not a mangled name. free() it. Never NULL. */
char *ml_demangle(const char *mangled);

/**
 * @p name fit for one line of a report: long template arguments become <…>, parameter lists are
 * dropped when the whole is longer than @p limit bytes. free() it. Never NULL.
 */
char *ml_demangle_shorten(const char *name, unsigned int limit);

#endif
