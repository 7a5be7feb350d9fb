/*
 * The tape: a list of nodes in order of execution; the backward pass walks it from the
 * end. Gradients of inner nodes live in the step's arena, those of parameters go straight
 * to p->grad (float tapes).
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "op.h"
#include "retort/profile.h"

enum { SPARES = 32 };

struct tape {
    struct pool *pool;
    struct arena *arena;
    struct arena *aside; /* tape_keep moves a tensor through it */
    enum dtype compute;
    enum tape_flags flags;
    struct err err;
    struct node *nodes;
    int64_t count, capacity;
    struct spare { /* gradients that nobody needs any more */
        void *data;
        int64_t bytes;
    } spare[SPARES];
    int spares;
};

struct tape *tape_new(struct pool *pool, enum dtype compute, struct err *err)
{
    if (compute != DT_F32 && compute != DT_BF16 && compute != DT_F64) {
        err_set(err, ERR_INPUT, "cannot compute in %s; use f32, bf16 or f64",
                dtype_name(compute));
        return NULL;
    }
    struct tape *tape = mem_new(1, sizeof *tape, err);
    if (!tape)
        return NULL;
    tape->pool = pool;
    tape->compute = compute;
    tape->arena = arena_new(err);
    tape->aside = arena_new(err);
    if (!tape->arena || !tape->aside) {
        tape_free(tape);
        return NULL;
    }
    return tape;
}

void tape_free(struct tape *tape)
{
    if (!tape)
        return;
    arena_free(tape->arena);
    arena_free(tape->aside);
    free(tape->nodes);
    free(tape);
}

void tape_begin(struct tape *tape, enum tape_flags flags)
{
    profile_lap("between steps");
    arena_clear(tape->arena);
    tape->count = 0;
    tape->spares = 0;
    tape->flags = flags;
    err_clear(&tape->err);
}

bool tape_bad(struct tape *tape)
{
    return err_is_set(&tape->err);
}

int tape_failed(struct tape *tape, struct err *err)
{
    if (!tape_bad(tape))
        return arena_failed(tape->arena, err);
    return err_set(err, tape->err.code, "%s", tape->err.text);
}

void tape_fail(struct tape *tape, enum err_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    err_vset(&tape->err, code, fmt, ap);
    va_end(ap);
}

bool tape_records(const struct tape *tape)
{
    return (tape->flags & TAPE_GRAD) != 0;
}

enum tape_flags tape_flags_now(const struct tape *tape)
{
    return tape->flags;
}

enum dtype tape_compute(const struct tape *tape)
{
    return tape->compute;
}

enum dtype tape_real(const struct tape *tape)
{
    return tape->compute == DT_F64 ? DT_F64 : DT_F32;
}

struct arena *tape_arena(const struct tape *tape)
{
    return tape->arena;
}

struct pool *tape_pool(const struct tape *tape)
{
    return tape->pool;
}

void *tape_alloc(struct tape *tape, int64_t count, size_t size)
{
    int64_t bytes;
    if (tape_bad(tape) || mem_product(&bytes, count, (int64_t)size, &tape->err))
        return NULL;
    void *p = arena_alloc(tape->arena, bytes ? bytes : 1);
    if (!p)
        tape_fail(tape, ERR_MEMORY, "no memory for %lld bytes of a step",
                  (long long)bytes);
    return p;
}

struct tensor *tape_tensor(struct tape *tape, enum dtype dtype, struct shape shape)
{
    int64_t bytes;
    if (tape_bad(tape) || shape_bytes(&bytes, shape, dtype, &tape->err))
        return NULL;
    struct tensor *t = tape_alloc(tape, 1, sizeof *t);
    void *data = tape_alloc(tape, bytes, 1);
    if (!t || !data)
        return NULL;
    *t = (struct tensor){.dtype = dtype, .shape = shape, .data = data, .node = -1};
    return t;
}

struct tensor *tape_constant(struct tape *tape, struct shape shape, const float *values)
{
    struct tensor *t = tape_tensor(tape, tape_real(tape), shape);
    if (t)
        dtype_convert(t->data, t->dtype, values, DT_F32, shape_count(shape));
    return t;
}

static struct node *push(struct tape *tape, struct tensor *out)
{
    void *nodes = tape->nodes;
    if (mem_grow(&nodes, tape->count, &tape->capacity, sizeof *tape->nodes, &tape->err))
        return NULL;
    tape->nodes = nodes;
    struct node *node = &tape->nodes[tape->count];
    *node = (struct node){.out = out};
    out->node = tape->count++;
    out->wants_grad = true;
    return node;
}

