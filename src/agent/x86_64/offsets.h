/* SPDX-License-Identifier: BSD-2-Clause */
/** Numbers that entry.S and the structures of C share; agent.c asserts that they agree. */
#ifndef ML_AGENT_X86_64_OFFSETS_H
#define ML_AGENT_X86_64_OFFSETS_H

#define CALL_BYTES        96
#define CALL_SUBSTITUTED  88
#define CALL_PLAIN        92

#define DESCRIPTOR_ROLE   16
#define ROLE_MALLOC       1
#define ROLE_FREE         7

#define MEMORY_MODE       12
#define MEMORY_EXACT      8256
#define MEMORY_ALWAYS     8240
#define MEMORY_FILTER     90112
#define MEMORY_THREADS    50880512
#define MODE_ON           1

#define THREAD_EVENTS     16
#define THREAD_BUDGET     40
#define THREAD_SHIFT      7
#define THREAD_HASH_SHIFT 52
#define HEARTBEAT_MASK    16383

#endif
