#include "llama2c.h"

#include <stdlib.h>
#include <string.h>

#include "retort/file.h"

enum { HEADER = 7, KINDS = 9 };

struct llama2c {
    struct file_map map;
    struct arena *arena;
    struct safetensors_entry *entry;
    int64_t n;
};

/* What the file holds for each layer, in its order: Hugging Face's name, rows, columns.
 */
struct kind {
    const char *name;
    int64_t rows, columns; /* columns 0: a vector */
    int64_t heads;         /* whose rows change places; 0: none */
};

static void kinds_of(struct kind kind[KINDS], const struct hf_config *c)
{
    int64_t kv = c->kv_heads * c->head_dim;

    kind[0] = (struct kind){"input_layernorm", c->width, 0, 0};
    kind[1] = (struct kind){"self_attn.q_proj", c->width, c->width, c->heads};
    kind[2] = (struct kind){"self_attn.k_proj", kv, c->width, c->kv_heads};
    kind[3] = (struct kind){"self_attn.v_proj", kv, c->width, 0};
    kind[4] = (struct kind){"self_attn.o_proj", c->width, c->width, 0};
    kind[5] = (struct kind){"post_attention_layernorm", c->width, 0, 0};
    kind[6] = (struct kind){"mlp.gate_proj", c->ffn, c->width, 0};
    kind[7] = (struct kind){"mlp.down_proj", c->width, c->ffn, 0};
    kind[8] = (struct kind){"mlp.up_proj", c->ffn, c->width, 0};
}

static int64_t count_of(const struct kind *k)
{
    return k->rows * (k->columns ? k->columns : 1);
}

static int read_header(struct llama2c *m, struct hf_config *c, const char *path,
                       struct err *err)
{
    int32_t h[HEADER];

    if (m->map.len < (int64_t)sizeof h)
        return err_set(err, ERR_INPUT,
                       "%s: %lld bytes; a model of llama2.c begins with %d", path,
                       (long long)m->map.len, (int)sizeof h);
    memcpy(h, m->map.data, sizeof h);
    hf_config_defaults(c);
    c->arch = HF_LLAMA;
    c->tied = h[5] > 0;
    c->width = h[0];
    c->ffn = h[1];
    c->layers = h[2];
    c->heads = h[3];
    c->kv_heads = h[4];
    c->vocab = h[5] < 0 ? -(int64_t)h[5] : h[5];
    c->positions = h[6];
    if (c->width < 1 || c->width > 1 << 16 || c->ffn < 1 || c->ffn > 1 << 18 ||
        c->layers < 1 || c->layers > HF_LAYERS_MAX || c->heads < 1 ||
        c->heads > HF_HEADS_MAX || c->kv_heads < 1 || c->vocab < 1 ||
        c->vocab > 1 << 24 || c->positions < 1 || c->positions > 1 << 20 ||
        c->heads % c->kv_heads || c->width % (2 * c->heads))
        return err_set(err, ERR_INPUT,
                       "%s: its first %d numbers are no sizes of a model of llama2.c",
                       path, HEADER);
    c->head_dim = c->width / c->heads;
    c->eps = 1e-5;
    c->rope_theta = 10000;
    c->activation = HF_SILU;
    c->classifier_dropout = -1;
    c->init_range = 0.02;
    c->types = 1;
    c->bos_id = 1;
    c->eos_id = 2;
    c->lower_case = false;
    for (int64_t l = 0; l < c->layers; l++) {
        c->heads_kept[l] = c->heads;
        c->ffn_kept[l] = c->ffn;
    }
    return 0;
}

static int64_t length_of(const struct hf_config *c, const struct kind *kind)
{
    int64_t n = c->vocab * c->width + c->width + c->positions * c->head_dim;

    for (int i = 0; i < KINDS; i++)
        n += c->layers * count_of(&kind[i]);
    if (!c->tied)
        n += c->vocab * c->width;
    return (int64_t)sizeof(int32_t) * (HEADER + n);
}

/* Rows 2i and 2i + 1 of each head become i and i + D/2. */
static const float *halve(struct llama2c *m, const float *w, const struct kind *k)
{
    int64_t dim = k->rows / k->heads;
    float *to = arena_alloc(m->arena, count_of(k) * (int64_t)sizeof *to);

    for (int64_t r = 0; to && r < k->rows; r++) {
        int64_t i = r % dim, from = r - i + (i < dim / 2 ? 2 * i : 2 * (i - dim / 2) + 1);
        memcpy(to + r * k->columns, w + from * k->columns,
               (size_t)k->columns * sizeof *to);
    }
    return to;
}

static void add(struct llama2c *m, const char *name, int64_t rows, int64_t columns,
                const float *data)
{
    m->entry[m->n++] = (struct safetensors_entry){
        .name = name,
        .dtype = DT_F32,
        .shape = columns ? SHAPE(rows, columns) : SHAPE(rows),
        .count = rows * (columns ? columns : 1),
        .data = data,
    };
}

static void list(struct llama2c *m, const struct hf_config *c, const struct kind *kind)
{
    const float *w =
        (const float *)(const void *)(m->map.data + sizeof(int32_t) * HEADER);

    add(m, "model.embed_tokens.weight", c->vocab, c->width, w);
    w += c->vocab * c->width;
    for (int i = 0; i < KINDS; i++)
        for (int64_t l = 0; l < c->layers; l++, w += count_of(&kind[i]))
            add(m,
                arena_printf(m->arena, "model.layers.%lld.%s.weight", (long long)l,
                             kind[i].name),
                kind[i].rows, kind[i].columns, kind[i].heads ? halve(m, w, &kind[i]) : w);
    add(m, "model.norm.weight", c->width, 0, w);
    w += c->width + c->positions * c->head_dim;
    if (!c->tied)
        add(m, "lm_head.weight", c->vocab, c->width, w);
}

int llama2c_open(struct llama2c **out, struct hf_config *cfg, const char *path,
                 struct err *err)
{
    struct llama2c *m = mem_new(1, sizeof *m, err);
    struct kind kind[KINDS];
    int rc = -1;

    if (!m || !(m->arena = arena_new(err)) || file_map(&m->map, path, err) ||
        read_header(m, cfg, path, err))
        goto done;
    kinds_of(kind, cfg);
    if (length_of(cfg, kind) != m->map.len) {
        err_set(err, ERR_INPUT,
                "%s: %lld bytes; a model of llama2.c of these sizes has %lld: cut off, "
                "or of another version",
                path, (long long)m->map.len, (long long)length_of(cfg, kind));
        goto done;
    }
    m->entry = mem_new(3 + KINDS * cfg->layers, sizeof *m->entry, err);
    if (!m->entry)
        goto done;
    list(m, cfg, kind);
    if (arena_failed(m->arena, err))
        goto done;
    *out = m;
    m = NULL;
    rc = 0;
done:
    llama2c_close(m);
    return rc;
}

void llama2c_close(struct llama2c *m)
{
    if (!m)
        return;
    free(m->entry);
    file_unmap(&m->map);
    arena_free(m->arena);
    free(m);
}

int64_t llama2c_count(const struct llama2c *m)
{
    return m->n;
}

const struct safetensors_entry *llama2c_at(const struct llama2c *m, int64_t i)
{
    return &m->entry[i];
}
