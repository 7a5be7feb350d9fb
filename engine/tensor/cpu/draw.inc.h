/*
 * What dropout keeps, from the very draws of rng_next. A draw waits for the one before it
 * (a product of 128 bits), so some are made side by side: lane l of a step goes on by as
 * many draws as there are lanes. Included by kernels.level.c.
 */
#if defined(__AVX512F__) && defined(__AVX512DQ__)

typedef struct {
    __m512i lo, hi;
} FN(wide);

INLINE FN(wide) FN(wide_load)(const u128 v[8])
{
    uint64_t lo[8], hi[8];
    for (int l = 0; l < 8; l++) {
        lo[l] = (uint64_t)v[l];
        hi[l] = (uint64_t)(v[l] >> 64);
    }
    return (FN(wide)){_mm512_loadu_si512(lo), _mm512_loadu_si512(hi)};
}

INLINE FN(wide) FN(wide_all)(u128 v)
{
    return (FN(wide)){_mm512_set1_epi64((int64_t)(uint64_t)v),
                      _mm512_set1_epi64((int64_t)(uint64_t)(v >> 64))};
}

/* s m + c modulo 2^128, from halves of halves. */
INLINE FN(wide) FN(wide_step)(FN(wide) s, FN(wide) m, FN(wide) c)
{
    const __m512i half = _mm512_set1_epi64(0xffffffff), ones = _mm512_set1_epi64(-1);
    __m512i s1 = _mm512_srli_epi64(s.lo, 32), m1 = _mm512_srli_epi64(m.lo, 32);
    __m512i low = _mm512_mul_epu32(s.lo, m.lo);
    __m512i t = _mm512_add_epi64(_mm512_mul_epu32(s1, m.lo), _mm512_srli_epi64(low, 32));
    __m512i u = _mm512_add_epi64(_mm512_mul_epu32(s.lo, m1), _mm512_and_si512(t, half));
    __m512i high = _mm512_add_epi64(_mm512_mul_epu32(s1, m1), _mm512_srli_epi64(t, 32));
    high = _mm512_add_epi64(high, _mm512_srli_epi64(u, 32));
    high = _mm512_add_epi64(high, _mm512_mullo_epi64(s.hi, m.lo));
    high = _mm512_add_epi64(high, _mm512_mullo_epi64(s.lo, m.hi));
    low = _mm512_or_si512(_mm512_slli_epi64(u, 32), _mm512_and_si512(low, half));
    low = _mm512_add_epi64(low, c.lo);
    high = _mm512_add_epi64(high, c.hi);
    __mmask8 carry = _mm512_cmplt_epu64_mask(low, c.lo);
    return (FN(wide)){low, _mm512_mask_sub_epi64(high, carry, high, ones)};
}

static void FN(draw)(uint16_t *bits, const struct skips *by, u128 state, int64_t n,
                     uint32_t limit)
{
    FN(wide) mul = FN(wide_all)(by->mul[8]), add = FN(wide_all)(by->add[8]);
    FN(wide)
    s = FN(wide_step)(FN(wide_all)(state), FN(wide_load)(by->mul + 1),
                      FN(wide_load)(by->add + 1));
    __m512i most = _mm512_set1_epi32((int)limit);
    for (int64_t i = 0; i < n; i += 16) {
        __m512i x =
            _mm512_rorv_epi64(_mm512_xor_si512(s.hi, s.lo), _mm512_srli_epi64(s.hi, 58));
        bits[i / 16] = _mm512_cmpgt_epu32_mask(x, most);
        s = FN(wide_step)(s, mul, add);
    }
}

#else

static void FN(draw)(uint16_t *bits, const struct skips *by, u128 state, int64_t n,
                     uint32_t limit)
{
    u128 s[4], mul = by->mul[4], add = by->add[4];
    for (int l = 0; l < 4; l++)
        s[l] = state * by->mul[l + 1] + by->add[l + 1];
    for (int64_t i = 0; i < n; i += 16) {
        uint64_t x[8];
        for (int k = 0; k < 8; k++) {
            u128 *now = &s[k % 4];
            uint64_t mixed = (uint64_t)(*now >> 64) ^ (uint64_t)*now;
            unsigned turn = (unsigned)(*now >> 122);
            x[k] = mixed >> turn | mixed << (-turn & 63);
            *now = *now * mul + add;
        }
        unsigned kept = 0;
        for (int k = 0; k < 8; k++)
            kept |= (unsigned)((uint32_t)x[k] > limit) << (2 * k) |
                    (unsigned)((uint32_t)(x[k] >> 32) > limit) << (2 * k + 1);
        bits[i / 16] = (uint16_t)kept;
    }
}

#endif

static void FN(dropout)(void *y, const void *x, const uint16_t *bits, int64_t n,
                        double factor, bool add)
{
    const float *from = x;
    float *to = y;
    lanes f = lanes_all((float)factor);
    for (int64_t i = 0; i < n; i += 16) {
        int64_t part = n - i < 16 ? n - i : 16;
        lanes v = part == 16 ? lanes_load(from + i) : lanes_load_part(from + i, part);
        v = lanes_keep(lanes_mul(v, f), bits[i / 16]);
        if (add)
            v = lanes_add(part == 16 ? lanes_load(to + i) : lanes_load_part(to + i, part),
                          v);
        if (part == 16)
            lanes_store(to + i, v);
        else
            lanes_store_part(to + i, v, part);
    }
}
