/*
 * prune/neurons: removes feed-forward neurons little by little while training.
 *
 * A score decides which neurons speak in each step, v the share of them, which falls
 * along a cubic (neurons.h):
 *
 *     magnitude  norms of the neuron's weights as they are now
 *     random     drawn once: so the masks of all steps are nested
 *     top_v      S, learned: dL/dS is the straight-through gradient, rate score_lr
 *     soft       the same; sigmoid(S) > tau, tau rising, with the penalty lambda(t) R
 *     gum        the same, one ranking over all layers, the penalty weighted by U
 *
 *     L_total = L + lambda(t) R,   lambda(t) = lambda v(t) / v_final (soft: tau(t) / tau)
 *
 * U is computed after the backward pass of a step and is a constant of the next step's
 * R. A silent neuron keeps its weights and may come back; at the end the silent ones are
 * masked for good, and prune/slice removes them. Evaluations in between use the final
 * share. With `teacher` the loss is (1 - alpha) L + alpha soft labels (terms.h).
 */
#include "neurons.h"
#include "../distill/terms.h"
#include "retort/method.h"
#include "retort/train.h"

#include <stdlib.h>
#include <string.h>

enum { BY_MAGNITUDE, BY_CHANCE, BY_TOP, BY_SOFT, BY_GUM };
static const char *const scores[] = {"magnitude", "random", "top_v", "soft", "gum", NULL};
enum { SCOPE_OWN, SCOPE_LAYER, SCOPE_GLOBAL };
static const char *const scopes[] = {"own", "layer", "global", NULL};
enum { NORM_JOINT, NORM_SEPARATE };
static const char *const norms[] = {"joint", "separate", NULL};
enum { DIVIDE_LAYERS, DIVIDE_MATRICES };
static const char *const divisors[] = {"layers", "matrices", NULL};
enum { SCALE_MEAN, SCALE_BATCH };
static const char *const scalings[] = {"mean", "batch", NULL};
static const char *const ties[] = {"cut", "keep", NULL};

struct options {
    double left, threshold, lambda, lambda_gum, beta, hold, settle, score_lr, score_start;
    double alpha, temperature;
    int score, scope, norm, divisor, ties, scaling;
    int64_t min_neurons;
    const char *split;
    struct train_options train;
};

/* clang-format off */
static const struct option options[] = {
    {"left", OPT_REAL, NULL, 0, 1, NULL, NULL, "share of the neurons that is left at the end; soft: at least so many", offsetof(struct options, left)},
    {"score", OPT_ENUM, "\"gum\"", 0, 0, scores, NULL, "which stay: of largest norm, by chance, of largest learned score (top_v), above a threshold (soft), of largest score with a penalty on alike ones (gum)", offsetof(struct options, score)},
    {"scope", OPT_ENUM, "\"own\"", 0, 0, scopes, NULL, "what is ranked together: each layer, all layers; own: all with gum, else each", offsetof(struct options, scope)},
    {"min_neurons", OPT_INT, "0", 0, 1e9, NULL, "neurons", "that each layer keeps at least", offsetof(struct options, min_neurons)},
    {"norm", OPT_ENUM, "\"joint\"", 0, 0, norms, NULL, "magnitude: of all weights of a neuron; separate: top shares of rows and of columns by themselves, so that fewer neurons have both", offsetof(struct options, norm)},
    {"ties", OPT_ENUM, "\"cut\"", 0, 0, ties, NULL, "keep: neurons that equal the last one kept stay too", offsetof(struct options, ties)},
    {"hold", OPT_REAL, "0.1", 0, 1, NULL, NULL, "share of the updates before neurons go", offsetof(struct options, hold)},
    {"settle", OPT_REAL, "0.3", 0, 1, NULL, NULL, "share of the updates after the last has gone", offsetof(struct options, settle)},
    {"score_lr", OPT_REAL, "0.01", 0, 100, NULL, NULL, "highest learning rate of the scores", offsetof(struct options, score_lr)},
    {"score_start", OPT_REAL, "0", -100, 100, NULL, NULL, "learned scores begin at it", offsetof(struct options, score_start)},
    {"threshold", OPT_REAL, "0.1", 0, 0.999, NULL, NULL, "soft: of sigmoid(S), at the end", offsetof(struct options, threshold)},
    {"lambda", OPT_REAL, "-1", -1, 1e9, NULL, NULL, "weight of the penalty R at the end; -1: 2 with soft and gum, else 0", offsetof(struct options, lambda)},
    {"lambda_gum", OPT_REAL, "1", 0, 1e9, NULL, NULL, "gum: weight of the likeness U in R", offsetof(struct options, lambda_gum)},
    {"beta", OPT_REAL, "0.999", 0, 1, NULL, NULL, "gum: share of the newest step in the average of products", offsetof(struct options, beta)},
    {"divisor", OPT_ENUM, "\"layers\"", 0, 0, divisors, NULL, "R is divided by the number of layers, or of layers and their masked matrices", offsetof(struct options, divisor)},
    {"alpha", OPT_REAL, "0", 0, 1, NULL, NULL, "share of the teacher's soft labels in the loss", offsetof(struct options, alpha)},
    {"temperature", OPT_REAL, "2", 1e-3, 1e6, NULL, NULL, "softens the labels of teacher and student", offsetof(struct options, temperature)},
    {"scaling", OPT_ENUM, "\"mean\"", 0, 0, scalings, NULL, "soft labels: the mean over examples (of a language model: tokens), or batch: over tokens the sum, over sequences the mean", offsetof(struct options, scaling)},
    {"split", OPT_STRING, "\"train\"", 0, 0, NULL, NULL, "split to learn from", offsetof(struct options, split)},
    TRAIN_OPTIONS(struct options, train, "5", "5e-4"),
    OPTION_END,
};

