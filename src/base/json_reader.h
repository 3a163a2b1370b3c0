/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Walks through a JSON text token by token, without a tree in memory: for state files of other
 * programs. Bad JSON ends the walk; it never fails.
 */
#ifndef ML_BASE_JSON_READER_H
#define ML_BASE_JSON_READER_H

#include "base/strbuf.h"

enum ml_json_token {
	ML_JSON_END,    /**< of the text, or of what makes sense of it */
	ML_JSON_OPEN,   /**< '{' or '[' */
	ML_JSON_CLOSE,  /**< '}' or ']' */
	ML_JSON_KEY,    /**< of a member; in `text` */
	ML_JSON_STRING, /**< in `text` */
	ML_JSON_OTHER,  /**< a number, true, false or null */
};

/** `{.at = TEXT}` stands at the beginning. */
struct ml_json_reader {
	const char *at;        /**< borrowed */
	unsigned int depth;    /**< how many brackets are open */
	struct ml_strbuf text; /**< of the last key or string, escapes undone; owned */
};

enum ml_json_token ml_json_next(struct ml_json_reader *reader);

void ml_json_reader_deinit(struct ml_json_reader *reader);

#define ML_JSON_READER_CLEANUP __attribute__((cleanup(ml_json_reader_deinit)))

#endif
