/*
 * analyze/ablate: what the score loses when heads are masked (Michel, Levy & Neubig 2019,
 * section 3).
 *
 *     mode one       xi_h = 0 for one head, for every head            (3.2)
 *     mode but_one   all heads of a layer but h are masked, for every h    (3.3)
 *
 * /scores/ablation (L, H) is base - ablated by the metric (the other way round if less is
 * better): what the head is worth (mode one), or what is lost when it is kept alone.
 * /scores/p_value (L, H) is a paired test over examples, without correction for the
 * number of heads: McNemar's exact test of the examples that only one of the two models
 * gets right, or Student's t as in the paper.
 *
 * Mode but_one names each layer's best head by the scores on `split`, the lower of equal
 * ones, and scores it on `report_split`, so that selection and evaluation can be on
 * separate data (appendix A): /scores/best_head, best_ablation, best_p_value (L).
 *
 * With `step` the order is iterative, as in analyze/heads: /scores/order.
 */
#include "order.h"
#include "retort/method.h"
#include "retort/stats.h"
#include "retort/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MODE_ONE, MODE_BUT_ONE };
static const char *const modes[] = {"one", "but_one", NULL};
enum { TEST_MCNEMAR, TEST_T };
static const char *const tests[] = {"mcnemar", "t", NULL};

struct options {
    const char *split, *report_split, *metric;
    int64_t max_len, doc_stride, min_heads;
    int mode, test, dtype;
    double level, step;
};

/* clang-format off */
static const struct option options[] = {
    {"split", OPT_STRING, "\"dev\"", 0, 0, NULL, NULL, "data that heads are scored on", offsetof(struct options, split)},
    {"report_split", OPT_STRING, "\"\"", 0, 0, NULL, NULL, "mode but_one: data that each layer's best head is reported on; empty: split", offsetof(struct options, report_split)},
    {"metric", OPT_STRING, "\"\"", 0, 0, NULL, NULL, "metric of the task; empty: its first", offsetof(struct options, metric)},
    {"max_len", OPT_INT, "128", 8, 65536, NULL, "tokens", "longer inputs are cut", offsetof(struct options, max_len)},
    {"doc_stride", OPT_INT, "128", 1, 65536, NULL, "tokens", "overlap of the windows of a long context, at most half of max_len", offsetof(struct options, doc_stride)},
    {"mode", OPT_ENUM, "\"one\"", 0, 0, modes, NULL, "mask one head, or all heads of a layer but one", offsetof(struct options, mode)},
    {"test", OPT_ENUM, "\"mcnemar\"", 0, 0, tests, NULL, "paired test over examples: McNemar's exact test or Student's t of right and wrong; t of the losses where there are no classes", offsetof(struct options, test)},
    {"level", OPT_REAL, "0.01", 0, 1, NULL, NULL, "p below which a difference is counted as significant", offsetof(struct options, level)},
    {"step", OPT_REAL, "0", 0, 1, NULL, NULL, "mode one: share of all heads that is masked between two scorings (an iterative order); 0: one scoring", offsetof(struct options, step)},
    {"dtype", OPT_ENUM, "\"f32\"", 0, 0, train_dtypes, NULL, "type of matrix products", offsetof(struct options, dtype)},
    {"min_heads", OPT_INT, "0", 0, HF_HEADS_MAX, NULL, "heads", "with step: heads that every layer keeps while others go", offsetof(struct options, min_heads)},
    OPTION_END,
};

static const struct input inputs[] = {
    {"model", KIND_MODEL, true, false, "the fine-tuned model"},
    {"task", KIND_TASK, true, false, "what it is scored on"},
    INPUT_END,
};
/* clang-format on */

static int check(const void *options_, struct err *err)
{
    const struct options *o = options_;

    if (o->mode == MODE_BUT_ONE && o->step > 0)
        return err_set(err, ERR_INPUT, "an iterative order (step) needs mode \"one\"");
    if (o->mode == MODE_ONE && o->report_split[0])
        return err_set(err, ERR_INPUT, "report_split needs mode \"but_one\"");
    return heads_check_step(o->step, err);
}

