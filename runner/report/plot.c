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

#include "plot_impl.h"
#include "retort/file.h"
#include "retort/mem.h"

extern char **environ;

static const char *const colours[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                      "#E69F00", "#56B4E9", "#000000"};
static const int points[] = {7, 5, 9, 13, 11, 4, 6};

void plot_quoted(struct strbuf *out, const char *s)
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

void plot_head(struct strbuf *out, const char *name, const char *title,
               const char *x_label, const char *y_label)
{
    strbuf_puts(out, "# Run in this folder: gnuplot THIS_FILE\nset encoding utf8\n");
    strbuf_puts(out, "data = ");
    plot_quoted(out, name);
    strbuf_puts(out, ".'.dat'\nset title ");
    plot_quoted(out, title);
    strbuf_puts(out, " noenhanced\nset xlabel ");
    plot_quoted(out, x_label);
    strbuf_puts(out, " noenhanced\nset ylabel ");
    plot_quoted(out, y_label);
    strbuf_puts(out, " noenhanced\nset border 3 linecolor rgb '#444444'\n");
}

void plot_outputs(struct strbuf *out, const char *name,
                  void (*put)(struct strbuf *out, const void *what), const void *what)
{
    static const struct {
        const char *end, *terminal;
        int text;
    } kinds[] = {
        {"png", "pngcairo size 1200,800 font 'DejaVu Sans,18' background '#ffffff'", 18},
        {"svg", "svg size 900,600 font 'DejaVu Sans,15' background '#ffffff'", 15},
        {"pdf", "pdfcairo size 6in,4in font 'DejaVu Sans,10'", 10}};

    for (int i = 0; i < 3; i++) {
        strbuf_printf(out, "\nset terminal %s\ntext = %d\nset output ", kinds[i].terminal,
                      kinds[i].text);
        plot_quoted(out, name);
        strbuf_printf(out, ".'.%s'\n", kinds[i].end);
        if (i == 0)
            put(out, what);
        else
            strbuf_puts(out, "replot\n");
    }
    strbuf_puts(out, "set output\n");
}

/* ---- curves ---- */

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
            double v[4] = {s->x[i], s->y[i], /* fmax and fmin pass NaN over */
                           fmax(s->y[i] - band_of(s, i), plot->low),
                           fmin(s->y[i] + band_of(s, i), plot->high)};
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
static void put_curves(struct strbuf *out, const void *what)
{
    const struct plot *plot = what;
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
        plot_quoted(out, s->name);
        first = false;
    }
    strbuf_putc(out, '\n');
}

/* An axis goes no further than its values can. */
static void put_range(struct strbuf *out, const struct plot *plot)
{
    strbuf_puts(out, "set yrange [");
    if (isfinite(plot->low)) {
        strbuf_double(out, plot->low);
        strbuf_puts(out, " < ");
    }
    strbuf_puts(out, "*:*");
    if (isfinite(plot->high)) {
        strbuf_puts(out, " < ");
        strbuf_double(out, plot->high);
    }
    strbuf_puts(out, "]\n");
}

static void put_script(struct strbuf *out, const struct plot *plot, const char *name)
{
    plot_head(out, name, plot->title, plot->x_label, plot->y_label);
    strbuf_puts(out,
                "set tics nomirror\n"
                "set grid ytics linetype 1 linecolor rgb '#dddddd' linewidth 1\n"
                "set autoscale xfix\n"
                "set key at screen 0.5, screen 0.02 center bottom horizontal maxcols 3 "
                "noenhanced\n"
                "set offsets graph 0.02, graph 0.02, 0, 0\n");
    put_range(out, plot);
    /* The key stands under the axis label, three names a line. */
    strbuf_printf(out, "set bmargin %lld\n", (long long)(4 + (plot->n_series + 2) / 3));
    plot_outputs(out, name, put_curves, plot);
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

int plot_finish(const char *base, const struct strbuf *data, const struct strbuf *script,
                struct err *err)
{
    char *dir = path_dir(base, err), *name = mem_printf(err, "%s.gp", path_base(base));
    int rc = -1;

    if (dir && name && !file_mkdirs(dir, err) && !write_beside(base, ".dat", data, err) &&
        !write_beside(base, ".gp", script, err))
        rc = run_gnuplot(dir, name, err);
    free(name);
    free(dir);
    return rc;
}

int plot_write(const struct plot *plot, const char *base, struct err *err)
{
    struct strbuf data = STRBUF_INIT, script = STRBUF_INIT;
    int rc;

    if (plot->n_series < 1)
        return err_set(err, ERR_INPUT, "%s: nothing to plot", base);
    put_data(&data, plot);
    put_script(&script, plot, path_base(base));
    rc = plot_finish(base, &data, &script, err);
    strbuf_release(&script);
    strbuf_release(&data);
    return rc;
}
