/*
 * Sweeps and the collector of garbage, which must not meet: a run that a sweep found
 * there and will read next must not go.
 *
 * A sweep puts a mark, a lease of its own, into sweeps/, and then looks whether a
 * collector works; a collector takes gc/lease, and then looks whether there are marks. So
 * one of the two sees the other and goes back.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct store_use {
    struct lease *lease;
};

static struct store_use *use_new(struct lease *lease, struct err *err)
{
    struct store_use *u = mem_new(1, sizeof *u, err);

    if (u)
        u->lease = lease;
    else
        lease_give(lease);
    return u;
}

int store_use_begin(struct store_use **out, struct store *store, struct err *err)
{
    char who[512];
    char *marks = path_join(store->dir, "sweeps", err);
    char *gc = marks ? path_join(store->dir, "gc", err) : NULL;
    struct lease *lease = NULL;
    int rc = -1;

    if (!gc || file_mkdirs(marks, err) || lease_mark(&lease, marks, err))
        goto done;
    if (lease_alive(gc, who, sizeof who)) {
        lease_give(lease);
        err_set(err, ERR_LOCKED, "%s: retort gc is at work, by %s; run again in a moment",
                store->dir, who);
        goto done;
    }
    *out = use_new(lease, err);
    rc = *out ? 0 : -1;
done:
    free(gc);
    free(marks);
    return rc;
}

int store_collect_begin(struct store_use **out, struct store *store, struct err *err)
{
    char who[512];
    char *marks = path_join(store->dir, "sweeps", err);
    char *gc = marks ? path_join(store->dir, "gc", err) : NULL;
    struct lease *lease = NULL;
    int rc = -1;

    if (!gc || file_mkdirs(gc, err) || lease_take(&lease, gc, err))
        goto done;
    if (lease_any(marks, who, sizeof who)) {
        lease_give(lease);
        err_set(err, ERR_LOCKED,
                "%s: a sweep runs, by %s; nothing is collected beside it", store->dir,
                who);
        goto done;
    }
    *out = use_new(lease, err);
    rc = *out ? 0 : -1;
done:
    free(gc);
    free(marks);
    return rc;
}

void store_use_beat(struct store_use *u)
{
    struct err err = ERR_INIT; /* one beat that is missed is no loss */

    if (u)
        lease_beat(u->lease, &err);
}

void store_use_end(struct store_use *u)
{
    if (!u)
        return;
    lease_give(u->lease);
    free(u);
}
