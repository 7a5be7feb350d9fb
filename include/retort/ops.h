/*
 * Operations. One row each in the op table (engine/tensor/ops.c): shape rule, forward,
 * backward, implementations best first, plain-C ref last.
 *
 * Unless said otherwise tensors are of the tape's real type. Rows are independent: a row
 * of an output is the same bits whatever other rows there are. Sums have a fixed order,
 * whatever the threads.
 */
#ifndef RETORT_OPS_H
#define RETORT_OPS_H

#include "retort/rng.h"
#include "retort/tensor.h"

/* y = x w' + b.  x (N, I), w (O, I), b (O) or NULL -> (N, O). Products in the tape's
 * compute type. */
struct tensor *linear(struct tape *tape, struct tensor *x, struct tensor *w,
                      struct tensor *b);
/* gelu(linear(x, w, b)), the same bits in fewer passes over memory. */
struct tensor *linear_gelu(struct tape *tape, struct tensor *x, struct tensor *w,
                           struct tensor *b);

/* a + b, a * b, elementwise: equal shapes, or b is a row (C) added to every row of a. */
struct tensor *add(struct tape *tape, struct tensor *a, struct tensor *b);
struct tensor *mul(struct tape *tape, struct tensor *a, struct tensor *b);
/* x * factor. */
struct tensor *scale(struct tape *tape, struct tensor *x, double factor);
/* Sum and mean of all elements: a scalar, in double inside, fixed order. */
struct tensor *sum_all(struct tape *tape, struct tensor *x);
struct tensor *mean_all(struct tape *tape, struct tensor *x);
/* The same elements under another shape. */
struct tensor *reshape(struct tape *tape, struct tensor *x, struct shape shape);

/* 0.5 x (1 + erf(x / sqrt(2))): Hendrycks & Gimpel 2016, the exact form
 * that BERT uses. */
struct tensor *gelu(struct tape *tape, struct tensor *x);
struct tensor *relu(struct tape *tape, struct tensor *x);
/* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): the same by tanh, as GPT-2 has it. */
struct tensor *gelu_new(struct tape *tape, struct tensor *x);
/* x / (1 + exp(-x)): SiLU. */
struct tensor *silu(struct tape *tape, struct tensor *x);
struct tensor *tanh_act(struct tape *tape, struct tensor *x);

/* (x - mean) / sqrt(var + eps) * gamma + beta over the last axis; biased variance. Ba et
 * al. 2016. */
struct tensor *layernorm(struct tape *tape, struct tensor *x, struct tensor *gamma,
                         struct tensor *beta, double eps);

/* x / sqrt(mean(x^2) + eps) * gamma over the last axis. Zhang & Sennrich 2019. */
struct tensor *rms_norm(struct tape *tape, struct tensor *x, struct tensor *gamma,
                        double eps);
/*
 * Rotary positions (Su et al. 2021, eq. 34, in the halves of LLaMA's Hugging Face form):
 * in each head of D columns, the pair (x[i], x[i + D/2]) is turned by the angle
 * position[row] * theta^(-2i/D). x (N, H*D), position i32 (N).
 */
struct tensor *rotary(struct tape *tape, struct tensor *x, const struct tensor *position,
                      int64_t head_dim, double theta);
/* Each head of D columns of x (N, K*D) `times` times over, side by side: (N, K*times*D).
 * Queries that share keys (Ainslie et al. 2023). */
struct tensor *repeat_heads(struct tape *tape, struct tensor *x, int64_t head_dim,
                            int64_t times);
/* exp(x) / sum over the last axis; log of it. */
struct tensor *softmax(struct tape *tape, struct tensor *x);
struct tensor *log_softmax(struct tape *tape, struct tensor *x);
/* x / ||x||_2 over the last axis; rows of zeros stay zeros, without gradient. Few rows:
 * not threaded. */
struct tensor *unit_rows(struct tape *tape, struct tensor *x);

/* table (V, C), ids i32 (N) -> (N, C). Ids out of range fail the tape. The gradient is
 * summed in token order. */
struct tensor *embedding(struct tape *tape, struct tensor *table,
                         const struct tensor *ids);

/* x'x of x (N, C) -> (C, C): a constant, whatever x is. Products in the tape's compute
 * type, summed over chunks of rows in their order. */
struct tensor *gram(struct tape *tape, const struct tensor *x);

/* Rows `index` i32 (M) of x (N, C) -> (M, C). */
struct tensor *take_rows(struct tape *tape, struct tensor *x, const struct tensor *index);

/*
 * Where in the data a packed row stands, so that dropout does not depend on the batch it
 * is in. Row r is token position[r] of the example example[r]; both i32 (N).
 */
struct rows {
    int64_t n;
    const int32_t *example;
    const int32_t *position;
};

/* Which stream a dropout draws from: rng_streamf(seed, "dropout/<site>/<step>"). */
struct dropout_key {
    uint64_t seed;
    const char *site;
    int64_t step;
};

