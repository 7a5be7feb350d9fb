/*
 * Plots inside of a page: SVG whose colours are the page's variables, so that one picture
 * serves both of its themes and the printer.
 *
 * gnuplot writes the files that stand alone (plot.c); its SVG has fixed colours and its
 * own size of letters, and a page would need gnuplot. Lengths are in units of a viewBox
 * 480 wide: letters of 13 stay legible on a telephone and do not shout on a screen.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "html.h"
#include "plot_impl.h"
#include "retort/utf8.h"

#define WIDTH 480.0
#define HEIGHT 300.0
#define LETTER 7.2 /* width of one, about */
#define TICKS_MOST 12
#define POINTS_MARKED 40 /* a line of more points bears few marks */

/* Where values lie on the picture. */
struct frame {
    double left, right, top, bottom;     /* units */
    double x_low, x_high, y_low, y_high; /* values */
    double x_tick[TICKS_MOST], y_tick[TICKS_MOST];
    int x_ticks, y_ticks, x_digits, y_digits; /* digits < 0: as %.3g */
};

/* ---- values to places ---- */

static double x_at(const struct frame *f, double x)
{
    return f->left + (x - f->x_low) / (f->x_high - f->x_low) * (f->right - f->left);
}

static double y_at(const struct frame *f, double y)
{
    return f->bottom - (y - f->y_low) / (f->y_high - f->y_low) * (f->bottom - f->top);
}

static void widen(double *low, double *high, double x)
{
    if (!isfinite(x))
        return;
    *low = fmin(*low, x);
    *high = fmax(*high, x);
}

static double half_band(const struct plot_series *s, int64_t i)
{
    return s->err && isfinite(s->err[i]) ? s->err[i] : 0;
}

static double clipped(const struct plot *p, double y)
{
    return fmin(fmax(y, isfinite(p->low) ? p->low : y), isfinite(p->high) ? p->high : y);
}

static bool shown(const struct plot_series *s, int64_t i)
{
    return isfinite(s->x[i]) && isfinite(s->y[i]);
}

static void ranges(const struct plot *p, struct frame *f)
{
    f->x_low = f->y_low = (double)INFINITY;
    f->x_high = f->y_high = -(double)INFINITY;
    for (int64_t k = 0; k < p->n_series; k++) {
        const struct plot_series *s = &p->series[k];
        for (int64_t i = 0; i < s->n; i++) {
            if (!shown(s, i))
                continue;
            widen(&f->x_low, &f->x_high, s->x[i]);
            widen(&f->y_low, &f->y_high, clipped(p, s->y[i] - half_band(s, i)));
            widen(&f->y_low, &f->y_high, clipped(p, s->y[i] + half_band(s, i)));
        }
    }
    if (p->bars) {
        f->x_low = -0.6;
        f->x_high = (double)p->n_names - 0.4;
        widen(&f->y_low, &f->y_high, 0);
    }
    if (!(f->x_low <= f->x_high))
        f->x_low = f->x_high = f->y_low = f->y_high = 0;
    if (!(f->x_low < f->x_high)) {
        f->x_low -= 0.5;
        f->x_high += 0.5;
    }
    if (!(f->y_low < f->y_high)) {
        double half = f->y_low > 0 || f->y_low < 0 ? fabs(f->y_low) / 10 : 0.5;
        f->y_low -= half;
        f->y_high += half;
    }
}

/* Round numbers in [low, high]: steps of 1, 2 or 5 times a power of ten. */
static int ticks(double *tick, int *digits, double *low, double *high, int wanted,
                 bool outward)
{
    double raw = (*high - *low) / wanted, power = pow(10, floor(log10(raw)));
    double share = raw / power;
    double step = power * (share < 1.5 ? 1 : share < 3.5 ? 2 : share < 7.5 ? 5 : 10);
    int n = 0;

    if (outward) { /* the axis ends at a number */
        *low = floor(*low / step + 1e-9) * step;
        *high = ceil(*high / step - 1e-9) * step;
    }
    for (double k = ceil(*low / step - 1e-9);
         n < TICKS_MOST && k * step <= *high + 1e-9 * step; k++)
        tick[n++] = k * step;
    *digits = (int)fmax(0, -floor(log10(step) + 1e-9));
    if (*digits > 5 || fmax(fabs(*low), fabs(*high)) >= 1e6)
        *digits = -1;
    return n;
}