static const struct option_default code[] = {{"norm", "\"separate\""}, {"ties", "\"keep\""}, {"divisor", "\"matrices\""}, {"scaling", "\"batch\""}, {NULL, NULL}};

static const struct input inputs[] = {
    {"model", KIND_MODEL, true, false, "the model to prune"},
    {"task", KIND_TASK, false, false, "what to train on while pruning"},
    {"teacher", KIND_MODEL, false, false, "the teacher, run alongside (alpha > 0)"},
    INPUT_END,
};
/* clang-format on */

static bool learns(const struct options *o)
{
    return o->score >= BY_TOP;
}

static bool trains(const struct options *o)
{
    return o->train.epochs > 0 || o->train.max_steps > 0;
}

static double lambda_of(const struct options *o)
{
    return o->lambda >= 0 ? o->lambda : o->score >= BY_SOFT ? 2 : 0;
}

static int check(const void *options_, struct err *err)
{
    const struct options *o = options_;
    const char *name = scores[o->score];

    if (o->hold + o->settle > 1 + 1e-9)
        return err_set(err, ERR_INPUT,
                       "hold %g and settle %g are shares of the updates: together at "
                       "most 1",
                       o->hold, o->settle);
    if (learns(o) && !trains(o))
        return err_set(err, ERR_INPUT,
                       "score \"%s\" is learned: epochs or max_steps must be above 0; "
                       "magnitude and random do without",
                       name);
    if (learns(o) && o->train.lr == 0)
        return err_set(err, ERR_INPUT,
                       "score \"%s\" is learned at the share score_lr / lr of the rate: "
                       "lr must be above 0",
                       name);
    if (!learns(o) && o->lambda > 0)
        return err_set(err, ERR_INPUT,
                       "lambda weighs a penalty on learned scores; score \"%s\" has none",
                       name);
    if (o->alpha > 0 && !trains(o))
        return err_set(err, ERR_INPUT,
                       "alpha is the teacher's share of a loss: epochs or max_steps must "
                       "be above 0");
    return train_check_pruning(&o->train, err);
}

struct pruner {
    struct stage *st;
    const struct options *opt;
    struct model *model;
    struct neuron_list list;
    struct neuron_rule rule;
    struct param **learned;   /* (layers) S, with learned scores */
    double *score, *grad, *u; /* (N) */
    double *in, *out;         /* (N) magnitude */
    bool *dead;               /* (N) masked before */
    float *keep;              /* (N) */
    bool alike;               /* U is wanted */
    struct likeness likeness;
    struct tensor **tap;     /* (layers) */
    struct teacher *teacher; /* NULL: alpha is 0 */
    struct distiller distiller;
};

/* ---- set-up ---- */

