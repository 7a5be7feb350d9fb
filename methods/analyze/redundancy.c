/*
 * analyze/redundancy: how much the feed-forward neurons that are left matter, and how
 * many say what another says (Santacroce, Wen, Shen & Li 2023, by their program).
 *
 *     sensitivity_j = E_batch | sum_i W1[j,i] dL/dW1[j,i] + b1_j dL/db1_j
 *                               + sum_k W2[k,j] dL/dW2[k,j] |
 *     sim_ij = C_ij / (sqrt(C_ii) sqrt(C_jj) + 1e-6),  C = H'H over all tokens
 *     uniqueness = 1 - similar / left
 *
 * L is a batch's mean loss, dropout off, batches weighted by their examples; what is not
 * finite counts 0. W_gate's row adds to W1's where a layer is gated. H are the neurons'
 * outputs; neuron i counts as similar if sim_ij >= threshold for some j > i, so of a
 * group of equals all but one do. Neurons that are masked do not count: a masked model
 * has the figures of the sliced one.
 *
 * The figures of the whole model are sums over the neurons left. With `dense`, the same
 * analysis of the model before pruning, ratios to it are recorded too (their figure 1).
 */
#include "../prune/neurons.h"
#include "retort/method.h"
#include "retort/train.h"

#include <stdlib.h>
#include <string.h>

struct options {
    const char *split;
    int64_t max_len, doc_stride, batch;
    double threshold;
    bool matrices;
};

/* clang-format off */
static const struct option options[] = {
    {"split", OPT_STRING, "\"train\"", 0, 0, NULL, NULL, "what is gone through", offsetof(struct options, split)},
    {"max_len", OPT_INT, "128", 8, 65536, NULL, "tokens", "longer inputs are cut", offsetof(struct options, max_len)},
    {"doc_stride", OPT_INT, "128", 1, 65536, NULL, "tokens", "overlap of the windows of a long context, at most half of max_len", offsetof(struct options, doc_stride)},
    {"batch", OPT_INT, "1", 1, 65536, NULL, "examples", "of which the gradient's absolute value is taken", offsetof(struct options, batch)},
    {"threshold", OPT_REAL, "0.8", -1, 1, NULL, NULL, "similarity from which on a neuron is one", offsetof(struct options, threshold)},
    {"matrices", OPT_BOOL, "false", 0, 0, NULL, NULL, "record the similarities, (neuron, neuron) for each layer", offsetof(struct options, matrices)},
    OPTION_END,
};

static const struct input inputs[] = {
    {"model", KIND_MODEL, true, false, "dense, masked or sliced"},
    {"task", KIND_TASK, true, false, "data and loss"},
    {"dense", KIND_STATS, false, false, "of analyze/redundancy on the dense model: ratios to it are recorded"},
    INPUT_END,
};
/* clang-format on */

struct analysis {
    struct stage *st;
    const struct options *opt;
    struct model *m;
    struct dataset *data;
    struct tape *tape;
    struct neuron_list list;
    double *sensitivity; /* (N) */
    double **product;    /* (layers) (n, n): C */
    double *grad;        /* (N) of a batch */
    bool *dead;          /* (N) */
    struct tensor **tap; /* (layers) */
    int64_t at;          /* examples done */
};

static int64_t layer_size(const struct analysis *a, int64_t l)
{
    return a->list.first[l + 1] - a->list.first[l];
}

static int alloc_sums(struct analysis *a)
{
    struct stage *st = a->st;
    struct arena *arena = st->arena;
    int64_t layers = a->m->cfg.layers, n;

    if (neurons_list(&a->list, a->m, arena, &st->err))
        return -1;
    n = neurons_count(&a->list) + 1;
    a->sensitivity = arena_zalloc(arena, n * (int64_t)sizeof(double));
    a->grad = arena_zalloc(arena, n * (int64_t)sizeof(double));
    a->dead = arena_zalloc(arena, n * (int64_t)sizeof *a->dead);
    a->tap = arena_zalloc(arena, layers * (int64_t)sizeof *a->tap);
    a->product = arena_zalloc(arena, layers * (int64_t)sizeof *a->product);
    for (int64_t l = 0; a->product && l < layers; l++) {
        int64_t bytes;
        if (mem_product(&bytes, layer_size(a, l) * (int64_t)sizeof(double),
                        layer_size(a, l), &st->err))
            return -1;
        a->product[l] = arena_zalloc(arena, bytes + 1);
    }
    if (arena_failed(arena, &st->err))
        return -1;
    for (int64_t l = 0; l < layers; l++)
        for (int64_t j = 0; j < layer_size(a, l); j++)
            a->dead[a->list.first[l] + j] = block_neuron_masked(&a->m->block[l], j);
    return 0;
}

