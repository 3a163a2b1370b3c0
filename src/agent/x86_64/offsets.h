/* SPDX-License-Identifier: BSD-2-Clause */
/** Numbers that entry.S and the structures of C share; agent.c asserts that they agree. */
#ifndef ML_AGENT_X86_64_OFFSETS_H
#define ML_AGENT_X86_64_OFFSETS_H

#define CALL_BYTES            96
#define CALL_THREAD           8
#define CALL_SIZE             24
#define CALL_WAYS             40
#define CALL_OLD              56
#define CALL_OLD_SIZE         64
#define CALL_OLD_STACK        72
#define CALL_OLD_TID          76
#define CALL_OLD_BORN         80
#define CALL_PLAIN            88
#define CALL_MISSED           2 /* in CALL_PLAIN: no trace that is true */
#define CALL_SUBSTITUTED      92

#define MEMORY_MODE           12
#define MEMORY_MIN            8192
#define MEMORY_MAX            8200
#define MEMORY_START          8232
#define MEMORY_ALWAYS         8240
#define MEMORY_EXACT          8256
#define MEMORY_EPOCH          8268
#define MEMORY_NOW            8320
#define MEMORY_UNMAPS         8420
#define MEMORY_FILTER         90112
#define MEMORY_THREADS        235429888
#define MODE_ON               1
#define TICK_SHIFT            24

#define DATA_SIEVE            1024
#define SIEVE_HASH            0x9e3779b1
#define SIEVE_WORD_SHIFT      24
#define SIEVE_BYTE_SHIFT      21
#define SIEVE_BIT_HASH        0x85ebca6b
#define SIEVE_BIT_SHIFT       27
#define SIEVE_BITS_SHIFT      5
#define SIEVE_COUNTS          8

#define THREAD_CALL           8
#define THREAD_EVENTS         16
#define THREAD_BUDGET         24
#define THREAD_PASSING_SP     32
#define THREAD_PASSING_IP     40
#define THREAD_WALKER         48
#define THREAD_STACK_START    64
#define THREAD_STACK_SIZE     72
#define THREAD_TID            80
#define THREAD_TID_OFFSET     88
#define THREAD_MEMO           120
#define THREAD_TID_BITS       140
#define THREAD_RECENT_MASK    144
#define THREAD_SHIFT          8
#define THREAD_HASH           0x9e3779b1
#define THREAD_HASH_SHIFT     20
#define HEARTBEAT_MASK        16383

#define MEMO_TRACES           131072
#define MEMO_WORDS            262144
#define MEMO_PYTHON           552960
#define MEMO_PYTHON_TRACES    565248

#define PYTHON_WORD_BYTES     4
#define PYTHON_OUTER_HASH     8
#define PYTHON_CODE_AT        16
#define PYTHON_INSTRUCTION_AT 24
#define PYTHON_MARK_AT        32
#define PYTHON_MARK_VALUE     40
#define PYTHON_WORDS          48
#define PYTHON_AGE_SHIFT      23 /* a page is asked for again after 8 ms */
#define PYTHON_STIR_SHIFT     29

/* Places are told from there on, where all lines are and an instruction reaches. */
#define RECENT_BASE          0x70000000
#define RECENT_BITS          32
#define RECENT_OWN_BIT       35
#define RECENT_OWN           8
#define RECENT_OTHERS        0x80000000
#define RECENT_PLACE         (RECENT_OTHERS - 1 - RECENT_OWN)
#define RECENT_ADDRESS_SHIFT 15

#define TRACE_IP             0
#define TRACE_SP             8
#define TRACE_BP             16
#define TRACE_STACK          24
#define TRACE_FIRST          28
#define TRACE_REACH          32
#define TRACE_EPOCH          36
#define TRACE_COUNT          40
#define TRACE_USES_BP        43
#define TRACE_PYTHON         44
#define TRACE_END            46
#define TRACE_ALLOCS         48
#define TRACE_BYTES          56
#define TRACE_SHIFT          6
#define WAYS_SHIFT           9
#define WAYS_SP_SHIFT        20
#define WAYS_HASH_SHIFT      56
#define WORDS_UNROLLED       4
#define END_COMPLETE         1
#define STACK_LOOP           0x4000
#define WAYS_FACTOR          0x9e3779b97f4a7c15

#define LINE_SIZE            20
#define LINE_BORN            40
#define KEY_USED             0x80000000
#define KEY_BUSY             1
#define KEY_PLACE            0x1fff
#define KEY_STACK            13
#define KEY_STACKS           0x20000
#define KEY_SAMPLED          0x40000000
#define SIZE_TID             18
#define BORN_SHIFT           3
#define SIZE_LARGE           0x80000000
#define LARGE_BYTES          262144

#endif
