/*
 * The op table and the public functions: shape rules, cutting of rows into fixed tasks,
 * order of sums. The arithmetic is in the sets of kernels (op.h).
 */
#include <math.h>
#include <string.h>

#include "op.h"
#include "retort/strbuf.h"

enum {
    OP_LINEAR,
    OP_ADD,
    OP_MUL,
    OP_SCALE,
    OP_SUM,
    OP_RESHAPE,
    OP_UNARY,
    OP_LAYERNORM,
    OP_SOFTMAX,
    OP_EMBEDDING,
    OP_TAKE_ROWS,
    OP_DROPOUT,
    OP_ATTENTION,
    OP_CROSS_ENTROPY,
    OP_SQUARED_ERROR,
    OP_SEGMENT_CE,
    OP_LINEAR_CE,
    OP_TAKE_COLUMN,
    OP_COUNT
};

#define ROWS 64     /* rows of a task and of a product's tile */
#define TILE_O 192  /* rows of a weight gradient's tile */
#define CHUNK 512   /* tokens of a weight gradient's chunk */
#define CE_ROWS 256 /* rows of logits that linear_cross_entropy holds at a time */

static const struct op ops[OP_COUNT];
static atomic_bool used[OP_COUNT][2]; /* by dtype: float, double */

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
    const struct rows *rows;
    struct rng rng;
    const struct attn_task *attn;
    atomic_int *failed;
};

static void *at(const void *base, const struct kernels *k, int64_t i)
{
    char *p;
    memcpy(&p, &base, sizeof p); /* sheds const: kernels only read what is input */
    return base ? p + i * dtype_bytes(k->dtype) : NULL;
}

static int64_t tasks_of(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void run(struct tape *tape, int64_t tasks, void (*fn)(void *, int64_t),
                struct job *job)
{
    if (tasks > 0 && !tape_bad(tape))
        pool_run(tape_pool(tape), tasks, fn, job);
}

static const struct kernels *use(struct tape *tape, int op)
{
    bool f64 = tape_real(tape) == DT_F64;
    atomic_store(&used[op][f64], true);
    return kernels_for(f64 ? DT_F64 : DT_F32);
}

static struct tensor *like(struct tape *tape, const struct tensor *x)
{
    return tape_tensor(tape, tape_real(tape), x->shape);
}

static int64_t columns(const struct tensor *x)
{
    return x->shape.rank ? x->shape.dim[x->shape.rank - 1] : 1;
}

static int64_t rows_of(const struct tensor *x)
{
    int64_t n = 1;
    for (int i = 0; i + 1 < x->shape.rank; i++)
        n *= x->shape.dim[i];
    return n;
}

static struct tensor *bad_shapes(struct tape *tape, const char *op,
                                 const struct tensor *a, const struct tensor *b,
                                 const char *want)
{
    char s[96], t[96];
    tape_fail(tape, ERR_INPUT, "%s of %s and %s: %s", op, shape_text(s, a->shape),
              b ? shape_text(t, b->shape) : "nothing", want);
    return NULL;
}

/* ---- products
 * ------------------------------------------------------------------------------ */

static const float *rounded(struct tape *tape, const float *x, int64_t n)
{
    if (tape_compute(tape) != DT_BF16)
        return x;
    float *y = tape_alloc(tape, n, sizeof *y);
    for (int64_t i = 0; y && i < n; i++)
        y[i] = bf16_to_f32(f32_to_bf16(x[i]));
    return y;
}

static void nt_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    int64_t r = task * ROWS, n = min64(ROWS, j->n - r);
    if (!j->k->gemm) {
        j->k->mm_nt(at(j->to, j->k, r * j->o), at(j->x, j->k, r * j->c), j->w, j->b, n,
                    j->c, j->o);
        return;
    }
    const float *x = n < ROWS ? j->tail : (const float *)j->x + r * j->c;
    float *y = n < ROWS ? j->tail_out : (float *)j->to + r * j->o;
    if (gemm_f32(false, true, ROWS, j->o, j->c, x, j->c, j->w, j->c, 0, y, j->o))
        atomic_store(j->failed, 1);
    for (int64_t i = 0; j->b && i < n; i++)
        j->k->add(y + i * j->o, y + i * j->o, j->b, j->o);
    if (n < ROWS)
        memcpy((float *)j->to + r * j->o, y, (size_t)(n * j->o) * sizeof *y);
}

static void nn_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    int64_t r = task * ROWS, n = min64(ROWS, j->n - r);
    if (!j->k->gemm) {
        j->k->mm_nn(at(j->to, j->k, r * j->c), at(j->dy, j->k, r * j->o), j->w, n, j->c,
                    j->o);
        return;
    }
    const float *dy = n < ROWS ? j->tail : (const float *)j->dy + r * j->o;
    float *dx = n < ROWS ? j->tail_out : (float *)j->to + r * j->c;
    if (gemm_f32(false, false, ROWS, j->c, j->o, dy, j->o, j->w, j->c,
                 n < ROWS ? 0.0f : 1.0f, dx, j->c))
        atomic_store(j->failed, 1);
    if (n < ROWS)
        j->k->axpy((float *)j->to + r * j->c, dx, 1, n * j->c);
}

static void tn_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    int64_t o0 = task * TILE_O, o1 = min64(o0 + TILE_O, j->o);
    for (int64_t r = 0; r < j->n; r += CHUNK) {
        int64_t n = min64(CHUNK, j->n - r);
        if (!j->k->gemm)
            j->k->mm_tn(j->to, at(j->dy, j->k, r * j->o), at(j->x, j->k, r * j->c), n,
                        j->c, j->o, o0, o1);
        else if (gemm_f32(true, false, o1 - o0, j->c, n,
                          (const float *)j->dy + r * j->o + o0, j->o,
                          (const float *)j->x + r * j->c, j->c, 1.0f,
                          (float *)j->to + o0 * j->c, j->c))
            atomic_store(j->failed, 1);
    }
}

static void colsum_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    int64_t c0 = task * 64;
    j->k->colsum(j->to, j->x, j->w, j->n, j->c, c0, min64(c0 + 64, j->c));
}

/* to[c] += sum over rows of x * w */
static void colsum(struct tape *tape, const struct kernels *k, void *to, const void *x,
                   const void *w, int64_t n, int64_t c)
{
    run(tape, to ? tasks_of(c, 64) : 0, colsum_task,
        &(struct job){.k = k, .to = to, .x = x, .w = w, .n = n, .c = c});
}

