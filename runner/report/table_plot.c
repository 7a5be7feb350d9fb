/*
 * A table as a picture: from cells to the series of a plot, or to a map.
 *
 * Curves over steps are read from the runs behind the cells: a faint line for each run,
 * and where a cell has several of equal steps, their mean. Long series are shown as means
 * of equal numbers of steps, or the noise of single batches would hide them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "retort/task.h"
#include "table_impl.h"

#define POINTS_MOST 160 /* of a curve over steps */

/* One line of the table: ours with a band of one std, or the paper's. False if it has no
 * point. */
static bool row_series(const struct table *t, int64_t row, bool paper,
                       struct plot_series *s)
{
    int64_t n = t->cols.n, shown = 0;
    bool bars = t->plot_kind == PLOT_BARS;
    double *v = arena_alloc(t->arena, 3 * n * (int64_t)sizeof(*v));

    if (!v)
        return false;
    for (int64_t c = 0; c < n; c++) {
        const struct table_cell *cell = table_cell(t, row, c);
        v[c] = bars ? (double)c : t->cols.v[c].x;
        v[n + c] = paper ? cell->paper : cell->mean;
        v[2 * n + c] = paper ? cell->reference.std : cell->std;
        shown += isfinite(v[c]) && isfinite(v[n + c]);
    }
    *s = (struct plot_series){.name = t->rows.v[row].name,
                              .n = n,
                              .x = v,
                              .y = v + n,
                              .err = v + 2 * n,
                              .points_only = paper,
                              .style = row + 1};
    if (paper)
        s->name = arena_printf(t->arena, "%s, paper", t->rows.v[row].name);
    return shown > 0 && s->name;
}

/* "heads pruned (%)" from a name and a unit. */
static const char *label_of(const struct table *t, const char *given, const char *name,
                            const char *unit)
{
    if (given || !name)
        return given ? given : "";
    return unit ? arena_printf(t->arena, "%s (%s)", name, unit) : name;
}

static const char *axis_label(const struct table *t, const char *given,
                              const struct axis *a)
{
    return label_of(t, given, a->name ? a->name : a->variable, a->unit);
}

const char *table_x_label(const struct table *t)
{
    if (t->plot_kind == PLOT_STEPS)
        return t->plot_x ? t->plot_x : "step";
    return axis_label(t, t->plot_x, &t->cols);
}

/* "accuracy" of "eval/glue/mrpc/dev/accuracy": a title says the rest. */
static const char *short_metric(const char *name)
{
    const char *last = name ? strrchr(name, '/') : NULL;

    return last && !strncmp(name, "eval/", 5) ? last + 1 : name;
}

const char *table_y_label(const struct table *t)
{
    return t->plot_kind == PLOT_MAP
               ? axis_label(t, t->plot_y, &t->rows)
               : label_of(t, t->plot_y, short_metric(t->metric), t->unit);
}

static const char *metric_of_row(const struct table *t, int64_t row)
{
    const char *metric = t->rows.v[row].metric;

    return metric ? metric : t->metric;
}

void table_bounds(const struct table *t, double *low, double *high)
{
    *low = (double)INFINITY;
    *high = -(double)INFINITY;
    for (int64_t r = 0; r < t->rows.n; r++) {
        const char *name = metric_of_row(t, r), *last = name ? strrchr(name, '/') : NULL;
        const struct metric *m = metric_find(last ? last + 1 : name);
        bool bounded = m && m->low < m->high;
        double scale = t->scale * t->rows.v[r].scale;
        double a = scale * (bounded ? m->low : -(double)INFINITY);
        double b = scale * (bounded ? m->high : (double)INFINITY);
        *low = fmin(*low, fmin(a, b));
        *high = fmax(*high, fmax(a, b));
    }
}

/* ---- lines and bars ---- */

