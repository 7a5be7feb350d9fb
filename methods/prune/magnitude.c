/*
 * prune/magnitude: masks the weights of smallest size in the linear maps of the blocks.
 *
 * Scopes: one ranking over all ("global"), over each matrix ("layer"), over each row
 * ("row"), or n:m, the n smallest of every m neighbours in a row. Random is the floor.
 * Removed = floor(ratio * N + 1e-9); of equal sizes the earlier element goes first. With
 * epochs > 0 the share rises while training, s_t = s (1 - (1 - t/T)^3) (Zhu & Gupta 2017,
 * eq. 1, from s_0 = 0), else it is one shot.
 */
#include "retort/method.h"
#include "retort/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SCOPE_GLOBAL, SCOPE_LAYER, SCOPE_ROW, SCOPE_NM };
static const char *const scopes[] = {"global", "layer", "row", "n:m", NULL};
static const char *const orders[] = {"magnitude", "random", NULL};

struct options {
    double ratio;
    int scope, order;
    int64_t n, m, every;
    double ramp;
    struct train_options train;
};

/* clang-format off */
static const struct option options[] = {
    {"ratio", OPT_REAL, NULL, 0, 1, NULL, NULL, "share of the weights that is masked; n/m with scope n:m", offsetof(struct options, ratio)},
    {"scope", OPT_ENUM, "\"global\"", 0, 0, scopes, NULL, "what is ranked together", offsetof(struct options, scope)},
    {"order", OPT_ENUM, "\"magnitude\"", 0, 0, orders, NULL, "smallest first, or by chance", offsetof(struct options, order)},
    {"n", OPT_INT, "2", 0, 1024, NULL, "weights", "scope n:m: masked of every m", offsetof(struct options, n)},
    {"m", OPT_INT, "4", 1, 1024, NULL, "weights", "scope n:m: neighbours in a row", offsetof(struct options, m)},
    {"every", OPT_INT, "10", 1, 1000000, NULL, "updates", "updates between two prunings while training", offsetof(struct options, every)},
    {"ramp", OPT_REAL, "0.7", 0, 1, NULL, NULL, "share of the updates over which the ratio rises", offsetof(struct options, ramp)},
    TRAIN_OPTIONS(struct options, train, "0", "5e-5"),
    OPTION_END,
};

static const struct input inputs[] = {
    {"model", KIND_MODEL, true, false, "the model to prune"},
    {"task", KIND_TASK, false, false, "what to train on while pruning (epochs > 0)"},
    INPUT_END,
};
/* clang-format on */

static int check(const void *options_, struct err *err)
{
    const struct options *o = options_;

    if (o->scope == SCOPE_NM && o->n > o->m)
        return err_set(err, ERR_INPUT,
                       "n:m masks n of every m weights, so n (%lld) is at most m (%lld)",
                       (long long)o->n, (long long)o->m);
    if (o->scope == SCOPE_NM && fabs(o->ratio * (double)o->m - (double)o->n) > 1e-9)
        return err_set(
            err, ERR_INPUT,
            "scope n:m masks %lld of every %lld weights, so ratio is %g, not %g",
            (long long)o->n, (long long)o->m, (double)o->n / (double)o->m, o->ratio);
    return train_check_pruning(&o->train, err);
}

struct pruner {
    struct stage *st;
    const struct options *opt;
    struct model *model;
    struct param **param;
    int64_t n_params, total; /* weights in all of them */
    double **chance;         /* random order: a draw for each weight */
    struct ranked *list;     /* room for `total` */
};

struct ranked {
    double key;
    int64_t index;
};

