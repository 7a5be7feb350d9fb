/*
 * Random numbers: PCG64 (XSL-RR 128/64; O'Neill 2014), in named streams.
 *
 *     state <- state * 0x2360ed051fc65da44385df649fccf645 + inc   (mod 2^128)
 *     draw   = rotr64(high(state) ^ low(state), state >> 122)      of the new state
 *
 * as numpy.random.PCG64 draws. A stream is keyed by (seed, purpose): state and increment
 * are the two halves of SHA-256(seed as 8 bytes little-endian, purpose), big-endian, the
 * increment made odd. So adding a draw to one purpose moves no other, and arms of a
 * comparison stay paired.
 *
 * Purposes: order/<data>/<epoch>, init/<parameter>, dropout/<site>/<step>, ...
 */
#ifndef RETORT_RNG_H
#define RETORT_RNG_H

#include <stdint.h>

__extension__ typedef unsigned __int128 u128;

struct rng {
    u128 state;
    u128 inc; /* odd */
};

struct rng rng_stream(uint64_t seed, const char *purpose);
/* Names of up to 1,023 bytes. */
struct rng rng_streamf(uint64_t seed, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Sixty-four random bits. */
static inline uint64_t rng_next(struct rng *rng)
{
    const u128 mul = ((u128)0x2360ed051fc65da4ull << 64) | 0x4385df649fccf645ull;
    rng->state = rng->state * mul + rng->inc;
    uint64_t x = (uint64_t)(rng->state >> 64) ^ (uint64_t)rng->state;
    unsigned r = (unsigned)(rng->state >> 122);
    return (x >> r) | (x << (-r & 63));
}

/* Skips `n` draws in O(log n). */
void rng_advance(struct rng *rng, uint64_t n);

/* Uniform in [0, 1): the top 53 bits times 2^-53, as numpy's
 * Generator.random. One draw. */
double rng_uniform(struct rng *rng);

/* Uniform in [0, n), n >= 1, without bias (Lemire 2019, with rejection). */
uint64_t rng_below(struct rng *rng, uint64_t n);

/* N(0, 1) by Box-Muller from two uniforms; always two draws. */
double rng_normal(struct rng *rng);

/* Fisher-Yates, from the last index down; index[i] is permuted in place. */
void rng_shuffle(struct rng *rng, int64_t *index, int64_t n);

#endif
