/*
 * retort gc [SPEC...]: runs that nothing leads to.
 *
 * Kept is what has a label or a note, what the specs' plans ask for, and all that these
 * were made of or hold tensors of, however far. The rest is shown, and goes with --yes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grid.h"
#include "sweep.h"
#include "verbs.h"

struct args {
    struct common common;
    struct string_list specs;
    bool yes;
};

struct garbage {
    const struct args *args;
    struct store *store;
    struct run_info *run;
    int64_t n;
    bool *kept;
    int64_t *pending, n_pending; /* kept, and not yet looked into */
    int64_t goes;
};

static int by_id(const void *a, const void *b)
{
    return strncmp(((const struct run_info *)a)->id, ((const struct run_info *)b)->id,
                   64);
}

static void keep(struct garbage *g, const char *id)
{
    struct run_info key;

    memset(&key, 0, sizeof key);
    memcpy(key.id, id, 64);
    struct run_info *r = bsearch(&key, g->run, (size_t)g->n, sizeof key, by_id);
    if (!r || g->kept[r - g->run])
        return;
    g->kept[r - g->run] = true;
    g->pending[g->n_pending++] = r - g->run;
}

/* Every id that stands in a text: /resolved names what the run was made of. */
static void keep_named(struct garbage *g, const char *text)
{
    static const char hex[] = "0123456789abcdef";

    while (text && *text) {
        size_t n = strspn(text, hex);
        if (n == 64)
            keep(g, text);
        text += n ? n : strcspn(text, hex);
    }
}

/* A run that cannot be read leads nowhere. */
static void look_into(struct garbage *g, const char *id)
{
    struct err err = ERR_INIT;
    struct run *run = NULL;

    if (run_open(&run, g->store, id, true, &err))
        return;
    keep_named(g, run_head_text(run, "resolved"));
    for (int64_t i = 0; i < run_item_count(run); i++)
        keep_named(g, run_item(run, i)->origin);
    run_close(run);
}

static int keep_specs(struct garbage *g, struct err *err)
{
    for (int64_t i = 0; i < g->args->specs.n; i++) {
        struct sweep s;
        if (sweep_load(&s, g->store, g->args->specs.v[i], err))
            return -1;
        for (int64_t k = 0; k < s.n; k++)
            keep(g, s.row[k].id);
        sweep_release(&s);
    }
    return 0;
}

static int keep_marked(struct garbage *g, struct err *err)
{
    for (int64_t i = 0; i < g->n; i++) {
        char *notes;
        if (store_notes(g->store, g->run[i].id, &notes, err))
            return -1;
        if (g->run[i].label[0] || notes[0] || g->run[i].state == RUN_ACTIVE)
            keep(g, g->run[i].id);
        free(notes);
    }
    return 0;
}

static int find(struct garbage *g, struct err *err)
{
    if (store_list(g->store, &g->run, &g->n, err))
        return -1;
    qsort(g->run, (size_t)g->n, sizeof *g->run, by_id);
    g->kept = mem_new(g->n, sizeof *g->kept, err);
    g->pending = mem_new(g->n, sizeof *g->pending, err);
    if (!g->kept || !g->pending || keep_specs(g, err) || keep_marked(g, err))
        return -1;
    if (g->n && !g->n_pending)
        return err_set(
            err, ERR_INPUT,
            "%s: no run has a label or a note, and no SPEC is given: all would "
            "go. Give the specs that you work with, or label what you keep; "
            "all together go by removing the folder",
            store_dir(g->store));
    while (g->n_pending)
        look_into(g, g->run[g->pending[--g->n_pending]].id);
    for (int64_t i = 0; i < g->n; i++)
        g->goes += !g->kept[i];
    return 0;
}

static int show(const struct garbage *g, struct strbuf *out, int64_t *bytes,
                struct err *err)
{
    static const struct grid_column columns[] = {
        {.title = "run"},
        {.title = "state"},
        {.title = "spec"},
        {.title = "stage"},
        {.title = "variables", .elastic = true},
        {.title = "size", .right = true},
    };
    struct grid *grid = grid_new(columns, 6, err);
    char size[32];

