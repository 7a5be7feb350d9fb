/* Softmax of a row of logits, as cross-entropy wants it: the definition. */

static void FN(exp_sum)(const void *x, int64_t n, double *top, double *sum)
{
    *top = -(double)INFINITY;
    for (int64_t i = 0; i < n; i++)
        *top = fmax(*top, (double)((const REAL *)x)[i]);
    *sum = 0;
    for (int64_t i = 0; i < n; i++)
        *sum += exp((double)((const REAL *)x)[i] - *top);
}

static void FN(exp_scaled)(void *dx, const void *x, int64_t n, double top, double factor,
                           bool fresh)
{
    for (int64_t i = 0; i < n; i++) {
        REAL d = (REAL)(factor * exp((double)((const REAL *)x)[i] - top));
        ((REAL *)dx)[i] = fresh ? d : ((REAL *)dx)[i] + d;
    }
}
