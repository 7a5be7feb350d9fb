/*
 * analyze/ablate: what the score loses when heads are masked (Michel, Levy & Neubig 2019,
 * section 3).
 *
 *     mode one       xi_h = 0 for one head, for every head            (3.2)
 *     mode but_one   all heads of a layer but h are masked, for every h    (3.3)
 *
 * /scores/ablation (L, H) is base - ablated by the metric: what the head is worth (mode
 * one), or what is lost when it is kept alone. /scores/p_value is McNemar's exact test of
 * the examples that only one of the two models gets right. With report_split the best
 * head of each layer, chosen on `split`, is scored there too: selection and evaluation
 * are then on separate data.
 */
#include "retort/method.h"

#include <math.h>
#include <string.h>

enum { MODE_ONE, MODE_BUT_ONE };
static const char *const modes[] = {"one", "but_one", NULL};

struct options {
    const char *split, *report_split, *metric;
    int64_t max_len;
    int mode;
};

/* clang-format off */
static const struct option options[] = {
    {"split", OPT_STRING, "\"dev\"", 0, 0, NULL, NULL, "data that heads are scored on", offsetof(struct options, split)},
    {"report_split", OPT_STRING, "\"\"", 0, 0, NULL, NULL, "mode but_one: data that each layer's best head is scored on as well", offsetof(struct options, report_split)},
    {"metric", OPT_STRING, "\"\"", 0, 0, NULL, NULL, "metric of the task; empty: its first", offsetof(struct options, metric)},
    {"max_len", OPT_INT, "128", 8, 65536, NULL, "tokens", "longer inputs are cut", offsetof(struct options, max_len)},
    {"mode", OPT_ENUM, "\"one\"", 0, 0, modes, NULL, "mask one head, or all heads of a layer but one", offsetof(struct options, mode)},
    OPTION_END,
};

static const struct input inputs[] = {
    {"model", KIND_MODEL, true, false, "the fine-tuned model"},
    {"task", KIND_TASK, true, false, "what it is scored on"},
    INPUT_END,
};
/* clang-format on */

struct ablation {
    struct stage *st;
    const struct options *opt;
    struct model *m;
    struct tape *tape;
    const struct metric *metric;
    int64_t done, total;
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

static struct predictions *predict(struct ablation *a, const struct dataset *data)
{
    struct predictions *p = NULL;

