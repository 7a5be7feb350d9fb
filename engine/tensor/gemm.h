/*
 * Products by oneDNN: c (m, n) = a (m, k) b (k, n), all row-major, b packed beforehand.
 *
 * A product here is one thread's work on one tile. Who calls it cuts the rows into tiles
 * by the shape alone, so that no bit depends on threads. Sums are in f32 for both types.
 */
#ifndef RETORT_GEMM_H
#define RETORT_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "retort/tensor.h"

/* Everything for one type and one (k, n): b's packed layout and the primitives. Kept in a
 * bounded cache that all threads share. */
struct gemm;
/* The primitive for tiles of m rows. */
struct gemm_tile;

/* True if this processor's oneDNN has products of a type. */
bool gemm_can(enum dtype dtype);
/* DT_F32 or DT_BF16 (of a and packed b). NULL: oneDNN cannot. Give each back by
 * gemm_release. */
struct gemm *gemm_find(enum dtype dtype, int64_t k, int64_t n);
void gemm_release(struct gemm *g); /* NULL is fine */

/* Packs b from f32: row-major (k, n), or (n, k) if transposed. 0 or -1. */
int64_t gemm_packed_bytes(const struct gemm *g);
int gemm_pack(const struct gemm *g, bool transposed, const float *b, void *packed);

/* A tile of m rows; add: c += instead of c =; bias: a row of n values is added. NULL:
 * refused. Belongs to g. Not to be called while tasks run. */
const struct gemm_tile *gemm_tile(struct gemm *g, int64_t m, bool add, bool bias);
int gemm_run(const struct gemm_tile *t, const void *a, const void *packed,
             const float *bias, float *c);

/* True if a row's bits are the same in tiles of 16 as in tiles of 64 rows, wherever it
 * stands: tried out once on this very processor, since oneDNN promises nothing. */
bool gemm_any_rows(struct gemm *g);

/* Scratch of the calling thread, 64-byte aligned, good until it asks again for the same
 * slot (0 to 2); freed with the thread. NULL: no memory. */
void *gemm_scratch(int slot, int64_t bytes);

/* The instructions that oneDNN's products use here, as its number for the set. */
unsigned gemm_instructions(void);

/* Entries in the cache now, for tests. */
int64_t gemm_cached(void);

#endif
