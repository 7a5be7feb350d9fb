/* retort ls, retort show RUN: what the store holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "retort/store.h"
#include "verbs.h"

static const char *const state_word[] = {"absent", "partial", "active", "sealed",
                                         "damaged"};

static int run_ls(const void *given)
{
    const struct common *common = given;
    struct err err = ERR_INIT;
    struct store *store = NULL;
    struct run_info *list = NULL;
    int64_t n = 0;

    if (store_open(&store, common->store, false, &err) ||
        store_list(store, &list, &n, &err)) {
        store_close(store);
        return tell_error(&err);
    }
    printf("%-10s  %-8s  %-14s  %-12s  %-32s  %8s  %s\n", "run", "state", "name", "stage",
           "variables", "seconds", "label");
    for (int64_t i = 0; i < n; i++)
        printf("%.10s  %-8s  %-14s  %-12s  %-32s  %8.1f  %s\n", list[i].id,
               state_word[list[i].state], list[i].name, list[i].stage, list[i].variables,
               list[i].seconds, list[i].label);
    free(list);
    store_close(store);
    return 0;
}

static void print_series(struct run *run)
{
    struct err err = ERR_INIT;
    struct series s;

    printf("\nMetrics (last value)\n");
    for (int64_t i = 0; i < run_series_count(run); i++)
        if (!run_series(run, i, &s, &err) && s.n > 0)
            printf("  %-52s step %-8lld %.6g\n", s.name, (long long)s.step[s.n - 1],
                   s.value[s.n - 1]);
}

static void print_items(struct run *run)
{
    char shape[96];

    printf("\nData\n");
    for (int64_t i = 0; i < run_item_count(run); i++) {
        const struct run_item *it = run_item(run, i);
        printf("  %-68s %-5s %s%s%.10s\n", it->path,
               it->is_text ? "text" : dtype_name(it->dtype), shape_text(shape, it->shape),
               it->origin ? "  in run " : "", it->origin ? it->origin : "");
    }
}

struct show_args {
    struct common common;
    const char *run;
};

static int run_show(const void *given)
{
    const struct show_args *args = given;
    struct err err = ERR_INIT;
    struct store *store = NULL;
    struct run *run = NULL;
    char id[65];
    int rc = 0;

    if (store_open(&store, args->common.store, false, &err) ||
        store_resolve(store, args->run, id, &err) ||
        run_open(&run, store, id, true, &err)) {
        rc = tell_error(&err);
    } else {
        const struct run_info *info = run_info(run);
        printf("run %s\n%s, stage %s (%s), %s\nstate %s, %.1f s of work\nresult %s\n",
               info->id, info->name, info->stage, info->method, info->variables,
               state_word[info->state], info->seconds, info->digest);
        print_series(run);
        print_items(run);
    }
    run_close(run);
    store_close(store);
    return rc;
}

const struct verb verb_ls = {
    .name = "ls",
    .group = "Runs",
    .summary = "the runs of the store",
    .common = COMMON_STORE,
    .run = run_ls,
};

static const struct operand show_operands[] = {
    {.name = "RUN",
     .help = "a run: the first digits of its id (4 or more), or its label",
     .offset = offsetof(struct show_args, run)},
    OPERAND_END,
};

const struct verb verb_show = {
    .name = "show",
    .group = "Runs",
    .summary = "everything one run knows",
    .operands = show_operands,
    .common = COMMON_STORE,
    .size = sizeof(struct show_args),
    .run = run_show,
};