struct tensor *tape_leaf(struct tape *tape, struct shape shape, const float *values)
{
    struct tensor *t = tape_constant(tape, shape, values);
    if (!t || !tape_records(tape))
        return t;
    struct node *node = push(tape, t);
    if (!node)
        return NULL;
    node->keep = true;
    return t;
}

struct tensor *tape_param(struct tape *tape, struct param *p)
{
    if (tape_bad(tape) || !p)
        return NULL;
    struct tensor *t = tape_alloc(tape, 1, sizeof *t);
    if (!t)
        return NULL;
    *t = (struct tensor){.dtype = DT_F32,
                         .shape = p->value.shape,
                         .data = p->value.data,
                         .node = -1,
                         .param = p};
    if (tape_real(tape) == DT_F64) {
        int64_t n = shape_count(t->shape);
        t->dtype = DT_F64;
        t->data = tape_alloc(tape, n, sizeof(double));
        if (!t->data)
            return NULL;
        dtype_convert(t->data, DT_F64, p->value.data, DT_F32, n);
    }
    if (tape_records(tape) && p->grad && !p->frozen && !push(tape, t))
        return NULL;
    return t;
}

struct tensor *tape_indices(struct tape *tape, struct shape shape, const int32_t *values)
{
    struct tensor *t = tape_tensor(tape, DT_I32, shape);
    if (t && shape_count(shape))
        memcpy(t->data, values, (size_t)shape_count(shape) * sizeof *values);
    return t;
}

static int64_t grad_bytes(const struct tensor *t)
{
    return shape_count(t->shape) * dtype_bytes(t->dtype);
}

/* Bytes of what a node reads and writes; its backward pass does so twice, values and
 * gradients. */
static double node_bytes(const struct node *node, bool back)
{
    double bytes = (double)grad_bytes(node->out);
    for (int i = 0; i < NODE_INPUTS; i++)
        if (node->in[i])
            bytes += (double)grad_bytes(node->in[i]);
    return back ? 2 * bytes : bytes;
}

static void lap(const struct node *node, bool back)
{
    profile_lap_op(node->op->name, back,
                   node->op->flops ? node->op->flops(node, back) : 0,
                   node_bytes(node, back));
}

struct tensor *tape_record(struct tape *tape, const struct op *op, struct tensor *out,
                           void *attr, struct tensor *a, struct tensor *b,
                           struct tensor *c, struct tensor *d)
{
    if (!out || tape_bad(tape))
        return NULL;
    struct tensor *in[NODE_INPUTS] = {a, b, c, d};
    bool wanted = false;
    for (int i = 0; i < NODE_INPUTS; i++)
        wanted |= in[i] && in[i]->wants_grad;
    if (profile_on)
        lap(&(struct node){.op = op, .out = out, .in = {a, b, c, d}, .attr = attr},
            false);
    if (!wanted || !tape_records(tape))
        return out;
    struct node *node = push(tape, out);
    if (!node)
        return NULL;
    node->op = op;
    node->attr = attr;
    memcpy(node->in, in, sizeof in);
    return out;
}

/* Memory for a gradient: one of the same size that is done with, warm from its use. */
static void *grad_memory(struct tape *tape, int64_t bytes)
{
    for (int i = 0; i < tape->spares; i++)
        if (tape->spare[i].bytes == bytes) {
            void *data = tape->spare[i].data;
            tape->spare[i] = tape->spare[--tape->spares];
            return data;
        }
    return tape_alloc(tape, bytes, 1);
}

static bool is_param(const struct tensor *t)
{
    return t->param && t->dtype == DT_F32;
}

static void param_all_rows(struct param *p)
{
    if (p->rows)
        memset(p->rows, PARAM_ROW_GRAD | PARAM_ROW_MOMENTS,
               (size_t)p->value.shape.dim[0]);
}

void *tape_grad_rows(struct tape *tape, struct tensor *t, const int32_t *row, int64_t n)
{
    if (!t || t->node < 0 || !t->wants_grad || !is_param(t) || !t->param->rows)
        return tape_grad_of(tape, t);
    for (int64_t i = 0; i < n; i++)
        t->param->rows[row[i]] |= PARAM_ROW_GRAD | PARAM_ROW_MOMENTS;
    return tape->nodes[t->node].grad = t->param->grad; /* never fresh: see optimizer.c */
}

