/*
 * The linear map and its three products.
 *
 * Rows are cut into tiles by their number alone: 64 rows, and tiles of 16 for the last
 * 128 to 191 (so that threads end together and little is padded), where oneDNN gives a
 * row the same bits in both; 64 everywhere where it does not. The last tile is padded
 * with zeros. So a row's bits depend on nothing but the row and the weights.
 *
 * Weights are packed once for each version of a parameter, for both directions. A
 * weight's gradient is the sum of chunks of 512 tokens in their order, the last chunk
 * padded to a multiple of 32: dy goes through columns as rows, x is packed.
 *
 * bf16 rounds both operands, sums in f32. Where oneDNN cannot (no AVX-512), values are
 * rounded and multiplied in f32. The ref kernels, and what oneDNN refuses, use plain C.
 *
 * GELU after a map is taken of each tile while it is in cache, and so is its derivative
 * before the product that goes back.
 */
#include <stdlib.h>

#include "gemm.h"
#include "ops_shared.h"

#define TILE 64     /* rows of a large tile, */
#define SMALL 16    /* of a small one, */
#define LAST 128    /* and what at least is left to small ones */
#define TILE_O 96   /* rows of a weight gradient's tile */
#define CHUNK 512   /* tokens of a weight gradient's chunk */
#define CHUNK_TO 32 /* the last one is a multiple of */

/* ---- packed weights ---- */

enum side { SIDE_NT, SIDE_NN, SIDES }; /* for x w' and for dy w */

struct packed {
    uint64_t version;
    enum dtype dtype;
    int64_t o, i, bytes;
    void *data;
};

struct packs {
    struct packed side[SIDES];
};

void packs_free(void *cache)
{
    struct packs *packs = cache;
    for (int i = 0; packs && i < SIDES; i++)
        free(packs->side[i].data);
    free(packs);
}

/* The parameter's packed copy, made anew if its value changed; NULL fails the tape. */
static const void *pack_param(struct tape *tape, const struct gemm *g, struct param *p,
                              enum side side, enum dtype dtype, int64_t o, int64_t i)
{
    struct packs *packs = p->cache;
    int64_t bytes = (gemm_packed_bytes(g) + 63) / 64 * 64;
    if (!packs)
        packs = p->cache = mem_new(1, sizeof *packs, NULL);
    if (!packs)
        goto fail;
    struct packed *s = &packs->side[side];
    if (s->data && s->version == p->version && s->dtype == dtype && s->o == o &&
        s->i == i)
        return s->data;
    if (s->bytes < bytes) {
        free(s->data);
        s->bytes = 0;
        s->data = aligned_alloc(64, (size_t)bytes);
    }
    if (!s->data || gemm_pack(g, side == SIDE_NT, p->value.data, s->data))
        goto fail;
    *s = (struct packed){p->version, dtype, o, i, s->bytes < bytes ? bytes : s->bytes,
                         s->data};
    return s->data;
fail:
    tape_fail(tape, ERR_MEMORY, "no memory to pack %s", p->name);
    return NULL;
}

void param_repack(struct param *p)
{
    struct packs *packs = p->cache;
    for (int side = 0; packs && side < SIDES; side++) {
        struct packed *s = &packs->side[side];
        if (!s->data || s->version == p->version || s->o != p->value.shape.dim[0] ||
            s->i != p->value.shape.dim[1])
            continue;
        bool nt = side == SIDE_NT;
        struct gemm *g = gemm_find(s->dtype, nt ? s->i : s->o, nt ? s->o : s->i);
        if (g && gemm_pack(g, nt, p->value.data, s->data) == 0)
            s->version = p->version;
        gemm_release(g);
    }
}

static const void *pack(struct tape *tape, const struct gemm *g, const struct tensor *w,
                        const float *data, enum side side, enum dtype dtype)
{
    if (w->param && w->param->value.data == data)
        return pack_param(tape, g, w->param, side, dtype, w->shape.dim[0],
                          w->shape.dim[1]);
    void *packed = tape_alloc(tape, gemm_packed_bytes(g), 1);
    if (packed && gemm_pack(g, side == SIDE_NT, data, packed)) {
        tape_fail(tape, ERR_MEMORY, "no memory to pack weights");
        return NULL;
    }
    return packed;
}

