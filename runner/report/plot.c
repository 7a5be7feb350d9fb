/*
 * Plots by gnuplot, run as a program on a script that a person can run again.
 *
 * Colours are Okabe and Ito's (2008), told apart with any kind of colour vision; each
 * series has its own point shape and dash too, so that the plot survives a
 * black-and-white printer.
 */
#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "retort/file.h"
#include "table_impl.h"

extern char **environ;

static const char *const colours[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                      "#E69F00", "#56B4E9", "#000000"};
static const int points[] = {7, 5, 9, 13, 11, 4, 6};

/* A gnuplot string: single quotes doubled, control characters left out. */
static void put_quoted(struct strbuf *out, const char *s)
{
    strbuf_putc(out, '\'');
    for (; s && *s; s++) {
        if (*s == '\'')
            strbuf_putc(out, '\'');
        if ((unsigned char)*s >= ' ')
            strbuf_putc(out, *s);
    }
    strbuf_putc(out, '\'');
}

static double band_of(const struct plot_series *s, int64_t i)
{
    return s->err && !isnan(s->err[i]) ? s->err[i] : 0;
}

/* One block for each series: x, y, low, high. Points without a value are left out. */
static void put_data(struct strbuf *out, const struct plot *plot)
{
    strbuf_puts(out, "# x y low high; one block for each series\n");
    for (int64_t k = 0; k < plot->n_series; k++) {
        const struct plot_series *s = &plot->series[k];
        int64_t shown = 0;
        strbuf_puts(out, k ? "\n\n# " : "# ");
        for (const char *c = s->name; *c; c++)
            strbuf_putc(out, (unsigned char)*c >= ' ' ? *c : ' ');
        strbuf_putc(out, '\n');
        for (int64_t i = 0; i < s->n; i++) {
            double v[4] = {s->x[i], s->y[i], s->y[i] - band_of(s, i),
                           s->y[i] + band_of(s, i)};
            if (!isfinite(v[0]) || !isfinite(v[1]))
                continue;
            for (int j = 0; j < 4; j++) {
                strbuf_double(out, v[j]);
                strbuf_putc(out, j < 3 ? ' ' : '\n');
            }
            shown++;
        }
        if (shown == 0) /* keeps the block's number; gnuplot skips the point */
            strbuf_puts(out, "NaN NaN NaN NaN\n");
    }
}

static bool has_band(const struct plot_series *s)
{
    for (int64_t i = 0; i < s->n; i++) {
        if (band_of(s, i) > 0)
            return true;
    }
    return false;
}

/* The curves: all bands first, so that no band hides a line. */
static void put_curves(struct strbuf *out, const struct plot *plot)
{
    bool first = true;
    for (int64_t k = 0; k < plot->n_series; k++) {
        if (!has_band(&plot->series[k]))
            continue;
        strbuf_puts(out, first ? "plot " : ", \\\n     ");
        strbuf_printf(out,
                      "data index %lld using 1:3:4 with filledcurves fillcolor rgb '%s' "
                      "fillstyle transparent solid 0.18 noborder notitle",
                      (long long)k, colours[k % 7]);
        first = false;
    }
    for (int64_t k = 0; k < plot->n_series; k++) {
        const struct plot_series *s = &plot->series[k];
        strbuf_puts(out, first ? "plot " : ", \\\n     ");
        strbuf_printf(out,
                      "data index %lld using 1:2 with linespoints linecolor rgb '%s' "
                      "linewidth %s pointtype %d pointsize %s dashtype %d title ",
                      (long long)k, colours[k % 7], s->points_only ? "1.5" : "2",
                      points[k % 7], s->points_only ? "0.6" : "0.8",
                      s->points_only ? 2 : 1);
        put_quoted(out, s->name);
        first = false;
    }
    strbuf_putc(out, '\n');
}

static void put_script(struct strbuf *out, const struct plot *plot, const char *name)
{
    static const struct {
        const char *end, *terminal;
    } kinds[] = {
        {"png", "pngcairo size 1200,800 font 'DejaVu Sans,18' background '#ffffff'"},
        {"svg", "svg size 900,600 font 'DejaVu Sans,15' background '#ffffff'"},
        {"pdf", "pdfcairo size 6in,4in font 'DejaVu Sans,10'"}};

    strbuf_puts(out, "# Run in this folder: gnuplot THIS_FILE\nset encoding utf8\n");
    strbuf_puts(out, "data = ");
    put_quoted(out, name);
    strbuf_puts(out, ".'.dat'\nset title ");
    put_quoted(out, plot->title);
    strbuf_puts(out, " noenhanced\nset xlabel ");
    put_quoted(out, plot->x_label);
    strbuf_puts(out, " noenhanced\nset ylabel ");
    put_quoted(out, plot->y_label);
    strbuf_puts(out,
                " noenhanced\n"
                "set border 3 linecolor rgb '#444444'\n"
                "set tics nomirror\n"
                "set grid ytics linetype 1 linecolor rgb '#dddddd' linewidth 1\n"
                "set autoscale xfix\n"
                "set key at screen 0.5, screen 0.02 center bottom horizontal maxcols 3 "
                "noenhanced\n"
                "set offsets graph 0.02, graph 0.02, graph 0.05, graph 0.05\n");
    /* The key stands under the axis label, three names a line. */
    strbuf_printf(out, "set bmargin %lld\n", (long long)(4 + (plot->n_series + 2) / 3));
    for (int i = 0; i < 3; i++) {
        strbuf_printf(out, "\nset terminal %s\nset output ", kinds[i].terminal);
        put_quoted(out, name);
        strbuf_printf(out, ".'.%s'\n", kinds[i].end);
        if (i == 0)
            put_curves(out, plot);
        else
            strbuf_puts(out, "replot\n");
    }
    strbuf_puts(out, "set output\n");
}

