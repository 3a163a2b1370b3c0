/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Errors of the cold paths: an object that says what failed, on what and why, wrapped on its way
 * up.
 *
 * A function that can fail returns `struct ml_error *`: NULL is success, anything else is owned by
 * the caller, who wraps it, returns it, prints it or frees it. Outputs are untouched on failure.
 */
#ifndef ML_BASE_ERROR_H
#define ML_BASE_ERROR_H

/** What sort of failure it is; decides the exit status and what a caller may try instead. */
enum ml_error_kind {
	ML_ERROR_USAGE,  /**< the user's words cannot be taken: exit status 2 */
	ML_ERROR_SYSTEM, /**< the kernel or the machine said no */
	ML_ERROR_TARGET, /**< the process named cannot be looked at: gone, a zombie, not permitted
			  */
	ML_ERROR_FORMAT, /**< a file or memory of the target is not what it should be */
	ML_ERROR_UNSUPPORTED, /**< this machine lacks a feature; another way may exist */
};

struct ml_error;

/** A new error. Never NULL: without memory a static error that says so is returned. */
struct ml_error *ml_error_new(enum ml_error_kind kind, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** A new ML_ERROR_SYSTEM error ending in ": " and the words for errno value @p err. */
struct ml_error *ml_error_errno(int err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** A new error of @p kind that also carries errno value @p err, whose words are not added. */
struct ml_error *ml_error_coded(enum ml_error_kind kind, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** Puts "context: " before @p error's message; takes @p error over and returns it (or its heir). */
struct ml_error *ml_error_wrap(struct ml_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** The message: one line, no newline at its end. Lives as long as @p error. */
const char *ml_error_message(const struct ml_error *error);

enum ml_error_kind ml_error_kind(const struct ml_error *error);

/** The errno value given to ml_error_errno() or ml_error_coded(), 0 for other errors. */
int ml_error_code(const struct ml_error *error);

/** NULL is fine. */
void ml_error_free(struct ml_error *error);

/** Frees the error a local variable holds when it goes out of scope. */
static inline void ml_error_cleanup(struct ml_error **error)
{
	ml_error_free(*error);
}
#define ML_ERROR_CLEANUP __attribute__((cleanup(ml_error_cleanup)))

#endif