/* ---- rows in tiles: x w' and dy w ---- */

struct rows_job {
    const struct kernels *k;
    int64_t n, in, out; /* rows, columns of a row that comes in and goes out */
    int64_t large;      /* tiles of 64 rows; then come small ones */
    const struct gemm_tile *tile[2]; /* large, small */
    const float *from, *bias;
    const void *w;
    float *to;   /* NULL: only gelu of it is wanted */
    float *gelu; /* where that goes, or NULL */
    float *dy;   /* is multiplied by gelu'(h) before the product, or NULL */
    const float *h;
    bool half, add;
    atomic_int failed;
};

static int64_t cut_rows(struct rows_job *j, bool any)
{
    j->large = any ? (j->n < LAST ? 0 : (j->n - LAST) / TILE) : tasks_of(j->n, TILE);
    return any ? j->large + tasks_of(j->n - j->large * TILE, SMALL) : j->large;
}

/* `rows` of m rows of `from` in the form the product wants: as they are if whole and
 * f32. */
static const void *operand(const struct rows_job *j, const float *from, int64_t rows,
                           int64_t m)
{
    if (rows == m && !j->half)
        return from;
    int64_t size = j->half ? 2 : 4;
    char *x = gemm_scratch(0, m * j->in * size);
    if (!x)
        return NULL;
    if (j->half)
        j->k->packers->to_bf16((uint16_t *)(void *)x, from, rows * j->in);
    else
        memcpy(x, from, (size_t)(rows * j->in * size));
    memset(x + rows * j->in * size, 0, (size_t)((m - rows) * j->in * size));
    return x;
}

static void rows_task(void *ctx, int64_t task)
{
    struct rows_job *j = ctx;
    bool small = task >= j->large;
    int64_t m = small ? SMALL : TILE;
    int64_t r = small ? j->large * TILE + (task - j->large) * SMALL : task * TILE;
    int64_t rows = min64(m, j->n - r);
    float *to = j->to ? j->to + r * j->out : NULL, *y = to;
    if (j->dy)
        j->k->gelu_chain(j->dy + r * j->in, j->h + r * j->in, rows * j->in);
    const void *x = operand(j, j->from + r * j->in, rows, m);
    if (rows < m || !to)
        y = gemm_scratch(1, m * j->out * (int64_t)sizeof *y);
    if (y && y != to && j->add) {
        memset(y + rows * j->out, 0, (size_t)((m - rows) * j->out) * sizeof *y);
        memcpy(y, to, (size_t)(rows * j->out) * sizeof *y);
    }
    if (!x || !y || gemm_run(j->tile[small], x, j->w, j->bias, y)) {
        atomic_store(&j->failed, 1);
        return;
    }
    if (j->gelu)
        j->k->unary(UNARY_GELU, j->gelu + r * j->out, y, rows * j->out);
    if (to && y != to)
        memcpy(to, y, (size_t)(rows * j->out) * sizeof *y);
}

/* What a product is about; w is (o, i). */
struct operands {
    const struct kernels *k;
    const float *x, *dy; /* (n, i), (n, o) */
    const struct tensor *w;
    const float *w_data; /* w's values, or rounded ones */
    const float *bias;
    float *gelu, *chain; /* as in struct rows_job: gelu; dy */
    const float *h;
    int64_t n, i, o;
    enum dtype dtype; /* of the primitives */
};

/* to = x w' + bias, or to (+)= dy w. False: oneDNN refuses the shape. */
static bool rows_product(struct tape *tape, const struct operands *a, enum side side,
                         float *to, bool add)
{
    bool nt = side == SIDE_NT;
    struct rows_job j = {.k = a->k,
                         .n = a->n,
                         .in = nt ? a->i : a->o,
                         .out = nt ? a->o : a->i,
                         .from = nt ? a->x : a->dy,
                         .bias = nt ? a->bias : NULL,
                         .to = to,
                         .gelu = nt ? a->gelu : NULL,
                         .dy = nt ? NULL : a->chain,
                         .h = a->h,
                         .half = a->dtype == DT_BF16,
                         .add = add};
    struct gemm *g = gemm_find(a->dtype, j.in, j.out);
    if (!g)
        return false;
    int64_t tasks = cut_rows(&j, gemm_any_rows(g));
    j.tile[0] = gemm_tile(g, TILE, add, j.bias != NULL);
    j.tile[1] = gemm_tile(g, SMALL, add, j.bias != NULL);
    bool fine = j.tile[0] && j.tile[1];
    struct arena_mark mark = arena_mark(tape_arena(tape));
    if (fine)
        j.w = pack(tape, g, a->w, a->w_data, side, a->dtype);
    if (fine && j.w)
        pool_run(tape_pool(tape), tasks, rows_task, &j);
    arena_rewind(tape_arena(tape), mark);
    gemm_release(g);
    if (j.failed)
        tape_fail(tape, ERR_MEMORY, "no memory for a product of %lld x %lld x %lld",
                  (long long)a->n, (long long)j.in, (long long)j.out);
    return fine;
}

