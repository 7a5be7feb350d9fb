/*
 * In which order attention heads go: what analyze/heads, analyze/ablate and prune/heads
 * share.
 *
 * Scores are (L, H) in the numbering of the full model; NaN where a head was removed.
 */
#ifndef RETORT_METHODS_ANALYZE_ORDER_H
#define RETORT_METHODS_ANALYZE_ORDER_H

#include "retort/stage.h"

struct ranked_head {
    double score;
    int64_t layer, head; /* head: index in the site */
    bool masked;         /* already */
};

/* Heads that the model has, masked ones too. */
int64_t heads_count(const struct model *m);
/* floor(ratio * n + 1e-9). */
int64_t heads_share(double ratio, int64_t n);

/*
 * All heads of the model: masked ones first, then by ascending score; of equal scores the
 * lower (layer, head) goes first. `list` has room for heads_count. Returns their number,
 * or -1: a score is not a number.
 */
int64_t heads_rank(struct ranked_head *list, const struct model *m, const double *score,
                   struct err *err);

/* Masks heads in the order of the list until `count` are masked, those before included.
 * Every layer keeps `min_heads`. Returns how many are masked then. */
int64_t heads_mask(struct model *m, const struct ranked_head *list, int64_t n,
                   int64_t count, int64_t min_heads);

/*
 * Scores the heads, and with step > 0 does so again and again: mask the `step` share of
 * all heads with the lowest scores, score those that are left, until none is left
 * ("exact pruning" in the authors' code). With step 0 there is one round.
 *
 * `score` fills `out` for the heads that are not masked. It goes on at *at, which it
 * counts up; `out` and *at outlive a kill, so that a scoring goes on where it was.
 *
 * Records <name> (L, H): the scores of the model as it came; with step > 0 also
 * /scores/rounds (R, L, H): the scores of every round, NaN for heads that were masked
 * then, and /scores/order (L, H): the place at which each head goes, from 0.
 */
struct head_rounds {
    struct stage *st;
    struct model *m;
    const char *name; /* "/scores/importance" */
    double step;
    int64_t min_heads;
    int (*score)(void *ctx, int64_t round, double *out, int64_t *at);
    void *ctx;
};
int heads_score(const struct head_rounds *r);

/* Scorings that a step means. */
int64_t heads_rounds(double step);
/* A step is 0 or at least a thousandth: 0, or -1 with a message. For `check` of a
 * method. */
int heads_check_step(double step, struct err *err);

#endif
