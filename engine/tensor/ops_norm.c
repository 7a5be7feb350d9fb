/*
 * Layer normalisation, alone or as a block's end, and softmax: over the last axis.
 *
 * Gradients of gamma and beta: each task sums its rows, then columns are summed over the
 * tasks, in their order.
 */
#include "ops_shared.h"

#include <math.h>

struct normed {
    const struct dropped *dropped; /* or NULL */
    void *x;                       /* what was normalised */
    double *mean, *rstd;
};

/* A run over tasks of ROWS rows; `whole` speaks of all rows. */
struct norm_run {
    const struct kernels *k;
    struct norm_task whole;
    bool back;
};

static void norm_task(void *ctx, int64_t task)
{
    const struct norm_run *run = ctx;
    const struct kernels *k = run->k;
    struct norm_task t = run->whole;
    int64_t r = task * ROWS, i = r * t.c;
    t.rows = min64(ROWS, t.rows - r);
    t.x = at(t.x, k, i);
    t.a = at(t.a, k, i);
    t.sum = at(t.sum, k, i);
    t.y = at(t.y, k, i);
    t.dy = at(t.dy, k, i);
    t.dx = at(t.dx, k, i);
    t.da = at(t.da, k, i);
    t.bits = t.bits ? t.bits + r * t.words : NULL;
    t.mean += r;
    t.rstd += r;
    t.dgamma = at(t.dgamma, k, task * t.c);
    t.dbeta = at(t.dbeta, k, task * t.c);
    (run->back ? k->norm_back : k->norm)(&t);
}

static struct tensor *norm(struct tape *tape, int op, struct tensor *x, struct tensor *a,
                           struct normed *attr, struct tensor *gamma, struct tensor *beta,
                           double eps)
{
    int64_t c = columns(x), n = rows_of(x);
    struct tensor *y = op_like(tape, x), *sum = a ? op_like(tape, x) : NULL;
    if (!y || (a && !sum))
        return NULL;
    attr->mean = tape_alloc(tape, 2 * n, sizeof *attr->mean);
    if (!attr->mean)
        return NULL;
    attr->rstd = attr->mean + n;
    attr->x = a ? sum->data : x->data;
    struct norm_run run = {.k = op_use(tape, op),
                           .whole = {.x = x->data,
                                     .a = a ? a->data : NULL,
                                     .sum = a ? sum->data : NULL,
                                     .y = y->data,
                                     .gamma = gamma->data,
                                     .beta = beta->data,
                                     .eps = eps,
                                     .mean = attr->mean,
                                     .rstd = attr->rstd,
                                     .rows = n,
                                     .c = c}};
    if (attr->dropped) {
        run.whole.bits = attr->dropped->bits;
        run.whole.words = attr->dropped->words;
        run.whole.factor = attr->dropped->factor;
    }
    if (n > 0)
        pool_run(tape_pool(tape), tasks_of(n, ROWS), norm_task, &run);
    return tape_record(tape, &op_table[op], y, attr, x, gamma, beta, a);
}

struct tensor *layernorm(struct tape *tape, struct tensor *x, struct tensor *gamma,
                         struct tensor *beta, double eps)
{
    if (tape_bad(tape) || !x || !gamma || !beta)
        return NULL;
    int64_t c = columns(x);
    if (shape_count(gamma->shape) != c || shape_count(beta->shape) != c)
        return op_bad_shapes(tape, "layernorm", x, gamma,
                             "wants one gamma and beta a column");
    struct normed *attr = tape_alloc(tape, 1, sizeof *attr);
    if (!attr)
        return NULL;
    *attr = (struct normed){NULL, NULL, NULL, NULL};
    return norm(tape, OP_LAYERNORM, x, NULL, attr, gamma, beta, eps);
}

