/*
 * analyze/correlate: do scores of heads agree?
 *
 * Correlation of all pairs of the inputs' scores, cell by cell: ablation scores of two
 * data sets (Michel, Levy & Neubig 2019, section 3.4), of the seeds of an experiment, or
 * whatever `over` or a list gives. Cells that lack a score in either are left out.
 *
 *     /stats/pearson, pearson_p, spearman, spearman_p (n, n)   every pair
 *     /stats/scores (n, cells)                                what was correlated
 *
 * correlate/pearson ... as metrics: of the pair; with more than two inputs the mean over
 * all pairs (the p-values: the largest).
 */
#include "retort/method.h"
#include "retort/stats.h"

#include <math.h>
#include <string.h>

struct options {
    const char *field;
};

/* clang-format off */
static const struct option options[] = {
    {"field", OPT_STRING, "\"ablation\"", 0, 0, NULL, NULL, "which scores: the name below /scores, as ablation or importance", offsetof(struct options, field)},
    OPTION_END,
};

static const struct input inputs[] = {
    {"scores", KIND_SCORES, true, true, "two or more runs of analyze/ablate or analyze/heads"},
    INPUT_END,
};
/* clang-format on */

enum { PEARSON, PEARSON_P, SPEARMAN, SPEARMAN_P, KINDS };
static const char *const kinds[] = {"pearson", "pearson_p", "spearman", "spearman_p"};

struct correlation {
    struct stage *st;
    int64_t n, cells;
    double *score;    /* (n, cells) */
    double *r[KINDS]; /* (n, n) */
    double *x, *y;    /* room for a pair */
};

static int read_scores(struct correlation *c, const char *path, int64_t i)
{
    struct stage *st = c->st;
    struct artifact *a = st->input_artifact(st, "scores", i);
    struct array v;

    if (!a)
        return stage_fail(st, ERR_INPUT, "input \"scores\" holds no run's scores");
    if (a->array(a->ctx, path, &v, &st->err))
        return -1;
    if (v.dtype != DT_F64)
        return stage_fail(st, ERR_INPUT, "run %.10s: %s is %s; scores are f64", a->run_id,
                          path, dtype_name(v.dtype));
    if (i == 0) {
        c->cells = shape_count(v.shape);
        c->score = arena_alloc(st->arena, c->n * c->cells * (int64_t)sizeof(double));
        c->x = arena_alloc(st->arena, c->cells * (int64_t)sizeof(double));
        c->y = arena_alloc(st->arena, c->cells * (int64_t)sizeof(double));
        if (arena_failed(st->arena, &st->err))
            return -1;
    }
    if (shape_count(v.shape) != c->cells)
        return stage_fail(
            st, ERR_INPUT, "run %.10s: %s has %lld scores, the first input has %lld",
            a->run_id, path, (long long)shape_count(v.shape), (long long)c->cells);
    memcpy(c->score + i * c->cells, v.data, (size_t)c->cells * sizeof(double));
    return 0;
}

/* Cells that both have, into x and y. */
static int64_t pair(struct correlation *c, int64_t i, int64_t j)
{
    const double *a = c->score + i * c->cells, *b = c->score + j * c->cells;
    int64_t n = 0;

    for (int64_t k = 0; k < c->cells; k++) {
        c->x[n] = a[k];
        c->y[n] = b[k];
        n += isfinite(a[k]) && isfinite(b[k]);
    }
    return n;
}

static int correlate(struct correlation *c)
{
    struct err *err = &c->st->err;

    for (int64_t i = 0; i < c->n; i++)
        for (int64_t j = 0; j < c->n; j++) {
            int64_t n = pair(c, i, j), at = i * c->n + j;
            struct test_result p, s;
            if (stats_pearson(&p, c->x, c->y, n, err) ||
                stats_spearman(&s, c->x, c->y, n, err))
                return -1;
            c->r[PEARSON][at] = p.statistic;
            c->r[PEARSON_P][at] = p.p;
            c->r[SPEARMAN][at] = s.statistic;
            c->r[SPEARMAN_P][at] = s.p;
        }
    return 0;
}

static double over_pairs(const struct correlation *c, int kind)
{
    bool p_value = kind == PEARSON_P || kind == SPEARMAN_P;
    double sum = 0, most = 0;

    for (int64_t i = 0; i < c->n; i++)
        for (int64_t j = i + 1; j < c->n; j++) {
            double v = c->r[kind][i * c->n + j];
            if (isnan(v))
                return v;
            sum += v;
            most = fmax(most, v);
        }
    return p_value ? most : sum / (0.5 * (double)(c->n * (c->n - 1)));
}

static int run(struct stage *st)
{
    const struct options *o = st->options;
    struct correlation c = {.st = st, .n = st->input_count(st, "scores")};
    const char *path = arena_printf(st->arena, "/scores/%s", o->field);

    if (c.n < 2)
        return stage_fail(st, ERR_INPUT,
                          "one run's scores correlate with nothing; give a list of two, "
                          "or \"over\"");
    for (int k = 0; k < KINDS; k++)
        c.r[k] = arena_alloc(st->arena, c.n * c.n * (int64_t)sizeof(double));
    if (arena_failed(st->arena, &st->err))
        return -1;
    for (int64_t i = 0; i < c.n; i++)
        if (read_scores(&c, path, i))
            return -1;
    if (correlate(&c))
        return -1;
    if (isnan(over_pairs(&c, PEARSON)))
        stage_note(st,
                   "the correlation is not defined: all scores of a run are equal, or "
                   "there are fewer than two");
    for (int k = 0; k < KINDS; k++) {
        stage_doubles(st, arena_printf(st->arena, "/stats/%s", kinds[k]), c.r[k], c.n,
                      c.n, "input", "other");
        stage_metric(st, arena_printf(st->arena, "correlate/%s", kinds[k]), 0,
                     over_pairs(&c, k));
    }
    stage_doubles(st, "/stats/scores", c.score, c.n, c.cells, "input", "cell");
    stage_metric(st, "correlate/inputs", 0, (double)c.n);
    stage_metric(st, "correlate/cells", 0, (double)pair(&c, 0, 1));
    return stage_done(st);
}

const struct method method_analyze_correlate = {
    .name = "analyze/correlate",
    .summary = "correlation of the heads' scores of two or more runs",
    .paper = "Michel, Levy & Neubig 2019 (arXiv:1905.10650), section 3.4",
    .version = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .inputs = inputs,
    .outputs = KIND_STATS,
    .run = run,
};
