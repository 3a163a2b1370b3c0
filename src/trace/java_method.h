/* SPDX-License-Identifier: BSD-2-Clause */
/** A method as HotSpot keeps it: its name, its file, the lines of its bytecode. */
#ifndef ML_TRACE_JAVA_METHOD_H
#define ML_TRACE_JAVA_METHOD_H

#include "trace/java_vm.h"

/** What tells a method from a later one at its address. */
struct ml_java_method_identity {
	uint64_t const_method;
	uint64_t constants;
	uint32_t name_index;
	uint32_t code_size;
};

struct ml_java_method {
	struct ml_java_method_identity identity;
	char *symbol;   /**< "java.util.zip.Deflater.init"; owned; NULL: could not be read */
	char *file;     /**< "Deflater.java"; owned; NULL: not known */
	uint8_t *lines; /**< the compressed table; owned; NULL: none */
	size_t lines_size;
};

/** False when there is no method at @p address. */
bool ml_java_method_identify(const struct ml_java_memory *memory, const struct ml_java *java,
			     uint64_t address, struct ml_java_method_identity *out);

/** Reads the method that @p identity is of; what is missing stays NULL. */
void ml_java_method_read(const struct ml_java_memory *memory, const struct ml_java *java,
			 const struct ml_java_method_identity *identity,
			 struct ml_java_method *out);
void ml_java_method_deinit(struct ml_java_method *method);

/** The line of the bytecode at index @p bci, by the table of JDK @p version; 0 when unknown. */
int ml_java_method_line(const struct ml_java_method *method, uint32_t version, uint32_t bci);

#endif
