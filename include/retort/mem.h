/*
 * Memory that can fail, and arenas.
 *
 * mem_*: zeroed heap memory; a failure is ERR_MEMORY in `err`. Sizes are int64_t and
 * products are checked, since B * T * V leaves int at ordinary sizes.
 *
 * An arena belongs to a lifetime: `run` (weights, optimizer state, names), `step`
 * (activations and gradients). Nothing from an arena is freed alone. arena_clear keeps
 * the blocks, so a step that is like the one before allocates nothing.
 */
#ifndef RETORT_MEM_H
#define RETORT_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "retort/err.h"

/* count * size zeroed bytes; count 0 gives a valid pointer. NULL on failure. Free with
 * free(). */
void *mem_new(int64_t count, size_t size, struct err *err);

/* Grows or shrinks; new bytes are not zeroed. On failure the old block stays valid, NULL
 * returns. */
void *mem_resize(void *old, int64_t count, size_t size, struct err *err);

/* Makes room for one more element in a growing array: doubles *capacity when *count
 * reached it. Returns 0, or -1 with the array unchanged. */
int mem_grow(void **array, int64_t count, int64_t *capacity, size_t size,
             struct err *err);

char *mem_strdup(const char *s, struct err *err);
char *mem_strndup(const char *s, size_t n, struct err *err);

/* The printf'd text, on the heap. */
char *mem_printf(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* *out = a * b, or -1 and ERR_INPUT ("too large") on overflow or a negative factor. */
int mem_product(int64_t *out, int64_t a, int64_t b, struct err *err);

struct arena;

/* A failure to allocate sticks to the arena: arena_alloc returns NULL from then on. */
struct arena *arena_new(struct err *err);
void arena_free(struct arena *arena);

/* 64-byte aligned, not zeroed. A debug build (sanitizers) allocates piece by piece. */
void *arena_alloc(struct arena *arena, int64_t bytes);
void *arena_zalloc(struct arena *arena, int64_t bytes);
char *arena_strdup(struct arena *arena, const char *s);
char *arena_printf(struct arena *arena, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Everything allocated after a mark can be given back at once. */
struct arena_mark {
    int64_t block;
    int64_t used;
};
struct arena_mark arena_mark(const struct arena *arena);
void arena_rewind(struct arena *arena, struct arena_mark mark);

/* Gives everything back, keeps the blocks. */
void arena_clear(struct arena *arena);

/* 0, or -1 with ERR_MEMORY if an allocation failed since arena_new. */
int arena_failed(const struct arena *arena, struct err *err);

/* Bytes in use now, and the most there ever were. */
int64_t arena_used(const struct arena *arena);
int64_t arena_peak(const struct arena *arena);

#endif
