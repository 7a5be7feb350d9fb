/* retort ls: the runs of the store: which, in which order, and what of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "grid.h"
#include "query.h"
#include "retort/json.h"
#include "verbs.h"

struct args {
    struct common common;
    struct string_list tests, metrics;
    const char *sort;
    int64_t limit;
    bool reverse, ids;
};

struct listing {
    const struct args *args;
    struct store *store;
    struct run_info *info;
    struct query_run *run; /* of which n are left by the tests */
    int64_t n, total;
    struct test *test;
    const char *
        *metric; /* columns of their own: asked for, or tested and no field or variable */
    int64_t n_metrics;
};

static int read_tests(struct listing *l, struct err *err)
{
    const struct string_list *t = &l->args->tests, *m = &l->args->metrics;

    l->test = mem_new(t->n, sizeof *l->test, err);
    l->metric = mem_new(t->n + m->n + 2, sizeof *l->metric, err);
    if (!l->test || !l->metric)
        return -1;
    for (int64_t i = 0; i < t->n; i++)
        if (query_parse(&l->test[i], t->v[i], err))
            return -1;
    for (int64_t i = 0; i < m->n; i++)
        l->metric[l->n_metrics++] = m->v[i];
    return 0;
}

static int open_all(struct listing *l, struct err *err)
{
    if (store_open(&l->store, l->args->common.store, false, err) ||
        store_list(l->store, &l->info, &l->total, err) ||
        !(l->run = mem_new(l->total, sizeof *l->run, err)))
        return -1;
    for (int64_t i = 0; i < l->total; i++)
        l->run[i] = (struct query_run){&l->info[i], l->store, NULL, false};
    l->n = l->total;
    return 0;
}

static int apply(struct listing *l, const struct test *t, struct err *err)
{
    bool known = l->n == 0;
    int64_t n = 0;

    for (int64_t i = 0; i < l->n; i++) {
        bool has = false;
        if (query_holds(t, &l->run[i], &has))
            l->run[n++] = l->run[i];
        else
            query_run_release(&l->run[i]);
        known = known || has;
    }
    if (!known) {
        for (int64_t i = 0; i < l->total; i++)
            l->run[i] = (struct query_run){&l->info[i], l->store, NULL, false};
        l->n = l->total;
        return query_unknown(t->key, l->run, l->n, err);
    }
    l->n = n;
    return 0;
}

static void add_metric(struct listing *l, const char *key)
{
    for (int64_t i = 0; i < l->n_metrics; i++)
        if (!strcmp(l->metric[i], key))
            return;
    if (query_is_metric(key, l->run, l->n))
        l->metric[l->n_metrics++] = key;
}

static int select_runs(struct listing *l, struct err *err)
{
    const struct args *a = l->args;

    for (int64_t i = 0; i < a->tests.n; i++) {
        if (apply(l, &l->test[i], err))
            return -1;
        add_metric(l, l->test[i].key);
    }
    if (a->sort) {
        add_metric(l, a->sort);
        return query_sort(l->run, l->n, a->sort, a->reverse, err);
    }
    for (int64_t i = 0; a->reverse && i < l->n / 2; i++) {
        struct query_run r = l->run[i];
        l->run[i] = l->run[l->n - 1 - i];
        l->run[l->n - 1 - i] = r;
    }
    return 0;
}

/* Without --sort the newest are the last; a limit keeps them, not the oldest. */
static void limits(const struct listing *l, int64_t *from, int64_t *to)
{
    int64_t limit = l->args->limit;

    *from = 0;
    *to = l->n;
    if (!limit || limit >= l->n)
        return;
    if (l->args->sort || l->args->reverse)
        *to = limit;
    else
        *from = l->n - limit;
}

/* ---- as text ------------------------------------------------------------------------
 */

enum { FIRST = 5, AFTER = 5 };

static const struct grid_column before[FIRST] = {
    {.title = "run"},
    {.title = "state"},
    {.title = "spec", .rank = 4},
    {.title = "stage"},
    {.title = "variables", .elastic = true},
};
static const struct grid_column after[AFTER] = {
    {.title = "time", .right = true, .rank = 3},
    {.title = "size", .right = true, .rank = 6},
    {.title = "started", .rank = 5},
    {.title = "label", .rank = 1},
    {.title = "failure", .elastic = true, .wraps = true, .rank = 1},
};

static void put_run(struct grid *g, const struct listing *l, struct query_run *r)
{
    char text[32];
    struct value v;

    grid_printf(g, "%.10s", r->info->id);
    grid_put(g, run_state_word(r->info->state));
    grid_put(g, r->info->name);
    grid_put(g, r->info->stage);
    grid_put(g, r->info->variables);
    for (int64_t i = 0; i < l->n_metrics; i++) {
        query_value(&v, r, l->metric[i]);
        if (v.is_number)
            grid_number(g, v.x);
        else
            grid_put(g, v.text);
    }
    seconds_text(text, r->info->seconds);
    grid_put(g, text);
    bytes_text(text, r->info->bytes);
    grid_put(g, text);
    time_text(text, r->info->started);
    grid_put(g, text);
    grid_put(g, r->info->label);
    grid_put(g, r->info->failure);
}