void *tape_grad_to(struct tape *tape, struct tensor *t, bool *fresh)
{
    *fresh = false;
    if (!t || t->node < 0 || !t->wants_grad)
        return NULL;
    struct node *node = &tape->nodes[t->node];
    if (is_param(t)) {
        param_all_rows(t->param);
        *fresh = t->param->fresh;
        t->param->fresh = false;
        return node->grad = t->param->grad;
    }
    if (node->grad)
        return node->grad;
    *fresh = true;
    return node->grad = grad_memory(tape, grad_bytes(t));
}

void *tape_grad_of(struct tape *tape, struct tensor *t)
{
    bool fresh;
    void *grad = tape_grad_to(tape, t, &fresh);
    if (grad && fresh)
        memset(grad, 0, (size_t)grad_bytes(t));
    return grad;
}

bool tape_grad_hand_on(struct tape *tape, struct node *node, struct tensor *t)
{
    if (!t || t->node < 0 || !t->wants_grad || is_param(t) || node->keep)
        return false;
    struct node *to = &tape->nodes[t->node];
    if (to->grad || grad_bytes(t) != grad_bytes(node->out))
        return false;
    to->grad = node->grad;
    node->grad = NULL;
    return true;
}

/* The gradient of an inner node is dead once it went to the node's inputs. */
static void grad_done(struct tape *tape, struct node *node)
{
    if (!node->op || node->keep || !node->grad || is_param(node->out) ||
        tape->spares == SPARES)
        return;
    tape->spare[tape->spares++] = (struct spare){node->grad, grad_bytes(node->out)};
    node->grad = NULL;
}

/* A double tape has gradients of its own; the parameter's are float. */
static void hand_over(const struct node *node)
{
    struct param *p = node->out->param;
    const double *grad = node->grad;
    if (!p || node->out->dtype != DT_F64 || !grad)
        return;
    if (p->fresh)
        memset(p->grad, 0, (size_t)shape_count(p->value.shape) * sizeof *p->grad);
    p->fresh = false;
    param_all_rows(p);
    for (int64_t i = 0, n = shape_count(p->value.shape); i < n; i++)
        p->grad[i] += (float)grad[i];
}

void tape_backward(struct tape *tape, const struct tensor *loss, float scale)
{
    if (tape_bad(tape) || !loss)
        return;
    if (shape_count(loss->shape) != 1) {
        char text[96];
        tape_fail(tape, ERR_INPUT, "backward starts from a scalar, not from %s",
                  shape_text(text, loss->shape));
        return;
    }
    if (loss->node < 0)
        return;
    for (int64_t i = 0; i < tape->count; i++)
        tape->nodes[i].grad = NULL;
    void *start = tape_grad_of(tape, tape->nodes[loss->node].out);
    if (!start)
        return;
    if (loss->dtype == DT_F64)
        *(double *)start = (double)scale;
    else
        *(float *)start = scale;
    for (int64_t i = loss->node; i >= 0 && !tape_bad(tape); i--) {
        struct node *node = &tape->nodes[i];
        if (!node->grad)
            continue;
        if (node->op) {
            node->op->backward(tape, node);
            if (profile_on)
                lap(node, true);
            grad_done(tape, node);
        } else {
            hand_over(node);
        }
    }
}

const void *tape_grad(const struct tape *tape, const struct tensor *t)
{
    if (!t || t->node < 0 || t->node >= tape->count)
        return NULL;
    const struct node *node = &tape->nodes[t->node];
    return node->op && !node->keep ? NULL : node->grad;
}

void tape_retain(struct tape *tape, struct tensor *t)
{
    if (t && t->node >= 0)
        tape->nodes[t->node].keep = true;
}

struct arena_mark tape_mark(struct tape *tape)
{
    return arena_mark(tape->arena);
}

struct tensor *tape_keep(struct tape *tape, struct arena_mark mark, struct tensor *t)
{
    if (tape_records(tape) || tape_bad(tape) || !t)
        return t;
    int64_t bytes = shape_count(t->shape) * dtype_bytes(t->dtype);
    struct tensor was = *t;
    arena_clear(tape->aside);
    void *copy = arena_alloc(tape->aside, bytes ? bytes : 1);
    if (!copy) {
        tape_fail(tape, ERR_MEMORY, "no memory for %lld bytes of a step",
                  (long long)bytes);
        return NULL;
    }
    memcpy(copy, was.data, (size_t)bytes);
    arena_rewind(tape->arena, mark);
    struct tensor *moved = tape_tensor(tape, was.dtype, was.shape);
    if (moved)
        memcpy(moved->data, copy, (size_t)bytes);
    return moved;
}
