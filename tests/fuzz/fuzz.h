/* SPDX-License-Identifier: BSD-2-Clause */
/** What all harnesses of libFuzzer share. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "elf/module.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** The entry point that libFuzzer calls with every input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** A promise of the code under test; breaking it is a finding. */
#define FUZZ_CHECK(promise)                                                                        \
	do {                                                                                       \
		if (!(promise)) {                                                                  \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #promise);      \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/** The input as a text with its NUL; free() it. */
char *fuzz_text(const uint8_t *data, size_t size);

/** The input as a file in memory; the caller's to close. */
int fuzz_file(const uint8_t *data, size_t size);

/** The input as an ELF module, or NULL when it is not taken as one. */
struct ml_module *fuzz_module(const uint8_t *data, size_t size);

/** A program with nothing but 64 KiB of code at FUZZ_CODE_ADDRESS and section @p name. */
#define FUZZ_CODE_ADDRESS 0x1000
#define FUZZ_CODE_SIZE    0x10000
struct ml_module *fuzz_module_with_section(const char *name, const uint8_t *data, size_t size);

/** Takes @p size bytes off the front of the input; zeroes where it has no more. */
void fuzz_take(const uint8_t **data, size_t *size, void *out, size_t out_size);

#endif
