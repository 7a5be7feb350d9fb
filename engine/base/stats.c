/*
 * Statistics of a few runs, or of the examples of two runs.
 *
 * Sums are in the order of the values. Student's distribution comes from the regularised
 * incomplete beta function by its continued fraction (DLMF 8.17.22), evaluated by Lentz's
 * method; its inverse by bisection, which needs no derivative and cannot run away.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "retort/mem.h"
#include "retort/rng.h"
#include "retort/stats.h"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double stats_mean(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return n > 0 ? sum / (double)n : (double)NAN;
}

double stats_std(const double *x, int64_t n)
{
    double mean = stats_mean(x, n), sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return n > 1 ? sqrt(sum / (double)(n - 1)) : (double)NAN;
}

double stats_median(const double *x, int64_t n, struct err *err)
{
    double *v, m;
    if (n < 1)
        return (double)NAN;
    v = mem_new(n, sizeof(*v), err);
    if (!v)
        return (double)NAN;
    memcpy(v, x, (size_t)n * sizeof(*v));
    qsort(v, (size_t)n, sizeof(*v), by_value);
    m = n % 2 ? v[n / 2] : 0.5 * (v[n / 2 - 1] + v[n / 2]);
    free(v);
    return m;
}

/* The continued fraction of I_x(a, b); converges fast for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1), f;
    d = 1 / (fabs(d) < tiny ? tiny : d);
    f = d;
    for (int m = 1; m <= 10000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double step[2] = {even, odd}, change = 1;
        for (int k = 0; k < 2; k++) {
            d = 1 + step[k] * d;
            c = 1 + step[k] / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            change = c * d;
            f *= change;
        }
        if (fabs(change - 1) < 1e-16)
            break;
    }
    return f;
}

/* I_x(a, b); y = 1 - x is given too, since near 1 it would lose its digits. */
static double beta_regularised(double a, double b, double x, double y)
{
    double front;
    if (x <= 0)
        return 0;
    if (y <= 0)
        return 1;
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y));
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, y) / b;
}

/* P(|T| > |t|). */
static double t_two_sided(double t, double df)
{
    double t2 = t * t;
    if (isnan(t) || isnan(df))
        return (double)NAN;
    if (isinf(t2))
        return 0;
    return beta_regularised(df / 2, 0.5, df / (df + t2), t2 / (df + t2));
}

double stats_t_cdf(double t, double df)
{
    double tail = 0.5 * t_two_sided(t, df);
    return t > 0 ? 1 - tail : tail;
}

double stats_t_quantile(double p, double df)
{
    double low = 0, high = 1, tail = p < 0.5 ? p : 1 - p;

    if (!(p > 0 && p < 1 && df > 0))
        return (double)NAN;
    while (0.5 * t_two_sided(high, df) > tail && high < 1e150)
        high *= 2;
    for (int i = 0; i < 200; i++) {
        double mid = 0.5 * (low + high);
        if (0.5 * t_two_sided(mid, df) > tail)
            low = mid;
        else
            high = mid;
    }
    return p < 0.5 ? -high : high;
}

double stats_interval95(const double *x, int64_t n)
{
    if (n < 2)
        return (double)NAN;
    return stats_t_quantile(0.975, (double)(n - 1)) * stats_std(x, n) / sqrt((double)n);
}

struct test_result stats_paired_t(const double *a, const double *b, int64_t n)
{
    struct test_result r = {(double)NAN, (double)NAN};
    double mean = 0, sum = 0;

    if (n < 2)
        return r;
    for (int64_t i = 0; i < n; i++)
        mean += a[i] - b[i];
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++)
        sum += (a[i] - b[i] - mean) * (a[i] - b[i] - mean);
    if (sum > 0)
        r.statistic = mean / sqrt(sum / (double)(n - 1) / (double)n);
    else
        r.statistic = mean > 0 ? (double)INFINITY : mean < 0 ? -(double)INFINITY : mean;
    r.p = t_two_sided(r.statistic, (double)(n - 1));
    return r;
}

