/* Statistics against SciPy (tests/parity/make_stats.py) and against what must hold. */
#include "check.h"
#include "retort/stats.h"

// clang-format off
#include "../parity/fixtures/stats.h"
// clang-format on

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void close_to(double ours, double theirs, double tolerance)
{
    if (!(fabs(ours - theirs) <= tolerance * fmax(fabs(theirs), 1e-290)))
        fail_msg("%.17g instead of %.17g", ours, theirs);
}

static void t_quantiles_equal_scipy(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(quantiles); i++)
        close_to(stats_t_quantile(quantiles[i].p, quantiles[i].df), quantiles[i].t, 1e-9);
}

static void t_distribution_equals_scipy(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cdfs); i++)
        close_to(stats_t_cdf(cdfs[i].t, cdfs[i].df), cdfs[i].p, 1e-10);
}

static void paired_t_tests_equal_scipy(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct test_result r = stats_paired_t(pairs[i].a, pairs[i].b, pairs[i].n);
        close_to(r.statistic, pairs[i].t, 1e-10);
        close_to(r.p, pairs[i].p, 1e-10);
    }
}

static void equivalence_equals_statsmodels(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(equivalences); i++) {
        struct equivalence e = stats_equivalence(
            stats_sample(equivalences[i].a, equivalences[i].n),
            stats_sample(equivalences[i].b, equivalences[i].m), equivalences[i].margin);
        close_to(e.df, equivalences[i].df, 1e-10);
        close_to(e.low, equivalences[i].low, 1e-10);
        close_to(e.high, equivalences[i].high, 1e-10);
        close_to(e.p, equivalences[i].p, 1e-10);
        assert_true(e.shown == (e.p < 0.05));
    }
}

static void equivalence_of_few_or_equal_values_is_no_nonsense(void **state)
{
    (void)state;
    struct sample one = {80, (double)NAN, 1}, flat = {80, 0, 3}, other = {81.9, 0, 3};
    assert_true(isnan(stats_equivalence(one, flat, 2).p));
    assert_false(stats_equivalence(one, flat, 2).shown);
    assert_true(stats_equivalence(flat, other, 2).shown);
    assert_false(stats_equivalence(flat, other, 1).shown);
    assert_false(
        stats_equivalence(flat, other, 1.9).shown); /* on the bound is not inside */
}

static void mcnemar_equals_scipys_binomial_test(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(mcnemar); i++)
        close_to(stats_mcnemar(mcnemar[i].b, mcnemar[i].c).p, mcnemar[i].p, 1e-9);
}

static void correlations_equal_scipy(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct test_result r;
    for (size_t i = 0; i < COUNT(correlations); i++) {
        int64_t n = correlations[i].n;
        assert_ok(stats_pearson(&r, correlations[i].x, correlations[i].y, n, &err), &err);
        close_to(r.statistic, correlations[i].r, 1e-12);
        close_to(r.p, correlations[i].r_p, 1e-9);
        assert_ok(stats_spearman(&r, correlations[i].x, correlations[i].y, n, &err),
                  &err);
        close_to(r.statistic, correlations[i].rho, 1e-12);
        close_to(r.p, correlations[i].rho_p, 1e-9);
    }
}

static void a_constant_side_has_no_correlation(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct test_result r;
    double x[] = {1, 2, 3}, flat[] = {4, 4, 4};
    assert_ok(stats_pearson(&r, x, flat, 3, &err), &err);
    assert_true(isnan(r.statistic) && isnan(r.p));
    assert_ok(stats_pearson(&r, x, x, 1, &err), &err);
    assert_true(isnan(r.statistic));
    assert_ok(stats_spearman(&r, x, x, 3, &err), &err);
    assert_true(r.statistic >= 1 && r.p <= 0);
}

