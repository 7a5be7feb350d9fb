/* Small drawn decoders, and a batch of token sequences for them: no text, no files. */
#ifndef RETORT_TESTS_SMALL_DECODER_H
#define RETORT_TESTS_SMALL_DECODER_H

#include "check.h"

#include "retort/model.h"
#include "retort/rng.h"

enum { TINY_LAYERS = 2, TINY_WIDTH = 16, TINY_FFN = 24, TINY_VOCAB = 29, TINY_LONG = 12 };

static inline struct hf_config tiny_config(enum hf_arch arch)
{
    struct hf_config cfg;

    hf_config_defaults(&cfg);
    cfg.arch = arch;
    cfg.layers = TINY_LAYERS;
    cfg.width = TINY_WIDTH;
    cfg.heads = cfg.kv_heads = 4;
    cfg.head_dim = TINY_WIDTH / 4;
    cfg.ffn = TINY_FFN;
    cfg.vocab = TINY_VOCAB;
    cfg.positions = 32;
    cfg.eps = 1e-5;
    cfg.init_range = 0.3;
    cfg.rope_theta = 10000;
    cfg.bos_id = cfg.eos_id = -1;
    cfg.tied = arch != HF_LLAMA;
    cfg.activation = arch == HF_LLAMA ? HF_SILU : HF_GELU_NEW;
    for (int l = 0; l < TINY_LAYERS; l++) {
        cfg.heads_kept[l] = cfg.heads;
        cfg.ffn_kept[l] = cfg.ffn;
    }
    return cfg;
}

/* With drawn biases too, so that they matter. */
static inline struct model *tiny_model(enum hf_arch arch)
{
    struct hf_config cfg = tiny_config(arch);
    struct err err = ERR_INIT;
    struct model *m = NULL;

    assert_ok(model_random(&m, &cfg, NULL, 0, HEAD_LM, 0, 5, &err), &err);
    for (int64_t k = 0; k < m->n_params; k++) {
        struct param *p = m->param[k];
        size_t len = strlen(p->name);
        struct rng rng = rng_streamf(5, "bias/%s", p->name);
        if (len < 5 || strcmp(p->name + len - 5, ".bias") != 0)
            continue;
        for (int64_t i = 0; i < shape_count(p->value.shape); i++)
            tensor_f32(&p->value)[i] = (float)(0.2 * rng_normal(&rng));
        param_touch(p);
    }
    return m;
}

/* n sequences of drawn tokens, each asking for the next one but for its last. */
static inline void tiny_batch(struct batch *b, int64_t n, uint64_t seed,
                              struct arena *arena)
{
    struct rng rng = rng_stream(seed, "tiny");
    int64_t most = n * TINY_LONG;
    int32_t **rows[] = {&b->id,          &b->type,    &b->position,
                        &b->row_example, &b->mlm_row, &b->mlm_label};

    memset(b, 0, sizeof *b);
    b->n_seq = b->n_examples = n;
    for (int i = 0; i < 6; i++)
        *rows[i] = arena_zalloc(arena, most * 4);
    b->offset = arena_zalloc(arena, (n + 1) * 4);
    for (int32_t s = 0, row = 0; s < n; s++) {
        int32_t len = 4 + (int32_t)rng_below(&rng, TINY_LONG - 3);
        for (int32_t k = 0; k < len; k++, row++) {
            b->id[row] = (int32_t)rng_below(&rng, TINY_VOCAB);
            b->position[row] = k;
            b->row_example[row] = s;
            if (k > 0) {
                b->mlm_row[b->n_mlm] = row - 1;
                b->mlm_label[b->n_mlm++] = b->id[row];
            }
        }
        b->offset[s + 1] = row;
        b->n_tok = row + 1 > b->n_tok ? row : b->n_tok;
    }
    b->n_tok = b->offset[n];
}

#endif