static int alloc_lists(struct pruner *p)
{
    struct arena *arena = p->st->arena;
    int64_t n, reals;

    if (neurons_list(&p->list, p->model, arena, &p->st->err))
        return -1;
    n = neurons_count(&p->list) + 1;
    reals = n * (int64_t)sizeof(double);
    p->score = arena_zalloc(arena, reals);
    p->grad = arena_zalloc(arena, reals);
    p->u = arena_zalloc(arena, reals);
    p->in = arena_zalloc(arena, reals);
    p->out = arena_zalloc(arena, reals);
    p->dead = arena_zalloc(arena, n * (int64_t)sizeof *p->dead);
    p->keep = arena_zalloc(arena, n * (int64_t)sizeof *p->keep);
    p->tap = arena_zalloc(arena, p->list.layers * (int64_t)sizeof *p->tap);
    p->learned = arena_zalloc(arena, p->list.layers * (int64_t)sizeof *p->learned);
    return arena_failed(arena, &p->st->err);
}

/* Parameters of learned scores: no decay, their own rate. */
static int make_scores(struct pruner *p)
{
    struct stage *st = p->st;

    for (int64_t l = 0; l < p->list.layers; l++) {
        int64_t n = p->list.first[l + 1] - p->list.first[l];
        struct param *s = arena_zalloc(st->arena, (int64_t)sizeof *s);
        if (!s)
            return arena_failed(st->arena, &st->err);
        if (param_init(s, st->arena,
                       arena_printf(st->arena, "prune.scores.%lld", (long long)l),
                       SHAPE(n), &st->err))
            return -1;
        for (int64_t j = 0; j < n; j++)
            tensor_f32(&s->value)[j] = (float)p->opt->score_start;
        p->learned[l] = s;
    }
    return 0;
}

static void draw_scores(struct pruner *p)
{
    for (int64_t l = 0; l < p->list.layers; l++) {
        struct rng rng = rng_streamf(p->st->seed, "prune/neurons/%lld", (long long)l);
        for (int64_t j = p->list.first[l]; j < p->list.first[l + 1]; j++)
            p->score[j] = 2 * rng_uniform(&rng) - 1;
    }
}

static int begin(struct pruner *p)
{
    const struct options *o = p->opt;
    struct stage *st = p->st;

    if (alloc_lists(p))
        return -1;
    p->rule = (struct neuron_rule){o->scope == SCOPE_OWN ? o->score == BY_GUM
                                                         : o->scope == SCOPE_GLOBAL,
                                   o->ties == 1, o->min_neurons};
    for (int64_t l = 0; l < p->list.layers; l++)
        for (int64_t j = p->list.first[l]; j < p->list.first[l + 1]; j++)
            p->dead[j] = block_neuron_masked(&p->model->block[l], j - p->list.first[l]);
    if (o->score == BY_CHANCE)
        draw_scores(p);
    if (learns(o) && make_scores(p))
        return -1;
    p->alike = o->score == BY_GUM && o->lambda_gum > 0 && lambda_of(o) > 0;
    if (!p->alike)
        return 0;
    if (likeness_init(&p->likeness, &p->list, o->beta, st->arena, &st->err) ||
        st->state(st, "prune/likeness", p->u,
                  neurons_count(&p->list) * (int64_t)sizeof *p->u))
        return -1;
    for (int64_t l = 0; o->beta < 1 && l < p->list.layers; l++) {
        int64_t n = p->list.first[l + 1] - p->list.first[l];
        if (st->state(st, arena_printf(st->arena, "prune/products/%lld", (long long)l),
                      p->likeness.mean[l], n * n * (int64_t)sizeof(float)))
            return -1;
    }
    return 0;
}

/* ---- masks ---- */

static void read_scores(struct pruner *p)
{
    for (int64_t l = 0; l < p->list.layers; l++)
        for (int64_t j = p->list.first[l]; j < p->list.first[l + 1]; j++)
            p->score[j] = (double)tensor_f32(&p->learned[l]->value)[j - p->list.first[l]];
}

/* Rows by themselves and columns by themselves: who is in both stays. */
static int keep_separate(struct pruner *p, double v)
{
    int64_t n = neurons_count(&p->list);
    float *both = mem_new(n + 1, sizeof *both, &p->st->err);
    int rc = -1;

    if (both && neurons_top(both, p->in, &p->list, v, &p->rule, &p->st->err) == 0)
        rc = neurons_top(p->keep, p->out, &p->list, v, &p->rule, &p->st->err);
    for (int64_t j = 0; rc == 0 && j < n; j++)
        p->keep[j] *= both[j];
    free(both);
    return rc;
}

