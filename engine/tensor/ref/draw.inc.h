/* What dropout keeps, and dropout of a row: the definition. */

static void FN(draw)(uint16_t *bits, const struct skips *by, u128 state, int64_t n,
                     uint32_t limit)
{
    struct rng rng = {state, by->add[1]};
    uint64_t x = 0;
    for (int64_t i = 0; i < n; i++) {
        x = i & 1 ? x >> 32 : rng_next(&rng);
        bits[i / 16] =
            (uint16_t)((i % 16 ? bits[i / 16] : 0) | ((uint32_t)x > limit) << (i % 16));
    }
}

static void FN(dropout)(void *y, const void *x, const uint16_t *bits, int64_t n,
                        double factor, bool add)
{
    for (int64_t i = 0; i < n; i++) {
        REAL v = bits[i / 16] >> (i % 16) & 1 ? ((const REAL *)x)[i] * (REAL)factor : 0;
        ((REAL *)y)[i] = add ? ((REAL *)y)[i] + v : v;
    }
}
