/*
 * What brings operands into the form that products want: rounding to bf16, and columns
 * of a gradient as rows. Vectors of eight, in the compilers' own notation, so that every
 * level is the same source.
 */
#include <string.h>

#include "../op.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define FN(x) JOIN(x, LEVEL)

typedef float f8 __attribute__((vector_size(32)));
typedef uint32_t u8x __attribute__((vector_size(32)));
typedef int32_t i8x __attribute__((vector_size(32)));
typedef uint16_t h8 __attribute__((vector_size(16)));

/* To nearest, ties to even; a NaN stays one. */
static inline uint32_t FN(round)(uint32_t u)
{
    uint32_t up = u + 0x7fffu + (u >> 16 & 1);
    return ((u & 0x7fffffffu) > 0x7f800000u ? u | 0x400000u : up) >> 16;
}

static void FN(to_bf16)(uint16_t *restrict y, const float *restrict x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        union {
            float f;
            uint32_t u;
        } v = {.f = x[i]};
        y[i] = (uint16_t)FN(round)(v.u);
    }
}

/* Vectors go by address: their passing by value differs between levels. */
static inline void FN(round8)(h8 *y, const f8 *x)
{
    u8x u = (u8x)*x, up = u + 0x7fffu + (u >> 16 & 1);
    u8x nan = (u8x)((i8x)(u & 0x7fffffffu) > 0x7f800000);
    up = ((nan & (u | 0x400000u)) | (~nan & up)) >> 16;
    *y = __builtin_convertvector(up, h8);
}

/* r[i][j] <-> r[j][i]: pairs, then fours, then eights change places. */
static inline void FN(turn8)(f8 *r)
{
    f8 a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        a[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = i; j < i + 2; j++) {
            b[j] = __builtin_shufflevector(a[j], a[j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            b[j + 2] =
                __builtin_shufflevector(a[j], a[j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int i = 0; i < 4; i++) {
        r[i] = __builtin_shufflevector(b[i], b[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        r[i + 4] = __builtin_shufflevector(b[i], b[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

static inline void FN(put)(void *to, int64_t at, const f8 *x, bool half)
{
    h8 y;
    FN(round8)(&y, x);
    if (half)
        memcpy((uint16_t *)to + at, &y, sizeof y);
    else
        memcpy((float *)to + at, x, sizeof *x);
}

/* Eight columns from c on; sums by eights, in the order of rows. */
static inline void FN(columns8)(void *to, int64_t k, const float *x, int64_t ld,
                                int64_t n, int64_t c, float *sum, bool half)
{
    f8 total = {0};
    int64_t r = 0;
    for (; r < n; r += 8) {
        f8 v[8] = {{0}}, part = {0};
        for (int i = 0; i < 8 && r + i < n; i++)
            memcpy(&v[i], x + (r + i) * ld + c, sizeof v[i]);
        for (int i = 0; i < 8; i++)
            part += v[i];
        total += part;
        FN(turn8)(v);
        for (int i = 0; i < 8; i++)
            FN(put)(to, (c + i) * k + r, &v[i], half);
    }
    for (f8 zero = {0}; r < k; r += 8)
        for (int i = 0; i < 8; i++)
            FN(put)(to, (c + i) * k + r, &zero, half);
    for (int i = 0; sum && i < 8; i++)
        sum[c + i] += total[i];
}

static void FN(turn)(void *to, int64_t k, const float *x, int64_t ld, int64_t n,
                     int64_t m, float *sum, bool half)
{
    int64_t c = 0;
    for (; c + 8 <= m; c += 8)
        if (half)
            FN(columns8)(to, k, x, ld, n, c, sum, true);
        else
            FN(columns8)(to, k, x, ld, n, c, sum, false);
    for (; c < m; c++) {
        float total = 0, part = 0;
        for (int64_t r = 0; r < k; r++) {
            float v = r < n ? x[r * ld + c] : 0;
            part += v;
            if (r % 8 == 7) {
                total += part;
                part = 0;
            }
            if (half)
                FN(to_bf16)((uint16_t *)to + c * k + r, &v, 1);
            else
                ((float *)to)[c * k + r] = v;
        }
        if (sum)
            sum[c] += total;
    }
}

const struct packers JOIN(packers, LEVEL) = {FN(to_bf16), FN(turn)};