static void holms_correction_equals_statsmodels(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    double out[20];
    for (size_t i = 0; i < COUNT(holm); i++) {
        assert_ok(stats_holm(out, holm[i].p, holm[i].n, &err), &err);
        for (int64_t k = 0; k < holm[i].n; k++)
            close_to(out[k], holm[i].adjusted[k], 1e-12);
    }
    double gaps[] = {0.01, (double)NAN, 0.03};
    assert_ok(stats_holm(out, gaps, 3, &err), &err);
    close_to(out[0], 0.02, 1e-12);
    assert_true(isnan(out[1]));
    close_to(out[2], 0.03, 1e-12);
}

static void power_equals_statsmodels(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(powers); i++) {
        double ours = stats_power(powers[i].effect, powers[i].n, powers[i].alpha);
        if (!(fabs(ours - powers[i].power) <= 1e-6))
            fail_msg("effect %g, n %g: %.12g instead of %.12g", powers[i].effect,
                     powers[i].n, ours, powers[i].power);
    }
    for (size_t i = 0; i < COUNT(needed); i++)
        assert_int_equal(stats_pairs_needed(needed[i].effect, needed[i].alpha,
                                            needed[i].power, 1000000),
                         needed[i].n);
    assert_int_equal(stats_pairs_needed(0, 0.05, 0.8, 1000), -1);
    assert_int_equal(stats_pairs_needed(0.01, 0.05, 0.8, 1000), -1);
    assert_true(isnan(stats_power(1, 1, 0.05)));
}

static void few_values_give_nan_and_not_nonsense(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    double x[] = {3, 1, 2, 10};
    assert_true(isnan(stats_mean(x, 0)));
    assert_true(isnan(stats_std(x, 1)));
    assert_true(isnan(stats_interval95(x, 1)));
    assert_true(isnan(stats_median(x, 0, &err)));
    close_to(stats_median(x, 3, &err), 2, 0);
    close_to(stats_median(x, 4, &err), 2.5, 0);
    close_to(stats_mean(x, 4), 4, 0);
}

static void equal_pairs_are_no_evidence(void **state)
{
    (void)state;
    double a[] = {1, 2, 3}, b[] = {2, 3, 4};
    assert_true(stats_paired_t(a, a, 3).p >= 1);
    assert_true(stats_paired_t(a, b, 3).p <= 0);
}

static void the_bootstrap_repeats_and_sees_a_clear_difference(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct bootstrap one, two;
    double a[200], b[200];
    for (int i = 0; i < 200; i++) {
        a[i] = i % 10 != 0; /* 0.9 */
        b[i] = i % 4 != 0;  /* 0.75 */
    }
    assert_ok(stats_bootstrap_mean(&one, a, b, 200, 1000, 1, &err), &err);
    assert_ok(stats_bootstrap_mean(&two, a, b, 200, 1000, 1, &err), &err);
    assert_memory_equal(&one, &two, sizeof(one));
    close_to(one.difference, 0.15, 1e-12);
    assert_true(one.low > 0.05 && one.low < 0.15 && one.high > 0.15 && one.high < 0.25);
    assert_true(one.p < 0.01);
    assert_ok(stats_bootstrap_mean(&one, a, a, 200, 100, 1, &err), &err);
    close_to(one.p, 1, 0);
    assert_fails(stats_bootstrap_mean(&one, a, b, 0, 100, 1, &err), &err, ERR_INPUT,
                 "0 examples");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(t_quantiles_equal_scipy),
        cmocka_unit_test(t_distribution_equals_scipy),
        cmocka_unit_test(paired_t_tests_equal_scipy),
        cmocka_unit_test(equivalence_equals_statsmodels),
        cmocka_unit_test(equivalence_of_few_or_equal_values_is_no_nonsense),
        cmocka_unit_test(mcnemar_equals_scipys_binomial_test),
        cmocka_unit_test(correlations_equal_scipy),
        cmocka_unit_test(a_constant_side_has_no_correlation),
        cmocka_unit_test(holms_correction_equals_statsmodels),
        cmocka_unit_test(power_equals_statsmodels),
        cmocka_unit_test(few_values_give_nan_and_not_nonsense),
        cmocka_unit_test(equal_pairs_are_no_evidence),
        cmocka_unit_test(the_bootstrap_repeats_and_sees_a_clear_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
