/* Tables on plain observations: cells, marks, the paper's figures, formats, plots. */
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "retort/file.h"
#include "retort/report.h"

static const char declaration[] =
    "{\"table\": 1, \"title\": \"Invented & tried\", \"spec\": \"s.json\", \"stage\": "
    "\"result\","
    " \"metric\": \"acc\", \"rows\": [{\"name\": \"importance\", \"label\": "
    "\"importance\", "
    "\"paper\": \"score\"}, {\"name\": \"random_order\", \"where\": {\"by\": "
    "\"random\"}}],"
    " \"columns\": {\"variable\": \"p.ratio\", \"name\": \"heads pruned\", \"scale\": "
    "100, "
    "\"unit\": \"%\", \"paper_scale\": 100}, \"seeds\": [1, 2, 3], \"scale\": 100,"
    " \"digits\": 1, \"unit\": \"%\"";

#define ROWS 24
static char store[ROWS][3][16];
static const char *const vars[] = {"p.ratio", "by"};
static const char *values[ROWS][2];

/* 2 arms x 4 ratios x 3 seeds of invented accuracies. */
static void invent(struct observation *obs)
{
    for (int i = 0; i < ROWS; i++) {
        int arm = i / 12, ratio = i / 3 % 4, seed = i % 3 + 1;
        snprintf(store[i][0], 16, ratio ? "0.%d" : "0", ratio);
        snprintf(store[i][1], 16, "run%d", i);
        values[i][0] = store[i][0];
        values[i][1] = arm ? "\"random\"" : "\"score\"";
        obs[i] = (struct observation){"result",
                                      "acc",
                                      arm ? NULL : "importance",
                                      2,
                                      vars,
                                      values[i],
                                      (uint64_t)seed,
                                      0.9 - 0.02 * (1 + 4 * arm) * ratio * ratio +
                                          0.01 * (1 + arm * ratio) * (seed - 2),
                                      store[i][1],
                                      false,
                                      false};
    }
}

static struct table *filled(struct observation *obs, int64_t n, const char *more,
                            const char *dir)
{
    struct err err = ERR_INIT;
    struct table *t = NULL;
    char text[2048];
    snprintf(text, sizeof(text), "%s%s}", declaration, more);
    assert_ok(table_parse(&t, text, "t.json", dir, &err), &err);
    assert_ok(table_fill(t, obs, n, &err), &err);
    return t;
}

static void cells_hold_mean_and_std_over_seeds(void **state)
{
    (void)state;
    struct observation obs[ROWS];
    invent(obs);
    struct table *t = filled(obs, ROWS, "", ".");
    assert_int_equal(table_rows(t), 2);
    assert_int_equal(table_cols(t), 4);
    assert_string_equal(table_col_name(t, 3), "30 %");
    const struct table_cell *c = table_cell(t, 0, 1);
    assert_int_equal(c->n, 3);
    assert_float_equal(c->mean, 88.0, 1e-9);
    assert_float_equal(c->std, 1.0, 1e-9);
    assert_int_equal(table_problems(t), 0);
    table_free(t);
}

static void missing_partial_and_stale_cells_are_marked(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct observation obs[ROWS];
    invent(obs);
    obs[0].x = obs[1].x = obs[2].x = (double)NAN;
    obs[4].x = (double)NAN;
    obs[6].stale = true;
    struct table *t = filled(obs, ROWS, "", ".");
    assert_int_equal(table_cell(t, 0, 0)->state, CELL_MISSING);
    assert_int_equal(table_cell(t, 0, 1)->state, CELL_PARTIAL);
    assert_int_equal(table_cell(t, 0, 2)->state, CELL_STALE);
    assert_int_equal(table_problems(t), 3);
    assert_ok(table_print(t, TABLE_MD, &out, &err), &err);
    assert_non_null(
        strstr(out.text, "| importance | missing | 88.0 ± 1.4 (2)\\* | 82.0 ± 1.0! |"));
    strbuf_release(&out);
    table_free(t);
}

static void a_run_that_serves_two_seeds_counts_once(void **state)
{
    (void)state;
    struct observation obs[ROWS];
    invent(obs);
    obs[1].run_id = obs[0].run_id;
    struct table *t = filled(obs, ROWS, "", ".");
    assert_int_equal(table_cell(t, 0, 0)->n, 2);
    assert_int_equal(table_cell(t, 0, 0)->state, CELL_OK);
    table_free(t);
}

