/*
 * Dropout of rows. Each row has its own place in the stream, so a row draws the same
 * whatever batch it is in; what is kept takes a bit an element.
 */
#include "ops_shared.h"

struct rng dropout_stream(const struct dropout_key *key)
{
    return rng_streamf(key->seed, "dropout/%s/%lld", key->site, (long long)key->step);
}

struct skips dropout_skips(u128 inc)
{
    struct skips by = {.mul = {1}};
    struct rng zero = {0, inc}, one = {1, inc};
    for (int k = 1; k <= 8; k++) {
        rng_next(&zero);
        rng_next(&one);
        by.add[k] = zero.state;
        by.mul[k] = one.state - zero.state;
    }
    return by;
}

void dropout_jump(u128 inc, uint64_t n, u128 *mul, u128 *add)
{
    struct rng zero = {0, inc}, one = {1, inc};
    rng_advance(&zero, n);
    rng_advance(&one, n);
    *add = zero.state;
    *mul = one.state - zero.state;
}

struct drawing {
    const struct kernels *k;
    const struct rows *rows;
    struct rng stream;
    struct skips by;
    u128 jump_mul, jump_add; /* from a token to the next of the same example */
    struct dropped *to;
    int64_t c;
    uint32_t limit;
};

static void draw_task(void *ctx, int64_t task)
{
    const struct drawing *d = ctx;
    const int32_t *example = d->rows->example, *position = d->rows->position;
    int64_t from = task * ROWS, to = min64(d->rows->n, from + ROWS);
    struct rng rng = d->stream;
    for (int64_t r = from; r < to; r++) {
        if (r > from && example[r] == example[r - 1] &&
            position[r] == position[r - 1] + 1) {
            rng.state = rng.state * d->jump_mul + d->jump_add;
        } else {
            rng = d->stream;
            rng_advance(&rng, (((uint64_t)example[r] << 16) + (uint64_t)position[r])
                                  << 16);
        }
        d->k->draw(d->to->bits + r * d->to->words, &d->by, rng.state, d->c, d->limit);
    }
}

struct dropped *dropout_draw(struct tape *tape, const struct kernels *k, double p,
                             int64_t c, const struct rows *rows,
                             const struct dropout_key *key)
{
    struct dropped *to = tape_alloc(tape, 1, sizeof *to);
    int64_t words = tasks_of(c, 16);
    uint16_t *bits = tape_alloc(tape, rows->n * words, sizeof *bits);
    if (!to || !bits)
        return NULL;
    *to = (struct dropped){1 / (1 - p), words, bits};
    struct drawing d = {.k = k,
                        .rows = rows,
                        .stream = dropout_stream(key),
                        .to = to,
                        .c = c,
                        .limit = drop_limit(p)};
    d.by = dropout_skips(d.stream.inc);
    dropout_jump(d.stream.inc, 1u << 16, &d.jump_mul, &d.jump_add);
    pool_run(tape_pool(tape), tasks_of(rows->n, ROWS), draw_task, &d);
    return to;
}

static void dropout_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    const struct dropped *d = j->dropped;
    for (int64_t r = task * ROWS; r < min64(j->n, (task + 1) * ROWS); r++)
        j->k->dropout(at(j->to, j->k, r * j->c), at(j->x, j->k, r * j->c),
                      d->bits + r * d->words, j->c, d->factor, j->flag);
}

bool dropout_fits(struct tape *tape, const struct tensor *x, double p,
                  const struct rows *rows, const struct dropout_key *key)
{
    if (p < 1 && rows && key && rows->n == rows_of(x))
        return true;
    tape_fail(tape, ERR_INPUT, "dropout of %g: wants p below 1 and the place of each row",
              p);
    return false;
}

struct tensor *dropout(struct tape *tape, struct tensor *x, double p,
                       const struct rows *rows, const struct dropout_key *key)
{
    if (tape_bad(tape) || !x || !(p > 0) || !(tape_flags_now(tape) & TAPE_DROPOUT))
        return x;
    if (!dropout_fits(tape, x, p, rows, key))
        return NULL;
    const struct kernels *k = op_use(tape, OP_DROPOUT);
    struct tensor *y = op_like(tape, x);
    struct dropped *d = dropout_draw(tape, k, p, columns(x), rows, key);
    if (!y || !d)
        return NULL;
    op_run(tape, tasks_of(rows->n, ROWS), dropout_task,
           &(struct job){.k = k,
                         .n = rows->n,
                         .c = columns(x),
                         .x = x->data,
                         .to = y->data,
                         .dropped = d});
    return tape_record(tape, &op_table[OP_DROPOUT], y, d, x, NULL, NULL, NULL);
}

void dropout_back(struct tape *tape, struct node *node)
{
    int64_t n = rows_of(node->out);
    bool fresh;
    void *dx = tape_grad_to(tape, node->in[0], &fresh);
    op_run(tape, dx ? tasks_of(n, ROWS) : 0, dropout_task,
           &(struct job){.k = op_use(tape, OP_DROPOUT),
                         .n = n,
                         .c = columns(node->out),
                         .x = node->grad,
                         .to = dx,
                         .dropped = node->attr,
                         .flag = !fresh});
}
