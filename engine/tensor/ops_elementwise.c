/*
 * Elementwise operations, sums, reshape.
 */
#include <math.h>

#include "ops_shared.h"

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
        return op_bad_shapes(tape, op_table[op].name, a, b,
                             "wants equal shapes or a row of the first");
    struct tensor *y = op_like(tape, a);
    if (!y)
        return NULL;
    op_run(tape, tasks_of(rows_of(a), ROWS), binary_task,
           &(struct job){.k = op_use(tape, op),
                         .n = rows_of(a),
                         .c = c,
                         .x = a->data,
                         .b = b->data,
                         .to = y->data,
                         .flag = row,
                         .what = op});
    return tape_record(tape, &op_table[op], y, NULL, a, b, NULL, NULL);
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

void op_axpy(struct tape *tape, const struct kernels *k, void *to, const void *x,
             double a, int64_t n)
{
    op_run(tape, to ? tasks_of(n, 16384) : 0, axpy_task,
           &(struct job){.k = k, .to = to, .x = x, .number = a, .n = n});
}

void add_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = op_use(tape, OP_ADD);
    struct tensor *a = node->in[0], *b = node->in[1];
    if (shape_equal(a->shape, b->shape))
        op_axpy(tape, k, tape_grad_of(tape, b), node->grad, 1, shape_count(a->shape));
    else
        op_colsum(tape, k, tape_grad_of(tape, b), node->grad, NULL, rows_of(a),
                  columns(a));
    if (!tape_grad_hand_on(tape, node, a))
        op_axpy(tape, k, tape_grad_of(tape, a), node->grad, 1, shape_count(a->shape));
}

void mul_back(struct tape *tape, struct node *node)
{
    struct tensor *a = node->in[0], *b = node->in[1];
    bool row = !shape_equal(a->shape, b->shape);
    struct job j = {.k = op_use(tape, OP_MUL),
                    .n = rows_of(a),
                    .c = columns(a),
                    .x = node->grad,
                    .b = b->data,
                    .flag = row,
                    .what = -1};
    j.to = tape_grad_of(tape, a);
    op_run(tape, j.to ? tasks_of(j.n, ROWS) : 0, binary_task, &j);
    j.to = tape_grad_of(tape, b);
    if (row) {
        op_colsum(tape, j.k, j.to, node->grad, a->data, j.n, j.c);
        return;
    }
    j.b = a->data;
    op_run(tape, j.to ? tasks_of(j.n, ROWS) : 0, binary_task, &j);
}

struct tensor *scale(struct tape *tape, struct tensor *x, double factor)
{
    if (tape_bad(tape) || !x)
        return NULL;
    struct tensor *y = op_like(tape, x);
    double *attr = tape_alloc(tape, 1, sizeof *attr);
    if (!y || !attr)
        return NULL;
    *attr = factor;
    int64_t n = shape_count(x->shape);
    memset(y->data, 0, (size_t)(n * dtype_bytes(y->dtype)));
    op_axpy(tape, op_use(tape, OP_SCALE), y->data, x->data, factor, n);
    return tape_record(tape, &op_table[OP_SCALE], y, attr, x, NULL, NULL, NULL);
}

void scale_back(struct tape *tape, struct node *node)
{
    op_axpy(tape, op_use(tape, OP_SCALE), tape_grad_of(tape, node->in[0]), node->grad,
            *(double *)node->attr, shape_count(node->out->shape));
}

static struct tensor *sum_scaled(struct tape *tape, struct tensor *x, double factor)
{
    struct tensor *y = tape_tensor(tape, tape_real(tape), SCALAR);
    double *attr = tape_alloc(tape, 1, sizeof *attr);
    if (!y || !attr)
        return NULL;
    *attr = factor;
    set(y, 0, op_use(tape, OP_SUM)->sum(x->data, shape_count(x->shape)) * factor);
    return tape_record(tape, &op_table[OP_SUM], y, attr, x, NULL, NULL, NULL);
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

void sum_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = op_use(tape, OP_SUM);
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
    op_use(tape, OP_RESHAPE);
    return tape_record(tape, &op_table[OP_RESHAPE], y, NULL, x, NULL, NULL, NULL);
}

void reshape_back(struct tape *tape, struct node *node)
{
    if (!tape_grad_hand_on(tape, node, node->in[0]))
        op_axpy(tape, op_use(tape, OP_RESHAPE), tape_grad_of(tape, node->in[0]),
                node->grad, 1, shape_count(node->out->shape));
}

static void unary_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    const struct kernels *k = j->k;
    int64_t i = task * 4096, n = min64(4096, j->n - i);
    if (j->dy)
        k->unary_back((enum unary)j->what, at(j->to, k, i), at(j->x, k, i),
                      at(j->y, k, i), at(j->dy, k, i), n, j->flag);
    else
        k->unary((enum unary)j->what, at(j->to, k, i), at(j->x, k, i), n);
}

static struct tensor *unary(struct tape *tape, struct tensor *x, enum unary what)
{
    if (tape_bad(tape) || !x)
        return NULL;
    struct tensor *y = op_like(tape, x);
    int *attr = tape_alloc(tape, 1, sizeof *attr);
    if (!y || !attr)
        return NULL;
    *attr = (int)what;
    int64_t n = shape_count(x->shape);
    op_run(tape, tasks_of(n, 4096), unary_task,
           &(struct job){.k = op_use(tape, OP_UNARY),
                         .n = n,
                         .x = x->data,
                         .to = y->data,
                         .what = *attr});
    return tape_record(tape, &op_table[OP_UNARY], y, attr, x, NULL, NULL, NULL);
}

void unary_backward(struct tape *tape, struct node *node)
{
    int64_t n = shape_count(node->out->shape);
    bool fresh;
    void *dx = tape_grad_to(tape, node->in[0], &fresh);
    op_run(tape, dx ? tasks_of(n, 4096) : 0, unary_task,
           &(struct job){.k = op_use(tape, OP_UNARY),
                         .n = n,
                         .x = node->in[0]->data,
                         .y = node->out->data,
                         .dy = node->grad,
                         .to = dx,
                         .flag = fresh,
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

struct tensor *gelu_new(struct tape *tape, struct tensor *x)
{
    return unary(tape, x, UNARY_GELU_NEW);
}

struct tensor *silu(struct tape *tape, struct tensor *x)
{
    return unary(tape, x, UNARY_SILU);
}
