/*
 * Attention of one sequence and head: the definition, a query at a time. With P =
 * softmax(q k' / sqrt(D)), Q = dropout(P), c = Q v, g = gate * dout:
 *
 *     dv = Q' g,  dP = dropout(g v'),  dS = P (dP - sum_j P dP),  dq = dS k / sqrt(D),
 *     dk = dS' q / sqrt(D),  dgate = sum c . dout
 */

static ACC FN(attn_dot)(const REAL *a, const REAL *b, int64_t n)
{
    ACC s = 0;
    for (int64_t i = 0; i < n; i++)
        s += (ACC)a[i] * (ACC)b[i];
    return s;
}

/* Probabilities of query i; -infinity for masked keys. All masked: zeros. */
static void FN(attn_probs)(ACC *p, const struct attn_task *a, int64_t i)
{
    const REAL *q = (const REAL *)a->q + i * a->ld, *k = a->k;
    ACC max = -(ACC)INFINITY, sum = 0;
    int64_t lo, hi;
    attn_sees(a, i, &lo, &hi);
    for (int64_t j = 0; j < a->t; j++) {
        p[j] = FN(attn_dot)(q, k + j * a->ld, a->d) / sqrt((ACC)a->d);
        if (j < lo || j >= hi || (a->key_mask && !a->key_mask[j]))
            p[j] = -(ACC)INFINITY;
        max = p[j] > max ? p[j] : max;
    }
    for (int64_t j = 0; j < a->t; j++)
        sum += p[j] = p[j] > -(ACC)INFINITY ? exp(p[j] - max) : 0;
    for (int64_t j = 0; j < a->t; j++)
        p[j] /= sum > 0 ? sum : 1;
}

/* What dropout multiplies P[i, j] by. */
static void FN(attn_factors)(ACC *f, const struct attn_task *a, struct rng rng)
{
    uint64_t x = 0;
    for (int64_t j = 0; j < a->t; j++) {
        if (a->bits)
            x = j & 1 ? x >> 32 : rng_next(&rng);
        f[j] = !a->bits                               ? 1
               : (uint32_t)x > drop_limit(a->dropout) ? 1 / (1 - a->dropout)
                                                      : 0;
    }
}

static int64_t FN(attn_scratch)(int64_t queries, int64_t t, int64_t d, bool back)
{
    (void)queries;
    (void)back;
    return (int64_t)(sizeof(ACC) / sizeof(REAL)) * (3 * t + d);
}

static void FN(attn)(const struct attn_task *a, void *scratch)
{
    ACC *p = scratch, *f = p + a->t;
    struct rng rng = a->rng;
    for (int64_t i = 0; i < a->queries; i++) {
        REAL *out = (REAL *)a->out + i * a->ld;
        FN(attn_probs)(p, a, i);
        FN(attn_factors)(f, a, rng);
        for (int64_t c = 0; c < a->d; c++) {
            ACC s = 0;
            for (int64_t j = 0; j < a->t; j++)
                s += f[j] * p[j] * (ACC)((const REAL *)a->v)[j * a->ld + c];
            out[c] = (REAL)s * (REAL)a->gate;
        }
        for (int64_t j = 0; a->prob && j < a->t; j++)
            ((REAL *)a->prob)[i * a->t + j] = (REAL)p[j];
        rng.state = rng.state * a->jump_mul + a->jump_add;
    }
}

static void FN(attn_clear)(REAL *to, const struct attn_task *a, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++)
        memset(to + i * a->ld, 0, (size_t)a->d * sizeof *to);
}

static void FN(attn_back)(const struct attn_task *a, void *scratch)
{
    ACC *p = scratch, *f = p + a->t, *ds = f + a->t, *dq = ds + a->t, dgate = 0;
    int64_t t = a->t, d = a->d, ld = a->ld;
    const REAL *q = a->q, *k = a->k, *v = a->v, *dout = a->dout;
    REAL *to_q = a->dq, *to_k = a->dk, *to_v = a->dv;
    ACC scale = 1 / sqrt((ACC)d), g = (ACC)a->gate;
    struct rng rng = a->rng;
    if (to_q && a->fresh_q)
        FN(attn_clear)(to_q, a, a->queries);
    if (to_k && a->fresh_k)
        FN(attn_clear)(to_k, a, t);
    if (to_v && a->fresh_v)
        FN(attn_clear)(to_v, a, t);
    for (int64_t i = 0; i < a->queries; i++, q += ld, dout += ld) {
        ACC sum = 0;
        FN(attn_probs)(p, a, i);
        FN(attn_factors)(f, a, rng);
        for (int64_t j = 0; j < t; j++) {
            ACC c = f[j] * FN(attn_dot)(dout, v + j * ld, d);
            dgate += p[j] * c;
            ds[j] = g * c;
            sum += p[j] * ds[j];
        }
        memset(dq, 0, (size_t)d * sizeof *dq);
        for (int64_t j = 0; j < t; j++) {
            ds[j] = p[j] * (ds[j] - sum) * scale;
            for (int64_t c = 0; c < d; c++)
                dq[c] += ds[j] * (ACC)k[j * ld + c];
            for (int64_t c = 0; to_k && c < d; c++)
                to_k[j * ld + c] += (REAL)(ds[j] * (ACC)q[c]);
            for (int64_t c = 0; to_v && c < d; c++)
                to_v[j * ld + c] += (REAL)(f[j] * p[j] * g * (ACC)dout[c]);
        }
        for (int64_t c = 0; to_q && c < d; c++)
            to_q[i * ld + c] += (REAL)dq[c];
        rng.state = rng.state * a->jump_mul + a->jump_add;
    }
    if (a->dgate)
        *(REAL *)a->dgate = (REAL)dgate;
}
