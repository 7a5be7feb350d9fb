/*
 * retort power DECL: how many seeds a comparison needs.
 *
 * From the cells of a table that declares "compare": the deviation of the paired
 * differences says with what chance the paired t-test sees a difference of the size asked
 * for, and how many seeds it takes until that chance is enough.
 */
#include <math.h>
#include <stdio.h>

#include "cells.h"
#include "grid.h"
#include "retort/json.h"
#include "verbs.h"

#define SEEDS_MOST 100000

struct args {
    struct common common;
    const char *decl, *spec;
    struct string_list set;
    double difference, power, alpha;
};

/* What is told of a cell. */
struct told {
    const char *row, *column;
    const struct cell_test *test;
    double now;     /* chance with the seeds that are there */
    int64_t needed; /* -1: more than SEEDS_MOST, or not to be told */
};

static struct told tell(const struct table *t, int64_t i, const struct args *args)
{
    int64_t row = i / table_cols(t), col = i % table_cols(t);
    struct told out = {.row = table_row_name(t, row),
                       .column = table_col_name(t, col),
                       .test = &table_cell(t, row, col)->versus,
                       .now = (double)NAN,
                       .needed = -1};
    double effect = args->difference / out.test->std;

    if (out.test->test && out.test->std > 0) {
        out.now = stats_power(effect, (double)out.test->n, args->alpha);
        out.needed = stats_pairs_needed(effect, args->alpha, args->power, SEEDS_MOST);
    }
    return out;
}

static int64_t more(const struct told *k)
{
    return k->needed > k->test->n ? k->needed - k->test->n : 0;
}

static void put_row(struct grid *g, const struct told *k)
{
    grid_put(g, k->row);
    grid_put(g, k->column);
    grid_printf(g, "%lld", (long long)k->test->n);
    grid_printf(g, "%.4g", k->test->difference);
    if (isnan(k->now)) {
        grid_put(g, "");
        grid_put(g, "");
        grid_put(g, "?");
        grid_put(g, "?");
        return;
    }
    grid_printf(g, "%.4g", k->test->std);
    grid_printf(g, "%.3f", k->now);
    if (k->needed < 0) {
        grid_printf(g, "> %d", SEEDS_MOST);
        grid_put(g, "");
        return;
    }
    grid_printf(g, "%lld", (long long)k->needed);
    grid_printf(g, "%lld", (long long)more(k));
}

static int print_grid(struct strbuf *out, const struct table *t, const struct args *args,
                      struct err *err)
{
    static const struct grid_column col[] = {
        {.title = "row", .elastic = true},  {.title = "column"},
        {.title = "seeds", .right = true},  {.title = "difference", .right = true},
        {.title = "std", .right = true},    {.title = "power", .right = true},
        {.title = "needed", .right = true}, {.title = "more", .right = true},
    };
    struct grid *g = grid_new(col, 8, err);
    int rc = -1;

    for (int64_t i = 0; g && i < table_rows(t) * table_cols(t); i++) {
        struct told k = tell(t, i, args);
        if (k.test->test)
            put_row(g, &k);
    }
    if (g)
        rc = grid_print(g, out, screen_width(), err);
    grid_free(g);
    return rc;
}

static void print_json(struct strbuf *out, const struct table *t, const struct args *args)
{
    struct json_writer w;

    json_begin(&w, out, true);
    json_array(&w);
    for (int64_t i = 0; i < table_rows(t) * table_cols(t); i++) {
        struct told k = tell(t, i, args);
        const struct {
            const char *key;
            double x;
        } numbers[] = {
            {"difference", k.test->difference}, {"std", k.test->std}, {"power", k.now}};
        if (!k.test->test)
            continue;
        json_object(&w);
        json_member(&w, "row");
        json_str(&w, k.row);
        json_member(&w, "column");
        json_str(&w, k.column);
        json_member(&w, "seeds");
        json_i64(&w, k.test->n);
        for (int n = 0; n < 3; n++) {
            json_member(&w, numbers[n].key);
            json_num(&w, numbers[n].x);
        }
        json_member(&w, "needed");
        if (k.needed < 0)
            json_raw(&w, "null");
        else
            json_i64(&w, k.needed);
        json_object_end(&w);
    }
    json_array_end(&w);
    strbuf_putc(out, '\n');
}

static int check(const struct args *args, const struct table *t, struct err *err)
{
    bool any = false;

    if (!(fabs(args->difference) > 0) || !isfinite(args->difference))
        return err_set(err, ERR_INPUT,
                       "--difference must be a number other than 0, in the table's unit");
    for (int64_t i = 0; i < table_rows(t) * table_cols(t); i++) {
        const struct cell_test *k =
            &table_cell(t, i / table_cols(t), i % table_cols(t))->versus;
        any = any || k->test;
        if (k->test && isnan(k->std) && k->n > 1)
            return err_set(err, ERR_INPUT,
                           "%s compares over examples; the number of seeds is a question "
                           "to \"test\": {\"over\": \"seeds\"}",
                           args->decl);
    }
    if (!any)
        return err_set(
            err, ERR_INPUT,
            "%s: nothing is compared; it needs runs, and \"compare\": {\"row\": "
            "\"the baseline\"}",
            args->decl);
    return 0;
}

static int run_power(const void *given)
{
    const struct args *args = given;
    struct cells q = {.decl = NULL};
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    int rc;

    if (cells_open(&q, args->decl, args->spec, &args->set, args->common.store, &err) ||
        cells_fill(&q, &err) || check(args, q.table, &err) ||
        (!args->common.json && print_grid(&out, q.table, args, &err))) {
        rc = tell_error(&err);
    } else {
        if (args->common.json)
            print_json(&out, q.table, args);
        rc = print_text(&out);
    }
    strbuf_release(&out);
    cells_close(&q);
    return rc;
}

static const struct operand operands[] = {
    {.name = "DECL",
     .help = "the table's declaration, with \"compare\": its baseline",
     .offset = offsetof(struct args, decl)},
    OPERAND_END,
};

static const struct flag flags[] = {
    {.name = "difference",
     .type = OPT_REAL,
     .value = "D",
     .def = "1",
     .help = "the difference to be seen, in the table's unit",
     .offset = offsetof(struct args, difference),
     .min = -1e9,
     .max = 1e9},
    {.name = "power",
     .type = OPT_REAL,
     .value = "P",
     .def = "0.8",
     .help = "the chance to see it that is enough",
     .offset = offsetof(struct args, power),
     .min = 0.01,
     .max = 0.9999},
    {.name = "alpha",
     .type = OPT_REAL,
     .value = "A",
     .def = "0.05",
     .help = "the level of the test; divide it by the number of tests for Holm's first",
     .offset = offsetof(struct args, alpha),
     .min = 1e-9,
     .max = 0.5},
    CELLS_FLAGS(struct args),
    FLAG_END,
};

const struct verb verb_power = {
    .name = "power",
    .group = "Results",
    .summary = "how many more seeds a comparison needs",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_JSON,
    .about =
        "For each cell that the declaration compares: the difference from the baseline "
        "over the seeds that both have, the standard deviation of these differences, "
        "the chance that a paired t-test sees a true difference of D with as many "
        "seeds, and how many are needed until that chance is P.",
    .size = sizeof(struct args),
    .run = run_power,
};