/* Copies the last rows, zero-padded to a whole tile, where rows do not fill one. */
static bool pad_tail(struct tape *tape, struct job *j, const float *from, int64_t c,
                     int64_t out_c)
{
    int64_t n = j->n % ROWS;
    if (!n || !j->k->gemm)
        return true;
    j->tail = tape_alloc(tape, ROWS * c, sizeof(float));
    j->tail_out = tape_alloc(tape, ROWS * out_c, sizeof(float));
    if (!j->tail || !j->tail_out)
        return false;
    memset(j->tail, 0, (size_t)(ROWS * c) * sizeof(float));
    memcpy(j->tail, from + (j->n - n) * c, (size_t)(n * c) * sizeof(float));
    return true;
}

enum product { PRODUCT_NT, PRODUCT_NN, PRODUCT_TN };

/* One of the three products of a linear map; x, dy, w as far as the product reads them.
 */
static void product(struct tape *tape, enum product what, void *to, const void *x,
                    const void *dy, const void *w, const void *b, int64_t n, int64_t i,
                    int64_t o)
{
    atomic_int failed = 0;
    struct job j = {.k = use(tape, OP_LINEAR),
                    .n = n,
                    .c = i,
                    .o = o,
                    .x = x,
                    .dy = dy,
                    .w = w,
                    .b = b,
                    .to = to,
                    .failed = &failed};
    if (!to || n == 0 || i == 0 || o == 0) {
        for (int64_t r = 0; to && what == PRODUCT_NT && r < n * o; r++)
            memcpy(at(to, j.k, r), b ? at(b, j.k, r % o) : &(double){0},
                   (size_t)dtype_bytes(j.k->dtype));
        return;
    }
    if (tape_compute(tape) == DT_BF16) {
        j.x = x ? rounded(tape, x, n * i) : NULL;
        j.dy = dy ? rounded(tape, dy, n * o) : NULL;
        j.w = w ? rounded(tape, w, o * i) : NULL;
    }
    bool fine = !tape_bad(tape);
    if (fine && what == PRODUCT_NT)
        fine = pad_tail(tape, &j, j.x, i, o);
    if (fine && what == PRODUCT_NN)
        fine = pad_tail(tape, &j, j.dy, o, i);
    if (fine)
        run(tape, what == PRODUCT_TN ? tasks_of(o, TILE_O) : tasks_of(n, ROWS),
            what == PRODUCT_NT   ? nt_task
            : what == PRODUCT_NN ? nn_task
                                 : tn_task,
            &j);
    if (failed)
        tape_fail(tape, ERR_IO, "oneDNN refused a product of %lld x %lld x %lld",
                  (long long)n, (long long)i, (long long)o);
}

struct tensor *linear(struct tape *tape, struct tensor *x, struct tensor *w,
                      struct tensor *b)
{
    if (tape_bad(tape) || !x || !w)
        return NULL;
    if (x->shape.rank != 2 || w->shape.rank != 2 || x->shape.dim[1] != w->shape.dim[1])
        return bad_shapes(tape, "linear", x, w, "wants (N, I) and (O, I)");
    int64_t n = x->shape.dim[0], i = x->shape.dim[1], o = w->shape.dim[0];
    if (b && shape_count(b->shape) != o)
        return bad_shapes(tape, "linear", w, b, "the bias has one value a row");
    struct tensor *y = tape_tensor(tape, tape_real(tape), SHAPE(n, o));
    if (!y)
        return NULL;
    product(tape, PRODUCT_NT, y->data, x->data, NULL, w->data, b ? b->data : NULL, n, i,
            o);
    return tape_record(tape, &ops[OP_LINEAR], y, NULL, x, w, b, NULL);
}

static void linear_back(struct tape *tape, struct node *node)
{
    struct tensor *x = node->in[0], *w = node->in[1];
    int64_t n = x->shape.dim[0], i = x->shape.dim[1], o = w->shape.dim[0];
    product(tape, PRODUCT_NN, tape_grad_of(tape, x), NULL, node->grad, w->data, NULL, n,
            i, o);
    product(tape, PRODUCT_TN, tape_grad_of(tape, w), x->data, node->grad, NULL, NULL, n,
            i, o);
    colsum(tape, use(tape, OP_LINEAR), tape_grad_of(tape, node->in[2]), node->grad, NULL,
           n, o);
}

/* ---- elementwise
 * --------------------------------------------------------------------------- */

static void binary_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    for (int64_t r = task * ROWS; r < min64(j->n, (task + 1) * ROWS); r++) {
        const void *b = at(j->b, j->k, j->flag ? 0 : r * j->c);
        (j->what == OP_ADD   ? j->k->add
         : j->what == OP_MUL ? j->k->mul
                             : j->k->mul_add)(at(j->to, j->k, r * j->c),
                                              at(j->x, j->k, r * j->c), b, j->c);
    }
}

static struct tensor *binary(struct tape *tape, int op, struct tensor *a,
                             struct tensor *b)
{
    if (tape_bad(tape) || !a || !b)
        return NULL;
    int64_t c = columns(a);
    bool row = !shape_equal(a->shape, b->shape);
    if (row && (b->shape.rank != 1 || b->shape.dim[0] != c))
        return bad_shapes(tape, ops[op].name, a, b,
                          "wants equal shapes or a row of the first");
    struct tensor *y = like(tape, a);
    if (!y)
        return NULL;
    run(tape, tasks_of(rows_of(a), ROWS), binary_task,
        &(struct job){.k = use(tape, op),
                      .n = rows_of(a),
                      .c = c,
                      .x = a->data,
                      .b = b->data,
                      .to = y->data,
                      .flag = row,
                      .what = op});
    return tape_record(tape, &ops[op], y, NULL, a, b, NULL, NULL);
}

struct tensor *add(struct tape *tape, struct tensor *a, struct tensor *b)
{
    return binary(tape, OP_ADD, a, b);
}

struct tensor *mul(struct tape *tape, struct tensor *a, struct tensor *b)
{
    return binary(tape, OP_MUL, a, b);
}

static void axpy_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    int64_t i = task * 16384;
    j->k->axpy(at(j->to, j->k, i), at(j->x, j->k, i), j->number, min64(16384, j->n - i));
}

static void axpy(struct tape *tape, const struct kernels *k, void *to, const void *x,
                 double a, int64_t n)
{
    run(tape, to ? tasks_of(n, 16384) : 0, axpy_task,
        &(struct job){.k = k, .to = to, .x = x, .number = a, .n = n});
}

