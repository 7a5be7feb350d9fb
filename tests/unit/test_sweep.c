/* Sweeps: which points each block gives, and what is refused. */
#include "spec_methods.h"

#include <math.h>

#include "retort/rng.h"

/* Every point as "label|var=value,..." lines, seeds left out. */
static void assert_points(const char *sweep, const char *set, const char *want)
{
    char text[4096];
    struct strbuf sb = STRBUF_INIT;

    snprintf(text, sizeof(text), SPEC(", \"sweep\": %s"), sweep);
    struct spec *spec = load_ok(text, set);
    for (int64_t i = 0; spec && i < spec_point_count(spec); i++) {
        const struct point *p = spec_point(spec, i);
        strbuf_printf(&sb, "%s|", p->label ? p->label : "");
        for (int64_t v = 0; v < p->n_vars; v++)
            strbuf_printf(&sb, "%s%s=%s", v ? "," : "", strchr(p->var[v], '.') + 1,
                          p->value[v]);
        strbuf_putc(&sb, '\n');
    }
    assert_string_equal(strbuf_text(&sb), want);
    strbuf_release(&sb);
    spec_free(spec);
}

static void grid_is_the_product_of_its_variables(void **state)
{
    (void)state;
    assert_points("{\"grid\": {\"pruned.ratio\": [0, 0.5], \"pruned.order\": "
                  "[\"importance\", \"random\"]}}",
                  NULL,
                  "|ratio=0,order=\"importance\"\n|ratio=0,order=\"random\"\n"
                  "|ratio=0.5,order=\"importance\"\n|ratio=0.5,order=\"random\"\n");
}

static void zip_pairs_its_variables(void **state)
{
    (void)state;
    assert_points("{\"zip\": {\"teacher.epochs\": [1, 2], \"teacher.lr\": [0.1, 0.2]}}",
                  NULL, "|epochs=1,lr=0.1\n|epochs=2,lr=0.2\n");
    refused(SPEC(", \"sweep\": {\"zip\": {\"teacher.epochs\": [1, 2], \"teacher.lr\": "
                 "[0.1]}}"),
            "\"teacher.lr\" has 1 values, \"teacher.epochs\" has 2");
}

static void list_items_carry_labels(void **state)
{
    (void)state;
    assert_points(
        "{\"list\": [{\"label\": \"long\", \"teacher.epochs\": 9, \"teacher.lr\": 0.1},"
        " {\"label\": \"short\", \"teacher.epochs\": 1}]}",
        NULL, "long|epochs=9,lr=0.1\nshort|epochs=1\n");
}

static void lists_multiply_and_join_their_labels(void **state)
{
    (void)state;
    assert_points(
        "{\"list\": [{\"label\": \"a\", \"teacher.epochs\": 1}, {\"label\": \"b\", "
        "\"teacher.epochs\": 2}], \"concat\": [{\"list\": [{\"label\": \"x\", "
        "\"pruned.ratio\": 0}]}, {\"grid\": {\"pruned.ratio\": [1]}}]}",
        NULL,
        "a / x|epochs=1,ratio=0\na|epochs=1,ratio=1\nb / x|epochs=2,ratio=0\n"
        "b|epochs=2,ratio=1\n");
    refused(SPEC(", \"sweep\": {\"list\": [{\"label\": \"\", \"teacher.lr\": 1}]}"),
            "\"label\" wants a string that is not empty");
}

static void a_star_sets_the_option_wherever_it_is_given(void **state)
{
    struct spec *spec =
        load_ok(SPEC(", \"sweep\": {\"grid\": {\"*.task\": [\"synth/match\"]}}"), NULL);

    (void)state;
    assert_int_equal(spec_point_count(spec), 1);
    spec_free(spec);
    refused(SPEC(", \"sweep\": {\"grid\": {\"*.nix\": [1]}}"), "no stage gives \"nix\"");
    refused_with(SPEC(""), "*.nix=1", "no stage gives \"nix\"");
    assert_points("{\"grid\": {\"pruned.ratio\": [0, 1], \"teacher.epochs\": [1, 2]}}",
                  "*.ratio=0.5", "|epochs=1\n|epochs=2\n");
}

