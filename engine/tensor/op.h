/*
 * What the tape, the ops and the kernels share; private to engine/tensor.
 *
 * A set of kernels is one implementation of the arithmetic: "ref" for float and for
 * double (plain C, double accumulators, libm), and one for each x86-64 level (float, 16
 * explicit lanes, own exp, normal distribution and tanh). Kernels work on ranges of rows;
 * ops_*.c cut the rows into fixed tasks. Pointers are void because the same table serves
 * float and double; a set's `dtype` says which.
 */
#ifndef RETORT_OP_H
#define RETORT_OP_H

#include <stdatomic.h>

#include "retort/ops.h"

enum unary { UNARY_GELU, UNARY_RELU, UNARY_TANH, UNARY_GELU_NEW, UNARY_SILU };

/* Multipliers and addends that take a state of one stream 0 to 8 draws on. */
struct skips {
    u128 mul[9], add[9];
};

/* Dropout keeps a 32-bit draw above this: draws >= p 2^32, 0 < p < 1. */
static inline uint32_t drop_limit(double p)
{
    double least = p * 4294967296.0;
    uint64_t whole = (uint64_t)least;
    return (uint32_t)(whole + ((double)whole < least) - 1);
}

/* One sequence and head of attention. Rows of q, k, v, out are `ld` elements apart. */
struct attn_task {
    const void *q, *k, *v;
    void *out;  /* forward: gated context */
    void *prob; /* queries * T probabilities before dropout; NULL: not wanted */
    const uint8_t *key_mask; /* of the sequence's rows, or NULL */
    int64_t t, d, ld;
    int64_t queries; /* the first rows that ask: t, or 1 (and t may then be 0) */
    int64_t window;  /* 0: a query sees all keys; else so many up to itself, itself too */
    double gate;
    double dropout; /* 0: none */
    const struct skips *skips;
    struct rng rng;          /* at draw (e * 256 + head) * 2^12 * 2^11 */
    u128 jump_mul, jump_add; /* advances a state by the 2^11 draws of one query */
    void *stats;             /* 2 a query, for the backward pass; NULL: there is none */
    uint16_t *bits;     /* what dropout keeps, ceil(T / 16) a query; NULL: no dropout */
    const void *dout;   /* backward */
    void *dq, *dk, *dv; /* set if fresh, else added to; NULL: not wanted */
    bool fresh_q, fresh_k, fresh_v;
    void *dgate; /* one element, set; NULL: not wanted */
};

/* Rows of a layer normalisation of x, or of x + dropout(a). Backward, x is what was
 * normalised. */
struct norm_task {
    const void *x, *a;    /* a NULL: x alone */
    const uint16_t *bits; /* what dropout keeps of a, `words` a row; NULL: all */
    int64_t words;
    double factor;
    void *sum; /* set to x + dropout(a) unless a is NULL */
    const void *gamma, *beta;
    double eps;
    void *y;
    double *mean, *rstd; /* of each row */
    int64_t rows, c;
    const void *dy;
    void *dx, *da; /* set if fresh, else added to; NULL: not wanted */
    bool fresh_x, fresh_a;
    void *dgamma, *dbeta; /* (c) each, set to the sums over these rows */
};

/* Keys lo .. hi - 1 are seen by query i of a task. */
static inline void attn_sees(const struct attn_task *a, int64_t i, int64_t *lo,
                             int64_t *hi)
{
    *hi = a->window && i + 1 < a->t ? i + 1 : a->t;
    *lo = a->window && i + 1 > a->window ? i + 1 - a->window : 0;
}

/* Operations whose tasks are rows, each writing its own (decoder.inc.h). */
enum rows_what { ROWS_RMS_NORM, ROWS_SCALE, ROWS_ROTARY, ROWS_REPEAT, ROWS_COUNT };
struct rows_run {
    const struct kernels *k;
    enum rows_what what;
    bool back;
    int64_t n, c;
    const void *x, *dy, *gamma;
    void *to;           /* forward: set; back: added to */
    double *rstd, eps;  /* of each row */
    const double *turn; /* cos and sin of each position and pair */
    const int32_t *position;
    int64_t head_dim, times;
};

