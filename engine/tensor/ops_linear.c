/*
 * The linear map and its three products.
 */
#include "ops_shared.h"

#define TILE_O 192 /* rows of a weight gradient's tile */
#define CHUNK 512  /* tokens of a weight gradient's chunk */

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

void op_colsum(struct tape *tape, const struct kernels *k, void *to, const void *x,
               const void *w, int64_t n, int64_t c)
{
    op_run(tape, to ? tasks_of(c, 64) : 0, colsum_task,
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

void linear_product(struct tape *tape, enum product what, void *to, const void *x,
                    const void *dy, const void *w, const void *b, int64_t n, int64_t i,
                    int64_t o)
{
    atomic_int failed = 0;
    struct job j = {.k = op_use(tape, OP_LINEAR),
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
        op_run(tape, what == PRODUCT_TN ? tasks_of(o, TILE_O) : tasks_of(n, ROWS),
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
        return op_bad_shapes(tape, "linear", x, w, "wants (N, I) and (O, I)");
    int64_t n = x->shape.dim[0], i = x->shape.dim[1], o = w->shape.dim[0];
    if (b && shape_count(b->shape) != o)
        return op_bad_shapes(tape, "linear", w, b, "the bias has one value a row");
    struct tensor *y = tape_tensor(tape, tape_real(tape), SHAPE(n, o));
    if (!y)
        return NULL;
    linear_product(tape, PRODUCT_NT, y->data, x->data, NULL, w->data, b ? b->data : NULL,
                   n, i, o);
    return tape_record(tape, &op_table[OP_LINEAR], y, NULL, x, w, b, NULL);
}

void linear_back(struct tape *tape, struct node *node)
{
    struct tensor *x = node->in[0], *w = node->in[1];
    int64_t n = x->shape.dim[0], i = x->shape.dim[1], o = w->shape.dim[0];
    linear_product(tape, PRODUCT_NN, tape_grad_of(tape, x), NULL, node->grad, w->data,
                   NULL, n, i, o);
    linear_product(tape, PRODUCT_TN, tape_grad_of(tape, w), x->data, node->grad, NULL,
                   NULL, n, i, o);
    op_colsum(tape, op_use(tape, OP_LINEAR), tape_grad_of(tape, node->in[2]), node->grad,
              NULL, n, o);
}
