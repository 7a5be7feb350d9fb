/*
 * What decoders have beyond BERT: RMSNorm, rotary positions, heads that share keys and
 * values. Rows are tasks; each writes what is its own.
 */
#include <math.h>

#include "ops_shared.h"

static void rows_task(void *ctx, int64_t task)
{
    const struct rows_run *run = ctx;

    for (int64_t r = task * ROWS; r < min64(run->n, (task + 1) * ROWS); r++)
        run->k->row[run->what](run, r);
}

static void rows_go(struct tape *tape, struct rows_run *run)
{
    if (!tape_bad(tape))
        pool_run(tape_pool(tape), tasks_of(run->n, ROWS), rows_task, run);
}

/* ---- RMSNorm ---- */

struct tensor *rms_norm(struct tape *tape, struct tensor *x, struct tensor *gamma,
                        double eps)
{
    if (tape_bad(tape) || !x || !gamma)
        return NULL;
    if (shape_count(gamma->shape) != columns(x))
        return op_bad_shapes(tape, "rms_norm", x, gamma, "wants one gamma a column");
    struct tensor *y = op_like(tape, x);
    double *rstd = tape_alloc(tape, rows_of(x), sizeof *rstd);
    if (!y || !rstd)
        return NULL;
    rows_go(tape, &(struct rows_run){.k = op_use(tape, OP_RMS_NORM),
                                     .what = ROWS_RMS_NORM,
                                     .n = rows_of(x),
                                     .c = columns(x),
                                     .x = x->data,
                                     .gamma = gamma->data,
                                     .to = y->data,
                                     .rstd = rstd,
                                     .eps = eps});
    return tape_record(tape, &op_table[OP_RMS_NORM], y, rstd, x, gamma, NULL, NULL);
}

void rms_norm_backward(struct tape *tape, struct node *node)
{
    struct tensor *x = node->in[0], *gamma = node->in[1];
    struct rows_run run = {.k = op_use(tape, OP_RMS_NORM),
                           .what = ROWS_RMS_NORM,
                           .back = true,
                           .n = rows_of(x),
                           .c = columns(x),
                           .x = x->data,
                           .dy = node->grad,
                           .gamma = gamma->data,
                           .rstd = node->attr};
    void *dgamma = tape_grad_of(tape, gamma);
    struct arena_mark mark = arena_mark(tape_arena(tape));
    void *h = dgamma ? tape_alloc(tape, run.n * run.c, (size_t)dtype_bytes(run.k->dtype))
                     : NULL;

    if (h) {
        struct rows_run again = run; /* the normalised rows, for gamma */
        again.what = ROWS_SCALE;
        again.back = false;
        again.to = h;
        rows_go(tape, &again);
        op_colsum(tape, run.k, dgamma, h, node->grad, run.n, run.c);
    }
    arena_rewind(tape_arena(tape), mark);
    run.to = tape_grad_of(tape, x);
    if (run.to)
        rows_go(tape, &run);
}

/* ---- rotary positions ---- */

struct rotation {
    const double *turn;
    const int32_t *position;
    int64_t head_dim;
};

struct tensor *rotary(struct tape *tape, struct tensor *x, const struct tensor *position,
                      int64_t head_dim, double theta)
{
    if (tape_bad(tape) || !x || !position)
        return NULL;
    int64_t n = rows_of(x), last = 0;
    const int32_t *at_ = position->data;
    if (head_dim < 2 || head_dim % 2 || columns(x) % head_dim ||
        shape_count(position->shape) != n || position->dtype != DT_I32)
        return op_bad_shapes(
            tape, "rotary", x, position,
            "wants heads of an even number of columns and a position a row");
    for (int64_t i = 0; i < n; i++) {
        if (at_[i] < 0) {
            tape_fail(tape, ERR_INPUT, "rotary: position %d", at_[i]);
            return NULL;
        }
        last = at_[i] > last ? at_[i] : last;
    }
    struct tensor *y = op_like(tape, x);
    double *turn = tape_alloc(tape, (last + 1) * head_dim, sizeof *turn);
    struct rotation *attr = tape_alloc(tape, 1, sizeof *attr);
    if (!y || !turn || !attr)
        return NULL;
    for (int64_t p = 0; p <= last; p++)
        for (int64_t i = 0; i < head_dim / 2; i++) {
            double angle = (double)p * pow(theta, -2 * (double)i / (double)head_dim);
            turn[p * head_dim + i] = cos(angle);
            turn[p * head_dim + head_dim / 2 + i] = sin(angle);
        }
    *attr = (struct rotation){turn, at_, head_dim};
    rows_go(tape, &(struct rows_run){.k = op_use(tape, OP_ROTARY),
                                     .what = ROWS_ROTARY,
                                     .n = n,
                                     .c = columns(x),
                                     .x = x->data,
                                     .to = y->data,
                                     .turn = turn,
                                     .position = at_,
                                     .head_dim = head_dim});
    return tape_record(tape, &op_table[OP_ROTARY], y, attr, x, NULL, NULL, NULL);
}

void rotary_backward(struct tape *tape, struct node *node)
{
    const struct rotation *a = node->attr;
    struct rows_run run = {.k = op_use(tape, OP_ROTARY),
                           .what = ROWS_ROTARY,
                           .n = rows_of(node->out),
                           .c = columns(node->out),
                           .dy = node->grad,
                           .to = tape_grad_of(tape, node->in[0]),
                           .turn = a->turn,
                           .position = a->position,
                           .head_dim = a->head_dim,
                           .back = true};

    if (run.to)
        rows_go(tape, &run);
}

/* ---- shared heads ---- */

struct tensor *repeat_heads(struct tape *tape, struct tensor *x, int64_t head_dim,
                            int64_t times)
{
    if (tape_bad(tape) || !x)
        return NULL;
    int64_t n = rows_of(x), c = columns(x);
    int64_t *attr = tape_alloc(tape, 2, sizeof *attr);
    if (head_dim < 1 || times < 1 || c % head_dim)
        return op_bad_shapes(tape, "repeat_heads", x, NULL, "wants whole heads");
    const struct kernels *k = op_use(tape, OP_REPEAT_HEADS);
    struct tensor *y = tape_tensor(tape, k->dtype, SHAPE(n, c * times));
    if (!y || !attr)
        return NULL;
    attr[0] = head_dim;
    attr[1] = times;
    rows_go(tape, &(struct rows_run){.k = k,
                                     .what = ROWS_REPEAT,
                                     .n = n,
                                     .c = c,
                                     .x = x->data,
                                     .to = y->data,
                                     .head_dim = head_dim,
                                     .times = times});
    return tape_record(tape, &op_table[OP_REPEAT_HEADS], y, attr, x, NULL, NULL, NULL);
}

void repeat_heads_backward(struct tape *tape, struct node *node)
{
    const int64_t *attr = node->attr;
    struct rows_run run = {.k = op_use(tape, OP_REPEAT_HEADS),
                           .what = ROWS_REPEAT,
                           .back = true,
                           .n = rows_of(node->in[0]),
                           .c = columns(node->in[0]),
                           .dy = node->grad,
                           .to = tape_grad_of(tape, node->in[0]),
                           .head_dim = attr[0],
                           .times = attr[1]};

    if (run.to)
        rows_go(tape, &run);
}
