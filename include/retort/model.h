/*
 * Models, written once over sites.
 *
 * A site is a named place where a method can act: a linear map, an attention, a block. It
 * carries the weights and what a method may do there (masks, gates, a keep bit, taps);
 * the model says what the paper says and knows none of that.
 *
 *     x  (N, C)   packed tokens: rows of all sequences, one after another, no padding
 */
#ifndef RETORT_MODEL_H
#define RETORT_MODEL_H

#include "retort/hf.h"
#include "retort/ops.h"
#include "retort/task.h"
#include "retort/tensor.h"

struct site_linear {
    const char *name;     /* "encoder.layer.0.attention.query" */
    struct param *weight; /* (O, I) */
    struct param *bias;   /* (O) or NULL */
};

struct site_attention {
    const char *name;
    int64_t layer;
    int64_t heads, head_dim;
    int64_t kv_heads; /* heads / kv_heads of them share keys and values */
    int32_t *head_id; /* (heads) numbers in the full model */
    float *keep;      /* (heads) 1, or 0: masked by a method; times the pass's gates */
    struct site_linear query, key, value;
};

struct site_norm {
    struct param *gamma, *beta; /* beta NULL: RMSNorm */
    double eps;
};

/* One block: attention and feed-forward layer, each with its norm (after it in BERT,
 * before it in decoders). */
struct block {
    struct site_attention attn;
    struct site_linear attn_out;
    struct site_norm ln1;
    struct site_linear ffn_gate; /* weight NULL: the layer is not gated */
    struct site_linear ffn_in, ffn_out;
    float *neuron_keep; /* (neurons) 1, or 0: silent, until a method lets it speak again;
                         * no run holds it, see model_mask_neurons */
    struct site_norm ln2;
};

enum head_kind {
    HEAD_NONE,    /* the encoder alone */
    HEAD_CLASSES, /* pooler, dropout, linear (C -> labels) */
    HEAD_REGRESSION,
    HEAD_SPAN,   /* linear (C -> 2) on every token */
    HEAD_CHOICE, /* pooler, dropout, linear (C -> 1) */
    HEAD_MLM,    /* dense, gelu, layernorm, tied decoder */
    HEAD_LM,     /* the next token, of a decoder: linear (C -> V), often the embeddings */
};

struct model {
    struct hf_config cfg;
    struct arena *arena;
    struct tokenizer *tok; /* may be NULL */
    struct param **param;  /* all, in the order of the architecture */
    int64_t n_params;

    struct param *word, *position,
        *type;                 /* embeddings (V, C), (P, C), (2, C); NULL: none */
    struct site_norm embed_ln; /* BERT */
    struct block *block;       /* (layers) */
    struct site_norm out_ln;   /* decoders: before the head */
    struct param *lm_head;     /* (V, C); HEAD_LM: `word` where they are tied */
    bool has_pooler;
    struct site_linear pooler;
    enum head_kind head;
    struct site_linear classifier; /* classes, regression, choice, span (qa_outputs) */
    struct site_linear mlm_dense;
    struct site_norm mlm_ln;
    struct param *mlm_bias;
};

/* Head that a task needs. Loading and model_set_head go by the architecture too: encoders
 * read language models by HEAD_MLM, decoders score choices by HEAD_LM. */
enum head_kind head_for_task(const struct task *task);

/*
 * Loads a folder (bert, with or without pooler and head; tensor names with or without
 * "bert."). What is missing for `head` is drawn: weights N(0, init_range) from
 * init/<parameter> of `seed`, biases 0, LayerNorm 1 and 0. A head in the folder is kept
 * if kind and labels fit. labels 0 with HEAD_NONE.
 */
int model_load(struct model **out, const char *dir, enum head_kind head, int64_t labels,
               uint64_t seed, struct err *err);
/* A model of the shape of `cfg` with all parameters drawn. `vocab` is a
 * vocab.txt's text. */