static int of_rows(struct plot *plot, const struct table *t, struct err *err)
{
    struct plot_series *s;
    const char **name;
    bool papers = false;

    for (int64_t c = 0; c < t->cols.n && t->plot_kind == PLOT_LINES; c++) {
        if (isnan(t->cols.v[c].x))
            return err_set(
                err, ERR_INPUT,
                "column \"%s\" is no number; a plot needs \"columns\" over a variable "
                "with numbers, or \"kind\": \"bars\"",
                t->cols.v[c].name);
    }
    s = arena_zalloc(t->arena, 2 * t->rows.n * (int64_t)sizeof *s);
    name = arena_zalloc(t->arena, (t->cols.n + 1) * (int64_t)sizeof *name);
    if (arena_failed(t->arena, err))
        return -1;
    for (int64_t k = 0; k < 2 * t->rows.n; k++) {
        bool there = row_series(t, k % t->rows.n, k >= t->rows.n, &s[plot->n_series]);
        papers = papers || (there && k >= t->rows.n);
        plot->n_series += there;
    }
    for (int64_t c = 0; c < t->cols.n; c++)
        name[c] = t->cols.v[c].name;
    plot->series = s;
    plot->bars = t->plot_kind == PLOT_BARS;
    plot->n_names = plot->bars ? t->cols.n : 0;
    plot->x_name = name;
    for (int64_t k = 0; k < plot->n_series && papers && plot->bars; k++)
        s[k].style = k + 1; /* no dashes tell a paper's bars from ours */
    table_bounds(t, &plot->low, &plot->high);
    plot->x_label = table_x_label(t);
    plot->y_label = table_y_label(t);
    return arena_failed(t->arena, err);
}

/* ---- curves over steps ---- */

struct curves {
    const struct table *t;
    struct store *store;
    struct plot_series *v;
    int64_t n, capacity;
    struct err *err;
};

/* Means of `width` values each; the step shown is the last of them. */
static struct plot_series thinned(const struct curves *k, const struct series *s,
                                  double scale)
{
    int64_t width = (s->n + POINTS_MOST - 1) / POINTS_MOST;
    int64_t n = width ? (s->n + width - 1) / width : 0;
    double *x = arena_alloc(k->t->arena, (2 * n + 1) * (int64_t)sizeof *x);

    for (int64_t i = 0; i < n && x; i++) {
        int64_t end = (i + 1) * width < s->n ? (i + 1) * width : s->n;
        double sum = 0;
        for (int64_t j = i * width; j < end; j++)
            sum += s->value[j];
        x[i] = (double)s->step[end - 1];
        x[n + i] = scale * sum / (double)(end - i * width);
    }
    return (struct plot_series){.n = x ? n : 0, .x = x, .y = x + n, .thin = true};
}

static int add_curve(struct curves *k, const struct plot_series *s)
{
    if (mem_grow((void **)&k->v, k->n, &k->capacity, sizeof *k->v, k->err))
        return -1;
    k->v[k->n++] = *s;
    return 0;
}

static int read_curve(struct curves *k, const char *run_id, const char *metric,
                      double scale, const char *name, int64_t style)
{
    struct run *run = NULL;
    struct plot_series curve;
    struct series s;
    int rc = run_open(&run, k->store, run_id, false, k->err) ||
                     run_series_find(run, metric, &s, k->err)
                 ? -1
                 : 0;

    if (!rc) {
        curve = thinned(k, &s, scale);
        curve.name = name;
        curve.style = style;
        rc = add_curve(k, &curve);
    }
    run_close(run);
    return rc;
}

static bool same_steps(const struct plot_series *a, const struct plot_series *b)
{
    for (int64_t i = 0; i < a->n && a->n == b->n; i++)
        if (fabs(a->x[i] - b->x[i]) > 0)
            return false;
    return a->n == b->n;
}

/* The mean of the curves from `first` on; one alone stands for itself. */
static int add_mean(struct curves *k, int64_t first)
{
    int64_t runs = k->n - first;
    struct plot_series mean;
    double *y;

    if (runs == 1)
        k->v[first].thin = false;
    if (runs < 2)
        return 0;
    mean = k->v[first];
    for (int64_t i = first + 1; i < k->n; i++)
        if (!same_steps(&mean, &k->v[i])) { /* the first run stands in the key */
            k->v[first].thin = false;
            return 0;
        }
    mean.y = y = arena_zalloc(k->t->arena, (mean.n + 1) * (int64_t)sizeof *y);
    for (int64_t i = 0; i < mean.n && y; i++)
        for (int64_t r = 0; r < runs; r++)
            y[i] += k->v[first + r].y[i] / (double)runs;
    mean.thin = false;
    mean.name =
        arena_printf(k->t->arena, "%s (mean of %lld)", mean.name, (long long)runs);
    if (arena_failed(k->t->arena, k->err))
        return -1;
    return add_curve(k, &mean);
}

