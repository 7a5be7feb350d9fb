/*
 * Sites: where a method can act. A model calls these verbs and knows nothing of gates,
 * masks or taps.
 */
#include "internal.h"

#include <math.h>

struct tensor *site_linear(struct pass *p, const struct site_linear *s, struct tensor *x)
{
    return linear(p->tape, x, tape_param(p->tape, s->weight),
                  s->bias ? tape_param(p->tape, s->bias) : NULL);
}

struct tensor *site_active(struct pass *p, const struct site_linear *s, struct tensor *x)
{
    switch (p->model->cfg.activation) {
    case HF_RELU:
        return relu(p->tape, site_linear(p, s, x));
    case HF_GELU_NEW:
        return gelu_new(p->tape, site_linear(p, s, x));
    case HF_SILU:
        return silu(p->tape, site_linear(p, s, x));
    case HF_GELU:
        break;
    }
    return linear_gelu(p->tape, x, tape_param(p->tape, s->weight),
                       s->bias ? tape_param(p->tape, s->bias) : NULL);
}

struct tensor *site_norm(struct pass *p, const struct site_norm *s, struct tensor *x)
{
    if (!s->beta)
        return rms_norm(p->tape, x, tape_param(p->tape, s->gamma), s->eps);
    return layernorm(p->tape, x, tape_param(p->tape, s->gamma),
                     tape_param(p->tape, s->beta), s->eps);
}

const struct rows *pass_rows(const struct pass *p, const struct tensor *x)
{
    return x && x->shape.dim[0] == p->batch->n_tok ? &p->rows : &p->first_rows;
}

struct tensor *pass_first(struct pass *p, struct tensor *x)
{
    int64_t b = p->batch->n_seq;

    if (!x || x->shape.dim[0] == b) /* as many rows as sequences: each has one */
        return x;
    return take_rows(p->tape, x, tape_indices(p->tape, SHAPE(b), p->batch->offset));
}

struct tensor *site_dropout(struct pass *p, const char *site, double prob,
                            struct tensor *x)
{
    struct dropout_key key = {p->seed, site, p->step};

    if (!(tape_flags_now(p->tape) & TAPE_DROPOUT) || prob <= 0)
        return x;
    return dropout(p->tape, x, prob, pass_rows(p, x), &key);
}

struct tensor *site_add_norm(struct pass *p, const struct site_norm *s, struct tensor *x,
                             const char *site, double prob, struct tensor *a)
{
    struct dropout_key key = {p->seed, site, p->step};

    return dropout_add_norm(p->tape, x, a, prob, pass_rows(p, x), &key,
                            tape_param(p->tape, s->gamma), tape_param(p->tape, s->beta),
                            s->eps);
}

/* Gates (B, H) of a layer: the site's keep bits times what the pass was given; NULL when
 * all are 1. */
static struct tensor *gates_of(struct pass *p, const struct site_attention *s)
{
    const float *given = p->gates ? p->gates[s->layer] : NULL;
    int64_t b = p->batch->n_seq, n;
    bool ones = !given;
    float *v;

    for (int64_t h = 0; h < s->heads; h++)
        ones = ones && s->keep[h] == 1.0f; /* exact: keep is 0 or 1 */
    if (ones && !(p->flags & PASS_GATES))
        return NULL;
    n = b * s->heads;
    v = arena_alloc(tape_arena(p->tape), n * (int64_t)sizeof *v);
    if (!v) {
        tape_fail(p->tape, ERR_MEMORY, "no memory for gates");
        return NULL;
    }
    for (int64_t i = 0; i < n; i++)
        v[i] = s->keep[i % s->heads] * (given ? given[i % s->heads] : 1.0f);
    if (!(p->flags & PASS_GATES))
        return tape_constant(p->tape, SHAPE(b, s->heads), v);
    p->gate_leaf[s->layer] = tape_leaf(p->tape, SHAPE(b, s->heads), v);
    return p->gate_leaf[s->layer];
}

/* How far back a query of the layer sees; 0: it sees all. */
static int64_t window_of(const struct hf_config *cfg, int64_t layer)
{
    if (cfg->arch == HF_BERT)
        return 0;
    return cfg->local[layer] ? cfg->window : INT64_MAX;
}

/* Queries and keys as the architecture places them. */
static struct tensor *place(struct pass *p, const struct site_attention *s,
                            struct tensor *x)
{
    const struct hf_config *cfg = &p->model->cfg;
    const struct batch *b = p->batch;

    if (cfg->arch != HF_LLAMA)
        return x;
    return rotary(p->tape, x, tape_indices(p->tape, SHAPE(b->n_tok), b->position),
                  s->head_dim, cfg->rope_theta);
}

struct tensor *site_attention(struct pass *p, const struct site_attention *s,
                              struct tensor *x)
{
    int64_t shared = s->kv_heads > 0 ? s->heads / s->kv_heads : 1;
    struct attention a = {
        .heads = s->heads,
        .head_dim = s->head_dim,
        .first_only = p->first_only,
        .window = window_of(&p->model->cfg, s->layer),
        .offsets = p->offsets,
        .head_id = s->head_id,
        .dropout = p->model->cfg.attention_dropout,
        .rows = &p->rows,
        .key = {p->seed, s->name, p->step},
        .probs = p->tap_probs ? &p->tap_probs[s->layer] : NULL,
    };
    struct tensor *q = site_linear(p, &s->query, p->first_only ? pass_first(p, x) : x);
    struct tensor *k = site_linear(p, &s->key, x);
    struct tensor *v = site_linear(p, &s->value, x);

    q = place(p, s, q);
    k = place(p, s, k);
    if (p->cache && cache_add(p, s->layer, &k, &v)) {
        /* one query a sequence, over all keys that its layer looks back on */
        a.offsets = cache_offsets(p, s->layer, a.window);
        a.first_only = true;
        a.window = 0;
    }
    if (p->model->cfg.arch == HF_GPT_NEO) /* whose scores are not divided by sqrt(D) */
        q = scale(p->tape, q, sqrt((double)s->head_dim));
    if (shared > 1) {
        k = repeat_heads(p->tape, k, s->head_dim, shared);
        v = repeat_heads(p->tape, v, s->head_dim, shared);
    }
    a.gates = gates_of(p, s);
    struct tensor *c = attention(p->tape, q, k, v, &a);

    if (p->tap_context) {
        p->tap_context[s->layer] = c;
        tape_retain(p->tape, c);
    }
    return c;
}

struct tensor *site_neurons(struct pass *p, const struct block *b, struct tensor *h)
{
    int64_t n = b->ffn_in.weight->value.shape.dim[0], kept = 0;

    for (int64_t j = 0; j < n; j++)
        kept += b->neuron_keep[j] == 1.0f; /* exact: it is 0 or 1 */
    if (kept < n)
        h = mul(p->tape, h, tape_constant(p->tape, SHAPE(n), b->neuron_keep));
    if (p->tap_neurons)
        p->tap_neurons[b - p->model->block] = h;
    return h;
}

const void *pass_gate_grad(const struct pass *p, int64_t layer)
{
    return p->gate_leaf[layer] ? tape_grad(p->tape, p->gate_leaf[layer]) : NULL;
}