static void number(char out[32], double x, int digits)
{
    if (fabs(x) < 1e-300)
        x = 0;
    if (digits < 0)
        snprintf(out, 32, "%.3g", x);
    else
        snprintf(out, 32, "%.*f", digits, x);
}

static struct frame frame_of(const struct plot *p)
{
    struct frame f = {.top = 10, .right = WIDTH - 12};
    size_t widest = 1;
    char text[32];

    ranges(p, &f);
    f.y_ticks = ticks(f.y_tick, &f.y_digits, &f.y_low, &f.y_high, 5, true);
    /* What cannot be passed is no place for an axis to end beyond. */
    f.y_low = clipped(p, f.y_low);
    f.y_high = clipped(p, f.y_high);
    f.y_ticks = ticks(f.y_tick, &f.y_digits, &f.y_low, &f.y_high, 5, false);
    f.x_ticks = ticks(f.x_tick, &f.x_digits, &f.x_low, &f.x_high, 6, false);
    for (int i = 0; i < f.y_ticks; i++) {
        number(text, f.y_tick[i], f.y_digits);
        widest = strlen(text) > widest ? strlen(text) : widest;
    }
    f.left = 28 + LETTER * (double)widest;
    f.bottom = HEIGHT - 46;
    return f;
}

/* ---- the axes ---- */

static void text_at(struct strbuf *out, double x, double y, const char *anchor,
                    const char *text)
{
    strbuf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    html_text(out, text);
    strbuf_puts(out, "</text>");
}

/* The beginning of a name, of as many letters as have room; "…" tells that it goes on. */
static void cut_name(char out[160], const char *name, double room)
{
    int most = (int)fmin(fmax(room / LETTER, 1), 60), n = 0;
    size_t at = 0;

    for (; name[at] && n < most && at < 140; n++)
        at += (size_t)utf8_step(name + at, (int64_t)strlen(name + at));
    snprintf(out, 160, "%.*s%s", (int)at, name, name[at] ? "…" : "");
}

/* What the axes are: `x` below, `y` along the left side. */
static void axis_titles(struct strbuf *out, const char *x, const char *y, double left,
                        double right, double top, double bottom, double height)
{
    char text[160];

    cut_name(text, x ? x : "", right - left);
    text_at(out, (left + right) / 2, height - 8, "middle", text);
    cut_name(text, y ? y : "", fmax(bottom - top, 40));
    strbuf_printf(out,
                  "<text transform=\"translate(13,%.1f) rotate(-90)\" "
                  "text-anchor=\"middle\">",
                  (top + bottom) / 2);
    html_text(out, text);
    strbuf_puts(out, "</text></g>\n");
}

/* Names below bars: cut where they would run into each other. */
static void group_names(struct strbuf *out, const struct plot *p, const struct frame *f)
{
    double room = (f->right - f->left) / (double)(p->n_names ? p->n_names : 1);
    int64_t every = (int64_t)fmax(1, ceil(14 / room));

    for (int64_t i = 0; i < p->n_names; i += every) {
        char cut[160];
        cut_name(cut, p->x_name[i], room * (double)every);
        text_at(out, x_at(f, (double)i), f->bottom + 17, "middle", cut);
    }
}

