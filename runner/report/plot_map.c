/*
 * Maps: a table's cells as colours with their values in them, the first row on top.
 *
 * Colours stay light enough for black letters, on dark ground dark enough for white ones:
 * ground to blue, or blue, ground, orange around 0 where values lie on both sides of it;
 * told apart with any kind of colour vision.
 */
#include <math.h>

#include "plot_impl.h"
#include "retort/file.h"

static double cell(const struct plot_map *map, int64_t row, int64_t col)
{
    return map->value[row * map->cols + col];
}

static void put_cells(struct strbuf *out, const struct plot_map *map)
{
    static const char *const marks[] = {"", "†", "(†)"};

    strbuf_puts(out, "# column row value label\n");
    for (int64_t r = 0; r < map->rows; r++)
        for (int64_t c = 0; c < map->cols; c++) {
            int mark = map->marked ? map->marked[r * map->cols + c] : 0;
            if (!isfinite(cell(map, r, c)))
                continue;
            strbuf_printf(out, "%lld %lld ", (long long)c, (long long)r);
            strbuf_double(out, cell(map, r, c));
            strbuf_printf(out, " \"%.*f%s\"\n", map->digits, cell(map, r, c),
                          marks[mark]);
        }
}

bool plot_map_range(const struct plot_map *map, double *low, double *high)
{
    *low = (double)INFINITY;
    *high = -(double)INFINITY;
    for (int64_t i = 0; i < map->rows * map->cols; i++)
        if (isfinite(map->value[i])) {
            *low = fmin(*low, map->value[i]);
            *high = fmax(*high, map->value[i]);
        }
    return *low <= *high;
}

static void put_palette(struct strbuf *out, double low, double high,
                        enum plot_theme theme)
{
    static const char *const colours[][3] = {{"#56B4E9", "#ffffff", "#E69F00"},
                                             {"#0072B2", "#16191d", "#9A5B00"}};
    const char *blue = colours[theme][0], *ground = colours[theme][1];
    bool both = low < 0 && high > 0;
    double most = fmax(fabs(low), fabs(high));

    if (both || low == high) {
        low = -most;
        high = most;
    }
    if (low == high) { /* all are 0 */
        low = -1;
        high = 1;
    }
    if (both)
        strbuf_printf(out, "set palette defined (-1 '%s', 0 '%s', 1 '%s')", blue, ground,
                      colours[theme][2]);
    else
        strbuf_printf(out, "set palette defined (0 '%s', 1 '%s')",
                      high <= 0 ? blue : ground, high <= 0 ? ground : blue);
    strbuf_puts(out, "\nset cbrange [");
    strbuf_double(out, low);
    strbuf_putc(out, ':');
    strbuf_double(out, high);
    strbuf_puts(out, "]\n");
}

static void put_plot(struct strbuf *out, const void *what, enum plot_theme theme)
{
    const struct plot_map *map = what;
    double size = fmin(0.9, 10.0 / (double)map->cols); /* of the letters */

    strbuf_puts(out, "plot data using 1:2:3 with image pixels notitle, \\\n"
                     "     data using 1:2:4 with labels font sprintf(',%g', text * ");
    strbuf_double(out, size);
    strbuf_printf(out, ") textcolor rgb '%s' notitle\n",
                  theme == PLOT_DARK ? "#ffffff" : "#000000");
}

int plot_map_write(const struct plot_map *map, const char *base, enum plot_theme theme,
                   struct err *err)
{
    struct strbuf data = STRBUF_INIT, script = STRBUF_INIT;
    double low, high;
    int rc;

    if (!plot_map_range(map, &low, &high))
        return err_set(err, ERR_INPUT, "%s: nothing to plot", base);
    put_cells(&data, map);
    plot_head(&script, path_base(base), map->title, map->x_label, map->y_label, theme);
    put_palette(&script, low, high, theme);
    plot_tics(&script, "x", map->col_name, map->cols);
    plot_tics(&script, "y", map->row_name, map->rows);
    strbuf_printf(&script, "set xrange [-0.5:%lld.5]\nset yrange [%lld.5:-0.5]\n",
                  (long long)(map->cols - 1), (long long)(map->rows - 1));
    strbuf_puts(&script, "set border 0\nset cbtics scale 0\nunset key\n");
    plot_outputs(&script, path_base(base), theme, put_plot, map);
    rc = plot_finish(base, &data, &script, err);
    strbuf_release(&script);
    strbuf_release(&data);
    return rc;
}
