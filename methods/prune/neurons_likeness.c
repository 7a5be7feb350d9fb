/*
 * How alike neurons are while they train: the uniqueness term of GUM.
 */
#include "neurons.h"

#include <string.h>

#include "retort/mem.h"

static int64_t layer_size(const struct neuron_list *list, int64_t l)
{
    return list->first[l + 1] - list->first[l];
}

int likeness_init(struct likeness *k, const struct neuron_list *list, double beta,
                  struct arena *arena, struct err *err)
{
    *k = (struct likeness){.list = list, .beta = beta};
    k->root = arena_alloc(arena, (neurons_count(list) + 1) * (int64_t)sizeof *k->root);
    k->now = arena_alloc(arena, list->layers * (int64_t)sizeof *k->now);
    k->mean = arena_alloc(arena, list->layers * (int64_t)sizeof *k->mean);
    for (int64_t l = 0; k->now && k->mean && l < list->layers; l++) {
        int64_t n = layer_size(list, l), bytes;
        if (mem_product(&bytes, n * (int64_t)sizeof(float), n, err))
            return -1;
        k->now[l] = arena_zalloc(arena, bytes + 1);
        k->mean[l] = arena_zalloc(arena, bytes + 1);
    }
    return arena_failed(arena, err);
}

void likeness_add(struct likeness *k, struct tape *tape, int64_t layer,
                  const struct tensor *h)
{
    struct arena_mark mark = arena_mark(tape_arena(tape));
    struct tensor *c = gram(tape, h);
    int64_t n = layer_size(k->list, layer);

    for (int64_t i = 0; c && i < n * n; i++)
        k->now[layer][i] += (float)tensor_get(c, i);
    arena_rewind(tape_arena(tape), mark);
}

struct sums {
    struct likeness *k;
    double *u; /* (N) */
    double weight, v;
};

/* A layer's C, and the roots of its diagonal. */
static void average(void *ctx, int64_t l)
{
    struct sums *s = ctx;
    struct likeness *k = s->k;
    int64_t n = layer_size(k->list, l);
    float *c = k->mean[l], *now = k->now[l];

    for (int64_t i = 0; i < n * n; i++)
        c[i] = (float)((1 - k->beta) * (double)c[i] + k->beta * (double)now[i]);
    memset(now, 0, (size_t)(n * n) * sizeof *now);
    for (int64_t j = 0; j < n; j++)
        k->root[k->list->first[l] + j] = sqrt((double)c[j * n + j]);
}

static void sum_row(void *ctx, int64_t task)
{
    struct sums *s = ctx;
    const struct neuron_list *list = s->k->list;
    int64_t l = 0;
    double sum = 0;

    while (task >= list->first[l + 1])
        l++;
    int64_t n = layer_size(list, l), j = task - list->first[l];
    const float *c = s->k->mean[l] + j * n;
    const double *root = s->k->root + list->first[l];
    for (int64_t i = 0; i < n; i++)
        if (i != j)
            sum += fabs((double)c[i] / (root[j] * root[i] + 1e-6));
    s->u[task] = s->v > 0 ? s->weight * sum / ((double)n * s->v) : 0;
}

void likeness_step(struct likeness *k, double *u, double weight, double v,
                   struct pool *pool)
{
    struct sums s = {k, u, weight, v};

    pool_run(pool, k->list->layers, average, &s);
    pool_run(pool, neurons_count(k->list), sum_row, &s);
}

bool likeness_similar(const double *c, int64_t n, const bool *dead, int64_t i,
                      double threshold)
{
    for (int64_t j = i + 1; !dead[i] && j < n; j++)
        if (!dead[j] &&
            likeness_of(c[i * n + j], c[i * n + i], c[j * n + j]) >= threshold)
            return true;
    return false;
}
