/*
 * Distillation over a vocabulary: the logits of teacher and student are made in chunks of
 * rows, in the forward and again in the backward pass, and never held.
 */
#include <math.h>

#include "ops_shared.h"

#define CHUNK_ROWS 256

struct distill {
    int64_t n, c, v, ct; /* rows, student's channels, classes, teacher's channels */
    double temperature;
    const void *xt; /* (n, ct) */
    const struct tensor *wt;
    double *loss; /* (n) */
};

/* Rows r0 .. r1 - 1: logits of both, of the student with its gradient when `back`. */
struct distill_run {
    const struct kernels *k;
    const struct distill *a;
    void *s, *t;
    int64_t r0, r1, each;
    double g; /* of each row's KL */
    bool back;
};

static void soften(void *row, const struct kernels *k, int64_t n, double factor)
{
    float *f = row;
    double *d = row;

    if (k->dtype == DT_F64)
        for (int64_t i = 0; i < n; i++)
            d[i] *= factor;
    else
        for (int64_t i = 0; i < n; i++)
            f[i] *= (float)factor;
}

/*
 * With z = logits / T, p and q the softmax of teacher and student:
 *
 *     KL = sum p (zt - zs) - log sum exp zt + log sum exp zs
 *     dKL/d(student) = (q - p) / T
 *
 * The teacher's row becomes p, the student's its gradient (back) or is used up.
 */
static void distill_row(const struct distill_run *run, int64_t r)
{
    const struct kernels *k = run->k;
    const struct distill *a = run->a;
    void *s = at(run->s, k, (r - run->r0) * a->v),
         *t = at(run->t, k, (r - run->r0) * a->v);
    double top[2], sum[2];

    soften(s, k, a->v, 1 / a->temperature);
    soften(t, k, a->v, 1 / a->temperature);
    k->exp_sum(s, a->v, &top[0], &sum[0]);
    k->exp_sum(t, a->v, &top[1], &sum[1]);
    if (run->back) {
        double g = run->g / a->temperature;
        k->exp_scaled(s, s, a->v, top[0], g / sum[0], true);
        k->exp_scaled(t, t, a->v, top[1], 1 / sum[1], true);
        k->axpy(s, t, -g, a->v);
        return;
    }
    k->axpy(s, t, -1, a->v); /* zs - zt */
    k->exp_scaled(t, t, a->v, top[1], 1 / sum[1], true);
    k->mul(s, s, t, a->v);
    a->loss[r] = top[0] + log(sum[0]) - top[1] - log(sum[1]) - k->sum(s, a->v);
}

static void distill_task(void *ctx, int64_t task)
{
    const struct distill_run *run = ctx;
    int64_t r = run->r0 + task * run->each, end = min64(run->r1, r + run->each);
    for (; r < end; r++)
        distill_row(run, r);
}

/* Logits of both for rows from r on, then their rows' work. */
static void distill_chunk(struct tape *tape, struct distill_run *run,
                          const struct linear *l)
{
    const struct distill *a = run->a;
    struct linear teacher = {.x = at(a->xt, run->k, run->r0 * a->ct),
                             .w = a->wt,
                             .n = l->n,
                             .i = a->ct,
                             .o = a->v};
    linear_forward(tape, l, run->s);
    linear_forward(tape, &teacher, run->t);
    run->r1 = run->r0 + l->n;
    run->each = 1 + 16384 / (a->v + 1);
    if (!tape_bad(tape))
        pool_run(tape_pool(tape), tasks_of(l->n, run->each), distill_task, run);
}

static bool distill_fits(struct tape *tape, const struct tensor *x,
                         const struct tensor *w, const struct tensor *xt,
                         const struct tensor *wt)
{
    if (x->shape.rank != 2 || w->shape.rank != 2 || x->shape.dim[1] != w->shape.dim[1]) {
        op_bad_shapes(tape, "linear_distill", x, w, "wants (M, C) and (V, C)");
        return false;
    }
    if (xt->shape.rank != 2 || wt->shape.rank != 2 ||
        xt->shape.dim[1] != wt->shape.dim[1]) {
        op_bad_shapes(tape, "linear_distill", xt, wt,
                      "wants the teacher's (M, D), (V, D)");
        return false;
    }
    if (x->shape.dim[0] != xt->shape.dim[0] || w->shape.dim[0] != wt->shape.dim[0]) {
        op_bad_shapes(tape, "linear_distill", w, wt,
                      "wants as many rows and classes of the teacher as of the student");
        return false;
    }
    return true;
}

