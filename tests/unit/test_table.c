/* Tables on plain observations: cells, marks, the paper's figures, formats, plots. */
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "retort/file.h"
#include "retort/json.h"
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
        obs[i] = (struct observation){.stage = "result",
                                      .metric = "acc",
                                      .label = arm ? NULL : "importance",
                                      .n_vars = 2,
                                      .var = vars,
                                      .value = values[i],
                                      .seed = (uint64_t)seed,
                                      .x = 0.9 - 0.02 * (1 + 4 * arm) * ratio * ratio +
                                           0.01 * (1 + arm * ratio) * (seed - 2),
                                      .run_id = store[i][1]};
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
    assert_ok(table_print(t, TABLE_MD, false, &out, &err), &err);
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
    assert_ok(table_print(t, TABLE_MD, false, &out, &err), &err);
    assert_non_null(strstr(out.text, "| paper | 91.0 | 86.0 | 84.0 | – |"));
    assert_non_null(strstr(out.text, "| difference | -1.0 | +2.0 | -2.0 | – |"));
    strbuf_clear(&out);
    assert_ok(table_print(t, TABLE_LATEX, false, &out, &err), &err);
    assert_non_null(strstr(out.text, "random\\_order & 90.0 $\\pm$ 1.0"));
    assert_non_null(strstr(out.text, "Invented \\& tried"));
    strbuf_clear(&out);
    assert_ok(table_print(t, TABLE_CSV, false, &out, &err), &err);
    assert_non_null(strstr(out.text, "importance,10 %,ok,3,3,88,"));
    strbuf_clear(&out);
    assert_ok(table_print(t, TABLE_JSON, false, &out, &err), &err);
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
    assert_ok(table_print(t, TABLE_MD, false, &out, &err), &err);
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
    assert_ok(table_plot(t, NULL, path, PLOT_LIGHT, &err), &err);
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
    assert_ok(table_print(t, TABLE_MD, false, &out, &err), &err);
    assert_non_null(strstr(strbuf_text(&out), "| layer / head | 0 | 1 |"));
    assert_non_null(strstr(strbuf_text(&out), "| 0 | 10.0 ± 0.0† | -2.0 ± 0.0 |"));
    assert_non_null(strstr(strbuf_text(&out), "| 1 | 0.0 ± 0.0 | 3.0 ± 0.0(†) |"));
    assert_non_null(strstr(strbuf_text(&out), "†: p_value < 0.015 in every run"));
    strbuf_release(&out);
    table_free(t);
}

/* The arms differ by 8 % and more where the deviation is 3: told apart at 20 % alone. */
static void cells_are_tested_against_a_baseline(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct observation obs[ROWS];
    invent(obs);
    obs[6].x += 0.001; /* differences that are not all the same */
    struct table *t = filled(obs, ROWS, ", \"compare\": {\"row\": \"importance\"}", ".");
    assert_ok(table_test(t, NULL, &err), &err);
    const struct cell_test *c = &table_cell(t, 1, 2)->versus;
    assert_string_equal(c->test, "paired t");
    assert_int_equal(c->n, 3);
    assert_true(fabs(c->difference + 32 + 0.1 / 3) < 1e-9);
    assert_true(c->p < 0.01 && c->p_holm >= c->p);
    assert_int_equal(table_mark(t, table_cell(t, 1, 2)), -1);
    assert_null(table_cell(t, 0, 2)->versus.test);
    /* The same pairs: no difference, and nothing to test. */
    assert_true(table_cell(t, 1, 0)->versus.p >= 1);
    assert_ok(table_print(t, TABLE_MD, false, &out, &err), &err);
    assert_non_null(strstr(out.text, "↑ ↓: above or below importance (paired t, Holm"));
    strbuf_release(&out);
    table_free(t);
}

static struct table *ranked(struct observation *obs, struct err *err)
{
    struct table *t = filled(obs, ROWS, ", \"best\": {\"in\": \"columns\"}", ".");
    assert_ok(table_test(t, NULL, err), err);
    return t;
}

static void the_best_is_bold_only_if_told_apart_from_all(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct observation obs[ROWS];
    invent(obs);
    struct table *t = ranked(obs, &err);
    assert_int_equal(table_cell(t, 0, 0)->best, BEST_TIED); /* equal */
    assert_int_equal(table_cell(t, 1, 0)->best, BEST_TIED);
    assert_int_equal(table_cell(t, 0, 2)->best, BEST_ALONE);
    assert_int_equal(table_cell(t, 1, 2)->best, BEST_NO);
    assert_ok(table_print(t, TABLE_MD, false, &out, &err), &err);
    assert_non_null(strstr(out.text, "| **82.0** ± 1.0 |"));
    assert_non_null(strstr(out.text, "| 90.0 ± 1.0 ≈ |"));
    strbuf_release(&out);
    table_free(t);
}

