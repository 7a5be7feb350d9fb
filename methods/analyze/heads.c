/*
 * analyze/heads: importance of attention heads by the gradient of their gates.
 *
 *     I_h = E_x | dL(x) / d xi_h |        (Michel, Levy & Neubig 2019, section 4.1), L
 * the loss of one sample; I_h <- I_h / (l2 norm of the layer's I + 1e-20)
 *
 * The authors' code takes the absolute value per position, sum_t |c_t . dL/dc_t|, and
 * leaves the norm out; a later port takes it per batch, |sum_x dL(x)/dxi_h|. All three
 * are divided by the number of samples here, so that per position >= per sample >= per
 * batch. Dropout is off, gradients on.
 *
 * One scoring serves all ratios of prune/heads. With `step` the order is iterative: score
 * the heads, mask a share, score what is left, and so on; /scores/order serves all ratios
 * then (prune/heads by order "iterative").
 */
#include "order.h"
#include "retort/method.h"
#include "retort/train.h"

#include <math.h>
#include <stdlib.h>

enum { PER_SAMPLE, PER_POSITION, PER_BATCH };
static const char *const granularities[] = {"sample", "position", "batch", NULL};

struct options {
    const char *split;
    int64_t max_len, doc_stride, batch, min_heads;
    int absolute, dtype;
    bool norm;
    double step;
};

/* clang-format off */
static const struct option options[] = {
    {"split", OPT_STRING, "\"train\"", 0, 0, NULL, NULL, "samples of the expectation", offsetof(struct options, split)},
    {"max_len", OPT_INT, "128", 8, 65536, NULL, "tokens", "longer inputs are cut", offsetof(struct options, max_len)},
    {"doc_stride", OPT_INT, "128", 1, 65536, NULL, "tokens", "overlap of the windows of a long context, at most half of max_len", offsetof(struct options, doc_stride)},
    {"batch", OPT_INT, "32", 1, 65536, NULL, "examples", "samples of one pass; matters to absolute \"batch\" alone", offsetof(struct options, batch)},
    {"absolute", OPT_ENUM, "\"sample\"", 0, 0, granularities, NULL, "what the absolute value is taken of: the gradient of a sample (the paper), of a position (its code), of a batch", offsetof(struct options, absolute)},
    {"norm", OPT_BOOL, "true", 0, 0, NULL, NULL, "divide by the l2 norm of the layer", offsetof(struct options, norm)},
    {"step", OPT_REAL, "0", 0, 1, NULL, NULL, "share of all heads that is masked between two scorings (an iterative order); 0: one scoring", offsetof(struct options, step)},
    {"dtype", OPT_ENUM, "\"f32\"", 0, 0, train_dtypes, NULL, "type of matrix products", offsetof(struct options, dtype)},
    {"min_heads", OPT_INT, "0", 0, HF_HEADS_MAX, NULL, "heads", "with step: heads that every layer keeps while others go", offsetof(struct options, min_heads)},
    OPTION_END,
};

static const struct option_default code[] = {{"absolute", "\"position\""}, {"norm", "false"}, {NULL, NULL}};

static const struct input inputs[] = {
    {"model", KIND_MODEL, true, false, "the fine-tuned model"},
    {"task", KIND_TASK, true, false, "data and loss"},
    INPUT_END,
};
/* clang-format on */

static int check(const void *options_, struct err *err)
{
    return heads_check_step(((const struct options *)options_)->step, err);
}

struct scorer {
    struct stage *st;
    const struct options *opt;
    struct model *m;
    struct dataset *data;
    struct tape *tape;
    double *score; /* (L, H) in the numbering of the full model */
    struct tensor **context;
};

static double *score_of(const struct scorer *s, int64_t layer, int64_t head)
{
    return &s->score[layer * s->m->cfg.heads + s->m->block[layer].attn.head_id[head]];
}

/* sum_t |c_t . dL/dc_t| over the rows of a batch; gates are 1, so c is
 * what is retained. */
static void add_positions(struct scorer *s, const struct pass *p, int64_t layer,
                          double samples)
{
    const struct site_attention *site = &s->m->block[layer].attn;
    const float *c = tensor_f32(s->context[layer]);
    const float *g = tape_grad(p->tape, s->context[layer]);
    int64_t n = p->batch->n_tok, width = site->heads * site->head_dim;

    for (int64_t t = 0; g && t < n; t++)
        for (int64_t h = 0; h < site->heads; h++) {
            double dot = 0;
            for (int64_t d = h * site->head_dim; d < (h + 1) * site->head_dim; d++)
                dot += (double)c[t * width + d] * (double)g[t * width + d];
            *score_of(s, layer, h) += fabs(dot) * samples;
        }
}

