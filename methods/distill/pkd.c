/*
 * distill/pkd: Patient Knowledge Distillation (Sun, Cheng, Gan & Liu 2019):
 *
 *     L = (1 - alpha) L_hard + alpha L_soft + beta L_states        (eq. 5 to 8; terms.h)
 *
 * beta 0 is vanilla distillation (Hinton et al. 2015), alpha = beta = 0 plain
 * fine-tuning, to the bit.
 */
#include "retort/method.h"
#include "retort/train.h"
#include "terms.h"

#include <string.h>

struct options {
    struct train_options train;
    const char *split;
    double alpha, beta, temperature;
    int scaling, states, layers;
    bool normalize;
    struct int_list blocks;
};

/* clang-format off */
static const struct option options[] = {
    TRAIN_OPTIONS(struct options, train, "4", "5e-5"),
    {"split", OPT_STRING, "\"train\"", 0, 0, NULL, NULL, "split to learn from", offsetof(struct options, split)},
    {"alpha", OPT_REAL, "0.5", 0, 1, NULL, NULL, "share of the soft labels; the hard ones have the rest", offsetof(struct options, alpha)},
    {"temperature", OPT_REAL, "10", 1e-3, 1e6, NULL, NULL, "softens the labels of teacher and student", offsetof(struct options, temperature)},
    {"beta", OPT_REAL, "100", 0, 1e9, NULL, NULL, "weight of the distance of states", offsetof(struct options, beta)},
    {"scaling", OPT_ENUM, "\"code\"", 0, 0, term_scalings, NULL, "code: means over classes and channels too, which the published grids are for; published: sums; hinton: T^2 and the mean over examples", offsetof(struct options, scaling)},
    {"states", OPT_ENUM, "\"cls\"", 0, 0, teacher_states, NULL, "states that follow the teacher's: of [CLS], of all tokens, none", offsetof(struct options, states)},
    {"normalize", OPT_BOOL, "true", 0, 0, NULL, NULL, "states to unit length before they are compared", offsetof(struct options, normalize)},
    {"layers", OPT_ENUM, "\"skip\"", 0, 0, layer_maps, NULL, "blocks of the teacher to follow: skip (every k-th), last (the last before the top), every (the top too)", offsetof(struct options, layers)},
    {"blocks", OPT_INTS, "[]", 1, HF_LAYERS_MAX, NULL, "blocks", "or these, numbered from 1, for the student's blocks 1, 2, ...", offsetof(struct options, blocks)},
    OPTION_END,
};

static const struct input inputs[] = {
    {"model", KIND_MODEL, true, false, "where the student starts from"},
    {"task", KIND_TASK, true, false, "what to learn"},
    {"teacher", KIND_MODEL, false, false, "the teacher, run alongside"},
    {"features", KIND_FEATURES, false, false, "or what it said, of distill/teacher"},
    INPUT_END,
};
/* clang-format on */

static int check(const void *options_, struct err *err)
{
    const struct options *o = options_;

    if (o->scaling == SCALING_PUBLISHED && o->train.accumulate > 1)
        return err_set(err, ERR_INPUT,
                       "scaling \"published\" sums over the batch: accumulate must be 1");
    return train_check(&o->train, err);
}

struct student {
    struct stage *st;
    struct teacher *teacher; /* NULL: nothing is asked of one */
    struct distiller d;
    struct tensor *tap[HF_LAYERS_MAX + 1];
    double sum[TERMS]; /* of the step's micro-batches, by their examples */
    int64_t examples;
};

static void prepare(void *ctx, struct pass *p)
{
    struct student *s = ctx;

    if (s->d.n_pairs == 0)
        return;
    memset(s->tap, 0, sizeof s->tap);
    p->tap_first = s->d.states == STATES_CLS ? s->tap : NULL;
    p->tap_hidden = s->d.states == STATES_TOKENS ? s->tap : NULL;
}

static struct tensor *loss(void *ctx, struct pass *p, const struct output *out)
{
    struct student *s = ctx;
    struct teacher_says says = {.classes = 0};
    double value[TERMS];
    struct tensor *sum;

    if (s->teacher && teacher_ask(s->teacher, p->batch, tape_arena(p->tape), &says)) {
        tape_fail(p->tape, s->st->err.code, "%s", s->st->err.text);
        return NULL;
    }
    sum = terms_loss(&s->d, p, out, &says, value);
    for (int i = 0; i < TERMS; i++)
        s->sum[i] += value[i] * (double)p->batch->n_examples;
    s->examples += p->batch->n_examples;
    return sum;
}

