/*
 * retort diff A B: what tells two runs apart, or two sweeps point by point.
 *
 * Exit code 0: equal results, 1: not.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "grid.h"
#include "retort/report.h"
#include "sweep.h"
#include "verbs.h"

struct args {
    struct common common;
    const char *name[2];
    const char *other; /* store of B */
    struct string_list metrics;
    bool tensors;
};

/* ---- two runs ---- */

static int diff_two_runs(struct strbuf *out, bool *same, const struct args *a,
                         struct store *const store[2], char id[2][65], struct err *err)
{
    const struct diff_options opt = {.tensors = a->tensors, .json = a->common.json};
    struct run *run[2] = {NULL, NULL};
    int rc = -1;

    if (!run_open(&run[0], store[0], id[0], false, err) &&
        !run_open(&run[1], store[1], id[1], false, err))
        rc = diff_runs(out, same, run[0], run[1], &opt, err);
    run_close(run[1]);
    run_close(run[0]);
    return rc;
}

/* ---- two sweeps: which point is which ---- */

struct keyed {
    const struct sweep_row *row;
    char *key; /* stage and sorted variables but the seed */
    int64_t order;
    bool taken;
};

struct pair {
    const struct sweep_row *row[2]; /* NULL: that side has it not */
    int64_t order;
};

struct comparison {
    const struct args *args;
    struct store *const *store;
    struct sweep sweep[2];
    struct pair *pair;
    int64_t n, capacity;
    int64_t equal, differ, only[2], missing, twice;
};

enum { VARIABLES_MAX = 64 };

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static char *key_of(const struct sweep_row *row, struct err *err)
{
    static char pair[VARIABLES_MAX][640];
    struct strbuf sb = STRBUF_INIT;
    const char *at = row->variables;
    char name[128], value[512];
    size_t n = 0;

    strbuf_printf(&sb, "%s\n", row->stage);
    while (n < VARIABLES_MAX && variable_next(&at, name, value))
        if (strcmp(name, "seed") != 0)
            snprintf(pair[n++], sizeof *pair, "%s=%s", name, value);
    qsort(pair, n, sizeof *pair, by_text);
    for (size_t i = 0; i < n; i++)
        strbuf_printf(&sb, "%s\n", pair[i]);
    return strbuf_take(&sb, err);
}

/* Of several runs of one point (a spec that was changed on the way) the newest comes
 * first. */
static int by_key(const void *pa, const void *pb)
{
    const struct keyed *a = pa, *b = pb;
    int c = strcmp(a->key, b->key);

    if (c)
        return c;
    if (a->row->has_seed != b->row->has_seed)
        return a->row->has_seed ? -1 : 1;
    if (a->row->has_seed && a->row->seed != b->row->seed)
        return a->row->seed < b->row->seed ? -1 : 1;
    return a->row->started > b->row->started ? -1 : a->row->started < b->row->started;
}

static void keys_free(struct keyed *k, int64_t n)
{
    for (int64_t i = 0; k && i < n; i++)
        free(k[i].key);
    free(k);
}

static struct keyed *keys_of(const struct sweep *s, struct err *err)
{
    struct keyed *k = mem_new(s->n, sizeof *k, err);

    for (int64_t i = 0; k && i < s->n; i++) {
        k[i] = (struct keyed){&s->row[i], key_of(&s->row[i], err), i, false};
        if (!k[i].key) {
            keys_free(k, i);
            return NULL;
        }
    }
    if (k)
        qsort(k, (size_t)s->n, sizeof *k, by_key);
    return k;
}

static int add_pair(struct comparison *c, const struct keyed *a, const struct keyed *b,
                    struct err *err)
{
    if (mem_grow((void **)&c->pair, c->n, &c->capacity, sizeof *c->pair, err))
        return -1;
    c->pair[c->n++] = (struct pair){{a ? a->row : NULL, b ? b->row : NULL},
                                    a ? a->order : c->sweep[0].n + b->order};
    return 0;
}

