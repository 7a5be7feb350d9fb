/*
 * BERT (Devlin et al. 2019): the equations, once. x: (N, C) packed tokens of all
 * sequences.
 */
#include "internal.h"

#include <string.h>

/* Sum of word, position and type vectors, normalised. */
struct tensor *bert_embed(struct pass *p)
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
struct tensor *bert_block(struct pass *p, const struct block *b, struct tensor *x)
{
    double drop = p->model->cfg.dropout;
    struct tensor *a, *h;

    a = site_linear(p, &b->attn_out, site_attention(p, &b->attn, x));
    x = p->first_only ? pass_first(p, x) : x;
    x = site_add_norm(p, &b->ln1, x, b->attn_out.name, drop, a);
    h = site_linear(p, &b->ffn_out, site_neurons(p, b, site_active(p, &b->ffn_in, x)));
    return site_add_norm(p, &b->ln2, x, b->ffn_out.name, drop, h);
}

/* tanh(W h[CLS] + b): [CLS] is the first row of each sequence. */
struct tensor *bert_pool(struct pass *p, struct tensor *x)
{
    return tanh_act(p->tape, site_linear(p, &p->model->pooler, pass_first(p, x)));
}

/* Dropout before the classifier; its rows are sequences, named by example and part. */
struct tensor *bert_classify(struct pass *p, struct tensor *pooled)
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

struct tensor *bert_mlm(struct pass *p, struct tensor *x, bool decode)
{
    struct model *m = p->model;
    struct tape *t = p->tape;
    struct tensor *h =
        take_rows(t, x, tape_indices(t, SHAPE(p->batch->n_mlm), p->batch->mlm_row));

    h = site_norm(p, &m->mlm_ln, site_active(p, &m->mlm_dense, h));
    return decode ? linear(t, h, tape_param(t, m->word), tape_param(t, m->mlm_bias)) : h;
}
