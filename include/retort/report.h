/*
 * What many runs say together: tables, plots, and the difference of two runs.
 *
 * Tables and plots work on plain values in memory; only diff_runs reads a store.
 */
#ifndef RETORT_REPORT_H
#define RETORT_REPORT_H

#include "retort/stats.h"
#include "retort/store.h"
#include "retort/strbuf.h"

/* ---- tables ---- */

/* One number of one run, for one point that it serves. */
struct observation {
    const char *stage;
    const char *metric;
    const char *label; /* of the point, or NULL */
    int64_t n_vars;
    const char *const *var;   /* "pruned.ratio" */
    const char *const *value; /* canonical JSON */
    uint64_t seed;
    double x;           /* NaN: the run or its metric is not there, or `undefined` */
    const char *run_id; /* NULL if there is no run */
    bool stale; /* of a run that the spec no longer asks for, or of another env_class */
    bool undefined; /* the run says "not a number" (a correlation with a constant) */
    bool failed;    /* there is no run, since its last try failed */
    bool imported;  /* another program measured it */
    /* What a metric of an evaluation was measured on. NULL: not known. */
    const char *data;   /* task, version and digests of its files, as JSON */
    const char *labels; /* a declared task's classes, columns and metrics, as JSON */
};

/* Those of a plan's sealed runs. Freed by observations_release. */
struct plan;
struct observations {
    struct observation *v;
    int64_t n, capacity;
    struct arena *arena; /* their texts; the rest belongs to the plan */
};
/*
 * Adds what the runs of `stage` say of `metric`, at every point. A metric that begins
 * with "/" is an array of the run ("/scores/ablation"): each element is an observation,
 * its indices variables under the names of the dimensions ("layer", "head").
 */
int observe(struct observations *out, const struct plan *plan, struct store *store,
            const char *stage, const char *metric, struct err *err);
/* Adds what runs say that `retort import` made under a name: the stage is "import:" and
 * that name. ERR_MISSING if there is none. */
#define IMPORT_PREFIX "import:"
int observe_imported(struct observations *out, struct store *store, const char *stage,
                     const char *metric, struct err *err);
void observations_release(struct observations *o);

/* clang-format off */
/*
 * A table's declaration:
 *
 *     {
 *       "table": 1,
 *       "title": "Heads removed from MiniLM, MRPC dev",
 *       "spec": "mrpc.json",                                 relative to the declaration
 *       "stage": "result", "metric": "eval/glue/mrpc/dev/f1",
 *       "rows": [{"name": "importance", "label": "importance", "paper": "score"},
 *                {"name": "random", "where": {"pruned.by": "random"}}],
 *       "columns": {"variable": "pruned.ratio", "name": "heads pruned", "scale": 100, "unit": "%",
 *                   "paper_scale": 100},
 *       "seeds": [1, 2, 3],                                  default: all that occur
 *       "scale": 100, "digits": 1, "unit": "%",
 *       "paper": {"file": "sixteen-heads.json", "table": "Figure 6c", "keys": "columns", "scale": 100},
 *       "equivalence": {"margin": 2},
 *       "show": ["std", "interval", "median", "n"],          what cells hold beside the mean
 *       "compare": {"row": "random"},                        or {"column": "0 %"}
 *       "best": {"in": "columns", "want": "high"},           of each column, or of each row
 *       "test": {"over": "seeds", "alpha": 0.05, "resamples": 10000},
 *       "mark": {"metric": "/scores/p_value", "below": 0.01},
 *       "plot": {"title": "...", "x": "heads pruned (%)", "y": "F1", "kind": "lines"}
 *     }
 *
 * An axis (rows, columns) is a list of items, each with a name and any of stage, metric, label,
 * where {variable: value}, paper; or {"variable": v, "values": [...]}: one item a value, in the order
 * of the list, else of the sweep; or {"stages": [...]}, {"labels": [...]}, {"metrics": [...]}; or
 * {"paper": true}: the rows, or columns, of the paper's table. A cell holds what both its items and the table's own stage and metric select. `scale` multiplies what is
 * shown (fractions are stored, tables show x100).
 *
 * A metric may be an array of the runs, "/scores/ablation": its dimensions are variables, so
 * {"variable": "layer"} and {"variable": "head"} make a table of it.
 *
 * A mark is a second number of each run, selected as the cell is but for its metric: a dagger stands
 * at a cell where it is below the bound in every run, a dagger in parentheses where in some.
 *
 * A paper's figure is found by (table, row key, column): "keys" says which of our axes holds the
 * paper's row keys ("rows" or "columns"); the other one holds its columns. An item's "paper" is its
 * key there; without it, an item of a variable is looked up by its value times paper_scale.
 *
 * The figure is a number, {"mean": m, "std": s, "n": n}, or a list of the single runs' values. Where
 * it tells a spread, "equivalence": {"margin": 2} (in the table's unit) asks of each cell whether its
 * mean is the paper's but for less than the margin: by two one-sided tests after Welch.
 *
 * A plot is a line for each row over the columns' numbers ("lines"), groups of bars ("bars"), a
 * map of the cells' colours ("map"), or the metric over the steps of the cells' runs ("steps").
 */
