/*
 * retort table DECL, retort plot DECL: what the runs of a spec say together.
 *
 * Cells are filled from sealed runs alone; nothing is run. A missing cell is marked and
 * gives exit code 1.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cells.h"
#include "verbs.h"

struct args {
    struct common common;
    const char *decl, *base, *spec;
    struct string_list set;
    int format, theme;
    bool trace;
};

static int run_table(const void *given)
{
    const struct args *args = given;
    struct cells q = {.decl = NULL};
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    int rc;

    if (cells_open(&q, args->decl, args->spec, &args->set, args->common.store, &err) ||
        cells_fill(&q, &err) ||
        table_print(q.table, (enum table_format)args->format, args->trace, &out, &err)) {
        rc = tell_error(&err);
    } else {
        fputs(strbuf_text(&out), stdout);
        rc = table_problems(q.table) > 0;
        if (rc) {
            cells_tell_damaged(&q);
            fprintf(stderr,
                    "retort: %lld cells are not whole; retort run %s fills them\n",
                    (long long)table_problems(q.table), q.path ? q.path : "SPEC");
        }
    }
    strbuf_release(&out);
    cells_close(&q);
    return rc;
}

static int run_plot(const void *given)
{
    const struct args *args = given;
    struct cells q = {.decl = NULL};
    struct err err = ERR_INIT;
    int rc;

    if (cells_open(&q, args->decl, args->spec, &args->set, args->common.store, &err) ||
        cells_fill(&q, &err) ||
        table_plot(q.table, q.store, args->base, (enum plot_theme)args->theme, &err)) {
        rc = tell_error(&err);
    } else {
        printf("%s.png\n", args->base);
        rc = table_problems(q.table) > 0;
        if (rc)
            cells_tell_damaged(&q);
    }
    cells_close(&q);
    return rc;
}

/* ---- the rows ---- */

static const struct operand operands[] = {
    {.name = "DECL",
     .help = "the table's declaration, a JSON file: its spec, rows, columns and metric",
     .offset = offsetof(struct args, decl)},
    OPERAND_END,
};

static const char *const formats[] = {"md", "latex", "csv", "html", "json", NULL};
static const struct flag table_flags[] = {
    {.name = "format",
     .type = OPT_ENUM,
     .def = "md",
     .choices = formats,
     .help = "how it is written",
     .offset = offsetof(struct args, format)},
    {.name = "trace",
     .type = OPT_BOOL,
     .help = "name the runs behind each cell",
     .offset = offsetof(struct args, trace)},
    CELLS_FLAGS(struct args),
    FLAG_END,
};
static const char *const themes[] = {"light", "dark", NULL};
static const struct flag plot_flags[] = {
    {.name = "out",
     .type = OPT_STRING,
     .value = "BASE",
     .def = "plot",
     .help = "write BASE.png, BASE.svg and BASE.pdf, BASE.gp and BASE.dat",
     .offset = offsetof(struct args, base)},
    {.name = "theme",
     .type = OPT_ENUM,
     .def = "light",
     .choices = themes,
     .help = "ground and colours",
     .offset = offsetof(struct args, theme)},
    CELLS_FLAGS(struct args),
    FLAG_END,
};

const struct verb verb_table = {
    .name = "table",
    .group = "Results",
    .summary = "what the runs of a spec say together",
    .operands = operands,
    .flags = table_flags,
    .common = COMMON_STORE,
    .about = "Each cell is the mean and the standard deviation (n - 1) over the seeds, "
             "with n, and "
             "the paper's figure where the declaration names one. Cells are filled from "
             "sealed "
             "runs alone, nothing is run; one that is not whole is marked and gives exit "
             "code 1. Comparisons, tests and marks are declared too: docs/tables.md.",
    .size = sizeof(struct args),
    .run = run_table,
};

const struct verb verb_plot = {
    .name = "plot",
    .group = "Results",
    .summary = "the same as a picture",
    .operands = operands,
    .flags = plot_flags,
    .common = COMMON_STORE,
    .about =
        "As the declaration's \"plot\" says: a line for each row of the table over its "
        "columns, with a band of one standard deviation; groups of bars; a map of the "
        "cells; or the metric over the steps of the runs. The script and the data it was "
        "made from stand beside it.",
    .size = sizeof(struct args),
    .run = run_plot,
};