    if (!grid)
        return -1;
    for (int64_t i = 0; i < g->n; i++) {
        const struct run_info *r = &g->run[i];
        if (g->kept[i])
            continue;
        bytes_text(size, r->bytes);
        *bytes += r->bytes;
        grid_printf(grid, "%.10s", r->id);
        grid_put(grid, run_state_word(r->state));
        grid_put(grid, r->name);
        grid_put(grid, r->stage);
        grid_put(grid, r->variables);
        grid_put(grid, size);
    }
    int rc = g->goes ? grid_print(grid, out, screen_width(), err) : 0;
    grid_free(grid);
    return rc;
}

static int newest_first(const void *pa, const void *pb)
{
    const struct run_info *const *a = pa, *const *b = pb;

    return (*a)->started > (*b)->started ? -1 : (*a)->started < (*b)->started;
}

/* What refers goes before what it refers to, should it be interrupted on the way. */
static int remove_all(const struct garbage *g, struct err *err)
{
    const struct run_info **list = mem_new(g->goes, sizeof *list, err);
    int64_t n = 0;
    int rc = list ? 0 : -1;

    for (int64_t i = 0; list && i < g->n; i++)
        if (!g->kept[i])
            list[n++] = &g->run[i];
    if (list)
        qsort(list, (size_t)n, sizeof *list, newest_first);
    for (int64_t i = 0; !rc && i < n; i++)
        rc = store_remove(g->store, list[i]->id, err);
    free(list);
    return rc;
}

static void tell(const struct garbage *g, int64_t bytes)
{
    char size[32];

    bytes_text(size, bytes);
    if (g->args->common.quiet)
        return;
    if (!g->goes)
        fprintf(stderr, "Nothing to collect: something leads to each of %lld runs.\n",
                (long long)g->n);
    else if (g->args->yes)
        fprintf(stderr, "%lld of %lld runs removed, %s\n", (long long)g->goes,
                (long long)g->n, size);
    else
        fprintf(stderr,
                "Nothing leads to %lld of %lld runs, %s. With --yes they are removed.\n",
                (long long)g->goes, (long long)g->n, size);
}

static int run(const void *given)
{
    struct garbage g = {.args = given};
    struct strbuf out = STRBUF_INIT;
    struct store_use *use = NULL;
    struct err err = ERR_INIT;
    int64_t bytes = 0;
    int rc = 0;

    if (store_open(&g.store, g.args->common.store, false, &err) ||
        (g.args->yes && store_collect_begin(&use, g.store, &err)) || find(&g, &err) ||
        show(&g, &out, &bytes, &err) || (g.args->yes && remove_all(&g, &err)))
        rc = -1;
    else
        tell(&g, bytes);
    store_use_end(use);
    store_close(g.store);
    free(g.pending);
    free(g.kept);
    free(g.run);
    if (rc) {
        strbuf_release(&out);
        return tell_error(&err);
    }
    return print_text(&out);
}

static const struct operand operands[] = {
    {.name = "SPEC",
     .many = true,
     .optional = true,
     .help =
         "an experiment that you work with, by its file or its name: what it asks for "
         "stays",
     .offset = offsetof(struct args, specs)},
    OPERAND_END,
};
static const struct flag flags[] = {
    {.name = "yes",
     .letter = 'y',
     .type = OPT_BOOL,
     .help = "remove what is shown",
     .offset = offsetof(struct args, yes)},
    FLAG_END,
};

const struct verb verb_gc = {
    .name = "gc",
    .group = "The store",
    .summary = "runs that nothing leads to: show them, remove them",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_QUIET,
    .about = "What has a label or a note stays, what the specs ask for, what is worked "
             "on, and all "
             "that these were made of. The rest is shown; it is removed only with --yes, "
             "and only "
             "while no sweep works in the store (exit code 5 otherwise).\n\nThe code "
             "that runs were "
             "made with (objects.git) is kept.",
    .size = sizeof(struct args),
    .run = run,
};
