/*
 * Copies, counts, and physical removal.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int copy_param(struct param *to, const struct param *from, struct arena *arena)
{
    int64_t n = shape_count(from->value.shape);

    memcpy(to->value.data, from->value.data, (size_t)n * sizeof(float));
    if (from->mask) {
        to->mask = arena_alloc(arena, n);
        if (!to->mask)
            return -1;
        memcpy(to->mask, from->mask, (size_t)n);
    }
    if (from->origin)
        to->origin = arena_strdup(arena, from->origin);
    to->frozen = from->frozen;
    param_touch(to);
    to->changed = from->changed;
    return 0;
}

static int64_t neurons_of(const struct block *b)
{
    return b->ffn_in.weight->value.shape.dim[0];
}

static void copy_keeps(struct block *to, const struct block *from)
{
    memcpy(to->attn.keep, from->attn.keep, (size_t)to->attn.heads * sizeof(float));
    memcpy(to->neuron_keep, from->neuron_keep, (size_t)neurons_of(to) * sizeof(float));
}

int model_clone(struct model **out, const struct model *model, struct err *err)
{
    struct model *m = NULL;

    if (model_build(&m, &model->cfg, model->head, model->cfg.labels, model->has_pooler,
                    err))
        return -1;
    if (m->n_params != model->n_params)
        BUG("a clone has %lld parameters, the model %lld", (long long)m->n_params,
            (long long)model->n_params);
    for (int64_t i = 0; i < m->n_params; i++)
        if (copy_param(m->param[i], model->param[i], m->arena))
            goto fail;
    for (int64_t l = 0; l < m->cfg.layers; l++)
        copy_keeps(&m->block[l], &model->block[l]);
    m->tok = tokenizer_hold(model->tok);
    *out = m;
    return 0;
fail:
    err_set(err, ERR_MEMORY, "no memory for a copy of the model");
    model_free(m);
    return -1;
}

/* The parameter of `from` that p, of a model of some of its blocks, is a copy of. */
static struct param *param_of_block(const struct model *from, const struct param *p,
                                    const int64_t *block)
{
    static const char layer[] = "bert.encoder.layer.";
    char name[256], *rest;
    long own;

    if (strncmp(p->name, layer, sizeof layer - 1) != 0)
        return model_param(from, p->name);
    own = strtol(p->name + sizeof layer - 1, &rest, 10);
    snprintf(name, sizeof name, "%s%lld%s", layer, (long long)block[own], rest);
    return model_param(from, name);
}

int model_blocks(struct model **out, const struct model *from, const int64_t *block,
                 int64_t n, struct err *err)
{
    struct hf_config cfg = from->cfg;
    struct model *m = NULL;

    for (int64_t l = 0; l < n; l++) {
        if (block[l] < 0 || block[l] >= from->cfg.layers ||
            (l > 0 && block[l] <= block[l - 1]))
            return err_set(
                err, ERR_INPUT,
                "block %lld: the model has blocks 1 to %lld, to be named in rising order",
                (long long)block[l] + 1, (long long)from->cfg.layers);
        cfg.heads_kept[l] = from->cfg.heads_kept[block[l]];
        cfg.head_ids[l] = from->cfg.head_ids[block[l]];
        cfg.ffn_kept[l] = from->cfg.ffn_kept[block[l]];
    }
    cfg.layers = n;
    if (model_build(&m, &cfg, HEAD_NONE, 0, from->has_pooler, err))
        return -1;
    for (int64_t i = 0; i < m->n_params; i++) {
        const struct param *p = param_of_block(from, m->param[i], block);
        if (!p || copy_param(m->param[i], p, m->arena)) {
            model_free(m);
            return err_set(err, ERR_MEMORY, "no memory for a copy of %lld blocks",
                           (long long)n);
        }
    }
    for (int64_t l = 0; l < n; l++)
        copy_keeps(&m->block[l], &from->block[block[l]]);
    m->tok = tokenizer_hold(from->tok);
    *out = m;
    return 0;
}

int64_t model_count(const struct model *model)
{
    int64_t n = 0;

    for (int64_t i = 0; i < model->n_params; i++)
        n += shape_count(model->param[i]->value.shape);
    return n;
}