static int print_grid(struct listing *l, struct strbuf *out, struct err *err)
{
    int cols = FIRST + (int)l->n_metrics + AFTER, rc = -1;
    struct grid_column *col = mem_new(cols, sizeof *col, err);
    struct grid *g = NULL;
    int64_t from, to;

    if (!col)
        return -1;
    memcpy(col, before, sizeof before);
    for (int64_t i = 0; i < l->n_metrics; i++)
        col[FIRST + i] = (struct grid_column){.title = l->metric[i], .right = true};
    memcpy(col + FIRST + l->n_metrics, after, sizeof after);
    g = grid_new(col, cols, err);
    limits(l, &from, &to);
    for (int64_t i = from; g && i < to; i++)
        put_run(g, l, &l->run[i]);
    if (g)
        rc = grid_print(g, out, screen_width(), err);
    grid_free(g);
    free(col);
    return rc;
}

/* ---- as JSON ------------------------------------------------------------------------
 */

static void put_value(struct json_writer *w, const struct value *v)
{
    if (!v->there)
        json_str(w, NULL);
    else if (v->is_number)
        json_num(w, v->x);
    else
        json_str(w, v->text);
}

static void put_json(struct json_writer *w, const struct listing *l, struct query_run *r)
{
    struct value v;

    json_object(w);
    query_put_run(w, r->info);
    if (l->n_metrics) {
        json_member(w, "metrics");
        json_object(w);
        for (int64_t i = 0; i < l->n_metrics; i++) {
            query_value(&v, r, l->metric[i]);
            json_member(w, l->metric[i]);
            put_value(w, &v);
        }
        json_object_end(w);
    }
    json_object_end(w);
}

static void print_json(struct listing *l, struct strbuf *out)
{
    struct json_writer w;
    int64_t from, to;

    json_begin(&w, out, true);
    json_array(&w);
    limits(l, &from, &to);
    for (int64_t i = from; i < to; i++)
        put_json(&w, l, &l->run[i]);
    json_array_end(&w);
    strbuf_putc(out, '\n');
}

static void print_ids(struct listing *l, struct strbuf *out)
{
    int64_t from, to;

    limits(l, &from, &to);
    for (int64_t i = from; i < to; i++)
        strbuf_printf(out, "%s\n", l->run[i].info->id);
}

/* ---- the verb -----------------------------------------------------------------------
 */

static int print_all(struct listing *l, struct strbuf *out, struct err *err)
{
    if (l->args->ids)
        print_ids(l, out);
    else if (l->args->common.json)
        print_json(l, out);
    else
        return print_grid(l, out, err);
    return 0;
}

static int run(const void *given)
{
    struct listing l = {.args = given};
    struct strbuf out = STRBUF_INIT;
    struct err err = ERR_INIT;
    int rc;

    if (read_tests(&l, &err) || open_all(&l, &err) || select_runs(&l, &err) ||
        print_all(&l, &out, &err)) {
        strbuf_release(&out);
        rc = tell_error(&err);
    } else {
        rc = print_text(&out);
    }
    for (int64_t i = 0; i < l.n; i++)
        query_run_release(&l.run[i]);
    free(l.metric);
    free(l.test);
    free(l.run);
    free(l.info);
    store_close(l.store);
    return rc;
}

#define AT(field) offsetof(struct args, field)
static const struct operand operands[] = {
    {.name = "TEST",
     .optional = true,
     .many = true,
     .help = "only runs for which all of these hold: stage=result, 'accuracy>0.8'",
     .offset = AT(tests)},
    OPERAND_END,
};
static const struct flag flags[] = {
    {.name = "metric",
     .letter = 'm',
     .type = OPT_STRINGS,
     .value = "NAME",
     .help = "a column with the last value of a metric (may be given again)",
     .offset = AT(metrics)},
    {.name = "sort",
     .letter = 's',
     .type = OPT_STRING,
     .value = "KEY",
     .help = "order by a field, a variable or a metric, smallest first; else by start",
     .offset = AT(sort)},
    {.name = "reverse",
     .letter = 'r',
     .type = OPT_BOOL,
     .help = "the other way round",
     .offset = AT(reverse)},
    {.name = "limit",
     .letter = 'n',
     .type = OPT_INT,
     .value = "N",
     .min = 1,
     .max = 1e9,
     .help = "only the first N; without --sort the newest",
     .offset = AT(limit)},
    {.name = "ids",
     .type = OPT_BOOL,
     .help = "full ids alone, one a line, for other commands",
     .offset = AT(ids)},
    FLAG_END,
};

const struct verb verb_ls = {
    .name = "ls",
    .group = "Runs",
    .summary = "the runs of the store",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_JSON,
    .about = "A test is a key, one of = != < <= > >= (quote < and > from the shell), and "
             "a value; what "
             "is no number may hold * and ?. A key is a field (id, state, spec, stage, "
             "method, label, "
             "seed, seconds, started, ended, bytes, step, digest, failure), a variable "
             "of the sweep "
             "(pruned.ratio), or a metric, by its name or the end of it (accuracy).\n\n"
             "  retort ls stage=result 'pruned.ratio<=0.5' --sort accuracy --reverse "
             "--limit 10\n"
             "  retort ls state=partial\n"
             "  retort rm $(retort ls spec=old --ids)",
    .size = sizeof(struct args),
    .run = run,
};