    if (stage_failed(a->st) ||
        model_predict(&p, a->m, data, a->tape, 4096, NULL, NULL, NULL, &a->st->err))
        return NULL;
    return p;
}

/* Predictions with the heads of a layer kept that the mode keeps for head h. */
static struct predictions *predict_without(struct ablation *a, const struct dataset *data,
                                           int64_t layer, int64_t h)
{
    struct site_attention *s = &a->m->block[layer].attn;
    float kept[HF_HEADS_MAX];
    struct predictions *p;

    memcpy(kept, s->keep, (size_t)s->heads * sizeof *kept);
    for (int64_t i = 0; i < s->heads; i++)
        if ((i == h) == (a->opt->mode == MODE_ONE))
            s->keep[i] = 0;
    p = predict(a, data);
    memcpy(s->keep, kept, (size_t)s->heads * sizeof *kept);
    return p;
}

/* Two-sided exact binomial test of b against c discordant pairs. */
static double mcnemar(int64_t b, int64_t c)
{
    int64_t n = b + c, k = b < c ? b : c;
    double p = 0;

    for (int64_t i = 0; i <= k; i++)
        p += exp(lgamma((double)n + 1) - lgamma((double)i + 1) -
                 lgamma((double)(n - i) + 1) - (double)n * log(2.0));
    return 2 * p < 1 ? 2 * p : 1;
}

static double significance(const struct predictions *base, const struct predictions *p)
{
    int64_t b = 0, c = 0;

    if (!base->pred)
        return (double)NAN;
    for (int64_t i = 0; i < p->n; i++) {
        int32_t label = p->data->raw->v[i].label;
        b += base->pred[i] == label && p->pred[i] != label;
        c += base->pred[i] != label && p->pred[i] == label;
    }
    return mcnemar(b, c);
}

struct result {
    double *drop, *p_value; /* (L, H) */
    int32_t *pred;          /* (L, H, n) or NULL */
};

static int ablate_all(struct ablation *a, const struct dataset *data,
                      const struct predictions *base, struct result *r)
{
    double whole = stage_score(a->st, a->metric, base);

    for (int64_t l = 0; l < a->m->cfg.layers; l++) {
        const struct site_attention *s = &a->m->block[l].attn;
        for (int64_t h = 0; h < s->heads; h++) {
            struct predictions *p = predict_without(a, data, l, h);
            int64_t cell = l * a->m->cfg.heads + s->head_id[h];
            if (!p)
                return -1;
            r->drop[cell] = whole - stage_score(a->st, a->metric, p);
            r->p_value[cell] = significance(base, p);
            if (r->pred && p->pred)
                memcpy(r->pred + cell * p->n, p->pred, (size_t)p->n * sizeof *p->pred);
            predictions_free(p);
            a->done++;
            stage_progress(a->st, a->done, a->total, "head %lld/%lld", (long long)a->done,
                           (long long)a->total);
            if (a->st->checkpoint(a->st, false))
                return -1;
        }
    }
    return stage_done(a->st);
}

/* The best head of each layer: where the least is lost; of equal ones the lower. Scored
 * on `data`. */
static int report_best(struct ablation *a, const struct dataset *data,
                       const struct result *r)
{
    int64_t layers = a->m->cfg.layers, heads = a->m->cfg.heads;
    double *best = arena_alloc(a->st->arena, layers * (int64_t)sizeof *best);
    double *drop = arena_alloc(a->st->arena, layers * (int64_t)sizeof *drop);
    struct predictions *base = predict(a, data);
    double whole = base ? stage_score(a->st, a->metric, base) : 0;

    predictions_free(base);
    for (int64_t l = 0; best && drop && !stage_failed(a->st) && l < layers; l++) {
        const struct site_attention *s = &a->m->block[l].attn;
        int64_t top = 0;
        for (int64_t h = 1; h < s->heads; h++)
            if (r->drop[l * heads + s->head_id[h]] < r->drop[l * heads + s->head_id[top]])
                top = h;
        struct predictions *p = predict_without(a, data, l, top);
        best[l] = s->heads ? s->head_id[top] : (double)NAN;
        drop[l] = p ? whole - stage_score(a->st, a->metric, p) : (double)NAN;
        predictions_free(p);
    }
    if (arena_failed(a->st->arena, &a->st->err))
        return -1;
    stage_doubles(a->st, "/scores/best_head", best, layers, 0, "layer", NULL);
    stage_doubles(a->st, "/scores/best_head_ablation", drop, layers, 0, "layer", NULL);
    return stage_done(a->st);
}

static int run(struct stage *st)
{
    const struct options *o = st->options;
    struct model *m = stage_model(st, "model", stage_task(st));
    struct dataset *data = stage_data(st, m, o->split, o->max_len, 128);
    struct dataset *report = stage_data(st, m, o->report_split, o->max_len, 128);
    struct ablation a = {st, o, m, stage_tape(st, DT_F32), find_metric(st, o->metric),
                         0,  0};
    struct predictions *base = predict(&a, data);
    struct result r;
    int64_t cells;

    if (!base)
        return stage_done(st);
    cells = m->cfg.layers * m->cfg.heads;
    a.total = cells;
    r.drop = arena_zalloc(st->arena, cells * (int64_t)sizeof(double));
    r.p_value = arena_zalloc(st->arena, cells * (int64_t)sizeof(double));
    r.pred = base->pred
                 ? arena_zalloc(st->arena, cells * data->n * (int64_t)sizeof(int32_t))
                 : NULL;
    if (arena_failed(st->arena, &st->err) || ablate_all(&a, data, base, &r))
        goto done;
    stage_predictions(st, base, 0);
    stage_doubles(st, "/scores/ablation", r.drop, m->cfg.layers, m->cfg.heads, "layer",
                  "head");
    stage_doubles(st, "/scores/p_value", r.p_value, m->cfg.layers, m->cfg.heads, "layer",
                  "head");
    if (r.pred) {
        struct array pred = {DT_I32,
                             SHAPE(m->cfg.layers, m->cfg.heads, data->n),
                             r.pred,
                             {"layer", "head", "example"}};
        stage_array(st, "/scores/pred", &pred);
    }
    if (o->mode == MODE_BUT_ONE && report)
        report_best(&a, report, &r);
done:
    predictions_free(base);
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
    .run = run,
};