/* Sets the model's masks by the scores as they are, at share v (soft: at threshold v). */
static int set_masks(struct pruner *p, double v)
{
    const struct options *o = p->opt;
    int64_t n = neurons_count(&p->list);
    int rc;

    if (learns(o))
        read_scores(p);
    if (o->score == BY_MAGNITUDE) {
        neurons_norms(p->in, p->out, p->model, &p->list);
        for (int64_t j = 0; j < n; j++)
            p->score[j] = hypot(p->in[j], p->out[j]);
    }
    for (int64_t j = 0; j < n; j++) /* what is masked for good goes first */
        if (p->dead[j])
            p->score[j] = p->in[j] = p->out[j] = -(double)INFINITY;
    if (o->score == BY_SOFT)
        rc = neurons_soft(p->keep, p->score, &p->list, v, o->left, &p->rule, &p->st->err);
    else if (o->score == BY_MAGNITUDE && o->norm == NORM_SEPARATE)
        rc = keep_separate(p, v);
    else
        rc = neurons_top(p->keep, p->score, &p->list, v, &p->rule, &p->st->err);
    for (int64_t l = 0; rc == 0 && l < p->list.layers; l++)
        memcpy(p->model->block[l].neuron_keep, p->keep + p->list.first[l],
               (size_t)(p->list.first[l + 1] - p->list.first[l]) * sizeof(float));
    return rc;
}

/* The share at the end, or soft's threshold; and at a step. */
static double target_of(const struct options *o)
{
    return o->score == BY_SOFT ? o->threshold : o->left;
}

static double share_at(const struct options *o, int64_t step, int64_t total)
{
    return neurons_schedule(step, total, o->hold, o->settle, o->score == BY_SOFT ? 0 : 1,
                            target_of(o));
}

static double lambda_at(const struct options *o, int64_t step, int64_t total)
{
    double to = target_of(o);

    return to > 0 ? lambda_of(o) * share_at(o, step, total) / to : lambda_of(o);
}

static int64_t count_kept(const struct pruner *p, int64_t from, int64_t to)
{
    int64_t n = 0;

    for (int64_t j = from; j < to; j++)
        n += p->keep[j] != 0 && !p->dead[j];
    return n;
}

/* ---- hooks ---- */

static int before_step(void *ctx, struct model *model, int64_t step, int64_t total,
                       struct err *err)
{
    struct pruner *p = ctx;
    int64_t n = neurons_count(&p->list);
    double v = share_at(p->opt, step, total);

    (void)model;
    (void)err;
    if (set_masks(p, v))
        return -1;
    stage_metric(p->st,
                 p->opt->score == BY_SOFT ? "prune/threshold" : "prune/left_scheduled",
                 step, v);
    stage_metric(p->st, "prune/left_now", step,
                 n ? (double)count_kept(p, 0, n) / (double)n : 0);
    return stage_done(p->st);
}

static void prepare(void *ctx, struct pass *pass)
{
    struct pruner *p = ctx;

    pass->tap_neurons = p->alike ? p->tap : NULL;
}

static struct tensor *loss(void *ctx, struct pass *pass, const struct output *out)
{
    struct pruner *p = ctx;
    struct teacher_says says = {.classes = 0};
    double value[TERMS];

    for (int64_t l = 0; p->alike && l < p->list.layers; l++)
        likeness_add(&p->likeness, pass->tape, l, p->tap[l]);
    if (!p->teacher)
        return model_loss(pass, out, NULL);
    if (teacher_ask(p->teacher, pass->batch, tape_arena(pass->tape), &says)) {
        tape_fail(pass->tape, p->st->err.code, "%s", p->st->err.text);
        return NULL;
    }
    return terms_loss(&p->distiller, pass, out, &says, value);
}

/* Those of the scores, with the penalty by the U of the step before; then the new U. */
static int gradients(void *ctx, struct model *model, int64_t step, int64_t total,
                     struct err *err)
{
    struct pruner *p = ctx;
    const struct options *o = p->opt;
    double lambda = lambda_at(o, step, total), r;
    int64_t layers = p->list.layers;

    (void)err;
    for (int64_t l = 0; l < layers; l++)
        neurons_gradient(p->grad + p->list.first[l], &model->block[l]);
    if (lambda > 0) {
        r = neurons_penalty(p->grad, p->score, p->alike ? p->u : NULL, &p->list,
                            (double)(o->divisor == DIVIDE_MATRICES ? 3 * layers : layers),
                            lambda);
        stage_metric(p->st, "prune/lambda", step, lambda);
        stage_metric(p->st, "prune/penalty", step, r);
    }
    for (int64_t l = 0; l < layers; l++)
        for (int64_t j = p->list.first[l]; j < p->list.first[l + 1]; j++)
            p->learned[l]->grad[j - p->list.first[l]] = (float)p->grad[j];
    if (p->alike)
        likeness_step(&p->likeness, p->u, o->lambda_gum, share_at(o, step, total),
                      p->st->pool);
    return stage_done(p->st);
}

