/*
 * What a person sees while jobs run.
 *
 * On a terminal a live region at the bottom: a line for each running job and one of
 * totals, drawn anew in place; what stays scrolls above it. No line of the region is ever
 * as wide as the terminal, so none wraps. Elsewhere (a file, a pipe, TERM=dumb) only the
 * lines that stay.
 */
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "workers.h"

enum { WIDTH_DEFAULT = 80, WIDTH_LEAST = 20, ROWS_DEFAULT = 24 };
enum { GAP = 2, BAR_LEAST = 6, BAR_MOST = 24, VARIABLES_FIRST = 16 };

struct display {
    bool live, color, utf8;
    int64_t lines; /* of the region as it stands there */
};

/* ---- the terminal ---- */

/* By the locale's charset, asked for without setting it: nothing else depends on it. */
static bool locale_is_utf8(void)
{
    locale_t l = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    bool yes = l && !strcmp(nl_langinfo_l(CODESET, l), "UTF-8");

    if (l)
        freelocale(l);
    return yes;
}

static long env_number(const char *name)
{
    const char *text = getenv(name);
    char *end;
    long n = text ? strtol(text, &end, 10) : 0;

    return text && *text && !*end && n > 0 && n < 10000 ? n : 0;
}

static void terminal_size(int64_t *columns, int64_t *rows)
{
    struct winsize ws;
    bool told = !ioctl(2, TIOCGWINSZ, &ws);
    long c = env_number("COLUMNS"), r = env_number("LINES");

    *columns = c ? c : told && ws.ws_col ? ws.ws_col : WIDTH_DEFAULT;
    *rows = r ? r : told && ws.ws_row ? ws.ws_row : ROWS_DEFAULT;
    if (*columns < WIDTH_LEAST)
        *columns = WIDTH_LEAST;
}

struct display *display_new(bool quiet, struct err *err)
{
    struct display *d = mem_new(1, sizeof *d, err);
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

    if (!d)
        return NULL;
    d->live = !quiet && isatty(2) && term && *term && strcmp(term, "dumb") != 0;
    d->color = d->live && !(no_color && *no_color);
    d->utf8 = locale_is_utf8();
    return d;
}

bool display_live(const struct display *d)
{
    return d->live;
}

void display_forget(struct display *d)
{
    d->lines = 0;
}

/* ---- text in columns ---- */

/* One code point of UTF-8 and its bytes; a byte that fits nowhere is U+FFFD. */
static unsigned decode(const char *s, int *bytes)
{
    const unsigned char *p = (const unsigned char *)s;
    int n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    unsigned c = n == 1 ? p[0] : p[0] & (0x7fu >> n);

    *bytes = 1;
    if (!n || p[0] > 0xf4)
        return 0xfffd;
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0xfffd;
        c = c << 6 | (p[i] & 0x3f);
    }
    *bytes = n;
    return c;
}

struct range {
    unsigned from, to;
};

static bool in_ranges(unsigned c, const struct range *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (c >= r[i].from && c <= r[i].to)
            return true;
    return false;
}

/* Columns of a code point: marks and joiners take none, East Asian wide ones and pictures
 * two. */
