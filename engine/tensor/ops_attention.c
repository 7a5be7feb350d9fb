/*
 * Attention: a task is one sequence and head. Tasks lie in order of falling length, so
 * that the short ones even out the threads' ends; a thread takes the next one and has one
 * scratch for all it does. Each task writes what is its own: bits depend on neither order
 * nor thread.
 */
#include <math.h>
#include <stdlib.h>

#include "ops_shared.h"

/* Of a task: its number (sequence * H + head), its first element in k and v, and in q. */
struct place {
    int64_t number, at, q_at;
};

struct attended {
    int64_t tasks, h;
    bool gate_each; /* gates are (B, H) */
    struct attn_task *task;
    struct place *place;
};

/* A run over the tasks: `slots` threads' worth of it. */
struct turn {
    const struct kernels *k;
    const struct attended *a;
    atomic_int_fast64_t next;
    char *scratch;
    int64_t stride; /* bytes of one slot's scratch */
    bool back;
};

static void turn_slot(void *ctx, int64_t slot)
{
    struct turn *t = ctx;
    void *scratch = t->scratch + slot * t->stride;
    for (;;) {
        int64_t i = atomic_fetch_add(&t->next, 1);
        if (i >= t->a->tasks)
            return;
        (t->back ? t->k->attn_back : t->k->attn)(&t->a->task[i], scratch);
    }
}

/* All tasks; the scratch is given back after it. */
static void attended_run(struct tape *tape, const struct kernels *k,
                         const struct attended *a, bool back)
{
    struct turn t = {.k = k, .a = a, .back = back};
    int64_t slots = min64(pool_threads(tape_pool(tape)), a->tasks), most = 0;
    if (tape_bad(tape))
        return;
    struct arena_mark mark = arena_mark(tape_arena(tape));
    for (int64_t i = 0; i < a->tasks; i++) {
        const struct attn_task *task = &a->task[i];
        int64_t n = k->attn_scratch(task->queries, task->t, task->d, back);
        most = n > most ? n : most;
    }
    t.stride = (most * dtype_bytes(k->dtype) + 63) / 64 * 64 + 64;
    t.scratch = tape_alloc(tape, slots, (size_t)t.stride);
    if (t.scratch && slots > 0)
        pool_run(tape_pool(tape), slots, turn_slot, &t);
    arena_rewind(tape_arena(tape), mark);
}

static bool attention_fits(struct tape *tape, const struct tensor *q,
                           const struct tensor *k, const struct tensor *v,
                           const struct attention *a)
{
    int64_t b = a->offsets ? shape_count(a->offsets->shape) - 1 : -1, n = rows_of(k);
    const int32_t *off = a->offsets ? a->offsets->data : NULL;
    bool fits =
        q->shape.rank == 2 && k->shape.rank == 2 && shape_equal(k->shape, v->shape) &&
        a->heads >= 0 && a->head_dim >= 0 && q->shape.dim[1] == a->heads * a->head_dim &&
        q->shape.dim[1] == k->shape.dim[1] && q->shape.dim[0] == (a->first_only ? b : n);
    if (!fits) {
        op_bad_shapes(tape, "attention", q, k,
                      "wants (N, H*D) for k and v, and for q unless first_only");
        return false;
    }
    fits = b >= 0 && off[0] == 0 && off[b] == n;
    for (int64_t i = 0; fits && i < b; i++)
        fits = off[i] <= off[i + 1];
    int64_t gates = a->gates ? shape_count(a->gates->shape) : a->heads;
    bool drops = a->dropout > 0 && (tape_flags_now(tape) & TAPE_DROPOUT);
    if (a->window < 0 || (a->window && a->first_only))
        tape_fail(tape, ERR_INPUT,
                  "attention: a window is not below 0, and first_only has none");
    else if (!fits)
        tape_fail(tape, ERR_INPUT, "attention: offsets must rise from 0 to the %lld rows",
                  (long long)n);
    else if (gates != a->heads && gates != b * a->heads)
        tape_fail(tape, ERR_INPUT, "attention: %lld gates for %lld heads",
                  (long long)gates, (long long)a->heads);
    else if (a->key_mask &&
             (shape_count(a->key_mask->shape) != n || a->key_mask->dtype != DT_U8))
        tape_fail(tape, ERR_INPUT, "attention: the key mask is u8, one a row");
    else if (drops && (a->dropout >= 1 || !a->rows || a->rows->n != n || !a->key.site))
        tape_fail(tape, ERR_INPUT, "attention: dropout of %g wants the place of each row",
                  a->dropout);
    return !tape_bad(tape);
}