static void no_bold_of_one_seed_or_of_differences_without_deviation(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct observation obs[ROWS];
    invent(obs);
    for (int i = 0; i < ROWS; i++)
        obs[i].x = i < 12 ? 0.9 : 0.8; /* all the same: p is 0, and says nothing */
    struct table *t = ranked(obs, &err);
    assert_true(table_cell(t, 1, 2)->behind.p <= 0);
    assert_int_equal(table_cell(t, 0, 2)->best, BEST_TIED);
    table_free(t);
    for (int i = 0; i < ROWS; i++)
        obs[i].run_id = i < 12 ? "one" : "other"; /* runs that serve all seeds */
    t = ranked(obs, &err);
    assert_int_equal(table_cell(t, 1, 2)->behind.n, 1);
    assert_true(isnan(table_cell(t, 1, 2)->behind.p));
    assert_int_equal(table_cell(t, 0, 2)->best, BEST_TIED);
    table_free(t);
}

static void runs_of_other_data_share_no_cell_and_no_comparison(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct table *t = NULL;
    struct observation obs[ROWS];
    char text[2048];
    invent(obs);
    for (int i = 0; i < ROWS; i++)
        obs[i].data = i < 12 ? "dev of 408" : "dev of 400";
    t = filled(obs, ROWS, ", \"compare\": {\"row\": \"importance\"}", ".");
    assert_fails(table_test(t, NULL, &err), &err, ERR_INPUT,
                 "the data of run run12 is dev of 400, of run run0 dev of 408");
    table_free(t);
    obs[1].data = "dev of 400";
    snprintf(text, sizeof(text), "%s}", declaration);
    assert_ok(table_parse(&t, text, "t.json", ".", &err), &err);
    assert_fails(table_fill(t, obs, ROWS, &err), &err, ERR_INPUT,
                 "the data of run run0 is dev of 408, of run run1 dev of 400");
    table_free(t);
}

static void an_unknown_baseline_is_told(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct observation obs[ROWS];
    invent(obs);
    struct table *t = filled(obs, ROWS, ", \"compare\": {\"column\": \"5 %\"}", ".");
    assert_fails(table_test(t, NULL, &err), &err, ERR_INPUT,
                 "no column is named \"5 %\"");
    table_free(t);
}

static void failed_seeds_are_counted(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct observation obs[ROWS];
    invent(obs);
    obs[1].x = (double)NAN;
    obs[1].failed = true;
    obs[1].run_id = NULL;
    struct table *t = filled(obs, ROWS, "", ".");
    assert_int_equal(table_cell(t, 0, 0)->failed, 1);
    assert_ok(table_print(t, TABLE_MD, true, &out, &err), &err);
    assert_non_null(strstr(out.text, "Failed: importance, 0 % 1 of 3 seeds."));
    assert_non_null(
        strstr(out.text, "- importance, 0 %: seed 1 run0 89; seed 3 run2 91\n"));
    strbuf_clear(&out);
    assert_ok(table_print(t, TABLE_CSV, true, &out, &err), &err);
    assert_non_null(strstr(out.text, "importance,0 %,3,91,run2\n"));
    strbuf_release(&out);
    table_free(t);
}

static const char odd[] = "a|b_\\\"<i>&amp;\n[x]*y*--$\\x$%#{}~^`../";