struct ablation {
    struct stage *st;
    const struct options *opt;
    struct model *m;
    struct tape *tape;
    const struct metric *metric;
    struct dataset *data;
    struct predictions *base; /* of the model as it came, on data */
    double *drop, *p_value;   /* (L, H) of the first round */
    int32_t *pred;            /* (L, H, n) of the first round, or NULL */
};

static const struct metric *find_metric(struct stage *st, const char *name)
{
    const struct task *task = stage_task(st);

    for (int64_t i = 0; task && task->metrics[i]; i++)
        if (!name[0] || !strcmp(task->metrics[i]->name, name))
            return task->metrics[i];
    stage_fail(st, ERR_INPUT, "the task has no metric \"%s\"", name);
    return NULL;
}

enum { BATCH_TOKENS = 4096 };

static struct predictions *predict(struct ablation *a, const struct dataset *data)
{
    struct predictions *p = NULL;

    if (stage_failed(a->st) || model_predict(&p, a->m, data, a->tape, BATCH_TOKENS, NULL,
                                             NULL, NULL, &a->st->err))
        return NULL;
    return p;
}

static struct prefix *new_prefix(struct ablation *a, const struct dataset *data)
{
    struct prefix *p = NULL;

    if (!stage_failed(a->st))
        prefix_new(&p, a->m, data, a->tape, BATCH_TOKENS, &a->st->err);
    return p;
}

/* Predictions with the heads of a layer kept that the mode keeps for head h. What comes
 * before the layer is the same for all its heads, so it is computed once. */
static struct predictions *predict_without(struct ablation *a, struct prefix *prefix,
                                           int64_t layer, int64_t h)
{
    struct site_attention *s = &a->m->block[layer].attn;
    float kept[HF_HEADS_MAX];
    struct predictions *p = NULL;

    if (stage_failed(a->st) || prefix_advance(prefix, layer, &a->st->err))
        return NULL;
    memcpy(kept, s->keep, (size_t)s->heads * sizeof *kept);
    for (int64_t i = 0; i < s->heads; i++)
        if ((i == h) == (a->opt->mode == MODE_ONE))
            s->keep[i] = 0;
    if (prefix_predict(&p, prefix, &a->st->err))
        p = NULL;
    memcpy(s->keep, kept, (size_t)s->heads * sizeof *kept);
    return p;
}

/* What of the score is lost from `base` to `p`: positive is worse. */
static double loss_of(struct ablation *a, const struct predictions *base,
                      const struct predictions *p)
{
    double before = stage_score(a->st, a->metric, base);
    double after = stage_score(a->st, a->metric, p);

    return a->metric->larger_is_better ? before - after : after - before;
}

/* ---- significance ---- */

static bool right(const struct predictions *p, int64_t i)
{
    return p->pred[i] == p->data->raw->v[i].label;
}

static double mcnemar(const struct predictions *base, const struct predictions *p)
{
    int64_t b = 0, c = 0;

    for (int64_t i = 0; i < p->n; i++) {
        b += right(base, i) && !right(p, i);
        c += !right(base, i) && right(p, i);
    }
    return stats_mcnemar(b, c).p;
}

/* Of right and wrong, or of the losses, of the examples where both are known. */
static double paired_t(struct stage *st, const struct predictions *base,
                       const struct predictions *p)
{
    double *x = mem_new(p->n, sizeof *x, &st->err), *y = NULL, value = (double)NAN;
    int64_t n = 0;

    y = mem_new(p->n, sizeof *y, &st->err);
    for (int64_t i = 0; x && y && i < p->n; i++) {
        x[n] = p->pred ? right(base, i) : -base->score[i];
        y[n] = p->pred ? right(p, i) : -p->score[i];
        n += !isnan(x[n]) && !isnan(y[n]);
    }
    if (x && y)
        value = stats_paired_t(x, y, n).p;
    free(y);
    free(x);
    return value;
}

