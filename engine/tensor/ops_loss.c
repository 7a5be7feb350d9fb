/*
 * Losses.
 */
#include <math.h>

#include "ops_shared.h"

#define CE_ROWS 256 /* rows of logits that linear_cross_entropy holds at a time */

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

struct classes {
    int64_t n, counted;
    int32_t *label;
    double *loss, *top, *sum; /* of each row; those of its exponentials */
};

/* Checked copies of the labels. NULL fails the tape. */
static struct classes *classes_new(struct tape *tape, const struct tensor *labels,
                                   int64_t n, int64_t v)
{
    struct classes *a = tape_alloc(tape, 1, sizeof *a);
    int32_t *label = tape_alloc(tape, n, sizeof *label);
    double *loss = tape_alloc(tape, 3 * n, sizeof *loss);
    if (!a || !label || !loss)
        return NULL;
    if (labels->dtype != DT_I32 || shape_count(labels->shape) != n) {
        tape_fail(tape, ERR_INPUT,
                  "cross-entropy: wants one i32 label for each of %lld rows",
                  (long long)n);
        return NULL;
    }
    *a = (struct classes){n, 0, label, loss, loss + n, loss + 2 * n};
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

/* Rows r0 .. r1 - 1 of v logits, and for the backward pass their gradients g (softmax -
 * one hot). */
struct class_run {
    const struct kernels *k;
    struct classes *a;
    const void *logits;
    void *dx;
    int64_t r0, r1, v, each; /* rows of a task */
    double g;
    bool fresh;
};

static void class_row(const struct class_run *run, int64_t r)
{
    const struct kernels *k = run->k;
    struct classes *a = run->a;
    const void *row = at(run->logits, k, (r - run->r0) * run->v);
    a->loss[r] = 0;
    if (a->label[r] < 0)
        return;
    k->exp_sum(row, run->v, &a->top[r], &a->sum[r]);
    a->loss[r] = a->top[r] + log(a->sum[r]) - get(row, k, a->label[r]);
}

static void class_row_back(const struct class_run *run, int64_t r)
{
    const struct kernels *k = run->k;
    const struct classes *a = run->a;
    int64_t from = (r - run->r0) * run->v;
    void *dx = at(run->dx, k, from);
    if (a->label[r] >= 0) {
        k->exp_scaled(dx, at(run->logits, k, from), run->v, a->top[r], run->g / a->sum[r],
                      run->fresh);
        bump(dx, k, a->label[r], -run->g);
    } else if (run->fresh) {
        memset(dx, 0, (size_t)(run->v * dtype_bytes(k->dtype)));
    }
}

static void class_task(void *ctx, int64_t task)
{
    const struct class_run *run = ctx;
    int64_t r = run->r0 + task * run->each, end = min64(run->r1, r + run->each);
    for (; r < end; r++)
        if (run->dx)
            class_row_back(run, r);
        else
            class_row(run, r);
}

static void class_run(struct tape *tape, struct class_run *run)
{
    run->each = run->v < 16384 ? 1 + 16384 / (run->v + 1) : 1;
    if (run->r1 > run->r0 && !tape_bad(tape))
        pool_run(tape_pool(tape), tasks_of(run->r1 - run->r0, run->each), class_task,
                 run);
}

struct tensor *cross_entropy(struct tape *tape, struct tensor *logits,
                             const struct tensor *labels, struct tensor **each)
{
    if (tape_bad(tape) || !logits || !labels)
        return NULL;
    if (logits->shape.rank != 2)
        return op_bad_shapes(tape, "cross_entropy", logits, labels,
                             "wants (B, V) and (B)");
    int64_t n = logits->shape.dim[0], v = logits->shape.dim[1];
    struct classes *a = classes_new(tape, labels, n, v);
    if (!a)
        return NULL;
    class_run(tape, &(struct class_run){.k = op_use(tape, OP_CROSS_ENTROPY),
                                        .a = a,
                                        .logits = logits->data,
                                        .r1 = n,
                                        .v = v});
    return tape_record(tape, &op_table[OP_CROSS_ENTROPY],
                       mean_loss(tape, a->loss, n, a->counted, each), a, logits, NULL,
                       NULL, NULL);
}

static double share(const struct node *node, const struct kernels *k, int64_t counted)
{
    return counted ? get(node->grad, k, 0) / (double)counted : 0;
}

void cross_entropy_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = op_use(tape, OP_CROSS_ENTROPY);
    struct classes *a = node->attr;
    struct class_run run = {.k = k,
                            .a = a,
                            .logits = node->in[0]->data,
                            .r1 = a->n,
                            .v = columns(node->in[0]),
                            .g = share(node, k, a->counted)};
    run.dx = tape_grad_to(tape, node->in[0], &run.fresh);
    if (run.dx)
        class_run(tape, &run);
}