static int by_order(const void *pa, const void *pb)
{
    const struct pair *a = pa, *b = pb;

    return a->order < b->order ? -1 : a->order > b->order;
}

/* The rows of one key. */
struct group {
    struct keyed *v;
    int64_t n;
};

static struct group next_group(struct keyed *k, int64_t from, int64_t n)
{
    int64_t to = from;

    while (to < n && !strcmp(k[from].key, k[to].key))
        to++;
    return (struct group){k + from, to - from};
}

static bool same_seed(const struct sweep_row *a, const struct sweep_row *b)
{
    return a->has_seed == b->has_seed && (!a->has_seed || a->seed == b->seed);
}

/* All but the newest run of each seed are passed over. */
static void drop_older(struct comparison *c, struct group g)
{
    for (int64_t i = 1; i < g.n; i++)
        if (same_seed(g.v[i - 1].row, g.v[i].row)) {
            g.v[i].taken = true;
            c->twice++;
        }
}

static struct keyed *only_one_left(struct group g)
{
    struct keyed *found = NULL;

    for (int64_t i = 0; i < g.n; i++)
        if (!g.v[i].taken) {
            if (found)
                return NULL;
            found = &g.v[i];
        }
    return found;
}

/* Rows of equal seeds; then, where one side knows no seed (a spec of one seed names
 * none), the one that is left on each side. */
static int align_group(struct comparison *c, struct group a, struct group b,
                       struct err *err)
{
    struct keyed *x, *y;

    drop_older(c, a);
    drop_older(c, b);
    for (int64_t i = 0; i < a.n; i++)
        for (int64_t j = 0; j < b.n && !a.v[i].taken; j++)
            if (!b.v[j].taken && same_seed(a.v[i].row, b.v[j].row)) {
                if (add_pair(c, &a.v[i], &b.v[j], err))
                    return -1;
                a.v[i].taken = b.v[j].taken = true;
            }
    x = only_one_left(a);
    y = only_one_left(b);
    if (x && y && x->row->has_seed != y->row->has_seed) {
        if (add_pair(c, x, y, err))
            return -1;
        x->taken = y->taken = true;
    }
    for (int64_t i = 0; i < a.n; i++)
        if (!a.v[i].taken && add_pair(c, &a.v[i], NULL, err))
            return -1;
    for (int64_t j = 0; j < b.n; j++)
        if (!b.v[j].taken && add_pair(c, NULL, &b.v[j], err))
            return -1;
    return 0;
}

static int align(struct comparison *c, struct err *err)
{
    int64_t n = c->sweep[0].n, m = c->sweep[1].n, i = 0, j = 0;
    struct keyed *a = keys_of(&c->sweep[0], err),
                 *b = a ? keys_of(&c->sweep[1], err) : NULL;
    int rc = a && b ? 0 : -1;

    while (!rc && (i < n || j < m)) {
        struct group x = {NULL, 0}, y = {NULL, 0};
        int order = i == n ? 1 : j == m ? -1 : strcmp(a[i].key, b[j].key);
        if (order <= 0)
            x = next_group(a, i, n);
        if (order >= 0)
            y = next_group(b, j, m);
        rc = align_group(c, x, y, err);
        i += x.n;
        j += y.n;
    }
    if (!rc)
        qsort(c->pair, (size_t)c->n, sizeof *c->pair, by_order);
    keys_free(b, m);
    keys_free(a, n);
    return rc;
}

/* ---- two sweeps: what they say ---- */

/* Without --metric: what evaluations found, losses left out. */
static bool wanted(const struct args *a, const char *name)
{
    const char *end = strrchr(name, '/');

    if (a->metrics.n)
        return query_names_metric(&a->metrics, name);
    return !strncmp(name, "eval/", 5) && strcmp(end, "/loss") != 0;
}

/* Where the points go. One of the two is used. */
struct writer {
    struct grid *grid;
    struct json_writer *json;
};

