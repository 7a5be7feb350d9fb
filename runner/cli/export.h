/* What `retort export` writes, one function each. */
#ifndef RETORT_EXPORT_H
#define RETORT_EXPORT_H

#include "sweep.h"
#include "verbs.h"

struct export_args {
    struct common common;
    struct string_list what, metrics;
    const char *glue, *squad, *notebook; /* folders */
    const char *out;
    bool hf, csv, steps;
};

/* A run's model as a Hugging Face folder: what[0] is the run, what[1] the folder. */
int export_hf(const struct export_args *a, struct store *store, struct err *err);
/*
 * Tidy CSV (RFC 4180): a line for each run and metric, or with --steps for each value of
 * it:
 *
 *     spec,stage,method,seed,<variable>...,task,split,metric,step,value,run
 *
 * A stage that several points share is there once, the variables they differ in left
 * empty. eval/<task>/<split>/<metric> is taken apart, other metrics keep their whole
 * name.
 */
int export_csv(const struct export_args *a, struct store *store, struct err *err);
/* Submission files of gluebenchmark.com from stored predictions of test sets;
 * ERR_NEGATIVE if some task has none. */
int export_glue(const struct export_args *a, struct store *store, struct err *err);

/* A folder with a notebook, its script, and their data as HDF5 and CSV. */
int export_notebook(const struct export_args *a, struct store *store, struct err *err);

/* Files of predictions as run_squad writes them, of the one run in `what`. */
int export_squad(const struct export_args *a, struct store *store, struct err *err);

/* Calls `fn` for each sealed run that `what` names: runs, specs' files, specs' names;
 * none: all of the store. A job that was not run is counted in *missing. */
int export_each(const struct string_list *what, struct store *store, int64_t *missing,
                int (*fn)(void *ctx, const struct sweep_row *row, struct err *err),
                void *ctx, struct err *err);

#endif
