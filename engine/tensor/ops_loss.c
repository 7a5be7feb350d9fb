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
        return op_bad_shapes(tape, "cross_entropy", logits, labels,
                             "wants (B, V) and (B)");
    int64_t n = logits->shape.dim[0], v = logits->shape.dim[1];
    struct classes *a = classes_new(tape, labels, n, v);
    if (!a)
        return NULL;
    classes_rows(a, op_use(tape, OP_CROSS_ENTROPY), logits->data, 0, n, v);
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
    double *lse;
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
    return tape_record(tape, &op_table[OP_SEGMENT_CE],
                       mean_loss(tape, lse + b, b, a->counted, each), a, logits, NULL,
                       NULL, NULL);
}

void segment_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = op_use(tape, OP_SEGMENT_CE);
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
        classes_rows(a, k, logits, r, r + m, v);
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
    void *d = tape_alloc(tape, min64(n, CE_ROWS) * v, (size_t)size);
    for (int64_t r = 0; logits && d && r < n; r += CE_ROWS) {
        int64_t m = min64(CE_ROWS, n - r);
        struct linear l = {.x = at(x->data, k, r * c),
                           .dy = d,
                           .w = w,
                           .b = b ? b->data : NULL,
                           .n = m,
                           .i = c,
                           .o = v};
        linear_forward(tape, &l, logits);
        memset(d, 0, (size_t)(m * v * size));
        classes_back(a, k, logits, d, r, r + m, v, share(node, k, a->counted));
        linear_dx(tape, &l, at(dx, k, r * c), false);
        linear_dw(tape, &l, dw, false, db);
    }
    arena_rewind(tape_arena(tape), mark);
}