static void put_common(struct grid *g, const struct sweep_row *row, const char *result)
{
    grid_put(g, row->stage);
    grid_put(g, row->variables);
    grid_put(g, result);
}

static void put_number(struct grid *g, double x, bool sign)
{
    if (isnan(x))
        grid_put(g, "nan");
    else
        grid_printf(g, sign ? "%+.6g" : "%.6g", x);
}

static void put_metric(struct writer *w, const struct sweep_row *row, const char *result,
                       const char *name, double a, double b)
{
    if (w->grid) {
        put_common(w->grid, row, result);
        grid_put(w->grid, name);
        put_number(w->grid, a, false);
        put_number(w->grid, b, false);
        put_number(w->grid, b - a, true);
        return;
    }
    json_member(w->json, name);
    json_object(w->json);
    json_member(w->json, "a");
    json_num(w->json, a);
    json_member(w->json, "b");
    json_num(w->json, b);
    json_member(w->json, "difference");
    json_num(w->json, b - a);
    json_object_end(w->json);
}

/* The wanted metrics that both runs have. Returns how many, or -1. */
static int64_t put_metrics(struct writer *w, const struct comparison *c,
                           const struct pair *p, const char *result,
                           struct run *const run[2], struct err *err)
{
    struct err none = ERR_INIT;
    struct series x, y;
    int64_t n = 0;

    for (int64_t i = 0; i < run_series_count(run[0]); i++) {
        if (run_series(run[0], i, &x, err))
            return -1;
        if (x.cls == RECORD_ENV || !x.n || !wanted(c->args, x.name) ||
            run_series_find(run[1], x.name, &y, &none) || !y.n)
            continue;
        put_metric(w, p->row[0], result, x.name, x.value[x.n - 1], y.value[y.n - 1]);
        n++;
    }
    return n;
}

static void json_point(struct json_writer *w, const struct pair *p, const char *result)
{
    json_member(w, "stage");
    json_str(w, p->row[0]->stage);
    json_member(w, "variables");
    query_put_variables(w, p->row[0]->variables);
    json_member(w, "run_a");
    json_str(w, p->row[0]->id);
    json_member(w, "run_b");
    json_str(w, p->row[1]->id);
    json_member(w, "result");
    json_str(w, result);
    json_member(w, "metrics");
    json_object(w);
}

static int put_point(struct writer *w, struct comparison *c, const struct pair *p,
                     struct err *err)
{
    struct run *run[2] = {NULL, NULL};
    const bool same = c->store[0] == c->store[1] && !strcmp(p->row[0]->id, p->row[1]->id);
    const char *result = "equal";
    int64_t n = -1;

    if (run_open(&run[0], c->store[0], p->row[0]->id, false, err))
        goto done;
    if (same)
        run[1] = run[0];
    else if (run_open(&run[1], c->store[1], p->row[1]->id, false, err))
        goto done;
    if (same)
        result = "same run";
    else if (strcmp(run_info(run[0])->digest, run_info(run[1])->digest) != 0)
        result = "differs";
    c->equal += *result != 'd';
    c->differ += *result == 'd';
    if (w->json) {
        json_object(w->json);
        json_point(w->json, p, result);
    }
    n = put_metrics(w, c, p, result, run, err);
    if (w->json) {
        json_object_end(w->json);
        json_object_end(w->json);
    } else if (n == 0 && *result == 'd') {
        put_common(w->grid, p->row[0], result);
        for (int i = 0; i < 4; i++)
            grid_put(w->grid, "");
    }
done:
    if (!same)
        run_close(run[1]);
    run_close(run[0]);
    return n < 0 ? -1 : 0;
}

/* Both sides sealed? Else it is counted where it belongs. */
static bool complete(struct comparison *c, const struct pair *p)
{
    for (int side = 0; side < 2; side++)
        if (!p->row[!side]) {
            c->only[side]++;
            return false;
        }
    if (p->row[0]->there && p->row[1]->there)
        return true;
    c->missing++;
    return false;
}

