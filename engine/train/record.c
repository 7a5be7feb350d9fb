/*
 * Snapshots: a pass of their own for activations and attention maps, pointers to what the
 * step made for the rest.
 *
 * The step's own pass may leave out what its head does not read (the last block's rows
 * but the first), and sums gradients over the rows it has: tapping it would change the
 * bits of the results. So the same batch goes forward once more, with the same dropout,
 * whose draws have names. Weights and gradients stay where they are until snapshot_end,
 * which comes before the update. All goes out in one call, so a reader never sees half a
 * step.
 */
#include "retort/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/stage.h"
#include "retort/train.h"

/* One array of the snapshot. */
struct held {
    char *path;
    struct array array;
    char *owned;      /* its data, or NULL: it lies elsewhere */
    int64_t capacity; /* rows that fit */
};

struct held_list {
    struct held *v;
    int64_t n, capacity;
};

struct snapshot {
    struct stage *st;
    int64_t step;
    bool weights, gradients;
    int64_t activations, attention; /* examples still wanted */
    int64_t sequences, tokens;      /* taken so far */
    struct held_list grown;  /* rows are added batch by batch: few, found by path */
    struct held_list single; /* made once: many */
    struct tensor *hidden[HF_LAYERS_MAX + 1], *probs[HF_LAYERS_MAX];
};

/* ---- arrays ---- */

static struct held *held_new(struct snapshot *s, struct held_list *list, const char *path)
{
    struct held *h;

    if (stage_failed(s->st) || mem_grow((void **)&list->v, list->n, &list->capacity,
                                        sizeof *list->v, &s->st->err))
        return NULL;
    h = &list->v[list->n];
    memset(h, 0, sizeof *h);
    h->path = mem_strdup(path, &s->st->err);
    if (!h->path)
        return NULL;
    list->n++;
    return h;
}

static struct held *grown_at(struct snapshot *s, const char *path)
{
    for (int64_t i = 0; i < s->grown.n; i++)
        if (!strcmp(s->grown.v[i].path, path))
            return &s->grown.v[i];
    return held_new(s, &s->grown, path);
}

/* Makes the array at `path` longer by `rows` of `width` (0: a vector). */
static void add_rows(struct snapshot *s, const char *path, enum dtype dtype, int64_t rows,
                     int64_t width, const void *data, const char *row_dim,
                     const char *col_dim)
{
    int64_t size = (width ? width : 1) * dtype_bytes(dtype);
    struct held *h = stage_failed(s->st) ? NULL : grown_at(s, path);
    int64_t have = h && h->owned ? h->array.shape.dim[0] : 0;

    if (!h)
        return;
    if (!h->owned || have + rows > h->capacity) {
        int64_t capacity = have + rows > 2 * have ? have + rows : 2 * have;
        char *grown =
            mem_resize(h->owned, capacity ? capacity : 1, (size_t)size, &s->st->err);
        if (!grown)
            return;
        h->owned = grown;
        h->capacity = capacity;
    }
    if (rows)
        memcpy(h->owned + have * size, data, (size_t)(rows * size));
    h->array = (struct array){dtype,
                              width ? SHAPE(have + rows, width) : SHAPE(have + rows),
                              h->owned,
                              {row_dim, col_dim}};
}

/* The first `rows` rows of a tensor of rank 1 or 2. */
static void add_tensor(struct snapshot *s, const char *path, const struct tensor *t,
                       int64_t rows, const char *row_dim, const char *col_dim)
{
    if (t)
        add_rows(s, path, t->dtype, rows, t->shape.rank > 1 ? t->shape.dim[1] : 0,
                 t->data, row_dim, col_dim);
}

static void point_at(struct snapshot *s, const char *group, const struct param *p,
                     const void *data)
{
    char path[400];

    snprintf(path, sizeof path, "%s/%s", group, p->name);
    struct held *h = held_new(s, &s->single, path);
    if (h)
        h->array = (struct array){DT_F32, p->value.shape, data, {NULL}};
}

/* ---- a step ---- */

static bool due(int64_t every, int64_t step)
{
    return every > 0 && step % every == 0;
}