/* The terms' values, each by itself, as series. */
static int after_step(void *ctx, struct model *model, int64_t step, int64_t total,
                      struct err *err)
{
    struct student *s = ctx;

    (void)model;
    (void)total;
    (void)err;
    for (int i = 0; i < TERMS; i++)
        if (s->d.weight[i] != 0)
            stage_metric(
                s->st,
                arena_printf(s->st->arena, "train/loss_%s", term_name((enum term)i)),
                step - 1, s->sum[i] / (double)s->examples);
    memset(s->sum, 0, sizeof s->sum);
    s->examples = 0;
    return 0;
}

/* Which blocks of the teacher the student's blocks 1 .. n_pairs follow; their number, or
 * -1. */
static int64_t choose_pairs(struct stage *st, int64_t *block, int64_t depth, int64_t n)
{
    const struct options *o = st->options;
    int64_t pairs = o->blocks.n;

    if (o->beta == 0 || o->states == STATES_NONE)
        return 0;
    if (pairs == 0)
        pairs = layer_map(block, (enum layer_map)o->layers, depth, n);
    else
        memcpy(block, o->blocks.v, (size_t)(pairs <= n ? pairs : 0) * sizeof *block);
    if (pairs < 0)
        return stage_fail(st, ERR_INPUT,
                          "layers \"%s\": %lld blocks of a teacher do not divide among "
                          "%lld of a student; "
                          "name them in \"blocks\"",
                          layer_maps[o->layers], (long long)depth, (long long)n);
    if (pairs > n)
        return stage_fail(st, ERR_INPUT, "blocks: %lld are named, the student has %lld",
                          (long long)pairs, (long long)n);
    for (int64_t i = 0; i < pairs; i++)
        if (block[i] > depth)
            return stage_fail(st, ERR_INPUT,
                              "blocks: there is no block %lld; the teacher has %lld",
                              (long long)block[i], (long long)depth);
    return pairs;
}

static int begin(struct student *s, const struct model *m, const struct dataset *data,
                 int64_t *block)
{
    struct stage *st = s->st;
    const struct options *o = st->options;
    const struct train_options *t = &o->train;

    s->d =
        (struct distiller){.weight = {[TERM_HARD] = 1 - o->alpha, [TERM_SOFT] = o->alpha},
                           .temperature = o->temperature,
                           .scaling = (enum scaling)o->scaling,
                           .normalize = o->normalize,
                           .states = (enum states)o->states,
                           .tap = s->tap};
    if (o->alpha == 0 && (o->beta == 0 || o->states == STATES_NONE))
        return stage_done(st);
    if (o->alpha > 0 && m->head != HEAD_CLASSES && m->head != HEAD_CHOICE &&
        m->head != HEAD_LM)
        return stage_fail(st, ERR_INPUT,
                          "soft labels need classes, choices or next tokens; use alpha 0 "
                          "here");
    s->teacher = teacher_open(st, data, o->split, t->max_len, t->doc_stride,
                              t->dtype == 1 ? DT_BF16 : DT_F32);
    if (!s->teacher)
        return -1;
    s->d.n_pairs = choose_pairs(st, block, teacher_depth(s->teacher), m->cfg.layers);
    if (stage_failed(st))
        return -1;
    s->d.weight[TERM_STATES] = s->d.n_pairs > 0 ? o->beta : 0;
    return teacher_want(s->teacher,
                        &(struct teacher_need){s->d.states, block, s->d.n_pairs});
}

static int run(struct stage *st)
{
    const struct options *o = st->options;
    const struct train_options *t = &o->train;
    struct model *m = stage_model(st, "model", stage_task(st));
    struct dataset *data = stage_data(st, m, o->split, t->max_len, t->doc_stride);
    struct dataset *dev = stage_data(st, m, t->eval_split, t->max_len, t->doc_stride);
    struct student s = {.st = st};
    struct train_hooks hooks = {
        .ctx = &s, .prepare = prepare, .loss = loss, .after_step = after_step};
    int64_t block[HF_LAYERS_MAX];

    if (!stage_failed(st) && begin(&s, m, data, block) == 0) {
        train_loop(st, m, data, dev, t, &hooks);
        stage_output_model(st, m);
    }
    teacher_close(s.teacher);
    return stage_done(st);
}

const struct method method_distill_pkd = {
    .name = "distill/pkd",
    .summary = "a student learns from labels, a teacher's soft labels and its states",
    .paper = "Sun, Cheng, Gan & Liu 2019 (arXiv:1908.09355)",
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