static void axes(struct strbuf *out, const struct plot *p, const struct frame *f)
{
    char text[32];

    strbuf_puts(out, "<g class=\"grid\">");
    for (int i = 0; i < f->y_ticks; i++)
        strbuf_printf(out, "<path d=\"M%.1f %.1fH%.1f\"/>", f->left,
                      y_at(f, f->y_tick[i]), f->right);
    strbuf_puts(out, "</g><g class=\"axis\">");
    strbuf_printf(out, "<path d=\"M%.1f %.1fV%.1fH%.1f\"/>", f->left, f->top, f->bottom,
                  f->right);
    if (p->bars && f->y_low < 0 && f->y_high > 0)
        strbuf_printf(out, "<path d=\"M%.1f %.1fH%.1f\"/>", f->left, y_at(f, 0),
                      f->right);
    for (int i = 0; i < f->y_ticks; i++) {
        number(text, f->y_tick[i], f->y_digits);
        text_at(out, f->left - 6, y_at(f, f->y_tick[i]) + 4.5, "end", text);
    }
    for (int i = 0; i < f->x_ticks && !p->bars; i++) {
        number(text, f->x_tick[i], f->x_digits);
        text_at(out, x_at(f, f->x_tick[i]), f->bottom + 17, "middle", text);
    }
    if (p->bars)
        group_names(out, p, f);
    axis_titles(out, p->x_label, p->y_label, f->left, f->right, f->top, f->bottom,
                HEIGHT);
}

/* ---- series ---- */

/* Shapes around (0, 0), one for each style. */
static const char *const marks[PLOT_STYLES] = {
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "M-3.6-3.6h7.2v7.2h-7.2z",
    "M0-4.6l4.4 7.8h-8.8z",
    "M0-5l4.6 5l-4.6 5l-4.6-5z",
    "M0 4.6l4.4-7.8h-8.8z",
    "M-4.2-1.3h2.9v-2.9h2.6v2.9h2.9v2.6h-2.9v2.9h-2.6v-2.9h-2.9z",
    "M0-5l1.4 3.4 3.6.2-2.8 2.3 1 3.6-3.2-2-3.2 2 1-3.6-2.8-2.3 3.6-.2z"};

static void band(struct strbuf *out, const struct plot *p, const struct plot_series *s,
                 const struct frame *f, int style)
{
    bool any = false;

    for (int64_t i = 0; i < s->n; i++)
        any = any || (shown(s, i) && half_band(s, i) > 0);
    if (!any || s->points_only)
        return;
    strbuf_printf(out, "<path class=\"band s%d\" d=\"", style);
    any = false;
    for (int64_t i = 0; i < s->n; i++)
        if (shown(s, i)) {
            strbuf_printf(out, "%c%.1f %.1f", any ? 'L' : 'M', x_at(f, s->x[i]),
                          y_at(f, clipped(p, s->y[i] + half_band(s, i))));
            any = true;
        }
    for (int64_t i = s->n - 1; i >= 0; i--)
        if (shown(s, i))
            strbuf_printf(out, "L%.1f %.1f", x_at(f, s->x[i]),
                          y_at(f, clipped(p, s->y[i] - half_band(s, i))));
    strbuf_puts(out, "z\"/>");
}

/* "importance, 20: 97.2 ± 0.3", shown where the pointer rests. */
static void point_title(struct strbuf *out, const struct plot_series *s, const char *x,
                        int64_t i)
{
    strbuf_puts(out, "<title>");
    html_text(out, s->name);
    strbuf_puts(out, ", ");
    html_text(out, x);
    strbuf_printf(out, ": %.4g", s->y[i]);
    if (half_band(s, i) > 0)
        strbuf_printf(out, " ± %.2g", half_band(s, i));
    strbuf_puts(out, "</title>");
}

