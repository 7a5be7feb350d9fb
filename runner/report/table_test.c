/*
 * The tests between cells: against a baseline, and of the best against the others.
 *
 * A pair is two runs that stand for the same seed; a run that serves many seeds (a
 * teacher that has none) pairs with each run of the other cell, and two such runs make
 * one pair, from which no deviation can be told. Over examples, the metric of each run is
 * computed once on every resample, and pairs are differences of these numbers.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stored.h"
#include "table_impl.h"

/* A run's metric on all examples and on the resamples. */
struct resampled {
    const char *run, *metric;
    double all, *value;
    struct stored *stored;
};

struct tester {
    struct table *t;
    struct store *store;
    struct resampled *v;
    int64_t n, capacity;
    struct err *err;
};

struct pairs {
    int64_t n, *a, *b; /* places in the cells' runs */
};

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static const struct item *row_of(const struct table *t, int64_t cell)
{
    return &t->rows.v[cell / t->cols.n];
}

static const struct item *col_of(const struct table *t, int64_t cell)
{
    return &t->cols.v[cell % t->cols.n];
}

static const char *metric_at(const struct table *t, int64_t cell)
{
    return table_cell_metric(t, row_of(t, cell), col_of(t, cell));
}

/* ---- may these two be compared? ---- */

static int refuse(struct tester *k, int64_t a, int64_t b, const char *what, const char *x,
                  const char *y)
{
    const struct table *t = k->t;

    return err_set(k->err, ERR_INPUT,
                   "cell (%s, %s) cannot be compared with (%s, %s): %s of run %.10s is "
                   "%.300s, of run %.10s %.300s",
                   row_of(t, a)->name, col_of(t, a)->name, row_of(t, b)->name,
                   col_of(t, b)->name, what, t->cell[a].run[0], x, t->cell[b].run[0], y);
}

static int check_same(struct tester *k, int64_t a, int64_t b)
{
    const struct table_cell *x = &k->t->cell[a], *y = &k->t->cell[b];
    const char *m = metric_at(k->t, a), *o = metric_at(k->t, b);

    if (m && o && strcmp(m, o) != 0)
        return refuse(k, a, b, "the metric", m, o);
    if (x->data && y->data && strcmp(x->data, y->data) != 0)
        return refuse(k, a, b, "the data", x->data, y->data);
    if (x->labels && y->labels && strcmp(x->labels, y->labels) != 0)
        return refuse(k, a, b, "the declaration of the task", x->labels, y->labels);
    return 0;
}

/* ---- pairs ---- */

static int pair_up(struct pairs *p, struct tester *k, const struct table_cell *x,
                   const struct table_cell *y)
{
    struct arena *arena = k->t->arena;
    int64_t seeds = k->t->n_seeds;

    p->n = 0;
    p->a = arena_alloc(arena, (seeds + 1) * (int64_t)sizeof *p->a);
    p->b = arena_alloc(arena, (seeds + 1) * (int64_t)sizeof *p->b);
    if (arena_failed(arena, k->err))
        return -1;
    for (int64_t s = 0; s < seeds; s++) {
        int64_t a = x->of_seed[s], b = y->of_seed[s];
        bool known = a < 0 || b < 0;
        for (int64_t i = 0; i < p->n && !known; i++)
            known = p->a[i] == a && p->b[i] == b;
        if (known)
            continue;
        p->a[p->n] = a;
        p->b[p->n++] = b;
    }
    return 0;
}

/* ---- over seeds ---- */

static int over_seeds(struct cell_test *c, struct tester *k, const struct pairs *p,
                      const struct table_cell *x, const struct table_cell *y)
{
    double *v = mem_new(3 * (p->n + 1), sizeof *v, k->err), *a = v + p->n,
           *b = v + 2 * p->n, half;

    if (!v)
        return -1;
    for (int64_t i = 0; i < p->n; i++) {
        a[i] = x->x[p->a[i]];
        b[i] = y->x[p->b[i]];
        v[i] = a[i] - b[i];
    }
    half = stats_interval95(v, p->n);
    c->test = "paired t";
    c->difference = stats_mean(v, p->n);
    c->std = stats_std(v, p->n);
    c->low = c->difference - half;
    c->high = c->difference + half;
    c->p = stats_paired_t(a, b, p->n).p;
    c->flat = p->n > 1 && !(stats_std(v, p->n) > 0) && fabs(c->difference) > 0;
    free(v);
    return 0;
}

