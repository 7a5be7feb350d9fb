/*
 * Float kernels, compiled once for each x86-64 level: 16 partial sums folded in order,
 * and functions without branches, so that the compiler vectorises all of it without
 * -ffast-math. v3 and v4 have fused multiply-add, so their bits differ from those of v2.
 */
#include <math.h>
#include <string.h>

#include "../op.h"
#include "lanes.h"

#if defined(LEVEL_v2)
#define FMA(a, b, c) ((a) * (b) + (c))
#else
#define FMA(a, b, c) __builtin_fmaf(a, b, c)
#endif
#define STEP FMA

/*
 * exp(x) = 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2, e^r by its Taylor series to
 * r^7 / 7! (error 2^-27). Below -87 the result is 0, above 88 it is that of 88; NaN
 * stays.
 */
static inline float exp_f(float x)
{
    float y = x > 88.0f ? 88.0f : x;
    float z = y < -87.0f ? -87.0f : y;
    float shifted = z * 1.44269504088896341f + 12582912.0f; /* 1.5 * 2^23: rounds */
    float n = shifted - 12582912.0f;
    float r = FMA(n, -0.693359375f, z);
    r = FMA(n, 2.12194440e-4f, r);
    float p = 1.98412698e-4f;
    p = FMA(p, r, 1.38888889e-3f);
    p = FMA(p, r, 8.33333333e-3f);
    p = FMA(p, r, 4.16666667e-2f);
    p = FMA(p, r, 1.66666667e-1f);
    p = FMA(p, r, 0.5f);
    p = FMA(p, r, 1.0f);
    p = FMA(p, r, 1.0f);
    union {
        float f;
        int32_t i;
    } bits = {.f = shifted};
    bits.i = (int32_t)((uint32_t)(bits.i - 0x4b400000 + 127) << 23);
    float e = p * bits.f;
    return x < -87.0f ? 0.0f : e;
}

/* 1 - 2 / (e^2x + 1); near 0 its odd Taylor series, where that would cancel. */
static inline float tanh_f(float x)
{
    float s = x * x;
    float small = -0.053968254f;
    small = FMA(small, s, 0.13333333f);
    small = FMA(small, s, -0.33333333f);
    small = FMA(small * s, x, x);
    float big = 1.0f - 2.0f / (exp_f(2.0f * x) + 1.0f);
    return s < 0.04f ? small : big;
}

/*
 * Near 0 (|x| < 1) the Maclaurin series 2/sqrt(pi) sum (-1)^k x^(2k+1) / (k! (2k+1)) to k
 * = 9; beyond, Abramowitz & Stegun 7.1.26 would leave 1.5e-7: within what float holds of
 * 1 + erf.
 */
static inline float erf_f(float x)
{
    float s = x * x;
    float p = -1.44e-7f;
    p = FMA(p, s, 1.4589169e-6f);
    p = FMA(p, s, -1.3227513e-5f);
    p = FMA(p, s, 1.0683761e-4f);
    p = FMA(p, s, -7.5757576e-4f);
    p = FMA(p, s, 4.6296296e-3f);
    p = FMA(p, s, -2.3809524e-2f);
    p = FMA(p, s, 0.1f);
    p = FMA(p, s, -0.33333333f);
    p = FMA(p, s, 1.0f);
    float small = 1.1283791671f * x * p;
    float a = x < 0 ? -x : x;
    float t = 1.0f / FMA(0.3275911f, a, 1.0f);
    float q = 1.061405429f;
    q = FMA(q, t, -1.453152027f);
    q = FMA(q, t, 1.421413741f);
    q = FMA(q, t, -0.284496736f);
    q = FMA(q, t, 0.254829592f);
    float big = 1.0f - q * t * exp_f(-s);
    big = x < 0 ? -big : big;
    return a < 1.0f ? small : big;
}

#define JOIN_(a, b, c) a##b##c
#define JOIN(a, b, c) JOIN_(a, b, c)
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define FN(x) JOIN(x, _, LEVEL)

/* The same for 16 lanes and x <= 0. */
INLINE lanes FN(lanes_exp)(lanes x)
{
    lanes z = lanes_max(lanes_all(-87.0f), x);
    lanes shifted = lanes_fma(z, lanes_all(1.44269504088896341f), lanes_all(12582912.0f));
    lanes n = lanes_sub(shifted, lanes_all(12582912.0f));
    lanes r = lanes_fma(n, lanes_all(-0.693359375f), z);
    r = lanes_fma(n, lanes_all(2.12194440e-4f), r);
    lanes p = lanes_all(1.98412698e-4f);
    p = lanes_fma(p, r, lanes_all(1.38888889e-3f));
    p = lanes_fma(p, r, lanes_all(8.33333333e-3f));
    p = lanes_fma(p, r, lanes_all(4.16666667e-2f));
    p = lanes_fma(p, r, lanes_all(1.66666667e-1f));
    p = lanes_fma(p, r, lanes_all(0.5f));
    p = lanes_fma(p, r, lanes_all(1.0f));
    p = lanes_fma(p, r, lanes_all(1.0f));
    return lanes_unless_less(lanes_mul(p, lanes_pow2(shifted)), x, -87.0f);
}

#include "draw.inc.h"
#include "attention.inc.h"

#define REAL float
#define ACC float
#define LANES 16
#define EXP exp_f
#define ERF erf_f
#define TANH tanh_f
#define SET JOIN(kernels_cpu_, LEVEL, )
#define SET_NAME "cpu-" TEXT(LEVEL)
#define SET_DTYPE DT_F32
#define SET_PACKERS &JOIN(packers_, LEVEL, )
#include "../kernels.inc.h"