struct snapshot *snapshot_begin(struct stage *st, int64_t step)
{
    const struct record_options *r = &st->record;
    struct snapshot *s;

    if (stage_failed(st) || (!due(r->weights, step) && !due(r->gradients, step) &&
                             !due(r->activations, step) && !due(r->attention, step)))
        return NULL;
    s = mem_new(1, sizeof *s, &st->err);
    if (!s)
        return NULL;
    s->st = st;
    s->step = step;
    s->weights = due(r->weights, step);
    s->gradients = due(r->gradients, step);
    s->activations = due(r->activations, step) ? r->activation_examples : 0;
    s->attention = due(r->attention, step) ? r->attention_examples : 0;
    return s;
}

/* Sequences of the batch's first examples, at most `examples` of them, which are counted
 * down. */
static int64_t take_sequences(int64_t *examples, const struct batch *b,
                              const struct dataset *data)
{
    int64_t n = 0;

    for (int64_t e = 0; e<b->n_examples && * examples> 0; e++) {
        n += data->first[b->example[e] + 1] - data->first[b->example[e]];
        if (*examples != RECORD_ALL_EXAMPLES)
            --*examples;
    }
    return n;
}

static void add_activations(struct snapshot *s, const struct pass *p,
                            const struct output *out, int64_t sequences)
{
    const struct batch *b = p->batch;
    int64_t tokens = b->offset[sequences];
    char path[96];

    for (int64_t l = 0; l <= p->model->cfg.layers; l++) {
        if (l)
            snprintf(path, sizeof path, "activations/encoder.layer.%lld",
                     (long long)l - 1);
        else
            snprintf(path, sizeof path, "activations/embeddings");
        add_tensor(s, path, s->hidden[l], tokens, "token", "channel");
    }
    add_tensor(s, "activations/pooled", out->pooled, sequences, "sequence", "channel");
    if (!out->logits)
        return;
    if (p->model->head == HEAD_SPAN)
        add_tensor(s, "activations/logits", out->logits, tokens, "token", "class");
    else if (p->model->head == HEAD_CHOICE) /* one row an example */
        add_tensor(s, "activations/logits", out->logits,
                   sequences / (b->n_seq / b->n_examples), "example", "choice");
    else if (p->model->head != HEAD_MLM)
        add_tensor(s, "activations/logits", out->logits, sequences, "sequence", "class");
}

/* The maps of a layer lie one after another: for each sequence and head T * T values. */
static void add_maps(struct snapshot *s, const struct pass *p, int64_t layer,
                     int64_t sequences)
{
    const struct tensor *probs = s->probs[layer];
    int64_t heads = p->model->block[layer].attn.heads, at = 0;

    for (int64_t i = 0; probs && i < sequences; i++) {
        int64_t t = p->batch->offset[i + 1] - p->batch->offset[i];
        int64_t bytes = heads * t * t * dtype_bytes(probs->dtype);
        char path[96];
        snprintf(path, sizeof path, "attention/encoder.layer.%lld/%lld", (long long)layer,
                 (long long)(s->sequences + i));
        struct held *h = held_new(s, &s->single, path);
        if (!h || !(h->owned = mem_new(bytes, 1, &s->st->err)))
            return;
        if (bytes)
            memcpy(h->owned, (const char *)probs->data + at, (size_t)bytes);
        h->array = (struct array){
            probs->dtype, SHAPE(heads, t, t), h->owned, {"head", "query", "key"}};
        at += bytes;
    }
}

/* Which examples, sequences and tokens the rows are. */
static void add_batch(struct snapshot *s, const struct pass *p,
                      const struct dataset *data, int64_t sequences)
{
    const struct batch *b = p->batch;

    if (s->sequences == 0) {
        int32_t zero = 0;
        add_rows(s, "batch/offset", DT_I32, 1, 0, &zero, NULL, NULL);
    }
    for (int64_t i = 0; i < sequences; i++) {
        int32_t end = (int32_t)(s->tokens + b->offset[i + 1]);
        int64_t example = data->index[data->seq[b->seq[i]].example];
        add_rows(s, "batch/offset", DT_I32, 1, 0, &end, NULL, NULL);
        add_rows(s, "batch/example", DT_I64, 1, 0, &example, "sequence", NULL);
    }
    add_rows(s, "batch/token", DT_I32, b->offset[sequences], 0, b->id, "token", NULL);
    add_rows(s, "batch/type", DT_I32, b->offset[sequences], 0, b->type, "token", NULL);
    s->sequences += sequences;
    s->tokens += b->offset[sequences];
}