/* ---- a weight's gradient: dw (o, i) += dy' x ---- */

struct weight_job {
    const struct kernels *k;
    int64_t n, i, o;
    int64_t whole, last; /* whole chunks; tokens of the last one, padded, or 0 */
    struct gemm *g[2];   /* for whole chunks and the last one */
    const struct gemm_tile *first[2][2], *more[2][2]; /* [last chunk][last tile] */
    const float *x, *tail, *dy;
    char *packed;
    int64_t packed_bytes; /* of a whole chunk */
    float *dw, *db;
    bool half, add;
    atomic_int failed;
};

static void pack_task(void *ctx, int64_t task)
{
    struct weight_job *j = ctx;
    bool last = task == j->whole;
    const float *x = last ? j->tail : j->x + task * CHUNK * j->i;
    if (gemm_pack(j->g[last], false, x, j->packed + task * j->packed_bytes))
        atomic_store(&j->failed, 1);
}

static void weight_task(void *ctx, int64_t task)
{
    struct weight_job *j = ctx;
    int64_t o = task * TILE_O, m = min64(TILE_O, j->o - o);
    bool cut = m < TILE_O;
    void *turned = gemm_scratch(0, TILE_O * CHUNK * (j->half ? 2 : 4));
    if (!turned)
        atomic_store(&j->failed, 1);
    for (int64_t c = 0; turned && c * CHUNK < j->n; c++) {
        bool last = c == j->whole;
        const struct gemm_tile *t =
            c == 0 && !j->add ? j->first[last][cut] : j->more[last][cut];
        j->k->packers->turn(turned, last ? j->last : CHUNK, j->dy + c * CHUNK * j->o + o,
                            j->o, min64(CHUNK, j->n - c * CHUNK), m,
                            j->db ? j->db + o : NULL, j->half);
        if (gemm_run(t, turned, j->packed + c * j->packed_bytes, NULL, j->dw + o * j->i))
            atomic_store(&j->failed, 1);
    }
}

static bool weight_tiles(struct weight_job *j)
{
    bool fine = true;
    for (int last = 0; last < 2; last++)
        for (int cut = 0; fine && j->g[last] && cut < 2; cut++) {
            int64_t m = cut ? j->o % TILE_O : min64(TILE_O, j->o);
            if (m == 0)
                continue;
            j->first[last][cut] = gemm_tile(j->g[last], m, false, false);
            j->more[last][cut] = gemm_tile(j->g[last], m, true, false);
            fine = j->first[last][cut] && j->more[last][cut];
        }
    return fine;
}

/* The last chunk's rows with zeros below. */
static const float *pad_tail(struct tape *tape, const struct weight_job *j)
{
    int64_t rows = j->n - j->whole * CHUNK;
    float *tail = tape_alloc(tape, j->last * j->i, sizeof *tail);
    if (!tail)
        return NULL;
    memcpy(tail, j->x + j->whole * CHUNK * j->i, (size_t)(rows * j->i) * sizeof *tail);
    memset(tail + rows * j->i, 0, (size_t)((j->last - rows) * j->i) * sizeof *tail);
    return tail;
}

