/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Code that allocates because somebody else called it: run-time libraries, libraries as a
 * distribution installs them, and what stands between two languages.
 */
#ifndef ML_REPORT_FOREIGN_CODE_H
#define ML_REPORT_FOREIGN_CODE_H

#include "report/report.h"

/** Whether @p module (a name without directory, or NULL) is the C or C++ library or an allocator.
 */
bool ml_foreign_is_runtime(const char *module);

/** Whether @p frame is of an allocator that takes the place of the C library's, or maps Go's heap.
 */
bool ml_foreign_is_allocator(const struct ml_report_frame *frame);

/** Whether the source @p file (or NULL) is of a language's standard library: templates and inlined
 * functions, whose names may lack the namespace. */
bool ml_foreign_is_standard_source(const char *file);

/** Whether the function @p symbol (or NULL) is what Go's compiler and run time put between Go and
 * C.
 */
bool ml_foreign_is_bridge(const char *symbol);

/**
 * Whether @p frame is in a library in the linker's own directories and without debug information:
 * whoever reads the report has written what calls it. Plug-ins and modules have directories of
 * their own.
 */
bool ml_foreign_is_library(const struct ml_report_frame *frame);

/** Whether @p frame is the JDK's, in Java or native, or a native library that is somebody else's.
 */
bool ml_foreign_is_jdk(const struct ml_report_frame *frame);

#endif
