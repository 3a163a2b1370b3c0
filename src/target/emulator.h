/* SPDX-License-Identifier: BSD-2-Clause */
/** Programs that run other programs' code by translating it. */
#ifndef ML_TARGET_EMULATOR_H
#define ML_TARGET_EMULATOR_H

/** What runs in a process besides the program in it. */
enum ml_emulation {
	ML_EMULATION_NONE,
	/** Code of another machine: none of it is ours to trace, only what the emulator does. */
	ML_EMULATION_FOREIGN,
	/** Code of this machine, which is translated from memory. A breakpoint or a patch in it
	 * would be translated, too, and end the program (SIGTRAP). */
	ML_EMULATION_TRANSLATED,
};

/** By the name of a file mapped in the process, with or without its folder. */
enum ml_emulation ml_emulation_of(const char *path);

#endif
