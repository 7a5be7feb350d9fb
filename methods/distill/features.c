/*
 * distill/teacher: what a teacher says about a split, computed once for all its students:
 * logits, and states of chosen blocks.
 *
 *     /features/logits   (example, class)
 *     /features/states   (row, block, channel); a row is a sequence ([CLS]) or a token
 *     /features/blocks   numbers from 1 of the stored blocks
 *     /features/depth    blocks of the teacher
 *     /features/data     the split and the cut that they are of
 */
#include "retort/method.h"
#include "retort/train.h"
#include "teacher.h"

#include <string.h>

enum { BATCH = 32 };

struct options {
    const char *split;
    int64_t max_len, doc_stride;
    int states, dtype;
    struct int_list blocks;
};

/* clang-format off */
static const struct option options[] = {
    {"split", OPT_STRING, "\"train\"", 0, 0, NULL, NULL, "split to speak about", offsetof(struct options, split)},
    {"max_len", OPT_INT, "128", 8, 65536, NULL, "tokens", "longer inputs are cut, pairs longest first", offsetof(struct options, max_len)},
    {"doc_stride", OPT_INT, "128", 1, 65536, NULL, "tokens", "overlap of the windows of a long context", offsetof(struct options, doc_stride)},
    {"states", OPT_ENUM, "\"cls\"", 0, 0, teacher_states, NULL, "hidden states to store: of [CLS], of all tokens, none", offsetof(struct options, states)},
    {"blocks", OPT_INTS, "[]", 1, HF_LAYERS_MAX, NULL, "blocks", "whose states, numbered from 1; empty: all", offsetof(struct options, blocks)},
    {"dtype", OPT_ENUM, "\"f32\"", 0, 0, train_dtypes, NULL, "type of matrix products", offsetof(struct options, dtype)},
    OPTION_END,
};

static const struct input inputs[] = {
    {"model", KIND_MODEL, true, false, "the teacher, fine-tuned"},
    {"task", KIND_TASK, true, false, "the task it speaks about"},
    INPUT_END,
};
/* clang-format on */

/* All that was said so far. */
struct record {
    int64_t examples, rows; /* done */
    int64_t classes, width;
    float *logits, *states;
};

static void keep(struct record *r, const struct batch *b, const struct teacher_says *says,
                 int64_t n_blocks)
{
    int64_t w = r->width;

    memcpy(r->logits + r->examples * r->classes, says->logits,
           (size_t)(b->n_examples * r->classes) * sizeof(float));
    for (int64_t i = 0; i < says->rows; i++)
        for (int64_t k = 0; k < n_blocks; k++)
            memcpy(r->states + ((r->rows + i) * n_blocks + k) * w,
                   says->states[k] + i * w, (size_t)w * sizeof(float));
    r->examples += b->n_examples;
    r->rows += n_blocks > 0 ? says->rows : 0;
}

/* Goes through the split in its order. */
static int speak(struct stage *st, struct model *m, const struct dataset *data,
                 struct tape *tape, const struct teacher_need *need, struct record *r)
{
    struct arena *arena = arena_new(&st->err);

    while (arena && r->examples < data->n && !stage_failed(st)) {
        int64_t pick[BATCH],
            n = data->n - r->examples < BATCH ? data->n - r->examples : BATCH;
        struct batch b;
        struct teacher_says says;
        for (int64_t i = 0; i < n; i++)
            pick[i] = r->examples + i;
        arena_clear(arena);
        if (batch_fill(&b, data, pick, n, arena, &st->err) ||
            teacher_run(st, tape, m, &b, need, arena, &says))
            break;
        if (says.classes != r->classes) {
            stage_fail(st, ERR_INPUT, "example %lld has %lld choices, the first has %lld",
                       (long long)r->examples, (long long)says.classes,
                       (long long)r->classes);
            break;
        }
        keep(r, &b, &says, need->n_blocks);
        stage_progress(st, r->examples, data->n, "example %lld/%lld",
                       (long long)r->examples, (long long)data->n);
        if (st->checkpoint(st, false))
            break;
    }
    arena_free(arena);
    return stage_done(st);
}

