/*
 * Which neurons stay: the schedule, rankings, norms.
 */
#include "neurons.h"

#include <stdlib.h>

#include "retort/mem.h"

int neurons_list(struct neuron_list *out, const struct model *m, struct arena *arena,
                 struct err *err)
{
    out->layers = m->cfg.layers;
    out->first = arena_alloc(arena, (out->layers + 1) * (int64_t)sizeof *out->first);
    if (!out->first)
        return arena_failed(arena, err);
    out->first[0] = 0;
    for (int64_t l = 0; l < out->layers; l++)
        out->first[l + 1] = out->first[l] + m->block[l].ffn_in.weight->value.shape.dim[0];
    return 0;
}

double neurons_schedule(int64_t step, int64_t total, double hold, double settle,
                        double from, double to)
{
    double t = (double)step, all = (double)total, left;

    if (t <= hold * all)
        return from;
    if (t >= (1 - settle) * all)
        return to;
    left = 1 - (t - hold * all) / (all - (hold + settle) * all);
    return to + (from - to) * left * left * left;
}

/* ---- rankings ---- */

struct ranked {
    double score;
    int64_t at;
};

/* Largest first; of equal ones the later first, so that the earlier go. */
static int falling(const void *a_, const void *b_)
{
    const struct ranked *a = a_, *b = b_;

    if (a->score > b->score || a->score < b->score)
        return a->score > b->score ? -1 : 1;
    return a->at > b->at ? -1 : a->at < b->at;
}

static int64_t share(double v, int64_t n)
{
    int64_t k = (int64_t)floor(v * (double)n + 1e-9);

    return k < 0 ? 0 : k > n ? n : k;
}

/* Keeps neurons from the top of list[0 .. n-1] until k of them are kept, those that are
 * kept already counted. */
static void keep_top(float *keep, struct ranked *list, int64_t n, int64_t k, bool ties)
{
    double last = (double)INFINITY;
    int64_t kept = 0;

    for (int64_t i = 0; i < n; i++)
        kept += keep[list[i].at] != 0;
    qsort(list, (size_t)n, sizeof *list, falling);
    for (int64_t i = 0; i < n; i++) {
        bool equal = ties && kept > 0 && !(list[i].score < last);
        if (keep[list[i].at] != 0 || (kept >= k && !equal))
            continue;
        if (kept < k)
            last = list[i].score;
        keep[list[i].at] = 1;
        kept++;
    }
}

static int64_t gather(struct ranked *list, const double *score, int64_t from, int64_t to)
{
    for (int64_t j = from; j < to; j++)
        list[j - from] =
            (struct ranked){isnan(score[j]) ? -(double)INFINITY : score[j], j};
    return to - from;
}

int neurons_top(float *keep, const double *score, const struct neuron_list *list,
                double v, const struct neuron_rule *rule, struct err *err)
{
    int64_t all = neurons_count(list);
    struct ranked *r = mem_new(all + 1, sizeof *r, err);

    if (!r)
        return -1;
    for (int64_t j = 0; j < all; j++)
        keep[j] = 0;
    for (int64_t l = 0; l < list->layers; l++) {
        int64_t n = gather(r, score, list->first[l], list->first[l + 1]);
        int64_t least = rule->least < n ? rule->least : n, k = share(v, n);
        keep_top(keep, r, n, rule->global || k < least ? least : k,
                 rule->ties && !rule->global);
    }
    if (rule->global)
        keep_top(keep, r, gather(r, score, 0, all), share(v, all), rule->ties);
    free(r);
    return 0;
}

static int64_t count(const float *keep, int64_t from, int64_t to)
{
    int64_t n = 0;

    for (int64_t j = from; j < to; j++)
        n += keep[j] != 0;
    return n;
}

int neurons_soft(float *keep, const double *score, const struct neuron_list *list,
                 double threshold, double v, const struct neuron_rule *rule,
                 struct err *err)
{
    int64_t all = neurons_count(list);
    float *top = mem_new(all + 1, sizeof *top, err);
    bool short_of_all;

