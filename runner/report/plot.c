/*
 * Plots by gnuplot, run as a program on a script that a person can run again.
 *
 * Colours are Okabe and Ito's (2008), told apart with any kind of colour vision, on dark
 * ground the lighter ones; each series has its own point shape too, and bars their own
 * pattern, so that the plot survives a black-and-white printer.
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
#include "retort/utf8.h"

extern char **environ;

static const struct {
    const char *ground, *text, *border, *grid, *series[PLOT_STYLES];
} themes[] = {
    {"#ffffff",
     "#000000",
     "#444444",
     "#dddddd",
     {"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"}},
    {"#16191d",
     "#e8e8e8",
     "#9a9a9a",
     "#3a3f45",
     {"#56B4E9", "#E69F00", "#2BC79A", "#E6A3C8", "#F0E442", "#FF8A4C", "#ffffff"}},
};
static const int points[] = {7, 5, 9, 13, 11, 4, 6};
static const int patterns[] = {3, 4, 1, 5, 2, 6, 7}; /* 3 is solid */

int plot_style(const struct plot_series *s, int64_t place)
{
    return (int)((s->style ? s->style - 1 : place) % PLOT_STYLES);
}

void plot_quoted(struct strbuf *out, const char *s)
{
    size_t at = 0;

    strbuf_putc(out, '\'');
    for (; s && *s; s++) {
        if (*s == '\'')
            strbuf_putc(out, '\'');
        if (*s == '>' && at >= 2 && s[-1] == ']' && s[-2] == ']')
            strbuf_putc(out, ' '); /* gnuplot's SVG would not be XML */
        if ((unsigned char)*s >= ' ' || strchr("\n\r\t", *s))
            strbuf_putc(out, (unsigned char)*s >= ' ' ? *s : ' ');
        at++;
    }
    strbuf_putc(out, '\'');
}

/* A name at a tick is a format there: its percent signs are doubled. */
static void put_tic(struct strbuf *out, const char *name)
{
    struct strbuf sb = STRBUF_INIT;

    for (; *name; name++) {
        if (*name == '%')
            strbuf_putc(&sb, '%');
        strbuf_putc(&sb, *name);
    }
    plot_quoted(out, strbuf_text(&sb));
    out->failed = out->failed || sb.failed;
    strbuf_release(&sb);
}

void plot_tics(struct strbuf *out, const char *axis, const char *const *name, int64_t n)
{
    strbuf_printf(out, "set %stics (", axis);
    for (int64_t i = 0; i < n; i++) {
        strbuf_puts(out, i ? ", " : "");
        put_tic(out, name[i]);
        strbuf_printf(out, " %lld", (long long)i);
    }
    strbuf_puts(out, ") scale 0 noenhanced\n");
}

void plot_head(struct strbuf *out, const char *name, const char *title,
               const char *x_label, const char *y_label, enum plot_theme theme)
{
    const char *text = themes[theme].text;

    strbuf_puts(out, "# Run in this folder: gnuplot THIS_FILE\nset encoding utf8\n");
    strbuf_puts(out, "data = ");
    plot_quoted(out, name);
    strbuf_puts(out, ".'.dat'\nset title ");
    plot_quoted(out, title);
    strbuf_printf(out, " noenhanced textcolor rgb '%s'\nset xlabel ", text);
    plot_quoted(out, x_label);
    strbuf_printf(out, " noenhanced textcolor rgb '%s'\nset ylabel ", text);
    plot_quoted(out, y_label);
    strbuf_printf(out, " noenhanced textcolor rgb '%s'\n", text);
    strbuf_printf(out, "set tics textcolor rgb '%s'\nset key textcolor rgb '%s'\n", text,
                  text);
    strbuf_printf(out, "set border 3 linecolor rgb '%s'\n", themes[theme].border);
}