static bool weight_product(struct tape *tape, const struct operands *a, float *dw,
                           bool add, float *db)
{
    struct weight_job j = {.k = a->k,
                           .n = a->n,
                           .i = a->i,
                           .o = a->o,
                           .whole = a->n / CHUNK,
                           .last = tasks_of(a->n % CHUNK, CHUNK_TO) * CHUNK_TO,
                           .x = a->x,
                           .dy = a->dy,
                           .dw = dw,
                           .db = db,
                           .half = a->dtype == DT_BF16,
                           .add = add};
    struct arena_mark mark = arena_mark(tape_arena(tape));
    int64_t chunks = j.whole + (j.last > 0);
    j.g[0] = j.whole ? gemm_find(a->dtype, CHUNK, a->i) : NULL;
    j.g[1] = j.last ? gemm_find(a->dtype, j.last, a->i) : NULL;
    bool fine = (j.g[0] || !j.whole) && (j.g[1] || !j.last) && weight_tiles(&j);
    if (fine) {
        j.packed_bytes = gemm_packed_bytes(j.g[j.whole == 0]);
        j.packed_bytes = (j.packed_bytes + 63) / 64 * 64;
        j.packed = tape_alloc(tape, chunks, (size_t)j.packed_bytes);
        j.tail = j.last ? pad_tail(tape, &j) : NULL;
        if (!tape_bad(tape)) {
            pool_run(tape_pool(tape), chunks, pack_task, &j);
            pool_run(tape_pool(tape), tasks_of(j.o, TILE_O), weight_task, &j);
        }
    }
    arena_rewind(tape_arena(tape), mark);
    gemm_release(j.g[0]);
    gemm_release(j.g[1]);
    if (j.failed)
        tape_fail(tape, ERR_MEMORY, "no memory for a product of %lld x %lld x %lld",
                  (long long)a->o, (long long)a->n, (long long)a->i);
    return fine;
}

/* ---- the same by plain C ---- */

static void nt_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    int64_t r = task * TILE;
    j->k->mm_nt(at(j->to, j->k, r * j->o), at(j->x, j->k, r * j->c), j->w, j->b,
                min64(TILE, j->n - r), j->c, j->o);
}

static void nn_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    int64_t r = task * TILE;
    j->k->mm_nn(at(j->to, j->k, r * j->c), at(j->dy, j->k, r * j->o), j->w,
                min64(TILE, j->n - r), j->c, j->o);
}

static void tn_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    int64_t o = task * TILE_O;
    for (int64_t r = 0; r < j->n; r += CHUNK)
        j->k->mm_tn(j->to, at(j->dy, j->k, r * j->o), at(j->x, j->k, r * j->c),
                    min64(CHUNK, j->n - r), j->c, j->o, o, min64(o + TILE_O, j->o));
}

static void colsum_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    int64_t c0 = task * 64;
    j->k->colsum(j->to, j->x, j->w, j->n, j->c, c0, min64(c0 + 64, j->c));
}

void op_colsum(struct tape *tape, const struct kernels *k, void *to, const void *x,
               const void *w, int64_t n, int64_t c)
{
    op_run(tape, to ? tasks_of(c, 64) : 0, colsum_task,
           &(struct job){.k = k, .to = to, .x = x, .w = w, .n = n, .c = c});
}

/* ---- what the operations call ---- */

/* Values rounded to bf16, still in f32. */
static const void *rounded(struct tape *tape, const void *x, int64_t n)
{
    if (tape_compute(tape) != DT_BF16 || !x)
        return x;
    const float *from = x;
    float *y = tape_alloc(tape, n, sizeof *y);
    for (int64_t i = 0; y && i < n; i++)
        y[i] = bf16_to_f32(f32_to_bf16(from[i]));
    return y;
}

static struct operands operands(struct tape *tape, const struct linear *l)
{
    struct operands a = {.k = op_use(tape, OP_LINEAR),
                         .x = l->x,
                         .dy = l->dy,
                         .w = l->w,
                         .w_data = l->w ? l->w->data : NULL,
                         .bias = l->b,
                         .gelu = l->gelu,
                         .n = l->n,
                         .i = l->i,
                         .o = l->o,
                         .dtype = tape_compute(tape)};
    if (a.dtype == DT_BF16 && (!a.k->packers || !gemm_can(DT_BF16))) { /* by f32 */
        a.dtype = DT_F32;
        a.x = rounded(tape, a.x, a.n * a.i);
        a.dy = rounded(tape, a.dy, a.n * a.o);
        a.w_data = rounded(tape, a.w_data, a.o * a.i);
    }
    return a;
}

