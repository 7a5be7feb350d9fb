/*
 * prune/heads: masks the share `ratio` of all attention heads, in the order of a score.
 *
 * One ranking over the whole model (Michel, Levy & Neubig 2019, section 4): importance by
 * analyze/heads, the score drop of analyze/ablate, the iterative order of either (scored
 * again after each step), or chance as the floor. Removed = floor(ratio * N + 1e-9), N
 * the heads that the model has; heads that are masked already count, and go first; of
 * equal scores the lower (layer, head). So the set of a ratio holds that of every lower
 * one. The model comes back with masks over references; prune/slice removes the heads
 * physically.
 */
#include "../analyze/order.h"
#include "retort/method.h"

enum { BY_IMPORTANCE, BY_ABLATION, BY_ROUNDS, BY_CHANCE };
static const char *const orders[] = {"importance", "ablation", "iterative", "random",
                                     NULL};
static const char *const paths[] = {"/scores/importance", "/scores/ablation",
                                    "/scores/order"};

struct options {
    double ratio;
    int order;
    int64_t min_heads;
};

/* clang-format off */
static const struct option options[] = {
    {"ratio", OPT_REAL, NULL, 0, 1, NULL, NULL, "share of all heads that is masked", offsetof(struct options, ratio)},
    {"order", OPT_ENUM, "\"importance\"", 0, 0, orders, NULL, "which go first: the least important, those whose ablation costs least, the iterative order of scores made with a step, or chance", offsetof(struct options, order)},
    {"min_heads", OPT_INT, "0", 0, HF_HEADS_MAX, NULL, "heads", "heads that every layer keeps", offsetof(struct options, min_heads)},
    OPTION_END,
};

static const struct input inputs[] = {
    {"model", KIND_MODEL, true, false, "the model to prune"},
    {"scores", KIND_SCORES, false, false, "of analyze/heads or analyze/ablate; not needed by order random"},
    INPUT_END,
};
/* clang-format on */

/* Scores (L, H) of the input, or NULL with a failure. */
static const double *read_scores(struct stage *st, const struct model *m, int order)
{
    struct artifact *a =
        st->input_count(st, "scores") ? st->input_artifact(st, "scores", 0) : NULL;
    struct array v;

    if (!a) {
        stage_fail(st, ERR_INPUT, "order \"%s\" needs the input \"scores\"",
                   orders[order]);
        return NULL;
    }
    if (a->array(a->ctx, paths[order], &v, &st->err)) {
        if (order == BY_ROUNDS)
            err_prefix(&st->err, "order \"iterative\" needs scores made with a step");
        return NULL;
    }
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

static const double *draw_scores(struct stage *st, const struct model *m)
{
    int64_t n = m->cfg.layers * m->cfg.heads;
    double *score = arena_alloc(st->arena, n * (int64_t)sizeof *score);
    struct rng rng = rng_stream(st->seed, "prune/heads");

    for (int64_t i = 0; score && i < n; i++)
        score[i] = rng_uniform(&rng);
    if (!score)
        arena_failed(st->arena, &st->err);
    return score;
}

static int run(struct stage *st)
{
    const struct options *o = st->options;
    struct model *m = stage_model(st, "model", NULL);
    struct ranked_head *list;
    const double *score;
    int64_t n, done;

    if (stage_failed(st))
        return -1;
    n = heads_count(m);
    score = o->order == BY_CHANCE ? draw_scores(st, m) : read_scores(st, m, o->order);
    list = arena_alloc(st->arena, (n + 1) * (int64_t)sizeof *list);
    if (arena_failed(st->arena, &st->err) || !score ||
        heads_rank(list, m, score, &st->err) < 0)
        return -1;
    done = heads_mask(m, list, n, heads_share(o->ratio, n), o->min_heads);
    if (done < heads_share(o->ratio, n))
        stage_note(st, "min_heads %lld leaves %lld of %lld heads masked, not %lld",
                   (long long)o->min_heads, (long long)done, (long long)n,
                   (long long)heads_share(o->ratio, n));
    stage_metric(st, "prune/ratio_requested", 0, o->ratio);
    stage_metric(st, "prune/ratio", 0, n ? (double)done / (double)n : 0);
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
