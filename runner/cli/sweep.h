/*
 * The runs of a sweep, whatever a person calls it by: a spec's file, or the name that a
 * spec gave to its runs in the store.
 */
#ifndef RETORT_SWEEP_H
#define RETORT_SWEEP_H

#include "query.h"

struct sweep_row {
    char id[65];
    const char *spec, *stage, *method;
    const char *variables; /* "pruned.ratio=0.3 seed=1": what its points agree in */
    uint64_t seed;         /* of all its points; in a store alone: what it drew from */
    bool has_seed;         /* known, and one for all its points */
    bool there;            /* sealed in the store */
    double started;
};

struct sweep {
    struct arena *arena;
    struct sweep_row *row;
    int64_t n, capacity;
    int64_t missing; /* rows that are not there */
    const char *name;
};

/*
 * Of a file: one row for each job of its plan, sealed or not; of a name: one for each
 * sealed run of that name; NULL: one for each sealed run of the store. ERR_MISSING if
 * there is neither file nor run of the name.
 */
int sweep_load(struct sweep *out, struct store *store, const char *what, struct err *err);
void sweep_release(struct sweep *s);
/* Value of one of the row's variables; false if it has no such. */
bool sweep_variable(const struct sweep_row *row, const char *name, char value[512]);
/* 1: the name is a run's, its id comes out; 0: a sweep's; -1 with ERR_MISSING: neither.
 */
int find_run_or_sweep(struct store *store, const char *name, char id[65],
                      struct err *err);

#endif