int64_t model_count_nonzero(const struct model *model)
{
    int64_t n = model_count(model);

    for (int64_t i = 0; i < model->n_params; i++) {
        const struct param *p = model->param[i];
        for (int64_t j = 0; p->mask && j < shape_count(p->value.shape); j++)
            n -= p->mask[j] == 0;
    }
    for (int64_t l = 0; l < model->cfg.layers; l++) {
        const struct site_attention *s = &model->block[l].attn;
        for (int64_t h = 0; h < s->heads; h++)
            if (s->keep[h] == 0)
                n -= 4 * model->cfg.width * s->head_dim + 3 * s->head_dim;
    }
    return n;
}

static int64_t weights_kept(const struct param *p)
{
    int64_t n = p ? shape_count(p->value.shape) : 0;

    for (int64_t j = 0; p && p->mask && j < shape_count(p->value.shape); j++)
        n -= p->mask[j] == 0;
    return n;
}

int64_t model_multiplications(const struct model *model)
{
    int64_t n = 0;

    for (int64_t l = 0; l < model->cfg.layers; l++) {
        const struct block *b = &model->block[l];
        const struct site_attention *a = &b->attn;
        const struct param *maps[] = {
            a->query.weight,    a->key.weight,    a->value.weight,  b->attn_out.weight,
            b->ffn_gate.weight, b->ffn_in.weight, b->ffn_out.weight};
        /* Keys and values that several heads share stay as long as one of them does. */
        int64_t own = a->kv_heads == a->heads ? 4 : 2;
        for (int i = 0; i < 7; i++)
            n += weights_kept(maps[i]);
        for (int64_t h = 0; h < a->heads; h++)
            if (a->keep[h] == 0)
                n -= own * model->cfg.width * a->head_dim;
    }
    return n;
}

/* ---- slicing ---- */

/* Keeps the elements of `p` whose head is kept: dimension `axis` runs over
 * heads * dim. */
static void slice_param(struct param *p, const float *keep, int64_t dim, int axis)
{
    struct shape s = p->value.shape;
    int64_t len = s.dim[axis], inner = axis == 0 && s.rank == 2 ? s.dim[1] : 1;
    int64_t outer = axis == 1 ? s.dim[0] : 1, kept = 0;
    float *v = tensor_f32(&p->value);
    int64_t at = 0;

    for (int64_t i = 0; i < len; i++)
        kept += keep[i / dim] != 0;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < len; i++) {
            if (keep[i / dim] == 0)
                continue;
            memmove(v + at, v + (o * len + i) * inner, (size_t)inner * sizeof *v);
            if (p->mask)
                memmove(p->mask + at, p->mask + (o * len + i) * inner, (size_t)inner);
            at += inner;
        }
    p->value.shape.dim[axis] = kept;
    p->origin = NULL;
    p->grad = NULL; /* of the old size: to be asked for again */
    p->rows = NULL;
    param_touch(p);
}

static int slice_layer(struct model *m, int64_t layer, struct err *err)
{
    struct block *b = &m->block[layer];
    struct site_attention *s = &b->attn;
    int64_t kept = 0;
    int32_t *ids;

    for (int64_t h = 0; h < s->heads; h++)
        kept += s->keep[h] != 0;
    if (kept == s->heads)
        return 0;
    if (s->kv_heads < s->heads)
        return err_set(
            err, ERR_INPUT,
            "layer %lld: %lld heads share keys and values by %lld; they are not removed "
            "one by one",
            (long long)layer, (long long)s->heads, (long long)(s->heads / s->kv_heads));
    struct site_linear *qkv[] = {&s->query, &s->key, &s->value};
    for (int i = 0; i < 3; i++) {
        slice_param(qkv[i]->weight, s->keep, s->head_dim, 0);
        if (qkv[i]->bias)
            slice_param(qkv[i]->bias, s->keep, s->head_dim, 0);
    }
    slice_param(b->attn_out.weight, s->keep, s->head_dim, 1);
    ids = arena_alloc(m->arena, kept * (int64_t)sizeof *ids);
    if (!ids)
        return arena_failed(m->arena, err);
    kept = 0;
    for (int64_t h = 0; h < s->heads; h++)
        if (s->keep[h] != 0)
            ids[kept++] = s->head_id[h];
    for (int64_t h = 0; h < kept; h++)
        s->keep[h] = 1;
    s->heads = s->kv_heads = kept;
    s->head_id = ids;
    m->cfg.heads_kept[layer] = kept;
    m->cfg.head_ids[layer] = ids;
    return 0;
}

/* ---- neurons ---- */

