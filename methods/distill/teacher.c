#include "teacher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/mem.h"

const char *const teacher_states[] = {"none", "cls", "tokens", NULL};

struct teacher {
    struct stage *st;
    struct teacher_need need;
    struct model *model;        /* alongside; NULL: stored */
    const struct dataset *data; /* as the teacher reads it; stored: its student */
    struct tape *tape;
    struct artifact *stored;      /* or NULL */
    const float *logits, *states; /* stored: (examples, classes), (rows, blocks, width) */
    const int32_t *block;         /* stored: (stored_blocks) */
    int64_t classes, width, depth, stored_blocks;
    int64_t *slot;      /* (need.n_blocks) place of a wanted block among the stored */
    int64_t *first_row; /* of each sequence */
};

/* ---- alongside ---- */

int64_t *teacher_rows(const struct dataset *data, enum states states, struct arena *arena)
{
    int64_t *first = arena_alloc(arena, (data->n_seq + 1) * (int64_t)sizeof *first);

    if (!first)
        return NULL;
    first[0] = 0;
    for (int64_t i = 0; i < data->n_seq; i++)
        first[i + 1] = first[i] + (states == STATES_TOKENS ? data->seq[i].n : 1);
    return first;
}

static const float *copy(const struct tensor *t, struct arena *arena)
{
    int64_t bytes = shape_count(t->shape) * (int64_t)sizeof(float);
    float *v = arena_alloc(arena, bytes);

    if (v)
        memcpy(v, t->data, (size_t)bytes);
    return v;
}

int teacher_run(struct stage *st, struct tape *tape, struct model *model,
                const struct batch *batch, const struct teacher_need *need,
                struct arena *arena, struct teacher_says *says)
{
    struct tensor *tap[HF_LAYERS_MAX + 1] = {NULL};
    struct pass p;
    struct output out;

    *says = (struct teacher_says){.width = model->cfg.width};
    says->rows = need->states == STATES_TOKENS ? batch->n_tok : batch->n_seq;
    says->states =
        arena_zalloc(arena, (need->n_blocks + 1) * (int64_t)sizeof *says->states);
    pass_begin(&p, tape, model, batch, TAPE_EVAL, 0);
    p.tap_first = need->states == STATES_CLS ? tap : NULL;
    p.tap_hidden = need->states == STATES_TOKENS ? tap : NULL;
    out = model_forward(&p);
    if (tape_failed(tape, &st->err))
        return -1;
    if (out.logits) {
        says->classes = out.logits->shape.dim[1];
        says->logits = copy(out.logits, arena);
    }
    if (model->head == HEAD_LM) {
        struct tensor *h = take_rows(
            tape, out.hidden, tape_indices(tape, SHAPE(batch->n_mlm), batch->mlm_row));
        if (tape_failed(tape, &st->err))
            return -1;
        says->hidden = copy(h, arena);
        says->n_hidden = batch->n_mlm;
        says->head = model->lm_head;
    }
    for (int64_t i = 0; says->states && i < need->n_blocks; i++)
        says->states[i] = copy(tap[need->block[i]], arena);
    return arena_failed(arena, &st->err);
}

/* ---- stored ---- */

/* What distill/teacher says its features are of. */
void teacher_about(char *out, size_t size, const struct dataset *data)
{
    snprintf(out, size, "%s, max_len %lld", data->name, (long long)data->max_len);
}

static int open_stored(struct teacher *t)
{
    struct stage *st = t->st;
    struct artifact *a = t->stored;
    struct array logits, block, depth;
    const char *const *about;
    int64_t n_about;
    char want[256];

    if (a->array(a->ctx, "/features/logits", &logits, &st->err) ||
        a->array(a->ctx, "/features/blocks", &block, &st->err) ||
        a->array(a->ctx, "/features/depth", &depth, &st->err) ||
        a->text(a->ctx, "/features/data", &about, &n_about, &st->err))
        return -1;
    teacher_about(want, sizeof want, t->data);
    if (strcmp(about[0], want) != 0)
        return stage_fail(st, ERR_INPUT,
                          "the stored features are of %s; wanted are those of %s",
                          about[0], want);
    if (logits.dtype != DT_F32 || logits.shape.rank != 2 ||
        logits.shape.dim[0] != t->data->n || block.dtype != DT_I32 ||
        depth.dtype != DT_I32 || shape_count(depth.shape) != 1)
        return stage_fail(st, ERR_INPUT,
                          "the stored features are not of the %lld examples of %s",
                          (long long)t->data->n, t->data->name);
    t->logits = logits.data;
    t->classes = logits.shape.dim[1];
    t->block = block.data;
    t->stored_blocks = shape_count(block.shape);
    t->depth = *(const int32_t *)depth.data;
    return 0;
}

