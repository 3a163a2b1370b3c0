/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The flame graph as a drawing: complete without its script (assets/flamegraph.js), which adds
 * zooming, searching and the keyboard.
 */
#ifndef ML_REPORT_FLAME_DRAWING_H
#define ML_REPORT_FLAME_DRAWING_H

#include "report/report.h"

/** Writes the <svg> element with a heading, its style and its script: a file of its own. */
void ml_flame_drawing_document(FILE *out, const struct ml_report *report);

/** Writes what goes into an HTML page that has style and script already. */
void ml_flame_drawing_element(FILE *out, const struct ml_report *report);

#endif