static void a_whole_stage_can_be_a_value(void **state)
{
    struct spec *spec = load_ok(
        SPEC(", \"sweep\": {\"list\": [{\"label\": \"with\"}, {\"label\": \"without\", "
             "\"result\": null}]}"),
        NULL);

    (void)state;
    assert_int_equal(spec_point_count(spec), 2);
    assert_int_equal(spec_stage_count(spec), 4);
    spec_free(spec);
    refused(SPEC(", \"sweep\": {\"grid\": {\"result\": [1]}}"),
            "alone takes whole stages");
}

static void blocks_without_content_are_refused(void **state)
{
    (void)state;
    refused(SPEC(", \"sweep\": {\"grid\": {}}"), "\"grid\" wants an object of variables");
    refused(SPEC(", \"sweep\": {\"grid\": {\"teacher.lr\": []}}"), "a list of values");
    refused(SPEC(", \"sweep\": {\"list\": []}"), "\"list\" wants a list of objects");
    refused(SPEC(", \"sweep\": {\"concat\": []}"), "\"concat\" wants a list of blocks");
    refused(SPEC(", \"sweep\": {\"gird\": {}}"), "did you mean \"grid\"?");
    refused(SPEC(", \"sweep\": {\"grid\": {\"teacher.lr\": [1]}, \"zip\": "
                 "{\"teacher.lr\": [2]}}"),
            "\"teacher.lr\" is swept twice");
}

static void concat_puts_blocks_one_after_another(void **state)
{
    (void)state;
    assert_points("{\"concat\": [{\"grid\": {\"pruned.ratio\": [0]}}, {\"grid\": "
                  "{\"teacher.epochs\": [7]}}]}",
                  NULL, "|ratio=0\n|epochs=7\n");
}

static void range_gives_the_decimals_that_one_writes(void **state)
{
    (void)state;
    assert_points("{\"grid\": {\"pruned.ratio\": {\"range\": [0, 0.4, 0.1]}}}", NULL,
                  "|ratio=0\n|ratio=0.1\n|ratio=0.2\n|ratio=0.3\n|ratio=0.4\n");
}

static void range_leads_down_and_refuses_what_leads_nowhere(void **state)
{
    (void)state;
    assert_points("{\"grid\": {\"pruned.ratio\": {\"range\": [0.3, 0, -0.1]}}}", NULL,
                  "|ratio=0.3\n|ratio=0.2\n|ratio=0.1\n|ratio=0\n");
    assert_points("{\"grid\": {\"pruned.ratio\": {\"range\": [0.25, 0.25, 1]}}}", NULL,
                  "|ratio=0.25\n");
    assert_points("{\"grid\": {\"pruned.ratio\": {\"range\": [0, 0.5, 0.2]}}}", NULL,
                  "|ratio=0\n|ratio=0.2\n|ratio=0.4\n");
    refused(SPEC(", \"sweep\": {\"grid\": {\"pruned.ratio\": {\"range\": [0, 1, -1]}}}"),
            "no value: the step must lead from 0 to 1");
    refused(SPEC(", \"sweep\": {\"grid\": {\"pruned.ratio\": {\"range\": [0, 1, 0]}}}"),
            "a step of 0 leads nowhere");
    refused(SPEC(", \"sweep\": {\"grid\": {\"pruned.ratio\": {\"range\": [0, 1]}}}"),
            "\"range\" wants three numbers");
    refused(
        SPEC(", \"sweep\": {\"grid\": {\"pruned.ratio\": {\"range\": [0, 1, 1e-9]}}}"),
        "more than 200000 values");
}

static void log_gives_round_middles(void **state)
{
    (void)state;
    assert_points("{\"grid\": {\"teacher.lr\": {\"log\": [1e-5, 1e-3, 3]}}}", NULL,
                  "|lr=0.00001\n|lr=0.0001\n|lr=0.001\n");
}

