#include "check.h"

#include "retort/rng.h"

/* fixtures/rng.txt is what numpy.random.PCG64 draws (tests/parity/make_rng.py). */
static void streams_draw_what_numpy_draws(void **state)
{
    char purpose[1024];
    unsigned long long seed, want;
    double uniform;
    int rows = 0;
    FILE *f = fopen("tests/parity/fixtures/rng.txt", "r");

    (void)state;
    assert_non_null(f);
    while (fscanf(f, "%1023s %llu", purpose, &seed) == 2) {
        const char *name = strcmp(purpose, "-") ? purpose : "";
        struct rng rng = rng_stream(seed, name), far = rng, unit = rng;
        for (int i = 0; i < 8; i++) {
            assert_int_equal(fscanf(f, "%llu", &want), 1);
            assert_true(rng_next(&rng) == want);
        }
        assert_int_equal(fscanf(f, "%llu %la", &want, &uniform), 2);
        rng_advance(&far, 1000000);
        assert_true(rng_next(&far) == want);
        assert_true(rng_uniform(&unit) == uniform);
        rows++;
    }
    fclose(f);
    assert_int_equal(rows, 8);
}

static void a_formatted_purpose_is_the_same_stream(void **state)
{
    char name[700];

    (void)state;
    struct rng a = rng_stream(3, "order/mrpc/2"),
               b = rng_streamf(3, "order/%s/%d", "mrpc", 2);
    assert_true(a.state == b.state && a.inc == b.inc);
    memset(name, 'q', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    a = rng_stream(3, name);
    b = rng_streamf(3, "%s", name);
    assert_true(a.state == b.state && a.inc == b.inc);
}

static void advancing_is_stepping(void **state)
{
    (void)state;
    for (uint64_t n = 0; n < 200; n++) {
        struct rng a = rng_stream(n, "advance"), b = a;
        for (uint64_t i = 0; i < n; i++)
            rng_next(&a);
        rng_advance(&b, n);
        assert_true(a.state == b.state && a.inc == b.inc);
    }
}

static void numbers_below_n_are_in_range_and_even(void **state)
{
    struct rng rng = rng_stream(5, "below");
    int count[7] = {0};

    (void)state;
    for (int i = 0; i < 70000; i++)
        count[rng_below(&rng, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(count[i], 9500, 10500); /* 5 standard deviations are 463 */
    assert_int_equal(rng_below(&rng, 1), 0);
    for (int i = 0; i < 100; i++)
        assert_true(rng_below(&rng, UINT64_MAX - 5) < UINT64_MAX - 5);
}

static void normals_have_mean_0_and_variance_1(void **state)
{
    struct rng rng = rng_stream(5, "normal"), same = rng;
    double sum = 0, squares = 0;
    int n = 100000;

    (void)state;
    for (int i = 0; i < n; i++) {
        double x = rng_normal(&rng);
        assert_true(isfinite(x));
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / n) < 0.016);         /* 5 / sqrt(n) */
    assert_true(fabs(squares / n - 1) < 0.023); /* 5 sqrt(2 / n) */
    rng_advance(&same, 2 * (uint64_t)n);
    assert_true(same.state == rng.state);
}

static void a_shuffle_is_a_permutation(void **state)
{
    struct rng rng = rng_stream(9, "shuffle");
    int64_t index[1000];
    char seen[1000] = {0};
    int moved = 0;

    (void)state;
    for (int64_t i = 0; i < 1000; i++)
        index[i] = i;
    rng_shuffle(&rng, index, 1000);
    for (int64_t i = 0; i < 1000; i++) {
        assert_false(seen[index[i]]);
        seen[index[i]] = 1;
        moved += index[i] != i;
    }
    assert_true(moved > 980);
    rng_shuffle(&rng, index, 0);
    rng_shuffle(&rng, index, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_draw_what_numpy_draws),
        cmocka_unit_test(a_formatted_purpose_is_the_same_stream),
        cmocka_unit_test(advancing_is_stepping),
        cmocka_unit_test(numbers_below_n_are_in_range_and_even),
        cmocka_unit_test(normals_have_mean_0_and_variance_1),
        cmocka_unit_test(a_shuffle_is_a_permutation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
