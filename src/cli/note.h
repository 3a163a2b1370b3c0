/* SPDX-License-Identifier: BSD-2-Clause */
/** What people are told on standard error, one line each. */
#ifndef ML_CLI_NOTE_H
#define ML_CLI_NOTE_H

/** Prints "memleak: TEXT"; control characters (names of a target) are escaped. */
void ml_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** The same as a callback of the libraries below. */
void ml_note_callback(void *context, const char *text);

#endif