struct tensor *squared_error(struct tape *tape, struct tensor *x,
                             const struct tensor *target, struct tensor **each)
{
    if (tape_bad(tape) || !x || !target)
        return NULL;
    int64_t n = shape_count(x->shape);
    if (shape_count(target->shape) != n)
        return op_bad_shapes(tape, "squared_error", x, target,
                             "wants as many targets as rows");
    op_use(tape, OP_SQUARED_ERROR);
    double *attr = tape_alloc(tape, 2 * n, sizeof *attr);
    for (int64_t i = 0; attr && i < n; i++) {
        attr[i] = tensor_get(x, i) - tensor_get(target, i);
        attr[n + i] = attr[i] * attr[i];
    }
    if (!attr)
        return NULL;
    return tape_record(tape, &op_table[OP_SQUARED_ERROR],
                       mean_loss(tape, attr + n, n, n, each), attr, x, NULL, NULL, NULL);
}

void squared_error_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = op_use(tape, OP_SQUARED_ERROR);
    void *dx = tape_grad_of(tape, node->in[0]);
    int64_t n = shape_count(node->in[0]->shape);
    for (int64_t i = 0; dx && i < n; i++)
        bump(dx, k, i, 2 * ((double *)node->attr)[i] * share(node, k, n));
}

struct segments {
    int64_t b, counted;
    const int32_t *off;
    int32_t *target;
    double *top, *sum; /* of each sequence; those of its exponentials */
};

struct tensor *segment_cross_entropy(struct tape *tape, struct tensor *logits,
                                     const struct tensor *offsets,
                                     const struct tensor *target, struct tensor **each)
{
    if (tape_bad(tape) || !logits || !offsets || !target)
        return NULL;
    const struct kernels *k = op_use(tape, OP_SEGMENT_CE);
    int64_t b = shape_count(offsets->shape) - 1, n = shape_count(logits->shape);
    const int32_t *off = offsets->data;
    if (b < 0 || shape_count(target->shape) != b || off[0] != 0 || off[b] != n)
        return op_bad_shapes(tape, "segment_cross_entropy", logits, target,
                             "wants offsets of all rows and a target for each sequence");
    struct segments *a = tape_alloc(tape, 1, sizeof *a);
    int32_t *copy = tape_alloc(tape, b, sizeof *copy);
    double *loss = tape_alloc(tape, 3 * b, sizeof *loss);
    if (!a || !copy || !loss)
        return NULL;
    *a = (struct segments){b, 0, off, copy, loss + b, loss + 2 * b};
    for (int64_t s = 0; s < b; s++) {
        int32_t t = copy[s] = ((const int32_t *)target->data)[s];
        loss[s] = 0;
        if (off[s + 1] < off[s] || t >= off[s + 1] - off[s]) {
            tape_fail(tape, ERR_INPUT,
                      "segment_cross_entropy: target %d in sequence %lld of %d", t,
                      (long long)s, off[s + 1] - off[s]);
            return NULL;
        }
        if (t < 0)
            continue;
        a->counted++;
        k->exp_sum(at(logits->data, k, off[s]), off[s + 1] - off[s], &a->top[s],
                   &a->sum[s]);
        loss[s] = a->top[s] + log(a->sum[s]) - get(logits->data, k, off[s] + t);
    }
    return tape_record(tape, &op_table[OP_SEGMENT_CE],
                       mean_loss(tape, loss, b, a->counted, each), a, logits, NULL, NULL,
                       NULL);
}