static void two_runs_for_one_seed_are_refused(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct table *t = NULL;
    struct observation obs[ROWS];
    char text[2048];
    invent(obs);
    obs[1].seed = 1;
    snprintf(text, sizeof(text), "%s}", declaration);
    assert_ok(table_parse(&t, text, "t.json", ".", &err), &err);
    assert_fails(table_fill(t, obs, ROWS, &err), &err, ERR_INPUT, "seed 1 has two runs");
    table_free(t);
}

static void bad_declarations_name_all_places(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct table *t = NULL;
    assert_fails(
        table_parse(&t, "{\"table\": 1, \"titel\": \"x\", \"rows\": 3, \"columns\": {}}",
                    "t.json", ".", &err),
        &err, ERR_INPUT, "did you mean \"title\"?");
    assert_null(t);
    assert_fails(table_parse(&t, "[]", "t.json", ".", &err), &err, ERR_INPUT, "object");
    assert_fails(table_parse(&t, "", "t.json", ".", &err), &err, ERR_INPUT, "t.json");
}

static char *scratch(void)
{
    static char dir[] = "/tmp/retort-table-XXXXXX";
    static bool made;
    if (!made)
        assert_non_null(mkdtemp(dir));
    made = true;
    return dir;
}

static const char paper_json[] =
    "{\"paper\": \"An invented one\", \"tables\": [{\"id\": \"Figure 9\", \"columns\": "
    "[\"% heads pruned\", \"score\"], \"rows\": [[0, 0.91], [10, 0.86], [20, 0.84]]}]}";

static void the_papers_figures_stand_beside(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct observation obs[ROWS];
    char path[128];
    invent(obs);
    snprintf(path, sizeof(path), "%s/p.json", scratch());
    assert_ok(file_write(path, paper_json, (int64_t)strlen(paper_json), &err), &err);
    struct table *t =
        filled(obs, ROWS,
               ", \"paper\": {\"file\": \"p.json\", \"table\": \"Figure 9\", "
               "\"keys\": \"columns\", \"scale\": 100}",
               scratch());
    assert_float_equal(table_cell(t, 0, 1)->paper, 86.0, 1e-9);
    assert_true(isnan(table_cell(t, 0, 3)->paper));
    assert_true(isnan(table_cell(t, 1, 1)->paper));
    assert_ok(table_print(t, TABLE_MD, &out, &err), &err);
    assert_non_null(strstr(out.text, "| paper | 91.0 | 86.0 | 84.0 | – |"));
    assert_non_null(strstr(out.text, "| difference | -1.0 | +2.0 | -2.0 | – |"));
    strbuf_clear(&out);
    assert_ok(table_print(t, TABLE_LATEX, &out, &err), &err);
    assert_non_null(strstr(out.text, "random\\_order & 90.0 $\\pm$ 1.0"));
    assert_non_null(strstr(out.text, "Invented \\& tried"));
    strbuf_clear(&out);
    assert_ok(table_print(t, TABLE_CSV, &out, &err), &err);
    assert_non_null(strstr(out.text, "importance,10 %,ok,3,3,88,"));
    strbuf_clear(&out);
    assert_ok(table_print(t, TABLE_JSON, &out, &err), &err);
    assert_non_null(strstr(out.text, "\"run3\""));
    strbuf_release(&out);
    table_free(t);
}

static const char spread_json[] =
    "{\"paper\": \"Another\", \"tables\": [{\"id\": \"1\", \"columns\": "
    "[\"% heads pruned\", \"score\"], \"rows\": [[0, [0.89, 0.9, 0.91]], "
    "[10, {\"mean\": 0.93, \"std\": 0.01, \"n\": 6}], [20, 0.8], "
    "[30, [0.7, \"x\"]]]}]}";

static void a_cell_is_compared_with_a_reference_of_several_runs(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct observation obs[ROWS];
    char path[128];
    invent(obs);
    snprintf(path, sizeof(path), "%s/q.json", scratch());
    assert_ok(file_write(path, spread_json, (int64_t)strlen(spread_json), &err), &err);
    struct table *t = filled(obs, ROWS,
                             ", \"paper\": {\"file\": \"q.json\", \"table\": \"1\", "
                             "\"scale\": 100}, \"equivalence\": {\"margin\": 2.5}",
                             scratch());
    const struct table_cell *c = table_cell(t, 0, 0);
    assert_int_equal(c->reference.n, 3);
    assert_float_equal(c->reference.std, 1, 1e-9);
    assert_true(c->equivalence.shown && c->equivalence.low < 0);
    assert_false(table_cell(t, 0, 1)->equivalence.shown);
    assert_true(isnan(table_cell(t, 0, 2)->equivalence.p));
    assert_true(isnan(table_cell(t, 0, 3)->paper));
    assert_ok(table_print(t, TABLE_MD, &out, &err), &err);
    assert_non_null(
        strstr(out.text, "| paper | 90.0 ± 1.0 (3) | 93.0 ± 1.0 (6) | 80.0 "));
    assert_non_null(strstr(out.text, "| within ±2.5 | yes, p = 0.019 | no, p = 0.988"));
    strbuf_release(&out);
    table_free(t);
}

