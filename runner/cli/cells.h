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
    bool shared; /* store, spec and plan belong to another */
};

/* Whose runs: flags of the verbs whose arguments S hold `spec` and `set`. */
/* clang-format off */
#define CELLS_FLAGS(S) \
    {.name = "spec", .type = OPT_STRING, .value = "SPEC", \
     .help = "the experiment whose runs are told, instead of the declaration's", \
     .offset = offsetof(S, spec)}, \
    {.name = "set", .type = OPT_STRINGS, .value = "STAGE.OPTION=VALUE", \
     .help = "change the spec as the run did (may be given again)", \
     .offset = offsetof(S, set)}
/* clang-format on */

/* Zeroed before; `spec` goes before the declaration's own if it is not NULL. */
int cells_open(struct cells *q, const char *decl, const char *spec,
               const struct string_list *set, const char *store, struct err *err);
/* The spec, its plan and the store alone: no table. */
int cells_open_spec(struct cells *q, const char *spec, const struct string_list *set,
                    const char *store, struct err *err);
/* The table of a declaration over what `from` has opened, which must outlive it. */
int cells_share(struct cells *q, const char *decl, const struct cells *from,
                struct err *err);
/* Fills and tests. */
int cells_fill(struct cells *q, struct err *err);
/* On stderr, of runs that were there and cannot be read: why. */
void cells_tell_damaged(const struct cells *q);
void cells_close(struct cells *q); /* also after a failure */

#endif