static void log_keeps_its_ends_and_refuses_zero(void **state)
{
    (void)state;
    assert_points("{\"grid\": {\"teacher.lr\": {\"log\": [0.3, 0.7, 2]}}}", NULL,
                  "|lr=0.3\n|lr=0.7\n");
    assert_points("{\"grid\": {\"teacher.lr\": {\"log\": [0.3, 0.7, 1]}}}", NULL,
                  "|lr=0.3\n");
    refused(SPEC(", \"sweep\": {\"grid\": {\"teacher.lr\": {\"log\": [0, 1, 3]}}}"),
            "both ends above 0");
    refused(SPEC(", \"sweep\": {\"grid\": {\"teacher.lr\": {\"log\": [1, 2, 2.5]}}}"),
            "a whole count");
}

/* Values of variable `var` at all points. */
static void values_of(double *out, int n, const char *sweep, int var)
{
    char text[4096];

    snprintf(text, sizeof(text), SPEC(", \"sweep\": %s"), sweep);
    struct spec *spec = load_ok(text, NULL);
    assert_int_equal(spec_point_count(spec), n);
    for (int i = 0; i < n; i++)
        assert_int_equal(text_double(&out[i], spec_point(spec, i)->value[var]), 0);
    spec_free(spec);
}

static void random_draws_from_the_variables_own_stream(void **state)
{
    struct rng rng = rng_stream(0, "sweep/teacher.lr");
    double got[5];

    (void)state;
    values_of(got, 5,
              "{\"grid\": {\"teacher.lr\": {\"random\": {\"count\": 5, \"low\": 0.2, "
              "\"high\": 0.6}}}}",
              0);
    for (int i = 0; i < 5; i++)
        assert_true(fabs(got[i] - (0.2 + 0.4 * rng_uniform(&rng))) < 1e-12);
}

static void one_more_random_variable_moves_no_other(void **state)
{
#define LR                                                                               \
    "\"teacher.lr\": {\"random\": {\"count\": 4, \"low\": 1e-5, \"high\": 1e-2, "        \
    "\"log\": true}}"
#define EPOCHS                                                                           \
    "\"teacher.epochs\": {\"random\": {\"count\": 4, \"low\": 1, \"high\": 9, "          \
    "\"int\": true}}"
    double alone[4], beside[4], epochs[4], other[4];
    bool moved = false;

    (void)state;
    values_of(alone, 4, "{\"zip\": {" LR "}}", 0);
    values_of(beside, 4, "{\"zip\": {" EPOCHS ", " LR "}}", 1);
    values_of(epochs, 4, "{\"zip\": {" EPOCHS ", " LR "}}", 0);
    assert_memory_equal(alone, beside, sizeof alone);
    for (int i = 0; i < 4; i++) {
        assert_true(alone[i] >= 1e-5 && alone[i] <= 1e-2);
        assert_true(epochs[i] >= 1 && epochs[i] <= 9 && epochs[i] <= floor(epochs[i]));
    }
    values_of(other, 4,
              "{\"zip\": {\"teacher.lr\": {\"random\": {\"count\": 4, \"low\": 1e-5, "
              "\"high\": 1e-2, \"log\": true, \"seed\": 1}}}}",
              0);
    for (int i = 0; i < 4; i++)
        moved = moved || fabs(other[i] - alone[i]) > 0;
    assert_true(moved);
#undef LR
#undef EPOCHS
}

static void random_chooses_and_reaches_both_ends(void **state)
{
    int seen[4] = {0};
    double got[3];

    (void)state;
    /* Equal draws are one point, so as many points come as there are values. */
    values_of(got, 3,
              "{\"grid\": {\"teacher.epochs\": {\"random\": {\"count\": 60, \"low\": 1, "
              "\"high\": 3, \"int\": true}}}}",
              0);
    for (int i = 0; i < 3; i++)
        seen[(int)got[i]]++;
    assert_true(seen[1] == 1 && seen[2] == 1 && seen[3] == 1);
    values_of(
        got, 2,
        "{\"grid\": {\"teacher.epochs\": {\"random\": {\"count\": 30, \"choices\": [4, "
        "8]}}}}",
        0);
    assert_true(got[0] + got[1] > 11.9 && got[0] + got[1] < 12.1);
}