static void equivalence_needs_a_margin_and_a_paper(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct table *t = NULL;
    char text[2048];
    snprintf(text, sizeof(text), "%s, \"equivalence\": {\"margin\": 0}}", declaration);
    assert_fails(table_parse(&t, text, "t.json", ".", &err), &err, ERR_INPUT,
                 "\"margin\" above 0");
    snprintf(text, sizeof(text), "%s, \"equivalence\": {\"margin\": 1}}", declaration);
    assert_fails(table_parse(&t, text, "t.json", ".", &err), &err, ERR_INPUT,
                 "which is missing");
}

static void a_plot_is_written_with_its_script(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct observation obs[ROWS];
    static const char *const ends[] = {"dat", "gp", "png", "svg", "pdf"};
    char path[160];
    if (system("gnuplot --version > /dev/null 2>&1") != 0) {
        print_message("gnuplot is not installed\n");
        skip();
    }
    invent(obs);
    struct table *t =
        filled(obs, ROWS,
               ", \"paper\": {\"file\": \"p.json\", \"table\": \"Figure 9\", "
               "\"scale\": 100}, \"plot\": {\"y\": \"Accuracy (%)\"}",
               scratch());
    snprintf(path, sizeof(path), "%s/out/an 'odd' name", scratch());
    assert_ok(table_plot(t, path, &err), &err);
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), "%s/out/an 'odd' name.%s", scratch(), ends[i]);
        assert_true(file_size(path) > 100);
    }
    if (!getenv("KEEP_PLOT"))
        assert_ok(file_remove(scratch(), &err), &err);
    table_free(t);
}

/* Two runs of scores by layer and head, as observe() gives them. */
static void invent_scores(struct observation *obs)
{
    static const char *const dims[] = {"layer", "head"};
    static const char *const at[4][2] = {{"0", "0"}, {"0", "1"}, {"1", "0"}, {"1", "1"}};
    static const double drop[4] = {0.1, -0.02, 0, 0.03}, p[4] = {0.001, 0.5, 1, 0.02};
    for (int i = 0; i < 16; i++) {
        int cell = i % 4, seed = i / 4 % 2 + 1, mark = i / 8;
        obs[i] =
            (struct observation){.stage = "alone",
                                 .metric = mark ? "/scores/p_value" : "/scores/ablation",
                                 .n_vars = 2,
                                 .var = dims,
                                 .value = at[cell],
                                 .seed = (uint64_t)seed,
                                 .x = mark ? p[cell] / seed : drop[cell],
                                 .run_id = seed == 1 ? "run1" : "run2"};
    }
}

static struct table *scores_table(struct err *err)
{
    struct observation obs[16];
    struct table *t = NULL;
    assert_ok(
        table_parse(
            &t,
            "{\"table\": 1, \"stage\": \"alone\", \"metric\": \"/scores/ablation\", "
            "\"rows\": {\"variable\": \"layer\"}, \"columns\": {\"variable\": \"head\"}, "
            "\"scale\": 100, \"mark\": {\"metric\": \"/scores/p_value\", \"below\": "
            "0.015}, "
            "\"plot\": {\"kind\": \"map\"}}",
            "t.json", ".", err),
        err);
    assert_int_equal(table_want_count(t), 2);
    invent_scores(obs);
    assert_ok(table_fill(t, obs, 16, err), err);
    return t;
}