/* Queries of a sequence of t tokens. */
static int64_t queries(const struct attention *a, int64_t t)
{
    return a->first_only ? 1 : t;
}

static void attention_place(struct attn_task *t, const struct attention *a, int64_t row,
                            int64_t h)
{
    uint64_t head = a->head_id ? (uint64_t)a->head_id[h] : (uint64_t)h;
    rng_advance(&t->rng, (((uint64_t)a->rows->example[row] << 8) + head) << 23);
}

struct length {
    int64_t seq, t;
};

static int longer_first(const void *a, const void *b)
{
    const struct length *x = a, *y = b;
    if (x->t != y->t)
        return x->t > y->t ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

/* Places and lengths of all tasks. */
static struct attended *attended_new(struct tape *tape, const struct attention *a,
                                     int64_t b)
{
    const int32_t *off = a->offsets->data;
    int64_t h = a->heads, c = h * a->head_dim;
    struct attended *to = tape_alloc(tape, 1, sizeof *to);
    struct attn_task *task = tape_alloc(tape, b * h, sizeof *task);
    struct place *place = tape_alloc(tape, b * h, sizeof *place);
    struct length *order = tape_alloc(tape, b, sizeof *order);
    if (!to || !task || !place || !order)
        return NULL;
    *to = (struct attended){b * h, h, a->gates && a->gates->shape.rank == 2, task, place};
    for (int64_t s = 0; s < b; s++)
        order[s] = (struct length){s, off[s + 1] - off[s]};
    qsort(order, (size_t)b, sizeof *order, longer_first);
    for (int64_t i = 0; i < b * h; i++) {
        int64_t s = order[i / h].seq, head = i % h, row = off[s];
        place[i] =
            (struct place){.number = s * h + head,
                           .at = row * c + head * a->head_dim,
                           .q_at = (a->first_only ? s : row) * c + head * a->head_dim};
        task[i] = (struct attn_task){.t = order[i / h].t,
                                     .queries = queries(a, order[i / h].t),
                                     .d = a->head_dim,
                                     .ld = c,
                                     .window = a->window,
                                     .gate = 1};
        if (a->gates)
            task[i].gate = tensor_get(a->gates, to->gate_each ? place[i].number : head);
        if (a->key_mask)
            task[i].key_mask = (const uint8_t *)a->key_mask->data + row;
    }
    return to;
}

/* Streams of dropout, and room for what it keeps. */
static void attended_drop(struct tape *tape, struct attended *to,
                          const struct attention *a)
{
    const int32_t *off = a->offsets->data;
    struct rng stream = dropout_stream(&a->key);
    struct skips *skips = tape_alloc(tape, 1, sizeof *skips);
    u128 jump_mul, jump_add;
    int64_t words = 0;
    dropout_jump(stream.inc, 1u << 11, &jump_mul, &jump_add);
    if (skips)
        *skips = dropout_skips(stream.inc);
    for (int64_t i = 0; i < to->tasks; i++)
        words += to->task[i].queries * tasks_of(to->task[i].t, 16);
    uint16_t *bits = tape_alloc(tape, words, sizeof *bits);
    for (int64_t i = 0; bits && skips && i < to->tasks; i++) {
        struct attn_task *t = &to->task[i];
        t->dropout = a->dropout;
        t->rng = stream;
        t->skips = skips;
        t->jump_add = jump_add;
        t->jump_mul = jump_mul;
        t->bits = bits;
        if (t->t)
            attention_place(t, a, off[to->place[i].number / to->h],
                            to->place[i].number % to->h);
        bits += t->queries * tasks_of(t->t, 16);
    }
}

/* Room for the probabilities, in order of sequence and head. */
static struct tensor *attended_probs(struct tape *tape, struct attended *to,
                                     const struct attention *a, const struct kernels *k)
{
    const int32_t *off = a->offsets->data;
    int64_t n = 0, b = shape_count(a->offsets->shape) - 1;
    int64_t *from = tape_alloc(tape, b, sizeof *from);
    for (int64_t s = 0; from && s < b; s++) {
        int64_t t = off[s + 1] - off[s];
        from[s] = n;
        n += queries(a, t) * t * a->heads;
    }
    struct tensor *p = tape_tensor(tape, k->dtype, SHAPE(n));
    for (int64_t i = 0; p && i < to->tasks; i++) {
        struct attn_task *t = &to->task[i];
        int64_t number = to->place[i].number;
        t->prob =
            at(p->data, k, from[number / to->h] + number % to->h * t->queries * t->t);
    }
    return p;
}

/* Max and sum of each query's softmax. */
static void attended_stats(struct tape *tape, struct attended *to,
                           const struct kernels *k)
{
    int64_t n = 0;
    for (int64_t i = 0; i < to->tasks; i++)
        n += 2 * to->task[i].queries;
    void *stats = tape_alloc(tape, n, (size_t)dtype_bytes(k->dtype));
    for (int64_t i = 0; stats && i < to->tasks; i++) {
        to->task[i].stats = stats;
        stats = at(stats, k, 2 * to->task[i].queries);
    }
}

struct tensor *attention(struct tape *tape, struct tensor *q, struct tensor *k,
                         struct tensor *v, const struct attention *a)
{
    if (tape_bad(tape) || !q || !k || !v || !attention_fits(tape, q, k, v, a))
        return NULL;
    const struct kernels *set_ = op_use(tape, OP_ATTENTION);
    struct tensor *y = op_like(tape, q);
    struct attended *to = attended_new(tape, a, shape_count(a->offsets->shape) - 1);
    struct tensor *probs = NULL;
    if (!y || !to)
        return NULL;
    if (a->dropout > 0 && (tape_flags_now(tape) & TAPE_DROPOUT))
        attended_drop(tape, to, a);
    if (a->probs)
        probs = attended_probs(tape, to, a, set_);
    if (tape_records(tape))
        attended_stats(tape, to, set_);
    for (int64_t i = 0; i < to->tasks; i++) {
        struct attn_task *t = &to->task[i];
        t->q = at(q->data, set_, to->place[i].q_at);
        t->k = at(k->data, set_, to->place[i].at);
        t->v = at(v->data, set_, to->place[i].at);
        t->out = at(y->data, set_, to->place[i].q_at);
    }
    attended_run(tape, set_, to, false);
    if (a->probs)
        *a->probs = probs;
    return tape_record(tape, &op_table[OP_ATTENTION], y, to, q, k, v, a->gates);
}

void attention_back(struct tape *tape, struct node *node)
{
    struct attended *a = node->attr;
    const struct kernels *k = op_use(tape, OP_ATTENTION);
    bool fresh_q, fresh_k, fresh_v;
    void *dq = tape_grad_to(tape, node->in[0], &fresh_q);
    void *dk = tape_grad_to(tape, node->in[1], &fresh_k);
    void *dv = tape_grad_to(tape, node->in[2], &fresh_v);
    void *dg = tape_grad_of(tape, node->in[3]);
    void *gates = tape_alloc(tape, a->tasks, (size_t)dtype_bytes(k->dtype));
    for (int64_t i = 0; i < a->tasks; i++) {
        struct attn_task *t = &a->task[i];
        t->dout = at(node->grad, k, a->place[i].q_at);
        t->dq = at(dq, k, a->place[i].q_at);
        t->dk = at(dk, k, a->place[i].at);
        t->dv = at(dv, k, a->place[i].at);
        t->fresh_q = fresh_q;
        t->fresh_k = fresh_k;
        t->fresh_v = fresh_v;
        t->dgate = dg ? at(gates, k, a->place[i].number) : NULL;
    }
    attended_run(tape, k, a, true);
    for (int64_t i = 0; dg && gates && i < a->tasks; i++)
        bump(dg, k, a->gate_each ? i : i % a->h, get(gates, k, i));
}

/* q k' and p v forward; backward q k' again, dp = dout v', and dq, dk, dv. */
double attention_flops(const struct node *node, bool back)
{
    const struct attended *a = node->attr;
    double seen = 0;
    for (int64_t i = 0; i < a->tasks; i++) {
        const struct attn_task *t = &a->task[i];
        int64_t pairs = 0, lo, hi;
        for (int64_t j = 0; t->window && j < t->queries; j++) {
            attn_sees(t, j, &lo, &hi);
            pairs += hi - lo;
        }
        seen += (double)(t->window ? pairs : t->queries * t->t) * (double)t->d;
    }
    return (back ? 10 : 4) * seen;
}
