/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Stand-ins for what report uses of lower layers: a module of functions at every 0x100, so that a
 * test says what an address is called. They stand in for the libraries at link time.
 */
#ifndef ML_TEST_REPORT_FAKES_H
#define ML_TEST_REPORT_FAKES_H

#include "elf/module.h"

/** Function i covers addresses 0x100 * i … 0x100 * i + 0xff; NULL has no name. */
struct ml_module {
	const char *name;
	const char *build_id;
	const char *functions[16];
};

/** How often a name was asked for. */
extern unsigned int fake_symbol_lookups, fake_line_lookups;

#endif