static void add_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = use(tape, OP_ADD);
    struct tensor *a = node->in[0], *b = node->in[1];
    axpy(tape, k, tape_grad_of(tape, a), node->grad, 1, shape_count(a->shape));
    if (shape_equal(a->shape, b->shape))
        axpy(tape, k, tape_grad_of(tape, b), node->grad, 1, shape_count(a->shape));
    else
        colsum(tape, k, tape_grad_of(tape, b), node->grad, NULL, rows_of(a), columns(a));
}

static void mul_back(struct tape *tape, struct node *node)
{
    struct tensor *a = node->in[0], *b = node->in[1];
    bool row = !shape_equal(a->shape, b->shape);
    struct job j = {.k = use(tape, OP_MUL),
                    .n = rows_of(a),
                    .c = columns(a),
                    .x = node->grad,
                    .b = b->data,
                    .flag = row,
                    .what = -1};
    j.to = tape_grad_of(tape, a);
    run(tape, j.to ? tasks_of(j.n, ROWS) : 0, binary_task, &j);
    j.to = tape_grad_of(tape, b);
    if (row) {
        colsum(tape, j.k, j.to, node->grad, a->data, j.n, j.c);
        return;
    }
    j.b = a->data;
    run(tape, j.to ? tasks_of(j.n, ROWS) : 0, binary_task, &j);
}

struct tensor *scale(struct tape *tape, struct tensor *x, double factor)
{
    if (tape_bad(tape) || !x)
        return NULL;
    struct tensor *y = like(tape, x);
    double *attr = tape_alloc(tape, 1, sizeof *attr);
    if (!y || !attr)
        return NULL;
    *attr = factor;
    int64_t n = shape_count(x->shape);
    memset(y->data, 0, (size_t)(n * dtype_bytes(y->dtype)));
    axpy(tape, use(tape, OP_SCALE), y->data, x->data, factor, n);
    return tape_record(tape, &ops[OP_SCALE], y, attr, x, NULL, NULL, NULL);
}

static void scale_back(struct tape *tape, struct node *node)
{
    axpy(tape, use(tape, OP_SCALE), tape_grad_of(tape, node->in[0]), node->grad,
         *(double *)node->attr, shape_count(node->out->shape));
}

static void set(struct tensor *t, int64_t i, double x)
{
    if (t->dtype == DT_F64)
        ((double *)t->data)[i] = x;
    else
        ((float *)t->data)[i] = (float)x;
}

static double get(const void *p, const struct kernels *k, int64_t i)
{
    return k->dtype == DT_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

static void bump(void *p, const struct kernels *k, int64_t i, double x)
{
    if (k->dtype == DT_F64)
        ((double *)p)[i] += x;
    else
        ((float *)p)[i] += (float)x;
}

static struct tensor *sum_scaled(struct tape *tape, struct tensor *x, double factor)
{
    struct tensor *y = tape_tensor(tape, tape_real(tape), SCALAR);
    double *attr = tape_alloc(tape, 1, sizeof *attr);
    if (!y || !attr)
        return NULL;
    *attr = factor;
    set(y, 0, use(tape, OP_SUM)->sum(x->data, shape_count(x->shape)) * factor);
    return tape_record(tape, &ops[OP_SUM], y, attr, x, NULL, NULL, NULL);
}

struct tensor *sum_all(struct tape *tape, struct tensor *x)
{
    return tape_bad(tape) || !x ? NULL : sum_scaled(tape, x, 1);
}

struct tensor *mean_all(struct tape *tape, struct tensor *x)
{
    if (tape_bad(tape) || !x)
        return NULL;
    int64_t n = shape_count(x->shape);
    return sum_scaled(tape, x, n ? 1 / (double)n : 0);
}

static void sum_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = use(tape, OP_SUM);
    void *dx = tape_grad_of(tape, node->in[0]);
    double g = get(node->grad, k, 0) * *(double *)node->attr;
    for (int64_t i = 0, n = shape_count(node->in[0]->shape); dx && i < n; i++)
        bump(dx, k, i, g);
}

struct tensor *reshape(struct tape *tape, struct tensor *x, struct shape shape)
{
    if (tape_bad(tape) || !x)
        return NULL;
    char a[96], b[96];
    struct tensor *y = tape_alloc(tape, 1, sizeof *y);
    if (!y)
        return NULL;
    if (shape_count(shape) != shape_count(x->shape)) {
        tape_fail(tape, ERR_INPUT, "reshape of %s to %s: the counts differ",
                  shape_text(a, x->shape), shape_text(b, shape));
        return NULL;
    }
    *y = (struct tensor){.dtype = x->dtype, .shape = shape, .data = x->data, .node = -1};
    use(tape, OP_RESHAPE);
    return tape_record(tape, &ops[OP_RESHAPE], y, NULL, x, NULL, NULL, NULL);
}

static void reshape_back(struct tape *tape, struct node *node)
{
    axpy(tape, use(tape, OP_RESHAPE), tape_grad_of(tape, node->in[0]), node->grad, 1,
         shape_count(node->out->shape));
}

static void unary_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    const struct kernels *k = j->k;
    int64_t i = task * 4096, n = min64(4096, j->n - i);
    if (j->dy)
        k->unary_back((enum unary)j->what, at(j->to, k, i), at(j->x, k, i),
                      at(j->y, k, i), at(j->dy, k, i), n);
    else
        k->unary((enum unary)j->what, at(j->to, k, i), at(j->x, k, i), n);
}

static struct tensor *unary(struct tape *tape, struct tensor *x, enum unary what)
{
    if (tape_bad(tape) || !x)
        return NULL;
    struct tensor *y = like(tape, x);
    int *attr = tape_alloc(tape, 1, sizeof *attr);
    if (!y || !attr)
        return NULL;
    *attr = (int)what;
    int64_t n = shape_count(x->shape);
    run(tape, tasks_of(n, 4096), unary_task,
        &(struct job){.k = use(tape, OP_UNARY),
                      .n = n,
                      .x = x->data,
                      .to = y->data,
                      .what = *attr});
    return tape_record(tape, &ops[OP_UNARY], y, attr, x, NULL, NULL, NULL);
}

static void unary_backward(struct tape *tape, struct node *node)
{
    int64_t n = shape_count(node->out->shape);
    run(tape, tasks_of(n, 4096), unary_task,
        &(struct job){.k = use(tape, OP_UNARY),
                      .n = n,
                      .x = node->in[0]->data,
                      .y = node->out->data,
                      .dy = node->grad,
                      .to = tape_grad_of(tape, node->in[0]),
                      .what = *(int *)node->attr});
}

