/* retort diff A B [--tensors]: what tells two runs apart. Exit code 0: equal results, 1:
 * not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/report.h"
#include "verbs.h"

struct args {
    struct common common;
    const char *a, *b;
    bool tensors;
};

static int open_one(struct run **out, struct store *store, const char *name,
                    struct err *err)
{
    char id[65];

    return store_resolve(store, name, id, err) || run_open(out, store, id, false, err)
               ? -1
               : 0;
}

static int run(const void *given)
{
    const struct args *args = given;
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct diff_options opt = {args->tensors};
    struct store *store = NULL;
    struct run *side[2] = {NULL, NULL};
    bool same = false;
    int rc;

    if (store_open(&store, args->common.store, false, &err) ||
        open_one(&side[0], store, args->a, &err) ||
        open_one(&side[1], store, args->b, &err) ||
        diff_runs(&out, &same, side[0], side[1], &opt, &err)) {
        rc = tell_error(&err);
    } else {
        fputs(strbuf_text(&out), stdout);
        rc = same ? 0 : 1;
    }
    strbuf_release(&out);
    run_close(side[1]);
    run_close(side[0]);
    store_close(store);
    return rc;
}

static const struct operand operands[] = {
    {.name = "A",
     .help = "a run: the first digits of its id (4 or more), or its label",
     .offset = offsetof(struct args, a)},
    {.name = "B", .help = "the other run", .offset = offsetof(struct args, b)},
    OPERAND_END,
};
static const struct flag flags[] = {
    {.name = "tensors",
     .type = OPT_BOOL,
     .help = "look into arrays for the first element that differs",
     .offset = offsetof(struct args, tensors)},
    FLAG_END,
};

const struct verb verb_diff = {
    .name = "diff",
    .group = "Results",
    .summary = "what tells two runs apart",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE,
    .about = "Exit code 0: the results are equal to the bit; 1: they are not.",
    .size = sizeof(struct args),
    .run = run,
};
