/*
 * What the files of operations (ops_*.c) share: the table's numbers, the cutting of rows
 * into tasks, small helpers. Private to them.
 */
#ifndef RETORT_OPS_SHARED_H
#define RETORT_OPS_SHARED_H

#include <string.h>

#include "op.h"

enum {
    OP_LINEAR,
    OP_LINEAR_GELU,
    OP_ADD,
    OP_MUL,
    OP_SCALE,
    OP_SUM,
    OP_RESHAPE,
    OP_UNARY,
    OP_LAYERNORM,
    OP_ADD_NORM,
    OP_SOFTMAX,
    OP_UNIT_ROWS,
    OP_RMS_NORM,
    OP_ROTARY,
    OP_REPEAT_HEADS,
    OP_EMBEDDING,
    OP_TAKE_ROWS,
    OP_DROPOUT,
    OP_ATTENTION,
    OP_CROSS_ENTROPY,
    OP_SQUARED_ERROR,
    OP_SEGMENT_CE,
    OP_LINEAR_CE,
    OP_TAKE_COLUMN,
    OP_GRAM,
    OP_LINEAR_DISTILL,
    OP_COUNT
};

#define ROWS 64 /* rows of a task and of a product's tile */

extern const struct op op_table[OP_COUNT];

/* What tasks over rows need; each op takes the fields it wants. */
struct job {
    const struct kernels *k;
    struct tape *tape;
    int64_t n, c, o; /* rows, columns, output columns */
    const void *x, *y, *dy, *w, *b;
    void *to, *to2;
    float *tail; /* padded tile */
    float *tail_out;
    double *mean, *rstd;
    double number;
    bool flag;
    int what;
    const struct dropped *dropped;
    atomic_int *failed;
};

static inline void *at(const void *base, const struct kernels *k, int64_t i)
{
    char *p;
    memcpy(&p, &base, sizeof p); /* sheds const: kernels only read what is input */
    return base ? p + i * dtype_bytes(k->dtype) : NULL;
}

static inline int64_t tasks_of(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

static inline int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t columns(const struct tensor *x)
{
    return x->shape.rank ? x->shape.dim[x->shape.rank - 1] : 1;
}

static inline int64_t rows_of(const struct tensor *x)
{
    int64_t n = 1;
    for (int i = 0; i + 1 < x->shape.rank; i++)
        n *= x->shape.dim[i];
    return n;
}

static inline void set(struct tensor *t, int64_t i, double x)
{
    if (t->dtype == DT_F64)
        ((double *)t->data)[i] = x;
    else
        ((float *)t->data)[i] = (float)x;
}

static inline double get(const void *p, const struct kernels *k, int64_t i)
{
    return k->dtype == DT_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

static inline void bump(void *p, const struct kernels *k, int64_t i, double x)
{
    if (k->dtype == DT_F64)
        ((double *)p)[i] += x;
    else
        ((float *)p)[i] += (float)x;
}

/* Runs the tasks on the tape's pool; nothing on a tape that failed. */
void op_run(struct tape *tape, int64_t tasks, void (*fn)(void *, int64_t),
            struct job *job);
/* The kernels of the tape's type; notes that the op was used. */
const struct kernels *op_use(struct tape *tape, int op);
/* Uninitialised, of x's shape. */
struct tensor *op_like(struct tape *tape, const struct tensor *x);
/* Fails the tape; returns NULL. */
struct tensor *op_bad_shapes(struct tape *tape, const char *op, const struct tensor *a,
                             const struct tensor *b, const char *want);
/* to[c] += sum over rows of x * w (w NULL: of x); to NULL: nothing */
void op_colsum(struct tape *tape, const struct kernels *k, void *to, const void *x,
               const void *w, int64_t n, int64_t c);
/* to += a x; to NULL: nothing */
void op_axpy(struct tape *tape, const struct kernels *k, void *to, const void *x,
             double a, int64_t n);

/* A linear map of n rows and what its three products read: x (n, i), dy (n, o), w (o, i),
 * b (o) or NULL. */
struct linear {
    const void *x, *dy;
    const struct tensor *w;
    const void *b;
    void *gelu;    /* (n, o) forward: gelu(y) goes here; NULL: no gelu */
    const void *h; /* (n, o) backward: y, of which the gelu was taken; NULL: none was */
    int64_t n, i, o;
};
/* y = x w' + b; y may be NULL if only its gelu is wanted. */
void linear_forward(struct tape *tape, const struct linear *l, void *y);
/* dx += dy w; fresh: dx = dy w. dx NULL: nothing. With h, dy itself first becomes
 * dy gelu'(h), also for a NULL dx. */
void linear_dx(struct tape *tape, const struct linear *l, void *dx, bool fresh);
/* dw += dy' x; fresh: dw = dy' x; db += sum of dy over rows. NULL: not wanted. */
void linear_dw(struct tape *tape, const struct linear *l, void *dw, bool fresh, void *db);

/* Dropout of rows: what it keeps is drawn once and serves the backward pass too. */
struct dropped {
    double factor; /* 1 / (1 - p) */
    int64_t words; /* of a row's bits */
    uint16_t *bits;
};
/* False fails the tape. */
bool dropout_fits(struct tape *tape, const struct tensor *x, double p,
                  const struct rows *rows, const struct dropout_key *key);
/* NULL fails the tape. */
struct dropped *dropout_draw(struct tape *tape, const struct kernels *k, double p,
                             int64_t c, const struct rows *rows,
                             const struct dropout_key *key);
struct rng dropout_stream(const struct dropout_key *key);
struct skips dropout_skips(u128 inc);
/* Multiplier and addend that take a state `n` draws on. */
void dropout_jump(u128 inc, uint64_t n, u128 *mul, u128 *add);

/* Operations of products, for the table. */
double linear_flops(const struct node *node, bool back);
double linear_ce_flops(const struct node *node, bool back);
double linear_distill_flops(const struct node *node, bool back);
double attention_flops(const struct node *node, bool back);

/* Backward functions of the table. */
void linear_back(struct tape *tape, struct node *node);
void add_back(struct tape *tape, struct node *node);
void mul_back(struct tape *tape, struct node *node);
void scale_back(struct tape *tape, struct node *node);
void sum_back(struct tape *tape, struct node *node);
void reshape_back(struct tape *tape, struct node *node);
void unary_backward(struct tape *tape, struct node *node);
void norm_backward(struct tape *tape, struct node *node);
void softmax_backward(struct tape *tape, struct node *node);
void unit_rows_backward(struct tape *tape, struct node *node);
void rms_norm_backward(struct tape *tape, struct node *node);
void rotary_backward(struct tape *tape, struct node *node);
void repeat_heads_backward(struct tape *tape, struct node *node);
void gather_back(struct tape *tape, struct node *node);
void dropout_back(struct tape *tape, struct node *node);
void attention_back(struct tape *tape, struct node *node);
void cross_entropy_back(struct tape *tape, struct node *node);
void squared_error_back(struct tape *tape, struct node *node);
void segment_back(struct tape *tape, struct node *node);
void linear_ce_back(struct tape *tape, struct node *node);
void linear_distill_back(struct tape *tape, struct node *node);
void take_column_back(struct tape *tape, struct node *node);

#endif
