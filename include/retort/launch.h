/*
 * Running a plan: each job as a stage over the store, in the order of what it needs.
 */
#ifndef RETORT_LAUNCH_H
#define RETORT_LAUNCH_H

#include <signal.h>

#include "retort/spec.h"

/* What a person sees while jobs run. All may be NULL. */
struct watch {
    void *ctx;
    void (*progress)(void *ctx, const struct job *job, int64_t done, int64_t total,
                     const char *text);
    void (*note)(void *ctx, const struct job *job, const char *text);
};

struct job_run {
    struct plan *plan;
    struct store *store;
    struct pool *pool;
    const char *pins; /* JSON */
    const char *env_class;
    const struct watch *watch;
    const volatile sig_atomic_t *stop; /* not 0: checkpoint and stop. NULL: never */
    double checkpoint_seconds;         /* between checkpoints; 0: at every step */
};

/*
 * Runs one job whose inputs are sealed, and seals its run. -1 with err: ERR_STOPPED if it
 * was asked to stop (its state is saved), another code if it failed (the reason is kept
 * with the run).
 */
int job_execute(const struct job_run *r, const struct job *job, struct err *err);

#endif
