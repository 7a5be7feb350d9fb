/* Keys and values that are kept: see retort/generate.h. */
#include "internal.h"

#include <string.h>

#include "retort/generate.h"

int kv_cache_init(struct kv_cache *c, const struct model *m, int64_t n_seq,
                  int64_t capacity, struct err *err)
{
    int64_t list = m->cfg.layers * (int64_t)sizeof(void *);

    *c = (struct kv_cache){.layers = m->cfg.layers, .n_seq = n_seq, .capacity = capacity};
    c->arena = arena_new(err);
    if (!c->arena)
        return -1;
    c->width = arena_zalloc(c->arena, list);
    c->key = arena_zalloc(c->arena, list);
    c->value = arena_zalloc(c->arena, list);
    for (int64_t l = 0; c->width && c->key && c->value && l < c->layers; l++) {
        const struct site_attention *a = &m->block[l].attn;
        int64_t bytes =
            n_seq * capacity * a->kv_heads * a->head_dim * (int64_t)sizeof(float);
        c->width[l] = a->kv_heads * a->head_dim;
        c->key[l] = arena_alloc(c->arena, bytes);
        c->value[l] = arena_alloc(c->arena, bytes);
    }
    return arena_failed(c->arena, err);
}

void kv_cache_release(struct kv_cache *c)
{
    arena_free(c->arena);
    memset(c, 0, sizeof *c);
}

static int select_rows(struct kv_cache *c, float *v, int64_t width, const int32_t *from,
                       struct arena *arena)
{
    int64_t each = c->capacity * width, used = c->length * width;
    float *old = arena_alloc(arena, c->n_seq * used * (int64_t)sizeof *old);

    if (!old)
        return -1;
    for (int64_t i = 0; i < c->n_seq; i++)
        memcpy(old + i * used, v + i * each, (size_t)used * sizeof *old);
    for (int64_t i = 0; i < c->n_seq; i++)
        memcpy(v + i * each, old + from[i] * used, (size_t)used * sizeof *old);
    return 0;
}

int kv_cache_select(struct kv_cache *c, const int32_t *from, struct err *err)
{
    struct arena *arena = arena_new(err);
    int rc = arena ? 0 : -1;

    for (int64_t l = 0; rc == 0 && l < c->layers; l++) {
        arena_clear(arena);
        if (select_rows(c, c->key[l], c->width[l], from, arena) ||
            select_rows(c, c->value[l], c->width[l], from, arena))
            rc = arena_failed(arena, err);
    }
    arena_free(arena);
    return rc;
}

/* ---- in a pass ---- */

/* The oldest token that is looked at once the new one is there. */
static int64_t first_seen(const struct kv_cache *c, int64_t window)
{
    int64_t n = c->length + 1;

    return window > 0 && window < n ? n - window : 0;
}

static int64_t window_at(const struct pass *p, int64_t layer)
{
    const struct hf_config *cfg = &p->model->cfg;

    return cfg->local[layer] ? cfg->window : INT64_MAX;
}

static void put_rows(const struct kv_cache *c, float *to, const struct tensor *t,
                     const int32_t *offset, int64_t width)
{
    const float *v = tensor_f32(t);

    for (int64_t b = 0; b < c->n_seq; b++)
        memcpy(to + (b * c->capacity + c->length) * width, v + offset[b] * width,
               (size_t)((offset[b + 1] - offset[b]) * width) * sizeof *to);
}

/* Tokens from .. length of all sequences, one after another. */
static struct tensor *rows_of(struct pass *p, const float *v, int64_t width, int64_t from)
{
    const struct kv_cache *c = p->cache;
    int64_t n = c->length + 1 - from;
    float *all =
        arena_alloc(tape_arena(p->tape), c->n_seq * n * width * (int64_t)sizeof *all);

    if (!all) {
        tape_fail(p->tape, ERR_MEMORY, "no memory for keys and values");
        return NULL;
    }
    for (int64_t b = 0; b < c->n_seq; b++)
        memcpy(all + b * n * width, v + (b * c->capacity + from) * width,
               (size_t)(n * width) * sizeof *all);
    return tape_constant(p->tape, SHAPE(c->n_seq * n, width), all);
}

bool cache_add(struct pass *p, int64_t layer, struct tensor **k, struct tensor **v)
{
    struct kv_cache *c = p->cache;
    const struct batch *b = p->batch;
    int64_t width = c->width[layer], from = first_seen(c, window_at(p, layer));
    int64_t n = b->n_tok / c->n_seq;

    if (!*k || !*v)
        return false; /* the tape has failed */
    if (b->n_seq != c->n_seq || c->length + n > c->capacity ||
        (c->length > 0 && b->n_tok != c->n_seq))
        BUG("%lld rows of %lld sequences for a cache of %lld, at %lld of %lld",
            (long long)b->n_tok, (long long)b->n_seq, (long long)c->n_seq,
            (long long)c->length, (long long)c->capacity);
    put_rows(c, c->key[layer], *k, b->offset, width);
    put_rows(c, c->value[layer], *v, b->offset, width);
    if (c->length == 0)
        return false;
    *k = rows_of(p, c->key[layer], width, from);
    *v = rows_of(p, c->value[layer], width, from);
    return true;
}

struct tensor *cache_offsets(struct pass *p, int64_t layer, int64_t window)
{
    const struct kv_cache *c = p->cache;
    int64_t n = c->length + 1 - first_seen(c, window_at(p, layer));
    int32_t *offset =
        arena_alloc(tape_arena(p->tape), (c->n_seq + 1) * (int64_t)sizeof *offset);

    (void)window;
    if (!offset) {
        tape_fail(p->tape, ERR_MEMORY, "no memory for a batch");
        return NULL;
    }
    for (int64_t b = 0; b <= c->n_seq; b++)
        offset[b] = (int32_t)(b * n);
    return tape_indices(p->tape, SHAPE(c->n_seq + 1), offset);
}
