/*
 * A pass through any architecture: what stands before the blocks, the blocks, the head,
 * the loss.
 */
#include "internal.h"

#include <string.h>

/* The equations of an architecture. */
static const struct form {
    struct tensor *(*embed)(struct pass *p);
    struct tensor *(*block)(struct pass *p, const struct block *b, struct tensor *x);
} forms[] = {
    [HF_BERT] = {bert_embed, bert_block},
    [HF_GPT2] = {decoder_embed, decoder_block},
    [HF_GPT_NEO] = {decoder_embed, decoder_block},
    [HF_LLAMA] = {decoder_embed, decoder_block},
};

/* A pooler reads [CLS] alone, so past its keys and values the last block needs no other
 * rows, forward and backward: a seventh of the work of six layers. */
static bool reads_first_only(const struct pass *p, int64_t layer)
{
    return layer == p->model->cfg.layers - 1 && head_has_pooler(p->model->head) &&
           !(p->flags & PASS_HIDDEN) && !p->tap_hidden && !p->tap_probs &&
           !p->tap_context && !p->tap_neurons;
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
                 : forms[m->cfg.arch].embed(p);

    if (p->tap_hidden)
        p->tap_hidden[0] = x;
    if (p->tap_first)
        p->tap_first[0] = pass_first(p, x);
    for (int64_t l = p->first_block; l < end; l++) {
        struct arena_mark mark = tape_mark(p->tape);
        p->first_only = reads_first_only(p, l);
        x = forms[m->cfg.arch].block(p, &m->block[l], x);
        if (p->tap_hidden)
            p->tap_hidden[l + 1] = x;
        if (p->tap_first)
            p->tap_first[l + 1] = pass_first(p, x);
        if (!p->tap_hidden && !p->tap_first && !p->tap_probs && !p->tap_neurons)
            x = tape_keep(p->tape, mark, x);
    }
    out.hidden = p->first_only ? NULL : x;
    if (end < m->cfg.layers)
        return out;
    if (m->out_ln.gamma)
        out.hidden = x = site_norm(p, &m->out_ln, x);
    if (head_has_pooler(m->head)) {
        out.pooled = bert_pool(p, x);
        out.logits = bert_classify(p, out.pooled);
    }
    if (m->head == HEAD_CHOICE && p->batch->n_examples > 0)
        out.logits =
            reshape(p->tape, out.logits,
                    SHAPE(p->batch->n_examples, p->batch->n_seq / p->batch->n_examples));
    if (m->head == HEAD_SPAN)
        out.logits = site_linear(p, &m->classifier, x);
    if (m->head == HEAD_MLM && !tape_records(p->tape))
        out.logits = bert_mlm(p, x, true);
    if (m->head == HEAD_LM && (p->flags & PASS_LOGITS))
        out.logits = linear(p->tape, x, tape_param(p->tape, m->lm_head), NULL);
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
        return linear_cross_entropy(t, bert_mlm(p, out->hidden, false),
                                    tape_param(t, p->model->word),
                                    tape_param(t, p->model->mlm_bias),
                                    tape_indices(t, SHAPE(b->n_mlm), b->mlm_label), each);
    case HEAD_LM:
        return linear_cross_entropy(
            t, take_rows(t, out->hidden, tape_indices(t, SHAPE(b->n_mlm), b->mlm_row)),
            tape_param(t, p->model->lm_head), NULL,
            tape_indices(t, SHAPE(b->n_mlm), b->mlm_label), each);
    case HEAD_NONE:
        break;
    }
    tape_fail(t, ERR_INPUT, "the model has no head to compute a loss with");
    return NULL;
}
