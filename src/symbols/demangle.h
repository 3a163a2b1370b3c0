/* SPDX-License-Identifier: BSD-2-Clause */
/** Mangled names of C++ (Itanium ABI), Rust (legacy and v0) and D into readable ones. */
#ifndef ML_SYMBOLS_DEMANGLE_H
#define ML_SYMBOLS_DEMANGLE_H

/**
 * @p mangled readable, with its parameters but without its return type, or a copy of it when it is
 * not a mangled name. What compilers append to the names of copies of a function (.isra.0,
 * .constprop.0, .lto_priv.0, .localalias, .llvm.1234) is dropped; a part of a function is marked:
 * "name [.cold]", "name [.part]". free() it. Never NULL.
 */
char *ml_demangle(const char *mangled);

/**
 * @p name fit for one line of a report of @p limit bytes: the standard library's spellings of
 * std::string, its inline namespaces and the default arguments of its templates (std::allocator,
 * std::less, …) are always shortened; when the name is still too long, template arguments within
 * others become <…>, then the parameter list goes, then all template arguments become <…>, and what
 * still does not fit is cut with "…". free() it. Never NULL.
 */
char *ml_demangle_shorten(const char *name, unsigned int limit);

#endif