struct tensor *gelu(struct tape *tape, struct tensor *x)
{
    return unary(tape, x, UNARY_GELU);
}

struct tensor *relu(struct tape *tape, struct tensor *x)
{
    return unary(tape, x, UNARY_RELU);
}

struct tensor *tanh_act(struct tape *tape, struct tensor *x)
{
    return unary(tape, x, UNARY_TANH);
}

/* ---- rows
 * ---------------------------------------------------------------------------------- */

static void layernorm_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    const struct kernels *k = j->k;
    int64_t r = task * ROWS, n = min64(ROWS, j->n - r);
    if (j->dy)
        k->layernorm_back(at(j->to, k, r * j->c), j->mean + r, j->rstd + r,
                          at(j->x, k, r * j->c), j->w, at(j->dy, k, r * j->c), n, j->c);
    else
        k->layernorm(at(j->to, k, r * j->c), j->mean + r, j->rstd + r,
                     at(j->x, k, r * j->c), j->w, j->b, n, j->c, j->number);
}

struct tensor *layernorm(struct tape *tape, struct tensor *x, struct tensor *gamma,
                         struct tensor *beta, double eps)
{
    if (tape_bad(tape) || !x || !gamma || !beta)
        return NULL;
    int64_t c = columns(x), n = rows_of(x);
    if (shape_count(gamma->shape) != c || shape_count(beta->shape) != c)
        return bad_shapes(tape, "layernorm", x, gamma,
                          "wants one gamma and beta a column");
    struct tensor *y = like(tape, x);
    double *stats = tape_alloc(tape, 2 * n, sizeof *stats);
    if (!y || !stats)
        return NULL;
    run(tape, tasks_of(n, ROWS), layernorm_task,
        &(struct job){.k = use(tape, OP_LAYERNORM),
                      .n = n,
                      .c = c,
                      .x = x->data,
                      .w = gamma->data,
                      .b = beta->data,
                      .to = y->data,
                      .mean = stats,
                      .rstd = stats + n,
                      .number = eps});
    return tape_record(tape, &ops[OP_LAYERNORM], y, stats, x, gamma, beta, NULL);
}

static void layernorm_params_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    j->k->layernorm_params(j->to, j->to2, j->mean, j->rstd, j->x, j->dy, j->n, j->c,
                           task * 64, min64(task * 64 + 64, j->c));
}

static void layernorm_backward(struct tape *tape, struct node *node)
{
    struct tensor *x = node->in[0];
    int64_t n = rows_of(x), c = columns(x);
    double *stats = node->attr;
    struct job j = {.k = use(tape, OP_LAYERNORM),
                    .n = n,
                    .c = c,
                    .x = x->data,
                    .dy = node->grad,
                    .w = node->in[1]->data,
                    .mean = stats,
                    .rstd = stats + n};
    j.to = tape_grad_of(tape, x);
    run(tape, j.to ? tasks_of(n, ROWS) : 0, layernorm_task, &j);
    j.to = tape_grad_of(tape, node->in[1]);
    j.to2 = tape_grad_of(tape, node->in[2]);
    run(tape, j.to || j.to2 ? tasks_of(c, 64) : 0, layernorm_params_task, &j);
}

static void softmax_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    const struct kernels *k = j->k;
    int64_t r = task * ROWS, n = min64(ROWS, j->n - r);
    if (j->dy)
        k->softmax_back(at(j->to, k, r * j->c), at(j->y, k, r * j->c),
                        at(j->dy, k, r * j->c), n, j->c, j->flag);
    else
        k->softmax(at(j->to, k, r * j->c), at(j->x, k, r * j->c), n, j->c, j->flag);
}

static struct tensor *any_softmax(struct tape *tape, struct tensor *x, bool log_)
{
    if (tape_bad(tape) || !x)
        return NULL;
    struct tensor *y = like(tape, x);
    bool *attr = tape_alloc(tape, 1, sizeof *attr);
    if (!y || !attr)
        return NULL;
    *attr = log_;
    run(tape, tasks_of(rows_of(x), ROWS), softmax_task,
        &(struct job){.k = use(tape, OP_SOFTMAX),
                      .n = rows_of(x),
                      .c = columns(x),
                      .x = x->data,
                      .to = y->data,
                      .flag = log_});
    return tape_record(tape, &ops[OP_SOFTMAX], y, attr, x, NULL, NULL, NULL);
}

struct tensor *softmax(struct tape *tape, struct tensor *x)
{
    return any_softmax(tape, x, false);
}

struct tensor *log_softmax(struct tape *tape, struct tensor *x)
{
    return any_softmax(tape, x, true);
}

static void softmax_backward(struct tape *tape, struct node *node)
{
    run(tape, tasks_of(rows_of(node->out), ROWS), softmax_task,
        &(struct job){.k = use(tape, OP_SOFTMAX),
                      .n = rows_of(node->out),
                      .c = columns(node->out),
                      .y = node->out->data,
                      .dy = node->grad,
                      .to = tape_grad_of(tape, node->in[0]),
                      .flag = *(bool *)node->attr});
}

/* Rows `index` of x; for embeddings and take_rows alike. */
static struct tensor *gather(struct tape *tape, int op, struct tensor *x,
                             const struct tensor *index)
{
    if (tape_bad(tape) || !x || !index)
        return NULL;
    if (x->shape.rank != 2 || index->dtype != DT_I32)
        return bad_shapes(tape, ops[op].name, x, index, "wants (N, C) and i32 indices");
    int64_t m = shape_count(index->shape), c = x->shape.dim[1];
    const struct kernels *k = use(tape, op);
    const int32_t *id = index->data;
    struct tensor *y = tape_tensor(tape, tape_real(tape), SHAPE(m, c));
    int32_t *attr = tape_alloc(tape, m, sizeof *attr);
    if (!y || !attr)
        return NULL;
    for (int64_t r = 0; r < m; r++) {
        if (id[r] < 0 || id[r] >= x->shape.dim[0]) {
            tape_fail(tape, ERR_INPUT, "%s: index %d at %lld; rows are 0 to %lld",
                      ops[op].name, id[r], (long long)r, (long long)x->shape.dim[0] - 1);
            return NULL;
        }
        attr[r] = id[r];
        memcpy(at(y->data, k, r * c), at(x->data, k, id[r] * c),
               (size_t)(c * dtype_bytes(k->dtype)));
    }
    return tape_record(tape, &ops[op], y, attr, x, NULL, NULL, NULL);
}