static void copy_pass(struct snapshot *s, const struct pass *p, const struct output *out,
                      const struct dataset *data)
{
    int64_t activations = take_sequences(&s->activations, p->batch, data);
    int64_t maps = take_sequences(&s->attention, p->batch, data);

    if (activations)
        add_activations(s, p, out, activations);
    for (int64_t l = 0; maps && l < p->model->cfg.layers; l++)
        add_maps(s, p, l, maps);
    add_batch(s, p, data, activations > maps ? activations : maps);
}

static bool wants_pass(const struct snapshot *s)
{
    return s && !stage_failed(s->st) && (s->activations > 0 || s->attention > 0);
}

void snapshot_batch(struct snapshot *s, struct tape *tape, struct model *model,
                    const struct batch *batch, const struct dataset *data, bool training)
{
    struct pass p;
    struct output out;

    if (!wants_pass(s))
        return;
    pass_begin(&p, tape, model, batch, training ? TAPE_DROPOUT : TAPE_EVAL, PASS_HIDDEN);
    p.seed = s->st->seed;
    p.step = s->step;
    p.tap_hidden = s->hidden;
    p.tap_probs = s->attention > 0 ? s->probs : NULL;
    out = model_forward(&p);
    if (!tape_failed(tape, &s->st->err))
        copy_pass(s, &p, &out, data);
}

void snapshot_params(struct snapshot *s, const struct optimizer *opt)
{
    for (int64_t k = 0; s && s->weights && k < opt->n; k++)
        point_at(s, "weights", opt->param[k], opt->param[k]->value.data);
    for (int64_t k = 0; s && s->gradients && k < opt->n; k++)
        if (opt->param[k]->grad)
            point_at(s, "gradients", opt->param[k], opt->param[k]->grad);
}

static int64_t list_arrays(struct recorded *out, const struct held_list *list)
{
    for (int64_t i = 0; i < list->n; i++)
        out[i] = (struct recorded){list->v[i].path, list->v[i].array};
    return list->n;
}

static void hand_on(struct snapshot *s)
{
    struct stage *st = s->st;
    struct recorded *list = mem_new(s->grown.n + s->single.n, sizeof *list, &st->err);

    if (!list)
        return;
    int64_t n = list_arrays(list, &s->grown);
    n += list_arrays(list + n, &s->single);
    if (n)
        st->rec.snapshot(st->rec.ctx, s->step, list, n, &st->err);
    free(list);
}

static void release(struct held_list *list)
{
    for (int64_t i = 0; i < list->n; i++) {
        free(list->v[i].path);
        free(list->v[i].owned);
    }
    free(list->v);
}

void snapshot_end(struct snapshot *s)
{
    if (!s)
        return;
    if (!stage_failed(s->st))
        hand_on(s);
    release(&s->grown);
    release(&s->single);
    free(s);
}

/* ---- a stage without steps ---- */

void snapshot_data(struct stage *st, struct model *model, const struct dataset *data,
                   struct tape *tape)
{
    enum { AT_ONCE = 8 }; /* examples of one pass */
    struct snapshot *s = data ? snapshot_begin(st, 0) : NULL;
    struct arena *arena = s ? arena_new(&st->err) : NULL;
    int64_t pick[AT_ONCE];

    for (int64_t i = 0; arena && i < data->n && wants_pass(s);) {
        struct batch batch;
        int64_t n = 0;
        while (n < AT_ONCE && i < data->n)
            pick[n++] = i++;
        arena_clear(arena);
        if (batch_fill(&batch, data, pick, n, arena, &st->err))
            break;
        snapshot_batch(s, tape, model, &batch, data, false);
    }
    arena_free(arena);
    snapshot_end(s);
}