static void curve(struct strbuf *out, const struct plot_series *s, const struct frame *f,
                  int style)
{
    int64_t every = s->n > POINTS_MARKED ? s->n / 8 : 1;
    bool any = false;

    strbuf_printf(out, "<path class=\"line s%d%s\" d=\"", style,
                  s->thin          ? " thin"
                  : s->points_only ? " paper"
                                   : "");
    for (int64_t i = 0; i < s->n; i++)
        if (shown(s, i)) {
            strbuf_printf(out, "%c%.1f %.1f", any ? 'L' : 'M', x_at(f, s->x[i]),
                          y_at(f, s->y[i]));
            any = true;
        }
    strbuf_puts(out, "\"/>");
    for (int64_t i = 0; i < s->n && !s->thin; i += every) {
        char x[32];
        if (!shown(s, i))
            continue;
        snprintf(x, sizeof x, "%.6g", s->x[i]);
        strbuf_printf(out,
                      "<path class=\"mark s%d\" transform=\"translate(%.1f,%.1f)%s\" "
                      "d=\"%s\">",
                      style, x_at(f, s->x[i]), y_at(f, s->y[i]),
                      s->points_only ? " scale(.7)" : "", marks[style]);
        point_title(out, s, x, i);
        strbuf_puts(out, "</path>");
    }
}

static void bars(struct strbuf *out, const struct plot *p, int64_t k,
                 const struct frame *f, int style)
{
    const struct plot_series *s = &p->series[k];
    double width = 0.8 / (double)p->n_series, zero = y_at(f, fmax(0, f->y_low));

    for (int64_t i = 0; i < s->n; i++) {
        double at = s->x[i] + ((double)k - (double)(p->n_series - 1) / 2) * width;
        double left = x_at(f, at - width / 2), right = x_at(f, at + width / 2);
        double top, h = half_band(s, i);
        if (!shown(s, i))
            continue;
        top = y_at(f, clipped(p, s->y[i]));
        strbuf_printf(out,
                      "<rect class=\"bar s%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                      "height=\"%.1f\">",
                      style, left, fmin(top, zero), right - left, fabs(top - zero));
        point_title(out, s, p->x_name[i], i);
        strbuf_puts(out, "</rect>");
        if (h > 0)
            strbuf_printf(out, "<path class=\"whisker\" d=\"M%.1f %.1fV%.1f\"/>",
                          (left + right) / 2, y_at(f, clipped(p, s->y[i] - h)),
                          y_at(f, clipped(p, s->y[i] + h)));
    }
}

/* ---- the whole ---- */

/* For readers without eyes: from where to where each line goes. */
static void description(struct strbuf *out, const struct plot *p)
{
    int64_t told = 0;

    for (int64_t k = 0; k < p->n_series && told < 12; k++) {
        const struct plot_series *s = &p->series[k];
        int64_t first = 0, last = s->n - 1;
        while (first < s->n && !shown(s, first))
            first++;
        while (last > first && !shown(s, last))
            last--;
        if (s->thin || first >= s->n)
            continue;
        strbuf_puts(out, told++ ? "; " : "");
        html_text(out, s->name);
        strbuf_printf(out, ": %.4g at ", s->y[first]);
        if (p->bars)
            html_text(out, p->x_name[first]);
        else
            strbuf_printf(out, "%.4g", s->x[first]);
        if (last > first) {
            strbuf_printf(out, ", %.4g at ", s->y[last]);
            if (p->bars)
                html_text(out, p->x_name[last]);
            else
                strbuf_printf(out, "%.4g", s->x[last]);
        }
    }
    strbuf_puts(out, ".");
}

static void key(struct strbuf *out, const struct plot *p)
{
    strbuf_puts(out, "<ul class=\"key\" aria-hidden=\"true\">");
    for (int64_t k = 0; k < p->n_series; k++) {
        const struct plot_series *s = &p->series[k];
        int style = plot_style(s, k);
        if (s->thin)
            continue;
        strbuf_puts(out, "<li><svg viewBox=\"0 0 34 14\" width=\"34\" height=\"14\">");
        if (p->bars)
            strbuf_printf(out,
                          "<rect class=\"bar s%d\" x=\"4\" y=\"1\" width=\"26\" "
                          "height=\"12\"/>",
                          style);
        else
            strbuf_printf(out,
                          "<path class=\"line s%d%s\" d=\"M1 7H33\"/><path class=\"mark "
                          "s%d\" transform=\"translate(17,7)%s\" d=\"%s\"/>",
                          style, s->points_only ? " paper" : "", style,
                          s->points_only ? " scale(.7)" : "", marks[style]);
        strbuf_puts(out, "</svg>");
        html_text(out, s->name);
        strbuf_puts(out, "</li>");
    }
    strbuf_puts(out, "</ul>\n");
}

