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
 * The normal distribution's 1/2 + x P(x^2) / Q(x^2): a minimax fit on |x| < 5.5 of its
 * distance from 1/2, with a relative error of 2e-8; beyond, it is 0 or 1.
 */
static inline float cdf_f(float x)
{
    float y = x > 5.5f ? 5.5f : x;
    float z = y < -5.5f ? -5.5f : y;
    float s = z * z;
    float p = 2.2931258669700583e-8f;
    p = FMA(p, s, 6.3015932028065436e-6f);
    p = FMA(p, s, 1.6457299352623522e-4f);
    p = FMA(p, s, 4.6514775604009628e-3f);
    p = FMA(p, s, 3.3458806574344635e-2f);
    p = FMA(p, s, 0.39894226193428040f);
    float q = 1.1990316579613136e-6f;
    q = FMA(q, s, 7.2166840254794806e-5f);
    q = FMA(q, s, 1.8606416415423155e-3f);
    q = FMA(q, s, 2.8416084125638008e-2f);
    q = FMA(q, s, 0.25053519010543823f);
    q = FMA(q, s, 1.0f);
    float cdf = 0.5f + z * p / q;
    return x < -5.5f ? 0.0f : cdf;
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
#include "norm.inc.h"
#include "classes.inc.h"
#include "attention.inc.h"

#define REAL float
#define ACC float
#define LANES 16
#define EXP exp_f
#define CDF cdf_f
#define TANH tanh_f
#define SET JOIN(kernels_cpu_, LEVEL, )
#define SET_NAME "cpu-" TEXT(LEVEL)
#define SET_DTYPE DT_F32
#define SET_PACKERS &JOIN(packers_, LEVEL, )
#include "../kernels.inc.h"
