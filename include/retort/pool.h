/*
 * Our threads. The pool hands out numbered tasks; which thread takes which task must
 * never change a bit, so a task's work is a function of its number alone and sums over
 * tasks are made in task order by the caller. Each thread sets OpenMP to one thread
 * before it creates oneDNN primitives.
 */
#ifndef RETORT_POOL_H
#define RETORT_POOL_H

#include <stdint.h>

#include "retort/err.h"

struct pool;

/* `threads` counts the caller: 1 makes no thread. 0 takes the number of cores it may run
 * on. */
struct pool *pool_new(int threads, struct err *err);
void pool_free(struct pool *pool);
int pool_threads(const struct pool *pool);

/* Runs fn(ctx, 0) ... fn(ctx, tasks - 1), in any order, on all threads; returns when all
 * are done. Not to be called from inside a task. A NULL pool runs them here, in order. */
void pool_run(struct pool *pool, int64_t tasks, void (*fn)(void *ctx, int64_t task),
              void *ctx);

/* Cores this process may run on (affinity, cgroup quota). */
int pool_cores(void);

#endif
