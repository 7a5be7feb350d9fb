/*
 * prune/heads: masks the share `ratio` of all attention heads, in ascending order of a
 * score.
 *
 * One ranking over the whole model (Michel, Levy & Neubig 2019, section 4): importance by
 * analyze/heads, the score drop of analyze/ablate, or a random order as the floor.
 * Removed = floor(ratio * N + 1e-9); of equal scores the lower (layer, head) goes first.
 * The model comes back with masks over references; prune/slice removes the heads
 * physically.
 */
#include "retort/method.h"

#include <math.h>
#include <stdlib.h>

enum { BY_IMPORTANCE, BY_ABLATION, BY_CHANCE };
static const char *const orders[] = {"importance", "ablation", "random", NULL};

struct options {
    double ratio;
    int order;
    int64_t min_heads;
};

/* clang-format off */
static const struct option options[] = {
    {"ratio", OPT_REAL, NULL, 0, 1, NULL, NULL, "share of all heads that is masked", offsetof(struct options, ratio)},
    {"order", OPT_ENUM, "\"importance\"", 0, 0, orders, NULL, "which go first: the least important, those whose ablation costs least, or chance", offsetof(struct options, order)},
    {"min_heads", OPT_INT, "0", 0, HF_HEADS_MAX, NULL, "heads", "heads that every layer keeps", offsetof(struct options, min_heads)},
    OPTION_END,
};

static const struct input inputs[] = {
    {"model", KIND_MODEL, true, false, "the model to prune"},
    {"scores", KIND_SCORES, false, false, "of analyze/heads or analyze/ablate; not needed by order random"},
    INPUT_END,
};
/* clang-format on */

struct ranked {
    double score;
    int64_t layer, head; /* head: index in the site */
};

static int ascending(const void *a_, const void *b_)
{
    const struct ranked *a = a_, *b = b_;

    if (a->score < b->score || a->score > b->score)
        return a->score < b->score ? -1 : 1;
    if (a->layer != b->layer)
        return a->layer < b->layer ? -1 : 1;
    return a->head < b->head ? -1 : a->head > b->head;
}

/* Scores (L, H) of the input, or NULL with a failure. */
static const double *read_scores(struct stage *st, const struct model *m, int order)
{
    const char *path = order == BY_IMPORTANCE ? "/scores/importance" : "/scores/ablation";
    struct artifact *a =
        st->input_count(st, "scores") ? st->input_artifact(st, "scores", 0) : NULL;
    struct array v;

    if (!a) {
        stage_fail(st, ERR_INPUT, "order \"%s\" needs the input \"scores\"",
                   orders[order]);
        return NULL;
    }
    if (a->array(a->ctx, path, &v, &st->err))
        return NULL;
    if (v.dtype != DT_F64 || !shape_equal(v.shape, SHAPE(m->cfg.layers, m->cfg.heads))) {
        char have[96];
        stage_fail(st, ERR_INPUT,
                   "scores have shape %s; the model has %lld layers of %lld heads",
                   shape_text(have, v.shape), (long long)m->cfg.layers,
                   (long long)m->cfg.heads);
        return NULL;
    }
    return v.data;
}

/* All heads of the model as it was made, in the order of their going. */
static int64_t rank(struct stage *st, const struct model *m, const struct options *o,
                    struct ranked *list)
{
    const double *score = o->order == BY_CHANCE ? NULL : read_scores(st, m, o->order);
    struct rng rng = rng_stream(st->seed, "prune/heads");
    int64_t n = 0;

    for (int64_t l = 0; !stage_failed(st) && l < m->cfg.layers; l++)
        for (int64_t h = 0; h < m->block[l].attn.heads; h++) {
            int64_t id = m->block[l].attn.head_id[h];
            double s = score ? score[l * m->cfg.heads + id] : rng_uniform(&rng);
            list[n++] = (struct ranked){s, l, h};
        }
    qsort(list, (size_t)n, sizeof *list, ascending);
    return n;
}

static int64_t mask(struct model *m, const struct ranked *list, int64_t n, int64_t count,
                    int64_t min_heads)
{
    int64_t done = 0;

    for (int64_t i = 0; i < n && done < count; i++) {
        struct site_attention *s = &m->block[list[i].layer].attn;
        int64_t left = 0;
        for (int64_t h = 0; h < s->heads; h++)
            left += s->keep[h] != 0;
        if (left <= min_heads)
            continue;
        s->keep[list[i].head] = 0;
        done++;
    }
    return done;
}

static int run(struct stage *st)
{
    const struct options *o = st->options;
    struct model *m = stage_model(st, "model", NULL);
    struct ranked *list;
    int64_t n, done;

    if (stage_failed(st))
        return -1;
    list = arena_alloc(st->arena, m->cfg.layers * m->cfg.heads * (int64_t)sizeof *list);
    if (!list)
        return arena_failed(st->arena, &st->err);
    n = rank(st, m, o, list);
    if (stage_failed(st))
        return -1;
    done = mask(m, list, n, (int64_t)floor(o->ratio * (double)n + 1e-9), o->min_heads);
    stage_metric(st, "prune/ratio_requested", 0, o->ratio);
    stage_metric(st, "prune/ratio", 0, (double)done / (double)n);
    stage_metric(st, "prune/heads_removed", 0, (double)done);
    stage_output_model(st, m);
    return stage_done(st);
}

const struct method method_prune_heads = {
    .name = "prune/heads",
    .summary = "mask the least important attention heads",
    .paper = "Michel, Levy & Neubig 2019 (arXiv:1905.10650)",
    .version = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .inputs = inputs,
    .outputs = KIND_MODEL,
    .uses_seed = true,
    .run = run,
};