static int ascending(const void *a_, const void *b_)
{
    const struct ranked *a = a_, *b = b_;

    if (a->key < b->key || a->key > b->key)
        return a->key < b->key ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static int collect(struct pruner *p)
{
    struct arena *arena = p->st->arena;
    int64_t layers = p->model->cfg.layers;

    p->param = arena_alloc(arena, 6 * layers * (int64_t)sizeof *p->param);
    for (int64_t l = 0; p->param && l < layers; l++) {
        struct block *b = &p->model->block[l];
        struct param *all[] = {b->attn.query.weight, b->attn.key.weight,
                               b->attn.value.weight, b->attn_out.weight,
                               b->ffn_in.weight,     b->ffn_out.weight};
        memcpy(p->param + p->n_params, all, sizeof all);
        p->n_params += 6;
    }
    p->chance = arena_zalloc(arena, p->n_params * (int64_t)sizeof *p->chance);
    for (int64_t k = 0; p->chance && k < p->n_params; k++) {
        struct param *w = p->param[k];
        int64_t n = shape_count(w->value.shape);
        p->total += n;
        if (!w->mask) {
            w->mask = arena_alloc(arena, n);
            if (w->mask)
                memset(w->mask, 1, (size_t)n);
        }
        if (p->opt->order == 0)
            continue;
        struct rng rng = rng_streamf(p->st->seed, "prune/magnitude/%s", w->name);
        p->chance[k] = arena_alloc(arena, n * (int64_t)sizeof(double));
        for (int64_t i = 0; p->chance[k] && i < n; i++)
            p->chance[k][i] = rng_uniform(&rng);
    }
    p->list = arena_alloc(arena, p->total * (int64_t)sizeof *p->list);
    return arena_failed(arena, &p->st->err);
}

/* Weights that were masked before stay masked: their key is below all. */
static double key(const struct pruner *p, int64_t k, int64_t i)
{
    if (!p->param[k]->mask[i])
        return -1;
    return p->chance[k] ? p->chance[k][i]
                        : fabs((double)tensor_f32(&p->param[k]->value)[i]);
}

/* Masks the first `count` of `n` weights of parameter k from `begin` on. */
static void mask_part(struct pruner *p, int64_t k, int64_t begin, int64_t n,
                      int64_t count)
{
    for (int64_t i = 0; i < n; i++)
        p->list[i] = (struct ranked){key(p, k, begin + i), begin + i};
    qsort(p->list, (size_t)n, sizeof *p->list, ascending);
    for (int64_t i = 0; i < count; i++)
        p->param[k]->mask[p->list[i].index] = 0;
}

static int64_t share(double ratio, int64_t n)
{
    return (int64_t)floor(ratio * (double)n + 1e-9);
}

static void mask_global(struct pruner *p, double ratio)
{
    int64_t at = 0, k = 0, base = 0;

    for (int64_t i = 0; i < p->n_params; i++)
        for (int64_t j = 0; j < shape_count(p->param[i]->value.shape); j++, at++)
            p->list[at] = (struct ranked){key(p, i, j), at};
    qsort(p->list, (size_t)at, sizeof *p->list, ascending);
    for (int64_t i = 0; i < share(ratio, at); i++) {
        for (k = 0, base = 0;
             p->list[i].index >= base + shape_count(p->param[k]->value.shape); k++)
            base += shape_count(p->param[k]->value.shape);
        p->param[k]->mask[p->list[i].index - base] = 0;
    }
}

static void mask_groups(struct pruner *p, int64_t k, double ratio)
{
    const struct options *o = p->opt;
    struct shape s = p->param[k]->value.shape;
    int64_t group = o->scope == SCOPE_ROW ? s.dim[1] : o->m;

    for (int64_t row = 0; row < s.dim[0]; row++)
        for (int64_t c = 0; c < s.dim[1]; c += group) {
            int64_t n = c + group < s.dim[1] ? group : s.dim[1] - c;
            double part = o->scope == SCOPE_ROW ? ratio : (double)o->n / (double)o->m;
            mask_part(p, k, row * s.dim[1] + c, n, share(part, n));
        }
}

static void prune(struct pruner *p, double ratio)
{
    if (p->opt->scope == SCOPE_GLOBAL)
        mask_global(p, ratio);
    for (int64_t k = 0; p->opt->scope != SCOPE_GLOBAL && k < p->n_params; k++) {
        int64_t n = shape_count(p->param[k]->value.shape);
        if (p->opt->scope == SCOPE_LAYER)
            mask_part(p, k, 0, n, share(ratio, n));
        else
            mask_groups(p, k, ratio);
    }
    for (int64_t k = 0; k < p->n_params; k++)
        param_apply_mask(p->param[k]);
}

static int after_step(void *ctx, struct model *model, int64_t step, int64_t total,
                      struct err *err)
{
    struct pruner *p = ctx;
    double ramp = p->opt->ramp * (double)total;
    double t = ramp > 0 && (double)step < ramp ? (double)step / ramp : 1;
    double ratio = p->opt->ratio * (1 - (1 - t) * (1 - t) * (1 - t));

    (void)model;
    (void)err;
    if (step % p->opt->every == 0 || step == total) {
        prune(p, ratio);
        stage_metric(p->st, "prune/ratio_scheduled", step, ratio);
    }
    return 0;
}

static void record(struct pruner *p)
{
    struct stage *st = p->st;
    int64_t masked = 0;

    for (int64_t k = 0; k < p->n_params; k++) {
        int64_t n = shape_count(p->param[k]->value.shape), own = 0;
        for (int64_t i = 0; i < n; i++)
            own += p->param[k]->mask[i] == 0;
        masked += own;
        stage_metric(st, arena_printf(st->arena, "prune/sparsity/%s", p->param[k]->name),
                     0, (double)own / (double)n);
        if (p->opt->scope != SCOPE_GLOBAL) /* there a tensor's share is what comes out */
            stage_metric(
                st,
                arena_printf(st->arena, "prune/sparsity_requested/%s", p->param[k]->name),
                0, p->opt->ratio);
    }
    stage_metric(st, "prune/ratio_requested", 0, p->opt->ratio);
    stage_metric(st, "prune/ratio", 0, (double)masked / (double)p->total);
}

static bool trains(const struct options *o)
{
    return o->train.epochs > 0 || o->train.max_steps > 0;
}

static int run(struct stage *st)
{
    const struct options *o = st->options;
    const struct train_options *t = &o->train;
    struct model *m = stage_model(st, "model", trains(o) ? stage_task(st) : NULL);
    struct pruner p = {.st = st, .opt = o, .model = m};
    struct train_hooks hooks = {.ctx = &p, .after_step = after_step};

    if (stage_failed(st) || collect(&p))
        return -1;
    if (trains(o))
        train_loop(st, m, stage_data(st, m, "train", t->max_len, t->doc_stride),
                   stage_data(st, m, t->eval_split, t->max_len, t->doc_stride), t,
                   &hooks);
    else
        prune(&p, o->ratio);
    record(&p);
    stage_output_model(st, m);
    return stage_done(st);
}

static unsigned recorded(const void *options_)
{
    return trains(options_) ? RECORDS_TRAINING : 0;
}

const struct method method_prune_magnitude = {
    .name = "prune/magnitude",
    .summary = "mask the smallest weights, at once or while training",
    .paper = "Zhu & Gupta 2017 (arXiv:1710.01878)",
    .version = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .inputs = inputs,
    .outputs = KIND_MODEL,
    .records = RECORDS_TRAINING,
    .uses_seed = true,
    .check = check,
    .recorded = recorded,
    .run = run,
};