struct tensor *embedding(struct tape *tape, struct tensor *table,
                         const struct tensor *ids)
{
    return gather(tape, OP_EMBEDDING, table, ids);
}

struct tensor *take_rows(struct tape *tape, struct tensor *x, const struct tensor *index)
{
    return gather(tape, OP_TAKE_ROWS, x, index);
}

static void gather_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = use(tape, (int)(node->op - ops));
    void *dx = tape_grad_of(tape, node->in[0]);
    const int32_t *id = node->attr;
    int64_t c = columns(node->out);
    for (int64_t r = 0; dx && r < rows_of(node->out); r++)
        k->axpy(at(dx, k, id[r] * c), at(node->grad, k, r * c), 1, c);
}

struct tensor *take_column(struct tape *tape, struct tensor *x, int64_t c)
{
    if (tape_bad(tape) || !x)
        return NULL;
    if (x->shape.rank != 2 || c < 0 || c >= x->shape.dim[1])
        return bad_shapes(tape, "take_column", x, NULL, "there is no such column");
    int64_t n = x->shape.dim[0];
    struct tensor *y = tape_tensor(tape, tape_real(tape), SHAPE(n));
    int64_t *attr = tape_alloc(tape, 1, sizeof *attr);
    if (!y || !attr)
        return NULL;
    *attr = c;
    use(tape, OP_TAKE_COLUMN);
    for (int64_t r = 0; r < n; r++)
        set(y, r, tensor_get(x, r * x->shape.dim[1] + c));
    return tape_record(tape, &ops[OP_TAKE_COLUMN], y, attr, x, NULL, NULL, NULL);
}

static void take_column_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = use(tape, OP_TAKE_COLUMN);
    void *dx = tape_grad_of(tape, node->in[0]);
    int64_t c = *(int64_t *)node->attr, width = node->in[0]->shape.dim[1];
    for (int64_t r = 0; dx && r < shape_count(node->out->shape); r++)
        bump(dx, k, r * width + c, get(node->grad, k, r));
}

/* ---- dropout
 * ------------------------------------------------------------------------------- */

struct dropped {
    double p;
    struct rows rows;
    struct rng rng;
};

static void dropout_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    for (int64_t r = task * ROWS; r < min64(j->n, (task + 1) * ROWS); r++) {
        struct rng rng = j->rng;
        uint64_t place =
            ((uint64_t)j->rows->example[r] << 16) + (uint64_t)j->rows->position[r];
        rng_advance(&rng, place << 16);
        j->k->dropout(at(j->to, j->k, r * j->c), at(j->x, j->k, r * j->c), rng, j->c,
                      j->number, j->flag);
    }
}

static struct rng dropout_stream(const struct dropout_key *key)
{
    return rng_streamf(key->seed, "dropout/%s/%lld", key->site, (long long)key->step);
}

struct tensor *dropout(struct tape *tape, struct tensor *x, double p,
                       const struct rows *rows, const struct dropout_key *key)
{
    if (tape_bad(tape) || !x || !(p > 0) || !(tape_flags_now(tape) & TAPE_DROPOUT))
        return x;
    if (p >= 1 || !rows || !key || rows->n != rows_of(x)) {
        tape_fail(tape, ERR_INPUT,
                  "dropout of %g: wants p below 1 and the place of each row", p);
        return NULL;
    }
    struct tensor *y = like(tape, x);
    struct dropped *attr = tape_alloc(tape, 1, sizeof *attr);
    if (!y || !attr)
        return NULL;
    *attr = (struct dropped){p, *rows, dropout_stream(key)};
    run(tape, tasks_of(rows->n, ROWS), dropout_task,
        &(struct job){.k = use(tape, OP_DROPOUT),
                      .n = rows->n,
                      .c = columns(x),
                      .x = x->data,
                      .to = y->data,
                      .number = p,
                      .rows = &attr->rows,
                      .rng = attr->rng});
    return tape_record(tape, &ops[OP_DROPOUT], y, attr, x, NULL, NULL, NULL);
}

static void dropout_back(struct tape *tape, struct node *node)
{
    struct dropped *a = node->attr;
    run(tape, tasks_of(a->rows.n, ROWS), dropout_task,
        &(struct job){.k = use(tape, OP_DROPOUT),
                      .n = a->rows.n,
                      .c = columns(node->out),
                      .x = node->grad,
                      .to = tape_grad_of(tape, node->in[0]),
                      .number = a->p,
                      .rows = &a->rows,
                      .rng = a->rng,
                      .flag = true});
}

/* ---- attention
 * ----------------------------------------------------------------------------- */

struct attended {
    int64_t tasks, b, h;
    bool gate_each; /* gates are (B, H) */
    struct attn_task *task;
};

static void attn_forward_task(void *ctx, int64_t task)
{
    const struct job *j = ctx;
    j->k->attn(&j->attn[task]);
}

static void attn_back_task(void *ctx, int64_t task)
{
    const struct job *j = ctx;
    j->k->attn_back(&j->attn[task]);
}

static bool attention_fits(struct tape *tape, const struct tensor *q,
                           const struct tensor *k, const struct tensor *v,
                           const struct attention *a)
{
    int64_t b = a->offsets ? shape_count(a->offsets->shape) - 1 : -1, n = rows_of(q);
    const int32_t *off = a->offsets ? a->offsets->data : NULL;
    bool fits = q->shape.rank == 2 && shape_equal(q->shape, k->shape) &&
                shape_equal(q->shape, v->shape) && a->heads >= 0 && a->head_dim >= 0 &&
                q->shape.dim[1] == a->heads * a->head_dim;
    if (!fits) {
        bad_shapes(tape, "attention", q, k, "wants (N, H*D) for q, k and v");
        return false;
    }
    fits = b >= 0 && off[0] == 0 && off[b] == n;
    for (int64_t i = 0; fits && i < b; i++)
        fits = off[i] <= off[i + 1];
    int64_t gates = a->gates ? shape_count(a->gates->shape) : a->heads;
    bool drops = a->dropout > 0 && (tape_flags_now(tape) & TAPE_DROPOUT);
    if (!fits)
        tape_fail(tape, ERR_INPUT, "attention: offsets must rise from 0 to the %lld rows",
                  (long long)n);
    else if (gates != a->heads && gates != b * a->heads)
        tape_fail(tape, ERR_INPUT, "attention: %lld gates for %lld heads",
                  (long long)gates, (long long)a->heads);
    else if (a->key_mask &&
             (shape_count(a->key_mask->shape) != n || a->key_mask->dtype != DT_U8))
        tape_fail(tape, ERR_INPUT, "attention: the key mask is u8, one a row");
    else if (drops && (a->dropout >= 1 || !a->rows || a->rows->n != n || !a->key.site))
        tape_fail(tape, ERR_INPUT, "attention: dropout of %g wants the place of each row",
                  a->dropout);
    return !tape_bad(tape);
}

