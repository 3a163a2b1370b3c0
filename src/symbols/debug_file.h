/* SPDX-License-Identifier: BSD-2-Clause */
/** Where the DWARF of a module is: in itself, or in a separate debug file. */
#ifndef ML_SYMBOLS_DEBUG_FILE_H
#define ML_SYMBOLS_DEBUG_FILE_H

#include "elf/build_id.h"
#include "elf/image.h"
#include "elf/module.h"
#include "symbols/debuginfod.h"
#include "symbols/symbolizer.h"

/** How files of the target are opened: ml_symbolizer_set_open_file(). */
struct ml_file_opener {
	ml_open_file *open; /**< NULL: module paths are paths of this machine */
	void *context;
	struct ml_debuginfod *servers; /**< asked last, by build-id; NULL: none */
};

/** Opens @p path of the root that @p module was found in; -1 when it is no regular file there. */
int ml_debug_file_open(struct ml_module *module, const struct ml_file_opener *opener,
		       const char *path);

/**
 * The separate debug file of @p module, checked to belong to it: by build-id below /usr/lib/debug
 * of the target's root and then of this machine, by .gnu_debuglink beside the module and in .debug
 * (of the target's root), and below /usr/lib/debug (of both), from a server. Returns a descriptor
 * (the caller's) or -1; @p path (free() it) is what the file is called.
 */
int ml_debug_file_find(struct ml_module *module, const struct ml_file_opener *opener, char **path);

/**
 * The supplementary file (dwz) that .gnu_debugaltlink of @p image, found for @p module, names, by
 * the build-id that stands there. Returns a descriptor (the caller's) or -1.
 */
int ml_debug_file_find_alternate(struct ml_module *module, const struct ml_image *image,
				 const struct ml_file_opener *opener);

#endif
