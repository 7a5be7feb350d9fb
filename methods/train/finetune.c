/*
 * finetune: trains a model and a head on a task (Devlin et al. 2019, section 4).
 */
#include "retort/method.h"
#include "retort/train.h"

struct options {
    struct train_options train;
    const char *split;
};

/* clang-format off */
static const struct option options[] = {
    TRAIN_OPTIONS(struct options, train, "3", "5e-5"),
    {"split", OPT_STRING, "\"train\"", 0, 0, NULL, NULL, "split to learn from", offsetof(struct options, split)},
    OPTION_END,
};

static const struct input inputs[] = {
    {"model", KIND_MODEL, true, false, "where to start from"},
    {"task", KIND_TASK, true, false, "what to learn"},
    INPUT_END,
};
/* clang-format on */

static int check(const void *options_, struct err *err)
{
    return train_check(&((const struct options *)options_)->train, err);
}

static int run(struct stage *st)
{
    const struct options *o = st->options;
    const struct train_options *t = &o->train;
    struct model *m = stage_model(st, "model", stage_task(st));
    struct dataset *data = stage_data(st, m, o->split, t->max_len, t->doc_stride);
    struct dataset *dev = stage_data(st, m, t->eval_split, t->max_len, t->doc_stride);

    train_loop(st, m, data, dev, t, NULL);
    stage_output_model(st, m);
    return stage_done(st);
}

const struct method method_finetune = {
    .name = "finetune",
    .summary = "train a model and its head on a task",
    .paper = "Devlin et al. 2019 (arXiv:1810.04805)",
    .version = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .inputs = inputs,
    .outputs = KIND_MODEL,
    .records = RECORDS_TRAINING,
    .uses_seed = true,
    .check = check,
    .run = run,
};
