/*
 * Correlations of predicted and true numbers, as SciPy computes them.
 *
 *     pearson  = sum (x - mx)(y - my) / (|x - mx| |y - my|), kept within [-1, 1]
 *     spearman = pearson of the ranks; equal numbers share the mean of their ranks
 *
 * They are not defined for fewer than two examples or if one side is constant: the value
 * is then NaN, as SciPy says, and that is no failure of the evaluation.
 */
#include "labels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool constant(const double *x, int64_t n)
{
    for (int64_t i = 1; i < n; i++)
        if (x[i] != x[0])
            return false;
    return true;
}

/* Subtracts the mean; returns the norm of what is left, scaled so that
 * nothing overflows. */
static double centre(double *x, int64_t n)
{
    double sum = 0, top = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    for (int64_t i = 0; i < n; i++) {
        x[i] -= sum / (double)n;
        top = fabs(x[i]) > top ? fabs(x[i]) : top;
    }
    for (int64_t i = 0; i < n && top > 0; i++)
        squares += (x[i] / top) * (x[i] / top);
    return top * sqrt(squares);
}

/* Changes x and y. */
static double correlate(double *x, double *y, int64_t n)
{
    double r = 0, nx, ny;
    if (n < 2 || constant(x, n) || constant(y, n))
        return (double)NAN;
    nx = centre(x, n);
    ny = centre(y, n);
    for (int64_t i = 0; i < n; i++)
        r += (x[i] / nx) * (y[i] / ny);
    return r > 1 ? 1 : r < -1 ? -1 : r;
}

struct ranked {
    double value;
    int64_t at;
};

static int by_value(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Numbers become their ranks from 1. */
static int to_ranks(double *x, int64_t n, struct err *err)
{
    struct ranked *v = mem_new(n, sizeof *v, err);
    if (!v)
        return -1;
    for (int64_t i = 0; i < n; i++)
        v[i] = (struct ranked){x[i], i};
    qsort(v, (size_t)n, sizeof *v, by_value);
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && v[j].value == v[i].value; j++)
            ;
        for (int64_t k = i; k < j; k++)
            x[v[k].at] = 0.5 * (double)(i + j + 1);
    }
    free(v);
    return 0;
}

static int collect(double *x, double *y, const char *metric, const struct predictions *p,
                   struct err *err)
{
    if (p->data->task->kind != TASK_REGRESSION || p->width != 1 || !p->prob)
        return err_set(err, ERR_INPUT, "%s needs numbers; %s gives none", metric,
                       p->data->task->name);
    for (int64_t i = 0; i < p->n; i++) {
        x[i] = labels_example(p, i)->value;
        y[i] = p->prob[i];
        if (isnan(x[i]))
            return err_set(
                err, ERR_INPUT,
                "%s: the value of example %lld of %s is not known; use another split",
                metric, (long long)i, p->data->name);
        if (!isfinite(y[i]))
            return err_set(err, ERR_INPUT,
                           "%s: the prediction of example %lld of %s is %g", metric,
                           (long long)i, p->data->name, y[i]);
    }
    return 0;
}

static int correlation(double *out, const char *metric, bool ranks,
                       const struct predictions *p, struct err *err)
{
    double *x = mem_new(p->n, sizeof *x, err), *y = mem_new(p->n, sizeof *y, err);
    int rc = -1;
    if (!x || !y || collect(x, y, metric, p, err))
        goto done;
    if (ranks && (to_ranks(x, p->n, err) || to_ranks(y, p->n, err)))
        goto done;
    *out = correlate(x, y, p->n);
    rc = 0;
done:
    free(y);
    free(x);
    return rc;
}

static int pearson(double *out, const struct predictions *p, struct err *err)
{
    return correlation(out, "pearson", false, p, err);
}

static int spearman(double *out, const struct predictions *p, struct err *err)
{
    return correlation(out, "spearman", true, p, err);
}

extern const struct metric metric_pearson, metric_spearman;

const struct metric metric_pearson = {
    .name = "pearson",
    .summary = "linear correlation; NaN if a side is constant",
    .larger_is_better = true,
    .version = 1,
    .compute = pearson,
};

const struct metric metric_spearman = {
    .name = "spearman",
    .summary = "correlation of ranks, ties averaged; NaN if a side is constant",
    .larger_is_better = true,
    .version = 1,
    .compute = spearman,
};
