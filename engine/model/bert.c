/*
 * BERT (Devlin et al. 2019): the equations, once. x: (N, C) packed tokens of all
 * sequences.
 */
#include "internal.h"

#include <string.h>

/* Sum of word, position and type vectors, normalised. */
static struct tensor *embed(struct pass *p)
{
    struct model *m = p->model;
    const struct batch *b = p->batch;
    struct tape *t = p->tape;
    struct shape n = SHAPE(b->n_tok);
    struct tensor *x = embedding(t, tape_param(t, m->word), tape_indices(t, n, b->id));

    x = add(t, x, embedding(t, tape_param(t, m->type), tape_indices(t, n, b->type)));
    x = site_add_norm(
        p, &m->embed_ln, x, NULL, 0,
        embedding(t, tape_param(t, m->position), tape_indices(t, n, b->position)));
    return site_dropout(p, "embeddings", m->cfg.dropout, x);
}

/* One post-norm encoder block (Devlin et al. 2019; Vaswani et al. 2017, section 3.1). */
static struct tensor *block(struct pass *p, const struct bert_block *b, struct tensor *x)
{
    double drop = p->model->cfg.dropout;
    struct tensor *a, *h;

    a = site_linear(p, &b->attn_out, site_attention(p, &b->attn, x));
    x = p->first_only ? pass_first(p, x) : x;
    x = site_add_norm(p, &b->ln1, x, b->attn_out.name, drop, a);
    h = site_linear(p, &b->ffn_out, site_active(p, &b->ffn_in, x));
    return site_add_norm(p, &b->ln2, x, b->ffn_out.name, drop, h);
}

/* tanh(W h[CLS] + b): [CLS] is the first row of each sequence. */
static struct tensor *pool(struct pass *p, struct tensor *x)
{
    return tanh_act(p->tape, site_linear(p, &p->model->pooler, pass_first(p, x)));
}

/* A pooler reads [CLS] alone, so past its keys and values the last block needs no other
 * rows, forward and backward: a seventh of the work of six layers. */
static bool reads_first_only(const struct pass *p, int64_t layer)
{
    return layer == p->model->cfg.layers - 1 && head_has_pooler(p->model->head) &&
           !(p->flags & PASS_HIDDEN) && !p->tap_hidden && !p->tap_probs &&
           !p->tap_context;
}

/* Dropout before the classifier; its rows are sequences, named by example and part. */
static struct tensor *classify(struct pass *p, struct tensor *pooled)
{
    struct model *m = p->model;
    const struct batch *b = p->batch;
    double drop =
        m->cfg.classifier_dropout < 0 ? m->cfg.dropout : m->cfg.classifier_dropout;
    struct dropout_key key = {p->seed, "classifier", p->step};
    int64_t bytes = b->n_seq * (int64_t)sizeof(int32_t);
    int32_t *example = arena_alloc(tape_arena(p->tape), bytes);
    int32_t *part = arena_alloc(tape_arena(p->tape), bytes);

    if (!example || !part) {
        tape_fail(p->tape, ERR_MEMORY, "no memory for a batch");
        return NULL;
    }
    for (int64_t i = 0; i < b->n_seq; i++) {
        int32_t row = b->offset[i];
        example[i] = b->row_example[row];
        part[i] = i > 0 && example[i - 1] == example[i] ? part[i - 1] + 1 : 0;
    }
    struct rows rows = {b->n_seq, example, part};
    return site_linear(p, &m->classifier, dropout(p->tape, pooled, drop, &rows, &key));
}

static struct tensor *mlm_logits(struct pass *p, struct tensor *x, bool decode)
{
    struct model *m = p->model;
    struct tape *t = p->tape;
    struct tensor *h =
        take_rows(t, x, tape_indices(t, SHAPE(p->batch->n_mlm), p->batch->mlm_row));

    h = site_norm(p, &m->mlm_ln, site_active(p, &m->mlm_dense, h));
    return decode ? linear(t, h, tape_param(t, m->word), tape_param(t, m->mlm_bias)) : h;
}

/* The first row of each sequence, as dropout names it. */
static void name_first_rows(struct pass *p)
{
    const struct batch *b = p->batch;
    int64_t bytes = b->n_seq * (int64_t)sizeof(int32_t);
    int32_t *example = arena_alloc(tape_arena(p->tape), bytes);
    int32_t *position = arena_alloc(tape_arena(p->tape), bytes);

    if (!example || !position) {
        tape_fail(p->tape, ERR_MEMORY, "no memory for a batch");
        return;
    }
    for (int64_t i = 0; i < b->n_seq; i++) {
        example[i] = b->row_example[b->offset[i]];
        position[i] = b->position[b->offset[i]];
    }
    p->first_rows = (struct rows){b->n_seq, example, position};
}