/* Multiplier and addend that skip the 2^11 draws of one query at once. */
static void query_jump(struct attn_task *t)
{
    struct rng zero = {0, t->rng.inc}, one = {1, t->rng.inc};
    rng_advance(&zero, 1u << 11);
    rng_advance(&one, 1u << 11);
    t->jump_add = zero.state;
    t->jump_mul = one.state - zero.state;
}

static void attention_place(struct attn_task *t, const struct attention *a, int64_t row,
                            int64_t h, struct rng stream)
{
    uint64_t head = a->head_id ? (uint64_t)a->head_id[h] : (uint64_t)h;
    t->dropout = a->dropout;
    t->rng = stream;
    rng_advance(&t->rng, (((uint64_t)a->rows->example[row] << 8) + head) << 23);
    query_jump(t);
}

struct tensor *attention(struct tape *tape, struct tensor *q, struct tensor *k,
                         struct tensor *v, const struct attention *a)
{
    if (tape_bad(tape) || !q || !k || !v || !attention_fits(tape, q, k, v, a))
        return NULL;
    const struct kernels *set_ = use(tape, OP_ATTENTION);
    const int32_t *off = a->offsets->data;
    int64_t b = shape_count(a->offsets->shape) - 1, h = a->heads, d = a->head_dim,
            c = h * d;
    bool grad = tape_records(tape), keep = grad || a->probs;
    bool drops = a->dropout > 0 && (tape_flags_now(tape) & TAPE_DROPOUT);
    int64_t squares = 0, t_all = rows_of(q);
    for (int64_t i = 0; i < b; i++)
        squares += (int64_t)(off[i + 1] - off[i]) * (off[i + 1] - off[i]) * h;
    struct tensor *y = like(tape, q);
    struct tensor *p =
        tape_tensor(tape, y ? y->dtype : DT_F32, SHAPE(keep ? squares : t_all * h));
    struct tensor *scratch =
        tape_tensor(tape, y ? y->dtype : DT_F32, SHAPE(t_all * h * (d + 1)));
    struct attended *attr = tape_alloc(tape, 1, sizeof *attr);
    struct attn_task *task = tape_alloc(tape, b * h, sizeof *task);
    if (!y || !p || !scratch || !attr || !task)
        return NULL;
    bool each = a->gates && a->gates->shape.rank == 2;
    *attr = (struct attended){b * h, b, h, each, task};
    struct rng stream = {0, 0};
    if (drops)
        stream = dropout_stream(&a->key);
    for (int64_t i = 0, pos = 0, sat = 0; i < b * h; i++) {
        int64_t s = i / h, head = i % h, row = off[s], t = off[s + 1] - row,
                col = row * c + head * d;
        task[i] = (struct attn_task){.q = at(q->data, set_, col),
                                     .k = at(k->data, set_, col),
                                     .v = at(v->data, set_, col),
                                     .out = at(y->data, set_, col),
                                     .prob = at(p->data, set_, pos),
                                     .keep_prob = keep,
                                     .t = t,
                                     .d = d,
                                     .ld = c,
                                     .gate = 1,
                                     .scratch = at(scratch->data, set_, sat)};
        if (a->gates)
            task[i].gate = tensor_get(a->gates, each ? i : head);
        if (a->key_mask)
            task[i].key_mask = (const uint8_t *)a->key_mask->data + row;
        if (drops && t)
            attention_place(&task[i], a, row, head, stream);
        pos += keep ? t * t : t;
        sat += t * (d + 1);
    }
    run(tape, b * h, attn_forward_task, &(struct job){.k = set_, .attn = task});
    if (a->probs)
        *a->probs = p;
    return tape_record(tape, &ops[OP_ATTENTION], y, attr, q, k, v, a->gates);
}

static void attention_back(struct tape *tape, struct node *node)
{
    struct attended *a = node->attr;
    const struct kernels *k = use(tape, OP_ATTENTION);
    int64_t c = columns(node->out), need = 0;
    void *dq = tape_grad_of(tape, node->in[0]), *dk = tape_grad_of(tape, node->in[1]);
    void *dv = tape_grad_of(tape, node->in[2]), *dg = tape_grad_of(tape, node->in[3]);
    for (int64_t i = 0; i < a->tasks; i++)
        need += a->task[i].t * (a->task[i].d + 2) + a->task[i].d;
    int64_t size = dtype_bytes(k->dtype);
    char *scratch = tape_alloc(tape, need, (size_t)size);
    char *gates = tape_alloc(tape, a->tasks, (size_t)size);
    if (!scratch || !gates)
        return;
    for (int64_t i = 0, row = 0; i < a->tasks; i++) {
        struct attn_task *t = &a->task[i];
        int64_t col = row * c + i % a->h * t->d;
        t->dout = at(node->grad, k, col);
        t->dq = at(dq, k, col);
        t->dk = at(dk, k, col);
        t->dv = at(dv, k, col);
        t->dgate = dg ? gates + i * size : NULL;
        t->scratch = scratch;
        scratch += (t->t * (t->d + 2) + t->d) * size;
        row += i % a->h == a->h - 1 ? t->t : 0;
    }
    run(tape, a->tasks, attn_back_task, &(struct job){.k = k, .attn = a->task});
    for (int64_t i = 0; dg && i < a->tasks; i++)
        bump(dg, k, a->gate_each ? i : i % a->h, get(gates, k, i));
}

/* ---- losses
 * -------------------------------------------------------------------------------- */

/* Rows' losses into a scalar: sum in row order, divided by the rows that count. */
static struct tensor *mean_loss(struct tape *tape, const double *loss, int64_t n,
                                int64_t counted, struct tensor **each)
{
    struct tensor *y = tape_tensor(tape, tape_real(tape), SCALAR);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += loss[i];
    if (y)
        set(y, 0, counted ? sum / (double)counted : 0);
    if (each && y && (*each = tape_tensor(tape, tape_real(tape), SHAPE(n))))
        for (int64_t i = 0; i < n; i++)
            set(*each, i, loss[i]);
    return y;
}

/* log sum exp of n values with stride 1 */
static double log_sum_exp(const void *x, const struct kernels *k, int64_t n)
{
    double top = -(double)INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        top = fmax(top, get(x, k, i));
    for (int64_t i = 0; i < n; i++)
        sum += exp(get(x, k, i) - top);
    return top + log(sum);
}