static struct job plain(const struct operands *a, void *to)
{
    return (struct job){.k = a->k,
                        .n = a->n,
                        .c = a->i,
                        .o = a->o,
                        .x = a->x,
                        .dy = a->dy,
                        .w = a->w_data,
                        .b = a->bias,
                        .to = to};
}

static void gelu_task(void *ctx, int64_t task)
{
    struct job *j = ctx;
    int64_t e = task * 4096, n = min64(4096, j->n - e);
    if (j->dy)
        j->k->gelu_chain(at(j->dy, j->k, e), at(j->x, j->k, e), n);
    else
        j->k->unary(UNARY_GELU, at(j->to, j->k, e), at(j->x, j->k, e), n);
}

/* to = gelu(h); dy: dy *= gelu'(h) instead */
static void gelu_all(struct tape *tape, const struct kernels *k, void *to, const void *dy,
                     const void *h, int64_t n)
{
    op_run(tape, tasks_of(n, 4096), gelu_task,
           &(struct job){.k = k, .n = n, .x = h, .dy = dy, .to = to});
}

void linear_forward(struct tape *tape, const struct linear *l, void *y)
{
    struct arena_mark mark = arena_mark(tape_arena(tape));
    const struct kernels *k = kernels_for(tape_real(tape));
    int64_t size = l->n * l->o;
    if (tape_bad(tape))
        return;
    if (size && l->i) {
        struct operands a = operands(tape, l);
        if (a.k->packers && rows_product(tape, &a, SIDE_NT, y, false)) {
            arena_rewind(tape_arena(tape), mark);
            return;
        }
        y = y ? y : tape_alloc(tape, size, (size_t)dtype_bytes(k->dtype));
        struct job j = plain(&a, y);
        op_run(tape, y ? tasks_of(a.n, TILE) : 0, nt_task, &j);
    } else {
        y = y ? y : tape_alloc(tape, size, (size_t)dtype_bytes(k->dtype));
        for (int64_t r = 0; y && r < size; r++)
            memcpy(at(y, k, r), l->b ? at(l->b, k, r % l->o) : &(double){0},
                   (size_t)dtype_bytes(k->dtype));
    }
    if (l->gelu)
        gelu_all(tape, k, l->gelu, NULL, y, size);
    arena_rewind(tape_arena(tape), mark);
}

void linear_dx(struct tape *tape, const struct linear *l, void *dx, bool fresh)
{
    struct arena_mark mark = arena_mark(tape_arena(tape));
    const struct kernels *k = kernels_for(tape_real(tape));
    if (tape_bad(tape))
        return;
    size_t bytes = (size_t)(l->n * l->i * dtype_bytes(k->dtype));
    bool empty = l->n == 0 || l->i == 0 || l->o == 0;
    bool fused = l->h && dx && !empty && k->packers && gemm_can(tape_compute(tape));
    if (l->h && !fused)
        gelu_all(tape, k, NULL, l->dy, l->h, l->n * l->o);
    if (dx && empty && fresh && bytes)
        memset(dx, 0, bytes);
    if (!dx || empty)
        return;
    struct operands a = operands(tape, l);
    if (fused) {
        a.chain = at(l->dy, k, 0);
        a.h = l->h;
    }
    if (!a.k->packers || !rows_product(tape, &a, SIDE_NN, dx, !fresh)) {
        struct job j = plain(&a, dx);
        if (fused)
            gelu_all(tape, k, NULL, l->dy, l->h, l->n * l->o);
        if (fresh)
            memset(dx, 0, bytes);
        op_run(tape, tasks_of(a.n, TILE), nn_task, &j);
    }
    arena_rewind(tape_arena(tape), mark);
}