int model_random(struct model **out, const struct hf_config *cfg, const char *vocab,
                 int64_t vocab_len, enum head_kind head, int64_t labels, uint64_t seed,
                 struct err *err);
/* The same shape and head as cfg says, parameters zero: for readers of a store. `pooler`:
 * have one even if the head does not ask for it. `tok` is taken over. */
int model_empty(struct model **out, const struct hf_config *cfg, enum head_kind head,
                bool pooler, struct tokenizer *tok, struct err *err);
void model_free(struct model *model);

/* Replaces the head by a fresh one (drawn as above), unless it fits already. */
int model_set_head(struct model *model, enum head_kind head, int64_t labels,
                   uint64_t seed, struct err *err);
struct param *model_param(const struct model *model, const char *name); /* or NULL */

/* Writes config.json, model.safetensors (f32), vocab.txt, tokenizer_config.json:
 * `transformers` loads it with equal logits. Heads and neurons that were masked or
 * removed are zeros in full shapes, since transformers 5 builds no others. */
int model_save(const struct model *model, const char *dir, const struct task *task,
               struct err *err);

/* A model without head of the blocks block[0 .. n-1] (numbers from 0, rising) of another,
 * with its embeddings and pooler: how students begin. */
int model_blocks(struct model **out, const struct model *from, const int64_t *block,
                 int64_t n, struct err *err);

/* Deep copy. */
int model_clone(struct model **out, const struct model *model, struct err *err);

/*
 * Physical removal: heads with keep 0 lose their rows of W_q, W_k, W_v and columns of W_o
 * (the biases of q, k, v too; W_o's bias stays); 4 * C * D weights and 3 * D biases a
 * head. At least the shape of zero heads is allowed in a layer: its attention is then the
 * constant bias. Neurons: see below.
 */
int model_slice(struct model *model, struct err *err);

/*
 * Feed-forward neurons. Neuron j of a block is row j of W_in (and of W_gate), element j
 * of their biases, and column j of W_out; since act(0) = 0 one whose elements are 0 is
 * exactly absent. model_mask_neurons makes of those with neuron_keep 0 masks of the
 * parameters, which runs hold; model_slice removes neurons that are masked whole: 2 C + 1
 * parameters each (gated and without biases 3 C).
 */
int model_mask_neurons(struct model *model, struct err *err);
bool block_neuron_masked(const struct block *b, int64_t neuron);

int64_t model_count(const struct model *model); /* parameters, with embeddings and head */
int64_t model_count_nonzero(const struct model *model); /* those not masked, heads kept */
/* Multiplications that one token costs in the linear maps of the blocks: their weights
 * that are not masked, of heads that are kept. Left out are the embeddings, the products
 * inside of attention, which grow with the length, and the head. */
int64_t model_multiplications(const struct model *model);

/* ---- a pass ---- */

struct kv_cache;

enum pass_flags {
    PASS_GATES = 1,  /* gates are leaves (B, H) per layer: see pass_gate_grad */
    PASS_LOGITS = 4, /* HEAD_LM: logits of all rows (N, V), which a loss does without */
    PASS_HIDDEN = 2, /* all rows of the last block are wanted, whatever the head reads */
};

struct pass {
    struct tape *tape;
    struct model *model;
    const struct batch *batch;
    unsigned flags;
    uint64_t seed; /* of dropout's streams */
    int64_t step;
    const float *const *gates; /* per layer (H) or NULL: multiplied by the sites' keep */
    /* A part of the model: from block first_block on, whose input is `start` (N, C) if
     * set, not the embeddings; up to end_block - 1 if set, and then no head. */
    int64_t first_block, end_block;
    const float *start;
    struct tensor *gate_leaf[HF_LAYERS_MAX];
    struct tensor **tap_hidden; /* if set: (layers + 1) outputs of embeddings, blocks */
    struct tensor *
        *tap_first; /* if set: (layers + 1) the first rows (B, C) of the same: [CLS] */
    struct tensor **tap_probs;   /* if set: (layers) attention maps, see ops.h */
    struct tensor **tap_context; /* if set: (layers) gated heads before W_o, with
                                  * their gradients */
    struct tensor **tap_neurons; /* if set: (layers) feed-forward neurons of all rows
                                  * before W_out, (N, neurons); silent ones are 0 */
    struct rows rows;            /* all */
    struct rows first_rows;      /* the first of each sequence */
    struct tensor *offsets;
    struct kv_cache *cache; /* retort/generate.h; NULL: none */
    bool first_only; /* site_attention gives, and the block goes on with, these alone */
};