void segment_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = op_use(tape, OP_SEGMENT_CE);
    struct segments *a = node->attr;
    void *dx = tape_grad_of(tape, node->in[0]);
    double g = share(node, k, a->counted);
    for (int64_t s = 0; dx && s < a->b; s++) {
        if (a->target[s] < 0)
            continue;
        k->exp_scaled(at(dx, k, a->off[s]), at(node->in[0]->data, k, a->off[s]),
                      a->off[s + 1] - a->off[s], a->top[s], g / a->sum[s], false);
        bump(dx, k, a->off[s] + a->target[s], -g);
    }
}

struct tensor *linear_cross_entropy(struct tape *tape, struct tensor *x, struct tensor *w,
                                    struct tensor *b, const struct tensor *labels,
                                    struct tensor **each)
{
    if (tape_bad(tape) || !x || !w || !labels)
        return NULL;
    if (x->shape.rank != 2 || w->shape.rank != 2 || x->shape.dim[1] != w->shape.dim[1])
        return op_bad_shapes(tape, "linear_cross_entropy", x, w,
                             "wants (M, C) and (V, C)");
    const struct kernels *k = op_use(tape, OP_LINEAR_CE);
    int64_t n = x->shape.dim[0], c = x->shape.dim[1], v = w->shape.dim[0];
    if (b && shape_count(b->shape) != v)
        return op_bad_shapes(tape, "linear_cross_entropy", w, b,
                             "the bias has one value a class");
    struct classes *a = classes_new(tape, labels, n, v);
    struct arena_mark mark = arena_mark(tape_arena(tape));
    void *logits = tape_alloc(tape, min64(n, CE_ROWS) * v, (size_t)dtype_bytes(k->dtype));
    if (!a || !logits)
        return NULL;
    for (int64_t r = 0; r < n; r += CE_ROWS) {
        int64_t m = min64(CE_ROWS, n - r);
        struct linear l = {.x = at(x->data, k, r * c),
                           .w = w,
                           .b = b ? b->data : NULL,
                           .n = m,
                           .i = c,
                           .o = v};
        linear_forward(tape, &l, logits);
        class_run(tape,
                  &(struct class_run){
                      .k = k, .a = a, .logits = logits, .r0 = r, .r1 = r + m, .v = v});
    }
    arena_rewind(tape_arena(tape), mark);
    return tape_record(tape, &op_table[OP_LINEAR_CE],
                       mean_loss(tape, a->loss, n, a->counted, each), a, x, w, b, NULL);
}

void linear_ce_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = op_use(tape, OP_LINEAR_CE);
    struct classes *a = node->attr;
    struct tensor *x = node->in[0], *w = node->in[1], *b = node->in[2];
    int64_t n = a->n, c = columns(x), v = w->shape.dim[0], size = dtype_bytes(k->dtype);
    void *dx = tape_grad_of(tape, x), *dw = tape_grad_of(tape, w),
         *db = tape_grad_of(tape, b);
    struct arena_mark mark = arena_mark(tape_arena(tape));
    void *logits = tape_alloc(tape, min64(n, CE_ROWS) * v, (size_t)size);
    for (int64_t r = 0; logits && r < n; r += CE_ROWS) {
        int64_t m = min64(CE_ROWS, n - r);
        struct linear l = {.x = at(x->data, k, r * c),
                           .dy = logits,
                           .w = w,
                           .b = b ? b->data : NULL,
                           .n = m,
                           .i = c,
                           .o = v};
        linear_forward(tape, &l, logits);
        class_run(tape, &(struct class_run){.k = k,
                                            .a = a,
                                            .logits = logits,
                                            .dx = logits,
                                            .r0 = r,
                                            .r1 = r + m,
                                            .v = v,
                                            .g = share(node, k, a->counted),
                                            .fresh = true});
        linear_dx(tape, &l, at(dx, k, r * c), false);
        linear_dw(tape, &l, dw, false, db);
    }
    arena_rewind(tape_arena(tape), mark);
}

/* The backward pass makes the logits anew. */
double linear_ce_flops(const struct node *node, bool back)
{
    const struct tensor *x = node->in[0], *w = node->in[1];
    double one = 2 * (double)shape_count(w->shape) * (double)rows_of(x);
    return back ? one * (1 + x->wants_grad + w->wants_grad) : one;
}
