/*
 * The arithmetic of the ops, written once over REAL (the elements), ACC (what sums are
 * held in), LANES (how many partial sums), EXP, CDF (of the normal distribution), TANH
 * (on ACC) and FMA. FN(x) names a function of this set. ref/ has ACC double, LANES 1 and
 * libm: the definition. cpu/ has ACC float, LANES 16 and functions that vectorise.
 * Included by those files only.
 */
#define IN(p) ((const REAL *)(p))
#define OUT(p) ((REAL *)(p))

static ACC FN(fold)(const ACC *lane)
{
    ACC s = 0;
    for (int l = 0; l < LANES; l++)
        s += lane[l];
    return s;
}

static ACC FN(dot)(const REAL *a, const REAL *b, int64_t n)
{
    ACC lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] = FMA((ACC)a[i + l], (ACC)b[i + l], lane[l]);
    for (int l = 0; i < n; i++, l++)
        lane[l] = FMA((ACC)a[i], (ACC)b[i], lane[l]);
    return FN(fold)(lane);
}

static ACC FN(total)(const REAL *a, int64_t n)
{
    ACC lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += (ACC)a[i + l];
    for (int l = 0; i < n; i++, l++)
        lane[l] += (ACC)a[i];
    return FN(fold)(lane);
}

/* y += a x */
static void FN(step)(REAL *restrict y, const REAL *restrict x, REAL a, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = STEP(a, x[i], y[i]);
}

static void FN(add)(void *y, const void *a, const void *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        OUT(y)[i] = IN(a)[i] + IN(b)[i];
}

static void FN(mul)(void *y, const void *a, const void *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        OUT(y)[i] = IN(a)[i] * IN(b)[i];
}

static void FN(mul_add)(void *y, const void *a, const void *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        OUT(y)[i] += IN(a)[i] * IN(b)[i];
}

static void FN(axpy)(void *y, const void *x, double a, int64_t n)
{
    FN(step)(y, x, (REAL)a, n);
}

static double FN(sum)(const void *x, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        s += (double)IN(x)[i];
    return s;
}

/* The argument of gelu_new's tanh, and its slope. */
static inline ACC FN(gelu_new_arg)(ACC x)
{
    return (ACC)0.79788456080286535588 * (x + (ACC)0.044715 * x * x * x);
}

static inline ACC FN(gelu_new_slope)(ACC x)
{
    ACC t = TANH(FN(gelu_new_arg)(x));
    return (ACC)0.5 * (1 + t) + (ACC)0.5 * x * (1 - t * t) * (ACC)0.79788456080286535588 *
                                    (1 + (ACC)0.134145 * x * x);
}

static inline ACC FN(sigmoid)(ACC x)
{
    return 1 / (1 + EXP(-x));
}

static void FN(unary)(enum unary what, void *y, const void *x, int64_t n)
{
    REAL *restrict to = y;
    const REAL *restrict from = x;
    if (what == UNARY_GELU)
        for (int64_t i = 0; i < n; i++)
            to[i] = (REAL)((ACC)from[i] * CDF((ACC)from[i]));
    else if (what == UNARY_RELU)
        for (int64_t i = 0; i < n; i++)
            to[i] = from[i] < 0 ? 0 : from[i];
    else if (what == UNARY_GELU_NEW)
        for (int64_t i = 0; i < n; i++)
            to[i] = (REAL)((ACC)0.5 * (ACC)from[i] *
                           (1 + TANH(FN(gelu_new_arg)((ACC)from[i]))));
    else if (what == UNARY_SILU)
        for (int64_t i = 0; i < n; i++)
            to[i] = (REAL)((ACC)from[i] * FN(sigmoid)((ACC)from[i]));
    else
        for (int64_t i = 0; i < n; i++)
            to[i] = (REAL)TANH((ACC)from[i]);
}

/* With `fresh` known where it is called: a store that may or may not add would keep the
 * loops from vectorising. */
static inline void FN(unary_slope)(enum unary what, REAL *restrict to,
                                   const REAL *restrict v, const REAL *restrict out,
                                   const REAL *restrict g, int64_t n, const bool fresh)
{
    if (what == UNARY_GELU)
        for (int64_t i = 0; i < n; i++) {
            ACC a = (ACC)v[i];
            ACC pdf = (ACC)0.39894228040143267794 * EXP((ACC)-0.5 * a * a);
            REAL d = (REAL)((ACC)g[i] * (CDF(a) + a * pdf));
            to[i] = fresh ? d : to[i] + d;
        }
    else if (what == UNARY_RELU)
        for (int64_t i = 0; i < n; i++) {
            REAL d = v[i] > 0 ? g[i] : 0;
            to[i] = fresh ? d : to[i] + d;
        }
    else if (what == UNARY_GELU_NEW)
        for (int64_t i = 0; i < n; i++) {
            REAL d = (REAL)((ACC)g[i] * FN(gelu_new_slope)((ACC)v[i]));
            to[i] = fresh ? d : to[i] + d;
        }
    else if (what == UNARY_SILU)
        for (int64_t i = 0; i < n; i++) {
            ACC s = FN(sigmoid)((ACC)v[i]);
            REAL d = (REAL)((ACC)g[i] * s * (1 + (ACC)v[i] * (1 - s)));
            to[i] = fresh ? d : to[i] + d;
        }
    else
        for (int64_t i = 0; i < n; i++) {
            REAL d = (REAL)((ACC)g[i] * (1 - (ACC)out[i] * (ACC)out[i]));
            to[i] = fresh ? d : to[i] + d;
        }
}