static int find_states(struct teacher *t)
{
    struct stage *st = t->st;
    struct artifact *a = t->stored;
    struct array states;
    struct err none = ERR_INIT;

    if (a->array(a->ctx, "/features/states", &states, &none) || states.dtype != DT_F32 ||
        states.shape.rank != 3 || states.shape.dim[0] != t->first_row[t->data->n_seq] ||
        states.shape.dim[1] != t->stored_blocks)
        return stage_fail(st, ERR_INPUT, "the stored features hold no states of \"%s\"",
                          teacher_states[t->need.states]);
    t->states = states.data;
    t->width = states.shape.dim[2];
    for (int64_t i = 0; i < t->need.n_blocks; i++) {
        int64_t k = 0;
        while (k < t->stored_blocks && t->block[k] != t->need.block[i])
            k++;
        if (k == t->stored_blocks)
            return stage_fail(st, ERR_INPUT,
                              "block %lld is not among the stored features: name it in "
                              "their \"blocks\"",
                              (long long)t->need.block[i]);
        t->slot[i] = k;
    }
    return 0;
}

/* Rows of a batch out of what is stored. */
static int from_store(struct teacher *t, const struct batch *batch, struct arena *arena,
                      struct teacher_says *says)
{
    int64_t c = t->classes, w = t->width, to = 0;
    float *logits = arena_alloc(arena, batch->n_examples * c * (int64_t)sizeof *logits);

    *says = (struct teacher_says){.logits = logits, .classes = c, .width = w};
    says->states =
        arena_zalloc(arena, (t->need.n_blocks + 1) * (int64_t)sizeof *says->states);
    for (int64_t i = 0; logits && i < batch->n_examples; i++)
        memcpy(logits + i * c, t->logits + batch->example[i] * c,
               (size_t)c * sizeof *logits);
    for (int64_t i = 0; i < batch->n_seq; i++)
        says->rows += t->first_row[batch->seq[i] + 1] - t->first_row[batch->seq[i]];
    for (int64_t k = 0; says->states && k < t->need.n_blocks; k++, to = 0) {
        float *v = arena_alloc(arena, says->rows * w * (int64_t)sizeof *v);
        for (int64_t i = 0; v && i < batch->n_seq; i++)
            for (int64_t r = t->first_row[batch->seq[i]];
                 r < t->first_row[batch->seq[i] + 1]; r++)
                memcpy(v + to++ * w, t->states + (r * t->stored_blocks + t->slot[k]) * w,
                       (size_t)w * sizeof *v);
        says->states[k] = v;
    }
    return arena_failed(arena, &t->st->err);
}

/* ---- both ---- */

static void open_alongside(struct teacher *t, const char *split, int64_t max_len,
                           int64_t doc_stride, enum dtype compute)
{
    struct stage *st = t->st;

    t->model = stage_model(st, "teacher", stage_task(st));
    t->data = stage_data(st, t->model, split, max_len, doc_stride);
    t->tape = stage_tape(st, compute);
    if (stage_failed(st))
        return;
    t->width = t->model->cfg.width;
    t->depth = t->model->cfg.layers;
}

struct teacher *teacher_open(struct stage *st, const struct dataset *data,
                             const char *split, int64_t max_len, int64_t doc_stride,
                             enum dtype compute)
{
    struct teacher *t = stage_failed(st) ? NULL : mem_new(1, sizeof *t, &st->err);

    if (!t)
        return NULL;
    t->st = st;
    t->data = data;
    if (st->input_count(st, "features") > 0)
        t->stored = st->input_artifact(st, "features", 0);
    else if (st->input_count(st, "teacher") == 0)
        stage_fail(st, ERR_INPUT,
                   "there is no teacher: give \"teacher\" (a model) or \"features\" (a "
                   "run of distill/teacher)");
    if (t->stored)
        open_stored(t);
    else if (!stage_failed(st))
        open_alongside(t, split, max_len, doc_stride, compute);
    if (stage_failed(st)) {
        teacher_close(t);
        return NULL;
    }
    return t;
}

int64_t teacher_depth(const struct teacher *t)
{
    return t->depth;
}

int teacher_want(struct teacher *t, const struct teacher_need *need)
{
    struct stage *st = t->st;

    t->need = *need;
    t->slot = arena_zalloc(st->arena, (need->n_blocks + 1) * (int64_t)sizeof *t->slot);
    t->first_row = teacher_rows(t->data, need->states, st->arena);
    if (arena_failed(st->arena, &st->err))
        return -1;
    return t->stored && need->n_blocks > 0 ? find_states(t) : 0;
}

void teacher_close(struct teacher *t)
{
    free(t);
}

int teacher_ask(struct teacher *t, const struct batch *batch, struct arena *arena,
                struct teacher_says *says)
{
    struct batch own;

    if (!t->model)
        return from_store(t, batch, arena, says);
    if (batch_fill(&own, t->data, batch->example, batch->n_examples, arena, &t->st->err))
        return -1;
    return teacher_run(t->st, t->tape, t->model, &own, &t->need, arena, says);
}