    if (!top || neurons_top(top, score, list, v, rule, err)) {
        free(top);
        return -1;
    }
    for (int64_t j = 0; j < all; j++)
        keep[j] = 1 / (1 + exp(-score[j])) > threshold ? 1 : 0;
    short_of_all = rule->global && count(keep, 0, all) < share(v, all);
    for (int64_t l = 0; l < list->layers; l++) {
        int64_t from = list->first[l], to = list->first[l + 1];
        bool short_of =
            count(keep, from, to) < (rule->global ? rule->least : count(top, from, to));
        for (int64_t j = from; (short_of || short_of_all) && j < to; j++)
            keep[j] = top[j];
    }
    free(top);
    return 0;
}

/* ---- norms and gradients ---- */

static void add_row_squares(double *sum, const struct site_linear *s)
{
    const float *w;
    int64_t n, c;

    if (!s->weight)
        return;
    w = tensor_f32(&s->weight->value);
    n = s->weight->value.shape.dim[0];
    c = s->weight->value.shape.dim[1];
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < c; i++)
            sum[j] += (double)w[j * c + i] * (double)w[j * c + i];
}

void neurons_norms(double *in, double *out, const struct model *m,
                   const struct neuron_list *list)
{
    for (int64_t j = 0; j < neurons_count(list); j++)
        in[j] = out[j] = 0;
    for (int64_t l = 0; l < list->layers; l++) {
        const struct block *b = &m->block[l];
        const float *w = tensor_f32(&b->ffn_out.weight->value);
        int64_t n = list->first[l + 1] - list->first[l];
        double *o = out + list->first[l];
        add_row_squares(in + list->first[l], &b->ffn_gate);
        add_row_squares(in + list->first[l], &b->ffn_in);
        for (int64_t k = 0; k < m->cfg.width; k++)
            for (int64_t j = 0; j < n; j++)
                o[j] += (double)w[k * n + j] * (double)w[k * n + j];
    }
    for (int64_t j = 0; j < neurons_count(list); j++) {
        in[j] = sqrt(in[j]);
        out[j] = sqrt(out[j]);
    }
}

static void add_row_dots(double *sum, const struct site_linear *s)
{
    const float *w, *g;
    int64_t n, c;

    if (!s->weight || !s->weight->grad)
        return;
    w = tensor_f32(&s->weight->value);
    g = s->weight->grad;
    n = s->weight->value.shape.dim[0];
    c = s->weight->value.shape.dim[1];
    for (int64_t j = 0; j < n; j++) {
        double dot = 0;
        for (int64_t i = 0; i < c; i++)
            dot += (double)w[j * c + i] * (double)g[j * c + i];
        sum[j] += dot;
    }
}

void neurons_gradient(double *out, const struct block *b)
{
    const struct param *p = b->ffn_out.weight;
    const float *w = tensor_f32(&p->value), *g = p->grad;
    int64_t c = p->value.shape.dim[0], n = p->value.shape.dim[1];

    for (int64_t j = 0; j < n; j++)
        out[j] = 0;
    add_row_dots(out, &b->ffn_gate);
    add_row_dots(out, &b->ffn_in);
    for (int64_t k = 0; g && k < c; k++)
        for (int64_t j = 0; j < n; j++)
            out[j] += (double)w[k * n + j] * (double)g[k * n + j];
}

static void add_bias(double *sum, const struct param *bias)
{
    for (int64_t j = 0; bias && bias->grad && j < shape_count(bias->value.shape); j++)
        sum[j] += (double)tensor_f32(&bias->value)[j] * (double)bias->grad[j];
}

void neurons_sensitivity(double *out, const struct block *b)
{
    neurons_gradient(out, b);
    add_bias(out, b->ffn_in.bias);
    add_bias(out, b->ffn_gate.bias);
}

double neurons_penalty(double *grad, const double *score, const double *u,
                       const struct neuron_list *list, double divisor, double weight)
{
    double sum = 0;

    for (int64_t l = 0; l < list->layers; l++) {
        int64_t from = list->first[l], to = list->first[l + 1];
        double layer = 0, n = (double)(to - from);
        for (int64_t j = from; j < to; j++) {
            double s = 1 / (1 + exp(-score[j])), times = 1 + (u ? u[j] : 0);
            layer += s * times;
            if (grad)
                grad[j] += weight * s * (1 - s) * times / (n * divisor);
        }
        sum += to > from ? layer / n : 0;
    }
    return sum / divisor;
}
