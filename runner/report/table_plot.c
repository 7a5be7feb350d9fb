/*
 * A table as a picture: from cells to the series of a plot, or to a map.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "retort/task.h"
#include "table_impl.h"

/* One line of the table: ours with a band of one std, or the paper's. False if it has no
 * point. */
static bool row_series(const struct table *t, int64_t row, bool paper,
                       struct plot_series *s)
{
    int64_t n = t->cols.n, shown = 0;
    double *v = arena_alloc(t->arena, 3 * n * (int64_t)sizeof(*v));

    if (!v)
        return false;
    for (int64_t c = 0; c < n; c++) {
        const struct table_cell *cell = table_cell(t, row, c);
        v[c] = t->cols.v[c].x;
        v[n + c] = paper ? cell->paper : cell->mean;
        v[2 * n + c] = paper ? (double)NAN : cell->std;
        shown += isfinite(v[c]) && isfinite(v[n + c]);
    }
    *s = (struct plot_series){t->rows.v[row].name, n, v, v + n, v + 2 * n, paper};
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
    return axis_label(t, t->plot_x, &t->cols);
}

const char *table_y_label(const struct table *t)
{
    return t->plot_map ? axis_label(t, t->plot_y, &t->rows)
                       : label_of(t, t->plot_y, t->metric, t->unit);
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

static int plot_lines(const struct table *t, const char *base, struct err *err)
{
    struct plot plot = {.title = t->plot_title};
    struct plot_series *s;
    int rc;

    for (int64_t c = 0; c < t->cols.n; c++) {
        if (isnan(t->cols.v[c].x))
            return err_set(
                err, ERR_INPUT,
                "column \"%s\" is no number; a plot needs \"columns\" over a variable "
                "with numbers",
                t->cols.v[c].name);
    }
    s = mem_new(2 * t->rows.n, sizeof(*s), err);
    if (!s)
        return -1;
    for (int64_t r = 0; r < t->rows.n; r++)
        plot.n_series += row_series(t, r, false, &s[plot.n_series]);
    for (int64_t r = 0; r < t->rows.n; r++)
        plot.n_series += row_series(t, r, true, &s[plot.n_series]);
    plot.series = s;
    table_bounds(t, &plot.low, &plot.high);
    plot.x_label = table_x_label(t);
    plot.y_label = table_y_label(t);
    rc = arena_failed(t->arena, err) ? -1 : plot_write(&plot, base, err);
    free(s);
    return rc;
}

static int plot_cells(const struct table *t, const char *base, struct err *err)
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
    struct plot_map map = {
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
    return plot_map_write(&map, base, err);
}

bool table_is_map(const struct table *t)
{
    return t->plot_map;
}

int table_plot(const struct table *t, const char *base, struct err *err)
{
    if (!t->cell)
        BUG("table_plot before table_fill");
    return t->plot_map ? plot_cells(t, base, err) : plot_lines(t, base, err);
}
