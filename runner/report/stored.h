/* The predictions that a run keeps, as metrics take them: for tests over examples. */
#ifndef RETORT_RUNNER_REPORT_STORED_H
#define RETORT_RUNNER_REPORT_STORED_H

#include "retort/hash.h"
#include "retort/rng.h"
#include "retort/store.h"

struct stored {
    struct predictions p;
    struct dataset data;
    struct examples raw;
    struct task task;
    char examples_digest[SHA256_HEX]; /* of their ids, in order */
    struct arena *arena;
};

/* Those of "eval/<task>/<split>" in a sealed run. ERR_INPUT where they are not all kept
 * (spans: their answers are not). */
int stored_open(struct stored **out, struct store *store, const char *run_id,
                const char *eval, struct err *err);
void stored_close(struct stored *s);

/* The metric of all examples, and of `resamples` draws of as many with replacement, by
 * the stream (0, "bootstrap"): the same draws for every run of as many examples. */
int stored_resample(double *all, double *value, const struct stored *s,
                    const struct metric *metric, int64_t resamples, struct err *err);

#endif
