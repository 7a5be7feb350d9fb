/*
 * Correlations of predicted and true numbers (retort/stats.h).
 *
 * They are not defined for fewer than two examples or if one side is constant: the value
 * is then NaN, as SciPy says, and that is no failure of the evaluation.
 */
#include "labels.h"

#include <math.h>
#include <stdlib.h>

#include "retort/stats.h"

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
    struct test_result r;
    int rc = -1;
    if (!x || !y || collect(x, y, metric, p, err) ||
        (ranks ? stats_spearman : stats_pearson)(&r, x, y, p->n, err))
        goto done;
    *out = r.statistic;
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
    .low = -1,
    .high = 1,
    .version = 1,
    .compute = pearson,
};

const struct metric metric_spearman = {
    .name = "spearman",
    .summary = "correlation of ranks, ties averaged; NaN if a side is constant",
    .larger_is_better = true,
    .low = -1,
    .high = 1,
    .version = 1,
    .compute = spearman,
};