/* ---- over examples ---- */

/* "eval/glue/mrpc/dev" of "eval/glue/mrpc/dev/f1"; NULL if it is no evaluation's. */
static const char *eval_of(struct tester *k, const char *metric)
{
    const char *end = metric ? strrchr(metric, '/') : NULL;

    if (!end || strncmp(metric, "eval/", 5) != 0 || !metric_find(end + 1)) {
        err_set(k->err, ERR_INPUT,
                "a test over examples needs the metric of an evaluation; \"%s\" is none: "
                "use \"over\": \"seeds\"",
                metric ? metric : "");
        return NULL;
    }
    return arena_printf(k->t->arena, "%.*s", (int)(end - metric), metric);
}

/* The resampled metric of a run, from memory if it was asked for before. */
static const struct resampled *resampled(struct tester *k, const char *run,
                                         const char *metric)
{
    struct resampled r = {run, metric, (double)NAN, NULL, NULL};
    const char *eval = eval_of(k, metric);
    int64_t m = k->t->tests.resamples;

    for (int64_t i = 0; i < k->n; i++)
        if (same(k->v[i].run, run) && same(k->v[i].metric, metric))
            return &k->v[i];
    if (!eval || arena_failed(k->t->arena, k->err) ||
        mem_grow((void **)&k->v, k->n, &k->capacity, sizeof r, k->err) ||
        stored_open(&r.stored, k->store, run, eval, k->err))
        return NULL;
    r.value = arena_alloc(k->t->arena, (m + 1) * (int64_t)sizeof *r.value);
    if (!r.value || stored_resample(&r.all, r.value, r.stored,
                                    metric_find(strrchr(metric, '/') + 1), m, k->err)) {
        arena_failed(k->t->arena, k->err);
        stored_close(r.stored);
        return NULL;
    }
    k->v[k->n] = r;
    return &k->v[k->n++];
}

/* The numbers of run i of a cell; places in k->v move, so they are copied. */
static int of_run(struct resampled *out, struct tester *k, int64_t cell, int64_t i)
{
    const struct resampled *r =
        resampled(k, k->t->cell[cell].run[i], metric_at(k->t, cell));

    if (r)
        *out = *r;
    return r ? 0 : -1;
}

/* On how many examples is one of two runs right and the other not? */
static struct test_result mcnemar(const struct predictions *a,
                                  const struct predictions *b)
{
    int64_t only_a = 0, only_b = 0;

    for (int64_t i = 0; i < a->n; i++) {
        int32_t label = a->data->raw->v[i].label;
        bool x = a->pred[i] == label, y = b->pred[i] == label;
        only_a += x && !y;
        only_b += y && !x;
    }
    return stats_mcnemar(only_a, only_b);
}

/* Each resample's mean difference over the pairs; with seeds drawn too, over as many
 * pairs drawn with replacement. */
static void mean_differences(double *out, const struct resampled *a,
                             const struct resampled *b, int64_t n, int64_t m, bool draw)
{
    struct rng rng = rng_stream(0, "bootstrap/seeds");

    for (int64_t r = 0; r < m; r++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) {
            int64_t at = draw ? (int64_t)rng_below(&rng, (uint64_t)n) : i;
            sum += a[at].value[r] - b[at].value[r];
        }
        out[r] = sum / (double)n;
    }
}

