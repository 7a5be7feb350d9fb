/*
 * Sixteen floats at once: the one vector of our kernels, whatever registers there are
 * (one of AVX-512, two of AVX, four of SSE or NEON). Every function works lane by lane,
 * so a lane's bits do not depend on the width of the registers; fused multiply-add is
 * what the level has (FMA).
 */
#ifndef RETORT_LANES_H
#define RETORT_LANES_H

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#include <immintrin.h>

typedef __m512 lanes;
#define TILE_ROWS 8 /* a register tile: 8 rows of 2 vectors in 16 of 32 registers */
#define TILE_VECS 2

INLINE lanes lanes_zero(void)
{
    return _mm512_setzero_ps();
}
INLINE lanes lanes_all(float x)
{
    return _mm512_set1_ps(x);
}
INLINE lanes lanes_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
INLINE void lanes_store(float *p, lanes a)
{
    _mm512_storeu_ps(p, a);
}
INLINE lanes lanes_add(lanes a, lanes b)
{
    return _mm512_add_ps(a, b);
}
INLINE lanes lanes_sub(lanes a, lanes b)
{
    return _mm512_sub_ps(a, b);
}
INLINE lanes lanes_mul(lanes a, lanes b)
{
    return _mm512_mul_ps(a, b);
}
INLINE lanes lanes_fma(lanes a, lanes b, lanes c)
{
    return _mm512_fmadd_ps(a, b, c);
}
/* The larger; b where one is NaN. */
INLINE lanes lanes_max(lanes a, lanes b)
{
    return _mm512_max_ps(a, b);
}
/* a where bit l of `bits` is set, else 0. */
INLINE lanes lanes_keep(lanes a, uint16_t bits)
{
    return _mm512_maskz_mov_ps(bits, a);
}
/* 2^n, n whole and within the exponents of float, given as 1.5 * 2^23 + n. */
INLINE lanes lanes_pow2(lanes shifted)
{
    __m512i i = _mm512_sub_epi32(_mm512_castps_si512(shifted),
                                 _mm512_set1_epi32(0x4b400000 - 127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(i, 23));
}
/* a, or 0 where x < limit. */
INLINE lanes lanes_unless_less(lanes a, lanes x, float limit)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(limit), _CMP_NLT_UQ),
                               a);
}
/* Bit l is set where x[l] > limit. */
INLINE uint16_t lanes_above(const uint32_t *x, uint32_t limit)
{
    return _mm512_cmpgt_epu32_mask(_mm512_loadu_si512(x), _mm512_set1_epi32((int)limit));
}
/* The first n of 16 values, zeros after them. */
INLINE lanes lanes_load_part(const float *p, int64_t n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
INLINE void lanes_store_part(float *p, lanes a, int64_t n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), a);
}
/* Row i, lane l becomes row l, lane i. */
INLINE void lanes_transpose(lanes m[16])
{
    lanes t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(m[i], m[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(m[i], m[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int h = 0; h < 2; h++) {
            m[i + 2 * h] = _mm512_shuffle_ps(t[i + h], t[i + 2 + h], 0x44);
            m[i + 2 * h + 1] = _mm512_shuffle_ps(t[i + h], t[i + 2 + h], 0xee);
        }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(m[i], m[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(m[i], m[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(m[i + 8], m[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(m[i + 8], m[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        m[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        m[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
        m[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
        m[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
    }
}
/* Lane l and lane l + 8, then + 4, + 2, + 1: the order of every sum over lanes. */
INLINE float lanes_sum(lanes a)
{
    __m256 x = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
}
INLINE float lanes_top(lanes a)
{
    __m256 x = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
}

#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

typedef struct {
    __m256 a, b;
} lanes;
#define TILE_ROWS 6 /* 12 of 16 registers */
#define TILE_VECS 1

INLINE lanes lanes_zero(void)
{
    return (lanes){_mm256_setzero_ps(), _mm256_setzero_ps()};
}
INLINE lanes lanes_all(float x)
{
    return (lanes){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
INLINE lanes lanes_load(const float *p)
{
    return (lanes){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
INLINE void lanes_store(float *p, lanes a)
{
    _mm256_storeu_ps(p, a.a);
    _mm256_storeu_ps(p + 8, a.b);
}
INLINE lanes lanes_add(lanes a, lanes b)
{
    return (lanes){_mm256_add_ps(a.a, b.a), _mm256_add_ps(a.b, b.b)};
}
INLINE lanes lanes_sub(lanes a, lanes b)
{
    return (lanes){_mm256_sub_ps(a.a, b.a), _mm256_sub_ps(a.b, b.b)};
}
INLINE lanes lanes_mul(lanes a, lanes b)
{
    return (lanes){_mm256_mul_ps(a.a, b.a), _mm256_mul_ps(a.b, b.b)};
}
INLINE lanes lanes_fma(lanes a, lanes b, lanes c)
{
    return (lanes){_mm256_fmadd_ps(a.a, b.a, c.a), _mm256_fmadd_ps(a.b, b.b, c.b)};
}
INLINE lanes lanes_max(lanes a, lanes b)
{
    return (lanes){_mm256_max_ps(a.a, b.a), _mm256_max_ps(a.b, b.b)};
}
INLINE __m256 lanes_keep_half(__m256 a, int bits)
{
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    __m256i set = _mm256_and_si256(_mm256_set1_epi32(bits), bit);
    return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, bit)));
}
INLINE lanes lanes_keep(lanes a, uint16_t bits)
{
    return (lanes){lanes_keep_half(a.a, bits & 255), lanes_keep_half(a.b, bits >> 8)};
}
INLINE __m256 lanes_pow2_half(__m256 shifted)
{
    __m256i i = _mm256_sub_epi32(_mm256_castps_si256(shifted),
                                 _mm256_set1_epi32(0x4b400000 - 127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(i, 23));
}
INLINE lanes lanes_pow2(lanes shifted)
{
    return (lanes){lanes_pow2_half(shifted.a), lanes_pow2_half(shifted.b)};
}
INLINE lanes lanes_unless_less(lanes a, lanes x, float limit)
{
    __m256 l = _mm256_set1_ps(limit);
    return (lanes){_mm256_and_ps(a.a, _mm256_cmp_ps(x.a, l, _CMP_NLT_UQ)),
                   _mm256_and_ps(a.b, _mm256_cmp_ps(x.b, l, _CMP_NLT_UQ))};
}
INLINE int lanes_above_half(const uint32_t *x, uint32_t limit)
{
    const __m256i sign =
        _mm256_set1_epi32(INT32_MIN); /* there is only a signed comparison */
    __m256i v =
        _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)x), sign);
    __m256i l = _mm256_xor_si256(_mm256_set1_epi32((int)limit), sign);
    return _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(v, l)));
}
INLINE uint16_t lanes_above(const uint32_t *x, uint32_t limit)
{
    return (uint16_t)(lanes_above_half(x, limit) | lanes_above_half(x + 8, limit) << 8);
}

INLINE lanes lanes_load_part(const float *p, int64_t n)
{
    float v[16] = {0};
    memcpy(v, p, (size_t)n * sizeof *v);
    return lanes_load(v);
}
INLINE void lanes_store_part(float *p, lanes a, int64_t n)
{
    float v[16];
    lanes_store(v, a);
    memcpy(p, v, (size_t)n * sizeof *v);
}
INLINE void lanes_turn8(__m256 m[8])
{
    __m256 t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(m[i], m[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(m[i], m[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int h = 0; h < 2; h++) {
            m[i + 2 * h] = _mm256_shuffle_ps(t[i + h], t[i + 2 + h], 0x44);
            m[i + 2 * h + 1] = _mm256_shuffle_ps(t[i + h], t[i + 2 + h], 0xee);
        }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(m[i], m[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(m[i], m[i + 4], 0x31);
    }
    memcpy(m, t, sizeof t);
}
INLINE void lanes_transpose(lanes m[16])
{
    __m256 q[4][8]; /* quarters: rows 0-7 and 8-15, lanes 0-7 and 8-15 */
    for (int i = 0; i < 8; i++) {
        q[0][i] = m[i].a;
        q[1][i] = m[i].b;
        q[2][i] = m[i + 8].a;
        q[3][i] = m[i + 8].b;
    }
    for (int k = 0; k < 4; k++)
        lanes_turn8(q[k]);
    for (int i = 0; i < 8; i++) {
        m[i] = (lanes){q[0][i], q[2][i]};
        m[i + 8] = (lanes){q[1][i], q[3][i]};
    }
}
/* Lane l and lane l + 8, then + 4, + 2, + 1: the order of every sum over lanes. */
INLINE float lanes_sum(lanes a)
{
    __m256 x = _mm256_add_ps(a.a, a.b);
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
}
INLINE float lanes_top(lanes a)
{
    __m256 x = _mm256_max_ps(a.a, a.b);
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
}

#else

typedef float lanes_quad __attribute__((vector_size(16)));
typedef int32_t lanes_quad_int __attribute__((vector_size(16)));
typedef struct {
    lanes_quad q[4];
} lanes;
#define TILE_ROWS 2 /* 8 of 16 registers */
#define TILE_VECS 1
#define LANES_EACH(EXPR)                                                                 \
    lanes r_;                                                                            \
    for (int i = 0; i < 4; i++)                                                          \
        r_.q[i] = (EXPR);                                                                \
    return r_

INLINE lanes lanes_all(float x)
{
    LANES_EACH(((lanes_quad){x, x, x, x}));
}
INLINE lanes lanes_zero(void)
{
    return lanes_all(0);
}
INLINE lanes lanes_load(const float *p)
{
    lanes a;
    memcpy(&a, p, sizeof a);
    return a;
}
INLINE void lanes_store(float *p, lanes a)
{
    memcpy(p, &a, sizeof a);
}
INLINE lanes lanes_add(lanes a, lanes b)
{
    LANES_EACH(a.q[i] + b.q[i]);
}
INLINE lanes lanes_sub(lanes a, lanes b)
{
    LANES_EACH(a.q[i] - b.q[i]);
}
INLINE lanes lanes_mul(lanes a, lanes b)
{
    LANES_EACH(a.q[i] * b.q[i]);
}
INLINE lanes lanes_fma(lanes a, lanes b, lanes c)
{
    LANES_EACH(a.q[i] * b.q[i] + c.q[i]);
}
INLINE lanes_quad lanes_choose(lanes_quad_int yes, lanes_quad a, lanes_quad b)
{
    return (lanes_quad)((yes & (lanes_quad_int)a) | (~yes & (lanes_quad_int)b));
}
INLINE lanes lanes_max(lanes a, lanes b)
{
    LANES_EACH(lanes_choose(a.q[i] > b.q[i], a.q[i], b.q[i]));
}
INLINE lanes lanes_keep(lanes a, uint16_t bits)
{
    const lanes_quad_int bit = {1, 2, 4, 8};
    int32_t b[4] = {bits & 15, bits >> 4 & 15, bits >> 8 & 15, bits >> 12 & 15};
    LANES_EACH((lanes_quad)((lanes_quad_int)a.q[i] &
                            (((lanes_quad_int){b[i], b[i], b[i], b[i]} & bit) == bit)));
}
INLINE lanes lanes_pow2(lanes shifted)
{
    const int32_t o = 0x4b400000 - 127;
    LANES_EACH((lanes_quad)(((lanes_quad_int)shifted.q[i] - (lanes_quad_int){o, o, o, o})
                            << 23));
}
INLINE lanes lanes_unless_less(lanes a, lanes x, float limit)
{
    const lanes_quad l = {limit, limit, limit, limit};
    LANES_EACH((lanes_quad)((lanes_quad_int)a.q[i] & ~(x.q[i] < l)));
}
INLINE uint16_t lanes_above(const uint32_t *x, uint32_t limit)
{
    unsigned bits = 0;
    for (int i = 0; i < 16; i++)
        bits |= (unsigned)(x[i] > limit) << i;
    return (uint16_t)bits;
}

INLINE lanes lanes_load_part(const float *p, int64_t n)
{
    float v[16] = {0};
    memcpy(v, p, (size_t)n * sizeof *v);
    return lanes_load(v);
}
INLINE void lanes_store_part(float *p, lanes a, int64_t n)
{
    float v[16];
    lanes_store(v, a);
    memcpy(p, v, (size_t)n * sizeof *v);
}
INLINE void lanes_transpose(lanes m[16])
{
    float from[16][16], to[16][16];
    memcpy(from, m, sizeof from);
    for (int i = 0; i < 16; i++)
        for (int l = 0; l < 16; l++)
            to[l][i] = from[i][l];
    memcpy(m, to, sizeof to);
}

/* Lane l and lane l + 8, then + 4, + 2, + 1: the order of every sum over lanes. */
INLINE float lanes_sum(lanes a)
{
    float v[16];
    lanes_store(v, a);
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++)
            v[i] += v[i + half];
    return v[0];
}
INLINE float lanes_top(lanes a)
{
    float v[16];
    lanes_store(v, a);
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++)
            v[i] = v[i] > v[i + half] ? v[i] : v[i + half];
    return v[0];
}

#endif

#endif
