/*
 * Named PCG64 streams; rng_next is in the header, since loops draw one number per
 * element.
 */
#include "retort/rng.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "retort/err.h"
#include "retort/hash.h"

static u128 big_endian(const unsigned char *p)
{
    u128 x = 0;

    for (int i = 0; i < 16; i++)
        x = x << 8 | p[i];
    return x;
}

struct rng rng_stream(uint64_t seed, const char *purpose)
{
    unsigned char key[8], digest[32];

    for (int i = 0; i < 8; i++)
        key[i] = (unsigned char)(seed >> 8 * i);
    sha256_join(digest, key, sizeof key, purpose, strlen(purpose));
    return (struct rng){big_endian(digest), big_endian(digest + 16) | 1};
}

struct rng rng_streamf(uint64_t seed, const char *fmt, ...)
{
    char name[1024];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof name)
        BUG("the name of a stream, %s, comes to %d bytes", fmt, n);
    return rng_stream(seed, name);
}

/* x -> a x + c, applied n times, is again of that form: square and
 * multiply (Brown 1994). */
void rng_advance(struct rng *rng, uint64_t n)
{
    u128 a = ((u128)0x2360ed051fc65da4ull << 64) | 0x4385df649fccf645ull;
    u128 c = rng->inc;
    u128 mul = 1, add = 0;

    for (; n; n >>= 1) {
        if (n & 1) {
            mul *= a;
            add = add * a + c;
        }
        c *= a + 1;
        a *= a;
    }
    rng->state = rng->state * mul + add;
}

double rng_uniform(struct rng *rng)
{
    return (double)(rng_next(rng) >> 11) * 0x1p-53;
}

uint64_t rng_below(struct rng *rng, uint64_t n)
{
    if (!n)
        BUG("a number below 0 was asked for");
    u128 product = (u128)rng_next(rng) * n;
    if ((uint64_t)product < n) {
        uint64_t least = -n % n; /* 2^64 mod n */
        while ((uint64_t)product < least)
            product = (u128)rng_next(rng) * n;
    }
    return (uint64_t)(product >> 64);
}

double rng_normal(struct rng *rng)
{
    const double two_pi = 6.283185307179586476925286766559;
    double u = 1 - rng_uniform(rng); /* in (0, 1]: its logarithm is finite */
    double v = rng_uniform(rng);

    return sqrt(-2 * log(u)) * cos(two_pi * v);
}

void rng_shuffle(struct rng *rng, int64_t *index, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)rng_below(rng, (uint64_t)i + 1);
        int64_t swap = index[i];
        index[i] = index[j];
        index[j] = swap;
    }
}
