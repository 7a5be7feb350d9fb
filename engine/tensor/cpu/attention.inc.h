/*
 * Attention of one sequence and head, by register tiles. Included by kernels.level.c,
 * once for each level. Blocks of queries; per block, with s = q k', e = exp((s - max) /
 * sqrt(D)), Z = sum_j e:
 *
 *     forward    c_i = (gate f / Z_i) sum_j keep_ij e_ij v_j,    f = 1 / (1 - dropout)
 *     backward   P = e / Z,  t_ij = keep_ij P_ij (dout_i . v_j),  r_i = sum_j t_ij,
 *                ds = t - P r
 *                dq = gate f / sqrt(D) ds k,  dk = gate f / sqrt(D) ds' q,
 *                dv = gate f (keep P)' dout
 *                dgate = f sum_i r_i
 *
 * The backward pass computes s again: probabilities are never stored, only max and Z of a
 * row and the bits of dropout. Operands that are read as vectors are copied into the
 * scratch, zero-padded to whole vectors. An element of a product sums over its index in
 * order, in one lane, so neither tiles nor blocks show in its bits, nor do other queries
 * and sequences.
 */
#define QUERIES 32 /* of a block */
#define UP16(n) (((n) + 15) / 16 * 16)

/* MR x NV vectors of c = a b (+ c if add): a[r * ar + k * ak], b[k * ldb + ...], k = 0 ..
 * n-1. */
INLINE void FN(tile)(int mr, int nv, float *c, int64_t ldc, const float *a, int64_t ar,
                     int64_t ak, const float *b, int64_t ldb, int64_t n, bool add)
{
    lanes sum[TILE_ROWS][TILE_VECS];
    for (int r = 0; r < mr; r++)
        for (int v = 0; v < nv; v++)
            sum[r][v] = add ? lanes_load(c + r * ldc + 16 * v) : lanes_zero();
    for (int64_t k = 0; k < n; k++) {
        lanes right[TILE_VECS];
        for (int v = 0; v < nv; v++)
            right[v] = lanes_load(b + k * ldb + 16 * v);
        for (int r = 0; r < mr; r++) {
            lanes left = lanes_all(a[r * ar + k * ak]);
            for (int v = 0; v < nv; v++)
                sum[r][v] = lanes_fma(left, right[v], sum[r][v]);
        }
    }
    for (int r = 0; r < mr; r++)
        for (int v = 0; v < nv; v++)
            lanes_store(c + r * ldc + 16 * v, sum[r][v]);
}

/* A matrix read by single elements: element (r, k) at p[r * row + k * col]. */
struct FN(left) {
    const float *p;
    int64_t row, col;
};

/* c (m, 16 vecs) = a b, or += . */
static void FN(tiles)(float *restrict c, int64_t ldc, int64_t m, int64_t cols,
                      struct FN(left) a, const float *restrict b, int64_t ldb, int64_t n,
                      bool add)
{
#define TILE(MR, NV)                                                                     \
    case MR:                                                                             \
        if (MR <= TILE_ROWS && NV <= TILE_VECS)                                          \
            FN(tile)                                                                     \
        (MR <= TILE_ROWS ? MR : 1, NV <= TILE_VECS ? NV : 1, to, ldc, left, a.row,       \
         a.col, b + j, ldb, n, add);                                                     \
        break;
    for (int64_t j = 0, step; j < cols; j += step) {
        step = cols - j >= 16 * TILE_VECS ? 16 * TILE_VECS : 16;
        for (int64_t i = 0; i < m; i += TILE_ROWS) {
            float *to = c + i * ldc + j;
            const float *left = a.p + i * a.row;
            int rows = (int)(m - i < TILE_ROWS ? m - i : TILE_ROWS);
            if (step == 16)
                switch (rows) {
                    TILE(1, 1)
                    TILE(2, 1)
                    TILE(3, 1)
                    TILE(4, 1)
                    TILE(5, 1)
                    TILE(6, 1)
                    TILE(7, 1)
                    TILE(8, 1)
                }
            else
                switch (rows) {
                    TILE(1, 2)
                    TILE(2, 2)
                    TILE(3, 2)
                    TILE(4, 2)
                    TILE(5, 2)
                    TILE(6, 2)
                    TILE(7, 2)
                    TILE(8, 2)
                }
        }
    }
#undef TILE
}

/* (t, d) of stride ld into (t, UP16(d)). Rows come from afar: no calls, so that many are
 * on their way at once. */