static void svg_open(struct strbuf *out, const char *id, double width, double height,
                     const char *title)
{
    strbuf_printf(out,
                  "<svg class=\"plot\" role=\"img\" aria-labelledby=\"%s-t %s-d\" "
                  "viewBox=\"0 0 %.0f %.0f\">\n<title id=\"%s-t\">",
                  id, id, width, height, id);
    html_text(out, title && *title ? title : "plot");
    strbuf_printf(out, "</title><desc id=\"%s-d\">", id);
}

void plot_svg(struct strbuf *out, const struct plot *p, const char *id)
{
    struct frame f = frame_of(p);

    svg_open(out, id, WIDTH, HEIGHT, p->title);
    description(out, p);
    strbuf_puts(out, "</desc>\n");
    axes(out, p, &f);
    strbuf_putc(out, '\n');
    for (int64_t k = 0; k < p->n_series && !p->bars; k++)
        band(out, p, &p->series[k], &f, plot_style(&p->series[k], k));
    for (int pass = 0; pass < 2; pass++) /* what is faint lies below */
        for (int64_t k = 0; k < p->n_series; k++) {
            const struct plot_series *s = &p->series[k];
            if (s->thin != (pass == 0))
                continue;
            if (p->bars)
                bars(out, p, k, &f, plot_style(s, k));
            else
                curve(out, s, &f, plot_style(s, k));
        }
    strbuf_puts(out, "</svg>\n");
    key(out, p);
}

/* ---- maps ---- */

struct grid {
    double left, top, cell_w, cell_h, width, height, letters;
    double low, high; /* of the colours */
    bool both;
    bool texts; /* numbers stand in the cells */
};

static size_t longest(const char *const *name, int64_t n)
{
    size_t most = 1;

    for (int64_t i = 0; i < n; i++)
        most = strlen(name[i]) > most ? strlen(name[i]) : most;
    return most > 24 ? 24 : most;
}

static size_t widest_number(const struct plot_map *m)
{
    char text[64];
    size_t most = 1;

    for (int64_t i = 0; i < m->rows * m->cols; i++)
        if (isfinite(m->value[i])) {
            size_t n =
                (size_t)snprintf(text, sizeof text, "%.*f", m->digits, m->value[i]);
            n += m->marked && m->marked[i] ? 1 : 0;
            most = n > most ? n : most;
        }
    return most;
}

/* Cells are as wide as their numbers want; a map of many columns grows beyond the page,
 * which lets it scroll. */
static struct grid grid_of(const struct plot_map *m)
{
    struct grid g = {.top = 8, .letters = 11};
    size_t wide = widest_number(m);
    double least = 8 + 6.2 * (double)wide;
    size_t names = longest(m->row_name, m->rows);

    g.left = 26 + LETTER * (double)names;
    g.texts = least <= 64;
    if (!g.texts)
        least = 16;
    g.cell_w = fmax(least, fmin(56, (WIDTH - g.left - 8) / (double)m->cols));
    g.cell_h = m->rows > 24 ? 18 : 26;
    g.width = fmax(WIDTH, g.left + g.cell_w * (double)m->cols + 8);
    g.height = g.top + g.cell_h * (double)m->rows + 42;
    plot_map_range(m, &g.low, &g.high);
    g.both = g.low < 0 && g.high > 0;
    return g;
}