/* clang-format on */
struct table;

int table_load(struct table **out, const char *path, struct err *err);
/* The same from text; `dir` is what its paths are relative to. */
int table_parse(struct table **out, const char *text, const char *name, const char *dir,
                struct err *err);
void table_free(struct table *t);
const char *table_title(const struct table *t);
bool table_is_map(const struct table *t); /* its plot */
/* Path, joined to the declaration's folder; or NULL. */
const char *table_spec(const struct table *t);

/* The pairs of stage and metric that cells want: 0 <= i < count. NULL: not restricted. */
int64_t table_want_count(const struct table *t);
void table_want(const struct table *t, int64_t i, const char **stage,
                const char **metric);

/* Puts observations into cells (copied). Two values of one seed in one cell are
 * ERR_INPUT: a variable is left open. A run that serves several points counts once. */
int table_fill(struct table *t, const struct observation *obs, int64_t n,
               struct err *err);

/*
 * The tests that the declaration asks for, after table_fill. `store` gives the stored
 * predictions where they are over examples; it may be NULL where they are over seeds.
 *
 *     seeds     paired t-test of the runs of one seed (a pair of runs counts once)
 *     examples  one pair of runs and accuracy: McNemar's exact test; otherwise the paired
 *               bootstrap of the metric: examples are drawn once a resample, the same for
 *               all seeds, and the metric's mean over the seeds is compared
 *     both      hierarchical bootstrap: seeds are drawn, then examples
 *
 * Streams are rng_stream(0, "bootstrap") for the examples, (0, "bootstrap/seeds") for the
 * seeds. p-values are corrected by Holm's method over all cells that are compared, and
 * apart from these over all tests that `best` needs.
 *
 * ERR_INPUT, with both runs named, if two cells that are compared were measured by
 * different metrics or on different data.
 */
int table_test(struct table *t, struct store *store, struct err *err);

/* A cell against another. */
struct cell_test {
    const char *test;  /* "paired t" ...; NULL: not made (missing runs) */
    int64_t n;         /* pairs of runs */
    double difference; /* of the means over the pairs */
    double std;        /* of the pairs' differences; NaN unless over seeds */
    double low, high;  /* 95 % interval of it; NaN with McNemar */
    double p, p_holm;  /* NaN: cannot be told, as from one pair of runs */
    bool flat; /* no mark is made of p: all differences are the same, or seeds are drawn
                  of which so few (2^(1 - n) >= alpha) may fall on one side by chance */
};
enum best {
    BEST_NO,
    BEST_ALONE, /* better than each other, by the corrected tests */
    BEST_TIED,  /* the best, or not told apart from it */
};

enum cell_state {
    CELL_OK,
    CELL_MISSING,   /* no value at all */
    CELL_PARTIAL,   /* some seeds are missing */
    CELL_STALE,     /* some value is stale */
    CELL_UNDEFINED, /* the runs are there, and none gives a number */
    CELL_UNASKED,   /* the declaration names no runs: the paper's figure alone */
};
struct table_cell {
    enum cell_state state;
    int64_t n, wanted;       /* runs found, seeds asked for */
    double mean, std;        /* as shown: scaled; NaN where not defined */
    double interval95;       /* half width */
    double paper;            /* scaled by the paper's scale; NaN: none */
    struct sample reference; /* the same with its spread, where the file tells it */
    struct equivalence equivalence; /* with the reference; NaN if not declared */
    int64_t marked;                 /* runs whose mark is below the bound */
    const char **run;               /* (n) full ids */
    double *x;                      /* (n) scaled values */
    double median;
    int64_t failed;   /* seeds whose last try failed */
    int64_t imported; /* runs that another program made */
    int64_t *of_seed; /* of each seed of the table: its place in run and x, or -1 */
    const char *data, *labels; /* what it was measured on, or NULL */
    struct cell_test versus;   /* the baseline */
    struct cell_test behind;   /* the best of its row or column */
    enum best best;
};
/* Is the cell above (1) or below (-1) the baseline by the corrected test? 0: neither. */
int table_mark(const struct table *t, const struct table_cell *c);
int64_t table_rows(const struct table *t);
int64_t table_cols(const struct table *t);
const char *table_row_name(const struct table *t, int64_t row);
const char *table_col_name(const struct table *t, int64_t col);
const struct table_cell *table_cell(const struct table *t, int64_t row, int64_t col);
/* Cells that are missing, partial or stale: the exit code is 1 if there are any. */
int64_t table_problems(const struct table *t);