/* Gradients of the feed-forward layers alone are wanted. */
static int want_gradients(struct analysis *a)
{
    for (int64_t i = 0; i < a->m->n_params; i++)
        a->m->param[i]->frozen = true;
    for (int64_t l = 0; l < a->m->cfg.layers; l++) {
        const struct block *b = &a->m->block[l];
        struct param *list[] = {b->ffn_in.weight, b->ffn_in.bias, b->ffn_gate.weight,
                                b->ffn_gate.bias, b->ffn_out.weight};
        for (int k = 0; k < 5; k++) {
            if (!list[k])
                continue;
            list[k]->frozen = false;
            if (param_need_grad(list[k], a->st->arena, &a->st->err))
                return -1;
        }
    }
    return 0;
}

static int register_state(struct analysis *a)
{
    struct stage *st = a->st;
    int64_t all = neurons_count(&a->list);

    if (st->state(st, "redundancy/at", &a->at, (int64_t)sizeof a->at) ||
        st->state(st, "redundancy/sensitivity", a->sensitivity,
                  all * (int64_t)sizeof(double)))
        return -1;
    for (int64_t l = 0; l < a->list.layers; l++)
        if (st->state(st,
                      arena_printf(st->arena, "redundancy/products/%lld", (long long)l),
                      a->product[l],
                      layer_size(a, l) * layer_size(a, l) * (int64_t)sizeof(double)))
            return -1;
    return 0;
}

/* ---- one batch ---- */

static void fresh_gradients(struct analysis *a)
{
    for (int64_t i = 0; i < a->m->n_params; i++) {
        struct param *p = a->m->param[i];
        if (!p->frozen && p->rows)
            memset(p->grad, 0, (size_t)shape_count(p->value.shape) * sizeof(float));
        p->fresh = !p->frozen && !p->rows;
    }
}

/* What no op added to is 0: its memory holds anything. */
static void settle_gradients(struct analysis *a)
{
    for (int64_t i = 0; i < a->m->n_params; i++) {
        struct param *p = a->m->param[i];
        if (p->fresh)
            memset(p->grad, 0, (size_t)shape_count(p->value.shape) * sizeof(float));
        p->fresh = false;
    }
}

static void add_sensitivity(struct analysis *a, int64_t layer, double examples)
{
    const struct block *b = &a->m->block[layer];
    double *g = a->grad + a->list.first[layer];
    double *to = a->sensitivity + a->list.first[layer];

    neurons_sensitivity(g, b);
    for (int64_t j = 0; j < layer_size(a, layer); j++)
        to[j] += isfinite(g[j]) ? fabs(g[j]) * examples : 0;
}

struct adding {
    struct analysis *a;
    int64_t layer;
    const struct tensor *c;
};

static void add_row(void *ctx, int64_t row)
{
    struct adding *s = ctx;
    int64_t n = layer_size(s->a, s->layer);
    double *to = s->a->product[s->layer] + row * n;
    const float *from = tensor_f32(s->c) + row * n;

    for (int64_t i = 0; i < n; i++)
        to[i] += (double)from[i];
}

static void add_products(struct analysis *a, int64_t layer)
{
    struct arena_mark mark = arena_mark(tape_arena(a->tape));
    struct adding s = {a, layer, gram(a->tape, a->tap[layer])};

    if (s.c)
        pool_run(a->st->pool, layer_size(a, layer), add_row, &s);
    arena_rewind(tape_arena(a->tape), mark);
}

static int add_batch(struct analysis *a, const struct batch *batch)
{
    struct pass p;
    struct output out;

    fresh_gradients(a);
    pass_begin(&p, a->tape, a->m, batch, TAPE_GRAD, 0);
    p.tap_neurons = a->tap;
    out = model_forward(&p);
    tape_backward(a->tape, model_loss(&p, &out, NULL), 1.0f);
    settle_gradients(a);
    for (int64_t l = 0; l < a->list.layers; l++) {
        add_sensitivity(a, l, (double)batch->n_examples);
        add_products(a, l);
    }
    return tape_failed(a->tape, &a->st->err);
}

static int go_through(struct analysis *a)
{
    struct stage *st = a->st;
    struct arena *arena = arena_new(&st->err);
    int64_t *pick = mem_new(a->opt->batch, sizeof *pick, &st->err);
    struct batch batch;

    while (!stage_failed(st) && a->at < a->data->n) {
        int64_t n =
            a->at + a->opt->batch < a->data->n ? a->opt->batch : a->data->n - a->at;
        for (int64_t j = 0; j < n; j++)
            pick[j] = a->at + j;
        arena_clear(arena);
        if (batch_fill(&batch, a->data, pick, n, arena, &st->err) || add_batch(a, &batch))
            break;
        a->at += n;
        stage_progress(st, a->at, a->data->n, "example %lld/%lld", (long long)a->at,
                       (long long)a->data->n);
        st->checkpoint(st, false);
    }
    free(pick);
    arena_free(arena);
    return stage_done(st);
}