static int put_points(struct writer *w, struct comparison *c, struct err *err)
{
    for (int64_t i = 0; i < c->n; i++)
        if (complete(c, &c->pair[i]) && put_point(w, c, &c->pair[i], err))
            return -1;
    return 0;
}

static const char *absence(const struct pair *p)
{
    if (!p->row[0])
        return "only in B";
    if (!p->row[1])
        return "only in A";
    if (!p->row[0]->there)
        return p->row[1]->there ? "not run in A" : "run in neither";
    return p->row[1]->there ? NULL : "not run in B";
}

static void put_absent(struct strbuf *out, const struct comparison *c)
{
    enum { SHOWN = 40 };
    int64_t n = 0;

    for (int64_t i = 0; i < c->n; i++) {
        const struct pair *p = &c->pair[i];
        const struct sweep_row *row = p->row[0] ? p->row[0] : p->row[1];
        const char *word = absence(p);
        if (word && n++ < SHOWN)
            strbuf_printf(out, "%s%s: %s %s\n", n == 1 ? "\n" : "", word, row->stage,
                          row->variables);
    }
    if (n > SHOWN)
        strbuf_printf(out, "and %lld more (--json lists all)\n", (long long)(n - SHOWN));
}

static bool is_same(const struct comparison *c)
{
    return !c->differ && !c->only[0] && !c->only[1] && !c->missing;
}

static void put_summary(struct strbuf *out, const struct comparison *c)
{
    strbuf_printf(out, "\n%lld runs in both: %lld equal to the bit, %lld differ",
                  (long long)(c->equal + c->differ), (long long)c->equal,
                  (long long)c->differ);
    for (int side = 0; side < 2; side++)
        if (c->only[side])
            strbuf_printf(out, "; %lld only in %c", (long long)c->only[side], "AB"[side]);
    if (c->missing)
        strbuf_printf(out, "; %lld not run", (long long)c->missing);
    if (c->twice)
        strbuf_printf(out, "; of %lld older runs of the same points none is shown",
                      (long long)c->twice);
    strbuf_puts(out, "\n");
}

static int print_points(struct strbuf *out, struct comparison *c, struct err *err)
{
    static const struct grid_column col[] = {{.title = "stage", .rank = 2},
                                             {.title = "variables", .elastic = true},
                                             {.title = "result"},
                                             {.title = "metric", .rank = 1},
                                             {.title = "A", .right = true},
                                             {.title = "B", .right = true},
                                             {.title = "B - A", .right = true}};
    struct writer w = {grid_new(col, sizeof col / sizeof *col, err), NULL};
    int rc = w.grid ? put_points(&w, c, err) : -1;

    if (!rc && c->equal + c->differ)
        rc = grid_print(w.grid, out, screen_width(), err);
    grid_free(w.grid);
    if (rc)
        return -1;
    put_absent(out, c);
    put_summary(out, c);
    return 0;
}

static void json_absent(struct json_writer *w, const struct comparison *c)
{
    json_member(w, "absent");
    json_array(w);
    for (int64_t i = 0; i < c->n; i++) {
        const struct pair *p = &c->pair[i];
        const struct sweep_row *row = p->row[0] ? p->row[0] : p->row[1];
        const char *word = absence(p);
        if (!word)
            continue;
        json_object(w);
        json_member(w, "why");
        json_str(w, word);
        json_member(w, "stage");
        json_str(w, row->stage);
        json_member(w, "variables");
        query_put_variables(w, row->variables);
        json_object_end(w);
    }
    json_array_end(w);
}

static int print_json(struct strbuf *out, struct comparison *c, struct err *err)
{
    struct json_writer json;
    struct writer w = {NULL, &json};

    json_begin(&json, out, true);
    json_object(&json);
    json_member(&json, "a");
    json_str(&json, c->sweep[0].name);
    json_member(&json, "b");
    json_str(&json, c->sweep[1].name);
    json_member(&json, "points");
    json_array(&json);
    if (put_points(&w, c, err))
        return -1;
    json_array_end(&json);
    json_absent(&json, c);
    json_member(&json, "equal");
    json_flag(&json, is_same(c));
    json_object_end(&json);
    strbuf_putc(out, '\n');
    return 0;
}