/* ---- power ---- */

static double normal_cdf(double z)
{
    return 0.5 * erfc(-z / sqrt(2));
}

/*
 * P(T <= t) of the noncentral t: T = (Z + shift) / U with U = sqrt(V / df), V chi-square,
 * so it is the mean of Phi(t u - shift) under U's density
 *
 *     2 (df / 2)^(df / 2) / Gamma(df / 2) u^(df - 1) exp(-df u^2 / 2)
 *
 * by Simpson's rule where the density is not negligible. The logarithm is taken at its
 * maximum first, so that nothing overflows.
 */
static double noncentral_t_cdf(double t, double df, double shift)
{
    const int steps = 4000;
    double width = 14 / sqrt(2 * df), from = fmax(0, 1 - width), h, sum = 0;
    double scale = log(2) + 0.5 * df * log(0.5 * df) - lgamma(0.5 * df);

    h = (1 + width - from) / steps;
    for (int i = 0; i <= steps; i++) {
        double u = from + h * i, weight = i == 0 || i == steps ? 1 : i % 2 ? 4 : 2;
        double log_u = u > 0 ? (df - 1) * log(u) : df > 1 ? -(double)INFINITY : 0;
        sum += weight * exp(scale + log_u - 0.5 * df * u * u) * normal_cdf(t * u - shift);
    }
    return sum * h / 3;
}

double stats_power(double effect, double n, double alpha)
{
    double t, shift = effect * sqrt(n);

    if (!(n >= 2) || isnan(effect) || !(alpha > 0 && alpha < 1))
        return (double)NAN;
    t = stats_t_quantile(1 - alpha / 2, n - 1);
    /* The upper tail is the lower one of the mirrored distribution. */
    return fmin(1,
                noncentral_t_cdf(-t, n - 1, -shift) + noncentral_t_cdf(-t, n - 1, shift));
}

int64_t stats_pairs_needed(double effect, double alpha, double power, int64_t most)
{
    int64_t low = 1, high = 2;

    if (isnan(effect) || !(fabs(effect) > 0))
        return -1;
    while (high < most && stats_power(effect, (double)high, alpha) < power) {
        low = high;
        high *= 2;
    }
    high = high < most ? high : most;
    if (stats_power(effect, (double)high, alpha) < power)
        return -1;
    while (high - low > 1) {
        int64_t mid = low + (high - low) / 2;
        if (stats_power(effect, (double)mid, alpha) < power)
            low = mid;
        else
            high = mid;
    }
    return high;
}

struct sample stats_sample(const double *x, int64_t n)
{
    return (struct sample){stats_mean(x, n), stats_std(x, n), n};
}

struct equivalence stats_equivalence(struct sample a, struct sample b, double margin)
{
    double va = a.std * a.std / (double)a.n, vb = b.std * b.std / (double)b.n;
    double s = sqrt(va + vb), half;
    struct equivalence e = {a.mean - b.mean, (double)NAN, (double)NAN,
                            (double)NAN,     (double)NAN, false};

    if (a.n < 2 || b.n < 2 || isnan(s) || isnan(e.difference))
        return e;
    if (s > 0)
        /* Shares of s^2, since s^4 may be too small a number. */
        e.df = 1 / ((va / (s * s)) * (va / (s * s)) / (double)(a.n - 1) +
                    (vb / (s * s)) * (vb / (s * s)) / (double)(b.n - 1));
    half = s > 0 ? stats_t_quantile(0.95, e.df) * s : 0;
    e.low = e.difference - half;
    e.high = e.difference + half;
    e.shown = e.low > -margin && e.high < margin;
    if (s > 0)
        e.p = fmax(stats_t_cdf(-(e.difference + margin) / s, e.df),
                   stats_t_cdf((e.difference - margin) / s, e.df));
    else
        e.p = e.shown ? 0 : 1;
    return e;
}