/* ---- figures ---- */

static double similarity(const struct analysis *a, int64_t layer, int64_t i, int64_t j)
{
    const double *c = a->product[layer];
    int64_t n = layer_size(a, layer);
    double sim = likeness_of(c[i * n + j], c[i * n + i], c[j * n + j]);

    return isfinite(sim) ? sim : 0;
}

static void record_matrix(struct analysis *a, int64_t layer)
{
    struct stage *st = a->st;
    int64_t n = layer_size(a, layer);
    float *v = mem_new(n * n + 1, sizeof *v, &st->err);

    for (int64_t i = 0; v && i < n * n; i++)
        v[i] = (float)similarity(a, layer, i / n, i % n);
    if (v)
        stage_floats(st,
                     arena_printf(st->arena, "/stats/similarity/%lld", (long long)layer),
                     v, n, n, "neuron", "other");
    free(v);
}

/* Of a layer, or of all. */
struct figures {
    double left, similar, sensitivity;
};

static double uniqueness(const struct figures *f)
{
    return f->left > 0 ? 1 - f->similar / f->left : 1;
}

static struct figures layer_figures(const struct analysis *a, int64_t layer)
{
    struct figures f = {0, 0, 0};

    for (int64_t j = 0; j < layer_size(a, layer); j++) {
        int64_t at = a->list.first[layer] + j;
        f.sensitivity += a->sensitivity[at];
        f.left += !a->dead[at];
        f.similar +=
            likeness_similar(a->product[layer], layer_size(a, layer),
                             a->dead + a->list.first[layer], j, a->opt->threshold);
    }
    return f;
}

static void record_ratios(struct analysis *a, const struct figures *f)
{
    struct stage *st = a->st;
    struct artifact *dense = st->input_artifact(st, "dense", 0);
    double sensitivity, unique;

    if (!dense) {
        stage_fail(st, ERR_INPUT, "input \"dense\" is not a run of analyze/redundancy");
        return;
    }
    if (dense->metric(dense->ctx, "redundancy/sensitivity", &sensitivity, &st->err) ||
        dense->metric(dense->ctx, "redundancy/uniqueness", &unique, &st->err))
        return;
    stage_metric(st, "redundancy/sensitivity_ratio", 0, f->sensitivity / sensitivity);
    stage_metric(st, "redundancy/uniqueness_ratio", 0, uniqueness(f) / unique);
}

static void record(struct analysis *a)
{
    struct stage *st = a->st;
    struct figures all = {0, 0, 0};

    for (int64_t j = 0; j < neurons_count(&a->list); j++)
        a->sensitivity[j] /= (double)a->data->n;
    for (int64_t l = 0; l < a->list.layers && !stage_failed(st); l++) {
        struct figures f = layer_figures(a, l);
        all.left += f.left;
        all.similar += f.similar;
        all.sensitivity += f.sensitivity;
        stage_metric(st, "redundancy/layer_neurons", l, f.left);
        stage_metric(st, "redundancy/layer_sensitivity", l, f.sensitivity);
        stage_metric(st, "redundancy/layer_uniqueness", l, uniqueness(&f));
        stage_doubles(
            st, arena_printf(st->arena, "/stats/sensitivity/%lld", (long long)l),
            a->sensitivity + a->list.first[l], layer_size(a, l), 0, "neuron", NULL);
        if (a->opt->matrices)
            record_matrix(a, l);
    }
    stage_metric(st, "redundancy/neurons", 0, all.left);
    stage_metric(st, "redundancy/sensitivity", 0, all.sensitivity);
    stage_metric(st, "redundancy/uniqueness", 0, uniqueness(&all));
    if (st->input_count(st, "dense") > 0 && !stage_failed(st))
        record_ratios(a, &all);
}

static int run(struct stage *st)
{
    const struct options *o = st->options;
    struct analysis a = {
        .st = st, .opt = o, .m = stage_model(st, "model", stage_task(st))};

    a.data = stage_data(st, a.m, o->split, o->max_len, o->doc_stride);
    a.tape = stage_tape(st, DT_F32);
    if (stage_failed(st))
        return -1;
    if (!a.data || a.data->n == 0)
        return stage_fail(st, ERR_INPUT, "there are no examples to go through");
    stage_need_labels(st, a.data);
    if (stage_failed(st) || alloc_sums(&a) || want_gradients(&a) || register_state(&a))
        return -1;
    st->restore(st);
    if (go_through(&a) == 0)
        record(&a);
    return stage_done(st);
}

const struct method method_analyze_redundancy = {
    .name = "analyze/redundancy",
    .summary = "sensitivity and uniqueness of the feed-forward neurons",
    .paper = "Santacroce, Wen, Shen & Li 2023 (arXiv:2302.03773)",
    .version = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .inputs = inputs,
    .outputs = KIND_STATS,
    .run = run,
};