struct tensor *dropout_add_norm(struct tape *tape, struct tensor *x, struct tensor *a,
                                double p, const struct rows *rows,
                                const struct dropout_key *key, struct tensor *gamma,
                                struct tensor *beta, double eps)
{
    if (tape_bad(tape) || !x || !a || !gamma || !beta)
        return NULL;
    int64_t c = columns(x);
    bool drops = p > 0 && (tape_flags_now(tape) & TAPE_DROPOUT);
    if (!shape_equal(x->shape, a->shape) || shape_count(gamma->shape) != c ||
        shape_count(beta->shape) != c)
        return op_bad_shapes(tape, "dropout_add_norm", x, a,
                             "wants equal shapes, one gamma and beta a column");
    if (drops && !dropout_fits(tape, x, p, rows, key))
        return NULL;
    struct normed *attr = tape_alloc(tape, 1, sizeof *attr);
    if (!attr)
        return NULL;
    *attr = (struct normed){NULL, NULL, NULL, NULL};
    const struct kernels *k = op_use(tape, OP_ADD_NORM);
    if (drops && !(attr->dropped = dropout_draw(tape, k, p, c, rows, key)))
        return NULL;
    return norm(tape, OP_ADD_NORM, x, a, attr, gamma, beta, eps);
}

void norm_backward(struct tape *tape, struct node *node)
{
    struct tensor *x = node->in[0];
    const struct normed *attr = node->attr;
    const struct kernels *k = op_use(tape, (int)(node->op - op_table));
    int64_t n = rows_of(x), c = columns(x), tasks = tasks_of(n, ROWS);
    struct norm_run run = {.k = k,
                           .back = true,
                           .whole = {.x = attr->x,
                                     .dy = node->grad,
                                     .gamma = node->in[1]->data,
                                     .mean = attr->mean,
                                     .rstd = attr->rstd,
                                     .rows = n,
                                     .c = c}};
    if (attr->dropped) {
        run.whole.bits = attr->dropped->bits;
        run.whole.words = attr->dropped->words;
        run.whole.factor = attr->dropped->factor;
    }
    run.whole.dx = tape_grad_to(tape, x, &run.whole.fresh_x);
    run.whole.da = tape_grad_to(tape, node->in[3], &run.whole.fresh_a);
    void *dgamma = tape_grad_of(tape, node->in[1]),
         *dbeta = tape_grad_of(tape, node->in[2]);
    struct arena_mark mark = arena_mark(tape_arena(tape));
    char *parts = tape_alloc(tape, 2 * tasks * c, (size_t)dtype_bytes(k->dtype));
    if (!parts)
        return;
    run.whole.dgamma = parts;
    run.whole.dbeta = at(parts, k, tasks * c);
    if (n > 0)
        pool_run(tape_pool(tape), tasks, norm_task, &run);
    op_colsum(tape, k, dgamma, run.whole.dgamma, NULL, tasks, c);
    op_colsum(tape, k, dbeta, run.whole.dbeta, NULL, tasks, c);
    arena_rewind(tape_arena(tape), mark);
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

struct tensor *unit_rows(struct tape *tape, struct tensor *x)
{
    if (tape_bad(tape) || !x)
        return NULL;
    struct tensor *y = op_like(tape, x);
    int64_t n = rows_of(x), c = columns(x);
    double *norm = tape_alloc(tape, n, sizeof *norm);
    const struct kernels *k = op_use(tape, OP_UNIT_ROWS);

    if (!y || !norm)
        return NULL;
    for (int64_t r = 0; r < n; r++) {
        double s = 0;
        for (int64_t i = 0; i < c; i++)
            s += get(x->data, k, r * c + i) * get(x->data, k, r * c + i);
        norm[r] = sqrt(s);
        for (int64_t i = 0; i < c; i++)
            set(y, r * c + i, s > 0 ? get(x->data, k, r * c + i) / norm[r] : 0);
    }
    return tape_record(tape, &op_table[OP_UNIT_ROWS], y, norm, x, NULL, NULL, NULL);
}

/* dx = (dy - y (y . dy)) / ||x||: what lies along x changes its length alone. */
void unit_rows_backward(struct tape *tape, struct node *node)
{
    const struct kernels *k = op_use(tape, OP_UNIT_ROWS);
    const struct tensor *y = node->out;
    const double *norm = node->attr;
    int64_t n = rows_of(y), c = columns(y);
    void *dx = tape_grad_of(tape, node->in[0]);

    for (int64_t r = 0; dx && r < n; r++) {
        double along = 0;
        for (int64_t i = r * c; i < r * c + c; i++)
            along += get(y->data, k, i) * get(node->grad, k, i);
        for (int64_t i = r * c; norm[r] > 0 && i < r * c + c; i++)
            bump(dx, k, i,
                 (get(node->grad, k, i) - get(y->data, k, i) * along) / norm[r]);
    }
}