static void FN(pack)(float *restrict to, const float *restrict from, int64_t t, int64_t d,
                     int64_t ld)
{
    int64_t wide = UP16(d);
    for (int64_t i = 0; i < t; i++)
        for (int64_t c = 0; c < d; c += 16)
            lanes_store(to + i * wide + c,
                        d - c >= 16 ? lanes_load(from + i * ld + c)
                                    : lanes_load_part(from + i * ld + c, d - c));
}

/* (t, d) of stride ld into (d, UP16(t)), by squares of 16. */
static void FN(pack_across)(float *restrict to, const float *restrict from, int64_t t,
                            int64_t d, int64_t ld)
{
    int64_t wide = UP16(t);
    for (int64_t j = 0; j < t; j += 16)
        for (int64_t c = 0; c < d; c += 16) {
            int64_t n = d - c < 16 ? d - c : 16;
            lanes m[16];
            for (int64_t i = 0; i < 16; i++)
                m[i] = j + i >= t ? lanes_zero()
                       : n == 16  ? lanes_load(from + (j + i) * ld + c)
                                  : lanes_load_part(from + (j + i) * ld + c, n);
            lanes_transpose(m);
            for (int64_t i = 0; i < n; i++)
                lanes_store(to + (c + i) * wide + j, m[i]);
        }
}

/* to (rows, d) of stride ld = or += factor * from (rows, wide). */
static void FN(unpack)(float *restrict to, int64_t ld, const float *restrict from,
                       int64_t rows, int64_t d, float factor, bool fresh)
{
    int64_t wide = UP16(d);
    lanes f = lanes_all(factor);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < d; c += 16) {
            int64_t n = d - c < 16 ? d - c : 16;
            lanes v = lanes_mul(lanes_load(from + i * wide + c), f);
            float *at = to + i * ld + c;
            if (!fresh)
                v = lanes_add(n == 16 ? lanes_load(at) : lanes_load_part(at, n), v);
            if (n == 16)
                lanes_store(at, v);
            else
                lanes_store_part(at, v, n);
        }
}

/* Where in the scratch things are. Counts are whole vectors, so all stay aligned. */
struct FN(room) {
    float *kt, *v;              /* forward: (d, T), (T, d) */
    float *s, *c, *bias, *inv;  /* (QUERIES, T), (QUERIES, d), (T), (QUERIES) */
    float *vt, *k, *q, *dout;   /* backward: (d, T), (T, d), (queries, d) twice */
    float *dp, *kept, *dk, *dv; /* (QUERIES, T) twice, (T, d) twice */
    int64_t wide, deep;         /* UP16 of t and d */
    int64_t count;              /* floats in all */
};

static float *FN(take)(float *base, int64_t *at, int64_t n)
{
    float *p = base ? base + *at : NULL;
    *at += n;
    return p;
}

static struct FN(room)
    FN(furnish)(float *base, int64_t queries, int64_t t, int64_t d, bool back)
{
    struct FN(room) m = {.wide = UP16(t), .deep = UP16(d)};
    int64_t n = 0, block = queries < QUERIES ? queries : QUERIES;
    m.bias = FN(take)(base, &n, m.wide);
    m.inv = FN(take)(base, &n, QUERIES);
    m.kt = FN(take)(base, &n, d * m.wide);
    m.s = FN(take)(base, &n, block * m.wide);
    m.c = FN(take)(base, &n, block * m.deep);
    m.v = back ? NULL : FN(take)(base, &n, t * m.deep);
    if (back) {
        m.vt = FN(take)(base, &n, d * m.wide);
        m.k = FN(take)(base, &n, t * m.deep);
        m.q = FN(take)(base, &n, queries * m.deep);
        m.dout = FN(take)(base, &n, queries * m.deep);
        m.dp = FN(take)(base, &n, block * m.wide);
        m.kept = FN(take)(base, &n, block * m.wide);
        m.dk = FN(take)(base, &n, t * m.deep);
        m.dv = FN(take)(base, &n, t * m.deep);
    }
    m.count = n;
    return m;
}

static int64_t FN(attn_scratch)(int64_t queries, int64_t t, int64_t d, bool back)
{
    return FN(furnish)(NULL, queries, t, d, back).count;
}

/* What is added to the scores of a row: 0, or -infinity for masked keys and the padding.
 */
static void FN(bias)(float *to, const struct attn_task *a, int64_t wide)
{
    for (int64_t j = 0; j < wide; j++)
        to[j] = j < a->t && (!a->key_mask || a->key_mask[j]) ? 0 : -INFINITY;
}

/* How far a block of queries that ends before `end` sees, in whole vectors; what lies
 * beyond is not computed. */
static int64_t FN(reach)(const struct attn_task *a, int64_t end)
{
    int64_t lo, hi;
    attn_sees(a, end - 1, &lo, &hi);
    return UP16(hi);
}