void linear_dw(struct tape *tape, const struct linear *l, void *dw, bool fresh, void *db)
{
    struct arena_mark mark = arena_mark(tape_arena(tape));
    const struct kernels *k = kernels_for(tape_real(tape));
    if (tape_bad(tape))
        return;
    size_t bytes = (size_t)(l->o * l->i * dtype_bytes(k->dtype));
    if (dw && fresh && (l->n == 0 || l->i == 0 || l->o == 0) && bytes)
        memset(dw, 0, bytes);
    if (!dw || l->n == 0 || l->i == 0 || l->o == 0) {
        op_colsum(tape, k, db, l->dy, NULL, l->n, l->o);
        return;
    }
    struct operands a = operands(tape, l);
    bool rounded_dy = a.dy != l->dy; /* the bias wants all its bits */
    if (!a.k->packers || !weight_product(tape, &a, dw, !fresh, rounded_dy ? NULL : db)) {
        struct job j = plain(&a, dw);
        if (fresh)
            memset(dw, 0, bytes);
        op_run(tape, tasks_of(a.o, TILE_O), tn_task, &j);
        rounded_dy = true;
    }
    if (rounded_dy)
        op_colsum(tape, k, db, l->dy, NULL, l->n, l->o);
    arena_rewind(tape_arena(tape), mark);
}

static struct tensor *map(struct tape *tape, int op, struct tensor *x, struct tensor *w,
                          struct tensor *b)
{
    if (tape_bad(tape) || !x || !w)
        return NULL;
    if (x->shape.rank != 2 || w->shape.rank != 2 || x->shape.dim[1] != w->shape.dim[1])
        return op_bad_shapes(tape, op_table[op].name, x, w, "wants (N, I) and (O, I)");
    struct linear l = {.x = x->data,
                       .w = w,
                       .b = b ? b->data : NULL,
                       .n = x->shape.dim[0],
                       .i = x->shape.dim[1],
                       .o = w->shape.dim[0]};
    if (b && shape_count(b->shape) != l.o)
        return op_bad_shapes(tape, op_table[op].name, w, b,
                             "the bias has one value a row");
    struct shape shape = SHAPE(l.n, l.o);
    bool bend = op == OP_LINEAR_GELU, keep = bend && tape_records(tape);
    struct tensor *y = tape_tensor(tape, tape_real(tape), shape);
    struct tensor *h = keep ? tape_tensor(tape, tape_real(tape), shape) : NULL;
    if (!y || (keep && !h))
        return NULL;
    l.gelu = bend ? y->data : NULL;
    linear_forward(tape, &l, !bend ? y->data : keep ? h->data : NULL);
    return tape_record(tape, &op_table[op], y, h ? h->data : NULL, x, w, b, NULL);
}

struct tensor *linear(struct tape *tape, struct tensor *x, struct tensor *w,
                      struct tensor *b)
{
    return map(tape, OP_LINEAR, x, w, b);
}

struct tensor *linear_gelu(struct tape *tape, struct tensor *x, struct tensor *w,
                           struct tensor *b)
{
    op_use(tape, OP_LINEAR_GELU);
    return map(tape, OP_LINEAR_GELU, x, w, b);
}

/* A gradient that somebody asked to keep is not to be changed. */
static void *own_grad(struct tape *tape, struct node *node)
{
    int64_t bytes = shape_count(node->out->shape) * dtype_bytes(node->out->dtype);
    if (!node->keep)
        return node->grad;
    void *copy = tape_alloc(tape, bytes, 1);
    if (copy)
        memcpy(copy, node->grad, (size_t)bytes);
    return copy;
}

void linear_back(struct tape *tape, struct node *node)
{
    struct tensor *x = node->in[0], *w = node->in[1];
    bool fresh_x, fresh_w;
    void *dx = tape_grad_to(tape, x, &fresh_x), *dw = tape_grad_to(tape, w, &fresh_w);
    void *db = tape_grad_of(tape, node->in[2]);
    struct linear l = {.x = x->data,
                       .dy = node->attr ? own_grad(tape, node) : node->grad,
                       .w = w,
                       .h = node->attr,
                       .n = x->shape.dim[0],
                       .i = x->shape.dim[1],
                       .o = w->shape.dim[0]};
    linear_dx(tape, &l, dx, fresh_x);
    linear_dw(tape, &l, dw, fresh_w, db);
}

/* y = x w' forward, dx = dy w and dw = dy' x backward: as many operations each. */
double linear_flops(const struct node *node, bool back)
{
    const struct tensor *x = node->in[0], *w = node->in[1];
    double one = 2 * (double)shape_count(w->shape) * (double)rows_of(x);
    return back ? one * (x->wants_grad + w->wants_grad) : one;
}
