/*
 * Rows and columns taken out of a table.
 */
#include "ops_shared.h"

static void gather_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    const int32_t *id = j->y;
    for (int64_t r = task * ROWS; r < min64(j->n, (task + 1) * ROWS); r++)
        memcpy(at(j->to, j->k, r * j->c), at(j->x, j->k, id[r] * j->c),
               (size_t)(j->c * dtype_bytes(j->k->dtype)));
}

/* Rows `index` of x; for embeddings and take_rows alike. */
static struct tensor *gather(struct tape *tape, int op, struct tensor *x,
                             const struct tensor *index)
{
    if (tape_bad(tape) || !x || !index)
        return NULL;
    if (x->shape.rank != 2 || index->dtype != DT_I32)
        return op_bad_shapes(tape, op_table[op].name, x, index,
                             "wants (N, C) and i32 indices");
    int64_t m = shape_count(index->shape), c = x->shape.dim[1];
    const struct kernels *k = op_use(tape, op);
    const int32_t *id = index->data;
    struct tensor *y = tape_tensor(tape, tape_real(tape), SHAPE(m, c));
    int32_t *attr = tape_alloc(tape, m, sizeof *attr);
    if (!y || !attr)
        return NULL;
    for (int64_t r = 0; r < m; r++) {
        if (id[r] < 0 || id[r] >= x->shape.dim[0]) {
            tape_fail(tape, ERR_INPUT, "%s: index %d at %lld; rows are 0 to %lld",
                      op_table[op].name, id[r], (long long)r,
                      (long long)x->shape.dim[0] - 1);
            return NULL;
        }
        attr[r] = id[r];
    }
    op_run(tape, tasks_of(m, ROWS), gather_task,
           &(struct job){.k = k, .n = m, .c = c, .y = attr, .x = x->data, .to = y->data});
    return tape_record(tape, &op_table[op], y, attr, x, NULL, NULL, NULL);
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

#define STRIPE 64 /* columns of a task: rows are added in their order in each */

static void scatter_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    const int32_t *id = j->y;
    int64_t c = task * STRIPE, width = min64(STRIPE, j->c - c);
    for (int64_t r = 0; r < j->n; r++)
        j->k->axpy(at(j->to, j->k, id[r] * j->c + c), at(j->dy, j->k, r * j->c + c), 1,
                   width);
}

void gather_back(struct tape *tape, struct node *node)
{
    struct job j = {.k = op_use(tape, (int)(node->op - op_table)),
                    .n = rows_of(node->out),
                    .c = columns(node->out),
                    .y = node->attr,
                    .dy = node->grad};
    j.to = tape_grad_rows(tape, node->in[0], node->attr, j.n);
    op_run(tape, j.to ? tasks_of(j.c, STRIPE) : 0, scatter_task, &j);
}

struct tensor *take_column(struct tape *tape, struct tensor *x, int64_t c)
{
    if (tape_bad(tape) || !x)
        return NULL;
    if (x->shape.rank != 2 || c < 0 || c >= x->shape.dim[1])
        return op_bad_shapes(tape, "take_column", x, NULL, "there is no such column");
    int64_t n = x->shape.dim[0];
    struct tensor *y = tape_tensor(tape, tape_real(tape), SHAPE(n));
    int64_t *attr = tape_alloc(tape, 1, sizeof *attr);
    if (!y || !attr)
        return NULL;
    *attr = c;
    op_use(tape, OP_TAKE_COLUMN);
    for (int64_t r = 0; r < n; r++)
        set(y, r, tensor_get(x, r * x->shape.dim[1] + c));
    return tape_record(tape, &op_table[OP_TAKE_COLUMN], y, attr, x, NULL, NULL, NULL);
}

void take_column_back(struct tape *tape, struct node *node)
{
    const struct kernels *k = op_use(tape, OP_TAKE_COLUMN);
    void *dx = tape_grad_of(tape, node->in[0]);
    int64_t c = *(int64_t *)node->attr, width = node->in[0]->shape.dim[1];
    for (int64_t r = 0; dx && r < shape_count(node->out->shape); r++)
        bump(dx, k, r * width + c, get(node->grad, k, r));
}