/*
 * x with each element zeroed with probability p, the others divided by 1 - p. Element
 * (row r, channel c) uses 32 bits of draw number ((example[r] * 2^16 + position[r]) *
 * 2^16 + c / 2) of the stream (low half for even c, high half for odd c), kept if bits >=
 * p * 2^32. Nothing happens with p = 0 or a tape without TAPE_DROPOUT. x (N, C).
 */
struct tensor *dropout(struct tape *tape, struct tensor *x, double p,
                       const struct rows *rows, const struct dropout_key *key);

/* layernorm(x + dropout(a), gamma, beta, eps): the end of a block in one pass, with the
 * bits of the three operations. x, a (N, C). */
struct tensor *dropout_add_norm(struct tape *tape, struct tensor *x, struct tensor *a,
                                double p, const struct rows *rows,
                                const struct dropout_key *key, struct tensor *gamma,
                                struct tensor *beta, double eps);

/*
 * Scaled dot-product attention per sequence and head (Vaswani et al. 2017, eq. 1), with
 * gates (Michel et al. 2019): sequence b has the rows offsets[b] .. offsets[b+1] - 1;
 *
 *     P = softmax(q k' / sqrt(D)),  c = dropout(P) v
 *     out[:, h*D .. h*D + D) = gate[b, h] * c
 *
 * q, k, v (N, H*D); gates (B, H) or (H) or NULL (all 1); offsets i32 (B + 1). -> (N,
 * H*D). Multiplying by a gate of 1 is exact. The gradient of gate[b, h] is sum_t c_t .
 * dL/d(gated c_t). Dropout of P[i, j] in head h of example e, i and j counted within the
 * sequence, uses the stream of `key`, draw
 * ((e * 256 + head_id[h]) * 2^12 + i) * 2^11 + j / 2 (low half for even j). head_id: the
 * head's number before pruning, NULL: 0 .. H-1. key_mask: u8 (N) or NULL; rows with 0 are
 * not attended to (padding kept as rows). probs: if not NULL, the tensor P of the whole
 * batch (before dropout), as a flat constant: for each sequence and head T*T values.
 * Asking for it never changes which kernel runs.
 * window: sums over j are over the keys that query i sees, i - window < j <= i.
 * first_only: only the first token of each sequence asks: q is (B, H*D), the output too,
 * and P has one row for each sequence and head. The same bits as those rows of the whole;
 * a model's last block needs no more when a head reads the first token alone.
 */
struct attention {
    int64_t heads;
    int64_t head_dim;
    bool first_only;
    /* 0: a query sees all keys; else so many up to itself, itself too (causal:
     * INT64_MAX) */
    int64_t window;
    const struct tensor *offsets;
    struct tensor *gates;
    const struct tensor *key_mask;
    const int32_t *head_id;
    double dropout;
    const struct rows *rows;
    struct dropout_key key;
    struct tensor **probs;
};
struct tensor *attention(struct tape *tape, struct tensor *q, struct tensor *k,
                         struct tensor *v, const struct attention *a);

/*
 * Losses: scalars, the mean over the rows that count (label >= 0; 0 if there are none).
 * `each`, if not NULL, receives the rows' losses as a constant.
 */

/* -log softmax(logits)[label]. logits (B, V), labels i32 (B); label < 0: the row does not
 * count. */
struct tensor *cross_entropy(struct tape *tape, struct tensor *logits,
                             const struct tensor *labels, struct tensor **each);
/* (x - target)^2. x (B) or (B, 1), target f32 (B). */
struct tensor *squared_error(struct tape *tape, struct tensor *x,
                             const struct tensor *target, struct tensor **each);
/* Cross-entropy over the tokens of each sequence: logits (N), target row i32 (B) as
 * position in the sequence; offsets as in attention. For span start and end (Devlin et
 * al. 2019, 4.2). */
struct tensor *segment_cross_entropy(struct tape *tape, struct tensor *logits,
                                     const struct tensor *offsets,
                                     const struct tensor *target, struct tensor **each);
/* Cross-entropy of linear(x, w, b) over V classes without ever holding (M, V): chunks of
 * rows. */
struct tensor *linear_cross_entropy(struct tape *tape, struct tensor *x, struct tensor *w,
                                    struct tensor *b, const struct tensor *labels,
                                    struct tensor **each);
/*
 * Distance of the softened outputs of two linear maps over V classes, of which neither's
 * (M, V) is ever held (Hinton, Vinyals & Dean 2015):
 *
 *     T^2 / M sum_m KL( softmax(xt wt' / T) || softmax(x w' / T) )
 *
 * x (M, C), w (V, C) of the student; xt (M, D), wt (V, D) of the teacher get no gradient.
 */
struct tensor *linear_distill(struct tape *tape, struct tensor *x, struct tensor *w,
                              const struct tensor *xt, const struct tensor *wt,
                              double temperature);
/* Column c of x (N, C) -> (N). */
struct tensor *take_column(struct tape *tape, struct tensor *x, int64_t c);

/* Names of the implementations used since the start, for the record: "linear=onednn-v4
 * gelu=cpu-v4". */
struct strbuf;
void ops_used(struct strbuf *out);
/* How often numbers of ops have changed: goes into job ids. Raise an op's version when
 * its bits change. */
int64_t ops_numeric_version(void);

#endif