/* What a forward pass gives; parts that the head does not have are NULL. */
struct output {
    struct tensor *hidden; /* (N, C) last block; NULL if nothing asks for all its rows */
    struct tensor *pooled; /* (B, C) */
    struct tensor *logits; /* classes (B, K); regression (B, 1); choice (examples,
                              choices); span (N, 2); mlm (M, V); lm (N, V) */
};

/* Sets up tape (tape_begin with tape_flags) and pass for a batch. */
void pass_begin(struct pass *p, struct tape *tape, struct model *model,
                const struct batch *batch, int tape_flags, unsigned pass_flags);
struct output model_forward(struct pass *p);
/* Mean loss over the batch by the head's kind; `each` as in ops.h. */
struct tensor *model_loss(struct pass *p, const struct output *out, struct tensor **each);

/* Gradient of the loss by the gates of `layer`: (B, H) in the tape's real
 * type, or NULL. */
const void *pass_gate_grad(const struct pass *p, int64_t layer);

/* The verbs of which models are made. */
struct tensor *site_linear(struct pass *p, const struct site_linear *s, struct tensor *x);
/* The model's activation of it. */
struct tensor *site_active(struct pass *p, const struct site_linear *s, struct tensor *x);
struct tensor *site_attention(struct pass *p, const struct site_attention *s,
                              struct tensor *x);
/* The neurons h (N, ffn) of a block, the silent ones 0. */
struct tensor *site_neurons(struct pass *p, const struct block *b, struct tensor *h);
/* The places of x's rows: all of the batch, or the first of each sequence. */
const struct rows *pass_rows(const struct pass *p, const struct tensor *x);
/* The first row of each sequence of x (N, C) -> (B, C); x itself if it has only these. */
struct tensor *pass_first(struct pass *p, struct tensor *x);
struct tensor *site_norm(struct pass *p, const struct site_norm *s, struct tensor *x);
/* norm(x + dropout(a)): the end of a block; `site` names the dropout's stream. */
struct tensor *site_add_norm(struct pass *p, const struct site_norm *s, struct tensor *x,
                             const char *site, double prob, struct tensor *a);
struct tensor *site_dropout(struct pass *p, const char *site, double prob,
                            struct tensor *x);

/* Runs the model over a dataset without gradients: predictions in its order. Bits do not
 * depend on `batch_tokens` (about how many tokens go together), nor on threads. */
int model_predict(struct predictions **out, struct model *model,
                  const struct dataset *data, struct tape *tape, int64_t batch_tokens,
                  const float *const *gates,
                  void (*progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                  struct err *err);

/*
 * Hidden states of a whole dataset before one block, so that many variants of the blocks
 * from there on are scored without the work of those before it. Predictions have the bits
 * of model_predict. Holds n_tokens * C floats. The dataset, model and tape must outlive
 * it.
 */
struct prefix;
int prefix_new(struct prefix **out, struct model *model, const struct dataset *data,
               struct tape *tape, int64_t batch_tokens, struct err *err);
void prefix_free(struct prefix *prefix);
/* Goes on to the states before block `layer` (not back), by the model as it is now. */
int prefix_advance(struct prefix *prefix, int64_t layer, struct err *err);
int prefix_predict(struct predictions **out, const struct prefix *prefix,
                   struct err *err);

#endif
