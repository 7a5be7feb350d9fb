/* What the table's reader (table.c), printer (table_print.c) and plot (plot.c) share. */
#ifndef RETORT_RUNNER_REPORT_TABLE_IMPL_H
#define RETORT_RUNNER_REPORT_TABLE_IMPL_H

#include "retort/mem.h"
#include "retort/report.h"

/* One row or column: what it selects. NULL: whatever the other axis or the table says. */
struct item {
    const char *name, *stage, *metric, *label;
    int64_t n_where;
    const char **var, **value; /* canonical JSON */
    const char *paper;         /* canonical JSON: its key in the paper, or NULL */
    double x;                  /* a variable's value as shown; NaN */
    double scale;              /* of the cells, times the table's */
};

struct axis {
    const char *name; /* "heads pruned" */
    const char
        *variable; /* items are made from the observations when no values are given */
    const char *unit;
    double scale, paper_scale;
    bool open; /* values come with the observations */
    struct item *v;
    int64_t n, capacity;
};

struct table {
    struct arena *arena;
    const char *title, *spec, *stage, *metric, *unit;
    struct axis rows, cols;
    bool has_seeds;
    uint64_t *seed;
    int64_t n_seeds;
    double scale;
    int digits;
    struct json_doc *paper;
    const struct json *paper_table;
    const char *paper_name;
    bool paper_keys_are_rows;
    double paper_scale;
    double margin; /* of equivalence with the paper's figures, as shown; 0: not asked */
    const char *mark; /* metric, or NULL */
    double mark_below;
    const char *plot_title, *plot_x, *plot_y;
    bool plot_map;
    struct want {
        const char *stage, *metric;
    } * want;
    int64_t n_wants;
    struct table_cell *cell; /* (rows, cols) */
};

/* The paper's figure for a cell, scaled: mean NaN if there is none, std NaN and n 0 where
 * it tells no spread. */
struct sample table_paper(const struct table *t, const struct item *row,
                          const struct item *col);

/* Appends the item of one value (canonical JSON) of an axis's variable. */
void table_item_of_value(struct table *t, struct axis *a, const char *value);

#endif
