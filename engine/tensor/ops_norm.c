/*
 * Layer normalisation and softmax: over the last axis.
 */
#include "ops_shared.h"

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
        return op_bad_shapes(tape, "layernorm", x, gamma,
                             "wants one gamma and beta a column");
    struct tensor *y = op_like(tape, x);
    double *stats = tape_alloc(tape, 2 * n, sizeof *stats);
    if (!y || !stats)
        return NULL;
    op_run(tape, tasks_of(n, ROWS), layernorm_task,
           &(struct job){.k = op_use(tape, OP_LAYERNORM),
                         .n = n,
                         .c = c,
                         .x = x->data,
                         .w = gamma->data,
                         .b = beta->data,
                         .to = y->data,
                         .mean = stats,
                         .rstd = stats + n,
                         .number = eps});
    return tape_record(tape, &op_table[OP_LAYERNORM], y, stats, x, gamma, beta, NULL);
}

static void layernorm_params_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    j->k->layernorm_params(j->to, j->to2, j->mean, j->rstd, j->x, j->dy, j->n, j->c,
                           task * 64, min64(task * 64 + 64, j->c));
}

void layernorm_backward(struct tape *tape, struct node *node)
{
    struct tensor *x = node->in[0];
    int64_t n = rows_of(x), c = columns(x);
    double *stats = node->attr;
    struct job j = {.k = op_use(tape, OP_LAYERNORM),
                    .n = n,
                    .c = c,
                    .x = x->data,
                    .dy = node->grad,
                    .w = node->in[1]->data,
                    .mean = stats,
                    .rstd = stats + n};
    j.to = tape_grad_of(tape, x);
    op_run(tape, j.to ? tasks_of(n, ROWS) : 0, layernorm_task, &j);
    j.to = tape_grad_of(tape, node->in[1]);
    j.to2 = tape_grad_of(tape, node->in[2]);
    op_run(tape, j.to || j.to2 ? tasks_of(c, 64) : 0, layernorm_params_task, &j);
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
    struct tensor *y = op_like(tape, x);
    bool *attr = tape_alloc(tape, 1, sizeof *attr);
    if (!y || !attr)
        return NULL;
    *attr = log_;
    op_run(tape, tasks_of(rows_of(x), ROWS), softmax_task,
           &(struct job){.k = op_use(tape, OP_SOFTMAX),
                         .n = rows_of(x),
                         .c = columns(x),
                         .x = x->data,
                         .to = y->data,
                         .flag = log_});
    return tape_record(tape, &op_table[OP_SOFTMAX], y, attr, x, NULL, NULL, NULL);
}

struct tensor *softmax(struct tape *tape, struct tensor *x)
{
    return any_softmax(tape, x, false);
}

struct tensor *log_softmax(struct tape *tape, struct tensor *x)
{
    return any_softmax(tape, x, true);
}

void softmax_backward(struct tape *tape, struct node *node)
{
    op_run(tape, tasks_of(rows_of(node->out), ROWS), softmax_task,
           &(struct job){.k = op_use(tape, OP_SOFTMAX),
                         .n = rows_of(node->out),
                         .c = columns(node->out),
                         .y = node->out->data,
                         .dy = node->grad,
                         .to = tape_grad_of(tape, node->in[0]),
                         .flag = *(bool *)node->attr});
}
