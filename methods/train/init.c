/*
 * init: a BERT of a given shape with drawn weights, for tasks that bring their
 * vocabulary.
 */
#include "retort/method.h"

#include <string.h>

struct options {
    int64_t layers, width, heads, ffn, positions;
    double dropout, range;
};

/* clang-format off */
static const struct option options[] = {
    {"layers", OPT_INT, "2", 1, HF_LAYERS_MAX, NULL, "blocks", "number of blocks", offsetof(struct options, layers)},
    {"width", OPT_INT, "64", 1, 65536, NULL, "channels", "width of the hidden states", offsetof(struct options, width)},
    {"heads", OPT_INT, "4", 1, HF_HEADS_MAX, NULL, "heads", "attention heads of a block", offsetof(struct options, heads)},
    {"ffn", OPT_INT, "128", 1, 262144, NULL, "neurons", "width of the feed-forward layer", offsetof(struct options, ffn)},
    {"positions", OPT_INT, "128", 8, 65536, NULL, "tokens", "longest input", offsetof(struct options, positions)},
    {"dropout", OPT_REAL, "0.1", 0, 0.99, NULL, NULL, "of hidden states and attention maps", offsetof(struct options, dropout)},
    {"range", OPT_REAL, "0.02", 0, 100, NULL, NULL, "standard deviation of the drawn weights", offsetof(struct options, range)},
    OPTION_END,
};

static const struct input inputs[] = {
    {"task", KIND_TASK, true, false, "a generated task, for its vocabulary"},
    INPUT_END,
};
/* clang-format on */

static int check(const void *options_, struct err *err)
{
    const struct options *o = options_;

    if (o->width % o->heads)
        return err_set(err, ERR_INPUT, "width %lld is not a multiple of heads %lld",
                       (long long)o->width, (long long)o->heads);
    return 0;
}

static int run(struct stage *st)
{
    const struct options *o = st->options;
    const struct task *task = stage_task(st);
    struct hf_config cfg;
    struct model *m = NULL;

    if (!task)
        return stage_done(st);
    if (!task->vocab)
        return stage_fail(st, ERR_INPUT,
                          "%s brings no vocabulary; init needs a generated task",
                          task->name);
    hf_config_defaults(&cfg);
    cfg.layers = o->layers;
    cfg.width = o->width;
    cfg.heads = o->heads;
    cfg.ffn = o->ffn;
    cfg.positions = o->positions;
    cfg.dropout = cfg.attention_dropout = o->dropout;
    cfg.init_range = o->range;
    cfg.eps = 1e-12;
    cfg.types = 2;
    cfg.classifier_dropout = -1;
    cfg.lower_case = true;
    cfg.vocab = 0;
    for (const char *c = task->vocab; *c; c++)
        cfg.vocab += *c == '\n';
    for (int64_t l = 0; l < o->layers; l++) {
        cfg.heads_kept[l] = o->heads;
        cfg.ffn_kept[l] = o->ffn;
    }
    if (model_random(&m, &cfg, task->vocab, (int64_t)strlen(task->vocab), HEAD_NONE, 0,
                     st->seed, &st->err))
        return -1;
    stage_output_model(st, m);
    model_free(m);
    return stage_done(st);
}

const struct method method_init = {
    .name = "init",
    .summary = "a transformer of a given shape with drawn weights",
    .version = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .inputs = inputs,
    .outputs = KIND_MODEL,
    .uses_seed = true,
    .check = check,
    .run = run,
};
