/*
 * distill/student: a shallower model of some blocks of a pretrained one, with its
 * embeddings and pooler (Sun et al. 2019, section 4: the first blocks of the pre-trained
 * model, not of the fine-tuned teacher).
 */
#include "retort/method.h"

enum take { TAKE_FIRST, TAKE_EVERY, TAKE_LAST };
static const char *const takes[] = {"first", "every", "last", NULL};

struct options {
    int64_t layers;
    int take;
    struct int_list blocks;
};

/* clang-format off */
static const struct option options[] = {
    {"layers", OPT_INT, "6", 1, HF_LAYERS_MAX, NULL, "blocks", "blocks of the student", offsetof(struct options, layers)},
    {"take", OPT_ENUM, "\"first\"", 0, 0, takes, NULL, "which blocks: the first, every k-th (k, 2k, ...), or the last", offsetof(struct options, take)},
    {"blocks", OPT_INTS, "[]", 1, HF_LAYERS_MAX, NULL, "blocks", "or these, numbered from 1; empty: by layers and take", offsetof(struct options, blocks)},
    OPTION_END,
};

static const struct input inputs[] = {
    {"model", KIND_MODEL, true, false, "the pretrained model to take blocks from"},
    INPUT_END,
};
/* clang-format on */

static int run(struct stage *st)
{
    const struct options *o = st->options;
    struct model *from = stage_model(st, "model", NULL), *m = NULL;
    int64_t block[HF_LAYERS_MAX], n = o->blocks.n > 0 ? o->blocks.n : o->layers;

    if (stage_failed(st))
        return -1;
    if (n > from->cfg.layers)
        return stage_fail(st, ERR_INPUT, "a student of %lld blocks; the model has %lld",
                          (long long)n, (long long)from->cfg.layers);
    if (o->take == TAKE_EVERY && o->blocks.n == 0 && from->cfg.layers % n)
        return stage_fail(st, ERR_INPUT,
                          "take \"every\": %lld blocks are no multiple of %lld",
                          (long long)from->cfg.layers, (long long)n);
    for (int64_t i = 0; i < n; i++) {
        int64_t step = from->cfg.layers / n;
        block[i] = o->take == TAKE_FIRST   ? i
                   : o->take == TAKE_EVERY ? (i + 1) * step - 1
                                           : from->cfg.layers - n + i;
        block[i] = o->blocks.n > 0 ? o->blocks.v[i] - 1 : block[i];
    }
    if (model_blocks(&m, from, block, n, &st->err))
        return -1;
    stage_output_model(st, m);
    model_free(m);
    return stage_done(st);
}

const struct method method_distill_student = {
    .name = "distill/student",
    .summary = "a student of some blocks of a pretrained model",
    .paper = "Sun, Cheng, Gan & Liu 2019 (arXiv:1908.09355)",
    .version = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .inputs = inputs,
    .outputs = KIND_MODEL,
    .run = run,
};
