/*
 * Heap memory with checked sizes, and arenas.
 *
 * An arena is a list of blocks: 1 MiB, then twice the last, up to 256 MiB, or as large as
 * one request. Blocks behind the current one are spare; a request takes the first spare
 * one that is large enough, so a step like the one before allocates nothing. Under the
 * address sanitizer each request is a block of its own with its exact size, and giving
 * back frees: overruns and uses after a rewind are seen.
 */
#include "retort/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#define PIECES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PIECES 1
#endif
#endif
#ifndef PIECES
#define PIECES 0
#endif

enum { ALIGN = 64, BLOCK_FIRST = 1 << 20, BLOCK_MOST = 256 << 20, HUGE_PAGE = 2 << 20 };

/* The bytes of count elements, or -1: negative, or beyond what an object may have. */
static int64_t bytes_of(int64_t count, size_t size)
{
    int64_t bytes;

    if (count < 0 || size > INT64_MAX ||
        __builtin_mul_overflow(count, (int64_t)size, &bytes) || bytes > PTRDIFF_MAX)
        return -1;
    return bytes ? bytes : 1;
}

void *mem_new(int64_t count, size_t size, struct err *err)
{
    int64_t bytes = bytes_of(count, size);
    void *p = bytes < 0 ? NULL : calloc(1, (size_t)bytes);

    if (!p)
        err_set(err, ERR_MEMORY, "no memory for %lld x %zu bytes", (long long)count,
                size);
    return p;
}

void *mem_resize(void *old, int64_t count, size_t size, struct err *err)
{
    int64_t bytes = bytes_of(count, size);
    void *p = bytes < 0 ? NULL : realloc(old, (size_t)bytes);

    if (!p)
        err_set(err, ERR_MEMORY, "no memory for %lld x %zu bytes", (long long)count,
                size);
    return p;
}

int mem_grow(void **array, int64_t count, int64_t *capacity, size_t size, struct err *err)
{
    if (count < *capacity)
        return 0;
    int64_t more = *capacity < 8               ? 8
                   : *capacity > INT64_MAX / 2 ? INT64_MAX
                                               : *capacity * 2;
    if (more <= count)
        more = count + 1;
    void *p = mem_resize(*array, more, size, err);
    if (!p)
        return -1;
    *array = p;
    *capacity = more;
    return 0;
}

char *mem_strndup(const char *s, size_t n, struct err *err)
{
    size_t len = strnlen(s, n);
    char *copy = mem_new((int64_t)len + 1, 1, err);

    if (copy)
        memcpy(copy, s, len);
    return copy;
}

char *mem_strdup(const char *s, struct err *err)
{
    return mem_strndup(s, strlen(s), err);
}

char *mem_printf(struct err *err, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0)
        err_set(err, ERR_MEMORY, "no memory for a text");
    else
        text = mem_new((int64_t)n + 1, 1, err);
    if (text)
        vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return text;
}

int mem_product(int64_t *out, int64_t a, int64_t b, struct err *err)
{
    int64_t product;

    if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product))
        return err_set(err, ERR_INPUT, "%lld x %lld is too large", (long long)a,
                       (long long)b);
    *out = product;
    return 0;
}

struct block {
    char *data;
    int64_t size, used;
};

struct arena {
    struct block *blocks;
    int64_t count, capacity;
    int64_t live; /* blocks[0 .. live-1] hold data, the others are spare */
    int64_t used, peak;
    int64_t next_size;
    int64_t refused; /* bytes of the request that failed first */
    bool failed;
};

struct arena *arena_new(struct err *err)
{
    struct arena *arena = mem_new(1, sizeof *arena, err);

    if (arena)
        arena->next_size = BLOCK_FIRST;
    return arena;
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    for (int64_t i = 0; i < arena->count; i++)
        free(arena->blocks[i].data);
    free(arena->blocks);
    free(arena);
}

static int add_block(struct arena *arena, int64_t size)
{
    void *array = arena->blocks;
    void *data = NULL;

    if (mem_grow(&array, arena->count, &arena->capacity, sizeof *arena->blocks, NULL))
        return -1;
    arena->blocks = array;
    bool large = size >= 2 * HUGE_PAGE;
    if (posix_memalign(&data, large ? HUGE_PAGE : ALIGN, size ? (size_t)size : 1))
        return -1;
    if (large) /* a hint: rows of matrices lie pages apart, and pages have to be found */
        madvise(data, (size_t)(size / HUGE_PAGE * HUGE_PAGE), MADV_HUGEPAGE);
    arena->blocks[arena->count++] = (struct block){data, size, 0};
    return 0;
}

