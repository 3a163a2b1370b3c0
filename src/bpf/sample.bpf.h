/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/** Which calls are kept, and for how many they stand (--sample-bytes, --sample-rate). Part of
 * user.bpf.c. */

/* A random number with mean 1 and the exponential distribution, times 2^16: -ln(u) for u in (0,1].
 * log2 is the position of the top bit and f + c f(1 - f) for the rest; c = 0.34383 makes the mean
 * exact, the error is below 0.008. Not static, so that the verifier goes through it once. */
__noinline uint64_t exponential_q16(void)
{
	uint64_t x = bpf_get_prandom_u32() | 1, shifted = x;
	uint32_t top = 31;

#define STEP(mask, bits)                                                                           \
	if (!(shifted & (mask))) {                                                                 \
		top -= (bits);                                                                     \
		shifted <<= (bits);                                                                \
	}
	STEP(0xffff0000u, 16)
	STEP(0xff000000u, 8)
	STEP(0xf0000000u, 4)
	STEP(0xc0000000u, 2)
	STEP(0x80000000u, 1)
#undef STEP
	uint64_t fraction = (shifted << 1 & 0xffffffffu) >> 16;
	uint64_t bend = ((fraction * (65536 - fraction)) >> 16) * 22533 >> 16;
	uint64_t log2 = ((uint64_t)top << 16) + fraction + bend;

	return (((32ull << 16) - log2) * 45426) >> 16; /* ln 2 * 2^16 */
}

/* Blocks of at least this many means are kept always, with their own size as weight. */
#define ALWAYS_SAMPLED 4

/* How many sampling points of a Poisson process with mean distance @mean fall into @size bytes. */
static __always_inline uint64_t points_in(struct thread_state *thread, uint64_t size, uint64_t mean)
{
	int64_t budget = thread->byte_budget;
	uint64_t points = 0;

	/* A thread's first: the distance to the first point is random as well. */
	if (!budget)
		budget = (int64_t)(mean * exponential_q16() >> 16) + 1;
	budget -= (int64_t)size;
	if (budget > 0) {
		thread->byte_budget = budget;
		return 0;
	}
	for (int i = 0; i < 3 * ALWAYS_SAMPLED && budget <= 0; i++) {
		points++;
		budget += (int64_t)(mean * exponential_q16() >> 16) + 1;
	}
	thread->byte_budget = budget > 0 ? budget : 1;
	return points;
}

/*
 * How many blocks of @size bytes one that is kept stands for: 1 / p, where it is kept with p,
 * rounded up or down by chance, so that sums of many are right. Not static, as above.
 */
__noinline uint64_t blocks_of(uint64_t size, uint64_t mean)
{
	uint64_t count_q16 =
		(ml_sample_bytes_per_mean_q24(size, mean) >> 8) * mean / (size ? size : 1);

	return (count_q16 + (bpf_get_prandom_u32() & 0xffff)) >> 16;
}

/* Sets the weights of the call in @thread; weight_count stays 0 when it is not kept. */
static __always_inline void sample(struct thread_state *thread, const struct ml_trace_config *cfg,
				   uint64_t size)
{
	uint64_t mean = cfg->sample_bytes;

	thread->weight_count = 0;
	if (mean && size < ALWAYS_SAMPLED * mean) {
		uint64_t points = points_in(thread, size ? size : 1, mean);

		thread->weight_bytes = points * mean;
		if (points)
			thread->weight_count = blocks_of(size ? size : 1, mean) ?: 1;
		return;
	}
	if (cfg->sample_every > 1) {
		if (++thread->nth < cfg->sample_every)
			return;
		thread->nth = 0;
	}
	thread->weight_bytes = size;
	thread->weight_count = 1;
}