/* Sum of the binomial terms C(n, i) / 2^n for i from k down to 0, largest first. */
struct test_result stats_mcnemar(int64_t b, int64_t c)
{
    int64_t n = b + c, k = b < c ? b : c;
    struct test_result r = {(double)k, 1};
    double dn = (double)n, dk = (double)k, term, sum = 0;

    if (b == c)
        return r;
    term = exp(lgamma(dn + 1) - lgamma(dk + 1) - lgamma(dn - dk + 1) - dn * log(2));
    for (int64_t i = k; i >= 0 && term > sum * DBL_EPSILON * 1e-3; i--) {
        sum += term;
        term *= (double)i / (double)(n - i + 1);
    }
    r.p = fmin(1, 2 * sum);
    return r;
}

/* ---- many tests ---- */

struct placed {
    double value;
    int64_t at;
};

static int by_place(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;

    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

int stats_holm(double *adjusted, const double *p, int64_t n, struct err *err)
{
    struct placed *v = mem_new(n ? n : 1, sizeof *v, err);
    int64_t made = 0;
    double before = 0;

    if (!v)
        return -1;
    for (int64_t i = 0; i < n; i++) {
        adjusted[i] = (double)NAN;
        if (!isnan(p[i]))
            v[made++] = (struct placed){p[i], i};
    }
    qsort(v, (size_t)made, sizeof *v, by_place);
    for (int64_t k = 0; k < made; k++) {
        before = fmin(1, fmax(before, v[k].value * (double)(made - k)));
        adjusted[v[k].at] = before;
    }
    free(v);
    return 0;
}

/* ---- bootstrap ---- */

/* Linear between the sorted values, as NumPy's default. */
static double percentile(const double *sorted, int64_t n, double p)
{
    double at = p * (double)(n - 1);
    int64_t i = (int64_t)floor(at);
    if (i + 1 >= n)
        return sorted[n - 1];
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

void stats_bootstrap_of(struct bootstrap *out, double difference, double *resampled,
                        int64_t m)
{
    int64_t n = 0, below = 0, above = 0;

    for (int64_t i = 0; i < m; i++) {
        double d = resampled[i];
        if (isnan(d))
            continue;
        resampled[n++] = d;
        below += d <= 0;
        above += d >= 0;
    }
    out->difference = difference;
    out->low = out->high = out->p = (double)NAN;
    if (n == 0)
        return;
    qsort(resampled, (size_t)n, sizeof(*resampled), by_value);
    out->low = percentile(resampled, n, 0.025);
    out->high = percentile(resampled, n, 0.975);
    out->p = fmin(1, 2 * ((double)(below < above ? below : above) + 1) / (double)(n + 1));
}

int stats_bootstrap(struct bootstrap *out, int64_t n, int64_t resamples, uint64_t seed,
                    double (*difference)(void *ctx, const int64_t *pick, int64_t n),
                    void *ctx, struct err *err)
{
    int rc = -1;
    int64_t *pick = NULL;
    double *diff = NULL, all;
    struct rng rng = rng_stream(seed, "bootstrap");

    if (n < 1 || resamples < 1)
        return err_set(
            err, ERR_INPUT,
            "bootstrap: %lld examples and %lld resamples; use at least 1 of each",
            (long long)n, (long long)resamples);
    pick = mem_new(n, sizeof(*pick), err);
    diff = mem_new(resamples, sizeof(*diff), err);
    if (!pick || !diff)
        goto done;
    for (int64_t i = 0; i < n; i++)
        pick[i] = i;
    all = difference(ctx, pick, n);
    for (int64_t r = 0; r < resamples; r++) {
        for (int64_t i = 0; i < n; i++)
            pick[i] = (int64_t)rng_below(&rng, (uint64_t)n);
        diff[r] = difference(ctx, pick, n);
    }
    stats_bootstrap_of(out, all, diff, resamples);
    rc = 0;
done:
    free(diff);
    free(pick);
    return rc;
}

struct two_means {
    const double *a, *b;
};

static double mean_difference(void *ctx, const int64_t *pick, int64_t n)
{
    const struct two_means *two = ctx;
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += two->a[pick[i]] - two->b[pick[i]];
    return sum / (double)n;
}

int stats_bootstrap_mean(struct bootstrap *out, const double *a, const double *b,
                         int64_t n, int64_t resamples, uint64_t seed, struct err *err)
{
    struct two_means two = {a, b};
    return stats_bootstrap(out, n, resamples, seed, mean_difference, &two, err);
}

/* ---- correlation ---- */

static bool constant(const double *x, int64_t n)
{
    for (int64_t i = 1; i < n; i++)
        if (x[i] != x[0])
            return false;
    return true;
}

/* Subtracts the mean and scales by a power of two, so that squares stay in range; the sum
 * of squares. */
static double centre(double *x, int64_t n)
{
    double mean = stats_mean(x, n), top = 0, squares = 0;
    int exponent;

    for (int64_t i = 0; i < n; i++) {
        x[i] -= mean;
        top = fmax(fabs(x[i]), top);
    }
    frexp(top, &exponent);
    for (int64_t i = 0; i < n; i++) {
        x[i] = ldexp(x[i], -exponent);
        squares += x[i] * x[i];
    }
    return squares;
}

/* Changes x and y. P(|T| > |t|) is I_{1 - r^2}((n - 2) / 2, 1 / 2). Equal sides give
 * exactly 1, since sqrt(s * s) is s. */
static struct test_result correlate(double *x, double *y, int64_t n)
{
    struct test_result out = {(double)NAN, (double)NAN};
    double sum = 0, xx, yy, r;

    if (n < 2 || constant(x, n) || constant(y, n))
        return out;
    xx = centre(x, n);
    yy = centre(y, n);
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    r = fmax(-1, fmin(1, sum / sqrt(xx * yy)));
    out.statistic = r;
    out.p = n == 2
                ? 1
                : beta_regularised(0.5 * (double)(n - 2), 0.5, (1 - r) * (1 + r), r * r);
    return out;
}

/* Numbers become their ranks from 1. */
static int to_ranks(double *x, int64_t n, struct err *err)
{
    struct placed *v = mem_new(n, sizeof *v, err);

    if (!v)
        return -1;
    for (int64_t i = 0; i < n; i++)
        v[i] = (struct placed){x[i], i};
    qsort(v, (size_t)n, sizeof *v, by_place);
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && v[j].value == v[i].value; j++)
            ;
        for (int64_t k = i; k < j; k++)
            x[v[k].at] = 0.5 * (double)(i + j + 1);
    }
    free(v);
    return 0;
}

static int correlation(struct test_result *out, const double *x, const double *y,
                       int64_t n, bool ranks, struct err *err)
{
    double *a = mem_new(n, sizeof *a, err), *b = mem_new(n, sizeof *b, err);
    int rc = -1;

    if (!a || !b)
        goto done;
    memcpy(a, x, (size_t)n * sizeof *a);
    memcpy(b, y, (size_t)n * sizeof *b);
    if (ranks && (to_ranks(a, n, err) || to_ranks(b, n, err)))
        goto done;
    *out = correlate(a, b, n);
    if (ranks && n == 2)
        out->p = (double)NAN;
    rc = 0;
done:
    free(b);
    free(a);
    return rc;
}

int stats_pearson(struct test_result *out, const double *x, const double *y, int64_t n,
                  struct err *err)
{
    return correlation(out, x, y, n, false, err);
}

int stats_spearman(struct test_result *out, const double *x, const double *y, int64_t n,
                   struct err *err)
{
    return correlation(out, x, y, n, true, err);
}