/* Scores of keys that query i does not see, up to `wide`. */
static void FN(hide)(float *s, const struct attn_task *a, int64_t i, int64_t wide)
{
    int64_t lo, hi;
    attn_sees(a, i, &lo, &hi);
    for (int64_t j = 0; j < lo; j++)
        s[j] = -INFINITY;
    for (int64_t j = hi; a->window && j < wide; j++)
        s[j] = -INFINITY;
}

/*
 * Row of scores -> e, its dropped elements 0 (bits NULL: none dropped); probabilities
 * into `prob` if not NULL. stat: max, and 1 / Z (0 where all keys are masked).
 */
static void FN(attn_row)(float *s, const float *bias, int64_t wide, float scale,
                         const uint16_t *bits, float *stat)
{
    lanes top = lanes_all(-INFINITY), sum = lanes_zero();
    for (int64_t j = 0; j < wide; j += 16)
        top = lanes_max(lanes_add(lanes_load(s + j), lanes_load(bias + j)), top);
    float max = lanes_top(top);
    max = max > -INFINITY ? max : 0;
    for (int64_t j = 0; j < wide; j += 16) {
        lanes x = lanes_add(lanes_load(s + j), lanes_load(bias + j));
        lanes e =
            FN(lanes_exp)(lanes_mul(lanes_sub(x, lanes_all(max)), lanes_all(scale)));
        sum = lanes_add(sum, e);
        lanes_store(s + j, bits ? lanes_keep(e, bits[j / 16]) : e);
    }
    float z = lanes_sum(sum);
    stat[0] = max;
    stat[1] = z > 0 ? 1 / z : z; /* NaN stays */
}

/* Probabilities of one row for who asks; then the dropped ones go. */
static void FN(attn_prob)(float *s, float *prob, const uint16_t *bits, int64_t t,
                          int64_t wide, float inv)
{
    for (int64_t j = 0; j < t; j++)
        prob[j] = j < wide ? s[j] * inv : 0;
    for (int64_t j = 0; bits && j < wide; j += 16)
        lanes_store(s + j, lanes_keep(lanes_load(s + j), bits[j / 16]));
}

static void FN(attn)(const struct attn_task *a, void *scratch)
{
    struct FN(room) m = FN(furnish)(scratch, a->queries, a->t, a->d, false);
    float scale = (float)(1 / sqrt((double)a->d)), stat[2];
    float factor = (float)(1 / (1 - a->dropout));
    u128 state = a->rng.state;
    FN(bias)(m.bias, a, m.wide);
    FN(pack_across)(m.kt, a->k, a->t, a->d, a->ld);
    FN(pack)(m.v, a->v, a->t, a->d, a->ld);
    for (int64_t i = 0; i < a->queries; i += QUERIES) {
        int64_t rows = a->queries - i < QUERIES ? a->queries - i : QUERIES;
        int64_t reach = FN(reach)(a, i + rows);
        uint16_t *bits = a->bits ? a->bits + i * m.wide / 16 : NULL;
        const float *q = (const float *)a->q + i * a->ld;
        for (int64_t r = 0; bits && r < rows; r++) {
            FN(draw)
            (bits + r * m.wide / 16, a->skips, state, a->t, drop_limit(a->dropout));
            state = state * a->jump_mul + a->jump_add;
        }
        FN(tiles)
        (m.s, m.wide, rows, reach, (struct FN(left)){q, a->ld, 1}, m.kt, m.wide, a->d,
         false);
        for (int64_t r = 0; r < rows; r++) {
            float *row = m.s + r * m.wide,
                  *to = a->stats ? (float *)a->stats + 2 * (i + r) : stat;
            const uint16_t *keep = bits ? bits + r * m.wide / 16 : NULL;
            FN(hide)(row, a, i + r, reach);
            FN(attn_row)(row, m.bias, reach, scale, a->prob ? NULL : keep, to);
            if (a->prob)
                FN(attn_prob)
            (row, (float *)a->prob + (i + r) * a->t, keep, a->t, reach, to[1]);
            m.inv[r] = to[1] * factor;
        }
        FN(tiles)
        (m.c, m.deep, rows, m.deep, (struct FN(left)){m.s, m.wide, 1}, m.v, m.deep,
         reach < a->t ? reach : a->t, false);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < a->d; c++)
                ((float *)a->out)[(i + r) * a->ld + c] =
                    m.c[r * m.deep + c] * m.inv[r] * (float)a->gate;
    }
}