static double significance(struct ablation *a, const struct predictions *base,
                           const struct predictions *p)
{
    if (p->pred && a->opt->test == TEST_MCNEMAR)
        return mcnemar(base, p);
    return paired_t(a->st, base, p);
}

/* ---- all heads ---- */

static void note_first_round(struct ablation *a, int64_t cell,
                             const struct predictions *p, double drop)
{
    a->drop[cell] = drop;
    a->p_value[cell] = significance(a, a->base, p);
    if (a->pred)
        memcpy(a->pred + cell * p->n, p->pred, (size_t)p->n * sizeof *p->pred);
}

static int ablate_head(struct ablation *a, struct prefix *prefix, int64_t round,
                       const struct predictions *base, int64_t layer, int64_t h,
                       double *out)
{
    const struct site_attention *s = &a->m->block[layer].attn;
    int64_t cell = layer * a->m->cfg.heads + s->head_id[h];
    struct predictions *p;

    if (s->keep[h] == 0)
        return 0;
    p = predict_without(a, prefix, layer, h);
    if (!p)
        return -1;
    out[cell] = loss_of(a, base, p);
    if (round == 0)
        note_first_round(a, cell, p, out[cell]);
    predictions_free(p);
    return stage_done(a->st);
}

/* Every head that is left, one after another. */
static int ablate_all(void *ctx, int64_t round, double *out, int64_t *at)
{
    struct ablation *a = ctx;
    int64_t heads = a->m->cfg.heads, cells = a->m->cfg.layers * heads;
    int64_t total = cells * heads_rounds(a->opt->step);
    struct predictions *now = round > 0 ? predict(a, a->data) : NULL;
    struct prefix *prefix = new_prefix(a, a->data);

    while (!stage_failed(a->st) && *at < cells) {
        int64_t l = *at / heads, h = *at % heads;
        if (h < a->m->block[l].attn.heads &&
            ablate_head(a, prefix, round, now ? now : a->base, l, h, out))
            break;
        ++*at;
        stage_progress(a->st, round * cells + *at, total, "head %lld/%lld",
                       (long long)*at, (long long)cells);
        a->st->checkpoint(a->st, false);
    }
    prefix_free(prefix);
    predictions_free(now);
    return stage_done(a->st);
}

/* ---- what is told ---- */

/* Index in the site of the head that costs least when it is kept alone, or -1. */
static int64_t best_of(const struct ablation *a, int64_t layer)
{
    const struct site_attention *s = &a->m->block[layer].attn;
    const double *drop = a->drop + layer * a->m->cfg.heads;
    int64_t best = -1;

    for (int64_t h = 0; h < s->heads; h++)
        if (s->keep[h] != 0 && (best < 0 || drop[s->head_id[h]] < drop[s->head_id[best]]))
            best = h;
    return best;
}

/* The best head of each layer, scored on `data`. */
static void report_best(struct ablation *a, const struct dataset *data)
{
    struct stage *st = a->st;
    int64_t layers = a->m->cfg.layers, bytes = layers * (int64_t)sizeof(double);
    double *best = arena_alloc(st->arena, bytes), *drop = arena_alloc(st->arena, bytes);
    double *p_value = arena_alloc(st->arena, bytes);
    struct predictions *base = predict(a, data);
    struct prefix *prefix = new_prefix(a, data);

    if (arena_failed(st->arena, &st->err) || !base || !prefix)
        goto done;
    for (int64_t l = 0; l < layers && !stage_failed(st); l++) {
        int64_t h = best_of(a, l);
        struct predictions *p = h < 0 ? NULL : predict_without(a, prefix, l, h);
        best[l] = p ? a->m->block[l].attn.head_id[h] : (double)NAN;
        drop[l] = p ? loss_of(a, base, p) : (double)NAN;
        p_value[l] = p ? significance(a, base, p) : (double)NAN;
        predictions_free(p);
    }
    stage_metric(st, "ablate/report_base", 0, stage_score(st, a->metric, base));
    stage_doubles(st, "/scores/best_head", best, layers, 0, "layer", NULL);
    stage_doubles(st, "/scores/best_ablation", drop, layers, 0, "layer", NULL);
    stage_doubles(st, "/scores/best_p_value", p_value, layers, 0, "layer", NULL);
done:
    prefix_free(prefix);
    predictions_free(base);
}

