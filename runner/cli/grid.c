/* Lines in columns: see grid.h. */
#include "grid.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/mem.h"
#include "verbs.h"

enum { GAP = 2, CUT_MIN = 16, WRAP_MIN = 32 };

struct column {
    char *title;
    bool right, elastic, wraps, shown, filled;
    int rank, width;
};

struct grid {
    struct column *col;
    int cols;
    char **cell;
    int64_t n, capacity;
    struct err err;
};

struct grid *grid_new(const struct grid_column *columns, int n, struct err *err)
{
    struct grid *g = mem_new(1, sizeof *g, err);

    if (!g || !(g->col = mem_new(n, sizeof *g->col, err)))
        goto fail;
    g->cols = n;
    for (int i = 0; i < n; i++) {
        g->col[i] = (struct column){
            .title = mem_strdup(columns[i].title, err),
            .right = columns[i].right,
            .elastic = columns[i].elastic,
            .wraps = columns[i].wraps,
            .shown = true,
            .rank = columns[i].rank,
            .width = text_width(columns[i].title),
        };
        if (!g->col[i].title)
            goto fail;
    }
    return g;
fail:
    grid_free(g);
    return NULL;
}

void grid_free(struct grid *g)
{
    if (!g)
        return;
    for (int i = 0; i < g->cols; i++)
        free(g->col[i].title);
    for (int64_t i = 0; i < g->n; i++)
        free(g->cell[i]);
    free(g->col);
    free(g->cell);
    free(g);
}

/* Names and notes come from files: what moves a terminal's cursor must not reach it. */
static void clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

void grid_put(struct grid *g, const char *text)
{
    struct column *c = &g->col[g->n % g->cols];
    char *copy;
    int w;

    if (err_is_set(&g->err) ||
        mem_grow((void **)&g->cell, g->n, &g->capacity, sizeof *g->cell, &g->err) ||
        !(copy = mem_strdup(text ? text : "", &g->err)))
        return;
    clean(copy);
    g->cell[g->n++] = copy;
    w = text_width(copy);
    c->filled = c->filled || w > 0;
    if (w > c->width)
        c->width = w;
}

void grid_printf(struct grid *g, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    grid_put(g, text);
}

void grid_number(struct grid *g, double x)
{
    if (isnan(x))
        grid_put(g, "");
    else
        grid_printf(g, "%.6g", x);
}

/* ---- fitting ------------------------------------------------------------------------
 */

static int total_width(const struct grid *g)
{
    int w = 0, n = 0;

    for (int i = 0; i < g->cols; i++)
        if (g->col[i].shown) {
            w += g->col[i].width;
            n++;
        }
    return n ? w + GAP * (n - 1) : 0;
}

/* The shown column of a rank of at least `rank` that goes next, or -1. */
static int least(const struct grid *g, int rank)
{
    int at = -1;

    for (int i = 0; i < g->cols; i++)
        if (g->col[i].shown && g->col[i].rank >= rank &&
            (at < 0 || g->col[i].rank >= g->col[at].rank))
            at = i;
    return at;
}

/* What a column that wraps can do without before others leave. */
static int spare(const struct grid *g)
{
    const struct column *c = &g->col[g->cols - 1];

    return c->wraps && c->width > WRAP_MIN ? c->width - WRAP_MIN : 0;
}

static void fit(const struct grid *g, int width)
{
    int at, over;

    for (int i = 0; i < g->cols; i++)
        g->col[i].shown = g->col[i].filled || g->col[i].rank == 0;
    while (total_width(g) - spare(g) > width && (at = least(g, 2)) >= 0)
        g->col[at].shown = false;
    over = total_width(g) - width;
    for (int i = 0; i < g->cols && over > 0; i++) {
        struct column *c = &g->col[i];
        if (!c->shown || !c->elastic || c->width <= CUT_MIN)
            continue;
        c->width = c->width - over < CUT_MIN ? CUT_MIN : c->width - over;
        over = total_width(g) - width;
    }
    while (total_width(g) > width && (at = least(g, 1)) >= 0)
        g->col[at].shown = false;
}

/* ---- printing -----------------------------------------------------------------------
 */

/* At most `width` columns of the text, "..." where something is left out. */
static void put_cut(struct strbuf *out, const char *text, int width)
{
    int room = width - 3;
    size_t n = 0;

    while (text[n] && room > 0) {
        n++;
        while (((unsigned char)text[n] & 0xc0) == 0x80)
            n++;
        room--;
    }
    strbuf_add(out, text, n);
    strbuf_puts(out, "...");
}

static void put_cell(struct strbuf *out, const struct column *c, const char *text,
                     bool last, bool limited)
{
    int w = text_width(text);

    if (w > c->width && limited) {
        put_cut(out, text, c->width);
        w = c->width;
    } else if (c->right) {
        strbuf_printf(out, "%*s%s", c->width - w, "", text);
        w = c->width;
    } else {
        strbuf_puts(out, text);
    }
    if (!last)
        strbuf_printf(out, "%*s", c->width - w + GAP, "");
}

/* Words of the last column in lines below each other. */
static void put_wrapped(struct strbuf *out, const struct grid *g, const char *text)
{
    int at = total_width(g) - g->col[g->cols - 1].width;

    help_wrap(out, text, at, at, at + g->col[g->cols - 1].width);
}

static void put_row(const struct grid *g, struct strbuf *out, char *const *cell,
                    bool limited)
{
    int last = g->cols - 1;

    while (last > 0 && (!g->col[last].shown || (cell && !*cell[last])))
        last--;
    for (int i = 0; i <= last; i++) {
        const char *text = cell ? cell[i] : g->col[i].title;
        if (!g->col[i].shown)
            continue;
        if (limited && g->col[i].wraps && text_width(text) > g->col[i].width) {
            put_wrapped(out, g, text);
            return;
        }
        put_cell(out, &g->col[i], text, i == last, limited);
    }
    strbuf_putc(out, '\n');
}

int grid_print(const struct grid *g, struct strbuf *out, int width, struct err *err)
{
    if (err_is_set(&g->err))
        return err_set(err, g->err.code, "%s", g->err.text);
    if (width > 0)
        fit(g, width);
    put_row(g, out, NULL, width > 0);
    for (int64_t i = 0; i + g->cols <= g->n; i += g->cols)
        put_row(g, out, g->cell + i, width > 0);
    return strbuf_failed(out, err);
}
