/*
 * Softmax of a row of logits, as cross-entropy wants it; a row may be a vocabulary long,
 * so sums of lanes go to double every BLOCK values. Included by kernels.level.c.
 */
#define BLOCK 1024

/* x - top, -infinity past the row's end. */
INLINE lanes FN(below)(const float *x, int64_t n, lanes top)
{
    float v[16];
    if (n >= 16)
        return lanes_sub(lanes_load(x), top);
    for (int i = 0; i < 16; i++)
        v[i] = i < n ? x[i] : -INFINITY;
    return lanes_sub(lanes_load(v), top);
}

static void FN(exp_sum)(const void *x, int64_t n, double *top, double *sum)
{
    const float *v = x;
    lanes most = lanes_all(-INFINITY);
    for (int64_t i = 0; i < n; i += 16)
        most = lanes_max(FN(below)(v + i, n - i, lanes_zero()), most);
    *top = (double)lanes_top(most);
    *sum = 0;
    most = lanes_all((float)*top);
    for (int64_t b = 0; b < n; b += BLOCK) {
        int64_t end = n - b < BLOCK ? n : b + BLOCK;
        lanes part = lanes_zero();
        for (int64_t i = b; i < end; i += 16)
            part = lanes_add(part, FN(lanes_exp)(FN(below)(v + i, n - i, most)));
        *sum += (double)lanes_sum(part);
    }
}

static void FN(exp_scaled)(void *dx, const void *x, int64_t n, double top, double factor,
                           bool fresh)
{
    const float *v = x;
    float *to = dx;
    lanes most = lanes_all((float)top), f = lanes_all((float)factor);
    for (int64_t i = 0; i < n; i += 16) {
        lanes e = lanes_mul(FN(lanes_exp)(FN(below)(v + i, n - i, most)), f);
        FN(give)(to + i, e, FN(width)(n - i), fresh);
    }
}
