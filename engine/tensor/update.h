/*
 * What an optimizer does to elements, for each x86-64 level; used by engine/train. Only
 * exactly rounded operations in a fixed order: the bits are the same at every level.
 */
#ifndef RETORT_UPDATE_H
#define RETORT_UPDATE_H

#include <stdint.h>

enum { UPDATE_LANES = 16 };

/* m = beta1 m + rest1 g',  v = beta2 v + rest2 g'^2,  g' = clip g
 * w = keep w - step m / (root sqrt(v) + eps) */
struct adamw_step {
    float beta1, beta2, rest1, rest2, clip, step, root, eps, keep;
};

struct updates {
    void (*adamw)(const struct adamw_step *s, float *w, const float *g, float *m,
                  float *v, int64_t n);
    void (*scale)(float *w, float factor, int64_t n);
    /* lane[i % 16] += g[i]^2 */
    void (*squares)(double *lane, const float *g, int64_t n);
};

extern const struct updates updates_v2, updates_v3, updates_v4;
const struct updates *updates_now(void);

#endif