static int add_cell(struct curves *k, int64_t i)
{
    const struct table *t = k->t;
    const struct item *row = &t->rows.v[i / t->cols.n], *col = &t->cols.v[i % t->cols.n];
    const struct table_cell *c = &t->cell[i];
    const char *name = t->cols.n == 1 ? row->name
                       : t->rows.n == 1
                           ? col->name
                           : arena_printf(t->arena, "%s, %s", row->name, col->name);
    int64_t first = k->n;

    for (int64_t r = 0; r < c->n; r++)
        if (read_curve(k, c->run[r], table_cell_metric(t, row, col),
                       t->scale * row->scale * col->scale, name ? name : "", i + 1))
            return -1;
    return add_mean(k, first);
}

static int of_steps(struct plot *plot, const struct table *t, struct store *store,
                    struct err *err)
{
    struct curves k = {.t = t, .store = store, .err = err};
    struct plot_series *all;
    int rc = 0;

    for (int64_t i = 0; i < t->rows.n * t->cols.n && !rc; i++)
        rc = add_cell(&k, i);
    all = arena_alloc(t->arena, (k.n + 1) * (int64_t)sizeof *all);
    if (!rc)
        rc = arena_failed(t->arena, err);
    if (!rc) {
        if (k.n)
            memcpy(all, k.v, (size_t)k.n * sizeof *all);
        plot->series = all;
        plot->n_series = k.n;
        plot->low = -(double)INFINITY;
        plot->high = (double)INFINITY;
        plot->x_label = table_x_label(t);
        plot->y_label = table_y_label(t);
    }
    free(k.v);
    return rc;
}

/* ---- maps ---- */

static int of_cells(struct plot_map *map, const struct table *t, struct err *err)
{
    int64_t rows = t->rows.n, cols = t->cols.n;
    const char **name = arena_alloc(t->arena, (rows + cols + 1) * (int64_t)sizeof *name);
    double *value = arena_alloc(t->arena, (rows * cols + 1) * (int64_t)sizeof *value);
    int *marked = arena_alloc(t->arena, (rows * cols + 1) * (int64_t)sizeof *marked);

    if (arena_failed(t->arena, err))
        return -1;
    for (int64_t r = 0; r < rows; r++)
        name[r] = t->rows.v[r].name;
    for (int64_t c = 0; c < cols; c++)
        name[rows + c] = t->cols.v[c].name;
    for (int64_t i = 0; i < rows * cols; i++) {
        const struct table_cell *cell = &t->cell[i];
        value[i] = cell->mean;
        marked[i] = cell->marked == 0 ? 0 : cell->marked == cell->n ? 1 : 2;
    }
    *map = (struct plot_map){
        .title = t->plot_title,
        .x_label = table_x_label(t),
        .y_label = table_y_label(t),
        .rows = rows,
        .cols = cols,
        .row_name = name,
        .col_name = name + rows,
        .value = value,
        .marked = marked,
        .digits = t->digits,
    };
    return arena_failed(t->arena, err);
}

static bool any_cell(const struct table *t)
{
    for (int64_t i = 0; i < t->rows.n * t->cols.n; i++)
        if (isfinite(t->cell[i].mean) ||
            (isfinite(t->cell[i].paper) && t->plot_kind < PLOT_MAP))
            return true;
    return false;
}

int table_picture(struct picture *out, const struct table *t, struct store *store,
                  struct err *err)
{
    if (!t->cell)
        BUG("table_picture before table_fill");
    *out =
        (struct picture){.is_map = t->plot_kind == PLOT_MAP, .plot.title = t->plot_title};
    if (!any_cell(t))
        return err_set(err, ERR_INPUT, "%s: there is no number to be shown",
                       *t->plot_title ? t->plot_title : "the table");
    if (out->is_map)
        return of_cells(&out->map, t, err);
    return t->plot_kind == PLOT_STEPS ? of_steps(&out->plot, t, store, err)
                                      : of_rows(&out->plot, t, err);
}

bool table_is_map(const struct table *t)
{
    return t->plot_kind == PLOT_MAP;
}

int table_plot(const struct table *t, struct store *store, const char *base,
               enum plot_theme theme, struct err *err)
{
    struct picture p;

    if (table_picture(&p, t, store, err))
        return -1;
    return p.is_map ? plot_map_write(&p.map, base, theme, err)
                    : plot_write(&p.plot, base, theme, err);
}
