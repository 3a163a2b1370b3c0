/* SPDX-License-Identifier: BSD-2-Clause */
/** What entry.S relies on of the structures of C, part of agent.c. */
#define RELIED_ON(type, member, offset)                                                            \
	_Static_assert(offsetof(struct type, member) == (offset), "")

RELIED_ON(call, r11, CALL_BYTES);
RELIED_ON(call, thread, CALL_THREAD);
RELIED_ON(call, size, CALL_SIZE);
RELIED_ON(call, ways, CALL_WAYS);
RELIED_ON(call, old.address, CALL_OLD);
RELIED_ON(call, old.size, CALL_OLD_SIZE);
RELIED_ON(call, old.stack, CALL_OLD_STACK);
RELIED_ON(call, old.tid_number, CALL_OLD_TID);
RELIED_ON(call, old.born, CALL_OLD_BORN);
RELIED_ON(call, is_plain, CALL_PLAIN);
RELIED_ON(call, is_substituted, CALL_SUBSTITUTED);

RELIED_ON(ml_agent_memory, header.mode, MEMORY_MODE);
RELIED_ON(ml_agent_memory, config.min_size, MEMORY_MIN);
RELIED_ON(ml_agent_memory, config.max_size, MEMORY_MAX);
RELIED_ON(ml_agent_memory, start_ns, MEMORY_START);
RELIED_ON(ml_agent_memory, always_bytes, MEMORY_ALWAYS);
RELIED_ON(ml_agent_memory, is_exact, MEMORY_EXACT);
RELIED_ON(ml_agent_memory, epoch, MEMORY_EPOCH);
RELIED_ON(ml_agent_memory, now_ns, MEMORY_NOW);
RELIED_ON(ml_agent_memory, unmap_count, MEMORY_UNMAPS);
RELIED_ON(ml_agent_memory, filter, MEMORY_FILTER);
RELIED_ON(ml_agent_memory, threads, MEMORY_THREADS);

RELIED_ON(ml_agent_data, memory, 0);
RELIED_ON(ml_agent_data, sieve, DATA_SIEVE);

RELIED_ON(ml_agent_thread, pointer, 0);
RELIED_ON(ml_agent_thread, call, THREAD_CALL);
RELIED_ON(ml_agent_thread, events, THREAD_EVENTS);
RELIED_ON(ml_agent_thread, walker, THREAD_WALKER);
RELIED_ON(ml_agent_thread, byte_budget, THREAD_BUDGET);
RELIED_ON(ml_agent_thread, passing_sp, THREAD_PASSING_SP);
RELIED_ON(ml_agent_thread, passing_ip, THREAD_PASSING_IP);
RELIED_ON(ml_agent_thread, stack.start, THREAD_STACK_START);
RELIED_ON(ml_agent_thread, stack.size, THREAD_STACK_SIZE);
RELIED_ON(ml_agent_thread, tid, THREAD_TID);
RELIED_ON(ml_agent_thread, tid_offset, THREAD_TID_OFFSET);
RELIED_ON(ml_agent_thread, memo, THREAD_MEMO);
RELIED_ON(ml_agent_thread, tid_bits, THREAD_TID_BITS);
RELIED_ON(ml_agent_thread, recent_mask, THREAD_RECENT_MASK);

RELIED_ON(ml_agent_memo, recent, 0);
RELIED_ON(ml_agent_memo, traces, MEMO_TRACES);
RELIED_ON(ml_agent_memo, words, MEMO_WORDS);

RELIED_ON(ml_agent_memo, python, MEMO_PYTHON);
RELIED_ON(ml_agent_memo, python_traces, MEMO_PYTHON_TRACES);

RELIED_ON(ml_agent_python, seen_age, 0);
RELIED_ON(ml_agent_python, word_bytes, PYTHON_WORD_BYTES);
RELIED_ON(ml_agent_python, outer_hash, PYTHON_OUTER_HASH);
RELIED_ON(ml_agent_python, code_at, PYTHON_CODE_AT);
RELIED_ON(ml_agent_python, instruction_at, PYTHON_INSTRUCTION_AT);
RELIED_ON(ml_agent_python, mark_at, PYTHON_MARK_AT);
RELIED_ON(ml_agent_python, mark_value, PYTHON_MARK_VALUE);
RELIED_ON(ml_agent_python, words, PYTHON_WORDS);
RELIED_ON(ml_agent_word, address, 0);
RELIED_ON(ml_agent_word, value, 8);