struct classes {
    int64_t n, counted;
    int32_t *label;
    double *lse, *loss;
};

/* Checked copies of the labels. NULL fails the tape. */
static struct classes *classes_new(struct tape *tape, const struct tensor *labels,
                                   int64_t n, int64_t v)
{
    struct classes *a = tape_alloc(tape, 1, sizeof *a);
    int32_t *label = tape_alloc(tape, n, sizeof *label);
    double *lse = tape_alloc(tape, 2 * n, sizeof *lse);
    if (!a || !label || !lse)
        return NULL;
    if (labels->dtype != DT_I32 || shape_count(labels->shape) != n) {
        tape_fail(tape, ERR_INPUT,
                  "cross-entropy: wants one i32 label for each of %lld rows",
                  (long long)n);
        return NULL;
    }
    *a = (struct classes){n, 0, label, lse, lse + n};
    for (int64_t i = 0; i < n; i++) {
        label[i] = ((const int32_t *)labels->data)[i];
        a->counted += label[i] >= 0;
        if (label[i] >= v) {
            tape_fail(tape, ERR_INPUT,
                      "cross-entropy: label %d at row %lld; classes are 0 to %lld",
                      label[i], (long long)i, (long long)v - 1);
            return NULL;
        }
    }
    return a;
}

static void classes_rows(struct classes *a, const struct kernels *k, const void *logits,
                         int64_t r0, int64_t r1, int64_t v)
{
    for (int64_t r = r0; r < r1; r++) {
        const void *row = at(logits, k, (r - r0) * v);
        a->lse[r] = a->loss[r] = 0;
        if (a->label[r] < 0)
            continue;
        a->lse[r] = log_sum_exp(row, k, v);
        a->loss[r] = a->lse[r] - get(row, k, a->label[r]);
    }
}

/* to += g (softmax - one hot) */
static void classes_back(const struct classes *a, const struct kernels *k,
                         const void *logits, void *to, int64_t r0, int64_t r1, int64_t v,
                         double g)
{
    for (int64_t r = r0; r < r1; r++)
        for (int64_t i = 0; a->label[r] >= 0 && i < v; i++) {
            double p = exp(get(logits, k, (r - r0) * v + i) - a->lse[r]);
            bump(to, k, (r - r0) * v + i, g * (p - (i == a->label[r])));
        }
}

struct tensor *cross_entropy(struct tape *tape, struct tensor *logits,
                             const struct tensor *labels, struct tensor **each)
{
    if (tape_bad(tape) || !logits || !labels)
        return NULL;
    if (logits->shape.rank != 2)
        return bad_shapes(tape, "cross_entropy", logits, labels, "wants (B, V) and (B)");
    int64_t n = logits->shape.dim[0], v = logits->shape.dim[1];
    struct classes *a = classes_new(tape, labels, n, v);
    if (!a)
        return NULL;
    classes_rows(a, use(tape, OP_CROSS_ENTROPY), logits->data, 0, n, v);
    return tape_record(tape, &ops[OP_CROSS_ENTROPY],
                       mean_loss(tape, a->loss, n, a->counted, each), a, logits, NULL,
                       NULL, NULL);
}

static double share(const struct node *node, const struct kernels *k, int64_t counted)
{
    return counted ? get(node->grad, k, 0) / (double)counted : 0;
}

static void cross_entropy_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = use(tape, OP_CROSS_ENTROPY);
    struct classes *a = node->attr;
    void *dx = tape_grad_of(tape, node->in[0]);
    if (dx)
        classes_back(a, k, node->in[0]->data, dx, 0, a->n, columns(node->in[0]),
                     share(node, k, a->counted));
}

struct tensor *squared_error(struct tape *tape, struct tensor *x,
                             const struct tensor *target, struct tensor **each)
{
    if (tape_bad(tape) || !x || !target)
        return NULL;
    int64_t n = shape_count(x->shape);
    if (shape_count(target->shape) != n)
        return bad_shapes(tape, "squared_error", x, target,
                          "wants as many targets as rows");
    use(tape, OP_SQUARED_ERROR);
    double *attr = tape_alloc(tape, 2 * n, sizeof *attr);
    for (int64_t i = 0; attr && i < n; i++) {
        attr[i] = tensor_get(x, i) - tensor_get(target, i);
        attr[n + i] = attr[i] * attr[i];
    }
    if (!attr)
        return NULL;
    return tape_record(tape, &ops[OP_SQUARED_ERROR],
                       mean_loss(tape, attr + n, n, n, each), attr, x, NULL, NULL, NULL);
}

static void squared_error_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = use(tape, OP_SQUARED_ERROR);
    void *dx = tape_grad_of(tape, node->in[0]);
    int64_t n = shape_count(node->in[0]->shape);
    for (int64_t i = 0; dx && i < n; i++)
        bump(dx, k, i, 2 * ((double *)node->attr)[i] * share(node, k, n));
}

struct segments {
    int64_t b, counted;
    const int32_t *off;
    int32_t *target;
    double *lse;
};

struct tensor *segment_cross_entropy(struct tape *tape, struct tensor *logits,
                                     const struct tensor *offsets,
                                     const struct tensor *target, struct tensor **each)
{
    if (tape_bad(tape) || !logits || !offsets || !target)
        return NULL;
    const struct kernels *k = use(tape, OP_SEGMENT_CE);
    int64_t b = shape_count(offsets->shape) - 1, n = shape_count(logits->shape);
    const int32_t *off = offsets->data;
    if (b < 0 || shape_count(target->shape) != b || off[0] != 0 || off[b] != n)
        return bad_shapes(tape, "segment_cross_entropy", logits, target,
                          "wants offsets of all rows and a target for each sequence");
    struct segments *a = tape_alloc(tape, 1, sizeof *a);
    int32_t *copy = tape_alloc(tape, b, sizeof *copy);
    double *lse = tape_alloc(tape, 2 * b, sizeof *lse);
    if (!a || !copy || !lse)
        return NULL;
    *a = (struct segments){b, 0, off, copy, lse};
    for (int64_t s = 0; s < b; s++) {
        int32_t t = copy[s] = ((const int32_t *)target->data)[s];
        lse[b + s] = lse[s] = 0;
        if (off[s + 1] < off[s] || t >= off[s + 1] - off[s]) {
            tape_fail(tape, ERR_INPUT,
                      "segment_cross_entropy: target %d in sequence %lld of %d", t,
                      (long long)s, off[s + 1] - off[s]);
            return NULL;
        }
        if (t < 0)
            continue;
        a->counted++;
        lse[s] = log_sum_exp(at(logits->data, k, off[s]), k, off[s + 1] - off[s]);
        lse[b + s] = lse[s] - get(logits->data, k, off[s] + t);
    }
    return tape_record(tape, &ops[OP_SEGMENT_CE],
                       mean_loss(tape, lse + b, b, a->counted, each), a, logits, NULL,
                       NULL, NULL);
}

