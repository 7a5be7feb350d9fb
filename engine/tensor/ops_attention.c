/*
 * Attention: a task is one sequence and head.
 */
#include <math.h>

#include "ops_shared.h"

struct attended {
    int64_t tasks, b, h;
    bool gate_each;  /* gates are (B, H) */
    bool first_only; /* q and out are (B, C) */
    struct attn_task *task;
};

static void attn_forward_task(void *ctx, int64_t task)
{
    const struct job *j = ctx;
    j->k->attn(&j->attn[task]);
}

static void attn_back_task(void *ctx, int64_t task)
{
    const struct job *j = ctx;
    j->k->attn_back(&j->attn[task]);
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
    if (!fits)
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

/* Multiplier and addend that skip the 2^11 draws of one query at once. */
static void query_jump(struct attn_task *t)
{
    struct rng zero = {0, t->rng.inc}, one = {1, t->rng.inc};
    rng_advance(&zero, 1u << 11);
    rng_advance(&one, 1u << 11);
    t->jump_add = zero.state;
    t->jump_mul = one.state - zero.state;
}

static void attention_place(struct attn_task *t, const struct attention *a, int64_t row,
                            int64_t h, struct rng stream)
{
    uint64_t head = a->head_id ? (uint64_t)a->head_id[h] : (uint64_t)h;
    t->dropout = a->dropout;
    t->rng = stream;
    rng_advance(&t->rng, (((uint64_t)a->rows->example[row] << 8) + head) << 23);
    query_jump(t);
}

struct tensor *attention(struct tape *tape, struct tensor *q, struct tensor *k,
                         struct tensor *v, const struct attention *a)
{
    if (tape_bad(tape) || !q || !k || !v || !attention_fits(tape, q, k, v, a))
        return NULL;
    const struct kernels *set_ = op_use(tape, OP_ATTENTION);
    const int32_t *off = a->offsets->data;
    int64_t b = shape_count(a->offsets->shape) - 1, h = a->heads, d = a->head_dim,
            c = h * d;
    bool grad = tape_records(tape), keep = grad || a->probs;
    bool drops = a->dropout > 0 && (tape_flags_now(tape) & TAPE_DROPOUT);
    int64_t squares = 0, t_all = rows_of(k);
    for (int64_t i = 0; i < b; i++)
        squares += queries(a, off[i + 1] - off[i]) * (off[i + 1] - off[i]) * h;
    struct tensor *y = op_like(tape, q);
    struct tensor *p =
        tape_tensor(tape, y ? y->dtype : DT_F32, SHAPE(keep ? squares : t_all * h));
    struct tensor *scratch =
        tape_tensor(tape, y ? y->dtype : DT_F32, SHAPE(t_all * h * (d + 1)));
    struct attended *attr = tape_alloc(tape, 1, sizeof *attr);
    struct attn_task *task = tape_alloc(tape, b * h, sizeof *task);
    if (!y || !p || !scratch || !attr || !task)
        return NULL;
    bool each = a->gates && a->gates->shape.rank == 2;
    *attr = (struct attended){b * h, b, h, each, a->first_only, task};
    struct rng stream = {0, 0};
    if (drops)
        stream = dropout_stream(&a->key);
    for (int64_t i = 0, pos = 0, sat = 0; i < b * h; i++) {
        int64_t s = i / h, head = i % h, row = off[s], t = off[s + 1] - row,
                col = row * c + head * d, q_col = a->first_only ? s * c + head * d : col;
        task[i] = (struct attn_task){.q = at(q->data, set_, q_col),
                                     .k = at(k->data, set_, col),
                                     .v = at(v->data, set_, col),
                                     .out = at(y->data, set_, q_col),
                                     .prob = at(p->data, set_, pos),
                                     .keep_prob = keep,
                                     .t = t,
                                     .queries = queries(a, t),
                                     .d = d,
                                     .ld = c,
                                     .gate = 1,
                                     .scratch = at(scratch->data, set_, sat)};
        if (a->gates)
            task[i].gate = tensor_get(a->gates, each ? i : head);
        if (a->key_mask)
            task[i].key_mask = (const uint8_t *)a->key_mask->data + row;
        if (drops && t)
            attention_place(&task[i], a, row, head, stream);
        pos += keep ? queries(a, t) * t : t;
        sat += t * (d + 1);
    }
    op_run(tape, b * h, attn_forward_task, &(struct job){.k = set_, .attn = task});
    if (a->probs)
        *a->probs = p;
    return tape_record(tape, &op_table[OP_ATTENTION], y, attr, q, k, v, a->gates);
}

void attention_back(struct tape *tape, struct node *node)
{
    struct attended *a = node->attr;
    const struct kernels *k = op_use(tape, OP_ATTENTION);
    int64_t c = columns(node->out), need = 0;
    void *dq = tape_grad_of(tape, node->in[0]), *dk = tape_grad_of(tape, node->in[1]);
    void *dv = tape_grad_of(tape, node->in[2]), *dg = tape_grad_of(tape, node->in[3]);
    for (int64_t i = 0; i < a->tasks; i++)
        need += a->task[i].t * (a->task[i].d + 2) + a->task[i].d;
    int64_t size = dtype_bytes(k->dtype);
    char *scratch = tape_alloc(tape, need, (size_t)size);
    char *gates = tape_alloc(tape, a->tasks, (size_t)size);
    if (!scratch || !gates)
        return;
    for (int64_t i = 0, row = 0; i < a->tasks; i++) {
        struct attn_task *t = &a->task[i];
        int64_t col = row * c + i % a->h * t->d;
        int64_t q_col = a->first_only ? i / a->h * c + i % a->h * t->d : col;
        t->dout = at(node->grad, k, q_col);
        t->dq = at(dq, k, q_col);
        t->dk = at(dk, k, col);
        t->dv = at(dv, k, col);
        t->dgate = dg ? gates + i * size : NULL;
        t->scratch = scratch;
        scratch += (t->t * (t->d + 2) + t->d) * size;
        row += i % a->h == a->h - 1 ? t->t : 0;
    }
    op_run(tape, a->tasks, attn_back_task, &(struct job){.k = k, .attn = a->task});
    for (int64_t i = 0; dg && i < a->tasks; i++)
        bump(dg, k, a->gate_each ? i : i % a->h, get(gates, k, i));
}