static void record(struct ablation *a)
{
    struct stage *st = a->st;
    int64_t layers = a->m->cfg.layers, heads = a->m->cfg.heads, worse = 0, better = 0;
    double most = -(double)INFINITY, least = (double)INFINITY;
    struct array pred = {
        DT_I32, SHAPE(layers, heads, a->data->n), a->pred, {"layer", "head", "example"}};

    for (int64_t i = 0; i < layers * heads; i++) {
        most = fmax(most, a->drop[i]); /* fmax and fmin pass NaN over */
        least = fmin(least, a->drop[i]);
        worse += a->p_value[i] < a->opt->level && a->drop[i] > 0;
        better += a->p_value[i] < a->opt->level && a->drop[i] < 0;
    }
    stage_predictions(st, a->base, 0);
    stage_doubles(st, "/scores/p_value", a->p_value, layers, heads, "layer", "head");
    if (a->pred)
        stage_array(st, "/scores/pred", &pred);
    stage_metric(st, "ablate/base", 0, stage_score(st, a->metric, a->base));
    stage_metric(st, "ablate/largest", 0, most);
    stage_metric(st, "ablate/smallest", 0, least);
    stage_metric(st, "ablate/significant_losses", 0, (double)worse);
    stage_metric(st, "ablate/significant_gains", 0, (double)better);
}

/* ---- the stage ---- */

/* Room for what outlives a kill; cells without a head stay NaN. */
static int make_room(struct ablation *a)
{
    struct stage *st = a->st;
    int64_t cells = a->m->cfg.layers * a->m->cfg.heads;
    int64_t bytes = cells * (int64_t)sizeof(double);
    int64_t pred_bytes = cells * a->data->n * (int64_t)sizeof(int32_t);

    a->drop = arena_alloc(st->arena, bytes);
    a->p_value = arena_alloc(st->arena, bytes);
    a->pred = a->base->pred ? arena_zalloc(st->arena, pred_bytes) : NULL;
    if (arena_failed(st->arena, &st->err))
        return -1;
    for (int64_t i = 0; i < cells; i++)
        a->drop[i] = a->p_value[i] = (double)NAN;
    if (st->state(st, "ablate/drop", a->drop, bytes) ||
        st->state(st, "ablate/p_value", a->p_value, bytes) ||
        (a->pred && st->state(st, "ablate/pred", a->pred, pred_bytes)))
        return -1;
    return 0;
}

static int run(struct stage *st)
{
    const struct options *o = st->options;
    struct ablation a = {.st = st, .opt = o, .metric = find_metric(st, o->metric)};
    struct dataset *report;

    a.m = stage_model(st, "model", stage_task(st));
    a.data = stage_data(st, a.m, o->split, o->max_len, o->doc_stride);
    report = stage_data(st, a.m, o->report_split, o->max_len, o->doc_stride);
    a.tape = stage_tape(st, o->dtype == 1 ? DT_BF16 : DT_F32);
    a.base = predict(&a, a.data);
    struct head_rounds rounds = {
        st, a.m, "/scores/ablation", o->step, o->min_heads, ablate_all, &a};
    if (a.base && !make_room(&a) && !heads_score(&rounds)) {
        record(&a);
        if (o->mode == MODE_BUT_ONE)
            report_best(&a, report ? report : a.data);
    }
    predictions_free(a.base);
    return stage_done(st);
}

const struct method method_analyze_ablate = {
    .name = "analyze/ablate",
    .summary =
        "what the score loses when a head, or all heads of a layer but one, are masked",
    .paper = "Michel, Levy & Neubig 2019 (arXiv:1905.10650)",
    .version = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .inputs = inputs,
    .outputs = KIND_SCORES | KIND_EVAL,
    .check = check,
    .run = run,
};
