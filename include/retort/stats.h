/*
 * Statistics of a few runs, or of the examples of two runs.
 *
 * Plain values in memory; sums are in the order of the values. NaN says that a number is
 * not defined for so few values, as SciPy says it.
 */
#ifndef RETORT_STATS_H
#define RETORT_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "retort/err.h"

double stats_mean(const double *x, int64_t n); /* NaN if n is 0 */
double stats_std(const double *x, int64_t n); /* n - 1 in the denominator; NaN if n < 2 */
double stats_median(const double *x, int64_t n, struct err *err); /* NaN if n is 0 */

/* Student's t with df > 0 degrees of freedom: P(T <= t), and its inverse for 0 < p < 1.
 */
double stats_t_cdf(double t, double df);
double stats_t_quantile(double p, double df);
/* Half the width of the 95 % interval of the mean: t(0.975, n - 1) * std / sqrt(n). NaN
 * if n < 2. */
double stats_interval95(const double *x, int64_t n);

struct test_result {
    double statistic;
    double p; /* two-sided */
};

/* Paired t-test of a against b. Equal pairs give statistic 0 and p 1; differences that
 * are all the same and not 0 give an infinite statistic and p 0; n < 2 gives NaN. */
struct test_result stats_paired_t(const double *a, const double *b, int64_t n);

/*
 * The chance that a two-sided paired t-test of n pairs at level alpha sees a difference
 * of `effect` standard deviations of the pairs' differences:
 *
 *     P(|T| > t(1 - alpha / 2, n - 1)),   T noncentral t on n - 1 degrees of freedom with
 *                                         noncentrality effect sqrt(n)
 *
 * NaN if n < 2 or effect is no number.
 */
double stats_power(double effect, double n, double alpha);
/* The smallest number of pairs whose power is at least `power`; -1 if more than `most`
 * would be needed. */
int64_t stats_pairs_needed(double effect, double alpha, double power, int64_t most);

/* What is known of a set of runs: their mean, standard deviation (n - 1) and number. */
struct sample {
    double mean, std;
    int64_t n;
};
struct sample stats_sample(const double *x, int64_t n);

/*
 * Are two means the same, but for less than `margin`? Two one-sided tests (Schuirmann
 * 1987) without the assumption of equal variances (Welch 1947):
 *
 *     s^2 = va + vb                         va = std_a^2 / n_a, vb likewise
 *     df  = s^4 / (va^2 / (n_a - 1) + vb^2 / (n_b - 1))
 *     p   = max(P(T >= (d + margin) / s), P(T <= (d - margin) / s))
 *
 * p < 0.05 exactly where the 90 % interval of the difference d lies inside +-margin. NaN,
 * and not shown, if either side has fewer than two runs or no deviation is told.
 */
struct equivalence {
    double difference; /* mean of a less mean of b */
    double df;
    double low, high; /* 90 % interval of the difference */
    double p;
    bool shown; /* the interval lies inside the margin */
};
struct equivalence stats_equivalence(struct sample a, struct sample b, double margin);

/* McNemar's exact test: of the examples on which two classifiers disagree, `b` were right
 * only by the first, `c` only by the second. statistic is min(b, c). */
struct test_result stats_mcnemar(int64_t b, int64_t c);

/* Holm's step-down correction (1979) of n p-values: the k-th smallest (from 0) times n -
 * k, at least the one before it, at most 1. NaN stands for a test that was not made: it
 * stays NaN and does not count in n. */
int stats_holm(double *adjusted, const double *p, int64_t n, struct err *err);

/*
 * Paired bootstrap over examples (Koehn 2004; Efron & Tibshirani 1993): each resample
 * draws n example numbers from the stream (seed, "bootstrap") and asks `difference` for
 * the metric of A less that of B on them.
 *
 *   low, high   2.5 % and 97.5 % percentiles of the resampled differences
 *   p           two-sided: twice the smaller share of resamples at or beyond 0, (k + 1) /
 * (m + 1), at most 1
 */
struct bootstrap {
    double difference; /* on all examples, each once */
    double low, high;
    double p;
};
/* The same from m resampled differences made elsewhere: sorts them. Those that are NaN
 * (the metric is not defined on the resample) do not count. */
void stats_bootstrap_of(struct bootstrap *out, double difference, double *resampled,
                        int64_t m);
int stats_bootstrap(struct bootstrap *out, int64_t n, int64_t resamples, uint64_t seed,
                    double (*difference)(void *ctx, const int64_t *pick, int64_t n),
                    void *ctx, struct err *err);
/* The same for a mean over examples: a and b hold one score for each. */
int stats_bootstrap_mean(struct bootstrap *out, const double *a, const double *b,
                         int64_t n, int64_t resamples, uint64_t seed, struct err *err);

/*
 * Correlation of x and y, with the two-sided p of no correlation: t = r sqrt((n - 2) / (1
 * - r^2)) on n - 2 degrees of freedom, as SciPy computes both.
 *
 *     pearson   sum (x - mx)(y - my) / (|x - mx| |y - my|), kept within [-1, 1]
 *     spearman  pearson of the ranks; equal values share the mean of their ranks
 *
 * statistic is r. NaN for fewer than two values or if one side is constant; p is NaN for
 * n = 2 with spearman, 1 with pearson.
 */
int stats_pearson(struct test_result *out, const double *x, const double *y, int64_t n,
                  struct err *err);
int stats_spearman(struct test_result *out, const double *x, const double *y, int64_t n,
                   struct err *err);

#endif