/* Makes a spare block of at least `bytes` the current one. Marks know only live blocks,
 * so spare ones may change places. */
static int next_block(struct arena *arena, int64_t bytes)
{
    int64_t found = arena->live;

    while (found < arena->count && arena->blocks[found].size < bytes)
        found++;
    if (found == arena->count) {
        int64_t size = PIECES || bytes > arena->next_size ? bytes : arena->next_size;
        if (add_block(arena, size))
            return -1;
        if (arena->next_size < BLOCK_MOST)
            arena->next_size *= 2;
    }
    struct block swap = arena->blocks[found];
    arena->blocks[found] = arena->blocks[arena->live];
    arena->blocks[arena->live++] = swap;
    return 0;
}

static void *refuse(struct arena *arena, int64_t bytes)
{
    arena->failed = true;
    arena->refused = bytes;
    return NULL;
}

void *arena_alloc(struct arena *arena, int64_t bytes)
{
    if (!arena || arena->failed)
        return NULL;
    if (bytes < 0 || bytes > PTRDIFF_MAX - ALIGN)
        return refuse(arena, bytes);
    int64_t size = PIECES ? bytes : (bytes + ALIGN - 1) / ALIGN * ALIGN;
    struct block *b = arena->live ? &arena->blocks[arena->live - 1] : NULL;

    if (PIECES || !b || b->size - b->used < size) {
        if (next_block(arena, size))
            return refuse(arena, bytes);
        b = &arena->blocks[arena->live - 1];
    }
    void *p = b->data + b->used;
    b->used += size;
    arena->used += size;
    if (arena->used > arena->peak)
        arena->peak = arena->used;
    return p;
}

void *arena_zalloc(struct arena *arena, int64_t bytes)
{
    void *p = arena_alloc(arena, bytes);

    return p ? memset(p, 0, (size_t)bytes) : NULL;
}

char *arena_strdup(struct arena *arena, const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = arena_alloc(arena, (int64_t)n);

    return copy ? memcpy(copy, s, n) : NULL;
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *text = arena_alloc(arena, n < 0 ? -1 : (int64_t)n + 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return text;
}

struct arena_mark arena_mark(const struct arena *arena)
{
    int64_t live = arena->live;

    return (struct arena_mark){live, live ? arena->blocks[live - 1].used : 0};
}

static void drop_spares(struct arena *arena)
{
    for (int64_t i = arena->live; i < arena->count; i++)
        free(arena->blocks[i].data);
    arena->count = arena->live;
}

void arena_rewind(struct arena *arena, struct arena_mark mark)
{
    if (mark.block > arena->live)
        BUG("arena rewound forwards: block %lld of %lld", (long long)mark.block,
            (long long)arena->live);
    for (int64_t i = mark.block; i < arena->live; i++) {
        arena->used -= arena->blocks[i].used;
        arena->blocks[i].used = 0;
    }
    arena->live = mark.block;
    if (mark.block) {
        struct block *b = &arena->blocks[mark.block - 1];
        if (mark.used > b->used)
            BUG("arena rewound forwards: byte %lld of %lld", (long long)mark.used,
                (long long)b->used);
        arena->used -= b->used - mark.used;
        b->used = mark.used;
    }
    if (PIECES)
        drop_spares(arena);
}

void arena_clear(struct arena *arena)
{
    arena_rewind(arena, (struct arena_mark){0, 0});
}

int arena_failed(const struct arena *arena, struct err *err)
{
    if (!arena)
        return err_set(err, ERR_MEMORY, "no memory for an arena");
    if (!arena->failed)
        return 0;
    return err_set(err, ERR_MEMORY, "no memory for %lld bytes beside %lld in use",
                   (long long)arena->refused, (long long)arena->used);
}

int64_t arena_used(const struct arena *arena)
{
    return arena->used;
}

int64_t arena_peak(const struct arena *arena)
{
    return arena->peak;
}