static void record(struct stage *st, const struct record *r, const struct dataset *data,
                   const struct teacher_need *need, int64_t depth)
{
    int32_t block[HF_LAYERS_MAX], deep = (int32_t)depth;
    char about[256];
    struct array logits = {
        DT_F32, SHAPE(data->n, r->classes), r->logits, {"example", "class"}};
    struct array states = {
        DT_F32,
        SHAPE(r->rows, need->n_blocks, r->width),
        r->states,
        {need->states == STATES_TOKENS ? "token" : "sequence", "block", "channel"}};
    struct array blocks = {DT_I32, SHAPE(need->n_blocks), block, {"block"}};
    struct array all = {DT_I32, SCALAR, &deep, {NULL}};

    for (int64_t i = 0; i < need->n_blocks; i++)
        block[i] = (int32_t)need->block[i];
    stage_array(st, "/features/logits", &logits);
    if (need->n_blocks > 0)
        stage_array(st, "/features/states", &states);
    stage_array(st, "/features/blocks", &blocks);
    stage_array(st, "/features/depth", &all);
    teacher_about(about, sizeof about, data);
    stage_text(st, "/features/data", about);
}

/* The blocks asked for, or all. */
static int choose_blocks(struct stage *st, struct teacher_need *need, int64_t *all,
                         int64_t depth)
{
    const struct options *o = st->options;

    *need = (struct teacher_need){(enum states)o->states, o->blocks.v, o->blocks.n};
    for (int64_t i = 0; i < depth; i++)
        all[i] = i + 1;
    if (o->states == STATES_NONE)
        need->n_blocks = 0;
    else if (o->blocks.n == 0)
        *need = (struct teacher_need){(enum states)o->states, all, depth};
    for (int64_t i = 0; i < need->n_blocks; i++)
        if (need->block[i] > depth)
            return stage_fail(st, ERR_INPUT,
                              "blocks: there is no block %lld; the teacher has %lld",
                              (long long)need->block[i], (long long)depth);
    return 0;
}

static int run(struct stage *st)
{
    const struct options *o = st->options;
    const struct task *task = stage_task(st);
    struct model *m = stage_model(st, "model", task);
    struct dataset *data = stage_data(st, m, o->split, o->max_len, o->doc_stride);
    struct tape *tape = stage_tape(st, o->dtype == 1 ? DT_BF16 : DT_F32);
    struct record r = {0};
    struct teacher_need need;
    int64_t all[HF_LAYERS_MAX], *first;

    if (stage_failed(st) || choose_blocks(st, &need, all, m->cfg.layers))
        return -1;
    if (m->head != HEAD_CLASSES && m->head != HEAD_CHOICE && m->head != HEAD_REGRESSION)
        return stage_fail(st, ERR_INPUT,
                          "%s: a teacher speaks about classes, choices or values",
                          task->name);
    first = teacher_rows(data, need.states, st->arena);
    r.width = m->cfg.width;
    r.classes = m->head == HEAD_CHOICE && data->n > 0 ? data->first[1] : m->cfg.labels;
    r.logits = arena_zalloc(st->arena, data->n * r.classes * (int64_t)sizeof *r.logits);
    r.states = first ? arena_zalloc(st->arena, first[data->n_seq] * need.n_blocks *
                                                   r.width * (int64_t)sizeof *r.states)
                     : NULL;
    if (arena_failed(st->arena, &st->err))
        return -1;
    if (st->state(st, "teacher/done", &r, (int64_t)offsetof(struct record, classes)) ||
        st->state(st, "teacher/logits", r.logits, data->n * r.classes * 4) ||
        (need.n_blocks > 0 &&
         st->state(st, "teacher/states", r.states,
                   first[data->n_seq] * need.n_blocks * r.width * 4)))
        return -1;
    st->restore(st);
    if (speak(st, m, data, tape, &need, &r) == 0)
        record(st, &r, data, &need, m->cfg.layers);
    return stage_done(st);
}

const struct method method_distill_teacher = {
    .name = "distill/teacher",
    .summary = "what a teacher says about a split, stored for its students",
    .paper = "Sun, Cheng, Gan & Liu 2019 (arXiv:1908.09355)",
    .version = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .inputs = inputs,
    .outputs = KIND_FEATURES,
    .run = run,
};
