/*
 * Text from a decoder, token by token.
 *
 *   greedy     the likeliest token (of equals the lowest id)
 *   sampled    from softmax(logits / temperature), cut to the top_k likeliest and then to
 *              the fewest whose probabilities sum to top_p (Holtzman et al. 2020), drawn
 *              by stream "rollout/<number>/<position>" of the seed, one draw a token
 *   beam       the `beams` likeliest continuations side by side; a finished one scores
 *              sum log p / length^length_penalty, length counting its new tokens, and the
 *              search ends when no running one can be better (as transformers with
 *              early_stopping false)
 *
 * A token that ends a text (eos, or bos, which begins another) ends it and is not given;
 * so does the model's last position.
 */
#ifndef RETORT_GENERATE_H
#define RETORT_GENERATE_H

#include "retort/model.h"

/*
 * Keys and values of the tokens so far, so that a further one costs a row instead of a
 * pass over all: the row's query asks the stored keys, with the bits of the whole pass.
 * Set in a pass (struct pass) whose batch holds the rest of each of the cache's
 * sequences: any number of tokens for an empty cache, one each later. Their batch's
 * positions go on from `length`.
 */
struct kv_cache {
    int64_t layers, n_seq, capacity; /* tokens of a sequence */
    int64_t *width;                  /* (layers) floats of a row */
    int64_t length;                  /* of all sequences */
    float **key, **value;            /* (layers) (n_seq, capacity, width) */
    struct arena *arena;
};
int kv_cache_init(struct kv_cache *c, const struct model *m, int64_t n_seq,
                  int64_t capacity, struct err *err);
void kv_cache_release(struct kv_cache *c);
/* Sequence i becomes what sequence from[i] was. */
int kv_cache_select(struct kv_cache *c, const int32_t *from, struct err *err);

struct decoding {
    int64_t tokens;     /* at most so many new ones */
    double temperature; /* 0: greedy */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all */
    int64_t beams;      /* 1: none */
    double length_penalty;
    uint64_t seed;
    int64_t number; /* of the prompt, in the streams' names */
    bool no_cache;  /* a whole pass for each token: the same tokens, slowly */
    bool endless;   /* tokens that end a text are like others */
};

/*
 * Continues the n > 0 tokens of `prompt`; new ones are appended to `out` (without bytes'
 * places). `each`, if not NULL, is called after every token (with beams: once, at the
 * end); it returns false to stop.
 */
int generate(struct tokens *out, struct model *m, struct tape *tape,
             const int32_t *prompt, int64_t n, const struct decoding *how,
             bool (*each)(void *ctx, const struct tokens *out), void *ctx,
             struct err *err);

#endif