static void an_array_is_a_table_and_small_p_values_get_a_dagger(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct table *t = scores_table(&err);
    assert_int_equal(table_rows(t), 2);
    assert_int_equal(table_cols(t), 2);
    assert_int_equal(table_cell(t, 0, 0)->marked, 2);
    assert_int_equal(table_cell(t, 0, 1)->marked, 0);
    assert_int_equal(table_cell(t, 1, 1)->marked, 1);
    assert_ok(table_print(t, TABLE_MD, &out, &err), &err);
    assert_non_null(strstr(strbuf_text(&out), "| layer / head | 0 | 1 |"));
    assert_non_null(strstr(strbuf_text(&out), "| 0 | 10.0 ± 0.0† | -2.0 ± 0.0 |"));
    assert_non_null(strstr(strbuf_text(&out), "| 1 | 0.0 ± 0.0 | 3.0 ± 0.0(†) |"));
    assert_non_null(strstr(strbuf_text(&out), "†: p_value < 0.015 in every run"));
    strbuf_release(&out);
    table_free(t);
}

static void what_is_not_a_number_is_undefined_and_not_missing(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct observation obs[ROWS];
    struct strbuf out = STRBUF_INIT;
    invent(obs);
    for (int i = 0; i < 3; i++) {
        obs[i].x = (double)NAN;
        obs[i].undefined = true;
    }
    struct table *t = filled(obs, ROWS, "", ".");
    assert_int_equal(table_cell(t, 0, 0)->state, CELL_UNDEFINED);
    assert_int_equal(table_problems(t), 0);
    assert_ok(table_print(t, TABLE_MD, &out, &err), &err);
    assert_non_null(strstr(strbuf_text(&out), "| importance | undefined |"));
    assert_non_null(strstr(strbuf_text(&out), "mean ± std of 3 runs: acc"));
    strbuf_release(&out);
    table_free(t);
}

static void a_map_is_drawn(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char path[160], *text = NULL;
    int64_t len;
    if (system("gnuplot --version > /dev/null 2>&1") != 0) {
        print_message("gnuplot is not installed\n");
        skip();
    }
    struct table *t = scores_table(&err);
    snprintf(path, sizeof(path), "%s/map", scratch());
    assert_ok(table_plot(t, path, &err), &err);
    snprintf(path, sizeof(path), "%s/map.dat", scratch());
    assert_ok(file_read(&text, &len, path, 1 << 20, &err), &err);
    assert_non_null(strstr(text, "0 0 10 \"10.0†\""));
    assert_non_null(strstr(text, "1 1 3 \"3.0(†)\""));
    snprintf(path, sizeof(path), "%s/map.png", scratch());
    assert_true(file_size(path) > 1000);
    free(text);
    table_free(t);
    if (!getenv("KEEP_PLOT"))
        assert_ok(file_remove(scratch(), &err), &err);
}

/* 0.99 +- 0.1 is no accuracy: a band ends where the values can go. */
static void a_band_ends_at_the_metrics_bounds(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char path[160], *text = NULL;
    int64_t len;
    double x[] = {0, 1}, y[] = {99, 1}, sd[] = {10, 10};
    struct plot_series s = {"a", 2, x, y, sd, false};
    struct plot plot = {.title = "t",
                        .x_label = "x",
                        .y_label = "y",
                        .n_series = 1,
                        .series = &s,
                        .high = 100};
    if (system("gnuplot --version > /dev/null 2>&1") != 0) {
        print_message("gnuplot is not installed\n");
        skip();
    }
    snprintf(path, sizeof(path), "%s/bounds", scratch());
    assert_ok(plot_write(&plot, path, &err), &err);
    snprintf(path, sizeof(path), "%s/bounds.dat", scratch());
    assert_ok(file_read(&text, &len, path, 1 << 20, &err), &err);
    assert_non_null(strstr(text, "0 99 89 100\n"));
    assert_non_null(strstr(text, "1 1 0 11\n"));
    free(text);
    assert_ok(file_remove(scratch(), &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_hold_mean_and_std_over_seeds),
        cmocka_unit_test(missing_partial_and_stale_cells_are_marked),
        cmocka_unit_test(a_run_that_serves_two_seeds_counts_once),
        cmocka_unit_test(two_runs_for_one_seed_are_refused),
        cmocka_unit_test(bad_declarations_name_all_places),
        cmocka_unit_test(the_papers_figures_stand_beside),
        cmocka_unit_test(a_cell_is_compared_with_a_reference_of_several_runs),
        cmocka_unit_test(equivalence_needs_a_margin_and_a_paper),
        cmocka_unit_test(a_plot_is_written_with_its_script),
        cmocka_unit_test(an_array_is_a_table_and_small_p_values_get_a_dagger),
        cmocka_unit_test(what_is_not_a_number_is_undefined_and_not_missing),
        cmocka_unit_test(a_map_is_drawn),
        cmocka_unit_test(a_band_ends_at_the_metrics_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