static int diff_two_sweeps(struct strbuf *out, bool *same, const struct args *a,
                           struct store *const store[2], struct err *err)
{
    struct comparison c = {.args = a, .store = store};
    int rc = -1;

    if (a->tensors)
        return err_set(err, ERR_INPUT, "--tensors looks into two runs; name two of them");
    if (sweep_load(&c.sweep[0], store[0], a->name[0], err) ||
        sweep_load(&c.sweep[1], store[1], a->name[1], err) || align(&c, err))
        goto done;
    rc = a->common.json ? print_json(out, &c, err) : print_points(out, &c, err);
    *same = is_same(&c);
done:
    free(c.pair);
    sweep_release(&c.sweep[1]);
    sweep_release(&c.sweep[0]);
    return rc;
}

/* ---- the verb ---- */

static int diff(struct strbuf *out, bool *same, const struct args *a,
                struct store *const store[2], struct err *err)
{
    char id[2][65];
    int kind[2];

    for (int side = 0; side < 2; side++)
        if ((kind[side] = find_run_or_sweep(store[side], a->name[side], id[side], err)) <
            0)
            return -1;
    if (kind[0] != kind[1])
        return err_set(err, ERR_INPUT,
                       "\"%s\" is a run, \"%s\" a sweep: name two of a kind",
                       a->name[!kind[0]], a->name[kind[0]]);
    return kind[0] ? diff_two_runs(out, same, a, store, id, err)
                   : diff_two_sweeps(out, same, a, store, err);
}

static int run(const void *given)
{
    const struct args *a = given;
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct store *own = NULL, *other = NULL;
    bool same = false;
    int rc = -1;

    if (!store_open(&own, a->common.store, false, &err) &&
        (!a->other || !store_open(&other, a->other, false, &err))) {
        struct store *const store[2] = {own, other ? other : own};
        rc = diff(&out, &same, a, store, &err);
    }
    if (rc) {
        strbuf_release(&out);
        rc = tell_error(&err);
    } else {
        if (!a->common.json)
            clean_text(&out);
        rc = print_text(&out);
    }
    store_close(other);
    store_close(own);
    return rc ? rc : !same;
}

#define AT(field) offsetof(struct args, field)
static const struct operand operands[] = {
    {.name = "A",
     .help = RUN_HELP "; or a sweep: a spec's file, or the name of a spec in the store",
     .offset = AT(name[0])},
    {.name = "B", .help = "another of the same kind", .offset = AT(name[1])},
    OPERAND_END,
};
static const struct flag flags[] = {
    {.name = "tensors",
     .type = OPT_BOOL,
     .help = "of two runs: look into tensors, masks and predictions for the first "
             "element that "
             "differs, how many do, and by how much",
     .offset = AT(tensors)},
    {.name = "metric",
     .letter = 'm',
     .type = OPT_STRINGS,
     .value = "NAME",
     .help = "of two sweeps: this metric rather than those of evaluations (may be given "
             "again)",
     .offset = AT(metrics)},
    {.name = "other",
     .type = OPT_STRING,
     .value = "DIR",
     .help = "look for B in this store",
     .offset = AT(other)},
    FLAG_END,
};

const struct verb verb_diff = {
    .name = "diff",
    .group = "Results",
    .summary = "what tells two runs or two sweeps apart",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_JSON,
    .about =
        "Of runs: the options, the pins and the metrics that differ, each series at its "
        "first step. Of sweeps, whose points are aligned by stage and variables: both "
        "values and their difference, and what one side lacks.\n\n"
        "Exit code 0: the results are equal to the bit; 1: they are not.",
    .size = sizeof(struct args),
    .run = run,
};