/* How strong a colour is, 0 to 1. */
static double strength(const struct grid *g, double x)
{
    double most = fmax(fabs(g->low), fabs(g->high));

    if (g->both || !(g->low < g->high))
        return most > 0 ? fabs(x) / most : 0;
    return g->high <= 0 ? (g->high - x) / (g->high - g->low)
                        : (x - g->low) / (g->high - g->low);
}

static void map_cell(struct strbuf *out, const struct plot_map *m, const struct grid *g,
                     int64_t r, int64_t c)
{
    static const char *const dagger[] = {"", "†", "(†)"};
    int64_t i = r * m->cols + c;
    double x = g->left + g->cell_w * (double)c, y = g->top + g->cell_h * (double)r;
    char text[64];

    snprintf(text, sizeof text, "%.*f%s", m->digits, m->value[i],
             dagger[m->marked ? m->marked[i] : 0]);
    strbuf_puts(out, "<g>");
    strbuf_printf(
        out,
        "<rect class=\"cell %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
        "height=\"%.1f\" fill-opacity=\"%.3f\"/>",
        isfinite(m->value[i]) ? m->value[i] > 0 && g->both ? "above" : "below" : "none",
        x, y, g->cell_w, g->cell_h, isfinite(m->value[i]) ? strength(g, m->value[i]) : 0);
    if (isfinite(m->value[i]) && g->texts)
        text_at(out, x + g->cell_w / 2, y + g->cell_h / 2 + 4, "middle", text);
    strbuf_puts(out, "<title>");
    html_text(out, m->row_name[r]);
    strbuf_puts(out, ", ");
    html_text(out, m->col_name[c]);
    strbuf_puts(out, ": ");
    strbuf_puts(out, isfinite(m->value[i]) ? text : "no number");
    strbuf_puts(out, "</title></g>\n");
}

static void map_names(struct strbuf *out, const struct plot_map *m, const struct grid *g)
{
    double bottom = g->top + g->cell_h * (double)m->rows;
    double right = g->left + g->cell_w * (double)m->cols;
    /* Of names that are wider than their cell, every second or third. */
    int64_t every = (int64_t)fmax(
        1, ceil(LETTER * (double)longest(m->col_name, m->cols) / g->cell_w));

    strbuf_puts(out, "<g class=\"axis\">");
    for (int64_t r = 0; r < m->rows; r++) {
        char cut[160];
        cut_name(cut, m->row_name[r], 24 * LETTER);
        text_at(out, g->left - 5, g->top + g->cell_h * ((double)r + 0.5) + 4.5, "end",
                cut);
    }
    for (int64_t c = 0; c < m->cols; c += every) {
        char cut[160];
        cut_name(cut, m->col_name[c], g->cell_w * (double)every);
        text_at(out, g->left + g->cell_w * ((double)c + 0.5), bottom + 16, "middle", cut);
    }
    axis_titles(out, m->x_label, m->y_label, g->left, right, g->top, bottom, g->height);
}

void plot_map_svg(struct strbuf *out, const struct plot_map *m, const char *id)
{
    struct grid g = grid_of(m);

    strbuf_printf(out,
                  "<div class=\"scroll\" tabindex=\"0\" role=\"group\" "
                  "aria-labelledby=\"%s-t\"><div style=\"%s%.0fpx\">",
                  id, g.width > WIDTH ? "width:" : "max-width:", g.width);
    svg_open(out, id, g.width, g.height, m->title);
    strbuf_printf(out, "%lld by %lld cells, lowest %.*f, highest %.*f.",
                  (long long)m->rows, (long long)m->cols, m->digits, g.low, m->digits,
                  g.high);
    strbuf_puts(out, "</desc>\n<g class=\"map\">\n");
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t c = 0; c < m->cols; c++)
            map_cell(out, m, &g, r, c);
    strbuf_puts(out, "</g>\n");
    map_names(out, m, &g);
    strbuf_puts(out, "</svg></div></div>\n");
}