/* Evaluations, and the end, are at the final share. */
static int after_step(void *ctx, struct model *model, int64_t step, int64_t total,
                      struct err *err)
{
    struct pruner *p = ctx;

    (void)model;
    (void)err;
    (void)step;
    (void)total;
    return set_masks(p, target_of(p->opt));
}

/* ---- the end ---- */

static void record(struct pruner *p)
{
    struct stage *st = p->st;
    int64_t n = neurons_count(&p->list), kept = count_kept(p, 0, n);

    for (int64_t l = 0; l < p->list.layers; l++) {
        int64_t from = p->list.first[l], to = p->list.first[l + 1];
        stage_metric(st, "prune/layer_neurons", l, (double)count_kept(p, from, to));
        if (p->opt->score != BY_MAGNITUDE)
            stage_doubles(st,
                          arena_printf(st->arena, "/scores/neurons/%lld", (long long)l),
                          p->score + from, to - from, 0, "neuron", NULL);
    }
    stage_metric(st, "prune/left_requested", 0, p->opt->left);
    stage_metric(st, "prune/left", 0, n ? (double)kept / (double)n : 0);
    stage_metric(st, "prune/neurons", 0, (double)kept);
}

static int begin_distilling(struct pruner *p, const struct dataset *data)
{
    const struct options *o = p->opt;
    const struct train_options *t = &o->train;
    enum head_kind head = p->model->head;

    if (o->alpha == 0)
        return 0;
    if (head != HEAD_CLASSES && head != HEAD_CHOICE && head != HEAD_LM)
        return stage_fail(p->st, ERR_INPUT,
                          "soft labels need classes, choices or next tokens; use alpha 0 "
                          "here");
    p->distiller = (struct distiller){
        .weight = {[TERM_HARD] = 1 - o->alpha, [TERM_SOFT] = o->alpha},
        .temperature = o->temperature,
        .scaling = o->scaling == SCALE_BATCH ? SCALING_BATCH : SCALING_HINTON};
    p->teacher = teacher_open(p->st, data, o->split, t->max_len, t->doc_stride,
                              t->dtype == 1 ? DT_BF16 : DT_F32);
    return p->teacher
               ? teacher_want(p->teacher, &(struct teacher_need){STATES_NONE, NULL, 0})
               : -1;
}

static void train(struct pruner *p, struct train_hooks *hooks)
{
    struct stage *st = p->st;
    const struct train_options *t = &p->opt->train;
    struct dataset *data =
        stage_data(st, p->model, p->opt->split, t->max_len, t->doc_stride);
    struct dataset *dev =
        stage_data(st, p->model, t->eval_split, t->max_len, t->doc_stride);

    if (!stage_failed(st) && begin_distilling(p, data) == 0)
        train_loop(st, p->model, data, dev, t, hooks);
    teacher_close(p->teacher);
    p->teacher = NULL;
}

static int run(struct stage *st)
{
    const struct options *o = st->options;
    const struct train_options *t = &o->train;
    struct model *m = stage_model(st, "model", trains(o) ? stage_task(st) : NULL);
    struct pruner p = {.st = st, .opt = o, .model = m};
    struct train_hooks hooks = {.ctx = &p,
                                .prepare = prepare,
                                .loss = loss,
                                .after_step = after_step,
                                .before_step = before_step};

    if (stage_failed(st) || begin(&p))
        return -1;
    if (learns(o)) {
        hooks.gradients = gradients;
        hooks.param = p.learned;
        hooks.n_params = p.list.layers;
        hooks.rate = o->score_lr / t->lr;
    }
    if (trains(o))
        train(&p, &hooks);
    if (!stage_failed(st) && set_masks(&p, target_of(o)) == 0 &&
        model_mask_neurons(m, &st->err) == 0) {
        record(&p);
        stage_output_model(st, m);
    }
    return stage_done(st);
}

const struct method method_prune_neurons = {
    .name = "prune/neurons",
    .summary = "mask feed-forward neurons while training, by a score and a schedule",
    .paper = "Santacroce, Wen, Shen & Li 2023 (arXiv:2302.03773)",
    .version = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .inputs = inputs,
    .outputs = KIND_MODEL,
    .records = RECORDS_TRAINING,
    .uses_seed = true,
    .check = check,
    .run = run,
    .code = code,
};
