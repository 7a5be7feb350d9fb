/*
 * Metrics of classes, as scikit-learn computes them.
 *
 *     accuracy = share of pred = label
 *     f1       = 2 TP / (2 TP + FP + FN) of class 1; 0 if there is none of it
 *     matthews = (c s - sum_k p_k t_k) / sqrt((s^2 - sum p_k^2) (s^2 - sum t_k^2)),
 *                c right ones of s, p_k and t_k how often k is predicted and true
 *                (Gorodkin 2004); 0 if predictions or labels are constant
 */
#include "labels.h"

#include <math.h>
#include <stdlib.h>

static int accuracy(double *out, const struct predictions *p, struct err *err)
{
    int64_t right = 0;
    if (labels_check("accuracy", p, err))
        return -1;
    for (int64_t i = 0; i < p->n; i++)
        right += p->pred[i] == labels_class(p, i);
    *out = (double)right / (double)p->n;
    return 0;
}

static int f1(double *out, const struct predictions *p, struct err *err)
{
    int64_t both = 0, either = 0; /* TP, and TP + FP + TP + FN */
    if (!p->pred && p->text)
        return span_f1(out, p, err);
    if (labels_check("f1", p, err))
        return -1;
    if (p->data->task->labels != 2)
        return err_set(err, ERR_INPUT, "f1 is of two classes; %s has %lld",
                       p->data->task->name, (long long)p->data->task->labels);
    for (int64_t i = 0; i < p->n; i++) {
        bool said = p->pred[i] == 1, is = labels_class(p, i) == 1;
        both += said && is;
        either += said + is;
    }
    *out = either ? 2.0 * (double)both / (double)either : 0.0;
    return 0;
}

static int64_t classes_of(const struct predictions *p)
{
    int64_t most = 0;
    for (int64_t i = 0; i < p->n; i++) {
        most = p->pred[i] > most ? p->pred[i] : most;
        most = labels_class(p, i) > most ? labels_class(p, i) : most;
    }
    return most + 1;
}

static int matthews(double *out, const struct predictions *p, struct err *err)
{
    double *count = NULL, right = 0, n = (double)p->n, tp = 0, tt = 0, pp = 0;
    int64_t k;
    if (labels_check("matthews", p, err))
        return -1;
    k = classes_of(p);
    count = mem_new(2 * k, sizeof *count, err);
    if (!count)
        return -1;
    for (int64_t i = 0; i < p->n; i++) {
        count[labels_class(p, i)]++;
        count[k + p->pred[i]]++;
        right += p->pred[i] == labels_class(p, i);
    }
    for (int64_t i = 0; i < k; i++) {
        tp += count[i] * count[k + i];
        tt += count[i] * count[i];
        pp += count[k + i] * count[k + i];
    }
    free(count);
    pp = n * n - pp;
    tt = n * n - tt;
    *out = pp * tt > 0 ? (right * n - tp) / sqrt(pp * tt) : 0.0;
    return 0;
}

/* Mean loss of the examples whose label is known. */
static int loss(double *out, const struct predictions *p, struct err *err)
{
    if (p->n < 1)
        return err_set(err, ERR_INPUT, "loss of no examples is not defined");
    *out = p->loss;
    return 0;
}

extern const struct metric metric_accuracy, metric_f1, metric_matthews, metric_loss;

const struct metric metric_accuracy = {
    .name = "accuracy",
    .summary = "share of right answers",
    .larger_is_better = true,
    .high = 1,
    .version = 1,
    .compute = accuracy,
};

const struct metric metric_f1 = {
    .name = "f1",
    .summary = "F1 of class 1; of spans: mean F1 of their words",
    .larger_is_better = true,
    .high = 1,
    .version = 1,
    .compute = f1,
};

const struct metric metric_matthews = {
    .name = "matthews",
    .summary = "Matthews' correlation; 0 for constant predictions",
    .larger_is_better = true,
    .low = -1,
    .high = 1,
    .version = 1,
    .compute = matthews,
};

const struct metric metric_loss = {
    .name = "loss",
    .summary = "mean loss in nats (regression: of the squared error)",
    .larger_is_better = false,
    .high = (double)INFINITY,
    .version = 1,
    .compute = loss,
};