enum table_format { TABLE_MD, TABLE_LATEX, TABLE_CSV, TABLE_HTML, TABLE_JSON };
int table_format_parse(enum table_format *out, const char *name, struct err *err);
/* md, latex (booktabs) and html: a grid of mean ± std, the paper's number and the
 * difference; n is told once, and in cells that have another. csv: a row for each cell.
 * json: all of it, with the ids of the runs. `trace` adds the runs behind each cell where
 * the format does not tell them: a list below, comments, or in csv a row for each run. */
int table_print(const struct table *t, enum table_format format, bool trace,
                struct strbuf *out, struct err *err);

/* ---- plots ---- */

struct plot_series {
    const char *name;
    int64_t n;
    const double *x, *y;
    const double *err; /* half height of the band, or of the bar's whisker; NaN or NULL:
                          none */
    bool points_only;  /* a paper's figures: dashed, no band */
    bool thin;         /* one of many runs: a faint line, not in the key */
    int64_t style;     /* which colour, shape and dash, from 1; 0: by its place */
};
struct plot {
    const char *title, *x_label, *y_label;
    int64_t n_series;
    const struct plot_series *series;
    double low, high; /* what the values cannot pass (a share: 0 and 1), where bands end;
                         NaN or infinite: none */
    bool bars;        /* groups of bars: x is 0, 1, 2 ... */
    int64_t n_names;  /* of bars: groups */
    const char *const *x_name; /* (n_names) of bars: what stands below each group */
};

/* Cells as colours: (rows, cols) values, NaN where there is none. A scale of two colours
 * around 0 if values lie on both sides of it. */
struct plot_map {
    const char *title, *x_label, *y_label;
    int64_t rows, cols;
    const char *const *row_name, *const *col_name;
    const double *value;
    const int *marked; /* or NULL: 1 where a cell bears a dagger, 2 in parentheses */
    int digits;
};

/* Background and colours of a picture's files. */
enum plot_theme { PLOT_LIGHT, PLOT_DARK };

/* Writes BASE.dat, BASE.gp and, by running gnuplot, BASE.png, BASE.svg, BASE.pdf. The
 * script needs nothing but the data beside it. Without gnuplot: ERR_IO, script and data
 * are there. */
int plot_write(const struct plot *plot, const char *base, enum plot_theme theme,
               struct err *err);
int plot_map_write(const struct plot_map *map, const char *base, enum plot_theme theme,
                   struct err *err);

/* The same for a page of HTML: an <svg> whose colours are the page's CSS variables
 * (runner/report/page_style.css), then a list as its key. `id` is unique on the page;
 * readers without eyes are told the ends of each line. */
void plot_svg(struct strbuf *out, const struct plot *plot, const char *id);
void plot_map_svg(struct strbuf *out, const struct plot_map *map, const char *id);

/* What the declaration's "plot" shows of a filled table. Values and names live as long as
 * the table; the store is read for "steps" alone. ERR_INPUT where there is nothing to be
 * shown: columns that are no numbers, no cell with a value. */
struct picture {
    bool is_map;
    struct plot plot;
    struct plot_map map;
};
int table_picture(struct picture *out, const struct table *t, struct store *store,
                  struct err *err);
/* The picture's files. */
int table_plot(const struct table *t, struct store *store, const char *base,
               enum plot_theme theme, struct err *err);

/* ---- a page ---- */

/*
 * One HTML page of a sweep, with all it needs in it: the given tables with their
 * pictures, curves over steps and maps of scores of each stage, every run with its pins,
 * what failed and what was not run. Tables sort, colours follow the reader's system or
 * the page's switch. Names are text in it, never markup.
 */
struct page {
    const struct plan *plan;
    struct store *store;
    struct page_table {
        const struct table *table; /* filled and tested; NULL: `problem` says why not */
        const char *name;          /* of its file */
        const char *problem;
    } * table;
    int64_t n_tables;
    const char *store_url; /* from the page to the store's folder, percent-encoded; or
                              NULL: files are not linked */
    double now;            /* Unix seconds */
};
/* *missing: jobs that have no sealed run. */
int page_print(struct strbuf *out, const struct page *page, int64_t *missing,
               struct err *err);

/* ---- difference of two runs ---- */

struct diff_options {
    bool tensors; /* look into arrays: the first element that differs, how many, by how
                     much */
    bool json;    /* one object with an array for each section, instead of text */
};
/* Appends the sections spec, pins, metrics (and tensors) to `out`; *same is about
 * results: metrics, and with tensors the arrays. */
int diff_runs(struct strbuf *out, bool *same, struct run *a, struct run *b,
              const struct diff_options *opt, struct err *err);
/* Lines "path: a -> b" where two JSON texts differ, each with `indent` before it. Returns
 * their number, or -1. */
int64_t diff_json(struct strbuf *out, const char *a, const char *b, const char *indent,
                  struct err *err);

#endif
