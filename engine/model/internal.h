/* What the files of engine/model share. */
#ifndef RETORT_MODEL_INTERNAL_H
#define RETORT_MODEL_INTERNAL_H

#include "retort/model.h"

/* Shapes, names and zeroed values of everything that cfg and head ask for; heads_kept and
 * ffn_kept are honoured. */
int model_build(struct model **out, const struct hf_config *cfg, enum head_kind head,
                int64_t labels, bool pooler, struct err *err);

/* The layers' part: adds the head's parameters to a model without head. */
int model_add_head(struct model *m, enum head_kind head, int64_t labels, struct err *err);

bool head_has_pooler(enum head_kind head);
/* The head with which an architecture does what *head is for: see head_for_task. */
int head_fit(enum head_kind *head, enum hf_arch arch, struct err *err);
const char *head_architecture(enum hf_arch arch, enum head_kind head);

/* The equations: bert.c and decoder.c. Heads of BERT take its pooler's output, or rows of
 * the last block. */
struct tensor *bert_embed(struct pass *p);
struct tensor *bert_block(struct pass *p, const struct block *b, struct tensor *x);
struct tensor *bert_pool(struct pass *p, struct tensor *x);
struct tensor *bert_classify(struct pass *p, struct tensor *pooled);
/* Of the hidden tokens: what the decoder reads, or (decode) its logits. */
struct tensor *bert_mlm(struct pass *p, struct tensor *x, bool decode);
struct tensor *decoder_embed(struct pass *p);
struct tensor *decoder_block(struct pass *p, const struct block *b, struct tensor *x);

/* Keys and values of the pass's rows join the cache. If it held some already, *k and *v
 * become those of the whole sequences (or of what the layer looks back on), and true is
 * returned. */
bool cache_add(struct pass *p, int64_t layer, struct tensor **k, struct tensor **v);
/* Where the sequences begin in them. */
struct tensor *cache_offsets(struct pass *p, int64_t layer, int64_t window);

/* All but the head, by its name. */
bool model_is_body(const struct model *m, const char *name);

/*
 * GPT-2's files hold matrices transposed (in, out), and queries, keys and values side by
 * side as c_attn. What a parameter is there: name NULL where it is as in ours.
 */
struct gpt2_part {
    const char *name;   /* "transformer.h.0.attn.c_attn.weight", in the model's arena */
    struct shape shape; /* of the whole tensor */
    int64_t from;       /* first column (of a bias: element) of this part */
    bool failed;        /* no memory */
};
struct gpt2_part gpt2_part_of(const struct model *m, const struct param *p);
void gpt2_read(struct param *p, const struct safetensors_entry *e,
               const struct gpt2_part *part);
/* The entry that a parameter becomes: 1, or 0 where it went along with its c_attn's
 * first. `bare`: without "transformer.". */
int64_t gpt2_write(struct safetensors_entry *e, const struct model *m,
                   const struct param *p, struct arena *arena, bool bare);

/* ---- spans.c: answers from logits ---- */

struct span_search;
struct span_search *span_search_new(struct err *err);
void span_search_free(struct span_search *s);
/* Example i's answer out of its windows' logits: logits[w] are the (start, end) pairs of
 * window w's tokens. Fills what predictions hold of it. */
int span_predict(struct span_search *s, struct predictions *p, int64_t i,
                 const float *const *logits, struct err *err);

/* Draws one parameter as Devlin et al. do: N(0, range), norms 1 and 0, biases 0. */
void param_draw(struct param *p, uint64_t seed, double range);

#endif
