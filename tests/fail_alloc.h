/*
 * Allocations that fail on demand, and a count of what is still held: for fault tests.
 *
 * The test program's own malloc family stands before the C library's (glibc looks in the
 * program first), so libraries are tested along with our code. Include it in one .c file
 * of a program.
 *
 *     static int act(void *ctx, struct err *err);      what must either pass or fail
 * cleanly fail_each_alloc(act, ctx);
 *
 * calls act with the 1st, 2nd, 3rd ... allocation failing, then with all from there on,
 * until it asks for fewer. Each time it must return 0, or -1 with ERR_MEMORY (or ERR_IO,
 * where a library does not say why), and hold no more memory than before. Count only
 * calls on this thread.
 */
#ifndef RETORT_TESTS_FAIL_ALLOC_H
#define RETORT_TESTS_FAIL_ALLOC_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "check.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                     \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define REAL(name) __interceptor_##name
#define real_memalign(align, size) __interceptor_memalign(align, size)
void *__interceptor_memalign(size_t align, size_t size);
#else
#define REAL(name) __libc_##name
#define real_memalign(align, size) __libc_memalign(align, size)
void *__libc_memalign(size_t align, size_t size);
#endif
void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t n, size_t size);
void *REAL(realloc)(void *p, size_t size);
void REAL(free)(void *p);

static _Thread_local struct {
    bool armed, all_after;
    int64_t calls, fail_at; /* counted from 1; 0 fails none */
    int64_t held;
} fail_alloc;

/* Counts a call; true if it has to fail. */
static bool alloc_fails(void)
{
    if (!fail_alloc.armed)
        return false;
    int64_t call = ++fail_alloc.calls;
    if (call != fail_alloc.fail_at &&
        !(fail_alloc.all_after && fail_alloc.fail_at && call > fail_alloc.fail_at))
        return false;
    errno = ENOMEM;
    return true;
}

static void *alloc_counted(void *p)
{
    if (p && fail_alloc.armed)
        fail_alloc.held++;
    return p;
}

void *malloc(size_t size)
{
    return alloc_fails() ? NULL : alloc_counted(REAL(malloc)(size));
}

void *calloc(size_t n, size_t size)
{
    return alloc_fails() ? NULL : alloc_counted(REAL(calloc)(n, size));
}

void *realloc(void *p, size_t size)
{
    if (alloc_fails())
        return NULL;
    if (!p)
        return alloc_counted(REAL(realloc)(p, size));
    return REAL(realloc)(p, size);
}

int posix_memalign(void **out, size_t align, size_t size)
{
    if (alloc_fails())
        return ENOMEM;
    void *p = alloc_counted(real_memalign(align, size));
    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}

void *aligned_alloc(size_t align, size_t size)
{
    return alloc_fails() ? NULL : alloc_counted(real_memalign(align, size));
}

void free(void *p)
{
    if (p && fail_alloc.armed)
        fail_alloc.held--;
    REAL(free)(p);
}

static inline int fail_alloc_act(int (*act)(void *ctx, struct err *err), void *ctx,
                                 int64_t n, bool all_after, struct err *err)
{
    fail_alloc.calls = fail_alloc.held = 0;
    fail_alloc.fail_at = n;
    fail_alloc.all_after = all_after;
    fail_alloc.armed = true;
    int rc = act(ctx, err);
    fail_alloc.armed = false;
    return rc;
}

/* One call with allocation n failing; false once n is beyond what it asks for. */
static inline bool fail_alloc_once(int (*act)(void *ctx, struct err *err), void *ctx,
                                   int64_t n, bool all_after)
{
    struct err err = ERR_INIT;

    int rc = fail_alloc_act(act, ctx, n, all_after, &err);
    if (fail_alloc.held != 0) {
        /* A library may keep something for good at its first failure (libcrypto: the
         * thread's queue of errors). A leak shows again. */
        err_clear(&err);
        rc = fail_alloc_act(act, ctx, n, all_after, &err);
    }
    bool fired = n && fail_alloc.calls >= n;

    if (rc != 0 && (rc != -1 || (err.code != ERR_MEMORY && err.code != ERR_IO)))
        fail_msg("allocation %d failed: returned %d, code %d: %s", (int)n, rc,
                 (int)err.code, err.text);
    if (rc != 0 && !fired)
        fail_msg("nothing failed, and yet: %s", err.text);
    if (rc == 0 && err.code != ERR_NONE)
        fail_msg("allocation %d failed: passed, and left the error %s", (int)n, err.text);
    if (fail_alloc.held != 0)
        fail_msg("allocation %d failed: %d pieces leak", (int)n, (int)fail_alloc.held);
    return fired;
}

static inline void fail_each_alloc(int (*act)(void *ctx, struct err *err), void *ctx)
{
    struct err err = ERR_INIT;

    assert_ok(act(ctx, &err), &err); /* what libraries keep for good, they take here */
    fail_alloc_once(act, ctx, 0, false);
    for (int64_t n = 1; fail_alloc_once(act, ctx, n, false); n++)
        ;
    for (int64_t n = 1; fail_alloc_once(act, ctx, n, true); n++)
        ;
}

#endif