static void segment_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = use(tape, OP_SEGMENT_CE);
    struct segments *a = node->attr;
    void *dx = tape_grad_of(tape, node->in[0]);
    double g = share(node, k, a->counted);
    for (int64_t s = 0; dx && s < a->b; s++)
        for (int64_t i = a->off[s]; a->target[s] >= 0 && i < a->off[s + 1]; i++) {
            double p = exp(get(node->in[0]->data, k, i) - a->lse[s]);
            bump(dx, k, i, g * (p - (i == a->off[s] + a->target[s])));
        }
}

struct tensor *linear_cross_entropy(struct tape *tape, struct tensor *x, struct tensor *w,
                                    struct tensor *b, const struct tensor *labels,
                                    struct tensor **each)
{
    if (tape_bad(tape) || !x || !w || !labels)
        return NULL;
    if (x->shape.rank != 2 || w->shape.rank != 2 || x->shape.dim[1] != w->shape.dim[1])
        return bad_shapes(tape, "linear_cross_entropy", x, w, "wants (M, C) and (V, C)");
    const struct kernels *k = use(tape, OP_LINEAR_CE);
    int64_t n = x->shape.dim[0], c = x->shape.dim[1], v = w->shape.dim[0];
    if (b && shape_count(b->shape) != v)
        return bad_shapes(tape, "linear_cross_entropy", w, b,
                          "the bias has one value a class");
    struct classes *a = classes_new(tape, labels, n, v);
    struct arena_mark mark = arena_mark(tape_arena(tape));
    void *logits = tape_alloc(tape, min64(n, CE_ROWS) * v, (size_t)dtype_bytes(k->dtype));
    if (!a || !logits)
        return NULL;
    for (int64_t r = 0; r < n; r += CE_ROWS) {
        int64_t m = min64(CE_ROWS, n - r);
        product(tape, PRODUCT_NT, logits, at(x->data, k, r * c), NULL, w->data,
                b ? b->data : NULL, m, c, v);
        classes_rows(a, k, logits, r, r + m, v);
    }
    arena_rewind(tape_arena(tape), mark);
    return tape_record(tape, &ops[OP_LINEAR_CE],
                       mean_loss(tape, a->loss, n, a->counted, each), a, x, w, b, NULL);
}

static void linear_ce_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = use(tape, OP_LINEAR_CE);
    struct classes *a = node->attr;
    struct tensor *x = node->in[0], *w = node->in[1], *b = node->in[2];
    int64_t n = a->n, c = columns(x), v = w->shape.dim[0], size = dtype_bytes(k->dtype);
    void *dx = tape_grad_of(tape, x), *dw = tape_grad_of(tape, w),
         *db = tape_grad_of(tape, b);
    struct arena_mark mark = arena_mark(tape_arena(tape));
    void *logits = tape_alloc(tape, min64(n, CE_ROWS) * v, (size_t)size);
    void *d = tape_alloc(tape, min64(n, CE_ROWS) * v, (size_t)size);
    for (int64_t r = 0; logits && d && r < n; r += CE_ROWS) {
        int64_t m = min64(CE_ROWS, n - r);
        product(tape, PRODUCT_NT, logits, at(x->data, k, r * c), NULL, w->data,
                b ? b->data : NULL, m, c, v);
        memset(d, 0, (size_t)(m * v * size));
        classes_back(a, k, logits, d, r, r + m, v, share(node, k, a->counted));
        product(tape, PRODUCT_NN, at(dx, k, r * c), NULL, d, w->data, NULL, m, c, v);
        product(tape, PRODUCT_TN, dw, at(x->data, k, r * c), d, NULL, NULL, m, c, v);
        colsum(tape, k, db, d, NULL, m, v);
    }
    arena_rewind(tape_arena(tape), mark);
}

/* ---- the table
 * ----------------------------------------------------------------------------- */

static const struct op ops[OP_COUNT] = {
    [OP_LINEAR] = {"linear", 1, linear_back},
    [OP_ADD] = {"add", 1, add_back},
    [OP_MUL] = {"mul", 1, mul_back},
    [OP_SCALE] = {"scale", 1, scale_back},
    [OP_SUM] = {"sum", 1, sum_back},
    [OP_RESHAPE] = {"reshape", 1, reshape_back},
    [OP_UNARY] = {"unary", 1, unary_backward},
    [OP_LAYERNORM] = {"layernorm", 1, layernorm_backward},
    [OP_SOFTMAX] = {"softmax", 1, softmax_backward},
    [OP_EMBEDDING] = {"embedding", 1, gather_back},
    [OP_TAKE_ROWS] = {"take_rows", 1, gather_back},
    [OP_DROPOUT] = {"dropout", 1, dropout_back},
    [OP_ATTENTION] = {"attention", 1, attention_back},
    [OP_CROSS_ENTROPY] = {"cross_entropy", 1, cross_entropy_back},
    [OP_SQUARED_ERROR] = {"squared_error", 1, squared_error_back},
    [OP_SEGMENT_CE] = {"segment_cross_entropy", 1, segment_back},
    [OP_LINEAR_CE] = {"linear_cross_entropy", 1, linear_ce_back},
    [OP_TAKE_COLUMN] = {"take_column", 1, take_column_back},
};

void ops_used(struct strbuf *out)
{
    const char *gap = "";
    for (int i = 0; i < OP_COUNT; i++)
        for (int f64 = 0; f64 < 2; f64++) {
            const struct kernels *k = kernels_for(f64 ? DT_F64 : DT_F32);
            if (!atomic_load(&used[i][f64]))
                continue;
            if (i == OP_LINEAR && k->gemm)
                strbuf_printf(out, "%s%s=onednn-%s", gap, ops[i].name, kernels_level());
            else
                strbuf_printf(out, "%s%s=%s", gap, ops[i].name, k->name);
            gap = " ";
        }
}

int64_t ops_numeric_version(void)
{
    int64_t sum = 0;
    for (int i = 0; i < OP_COUNT; i++)
        sum += ops[i].version;
    return sum;
}
