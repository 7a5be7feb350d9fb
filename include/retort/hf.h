/*
 * Hugging Face folders: config.json, the weights (model.safetensors or pytorch_model.bin,
 * or shards of either by their index.json), the files of a tokenizer.
 */
#ifndef RETORT_HF_H
#define RETORT_HF_H

#include "retort/mem.h"
#include "retort/safetensors.h"
#include "retort/strbuf.h"

/* Where nothing is said of a decoder's tokens, transformers takes its own. */
#define HF_NO_TOKEN (-2)
#define HF_LAYERS_MAX 256
#define HF_HEADS_MAX 256
#define HF_LABELS_MAX 10000
#define HF_ALL                                                                           \
    -1 /* in heads_kept, ffn_kept before the sizes are known; hf_heads and hf_ffn        \
          resolve it */

enum hf_arch {
    HF_BERT,    /* Devlin et al. 2019 */
    HF_GPT2,    /* Radford et al. 2019 */
    HF_GPT_NEO, /* Black et al. 2021: global and local attention, not scaled */
    HF_LLAMA,   /* Touvron et al. 2023: RMSNorm, rotary positions, gated feed-forward,
                   grouped keys */
};
extern const char
    *const hf_arch_names[]; /* as "model_type" spells them; NULL-terminated */

/* config.json, as far as numbers depend on it. All sizes were checked to be sane
 * (>= 1, bounded, width divisible by heads); unknown members are ignored; what we cannot
 * honour (another model_type, relative positions, another activation) is an error that
 * names it. */
struct hf_config {
    enum hf_arch arch;
    int64_t layers, width, heads, ffn, vocab, positions, types;
    int64_t kv_heads,
        head_dim; /* heads of keys and values (heads / kv_heads queries share one) */
    double eps;
    double rope_theta;      /* LLaMA: base of the rotary angles */
    bool tied;              /* decoders: the logits' weights are the embeddings */
    int32_t bos_id, eos_id; /* -1: none; HF_NO_TOKEN: none, and config.json says so */
    int64_t window; /* GPT-Neo: tokens that a local layer looks back on, itself too */
    bool local[HF_LAYERS_MAX]; /* GPT-Neo: which layers are */
    double embed_dropout;
    double dropout;            /* hidden_dropout_prob */
    double attention_dropout;  /* attention_probs_dropout_prob */
    double classifier_dropout; /* -1: null in the file, so `dropout` is used */
    double init_range;
    int64_t pad_id;
    enum { HF_GELU, HF_RELU, HF_GELU_NEW, HF_SILU } activation; /* gelu_new: by tanh */
    /* After physical removal layers differ; 0 .. heads-1 as kept, in the numbering of the
     * full model. Runs keep it as "pruned_heads" (as transformers 4 did) and, for
     * feed-forward neurons, "retort_ffn"; folders that have these are read. Folders that
     * are written have full shapes. */
    int64_t heads_kept[HF_LAYERS_MAX];
    int32_t *head_ids[HF_LAYERS_MAX]; /* in the arena; NULL: all */
    int64_t ffn_kept[HF_LAYERS_MAX];
    const char *architecture; /* "BertForSequenceClassification" or NULL */
    int64_t labels; /* of the head: named, or 2 (transformers' default) for a classifier;
                       else 0 */
    const char **label_names; /* id2label, or NULL */
    const char *problem;      /* problem_type, or NULL */
    bool lower_case;          /* of tokenizer_config.json; true if there is none */
};

/* Strings and lists live in `arena`. `name` is what messages call the text. */
int hf_config_parse(struct hf_config *cfg, const char *json, int64_t len,
                    const char *name, struct arena *arena, struct err *err);
int hf_config_write(const struct hf_config *cfg, struct strbuf *out, struct err *err);
/* All heads, all neurons (HF_ALL), gelu, lower case, everything else zero: then fill in
 * the sizes. */
void hf_config_defaults(struct hf_config *cfg);
/* Heads and neurons that a layer has. After hf_config_parse they are heads_kept and
 * ffn_kept themselves. */
static inline int64_t hf_heads(const struct hf_config *cfg, int64_t layer)
{
    return cfg->heads_kept[layer] == HF_ALL ? cfg->heads : cfg->heads_kept[layer];
}
static inline int64_t hf_ffn(const struct hf_config *cfg, int64_t layer)
{
    return cfg->ffn_kept[layer] == HF_ALL ? cfg->ffn : cfg->ffn_kept[layer];
}

/* An open folder (or a .bin of llama2.c, which looks the same): its configuration and all
 * its tensors, through one lookup. */
struct hf_folder;
int hf_open(struct hf_folder **out, const char *dir, struct err *err);
void hf_close(struct hf_folder *folder);
const struct hf_config *hf_folder_config(const struct hf_folder *folder);
int64_t hf_folder_count(const struct hf_folder *folder);
const struct safetensors_entry *hf_folder_at(const struct hf_folder *folder, int64_t i);
const struct safetensors_entry *hf_folder_find(const struct hf_folder *folder,
                                               const char *name);
/* What tokenizer_load reads its tokenizer from; NULL: there is none. */
const char *hf_folder_text(const struct hf_folder *folder);

/* SHA-256 over what decides the numbers: config.json, the weights' files, the tokenizer's
 * files, tokenizer_config.json. Of a folder with a tokenizer alone: of that. */
int hf_digest(char out[65], const char *dir, struct err *err);

#endif
