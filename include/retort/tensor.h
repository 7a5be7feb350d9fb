/*
 * Tensors, parameters and the tape.
 *
 * Letters, as in the papers: B sequences in a batch, N packed tokens of all its sequences
 * (no padding), T tokens of one sequence, C channels, H heads, D channels of one head, L
 * layers, V vocabulary.
 *
 * A tape records the operations of one step and differentiates them backwards:
 *
 *     tape_begin(tape, TAPE_TRAIN);
 *     struct tensor *y = linear(tape, x, tape_param(tape, w), NULL);
 *     struct tensor *loss = cross_entropy(tape, y, labels, NULL);
 *     tape_backward(tape, loss);    gradients are in w->grad
 *     if (tape_failed(tape, err))
 *         goto done;
 *
 * Operations never return an error: a failure (shapes, memory) sticks to the tape, later
 * operations return a harmless tensor or NULL and do nothing, and each step asks once.
 * Every operation accepts NULL inputs in that state.
 */
#ifndef RETORT_TENSOR_H
#define RETORT_TENSOR_H

#include <stdint.h>

#include "retort/err.h"
#include "retort/mem.h"
#include "retort/pool.h"

enum dtype { DT_F64, DT_F32, DT_BF16, DT_F16, DT_I64, DT_I32, DT_I8, DT_U8, DT_COUNT };

const char *dtype_name(enum dtype dtype); /* "f32" */
int dtype_parse(enum dtype *out, const char *name);
int64_t dtype_bytes(enum dtype dtype);

/* Conversions, round to nearest even; bf16 and f16 as their bits. */
float bf16_to_f32(uint16_t x);
uint16_t f32_to_bf16(float x);
float f16_to_f32(uint16_t x);
uint16_t f32_to_f16(float x);
/* n values from any numeric dtype to any other. */
void dtype_convert(void *to, enum dtype to_dtype, const void *from, enum dtype from_dtype,
                   int64_t n);

#define RANK_MAX 4

struct shape {
    int rank;
    int64_t dim[RANK_MAX];
};
#define SHAPE(...)                                                                       \
    ((struct shape){(int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),           \
                    {__VA_ARGS__}})
#define SCALAR ((struct shape){0, {0}})

/* Elements; 1 for a scalar. Dimensions were checked before. */
int64_t shape_count(struct shape s);
/* *out = bytes of a tensor, with checked products: hostile or huge shapes
 * are ERR_INPUT. */
int shape_bytes(int64_t *out, struct shape s, enum dtype dtype, struct err *err);
bool shape_equal(struct shape a, struct shape b);
/* "(32, 384)" into a caller's buffer of at least 96 bytes; returns it. */
char *shape_text(char *buf, struct shape s);

struct param;

/* Contiguous, row-major. `data` belongs to the tape's arena, to a parameter, or to a
 * mapping. */
struct tensor {
    enum dtype dtype;
    struct shape shape;
    void *data;
    int64_t node;        /* its number on the tape; -1: a constant */
    bool wants_grad;     /* some parameter or leaf below it is differentiated */
    struct param *param; /* the parameter it is the value of, or NULL */
};

static inline float *tensor_f32(const struct tensor *t)
{
    return t->data;
}

/*
 * A parameter: master weights in f32, its gradient summed over the micro-batches of a
 * step. `mask` (same count, 0 or 1) if elements are pruned: value is kept at 0 there, and
 * the optimizer neither moves them nor sees their gradient.
 */
struct param {
    const char
        *name; /* as in Hugging Face: bert.encoder.layer.0.attention.self.query.weight */
    struct tensor value;
    float *grad;   /* NULL until param_need_grad; see also fresh */
    bool fresh;    /* grad counts as 0 whatever it holds; the first to add sets it */
    uint8_t *rows; /* of a long table: PARAM_ROW_* of each row; NULL: not kept */
    uint8_t *mask; /* NULL: dense */
    bool frozen;   /* no gradient, no update */
    bool decay;    /* weight decay applies: not for biases and LayerNorm */
    bool changed;  /* differs from `origin` */
    const char
        *origin; /* "<run id>:<name>" of the run that holds this very tensor, or NULL */
    uint64_t version; /* raised at each change of value; caches of packed or bf16 copies
                         compare it */
    void *cache;      /* such a copy, owned by the kernels (param_release frees it) */
};

