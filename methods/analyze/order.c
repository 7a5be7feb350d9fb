/* Ranking, masking, and the rounds of an iterative order. */
#include "order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t heads_count(const struct model *m)
{
    int64_t n = 0;

    for (int64_t l = 0; l < m->cfg.layers; l++)
        n += m->block[l].attn.heads;
    return n;
}

int64_t heads_share(double ratio, int64_t n)
{
    return (int64_t)floor(ratio * (double)n + 1e-9);
}

static int first_to_go(const void *a_, const void *b_)
{
    const struct ranked_head *a = a_, *b = b_;

    if (a->masked != b->masked)
        return a->masked ? -1 : 1;
    if (!a->masked && (a->score < b->score || a->score > b->score))
        return a->score < b->score ? -1 : 1;
    if (a->layer != b->layer)
        return a->layer < b->layer ? -1 : 1;
    return (a->head > b->head) - (a->head < b->head);
}

int64_t heads_rank(struct ranked_head *list, const struct model *m, const double *score,
                   struct err *err)
{
    int64_t n = 0;

    for (int64_t l = 0; l < m->cfg.layers; l++) {
        const struct site_attention *s = &m->block[l].attn;
        for (int64_t h = 0; h < s->heads; h++) {
            double x = score[l * m->cfg.heads + s->head_id[h]];
            if (isnan(x) && s->keep[h] != 0)
                return err_set(err, ERR_INPUT,
                               "the score of head %d in layer %lld is not a number",
                               s->head_id[h], (long long)l);
            list[n++] = (struct ranked_head){x, l, h, s->keep[h] == 0};
        }
    }
    qsort(list, (size_t)n, sizeof *list, first_to_go);
    return n;
}

static int64_t heads_left(const struct site_attention *s)
{
    int64_t left = 0;

    for (int64_t h = 0; h < s->heads; h++)
        left += s->keep[h] != 0;
    return left;
}

int64_t heads_mask(struct model *m, const struct ranked_head *list, int64_t n,
                   int64_t count, int64_t min_heads)
{
    int64_t masked = 0;

    for (int64_t i = 0; i < n; i++)
        masked += list[i].masked;
    for (int64_t i = 0; i < n && masked < count; i++) {
        struct site_attention *s = &m->block[list[i].layer].attn;
        if (list[i].masked || heads_left(s) <= min_heads)
            continue;
        s->keep[list[i].head] = 0;
        masked++;
    }
    return masked;
}

int64_t heads_rounds(double step)
{
    return step > 0 ? (int64_t)ceil(1 / step - 1e-9) : 1;
}

int heads_check_step(double step, struct err *err)
{
    if (step > 0 && step < 0.001)
        return err_set(err, ERR_INPUT,
                       "step is %g: a scoring after every such share; use 0 or at least "
                       "0.001",
                       step);
    return 0;
}

/* ---- rounds ---- */

struct rounds {
    const struct head_rounds *r;
    int64_t n, cells, heads; /* rounds; L * H; heads of the model */
    struct {
        int64_t round, at;
    } done;               /* outlives a kill */
    double *score, *each; /* of this round; (R, L, H) of all */
    double *order;
    int64_t gone;
    struct ranked_head *list;
};

static double *cell(const struct rounds *v, double *of, const struct ranked_head *h)
{
    const struct model *m = v->r->m;

    return of + h->layer * m->cfg.heads + m->block[h->layer].attn.head_id[h->head];
}

/* Notes the place of the heads that were masked since the last call, in their order. */
static void note_gone(struct rounds *v, bool all)
{
    for (int64_t i = 0; i < v->heads; i++) {
        const struct ranked_head *h = &v->list[i];
        bool gone = v->r->m->block[h->layer].attn.keep[h->head] == 0;
        if ((all || gone) && isnan(*cell(v, v->order, h)))
            *cell(v, v->order, h) = (double)v->gone++;
    }
}

/* After the scores of round `k` are there: masks what they say. */
static int end_round(struct rounds *v, int64_t k)
{
    const struct head_rounds *r = v->r;
    double share = fmin(1, (double)(k + 1) * r->step);
    struct err *err = &r->st->err;

    if (heads_rank(v->list, r->m, v->each + k * v->cells, err) < 0)
        return -1;
    heads_mask(r->m, v->list, v->heads, heads_share(share, v->heads), r->min_heads);
    note_gone(v, k + 1 == v->n);
    return 0;
}

/* What is not there or masked has no score. */
static void blank(struct rounds *v, double *score)
{
    const struct model *m = v->r->m;

    for (int64_t l = 0; l < m->cfg.layers; l++) {
        const struct site_attention *s = &m->block[l].attn;
        bool there[HF_HEADS_MAX] = {false};
        for (int64_t h = 0; h < s->heads; h++)
            there[s->head_id[h]] = s->keep[h] != 0;
        for (int64_t h = 0; h < m->cfg.heads; h++)
            if (!there[h])
                score[l * m->cfg.heads + h] = (double)NAN;
    }
}

static int begin(struct rounds *v)
{
    const struct head_rounds *r = v->r;
    struct stage *st = r->st;
    int64_t bytes;

    v->n = heads_rounds(r->step);
    v->cells = r->m->cfg.layers * r->m->cfg.heads;
    v->heads = heads_count(r->m);
    bytes = v->cells * (int64_t)sizeof(double);
    v->score = arena_zalloc(st->arena, bytes);
    v->each = arena_alloc(st->arena, v->n * bytes);
    v->order = arena_alloc(st->arena, bytes);
    v->list = arena_alloc(st->arena, (v->heads + 1) * (int64_t)sizeof *v->list);
    if (arena_failed(st->arena, &st->err))
        return -1;
    for (int64_t i = 0; i < v->n * v->cells; i++)
        v->each[i] = (double)NAN;
    for (int64_t i = 0; i < v->cells; i++)
        v->order[i] = (double)NAN;
    if (st->state(st, "heads/done", &v->done, (int64_t)sizeof v->done) ||
        st->state(st, "heads/score", v->score, bytes) ||
        st->state(st, "heads/rounds", v->each, v->n * bytes))
        return -1;
    if (st->restore(st))
        for (int64_t k = 0; k < v->done.round && r->step > 0; k++)
            if (end_round(v, k))
                return -1;
    return stage_done(st);
}

static void record(const struct rounds *v)
{
    const struct head_rounds *r = v->r;
    const struct hf_config *cfg = &r->m->cfg;
    struct array each = {DT_F64,
                         SHAPE(v->n, cfg->layers, cfg->heads),
                         v->each,
                         {"round", "layer", "head"}};

    stage_doubles(r->st, r->name, v->each, cfg->layers, cfg->heads, "layer", "head");
    if (r->step > 0) {
        stage_array(r->st, "/scores/rounds", &each);
        stage_doubles(r->st, "/scores/order", v->order, cfg->layers, cfg->heads, "layer",
                      "head");
    }
}

int heads_score(const struct head_rounds *r)
{
    struct rounds v = {.r = r};

    if (stage_failed(r->st) || begin(&v))
        return -1;
    while (v.done.round < v.n) {
        double *score = v.each + v.done.round * v.cells;
        if (r->score(r->ctx, v.done.round, v.score, &v.done.at))
            return -1;
        memcpy(score, v.score, (size_t)v.cells * sizeof *score);
        memset(v.score, 0, (size_t)v.cells * sizeof *v.score);
        blank(&v, score);
        if (r->step > 0 && end_round(&v, v.done.round))
            return -1;
        v.done.at = 0;
        v.done.round++;
    }
    record(&v);
    return stage_done(r->st);
}
