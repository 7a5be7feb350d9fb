/* The cells of a table's declaration, filled from a store: for the verbs that tell
 * them. */
#include "cells.h"

#include <stdio.h>
#include <string.h>

#include "retort/pins.h"

int cells_open_spec(struct cells *q, const char *spec, const struct string_list *set,
                    const char *store, struct err *err)
{
    char class[65];
    struct plan_options opt = {.env_class = class};

    q->path = spec;
    if (env_class(class, err) || store_open(&q->store, store, false, err))
        return -1;
    q->diags = diags_new(err);
    if (!q->diags)
        return -1;
    q->spec = spec_load(q->path, set->v, set->n, q->diags);
    if (q->spec)
        q->plan = plan_new(q->spec, q->store, &opt, q->diags);
    return q->plan ? 0 : diags_to_err(q->diags, err);
}

int cells_open(struct cells *q, const char *decl, const char *spec,
               const struct string_list *set, const char *store, struct err *err)
{
    q->decl = decl;
    if (table_load(&q->table, q->decl, err))
        return -1;
    if (table_want_count(q->table) == 0)
        return 0; /* a paper's figures alone: no runs */
    if (!spec)
        spec = table_spec(q->table);
    if (!spec)
        return err_set(err, ERR_INPUT,
                       "%s: \"spec\" is missing: whose runs fill the table", q->decl);
    return cells_open_spec(q, spec, set, store, err);
}

int cells_share(struct cells *q, const char *decl, const struct cells *from,
                struct err *err)
{
    *q = *from;
    q->shared = true;
    q->table = NULL;
    q->obs = (struct observations){NULL, 0, 0, NULL};
    q->decl = decl;
    return table_load(&q->table, decl, err);
}

int cells_fill(struct cells *q, struct err *err)
{
    for (int64_t i = 0; i < table_want_count(q->table); i++) {
        const char *stage, *metric;
        table_want(q->table, i, &stage, &metric);
        if (!stage || !metric)
            return err_set(err, ERR_INPUT,
                           "%s: each cell needs a \"stage\" and a \"metric\"", q->decl);
        bool imported = !strncmp(stage, IMPORT_PREFIX, strlen(IMPORT_PREFIX));
        if (imported ? observe_imported(&q->obs, q->store, stage, metric, err)
                     : observe(&q->obs, q->plan, q->store, stage, metric, err))
            return -1;
    }
    return table_fill(q->table, q->obs.v, q->obs.n, err) ||
           table_test(q->table, q->store, err);
}

void cells_close(struct cells *q)
{
    observations_release(&q->obs);
    table_free(q->table);
    if (q->shared)
        return;
    plan_free(q->plan);
    spec_free(q->spec);
    diags_free(q->diags);
    store_close(q->store);
}

/* Runs that are there and cannot be read: nobody would look for them behind a cell. */
void cells_tell_damaged(const struct cells *q)
{
    for (int64_t i = 0; i < q->plan->n; i++) {
        struct err err = ERR_INIT;
        struct run_info info;
        if (q->plan->job[i].state == JOB_RERUN &&
            !store_stat(q->store, q->plan->job[i].id, &info, &err) &&
            info.state == RUN_DAMAGED)
            fprintf(stderr, "retort: %s\n", info.failure);
    }
}