static int write_beside(const char *base, const char *end, const struct strbuf *sb,
                        struct err *err)
{
    char *path;
    int rc;
    if (strbuf_failed(sb, err))
        return -1;
    path = mem_printf(err, "%s%s", base, end);
    rc = path ? file_write(path, strbuf_text(sb), (int64_t)sb->len, err) : -1;
    free(path);
    return rc;
}

/* The environment with a UTF-8 locale, whatever the caller's: gnuplot converts by it. */
static char **utf8_environment(struct err *err)
{
    static char locale[] = "LC_ALL=C.UTF-8";
    int64_t n = 0, at = 0;
    char **env;

    while (environ[n])
        n++;
    env = mem_new(n + 2, sizeof *env, err);
    if (!env)
        return NULL;
    for (int64_t i = 0; i < n; i++)
        if (strncmp(environ[i], "LC_ALL=", strlen("LC_ALL=")) != 0)
            env[at++] = environ[i];
    env[at] = locale;
    return env;
}

/* gnuplot in the script's folder; what it says goes to our stderr. */
static int run_gnuplot(const char *dir, const char *script, struct err *err)
{
    char program[] = "gnuplot";
    char *arg = mem_printf(err, "%s%s", script[0] == '-' ? "./" : "", script);
    char *argv[] = {program, arg, NULL};
    char **env = utf8_environment(err);
    posix_spawn_file_actions_t actions;
    int status = 0, e, rc = -1;
    pid_t pid;

    if (!arg || !env) {
        free(env);
        free(arg);
        return -1;
    }
    posix_spawn_file_actions_init(&actions);
    e = posix_spawn_file_actions_addchdir_np(&actions, dir);
    if (e == 0)
        e = posix_spawnp(&pid, program, &actions, NULL, argv, env);
    if (e) {
        errno = e;
        err_set(err, ERR_IO, "gnuplot cannot be run: %s; install the package gnuplot-nox",
                strerror(e));
        goto done;
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            err_errno(err, "waiting for gnuplot");
            goto done;
        }
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        err_set(err, ERR_IO, "gnuplot is not installed; install the package gnuplot-nox");
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        err_set(err, ERR_IO, "gnuplot failed on %s/%s", dir, script);
    else
        rc = 0;
done:
    posix_spawn_file_actions_destroy(&actions);
    free(env);
    free(arg);
    return rc;
}

int plot_write(const struct plot *plot, const char *base, struct err *err)
{
    int rc = -1;
    struct strbuf data = STRBUF_INIT, script = STRBUF_INIT;
    char *dir = path_dir(base, err), *name = mem_printf(err, "%s.gp", path_base(base));

    if (!dir || !name || file_mkdirs(dir, err))
        goto done;
    if (plot->n_series < 1) {
        err_set(err, ERR_INPUT, "%s: nothing to plot", base);
        goto done;
    }
    put_data(&data, plot);
    put_script(&script, plot, path_base(base));
    if (write_beside(base, ".dat", &data, err) || write_beside(base, ".gp", &script, err))
        goto done;
    rc = run_gnuplot(dir, name, err);
done:
    strbuf_release(&script);
    strbuf_release(&data);
    free(name);
    free(dir);
    return rc;
}

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
static const char *axis_label(const struct table *t, const char *given, const char *name,
                              const char *unit)
{
    if (given || !name)
        return given ? given : "";
    return unit ? arena_printf(t->arena, "%s (%s)", name, unit) : name;
}

int table_plot(const struct table *t, const char *base, struct err *err)
{
    struct plot plot = {t->plot_title, NULL, NULL, 0, NULL};
    struct plot_series *s;
    int rc;

    if (!t->cell)
        BUG("table_plot before table_fill");
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
    plot.x_label = axis_label(
        t, t->plot_x, t->cols.name ? t->cols.name : t->cols.variable, t->cols.unit);
    plot.y_label = axis_label(t, t->plot_y, t->metric, t->unit);
    rc = arena_failed(t->arena, err) ? -1 : plot_write(&plot, base, err);
    free(s);
    return rc;
}
