/* What the table's reader (table.c), printer (table_print.c) and plot (plot.c) share. */
#ifndef RETORT_RUNNER_REPORT_TABLE_IMPL_H
#define RETORT_RUNNER_REPORT_TABLE_IMPL_H

#include "retort/json.h"
#include "retort/mem.h"
#include "retort/report.h"

/* One row or column: what it selects. NULL: whatever the other axis or the table says. */
struct item {
    const char *name, *stage, *metric, *label;
    int64_t n_where;
    const char **var, **value; /* canonical JSON */
    const char *paper;         /* canonical JSON: its key in the paper, or NULL */
    bool quoted;               /* made from the paper's table: may ask for no runs */
    double x;                  /* a variable's value as shown; NaN */
    double scale;              /* of the cells, times the table's */
    int digits;                /* of the cells; -1: as the other axis or the table says */
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
    struct tests {
        const char *row, *column; /* the baseline; at most one of them */
        char best;                /* 0: not asked; 'r' of each row, 'c' of each column */
        int want;                 /* 1 high, -1 low, 0: as the metric says */
        enum over { OVER_SEEDS, OVER_EXAMPLES, OVER_BOTH } over;
        double alpha;
        int64_t resamples;
        int64_t compared, ranked; /* tests that were made: the families */
    } tests;
    unsigned show;    /* SHOW_*: what cells hold beside the mean */
    const char *mark; /* metric, or NULL */
    double mark_below;
    const char *plot_title, *plot_x, *plot_y;
    enum plot_kind { PLOT_LINES, PLOT_BARS, PLOT_MAP, PLOT_STEPS } plot_kind;
    struct want {
        const char *stage, *metric;
    } * want;
    int64_t n_wants;
    struct table_cell *cell; /* (rows, cols) */
};

enum { SHOW_STD = 1, SHOW_INTERVAL = 2, SHOW_MEDIAN = 4, SHOW_N = 8 };

/* What the declaration's reader (table.c) gives to the reader of axes (table_axes.c). */
struct reader {
    struct table *t;
    struct json_doc *doc;
    struct diags *diags;
    const char *dir;
};
/* Reports keys that are not in `known`, with the nearest one. */
void read_check_keys(struct reader *r, const struct json *object,
                     const char *const *known);
/* The member if it is of this kind; NULL if it is not there, or with an error. */
const struct json *read_member(struct reader *r, const struct json *object,
                               const char *key, enum json_kind kind);
const char *read_text(struct reader *r, const struct json *object, const char *key,
                      const char *otherwise);
double read_number(struct reader *r, const struct json *object, const char *key,
                   double otherwise);
void read_axis(struct reader *r, struct axis *a, const struct json *v, const char *key);

/* What a cell's numbers are, and which runs say them. */
const char *table_cell_metric(const struct table *t, const struct item *row,
                              const struct item *col);
const char *table_cell_stage(const struct table *t, const struct item *row,
                             const struct item *col);
/* Does the cell hold the paper's figure alone? */
bool table_cell_unasked(const struct table *t, const struct item *row,
                        const struct item *col);
/* Digits behind the point. */
int table_cell_digits(const struct table *t, const struct item *row,
                      const struct item *col);

/* What stands along the picture's axes. */
const char *table_x_label(const struct table *t);
const char *table_y_label(const struct table *t);
/* What no value of the rows' metrics can pass, scaled; infinite where one of them has no
 * bound. */
void table_bounds(const struct table *t, double *low, double *high);

const char *table_state_name(enum cell_state state);
void table_print_csv(struct strbuf *out, const struct table *t, bool trace);
/* For a page: it sorts (page_script.js), and its runs are links to their rows. */
void table_print_page(struct strbuf *out, const struct table *t);
void table_print_json(struct strbuf *out, const struct table *t);

/* The paper's figure for a cell, scaled: mean NaN if there is none, std NaN and n 0 where
 * it tells no spread. */
struct sample table_paper(const struct table *t, const struct item *row,
                          const struct item *col);

/* Appends the item of one value (canonical JSON) of an axis's variable. */
void table_item_of_value(struct table *t, struct axis *a, const char *value);

#endif
