/*
 * Decoders: GPT-2 (Radford et al. 2019), GPT-Neo (Black et al. 2021), LLaMA (Touvron et
 * al. 2023). Norms stand before what they feed, x runs beside them:
 *
 *     x <- x + W_o attention(norm(x)),   x <- x + W_out f(norm(x))
 *     f(h) = act(W_in h), or act(W_gate h) * W_in h (Shazeer 2020)
 */
#include "internal.h"

/* Words, and positions where they are learned; rotary ones act in the attention. */
struct tensor *decoder_embed(struct pass *p)
{
    struct model *m = p->model;
    const struct batch *b = p->batch;
    struct tape *t = p->tape;
    struct shape n = SHAPE(b->n_tok);
    struct tensor *x = embedding(t, tape_param(t, m->word), tape_indices(t, n, b->id));

    if (m->position)
        x = add(
            t, x,
            embedding(t, tape_param(t, m->position), tape_indices(t, n, b->position)));
    return site_dropout(p, "embeddings", m->cfg.embed_dropout, x);
}

struct tensor *decoder_block(struct pass *p, const struct block *b, struct tensor *x)
{
    struct tape *t = p->tape;
    double drop = p->model->cfg.dropout;
    struct tensor *h = site_norm(p, &b->ln1, x), *f;

    h = site_linear(p, &b->attn_out, site_attention(p, &b->attn, h));
    x = add(t, x, site_dropout(p, b->attn_out.name, drop, h));
    h = site_norm(p, &b->ln2, x);
    if (b->ffn_gate.weight)
        f = mul(t, site_active(p, &b->ffn_gate, h), site_linear(p, &b->ffn_in, h));
    else
        f = site_active(p, &b->ffn_in, h);
    f = site_neurons(p, b, f);
    return add(t, x,
               site_dropout(p, b->ffn_out.name, drop, site_linear(p, &b->ffn_out, f)));
}