void plot_outputs(struct strbuf *out, const char *name, enum plot_theme theme,
                  void (*put)(struct strbuf *out, const void *what,
                              enum plot_theme theme),
                  const void *what)
{
    static const struct {
        const char *end, *terminal;
        int text;
    } kinds[] = {{"png", "pngcairo size 1200,800 font 'DejaVu Sans,18'", 18},
                 {"svg", "svg size 900,600 font 'DejaVu Sans,15'", 15},
                 {"pdf", "pdfcairo size 6in,4in font 'DejaVu Sans,10'", 10}};

    for (int i = 0; i < 3; i++) {
        strbuf_printf(out, "\nset terminal %s background '%s'\ntext = %d\nset output ",
                      kinds[i].terminal, themes[theme].ground, kinds[i].text);
        plot_quoted(out, name);
        strbuf_printf(out, ".'.%s'\n", kinds[i].end);
        if (i == 0)
            put(out, what, theme);
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

/* Bars of a group stand side by side: they share 0.8 of it. */
static double bar_width(const struct plot *plot)
{
    return 0.8 / (double)plot->n_series;
}

static double place_of(const struct plot *plot, int64_t series, int64_t i)
{
    double x = plot->series[series].x[i];

    if (!plot->bars)
        return x;
    return x + ((double)series - (double)(plot->n_series - 1) / 2) * bar_width(plot);
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
            double v[4] = {place_of(plot, k, i),
                           s->y[i], /* fmax and fmin pass NaN over */
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

static void put_band(struct strbuf *out, int64_t k, const char *colour)
{
    strbuf_printf(out,
                  "data index %lld using 1:3:4 with filledcurves fillcolor rgb '%s' "
                  "fillstyle transparent solid 0.18 noborder notitle",
                  (long long)k, colour);
}

/* Letters of a name in the key: a longer one is cut, or gnuplot leaves out the key. */
#define KEY_MOST 60

static void put_name(struct strbuf *out, const char *name)
{
    struct strbuf sb = STRBUF_INIT;
    int64_t n = (int64_t)strlen(name), at = 0;

    for (int letters = 0; at < n && letters < KEY_MOST; letters++)
        at += utf8_step(name + at, n - at);
    strbuf_add(&sb, name, (size_t)at);
    strbuf_puts(&sb, at < n ? "…" : "");
    plot_quoted(out, strbuf_text(&sb));
    out->failed = out->failed || sb.failed;
    strbuf_release(&sb);
}

static void put_curve(struct strbuf *out, const struct plot_series *s, int64_t k,
                      const char *colour, int style)
{
    if (s->thin) { /* 80: the share of the ground that shines through, in hexadecimal */
        strbuf_printf(out,
                      "data index %lld using 1:2 with lines linecolor rgb '#80%s' "
                      "linewidth 1 notitle",
                      (long long)k, colour + 1);
        return;
    }
    strbuf_printf(out,
                  "data index %lld using 1:2 with linespoints linecolor rgb '%s' "
                  "linewidth %s pointtype %d pointsize %s dashtype %d ",
                  (long long)k, colour, s->points_only ? "1.5" : "2", points[style],
                  s->points_only ? "0.6" : "0.8", s->points_only ? 2 : 1);
    if (s->n > 40) /* a point for each would hide the line */
        strbuf_printf(out, "pointinterval %lld ", (long long)(s->n / 8));
    strbuf_puts(out, "title ");
    put_name(out, s->name);
}

static void put_bars(struct strbuf *out, const struct plot_series *s, int64_t k,
                     const char *colour, int style, enum plot_theme theme)
{
    strbuf_printf(out,
                  "data index %lld using 1:2 with boxes linecolor rgb '%s' fillstyle "
                  "transparent pattern %d border linecolor rgb '%s' title ",
                  (long long)k, colour, patterns[style], colour);
    put_name(out, s->name);
    if (has_band(s))
        strbuf_printf(
            out,
            ", \\\n     data index %lld using 1:3:(0):($4-$3) with vectors heads "
            "size graph 0.006,90 linecolor rgb '%s' linewidth 1.5 notitle",
            (long long)k, themes[theme].text);
}

/* The curves: all bands first, so that no band hides a line; then what is faint. */
static void put_curves(struct strbuf *out, const void *what, enum plot_theme theme)
{
    const struct plot *plot = what;
    bool first = true;

    for (int pass = 0; pass < 3; pass++)
        for (int64_t k = 0; k < plot->n_series; k++) {
            const struct plot_series *s = &plot->series[k];
            int style = plot_style(s, k);
            const char *colour = themes[theme].series[style];
            if (pass == 0 ? plot->bars || !has_band(s) : s->thin != (pass == 1))
                continue;
            strbuf_puts(out, first ? "plot " : ", \\\n     ");
            first = false;
            if (pass == 0)
                put_band(out, k, colour);
            else if (plot->bars)
                put_bars(out, s, k, colour, style, theme);
            else
                put_curve(out, s, k, colour, style);
        }
    strbuf_putc(out, '\n');
}

/* An axis goes no further than its values can. */
static void put_range(struct strbuf *out, const struct plot *plot)
{
    if (plot->bars) { /* which stand on 0 */
        strbuf_puts(out,
                    plot->low >= 0 ? "set yrange [0:0 < *" : "set yrange [* < 0:0 < *");
        if (isfinite(plot->high)) {
            strbuf_puts(out, " < ");
            strbuf_double(out, plot->high);
        }
        strbuf_puts(out, "]\n");
        return;
    }
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

/* Names that stand side by side. */
static int key_columns(const struct plot *plot)
{
    int64_t longest = 1;

    for (int64_t k = 0; k < plot->n_series; k++)
        if (!plot->series[k].thin)
            longest = (int64_t)strlen(plot->series[k].name) > longest
                          ? (int64_t)strlen(plot->series[k].name)
                          : longest;
    return longest > KEY_MOST / 2 ? 1 : longest > KEY_MOST / 3 ? 2 : 3;
}

static int64_t in_key(const struct plot *plot)
{
    int64_t n = 0;

    for (int64_t k = 0; k < plot->n_series; k++)
        n += !plot->series[k].thin;
    return n;
}

/* Names below the groups of bars, which stand on the axis. */
static void put_groups(struct strbuf *out, const struct plot *plot)
{
    strbuf_puts(out, "set boxwidth ");
    strbuf_double(out, bar_width(plot));
    strbuf_putc(out, '\n');
    plot_tics(out, "x", plot->x_name, plot->n_names);
    strbuf_printf(out,
                  "set xrange [-0.6:%lld.6]\n"
                  "set xzeroaxis linetype 1 linecolor rgb '#888888'\n",
                  (long long)(plot->n_names - 1));
}

static void put_script(struct strbuf *out, const struct plot *plot, const char *name,
                       enum plot_theme theme)
{
    int columns = key_columns(plot);

    plot_head(out, name, plot->title, plot->x_label, plot->y_label, theme);
    strbuf_printf(
        out,
        "set tics nomirror\n"
        "set grid ytics linetype 1 linecolor rgb '%s' linewidth 1\n"
        "set autoscale xfix\n"
        "set key at screen 0.5, screen 0.02 center bottom horizontal maxcols %d "
        "noenhanced\n"
        "set offsets graph 0.02, graph 0.02, 0, 0\n",
        themes[theme].grid, columns);
    put_range(out, plot);
    if (plot->bars)
        put_groups(out, plot);
    /* The key stands under the axis label. */
    strbuf_printf(out, "set bmargin %lld\n",
                  (long long)(4 + (in_key(plot) + columns - 1) / columns));
    plot_outputs(out, name, theme, put_curves, plot);
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

int plot_write(const struct plot *plot, const char *base, enum plot_theme theme,
               struct err *err)
{
    struct strbuf data = STRBUF_INIT, script = STRBUF_INIT;
    int rc;

    if (plot->n_series < 1)
        return err_set(err, ERR_INPUT, "%s: nothing to plot", base);
    put_data(&data, plot);
    put_script(&script, plot, path_base(base), theme);
    rc = plot_finish(base, &data, &script, err);
    strbuf_release(&script);
    strbuf_release(&data);
    return rc;
}