RELIED_ON(ml_agent_trace, ip, TRACE_IP);
RELIED_ON(ml_agent_trace, sp, TRACE_SP);
RELIED_ON(ml_agent_trace, bp, TRACE_BP);
RELIED_ON(ml_agent_trace, stack, TRACE_STACK);
RELIED_ON(ml_agent_trace, first, TRACE_FIRST);
RELIED_ON(ml_agent_trace, reach, TRACE_REACH);
RELIED_ON(ml_agent_trace, epoch, TRACE_EPOCH);
RELIED_ON(ml_agent_trace, count, TRACE_COUNT);
RELIED_ON(ml_agent_trace, uses_bp, TRACE_USES_BP);
RELIED_ON(ml_agent_trace, python, TRACE_PYTHON);
RELIED_ON(ml_agent_trace, end, TRACE_END);
RELIED_ON(ml_agent_trace, allocs, TRACE_ALLOCS);
RELIED_ON(ml_agent_trace, alloc_bytes, TRACE_BYTES);

RELIED_ON(ml_agent_line, size, LINE_SIZE);
RELIED_ON(ml_agent_line, born, LINE_BORN);
RELIED_ON(ml_agent_line, key, 0);

_Static_assert(sizeof(struct ml_agent_thread) == 1 << THREAD_SHIFT, "");
_Static_assert(ML_AGENT_THREADS == 1ull << (32 - THREAD_HASH_SHIFT), "");
_Static_assert(ML_AGENT_SIEVE == 1u << (32 - SIEVE_WORD_SHIFT), "");
_Static_assert(SIEVE_BITS_SHIFT == 32 - SIEVE_BIT_SHIFT, "");
_Static_assert(ML_AGENT_SIEVE_COUNTS == SIEVE_COUNTS && SIEVE_COUNTS == 8, "a word");
_Static_assert(HEARTBEAT_CALLS == HEARTBEAT_MASK + 1, "");
_Static_assert(sizeof(struct ml_agent_trace) == 1 << TRACE_SHIFT, "");
_Static_assert(ML_AGENT_TRACE_WAYS << TRACE_SHIFT == 1 << WAYS_SHIFT, "");
_Static_assert(ML_AGENT_TRACES / ML_AGENT_TRACE_WAYS == 1ull << (64 - WAYS_HASH_SHIFT), "");
_Static_assert(MEMO_TRACES % (1 << WAYS_SHIFT) == 0, "the end of ways tells by its address");
_Static_assert(WORDS_AT_ONCE == WORDS_UNROLLED, "");
_Static_assert(ML_AGENT_STACK_LOOP == STACK_LOOP && ML_AGENT_KEY_STACKS == KEY_STACKS, "");
_Static_assert(sizeof(struct ml_agent_word) == 16 && ML_PYTHON_LOOP_BEGINS == 1, "");
_Static_assert(GOLDEN == WAYS_FACTOR, "");
_Static_assert(ML_AGENT_ON == MODE_ON && ML_WALK_COMPLETE == END_COMPLETE, "");
_Static_assert(ML_AGENT_TICK_SHIFT == TICK_SHIFT && ML_AGENT_LARGE_BYTES == LARGE_BYTES, "");
_Static_assert(ML_AGENT_KEY_USED == KEY_USED && ML_AGENT_KEY_BUSY == KEY_BUSY, "");
_Static_assert(ML_AGENT_KEY_PLACE == KEY_PLACE && ML_AGENT_KEY_STACK == KEY_STACK, "");
_Static_assert(ML_AGENT_SIZE_LARGE == SIZE_LARGE && ML_AGENT_SIZE_TID == SIZE_TID, "");
_Static_assert(ML_AGENT_BORN_SHIFT == BORN_SHIFT && BORN_SHIFT == 3, "");
_Static_assert(ML_AGENT_KEY_SAMPLED == KEY_SAMPLED, "");
