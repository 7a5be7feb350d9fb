/*
 * The optimizer's arithmetic: plain loops that vectorise.
 */
#include <math.h>

#include "../update.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define FN(x) JOIN(x, LEVEL)

static void FN(adamw)(const struct adamw_step *s, float *restrict w,
                      const float *restrict g, float *restrict m, float *restrict v,
                      int64_t n)
{
    const struct adamw_step c = *s;
    for (int64_t i = 0; i < n; i++) {
        float gi = g[i] * c.clip;
        m[i] = c.beta1 * m[i] + c.rest1 * gi;
        v[i] = c.beta2 * v[i] + c.rest2 * gi * gi;
        w[i] = w[i] * c.keep - c.step * m[i] / (sqrtf(v[i]) * c.root + c.eps);
    }
}

static void FN(scale)(float *w, float factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        w[i] *= factor;
}

static void FN(squares)(double *lane, const float *g, int64_t n)
{
    double sum[UPDATE_LANES];
    int64_t i = 0;
    for (int l = 0; l < UPDATE_LANES; l++)
        sum[l] = lane[l];
    for (; i + UPDATE_LANES <= n; i += UPDATE_LANES)
        for (int l = 0; l < UPDATE_LANES; l++)
            sum[l] += (double)g[i + l] * (double)g[i + l];
    for (int l = 0; i < n; i++, l++)
        sum[l] += (double)g[i] * (double)g[i];
    for (int l = 0; l < UPDATE_LANES; l++)
        lane[l] = sum[l];
}

const struct updates JOIN(updates, LEVEL) = {FN(adamw), FN(scale), FN(squares)};