/* One row of the backward pass: scores and dP in `s` and `dp` become P and ds; kept P
 * into `kept` if not NULL. Returns r. */
static float FN(attn_row_back)(float *s, float *dp, float *kept, const float *bias,
                               int64_t wide, float scale, const uint16_t *bits,
                               const float *stat)
{
    lanes sum = lanes_zero(), max = lanes_all(stat[0]), inv = lanes_all(stat[1]);
    for (int64_t j = 0; j < wide; j += 16) {
        lanes x = lanes_sub(lanes_add(lanes_load(s + j), lanes_load(bias + j)), max);
        lanes p = lanes_mul(FN(lanes_exp)(lanes_mul(x, lanes_all(scale))), inv);
        lanes keep = bits ? lanes_keep(p, bits[j / 16]) : p;
        lanes t = lanes_mul(keep, lanes_load(dp + j));
        lanes_store(s + j, p);
        if (kept)
            lanes_store(kept + j, keep);
        lanes_store(dp + j, t);
        sum = lanes_add(sum, t);
    }
    float r = lanes_sum(sum);
    for (int64_t j = 0; j < wide; j += 16)
        lanes_store(dp + j,
                    lanes_fma(lanes_load(s + j), lanes_all(-r), lanes_load(dp + j)));
    return r;
}

static void FN(attn_back)(const struct attn_task *a, void *scratch)
{
    struct FN(room) m = FN(furnish)(scratch, a->queries, a->t, a->d, true);
    float scale = (float)(1 / sqrt((double)a->d)), factor = (float)(1 / (1 - a->dropout));
    float gated = (float)a->gate * factor;
    double dgate = 0;
    FN(bias)(m.bias, a, m.wide);
    FN(pack)(m.k, a->k, a->t, a->d, a->ld);
    FN(pack_across)(m.kt, m.k, a->t, a->d, m.deep);
    FN(pack_across)(m.vt, a->v, a->t, a->d, a->ld);
    FN(pack)(m.q, a->q, a->queries, a->d, a->ld);
    FN(pack)(m.dout, a->dout, a->queries, a->d, a->ld);
    if (a->window) { /* blocks reach ever farther */
        memset(m.dk, 0, (size_t)(a->t * m.deep) * sizeof *m.dk);
        memset(m.dv, 0, (size_t)(a->t * m.deep) * sizeof *m.dv);
    }
    for (int64_t i = 0; i < a->queries; i += QUERIES) {
        int64_t rows = a->queries - i < QUERIES ? a->queries - i : QUERIES, w = m.wide;
        int64_t reach = FN(reach)(a, i + rows), seen = reach < a->t ? reach : a->t;
        bool more = i > 0 || a->window;
        const float *q = m.q + i * m.deep, *dout = m.dout + i * m.deep;
        const uint16_t *bits = a->bits ? a->bits + i * w / 16 : NULL;
        float *kept = bits ? m.kept : m.s;
        FN(tiles)
        (m.s, w, rows, reach, (struct FN(left)){q, m.deep, 1}, m.kt, w, a->d, false);
        FN(tiles)
        (m.dp, w, rows, reach, (struct FN(left)){dout, m.deep, 1}, m.vt, w, a->d, false);
        for (int64_t r = 0; r < rows; r++) {
            FN(hide)(m.s + r * w, a, i + r, reach);
            dgate += (double)FN(attn_row_back)(m.s + r * w, m.dp + r * w,
                                               bits ? kept + r * w : NULL, m.bias, reach,
                                               scale, bits ? bits + r * w / 16 : NULL,
                                               (const float *)a->stats + 2 * (i + r));
        }
        FN(tiles)
        (m.dv, m.deep, seen, m.deep, (struct FN(left)){kept, 1, w}, dout, m.deep, rows,
         more);
        FN(tiles)
        (m.dk, m.deep, seen, m.deep, (struct FN(left)){m.dp, 1, w}, q, m.deep, rows,
         more);
        FN(tiles)
        (m.c, m.deep, rows, m.deep, (struct FN(left)){m.dp, w, 1}, m.k, m.deep, seen,
         false);
        if (a->dq)
            FN(unpack)
        ((float *)a->dq + i * a->ld, a->ld, m.c, rows, a->d, gated * scale, a->fresh_q);
    }
    if (a->dk && a->queries)
        FN(unpack)(a->dk, a->ld, m.dk, a->t, a->d, gated * scale, a->fresh_k);
    if (a->dv && a->queries)
        FN(unpack)(a->dv, a->ld, m.dv, a->t, a->d, gated, a->fresh_v);
    if (a->dgate)
        *(float *)a->dgate = (float)(dgate * (double)factor);
}