/* The batch's loss is a mean: times B gives the gradient of each sample's own loss. */
static void add_gates(struct scorer *s, const struct pass *p, int64_t layer,
                      double samples)
{
    const struct site_attention *site = &s->m->block[layer].attn;
    const float *g = pass_gate_grad(p, layer);

    for (int64_t h = 0; g && h < site->heads; h++) {
        double sum = 0, absolute = 0;
        for (int64_t b = 0; b < p->batch->n_seq; b++) {
            sum += (double)g[b * site->heads + h];
            absolute += fabs((double)g[b * site->heads + h]);
        }
        *score_of(s, layer, h) +=
            (s->opt->absolute == PER_BATCH ? fabs(sum) : absolute) * samples;
    }
}

static int score_batch(struct scorer *s, const struct batch *batch)
{
    struct pass p;
    struct output out;

    pass_begin(&p, s->tape, s->m, batch, TAPE_GRAD, PASS_GATES);
    p.tap_context = s->opt->absolute == PER_POSITION ? s->context : NULL;
    out = model_forward(&p);
    tape_backward(s->tape, model_loss(&p, &out, NULL), 1.0f);
    if (tape_failed(s->tape, &s->st->err))
        return -1;
    for (int64_t l = 0; l < s->m->cfg.layers; l++) {
        if (s->opt->absolute == PER_POSITION)
            add_positions(s, &p, l, (double)batch->n_examples);
        else
            add_gates(s, &p, l, (double)batch->n_examples);
    }
    return 0;
}

/* Masked heads have no part in the norm. */
static void normalise(struct scorer *s)
{
    for (int64_t l = 0; l < s->m->cfg.layers; l++) {
        const struct site_attention *site = &s->m->block[l].attn;
        double sum = 0;
        for (int64_t h = 0; h < site->heads; h++)
            sum += site->keep[h] == 0 ? 0 : *score_of(s, l, h) * *score_of(s, l, h);
        for (int64_t h = 0; h < site->heads; h++)
            *score_of(s, l, h) /= sqrt(sum) + 1e-20;
    }
}

static int add_examples(struct scorer *s, int64_t round, int64_t *at)
{
    struct stage *st = s->st;
    struct arena *arena = arena_new(&st->err);
    int64_t *pick = mem_new(s->opt->batch, sizeof *pick, &st->err);
    int64_t total = s->data->n * heads_rounds(s->opt->step);
    struct batch batch;

    while (!stage_failed(st) && *at < s->data->n) {
        int64_t n = *at + s->opt->batch < s->data->n ? s->opt->batch : s->data->n - *at;
        for (int64_t j = 0; j < n; j++)
            pick[j] = *at + j;
        arena_clear(arena);
        if (batch_fill(&batch, s->data, pick, n, arena, &st->err) ||
            score_batch(s, &batch))
            break;
        *at += n;
        stage_progress(st, round * s->data->n + *at, total, "sample %lld/%lld",
                       (long long)*at, (long long)s->data->n);
        st->checkpoint(st, false);
    }
    free(pick);
    arena_free(arena);
    return stage_done(st);
}

/* One scoring of the model as it is masked now. */
static int score_all(void *ctx, int64_t round, double *out, int64_t *at)
{
    struct scorer *s = ctx;
    int64_t cells = s->m->cfg.layers * s->m->cfg.heads;

    s->score = out;
    if (add_examples(s, round, at))
        return -1;
    for (int64_t i = 0; i < cells; i++)
        out[i] /= (double)s->data->n;
    if (round == 0)
        stage_doubles(s->st, "/scores/raw", out, s->m->cfg.layers, s->m->cfg.heads,
                      "layer", "head");
    if (s->opt->norm)
        normalise(s);
    return stage_done(s->st);
}

static int run(struct stage *st)
{
    const struct options *o = st->options;
    struct scorer s = {.st = st, .opt = o, .m = stage_model(st, "model", stage_task(st))};
    struct head_rounds rounds = {
        st, s.m, "/scores/importance", o->step, o->min_heads, score_all, &s};

    s.data = stage_data(st, s.m, o->split, o->max_len, o->doc_stride);
    s.tape = stage_tape(st, o->dtype == 1 ? DT_BF16 : DT_F32);
    if (stage_failed(st))
        return -1;
    if (s.data->n == 0)
        return stage_fail(st, ERR_INPUT, "%s has no examples to score heads on",
                          s.data->name);
    stage_need_labels(st, s.data);
    if (stage_failed(st))
        return -1;
    for (int64_t i = 0; i < s.m->n_params; i++)
        s.m->param[i]->frozen = true; /* gradients of the gates alone are wanted */
    s.context = arena_zalloc(st->arena, s.m->cfg.layers * (int64_t)sizeof *s.context);
    if (arena_failed(st->arena, &st->err))
        return -1;
    return heads_score(&rounds);
}

const struct method method_analyze_heads = {
    .name = "analyze/heads",
    .summary = "importance of attention heads by the gradient of their gates",
    .paper = "Michel, Levy & Neubig 2019 (arXiv:1905.10650)",
    .version = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .inputs = inputs,
    .outputs = KIND_SCORES,
    .check = check,
    .run = run,
    .code = code,
};