static void hostile_names_are_text_in_every_format(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT, text = STRBUF_INIT;
    struct observation obs[ROWS];
    struct table *t = NULL;
    static const struct {
        enum table_format format;
        const char *name;
    } want[] = {
        {TABLE_MD,
         "| a\\|b\\_\\\\\"&lt;i>&amp;amp; \\[x\\]\\*y\\*--$\\\\x$%#{}\\~^\\`../ |"},
        {TABLE_LATEX, "\na\\textbar{}b\\_\\textbackslash{}\\texttt{\\char34}"
                      "\\textless{}i\\textgreater{}\\&amp; {[}x]{*}y{*}{-}{-}\\$"
                      "\\textbackslash{}x\\$\\%\\#\\{\\}\\textasciitilde{}"
                      "\\textasciicircum{}\\`{}../ & "},
        {TABLE_HTML,
         "<th scope=\"row\">a|b_\\&quot;&lt;i&gt;&amp;amp; [x]*y*--$\\x$%#{}~^`../</th>"},
        {TABLE_CSV, "\n\"a|b_\\\"\"<i>&amp;\n[x]*y*--$\\x$%#{}~^`../\",1,"},
    };
    invent(obs);
    strbuf_puts(&text, "{\"table\": 1, \"metric\": \"acc\", \"columns\": {\"variable\": "
                       "\"layer\", \"values\": [1]}, \"rows\": [{\"name\": ");
    json_put_string(&text, odd);
    strbuf_puts(&text, "}]}");
    assert_ok(table_parse(&t, strbuf_text(&text), "t.json", ".", &err), &err);
    assert_ok(table_fill(t, obs, ROWS, &err), &err);
    for (size_t i = 0; i < 4; i++) {
        strbuf_clear(&out);
        assert_ok(table_print(t, want[i].format, false, &out, &err), &err);
        if (!strstr(strbuf_text(&out), want[i].name))
            fail_msg("%s\nis not in\n%s", want[i].name, out.text);
    }
    strbuf_release(&out);
    strbuf_release(&text);
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
    assert_ok(table_print(t, TABLE_MD, false, &out, &err), &err);
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
    assert_ok(table_plot(t, NULL, path, PLOT_LIGHT, &err), &err);
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
    struct plot_series s = {.name = "a", .n = 2, .x = x, .y = y, .err = sd};
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
    assert_ok(plot_write(&plot, path, PLOT_LIGHT, &err), &err);
    snprintf(path, sizeof(path), "%s/bounds.dat", scratch());
    assert_ok(file_read(&text, &len, path, 1 << 20, &err), &err);
    assert_non_null(strstr(text, "0 99 89 100\n"));
    assert_non_null(strstr(text, "1 1 0 11\n"));
    free(text);
    assert_ok(file_remove(scratch(), &err), &err);
}

static void an_axis_from_a_paper_asks_for_no_runs(void **state)
{
    (void)state;
    static const char paper[] =
        "{\"tables\": [{\"id\": \"1\", \"columns\": [\"layers\", \"F1\", \"size\"],"
        " \"rows\": [[3, 0.5, null], [\"six\", 0.75, 12]]}]}";
    struct err err = ERR_INIT;
    struct strbuf sb = STRBUF_INIT;
    struct table *t = NULL;
    char path[160];

    assert_ok(file_mkdirs(scratch(), &err), &err);
    snprintf(path, sizeof(path), "%s/paper.json", scratch());
    assert_ok(file_write(path, paper, sizeof paper - 1, &err), &err);
    assert_ok(table_parse(&t,
                          "{\"table\": 1, \"rows\": {\"paper\": true}, \"columns\": "
                          "{\"paper\": true}, \"digits\": 2, \"paper\": {\"file\": "
                          "\"paper.json\", \"table\": \"1\", \"keys\": \"rows\"}}",
                          "t.json", scratch(), &err),
              &err);
    assert_int_equal(table_want_count(t), 0);
    assert_ok(table_fill(t, NULL, 0, &err), &err);
    assert_ok(table_test(t, NULL, &err), &err);
    assert_int_equal(table_rows(t), 2);
    assert_string_equal(table_row_name(t, 0), "3");
    assert_string_equal(table_col_name(t, 1), "size");
    assert_int_equal(table_cell(t, 0, 0)->state, CELL_UNASKED);
    assert_true(isnan(table_cell(t, 0, 1)->paper));
    assert_float_equal(table_cell(t, 1, 1)->paper, 12, 0);
    assert_int_equal(table_problems(t), 0);
    assert_ok(table_print(t, TABLE_MD, false, &sb, &err), &err);
    assert_non_null(
        strstr(strbuf_text(&sb), "| six | – | – |\n| paper | 0.75 | 12.00 |\n"));
    strbuf_release(&sb);
    table_free(t);
    assert_fails(table_parse(&t,
                             "{\"table\": 1, \"rows\": {\"paper\": true}, \"columns\": "
                             "{\"variable\": \"a.b\"}}",
                             "t.json", ".", &err),
                 &err, ERR_INPUT, "an axis from a paper needs \"paper\"");
    assert_ok(file_remove(scratch(), &err), &err);
}