static void random_with_too_little_is_refused(void **state)
{
    static const char *const wrong[] = {
        "{\"low\": 1, \"high\": 2}",
        "{\"count\": 0, \"low\": 1, \"high\": 2}",
        "{\"count\": 2.5, \"low\": 1, \"high\": 2}",
        "{\"count\": 2, \"low\": 3, \"high\": 2}",
        "{\"count\": 2, \"low\": 0, \"high\": 2, \"log\": true}",
        "{\"count\": 2, \"low\": 0.5, \"high\": 2, \"int\": true}",
        "{\"count\": 2, \"choices\": []}",
        "{\"count\": 2, \"low\": 1, \"high\": 2, \"seed\": -1}",
    };
    char text[1024];

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(text, sizeof(text),
                 SPEC(", \"sweep\": {\"grid\": {\"teacher.lr\": {\"random\": %s}}}"),
                 wrong[i]);
        refused(text, "\"random\" wants a whole \"count\"");
    }
    refused(SPEC(", \"sweep\": {\"grid\": {\"teacher.lr\": {\"random\": {\"count\": 1, "
                 "\"choises\": [1]}}}}"),
            "did you mean \"choices\"?");
}

static void when_extends_points_that_meet_a_condition(void **state)
{
    (void)state;
    assert_points(
        "{\"grid\": {\"pruned.ratio\": [0, 0.5]}, \"when\": [{\"if\": {\"pruned.ratio\": "
        "{\"gt\": 0}}, \"grid\": {\"pruned.order\": [\"importance\", \"random\"]}}]}",
        NULL, "|ratio=0\n|ratio=0.5,order=\"importance\"\n|ratio=0.5,order=\"random\"\n");
}

static void when_knows_labels_and_what_the_stage_says(void **state)
{
    (void)state;
    assert_points(
        "{\"list\": [{\"label\": \"a\", \"teacher.epochs\": 1}, {\"label\": "
        "\"b\", \"teacher.epochs\": 2}], \"when\": [{\"if\": {\"label\": \"b\", "
        "\"teacher.task\": \"synth/agreement\"}, \"grid\": {\"pruned.ratio\": "
        "[0, 1]}}]}",
        NULL, "a|epochs=1\nb|epochs=2,ratio=0\nb|epochs=2,ratio=1\n");
    /* The second block sees what the first one added. */
    assert_points("{\"grid\": {\"pruned.ratio\": [0, 1]}, \"when\": [{\"if\": "
                  "{\"pruned.ratio\": 1}, \"grid\": {\"teacher.epochs\": [1, 2]}}, "
                  "{\"if\": {\"teacher.epochs\": 2}, \"grid\": {\"teacher.lr\": [1]}}]}",
                  NULL, "|ratio=0\n|ratio=1,epochs=1\n|ratio=1,epochs=2,lr=1\n");
}

static void conditions_that_could_never_hold_are_refused(void **state)
{
    (void)state;
#define GRID ", \"sweep\": {\"grid\": {\"pruned.ratio\": [0, 1]}, "
    refused(SPEC(GRID "\"exclude\": [{\"pruned.ratoi\": 0}]}"),
            "no point has a \"pruned.ratoi\" here");
    refused(SPEC(GRID "\"exclude\": [{\"label\": \"x\"}]}"),
            "no point has a \"label\" here");
    refused(SPEC(GRID "\"exclude\": [{\"prunde.ratio\": 0}]}"),
            "did you mean \"pruned\"?");
    refused(SPEC(GRID "\"exclude\": [{\"pruned.ratio\": {\"gtt\": 0}}]}"),
            "did you mean \"gt\"?");
    refused(SPEC(GRID "\"exclude\": [{\"pruned.ratio\": {\"gt\": \"0\"}}]}"),
            "\"gt\" wants a number, this is a string");
    refused(SPEC(GRID "\"exclude\": [{}]}"), "a condition is an object");
    refused(SPEC(GRID "\"when\": [{\"grid\": {\"teacher.lr\": [1]}}]}"),
            "a block with \"if\"");
    refused(SPEC(GRID "\"when\": [{\"if\": {\"pruned.ratio\": 0}}]}"), "but no block");
#undef GRID
}

