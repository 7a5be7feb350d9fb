/*
 * prune/slice: removes masked heads physically: rows of W_q, W_k, W_v and columns of W_o.
 *
 * The sliced model computes what the masked one did, in less time and space.
 */
#include "retort/method.h"

static const struct option options[] = {OPTION_END};

static const struct input inputs[] = {
    {"model", KIND_MODEL, true, false, "a model with masked heads"},
    INPUT_END,
};

static int run(struct stage *st)
{
    struct model *m = stage_model(st, "model", NULL);
    int64_t before;

    if (stage_failed(st))
        return -1;
    before = model_count(m);
    if (model_slice(m, &st->err))
        return -1;
    stage_metric(st, "prune/parameters_removed", 0, (double)(before - model_count(m)));
    stage_output_model(st, m);
    return stage_done(st);
}

const struct method method_prune_slice = {
    .name = "prune/slice",
    .summary = "remove masked heads physically",
    .paper = "Michel, Levy & Neubig 2019 (arXiv:1905.10650), section 4.4",
    .version = 1,
    .options = options,
    .options_size = 1,
    .inputs = inputs,
    .outputs = KIND_MODEL,
    .run = run,
};