/* What a row of a long table may hold besides zeros: of an embedding most rows are not
 * met in a step, many never. */
enum { PARAM_ROW_GRAD = 1, PARAM_ROW_MOMENTS = 2 };

/* Sets value in `arena` (zeroed). */
int param_init(struct param *p, struct arena *arena, const char *name, struct shape shape,
               struct err *err);
int param_need_grad(struct param *p, struct arena *arena, struct err *err);
void param_touch(struct param *p); /* value was changed: version, changed */
/* Brings the packed copies that are there up to the value; from any thread. */
void param_repack(struct param *p);
void param_apply_mask(struct param *p);
void param_release(struct param *p); /* the caches; value and grad belong to the arena */

/* ---- the tape ---- */

struct tape;

enum tape_flags {
    TAPE_EVAL = 0,    /* no gradients are recorded, dropout does nothing */
    TAPE_GRAD = 1,    /* record gradients */
    TAPE_DROPOUT = 2, /* dropout is on */
    TAPE_TRAIN = TAPE_GRAD | TAPE_DROPOUT,
};

/* `compute` is the type of matrix products: DT_F32; DT_BF16 (inputs rounded to bf16, sums
 * f32); or DT_F64 with plain-C kernels only: all tensors of the tape are then f64,
 * parameters converted. */
struct tape *tape_new(struct pool *pool, enum dtype compute, struct err *err);
void tape_free(struct tape *tape);

/* Forgets the step before (its tensors become invalid) and starts another. */
void tape_begin(struct tape *tape, enum tape_flags flags);

/* Gradients are added to params' grad and to leaves' gradients. The loss is a scalar;
 * `scale` multiplies the gradient it starts from (1 / accumulation steps). */
void tape_backward(struct tape *tape, const struct tensor *loss, float scale);

/* 0, or -1 and the first failure since tape_begin. */
int tape_failed(struct tape *tape, struct err *err);
void tape_fail(struct tape *tape, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

bool tape_records(const struct tape *tape);
enum tape_flags tape_flags_now(const struct tape *tape);
enum dtype tape_compute(const struct tape *tape);
enum dtype tape_real(const struct tape *tape); /* dtype of activations: f32, or f64 */
struct arena *tape_arena(const struct tape *tape);
struct pool *tape_pool(const struct tape *tape);

/* Uninitialised tensor of the step. */
struct tensor *tape_tensor(struct tape *tape, enum dtype dtype, struct shape shape);
/* A constant that holds a copy of `n = count(shape)` values, converted to the tape's real
 * type. */
struct tensor *tape_constant(struct tape *tape, struct shape shape, const float *values);
/* The same as a leaf whose gradient is kept: read it by tape_grad after tape_backward. */
struct tensor *tape_leaf(struct tape *tape, struct shape shape, const float *values);
/* The parameter as a tensor; its gradient goes to p->grad if it is there and p is not
 * frozen. */
struct tensor *tape_param(struct tape *tape, struct param *p);
/* i32 constant, copied. */
struct tensor *tape_indices(struct tape *tape, struct shape shape, const int32_t *values);

/* Gradient of the last tape_backward with respect to `t` in the tape's real type, or NULL
 * if it was not wanted. For tensors that are neither leaves nor parameters it is kept
 * only after tape_retain. */
const void *tape_grad(const struct tape *tape, const struct tensor *t);
void tape_retain(struct tape *tape, struct tensor *t);
/* value of element i of a tensor of the tape's real type */
double tensor_get(const struct tensor *t, int64_t i);

/* Without gradients, activations of a block are dead after it: everything allocated
 * between mark and keep is given back, except `t`, which is moved. Does nothing while
 * gradients are recorded. */
struct arena_mark tape_mark(struct tape *tape);
struct tensor *tape_keep(struct tape *tape, struct arena_mark mark, struct tensor *t);

/* Kernels. Level: "ref" (plain C only), "v2", "v3", "v4" (x86-64 levels), or NULL: the
 * best this processor has. RETORT_KERNELS in the environment sets it at start. -1: not
 * possible here. */
int kernels_select(const char *level, struct err *err);
const char *kernels_level(void);
/* The instruction set of the library's products, as a number; 0 with ref kernels. Part of
 * what decides the bits: one level may have several (AVX-512 with and without bf16). */
unsigned kernels_products(void);

#endif