static int over_examples(struct cell_test *c, struct tester *k, const struct pairs *p,
                         int64_t x, int64_t y)
{
    int64_t m = k->t->tests.resamples;
    bool both = k->t->tests.over == OVER_BOTH;
    double scale = k->t->scale * row_of(k->t, x)->scale * col_of(k->t, x)->scale, all = 0;
    struct resampled *a = mem_new(2 * p->n, sizeof *a, k->err), *b = a ? a + p->n : NULL;
    double *diff = mem_new(m, sizeof *diff, k->err);
    struct bootstrap boot;
    int rc = a && diff ? 0 : -1;

    for (int64_t i = 0; !rc && i < p->n; i++) {
        rc = of_run(&a[i], k, x, p->a[i]) || of_run(&b[i], k, y, p->b[i]) ? -1 : 0;
        if (!rc && !same(a[i].stored->examples_digest, b[i].stored->examples_digest))
            rc = err_set(k->err, ERR_INPUT,
                         "runs %.10s and %.10s predicted other examples (%lld, %lld): "
                         "they cannot be compared one by one",
                         a[i].run, b[i].run, (long long)a[i].stored->p.n,
                         (long long)b[i].stored->p.n);
        all += rc ? 0 : (a[i].all - b[i].all) / (double)p->n;
    }
    if (!rc) {
        mean_differences(diff, a, b, p->n, m, both);
        stats_bootstrap_of(&boot, all, diff, m);
        c->test = both ? "bootstrap of seeds and examples" : "bootstrap of examples";
        c->difference = boot.difference * scale;
        c->low = (scale < 0 ? boot.high : boot.low) * scale;
        c->high = (scale < 0 ? boot.low : boot.high) * scale;
        c->p = boot.p;
        /* All of a few seeds may fall on one side by chance: 2 of 2^n ways. */
        c->flat = both && exp2(1 - (double)p->n) >= k->t->tests.alpha;
        if (!both && p->n == 1 && a->stored->p.pred && b->stored->p.pred &&
            same(strrchr(a->metric, '/'), "/accuracy")) {
            c->test = "McNemar";
            c->p = mcnemar(&a->stored->p, &b->stored->p).p;
        }
    }
    free(diff);
    free(a);
    return rc;
}

/* ---- the comparisons ---- */

static const struct cell_test not_made = {.difference = (double)NAN,
                                          .std = (double)NAN,
                                          .low = (double)NAN,
                                          .high = (double)NAN,
                                          .p = (double)NAN,
                                          .p_holm = (double)NAN};

static int compare(struct cell_test *c, struct tester *k, int64_t x, int64_t y)
{
    const struct table_cell *a = &k->t->cell[x], *b = &k->t->cell[y];
    struct pairs p;

    *c = not_made;
    if (x == y || a->n == 0 || b->n == 0)
        return 0;
    if (check_same(k, x, y) || pair_up(&p, k, a, b))
        return -1;
    c->n = p.n;
    if (p.n == 0)
        return 0;
    return k->t->tests.over == OVER_SEEDS ? over_seeds(c, k, &p, a, b)
                                          : over_examples(c, k, &p, x, y);
}

/* Holm's correction over all cells' `versus` or `behind`; the number of tests. */
static int64_t correct(struct tester *k, bool behind)
{
    int64_t cells = k->t->rows.n * k->t->cols.n, made = 0;
    double *p = mem_new(2 * cells + 1, sizeof *p, k->err);

    if (!p)
        return -1;
    for (int64_t i = 0; i < cells; i++) {
        p[i] = behind ? k->t->cell[i].behind.p : k->t->cell[i].versus.p;
        made += !isnan(p[i]);
    }
    if (stats_holm(p + cells, p, cells, k->err))
        made = -1;
    for (int64_t i = 0; i < cells && made >= 0; i++)
        *(behind ? &k->t->cell[i].behind.p_holm : &k->t->cell[i].versus.p_holm) =
            p[cells + i];
    free(p);
    return made;
}

static int64_t find(const struct axis *a, const char *name)
{
    for (int64_t i = 0; i < a->n; i++)
        if (same(a->v[i].name, name))
            return i;
    return -1;
}

static int test_baseline(struct tester *k)
{
    struct table *t = k->t;
    bool by_row = t->tests.row != NULL;
    const char *name = by_row ? t->tests.row : t->tests.column;
    int64_t at = name ? find(by_row ? &t->rows : &t->cols, name) : 0;

    if (!name)
        return 0;
    if (at < 0)
        return err_set(k->err, ERR_INPUT, "\"compare\": no %s is named \"%s\"",
                       by_row ? "row" : "column", name);
    for (int64_t r = 0; r < t->rows.n; r++)
        for (int64_t c = 0; c < t->cols.n; c++)
            if (compare(&t->cell[r * t->cols.n + c].versus, k, r * t->cols.n + c,
                        by_row ? at * t->cols.n + c : r * t->cols.n + at))
                return -1;
    t->tests.compared = correct(k, false);
    return t->tests.compared < 0 ? -1 : 0;
}

