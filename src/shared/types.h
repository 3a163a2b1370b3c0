/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/** Fixed-width integers on both sides of the kernel boundary. */
#ifndef ML_SHARED_TYPES_H
#define ML_SHARED_TYPES_H

#ifdef __bpf__
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
#else
#include <stdint.h>
#endif

#endif