struct tensor *linear_distill(struct tape *tape, struct tensor *x, struct tensor *w,
                              const struct tensor *xt, const struct tensor *wt,
                              double temperature)
{
    if (tape_bad(tape) || !x || !w || !xt || !wt || !distill_fits(tape, x, w, xt, wt))
        return NULL;
    const struct kernels *k = op_use(tape, OP_LINEAR_DISTILL);
    struct distill *a = tape_alloc(tape, 1, sizeof *a);
    int64_t n = x->shape.dim[0], v = w->shape.dim[0];
    double *loss = tape_alloc(tape, n, sizeof *loss), sum = 0;
    struct tensor *y = tape_tensor(tape, tape_real(tape), SCALAR);
    struct arena_mark mark = arena_mark(tape_arena(tape));
    void *s = tape_alloc(tape, min64(n, CHUNK_ROWS) * v, (size_t)dtype_bytes(k->dtype));
    void *t = tape_alloc(tape, min64(n, CHUNK_ROWS) * v, (size_t)dtype_bytes(k->dtype));
    if (!a || !loss || !y || !s || !t)
        return NULL;
    *a = (struct distill){n,           x->shape.dim[1], v,  xt->shape.dim[1],
                          temperature, xt->data,        wt, loss};
    for (int64_t r = 0; r < n && !tape_bad(tape); r += CHUNK_ROWS) {
        struct linear l = {.x = at(x->data, k, r * a->c),
                           .w = w,
                           .n = min64(CHUNK_ROWS, n - r),
                           .i = a->c,
                           .o = v};
        distill_chunk(tape,
                      &(struct distill_run){.k = k, .a = a, .s = s, .t = t, .r0 = r}, &l);
    }
    arena_rewind(tape_arena(tape), mark);
    for (int64_t r = 0; r < n; r++)
        sum += loss[r];
    set(y, 0, n ? temperature * temperature * sum / (double)n : 0);
    return tape_record(tape, &op_table[OP_LINEAR_DISTILL], y, a, x, w, NULL, NULL);
}

void linear_distill_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = op_use(tape, OP_LINEAR_DISTILL);
    const struct distill *a = node->attr;
    struct tensor *x = node->in[0], *w = node->in[1];
    void *dx = tape_grad_of(tape, x), *dw = tape_grad_of(tape, w);
    struct arena_mark mark = arena_mark(tape_arena(tape));
    int64_t most = min64(a->n, CHUNK_ROWS);
    void *s = tape_alloc(tape, most * a->v, (size_t)dtype_bytes(k->dtype));
    void *t = tape_alloc(tape, most * a->v, (size_t)dtype_bytes(k->dtype));
    double g =
        a->n ? get(node->grad, k, 0) * a->temperature * a->temperature / (double)a->n : 0;
    for (int64_t r = 0; s && t && r < a->n && !tape_bad(tape); r += CHUNK_ROWS) {
        struct linear l = {.x = at(x->data, k, r * a->c),
                           .dy = s,
                           .w = w,
                           .n = min64(CHUNK_ROWS, a->n - r),
                           .i = a->c,
                           .o = a->v};
        struct distill_run run = {
            .k = k, .a = a, .s = s, .t = t, .r0 = r, .g = g, .back = true};
        distill_chunk(tape, &run, &l);
        linear_dx(tape, &l, at(dx, k, r * a->c), false);
        linear_dw(tape, &l, dw, false, NULL);
    }
    arena_rewind(tape_arena(tape), mark);
}

/* Both logits, and for the gradients both again. */
double linear_distill_flops(const struct node *node, bool back)
{
    const struct distill *a = node->attr;
    double one = 2 * (double)a->n * (double)a->v;
    double both = one * (double)(a->c + a->ct);
    return back ? both + one * (double)a->c *
                             (node->in[0]->wants_grad + node->in[1]->wants_grad)
                : both;
}