/* ---- the best ---- */

/* Cell i of group g: a column, or a row. */
static int64_t member_of(const struct table *t, int64_t g, int64_t i)
{
    return t->tests.best == 'c' ? i * t->cols.n + g : g * t->cols.n + i;
}

static int wanted(const struct table *t, int64_t cell)
{
    const char *m = metric_at(t, cell), *last = m ? strrchr(m, '/') : NULL;
    const struct metric *metric = metric_find(last ? last + 1 : m);
    double scale = t->scale * row_of(t, cell)->scale * col_of(t, cell)->scale;

    if (t->tests.want)
        return t->tests.want;
    return (!metric || metric->larger_is_better) == (scale > 0) ? 1 : -1;
}

/* Place of the best cell of a group, or -1 where there are not two to choose from. */
static int64_t best_of(const struct table *t, int64_t g, int64_t size)
{
    int64_t best = -1, there = 0;

    for (int64_t i = 0; i < size; i++) {
        int64_t at = member_of(t, g, i);
        if (t->cell[at].n == 0 || isnan(t->cell[at].mean))
            continue;
        there++;
        if (best < 0 || wanted(t, at) * (t->cell[at].mean - t->cell[best].mean) > 0)
            best = at;
    }
    return there > 1 ? best : -1;
}

/* Is the other cell told apart from the best, which is on the right side of it? */
static bool told_apart(const struct table *t, int64_t best, int64_t other)
{
    const struct cell_test *c = &t->cell[other].behind;

    return c->test && !c->flat && c->p_holm < t->tests.alpha &&
           wanted(t, best) * c->difference < 0;
}

static void mark_group(struct table *t, int64_t g, int64_t size)
{
    int64_t best = best_of(t, g, size);
    bool alone = true;

    if (best < 0)
        return;
    for (int64_t i = 0; i < size; i++) {
        int64_t at = member_of(t, g, i);
        if (at == best || t->cell[at].n == 0 || told_apart(t, best, at))
            continue;
        t->cell[at].best = BEST_TIED;
        alone = false;
    }
    t->cell[best].best = alone ? BEST_ALONE : BEST_TIED;
}

static int test_best(struct tester *k)
{
    struct table *t = k->t;
    bool columns = t->tests.best == 'c';
    int64_t groups = columns ? t->cols.n : t->rows.n,
            size = columns ? t->rows.n : t->cols.n;

    if (!t->tests.best)
        return 0;
    for (int64_t g = 0; g < groups; g++) {
        int64_t best = best_of(t, g, size);
        for (int64_t i = 0; i < size && best >= 0; i++)
            if (compare(&t->cell[member_of(t, g, i)].behind, k, member_of(t, g, i), best))
                return -1;
    }
    t->tests.ranked = correct(k, true);
    for (int64_t g = 0; g < groups && t->tests.ranked >= 0; g++)
        mark_group(t, g, size);
    return t->tests.ranked < 0 ? -1 : 0;
}

int table_test(struct table *t, struct store *store, struct err *err)
{
    struct tester k = {.t = t, .store = store, .err = err};
    bool asked = t->tests.row || t->tests.column || t->tests.best;
    int rc = -1;

    if (!t->cell)
        BUG("table_test before table_fill");
    if (asked && !store && t->tests.over != OVER_SEEDS)
        BUG("a test over examples without a store");
    for (int64_t i = 0; i < t->rows.n * t->cols.n; i++)
        t->cell[i].versus = t->cell[i].behind = not_made;
    if (!test_baseline(&k) && !test_best(&k))
        rc = 0;
    for (int64_t i = 0; i < k.n; i++)
        stored_close(k.v[i].stored);
    free(k.v);
    return rc;
}

int table_mark(const struct table *t, const struct table_cell *c)
{
    const struct cell_test *v = &c->versus;

    if (!v->test || v->flat || !(v->p_holm < t->tests.alpha))
        return 0;
    return v->difference > 0 ? 1 : v->difference < 0 ? -1 : 0;
}