static void exclude_takes_points_out(void **state)
{
    (void)state;
    assert_points("{\"grid\": {\"pruned.ratio\": [0, 0.5, 1]}, \"exclude\": "
                  "[{\"pruned.ratio\": [0, 1]}]}",
                  NULL, "|ratio=0.5\n");
    refused(SPEC(", \"sweep\": {\"grid\": {\"pruned.ratio\": [0]}, \"exclude\": "
                 "[{\"pruned.ratio\": 0}]}"),
            "\"exclude\" leaves no point");
}

static void exclude_compares(void **state)
{
    static const struct {
        const char *test, *want;
    } cases[] = {
        {"{\"lt\": 2}", "|epochs=2\n|epochs=3\n"},
        {"{\"le\": 2}", "|epochs=3\n"},
        {"{\"gt\": 2}", "|epochs=1\n|epochs=2\n"},
        {"{\"ge\": 2}", "|epochs=1\n"},
        {"{\"ne\": 2}", "|epochs=2\n"},
        {"{\"ge\": 2, \"lt\": 3}", "|epochs=1\n|epochs=3\n"},
        {"2", "|epochs=1\n|epochs=3\n"},
        {"[1, 3]", "|epochs=2\n"},
    };
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof(text),
                 "{\"grid\": {\"teacher.epochs\": [1, 2, 3]}, \"exclude\": "
                 "[{\"teacher.epochs\": %s}]}",
                 cases[i].test);
        assert_points(text, NULL, cases[i].want);
    }
}

static void set_takes_a_variable_out_of_the_sweep(void **state)
{
    (void)state;
    assert_points(
        "{\"grid\": {\"pruned.ratio\": [0, 0.5, 1], \"teacher.epochs\": [1, 2]}}",
        "pruned.ratio=0.35", "|epochs=1\n|epochs=2\n");
    spec_free(load_ok(SPEC(""), "teacher.model=../models/x")); /* dots in a value */
    refused_with(SPEC(""), "teacher..lr=1", "write it as stage.option=value");
    refused_with(SPEC(""), "prunde.ratio=0.1",
                 "--set prunde.ratio=0.1: error: no stage is named \"prunde\"; did you "
                 "mean \"pruned\"?");
    refused_with(SPEC(""), "pruned.ratio=x", "\"ratio\" of prune/heads wants a number");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grid_is_the_product_of_its_variables),
        cmocka_unit_test(zip_pairs_its_variables),
        cmocka_unit_test(list_items_carry_labels),
        cmocka_unit_test(lists_multiply_and_join_their_labels),
        cmocka_unit_test(a_star_sets_the_option_wherever_it_is_given),
        cmocka_unit_test(a_whole_stage_can_be_a_value),
        cmocka_unit_test(blocks_without_content_are_refused),
        cmocka_unit_test(concat_puts_blocks_one_after_another),
        cmocka_unit_test(range_gives_the_decimals_that_one_writes),
        cmocka_unit_test(range_leads_down_and_refuses_what_leads_nowhere),
        cmocka_unit_test(log_gives_round_middles),
        cmocka_unit_test(log_keeps_its_ends_and_refuses_zero),
        cmocka_unit_test(random_draws_from_the_variables_own_stream),
        cmocka_unit_test(one_more_random_variable_moves_no_other),
        cmocka_unit_test(random_chooses_and_reaches_both_ends),
        cmocka_unit_test(random_with_too_little_is_refused),
        cmocka_unit_test(when_extends_points_that_meet_a_condition),
        cmocka_unit_test(when_knows_labels_and_what_the_stage_says),
        cmocka_unit_test(conditions_that_could_never_hold_are_refused),
        cmocka_unit_test(exclude_takes_points_out),
        cmocka_unit_test(exclude_compares),
        cmocka_unit_test(set_takes_a_variable_out_of_the_sweep),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