enum { NEURON_PARAMS = 5 };

/* What holds a block's neurons: rows (axis 0) of some, columns of W_out. */
static int neuron_params(struct param *list[NEURON_PARAMS], const struct block *b)
{
    struct param *all[NEURON_PARAMS] = {b->ffn_out.weight, b->ffn_in.weight,
                                        b->ffn_in.bias, b->ffn_gate.weight,
                                        b->ffn_gate.bias};
    int n = 0;

    for (int i = 0; i < NEURON_PARAMS; i++)
        if (all[i])
            list[n++] = all[i];
    return n;
}

/* Elements of a parameter that belong to neuron j: `*n` from `*first` on, `*step` apart.
 * The first of the list is W_out, whose columns they are. */
static void neuron_part(const struct param *p, bool column, int64_t j, int64_t *first,
                        int64_t *step, int64_t *n)
{
    struct shape s = p->value.shape;

    *n = s.rank == 1 ? 1 : s.dim[column ? 0 : 1];
    *step = column ? s.dim[1] : 1;
    *first = column ? j : j * *n;
}

bool block_neuron_masked(const struct block *b, int64_t neuron)
{
    struct param *list[NEURON_PARAMS];
    int params = neuron_params(list, b);

    for (int k = 0; k < params; k++) {
        int64_t first, step, n;
        if (!list[k]->mask)
            return false;
        neuron_part(list[k], k == 0, neuron, &first, &step, &n);
        for (int64_t i = 0; i < n; i++)
            if (list[k]->mask[first + i * step])
                return false;
    }
    return true;
}

static int mask_params(struct param *const *list, int params, struct arena *arena)
{
    for (int k = 0; k < params; k++) {
        int64_t n = shape_count(list[k]->value.shape);
        if (list[k]->mask)
            continue;
        list[k]->mask = arena_alloc(arena, n);
        if (!list[k]->mask)
            return -1;
        memset(list[k]->mask, 1, (size_t)n);
    }
    return 0;
}

static int mask_block(struct block *b, struct arena *arena)
{
    struct param *list[NEURON_PARAMS];
    int64_t first, step, n, silent = 0;
    int params = neuron_params(list, b);

    for (int64_t j = 0; j < neurons_of(b); j++)
        silent += b->neuron_keep[j] == 0;
    if (silent > 0 && mask_params(list, params, arena))
        return -1;
    for (int64_t j = 0; silent > 0 && j < neurons_of(b); j++) {
        for (int k = 0; b->neuron_keep[j] == 0 && k < params; k++) {
            neuron_part(list[k], k == 0, j, &first, &step, &n);
            for (int64_t i = 0; i < n; i++)
                list[k]->mask[first + i * step] = 0;
        }
        b->neuron_keep[j] = 1;
    }
    for (int k = 0; silent > 0 && k < params; k++)
        param_apply_mask(list[k]);
    return 0;
}

int model_mask_neurons(struct model *model, struct err *err)
{
    for (int64_t l = 0; l < model->cfg.layers; l++)
        if (mask_block(&model->block[l], model->arena))
            return err_set(err, ERR_MEMORY, "no memory for masks of neurons");
    return 0;
}

static bool all_ones(const uint8_t *mask, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!mask[i])
            return false;
    return true;
}

static void slice_neurons(struct model *m, int64_t layer)
{
    struct block *b = &m->block[layer];
    struct param *list[NEURON_PARAMS];
    int params = neuron_params(list, b);
    int64_t n = neurons_of(b), kept = 0;

    for (int64_t j = 0; j < n; j++) {
        if (block_neuron_masked(b, j))
            b->neuron_keep[j] = 0;
        kept += b->neuron_keep[j] != 0;
    }
    if (kept == n)
        return;
    for (int k = 0; k < params; k++) {
        slice_param(list[k], b->neuron_keep, 1, k == 0);
        if (list[k]->mask && all_ones(list[k]->mask, shape_count(list[k]->value.shape)))
            list[k]->mask = NULL;
    }
    for (int64_t j = 0; j < kept; j++)
        b->neuron_keep[j] = 1;
    m->cfg.ffn_kept[layer] = kept;
}

int model_slice(struct model *model, struct err *err)
{
    for (int64_t l = 0; l < model->cfg.layers; l++) {
        if (slice_layer(model, l, err))
            return -1;
        slice_neurons(model, l);
    }
    return 0;
}