static void FN(unary_back)(enum unary what, void *dx, const void *x, const void *y,
                           const void *dy, int64_t n, bool fresh)
{
    if (fresh)
        FN(unary_slope)(what, dx, x, y, dy, n, true);
    else
        FN(unary_slope)(what, dx, x, y, dy, n, false);
}

static void FN(gelu_chain)(void *dy, const void *h, int64_t n)
{
    REAL *g = dy;
    const REAL *restrict v = h;
    for (int64_t i = 0; i < n; i++) {
        ACC a = (ACC)v[i];
        ACC pdf = (ACC)0.39894228040143267794 * EXP((ACC)-0.5 * a * a);
        g[i] = (REAL)((ACC)g[i] * (CDF(a) + a * pdf));
    }
}

static void FN(colsum)(void *dst, const void *x, const void *w, int64_t rows, int64_t c,
                       int64_t c0, int64_t c1)
{
    double s[64] = {0};
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = c0; i < c1; i++)
            s[i - c0] += (double)IN(x)[r * c + i] * (w ? (double)IN(w)[r * c + i] : 1.0);
    for (int64_t i = c0; i < c1; i++)
        OUT(dst)[i] += (REAL)s[i - c0];
}

/* y = exp(x - max) of one row, -infinity giving 0; returns the sum */
static ACC FN(exp_row)(REAL *y, const REAL *x, int64_t n, REAL *top)
{
    REAL max = -(REAL)INFINITY;
    for (int64_t i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    *top = max;
    if (!(max > -(REAL)INFINITY))
        max = 0;
    for (int64_t i = 0; i < n; i++)
        y[i] = (REAL)EXP((ACC)(x[i] - max));
    return FN(total)(y, n);
}

static void FN(softmax)(void *y, const void *x, int64_t rows, int64_t c, bool log_)
{
    for (int64_t r = 0; r < rows; r++) {
        const REAL *v = IN(x) + r * c;
        REAL *to = OUT(y) + r * c, top;
        ACC s = FN(exp_row)(to, v, c, &top);
        ACC inv = 1 / s, lse = (ACC)log((double)s);
        for (int64_t i = 0; i < c; i++)
            to[i] = log_ ? (REAL)((ACC)(v[i] - top) - lse) : (REAL)((ACC)to[i] * inv);
    }
}

static void FN(softmax_back)(void *dx, const void *y, const void *dy, int64_t rows,
                             int64_t c, bool log_)
{
    for (int64_t r = 0; r < rows; r++) {
        const REAL *p = IN(y) + r * c, *g = IN(dy) + r * c;
        REAL *to = OUT(dx) + r * c;
        ACC s = log_ ? FN(total)(g, c) : FN(dot)(p, g, c);
        for (int64_t i = 0; i < c; i++)
            to[i] += log_ ? (REAL)((ACC)g[i] - EXP((ACC)p[i]) * s)
                          : (REAL)((ACC)p[i] * ((ACC)g[i] - s));
    }
}

static void FN(mm_nt)(void *y, const void *x, const void *w, const void *b, int64_t rows,
                      int64_t i, int64_t o)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < o; c++)
            OUT(y)
    [r * o + c] =
        (REAL)(FN(dot)(IN(x) + r * i, IN(w) + c * i, i) + (b ? (ACC)IN(b)[c] : 0));
}

static void FN(mm_nn)(void *dx, const void *dy, const void *w, int64_t rows, int64_t i,
                      int64_t o)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c0 = 0; c0 < i; c0 += 64) {
            int64_t n = i - c0 < 64 ? i - c0 : 64;
            ACC s[64] = {0};
            for (int64_t k = 0; k < o; k++)
                for (int64_t c = 0; c < n; c++)
                    s[c] += (ACC)IN(dy)[r * o + k] * (ACC)IN(w)[k * i + c0 + c];
            for (int64_t c = 0; c < n; c++)
                OUT(dx)[r * i + c0 + c] += (REAL)s[c];
        }
}

static void FN(mm_tn)(void *dw, const void *dy, const void *x, int64_t n, int64_t i,
                      int64_t o, int64_t o0, int64_t o1)
{
    for (int64_t k = o0; k < o1; k++)
        for (int64_t c0 = 0; c0 < i; c0 += 64) {
            int64_t m = i - c0 < 64 ? i - c0 : 64;
            ACC s[64] = {0};
            for (int64_t r = 0; r < n; r++)
                for (int64_t c = 0; c < m; c++)
                    s[c] += (ACC)IN(dy)[r * o + k] * (ACC)IN(x)[r * i + c0 + c];
            for (int64_t c = 0; c < m; c++)
                OUT(dw)[k * i + c0 + c] += (REAL)s[c];
        }
}

#include "decoder.inc.h"

const struct kernels SET = {
    .name = SET_NAME,
    .dtype = SET_DTYPE,
    .packers = SET_PACKERS,
    .add = FN(add),
    .mul = FN(mul),
    .mul_add = FN(mul_add),
    .axpy = FN(axpy),
    .sum = FN(sum),
    .unary = FN(unary),
    .unary_back = FN(unary_back),
    .gelu_chain = FN(gelu_chain),
    .norm = FN(norm),
    .norm_back = FN(norm_back),
    .colsum = FN(colsum),
    .softmax = FN(softmax),
    .softmax_back = FN(softmax_back),
    .exp_sum = FN(exp_sum),
    .exp_scaled = FN(exp_scaled),
    .row = {FN(rms_row), FN(scale_row), FN(rotary_row), FN(repeat_row)},
    .draw = FN(draw),
    .dropout = FN(dropout),
    .attn = FN(attn),
    .attn_back = FN(attn_back),
    .attn_scratch = FN(attn_scratch),
    .mm_nt = FN(mm_nt),
    .mm_nn = FN(mm_nn),
    .mm_tn = FN(mm_tn),
};