void pass_begin(struct pass *p, struct tape *tape, struct model *model,
                const struct batch *batch, int tape_flags, unsigned pass_flags)
{
    memset(p, 0, sizeof *p);
    p->tape = tape;
    p->model = model;
    p->batch = batch;
    p->flags = pass_flags;
    tape_begin(tape, (enum tape_flags)tape_flags);
    p->rows = (struct rows){batch->n_tok, batch->row_example, batch->position};
    p->offsets = tape_indices(tape, SHAPE(batch->n_seq + 1), batch->offset);
    name_first_rows(p);
}

struct output model_forward(struct pass *p)
{
    struct model *m = p->model;
    struct output out = {NULL, NULL, NULL};
    int64_t end = p->end_block > 0 ? p->end_block : m->cfg.layers;
    struct tensor *x =
        p->start ? tape_constant(p->tape, SHAPE(p->batch->n_tok, m->cfg.width), p->start)
                 : embed(p);

    if (p->tap_hidden)
        p->tap_hidden[0] = x;
    if (p->tap_first)
        p->tap_first[0] = pass_first(p, x);
    for (int64_t l = p->first_block; l < end; l++) {
        struct arena_mark mark = tape_mark(p->tape);
        p->first_only = reads_first_only(p, l);
        x = block(p, &m->block[l], x);
        if (p->tap_hidden)
            p->tap_hidden[l + 1] = x;
        if (p->tap_first)
            p->tap_first[l + 1] = pass_first(p, x);
        if (!p->tap_hidden && !p->tap_first && !p->tap_probs)
            x = tape_keep(p->tape, mark, x);
    }
    out.hidden = p->first_only ? NULL : x;
    if (end < m->cfg.layers)
        return out;
    if (head_has_pooler(m->head)) {
        out.pooled = pool(p, x);
        out.logits = classify(p, out.pooled);
    }
    if (m->head == HEAD_CHOICE && p->batch->n_examples > 0)
        out.logits =
            reshape(p->tape, out.logits,
                    SHAPE(p->batch->n_examples, p->batch->n_seq / p->batch->n_examples));
    if (m->head == HEAD_SPAN)
        out.logits = site_linear(p, &m->classifier, x);
    if (m->head == HEAD_MLM && !tape_records(p->tape))
        out.logits = mlm_logits(p, x, true);
    return out;
}

/* Mean of the losses of start and end (Devlin et al. 2019, 4.2; the mean
 * as in its code). */
static struct tensor *span_loss(struct pass *p, const struct output *out,
                                struct tensor **each)
{
    struct tape *t = p->tape;
    struct shape b = SHAPE(p->batch->n_seq);
    struct tensor *each_end = NULL;
    struct tensor *start =
        segment_cross_entropy(t, take_column(t, out->logits, 0), p->offsets,
                              tape_indices(t, b, p->batch->start), each);
    struct tensor *end =
        segment_cross_entropy(t, take_column(t, out->logits, 1), p->offsets,
                              tape_indices(t, b, p->batch->end), each ? &each_end : NULL);

    if (each && *each && each_end)
        *each = scale(t, add(t, *each, each_end), 0.5);
    return scale(t, add(t, start, end), 0.5);
}

struct tensor *model_loss(struct pass *p, const struct output *out, struct tensor **each)
{
    struct tape *t = p->tape;
    const struct batch *b = p->batch;

    switch (p->model->head) {
    case HEAD_CLASSES:
        return cross_entropy(t, out->logits, tape_indices(t, SHAPE(b->n_seq), b->label),
                             each);
    case HEAD_CHOICE:
        return cross_entropy(t, out->logits,
                             tape_indices(t, SHAPE(b->n_examples), b->label), each);
    case HEAD_REGRESSION:
        return squared_error(t, out->logits, tape_constant(t, SHAPE(b->n_seq), b->value),
                             each);
    case HEAD_SPAN:
        return span_loss(p, out, each);
    case HEAD_MLM:
        return linear_cross_entropy(t, mlm_logits(p, out->hidden, false),
                                    tape_param(t, p->model->word),
                                    tape_param(t, p->model->mlm_bias),
                                    tape_indices(t, SHAPE(b->n_mlm), b->mlm_label), each);
    case HEAD_NONE:
        break;
    }
    tape_fail(t, ERR_INPUT, "the model has no head to compute a loss with");
    return NULL;
}