struct kernels {
    const char *name;
    enum dtype dtype;
    const struct packers *packers; /* products are oneDNN's; NULL: mm_nt and so on */
    void (*add)(void *y, const void *a, const void *b, int64_t n);
    void (*mul)(void *y, const void *a, const void *b, int64_t n);
    void (*mul_add)(void *y, const void *a, const void *b, int64_t n); /* y += a b */
    void (*axpy)(void *y, const void *x, double a, int64_t n);         /* y += a x */
    double (*sum)(const void *x, int64_t n);
    void (*unary)(enum unary what, void *y, const void *x, int64_t n);
    /* dx +=, or = if fresh */
    void (*unary_back)(enum unary what, void *dx, const void *x, const void *y,
                       const void *dy, int64_t n, bool fresh);
    void (*gelu_chain)(void *dy, const void *h, int64_t n); /* dy *= gelu'(h) */
    void (*norm)(const struct norm_task *t);
    void (*norm_back)(const struct norm_task *t);
    /* dst[c] += sum over rows of x (times w if not NULL), for at most 64 columns */
    void (*colsum)(void *dst, const void *x, const void *w, int64_t rows, int64_t c,
                   int64_t c0, int64_t c1);
    void (*softmax)(void *y, const void *x, int64_t rows, int64_t c, bool log);
    void (*softmax_back)(void *dx, const void *y, const void *dy, int64_t rows, int64_t c,
                         bool log);
    /* one row: its largest value and the sum of exp(x - top) */
    void (*exp_sum)(const void *x, int64_t n, double *top, double *sum);
    /* one row: dx = factor exp(x - top), or += ; dx may be x */
    void (*exp_scaled)(void *dx, const void *x, int64_t n, double top, double factor,
                       bool fresh);
    /* bits[i / 16] gets bit i % 16 set where element i < n of a row is kept; two elements
     * a draw, the first draw being the one after `state` */
    void (*draw)(uint16_t *bits, const struct skips *by, u128 state, int64_t n,
                 uint32_t limit);
    /* one row: kept elements times factor, the others 0; add: y += instead of y = */
    void (*dropout)(void *y, const void *x, const uint16_t *bits, int64_t n,
                    double factor, bool add);
    void (*row[ROWS_COUNT])(const struct rows_run *run, int64_t r);
    void (*attn)(const struct attn_task *t, void *scratch);
    void (*attn_back)(const struct attn_task *t, void *scratch);
    /* elements of scratch that a task needs */
    int64_t (*attn_scratch)(int64_t queries, int64_t t, int64_t d, bool back);
    /* y (rows, o) = x (rows, i) w' + b */
    void (*mm_nt)(void *y, const void *x, const void *w, const void *b, int64_t rows,
                  int64_t i, int64_t o);
    /* dx (rows, i) += dy (rows, o) w */
    void (*mm_nn)(void *dx, const void *dy, const void *w, int64_t rows, int64_t i,
                  int64_t o);
    /* rows o0 .. o1 - 1 of dw (o, i) += dy' x over n tokens */
    void (*mm_tn)(void *dw, const void *dy, const void *x, int64_t n, int64_t i,
                  int64_t o, int64_t o0, int64_t o1);
};

extern const struct kernels kernels_ref_f32, kernels_ref_f64;
extern const struct kernels kernels_cpu_v2, kernels_cpu_v3, kernels_cpu_v4;
/* The set in use for a dtype (f32 or f64). */
const struct kernels *kernels_for(enum dtype dtype);

/* Operands of products (cpu/pack.level.c); bits are the same at every level. */
struct packers {
    void (*to_bf16)(uint16_t *y, const float *x, int64_t n);
    /* m columns of x (n rows that are ld apart) as rows of k values, zeros after the n
     * (k a multiple of 8); half: rounded to bf16. sum[c] += the column's sum unless NULL
     */
    void (*turn)(void *to, int64_t k, const float *x, int64_t ld, int64_t n, int64_t m,
                 float *sum, bool half);
};
extern const struct packers packers_v2, packers_v3, packers_v4;

/* Packed copies of a parameter's value, its `cache`; NULL is fine. */
void packs_free(void *cache);

struct node;

/* A row of the op table. */
struct op {
    const char *name;
    int64_t version; /* raised when the op's bits change */
    void (*backward)(struct tape *tape, struct node *node);
    /* Operations of its products, forward or backward; NULL: it has none. */
    double (*flops)(const struct node *node, bool back);
};

#define NODE_INPUTS 4

struct node {
    const struct op *op; /* NULL: a leaf or a parameter */
    struct tensor *out;
    struct tensor *in[NODE_INPUTS];
    void *grad; /* NULL until something flows in */
    bool keep;  /* kept after the backward pass */
    void *attr; /* what the op's backward needs, in the tape's arena */
};

/* Result of an op: takes part in the backward pass if an input does. Returns `out`. */
struct tensor *tape_record(struct tape *tape, const struct op *op, struct tensor *out,
                           void *attr, struct tensor *a, struct tensor *b,
                           struct tensor *c, struct tensor *d);
/* Where gradients of `t` are added to, zeroed at first; NULL: not wanted or no memory. */
void *tape_grad_of(struct tape *tape, struct tensor *t);
/* The same without zeroing: with *fresh the memory holds anything, and the caller sets
 * all of it; without, the caller adds. */
void *tape_grad_to(struct tape *tape, struct tensor *t, bool *fresh);
/* As tape_grad_of, by one who adds to n rows only: of a long table the others stay
 * untouched in the optimizer too. */
void *tape_grad_rows(struct tape *tape, struct tensor *t, const int32_t *row, int64_t n);
/* In a backward function whose input has the gradient of its output: makes node->grad
 * that of `t` without a copy, if t has none yet. False: add it as usual. After it
 * node->grad is NULL. */
bool tape_grad_hand_on(struct tape *tape, struct node *node, struct tensor *t);
/* True if a failure sticks: ops then return NULL. */
bool tape_bad(struct tape *tape);
/* From the step's arena; NULL fails the tape. */
void *tape_alloc(struct tape *tape, int64_t count, size_t size);

#endif
