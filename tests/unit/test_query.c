/* Questions about runs, and lines in columns. */
#include "../../runner/cli/grid.h"
#include "../../runner/cli/query.h"

#include "check.h"

static struct run_info some_run(void)
{
    struct run_info r = {.state = RUN_SEALED,
                         .id = "abcdef0123",
                         .name = "heads",
                         .stage = "pruned",
                         .method = "prune/heads",
                         .variables = "label=one by one pruned.ratio=0.30 "
                                      "pruned.by=\"a \\\"b\\\" c=d\" seed=3",
                         .seed = 7,
                         .has_seed = true,
                         .started = 1795599923,
                         .seconds = 2.5};
    return r;
}

static bool holds(const char *text)
{
    struct run_info info = some_run();
    struct query_run run = {&info, NULL, NULL, true};
    struct err err = ERR_INIT;
    struct test t;
    bool known = false;

    assert_ok(query_parse(&t, text, &err), &err);
    return query_holds(&t, &run, &known);
}

static void variables_may_hold_blanks_and_quotes(void **state)
{
    struct run_info info = some_run();
    const char *at = info.variables;
    char name[128], value[512];

    (void)state;
    assert_true(variable_next(&at, name, value));
    assert_string_equal(name, "label");
    assert_string_equal(value, "one by one");
    assert_true(variable_next(&at, name, value));
    assert_string_equal(value, "0.30");
    assert_true(variable_next(&at, name, value));
    assert_string_equal(name, "pruned.by");
    assert_string_equal(value, "a \"b\" c=d");
    assert_true(variable_next(&at, name, value));
    assert_string_equal(name, "seed");
    assert_false(variable_next(&at, name, value));
}

static void numbers_are_compared_as_numbers_and_words_by_pattern(void **state)
{
    (void)state;
    assert_true(holds("pruned.ratio=0.3"));
    assert_true(holds("pruned.ratio<=0.3"));
    assert_false(holds("pruned.ratio<0.3"));
    assert_true(holds("pruned.ratio>0.05"));
    assert_true(holds("seconds>=2.5"));
    assert_true(holds("stage=pr*d"));
    assert_true(holds("stage==pruned"));
    assert_false(holds("stage!=pruned"));
    assert_true(holds("method=prune/*"));
    assert_true(holds("label=one*")); /* the point's, since the run has none of its own */
    assert_true(holds("id=abcd"));
    assert_false(holds("id=bcde"));
    assert_true(holds("started>2026-11"));
    assert_false(holds("started>2027"));
}

static void the_seed_of_the_point_goes_before_the_runs_own(void **state)
{
    (void)state;
    assert_true(holds("seed=3"));
    assert_false(holds("seed=7"));
}

static void what_is_not_there_holds_for_nothing(void **state)
{
    struct run_info info = some_run();
    struct query_run run = {&info, NULL, NULL, true};
    struct err err = ERR_INIT;
    struct test t;
    bool known = false;

    (void)state;
    assert_ok(query_parse(&t, "other!=1", &err), &err);
    assert_false(query_holds(&t, &run, &known));
    assert_false(known);
    assert_int_equal(query_unknown("pruned.ration", &run, 1, &err), -1);
    assert_non_null(strstr(err.text, "did you mean \"pruned.ratio\"?"));
}

static void a_word_is_no_test(void **state)
{
    const char *const bad[] = {"pruned", "=3", "a!b", "", ">", NULL};
    struct err err = ERR_INIT;
    struct test t;

    (void)state;
    for (const char *const *b = bad; *b; b++)
        assert_fails(query_parse(&t, *b, &err), &err, ERR_INPUT, "is no test");
}

static void metrics_are_named_by_their_end_or_a_pattern(void **state)
{
    const char *v[] = {"f1", "train/*"};
    struct string_list names = {2, v};

    (void)state;
    assert_true(query_names_metric(&names, "eval/glue/mrpc/dev/f1"));
    assert_true(query_names_metric(&names, "train/loss"));
    assert_false(query_names_metric(&names, "eval/glue/mrpc/dev/xf1"));
    assert_false(query_names_metric(&names, "eval/glue/mrpc/dev/accuracy"));
}

static void times_and_sizes_are_short(void **state)
{
    char text[32];

    (void)state;
    time_text(text, 1795599923);
    assert_string_equal(text, "2026-11-25T09:45:23Z");
    time_text(text, 0);
    assert_string_equal(text, "");
    seconds_text(text, 59.94);
    assert_string_equal(text, "59.9 s");
    seconds_text(text, 125);
    assert_string_equal(text, "2:05");
    seconds_text(text, 3725);
    assert_string_equal(text, "1:02:05");
    bytes_text(text, 999);
    assert_string_equal(text, "999 B");
    bytes_text(text, 999999);
    assert_string_equal(text, "1.0 MB");
    bytes_text(text, 436768);
    assert_string_equal(text, "437 kB");
}

/* Three columns and two rows; what is printed at a width. */
static char *grid_at(int width)
{
    static const struct grid_column col[] = {{.title = "id"},
                                             {.title = "what", .elastic = true},
                                             {.title = "n", .right = true, .rank = 2}};
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct grid *g = grid_new(col, 3, &err);

    grid_put(g, "ab");
    grid_put(g, "pr\xc3\xbc"
                "fung\n einer langen Reihe");
    grid_number(g, 10);
    grid_put(g, "c");
    grid_put(g, "x");
    grid_number(g, 2.5);
    assert_ok(grid_print(g, &out, width, &err), &err);
    grid_free(g);
    return strbuf_take(&out, &err);
}

static void without_a_limit_all_is_shown(void **state)
{
    char *text = grid_at(0);

    (void)state;
    assert_string_equal(text, "id  what                           n\n"
                              "ab  pr\xc3\xbc"
                              "fung? einer langen Reihe   10\n"
                              "c   x                            2.5\n");
    free(text);
}

static void a_narrow_screen_loses_columns_then_letters(void **state)
{
    char *text = grid_at(34);

    (void)state;
    assert_string_equal(text, "id  what\n"
                              "ab  pr\xc3\xbc"
                              "fung? einer langen Reihe\n"
                              "c   x\n");
    free(text);
    text = grid_at(24);
    assert_string_equal(text, "id  what\n"
                              "ab  pr\xc3\xbc"
                              "fung? einer la...\n"
                              "c   x\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_may_hold_blanks_and_quotes),
        cmocka_unit_test(numbers_are_compared_as_numbers_and_words_by_pattern),
        cmocka_unit_test(the_seed_of_the_point_goes_before_the_runs_own),
        cmocka_unit_test(what_is_not_there_holds_for_nothing),
        cmocka_unit_test(a_word_is_no_test),
        cmocka_unit_test(metrics_are_named_by_their_end_or_a_pattern),
        cmocka_unit_test(times_and_sizes_are_short),
        cmocka_unit_test(without_a_limit_all_is_shown),
        cmocka_unit_test(a_narrow_screen_loses_columns_then_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
