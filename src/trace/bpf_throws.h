/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Lets exceptions pass functions whose returns are probed: a thread of the tool puts return
 * addresses back for those who throw (src/bpf/throw.bpf.h).
 */
#ifndef ML_TRACE_BPF_THROWS_H
#define ML_TRACE_BPF_THROWS_H

struct ml_tracer_options;
struct ml_bpf_throws;

/** With the program (negative where there is none), its ring of events, and the map by which it
 * hears of what was done. @p options is borrowed. */
struct ml_bpf_throws *ml_bpf_throws_create(const struct ml_tracer_options *options, int program_fd,
					   int events_fd, int mended_fd);

/** NULL is fine. The program's links must be closed. */
void ml_bpf_throws_destroy(struct ml_bpf_throws *throws);

/** The program, for multi links at unwinders' entries; the thread begins when it is first asked
 * for. Negative where exceptions cannot pass, which has been said then. */
int ml_bpf_throws_program(struct ml_bpf_throws *throws);

#endif
