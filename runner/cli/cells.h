/* The cells of a table's declaration, filled from a store: for the verbs that tell
 * them. */
#ifndef RETORT_CELLS_H
#define RETORT_CELLS_H

#include "args.h"
#include "retort/report.h"
#include "retort/spec.h"

struct cells {
    const char *decl, *path; /* the declaration; the spec */
    struct table *table;
    struct store *store;
    struct spec *spec;
    struct plan *plan;
    struct diags *diags;
    struct observations obs;
};

/* Zeroed before; `spec` goes before the declaration's own if it is not NULL. */
int cells_open(struct cells *q, const char *decl, const char *spec,
               const struct string_list *set, const char *store, struct err *err);
/* Fills and tests. */
int cells_fill(struct cells *q, struct err *err);
/* On stderr, of runs that were there and cannot be read: why. */
void cells_tell_damaged(const struct cells *q);
void cells_close(struct cells *q); /* also after a failure */

#endif
