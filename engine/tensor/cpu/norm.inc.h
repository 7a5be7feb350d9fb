/*
 * Layer normalisation of rows, alone or of x + dropout(a): each row is read from memory
 * once. Included by kernels.level.c.
 */

/* n of 16 values; in the loops below n is 16 but for a row's end. */
INLINE lanes FN(some)(const float *p, int64_t n)
{
    return n == 16 ? lanes_load(p) : lanes_load_part(p, n);
}

INLINE void FN(some_to)(float *p, lanes v, int64_t n)
{
    if (n == 16)
        lanes_store(p, v);
    else
        lanes_store_part(p, v, n);
}

INLINE int64_t FN(width)(int64_t left)
{
    return left < 16 ? left : 16;
}

/* x + dropout(a), into `sum`: their total. */
static float FN(norm_sum)(const struct norm_task *t, int64_t row, float *sum)
{
    const float *x = (const float *)t->x + row * t->c;
    const float *a = t->a ? (const float *)t->a + row * t->c : NULL;
    lanes total = lanes_zero(), f = lanes_all((float)t->factor);
    for (int64_t i = 0, n; i < t->c; i += 16) {
        n = FN(width)(t->c - i);
        lanes v = FN(some)(x + i, n);
        if (a) {
            lanes w = FN(some)(a + i, n);
            if (t->bits)
                w = lanes_keep(lanes_mul(w, f), t->bits[row * t->words + i / 16]);
            v = lanes_add(v, w);
            FN(some_to)(sum + i, v, n);
        }
        total = lanes_add(total, v);
    }
    return lanes_sum(total);
}

static void FN(norm)(const struct norm_task *t)
{
    const float *gamma = t->gamma, *beta = t->beta;
    for (int64_t r = 0; r < t->rows; r++) {
        float *sum = t->a ? (float *)t->sum + r * t->c : NULL,
              *y = (float *)t->y + r * t->c;
        float mean = FN(norm_sum)(t, r, sum) / (float)t->c;
        const float *v = sum ? sum : (const float *)t->x + r * t->c;
        lanes m = lanes_all(mean), square = lanes_zero();
        for (int64_t i = 0, n; i < t->c; i += 16) {
            n = FN(width)(t->c - i);
            lanes d = lanes_sub(FN(some)(v + i, n), m);
            d = n == 16 ? d : lanes_keep(d, (uint16_t)((1u << n) - 1));
            square = lanes_fma(d, d, square);
        }
        t->mean[r] = (double)mean;
        t->rstd[r] = 1 / sqrt((double)(lanes_sum(square) / (float)t->c) + t->eps);
        lanes s = lanes_all((float)t->rstd[r]);
        for (int64_t i = 0, n; i < t->c; i += 16) {
            n = FN(width)(t->c - i);
            lanes h = lanes_mul(lanes_sub(FN(some)(v + i, n), m), s);
            FN(some_to)
            (y + i, lanes_fma(h, FN(some)(gamma + i, n), FN(some)(beta + i, n)), n);
        }
    }
}

/* to = or += v */
INLINE void FN(give)(float *to, lanes v, int64_t n, bool fresh)
{
    FN(some_to)(to, fresh ? v : lanes_add(FN(some)(to, n), v), n);
}

static void FN(norm_row_back)(const struct norm_task *t, int64_t r)
{
    const float *x = (const float *)t->x + r * t->c,
                *dy = (const float *)t->dy + r * t->c;
    const float *gamma = t->gamma;
    float *dgamma = t->dgamma, *dbeta = t->dbeta;
    float *dx = t->dx ? (float *)t->dx + r * t->c : NULL;
    float *da = t->da ? (float *)t->da + r * t->c : NULL;
    lanes m = lanes_all((float)t->mean[r]), s = lanes_all((float)t->rstd[r]);
    lanes a = lanes_zero(), b = lanes_zero(), f = lanes_all((float)t->factor);
    for (int64_t i = 0, n; i < t->c; i += 16) {
        n = FN(width)(t->c - i);
        lanes g = FN(some)(dy + i, n), h = lanes_mul(lanes_sub(FN(some)(x + i, n), m), s);
        lanes w = lanes_mul(g, FN(some)(gamma + i, n));
        a = lanes_add(a, w);
        b = lanes_fma(w, h, b);
        FN(some_to)(dgamma + i, lanes_fma(g, h, FN(some)(dgamma + i, n)), n);
        FN(give)(dbeta + i, g, n, false);
    }
    lanes ma = lanes_all(lanes_sum(a) / (float)t->c),
          mb = lanes_all(lanes_sum(b) / (float)t->c);
    for (int64_t i = 0, n; (dx || da) && i < t->c; i += 16) {
        n = FN(width)(t->c - i);
        lanes h = lanes_mul(lanes_sub(FN(some)(x + i, n), m), s);
        lanes w = lanes_mul(FN(some)(dy + i, n), FN(some)(gamma + i, n));
        lanes d = lanes_mul(s, lanes_sub(lanes_sub(w, ma), lanes_mul(h, mb)));
        if (dx)
            FN(give)(dx + i, d, n, t->fresh_x);
        if (da && t->bits)
            d = lanes_keep(lanes_mul(d, f), t->bits[r * t->words + i / 16]);
        if (da)
            FN(give)(da + i, d, n, t->fresh_a);
    }
}

static void FN(norm_back)(const struct norm_task *t)
{
    memset(t->dgamma, 0, (size_t)t->c * sizeof(float));
    memset(t->dbeta, 0, (size_t)t->c * sizeof(float));
    for (int64_t r = 0; r < t->rows; r++)
        FN(norm_row_back)(t, r);
}
