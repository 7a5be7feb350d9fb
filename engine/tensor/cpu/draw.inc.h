/*
 * Draws for dropout: 32-bit halves of a stream's draws, low half first. A draw waits for
 * the one before it (a 128-bit product); four rows, each with a stream place of its own,
 * are drawn together to fill that wait. The integers are those of rng_next. Included by
 * kernels.level.c.
 */

/* n draws into `to` (2 n halves). */
static void FN(draw)(uint32_t *to, struct rng rng, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t x = rng_next(&rng);
        to[2 * i] = (uint32_t)x;
        to[2 * i + 1] = (uint32_t)(x >> 32);
    }
}

/* n draws of each of four rows of one stream; the rows of `to` are `ld` apart. */
static void FN(draw4)(uint32_t *restrict to, int64_t ld, const struct rng row[4],
                      int64_t n)
{
    struct rng a = row[0], b = row[1], c = row[2], d = row[3];
    b.inc = c.inc = d.inc = a.inc;
    for (int64_t i = 0; i < n; i++) {
        uint64_t x[4] = {rng_next(&a), rng_next(&b), rng_next(&c), rng_next(&d)};
        for (int r = 0; r < 4; r++)
            memcpy(to + r * ld + 2 * i, &x[r], sizeof x[r]);
    }
}