static int columns_of(unsigned c)
{
    static const struct range none[] = {
        {0x300, 0x36f},   {0x200b, 0x200f}, {0x202a, 0x202e}, {0x2060, 0x206f},
        {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}};
    static const struct range two[] = {
        {0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xac00, 0xd7a3},
        {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
        {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};

    if (c < 0x300)
        return 1;
    if (in_ranges(c, none, sizeof none / sizeof *none))
        return 0;
    return in_ranges(c, two, sizeof two / sizeof *two) ? 2 : 1;
}

/* Appends a code point that cannot harm a terminal. */
static void put_char(const struct display *d, struct strbuf *out, const char *s, int n,
                     unsigned c)
{
    if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xfffd || (c >= 0x80 && !d->utf8))
        strbuf_putc(out, '?');
    else
        strbuf_add(out, s, (size_t)n);
}

static int64_t width_of(const struct display *d, const char *s)
{
    int64_t width = 0;
    int n;

    for (; *s; s += n) {
        unsigned c = decode(s, &n);
        width += d->utf8 && c != 0xfffd ? columns_of(c) : 1;
    }
    return width;
}

/* At most `width` columns of the text; a cut one ends in "~". Returns the columns it
 * took. */
static int64_t put_cut(const struct display *d, struct strbuf *out, const char *s,
                       int64_t width)
{
    bool cut = width_of(d, s) > width;
    int64_t at = 0;
    int n;

    for (; *s; s += n) {
        unsigned c = decode(s, &n);
        int64_t w = d->utf8 && c != 0xfffd ? columns_of(c) : 1;
        if (at + w > width - cut)
            break;
        put_char(d, out, s, n, c);
        at += w;
    }
    if (cut && width > 0) {
        strbuf_putc(out, '~');
        at++;
    }
    return at;
}

static void put_padded(const struct display *d, struct strbuf *out, const char *s,
                       int64_t width)
{
    for (int64_t at = put_cut(d, out, s, width); at < width; at++)
        strbuf_putc(out, ' ');
}

const char *display_time(char out[32], double seconds)
{
    double whole = floor(seconds + 0.5);

    if (!(whole >= 0 && whole < 1e9))
        return "?";
    long t = (long)whole;
    if (t < 3600)
        snprintf(out, 32, "%ld:%02ld", t / 60, t % 60);
    else
        snprintf(out, 32, "%ld:%02ld:%02ld", t / 3600, t / 60 % 60, t % 60);
    return out;
}

/* ---- lines that stay ---- */

/* One write, so that nothing of others comes between. A terminal that is gone is no
 * failure. */
static void put_out(const struct strbuf *sb)
{
    struct err err = ERR_INIT;

    file_write_fd(2, strbuf_text(sb), (int64_t)sb->len, "stderr", &err);
}

/* To the region's first column; what is there is cleared. */
static void put_home(const struct display *d, struct strbuf *out)
{
    if (!d->lines)
        return;
    strbuf_putc(out, '\r');
    if (d->lines > 1)
        strbuf_printf(out, "\033[%lldA", (long long)(d->lines - 1));
    strbuf_puts(out, "\033[J");
}

void display_line(struct display *d, enum display_tone tone, const char *fmt, ...)
{
    struct strbuf out = STRBUF_INIT;
    char text[4096];
    va_list ap;
    int n;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    put_home(d, &out);
    d->lines = 0;
    if (d->color && tone == TONE_BAD)
        strbuf_puts(&out, "\033[31m");
    for (const char *s = text; *s; s += n) {
        unsigned c = decode(s, &n);
        if (c == '\n') /* a message of several lines keeps them */
            strbuf_putc(&out, '\n');
        else if (d->live)
            put_char(d, &out, s, n, c);
        else
            strbuf_add(&out, s, (size_t)n);
    }
    if (d->color && tone == TONE_BAD)
        strbuf_puts(&out, "\033[0m");
    strbuf_putc(&out, '\n');
    put_out(&out);
    strbuf_release(&out);
}

/* ---- the region ---- */

struct layout {
    int64_t stage, variables, bar, text, left; /* columns of each part, 0: not shown */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Bytes of the text's parts (two blanks stand between them) that fit, from the first on;
 * all of it if not even the first does, to be cut. */
static size_t fitting(const struct display *d, const char *text, int64_t columns)
{
    size_t all = strlen(text), n = all;
    char part[256];

    while (n < sizeof part) {
        memcpy(part, text, n);
        part[n] = '\0';
        if (width_of(d, part) <= columns)
            return n;
        while (n > 0 && !(text[n] == ' ' && text[n - 1] == ' '))
            n--;
        if (!n)
            break;
        n--;
    }
    return all;
}

/* Takes columns for one part and the gap before it; what there is room for, at least
 * `least_wanted` or none. */
static int64_t take(int64_t *room, int64_t wanted, int64_t least_wanted)
{
    int64_t got = least(wanted, *room - GAP);

    if (got <= 0 || got < least_wanted)
        return 0;
    *room -= got + GAP;
    return got;
}

/* Where room is short, the bar goes first, then the end of long variables, then of the
 * text. */
static void find_layout(const struct display *d, struct layout *l,
                        const struct display_row *row, int64_t n, int64_t columns)
{
    int64_t room = columns - 1, stage = 0, vars = 0, text = 0, left = 0, fits = 0;
    bool bar = false;
    char time[32];

    memset(l, 0, sizeof *l);
    for (int64_t i = 0; i < n; i++) {
        stage = most(stage, width_of(d, row[i].stage));
        vars = most(vars, width_of(d, row[i].variables));
        text = most(text, width_of(d, row[i].text));
        bar = bar || row[i].total > 0;
        if (row[i].total > 0 && !isnan(row[i].left)) {
            left = most(left, (int64_t)strlen(display_time(time, row[i].left)) + 5);
        }
    }
    l->stage = least(stage, room / 3);
    room -= l->stage;
    l->left = take(&room, left, left);
    l->variables = take(&room, least(vars, VARIABLES_FIRST), 1);
    for (int64_t i = 0; i < n && text > room - GAP; i++) {
        size_t bytes = fitting(d, row[i].text, room - GAP);
        if (bytes < strlen(row[i].text))
            fits = most(fits, (int64_t)bytes);
    }
    l->text = take(&room, fits ? fits : text, 4);
    l->bar = bar ? take(&room, BAR_LEAST, BAR_LEAST) : 0;
    if (l->variables) {
        int64_t more = least(vars - l->variables, room);
        l->variables += more;
        room -= more;
    }
    if (l->bar)
        l->bar += least(room, BAR_MOST - BAR_LEAST);
}

static void put_bar(const struct display *d, struct strbuf *out,
                    const struct display_row *row, int64_t width)
{
    double share = (double)row->done / (double)row->total;
    int64_t full = (int64_t)((double)width * (share < 0 ? 0 : share > 1 ? 1 : share));

    for (int64_t i = 0; i < width; i++)
        strbuf_puts(out, i < full ? (d->utf8 ? "█" : "#") : (d->utf8 ? "░" : "."));
}

static void put_row(const struct display *d, struct strbuf *out,
                    const struct display_row *row, const struct layout *l)
{
    char time[32], left[48];

    put_padded(d, out, row->stage, l->stage);
    if (l->variables) {
        strbuf_puts(out, "  ");
        put_padded(d, out, row->variables, l->variables);
    }
    if (l->bar) {
        strbuf_puts(out, "  ");
        if (row->total > 0)
            put_bar(d, out, row, l->bar);
        else
            put_padded(d, out, "", l->bar);
    }
    if (l->text) {
        strbuf_puts(out, "  ");
        char text[256];
        snprintf(text, sizeof text, "%.*s", (int)fitting(d, row->text, l->text),
                 row->text);
        put_padded(d, out, text, l->text);
    }
    if (l->left && row->total > 0 && !isnan(row->left)) {
        strbuf_puts(out, "  ");
        snprintf(left, sizeof left, "%s left", display_time(time, row->left));
        put_cut(d, out, left, l->left);
    }
}

static void put_totals(const struct display *d, struct strbuf *out,
                       const struct display_totals *t, int64_t columns)
{
    struct strbuf sb = STRBUF_INIT;
    char time[32];

    strbuf_printf(&sb, "%lld of %lld done", (long long)t->done, (long long)t->all);
    if (t->failed)
        strbuf_printf(&sb, ", %lld failed", (long long)t->failed);
    if (t->cached)
        strbuf_printf(&sb, ", %lld cached", (long long)t->cached);
    if (t->waiting)
        strbuf_printf(&sb, ", %lld waiting", (long long)t->waiting);
    strbuf_printf(&sb, "  %s", display_time(time, t->elapsed));
    if (!isnan(t->left))
        strbuf_printf(&sb, "  about %s left", display_time(time, t->left));
    put_cut(d, out, strbuf_text(&sb), columns - 1);
    strbuf_release(&sb);
}

void display_draw(struct display *d, const struct display_row *row, int64_t n,
                  const struct display_totals *t)
{
    struct strbuf out = STRBUF_INIT;
    struct layout l;
    int64_t columns, rows, shown;

    if (!d->live)
        return;
    terminal_size(&columns, &rows);
    shown = least(n, rows > 3 ? rows - 2 : 1);
    find_layout(d, &l, row, shown, columns);
    if (d->lines) {
        strbuf_putc(&out, '\r');
        if (d->lines > 1)
            strbuf_printf(&out, "\033[%lldA", (long long)(d->lines - 1));
    }
    for (int64_t i = 0; i < shown; i++) {
        put_row(d, &out, &row[i], &l);
        strbuf_puts(&out, "\033[K\n");
    }
    put_totals(d, &out, t, columns);
    strbuf_puts(&out, "\033[K\033[J");
    d->lines = shown + 1;
    put_out(&out);
    strbuf_release(&out);
}

void display_free(struct display *d)
{
    struct strbuf out = STRBUF_INIT;

    if (!d)
        return;
    put_home(d, &out);
    if (out.len)
        put_out(&out);
    strbuf_release(&out);
    free(d);
}