static void a_column_has_its_own_digits(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct strbuf sb = STRBUF_INIT;
    struct table *t = NULL;
    struct observation obs[] = {
        {.stage = "s", .metric = "a", .seed = 1, .x = 0.126, .run_id = "r"},
        {.stage = "s", .metric = "b", .seed = 1, .x = 81410, .run_id = "r"}};

    assert_ok(table_parse(&t,
                          "{\"table\": 1, \"stage\": \"s\", \"digits\": 2, \"rows\": "
                          "[{\"name\": \"x\"}], \"columns\": [{\"name\": \"a\", "
                          "\"metric\": \"a\"}, {\"name\": \"b\", \"metric\": \"b\", "
                          "\"digits\": 0}]}",
                          "t.json", ".", &err),
              &err);
    assert_ok(table_fill(t, obs, 2, &err), &err);
    assert_ok(table_print(t, TABLE_MD, false, &sb, &err), &err);
    assert_non_null(strstr(strbuf_text(&sb), "| x | 0.13 | 81410 |"));
    strbuf_release(&sb);
    table_free(t);
    assert_fails(table_parse(&t,
                             "{\"table\": 1, \"columns\": {\"metrics\": [\"a\"]}, "
                             "\"rows\": [{\"name\": \"x\", \"digits\": -1}]}",
                             "t.json", ".", &err),
                 &err, ERR_INPUT, "\"digits\" must be in 0 ... 12");
}

static void bars_stand_on_zero_and_a_page_tells_their_numbers(void **state)
{
    (void)state;
    const char *const names[] = {"one", "<two>"};
    double x[] = {0, 1}, y[] = {0.5, (double)NAN}, z[] = {-1, 2};
    struct plot_series s[] = {{.name = "a & b", .n = 2, .x = x, .y = y},
                              {.name = "c", .n = 2, .x = x, .y = z}};
    struct plot plot = {.title = "t",
                        .n_series = 2,
                        .series = s,
                        .low = (double)NAN,
                        .high = (double)NAN,
                        .bars = true,
                        .n_names = 2,
                        .x_name = names};
    struct strbuf sb = STRBUF_INIT;

    plot_svg(&sb, &plot, "p");
    assert_non_null(strstr(strbuf_text(&sb), "a &amp; b: 0.5 at one; c: -1 at one, 2 at "
                                             "&lt;two&gt;.</desc>"));
    assert_null(strstr(strbuf_text(&sb), "nan"));
    int rects = 0;
    for (const char *at = strbuf_text(&sb); (at = strstr(at, "<rect class=\"bar")); at++)
        rects++;
    assert_int_equal(rects, 3 + 2); /* two of them in the key */
    strbuf_release(&sb);
}

static void plots_of_nothing_and_of_extremes_are_drawn(void **state)
{
    (void)state;
    double x[] = {0, 1, (double)INFINITY}, y[] = {1e300, -1e300, 0}, none[3];
    for (int i = 0; i < 3; i++)
        none[i] = (double)NAN;
    const double *given[] = {none, x, y};
    for (int i = 0; i < 9; i++) {
        struct plot_series s = {.name = "s",
                                .n = i % 3 ? 3 : 0,
                                .x = given[i % 3],
                                .y = given[i / 3],
                                .err = y};
        struct plot plot = {
            .title = "", .n_series = 1, .series = &s, .low = (double)NAN, .high = 1};
        struct strbuf sb = STRBUF_INIT;
        plot_svg(&sb, &plot, "p");
        assert_null(strstr(strbuf_text(&sb), "nan"));
        assert_null(strstr(strbuf_text(&sb), "inf"));
        strbuf_release(&sb);
    }
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
        cmocka_unit_test(cells_are_tested_against_a_baseline),
        cmocka_unit_test(the_best_is_bold_only_if_told_apart_from_all),
        cmocka_unit_test(no_bold_of_one_seed_or_of_differences_without_deviation),
        cmocka_unit_test(runs_of_other_data_share_no_cell_and_no_comparison),
        cmocka_unit_test(an_unknown_baseline_is_told),
        cmocka_unit_test(failed_seeds_are_counted),
        cmocka_unit_test(hostile_names_are_text_in_every_format),
        cmocka_unit_test(what_is_not_a_number_is_undefined_and_not_missing),
        cmocka_unit_test(a_map_is_drawn),
        cmocka_unit_test(a_band_ends_at_the_metrics_bounds),
        cmocka_unit_test(an_axis_from_a_paper_asks_for_no_runs),
        cmocka_unit_test(a_column_has_its_own_digits),
        cmocka_unit_test(bars_stand_on_zero_and_a_page_tells_their_numbers),
        cmocka_unit_test(plots_of_nothing_and_of_extremes_are_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
