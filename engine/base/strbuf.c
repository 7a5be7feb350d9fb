/*
 * Growing text. Numbers are taken from snprintf's digits alone, so a locale's decimal
 * point never shows.
 */
#include "retort/strbuf.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `n` more bytes and the NUL. */
static bool reserve(struct strbuf *sb, size_t n)
{
    if (sb->failed)
        return false;
    if (n >= PTRDIFF_MAX - sb->len) {
        sb->failed = true;
        return false;
    }
    size_t need = sb->len + n + 1;
    if (need <= sb->capacity)
        return true;
    size_t capacity = sb->capacity ? sb->capacity : 64;
    while (capacity < need)
        capacity = capacity > PTRDIFF_MAX / 2 ? need : capacity * 2;
    char *text = realloc(sb->text, capacity);
    if (!text) {
        sb->failed = true;
        return false;
    }
    sb->text = text;
    sb->capacity = capacity;
    return true;
}

void strbuf_add(struct strbuf *sb, const char *bytes, size_t n)
{
    if (!reserve(sb, n))
        return;
    if (n)
        memcpy(sb->text + sb->len, bytes, n);
    sb->len += n;
    sb->text[sb->len] = '\0';
}

void strbuf_puts(struct strbuf *sb, const char *s)
{
    strbuf_add(sb, s, strlen(s));
}

void strbuf_putc(struct strbuf *sb, char c)
{
    strbuf_add(sb, &c, 1);
}

void strbuf_printf(struct strbuf *sb, const char *fmt, ...)
{
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0) {
        sb->failed = true;
    } else if (reserve(sb, (size_t)n)) {
        vsnprintf(sb->text + sb->len, (size_t)n + 1, fmt, again);
        sb->len += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

void strbuf_clear(struct strbuf *sb)
{
    sb->len = 0;
    sb->failed = false;
    if (sb->text)
        sb->text[0] = '\0';
}

void strbuf_release(struct strbuf *sb)
{
    free(sb->text);
    *sb = (struct strbuf)STRBUF_INIT;
}

const char *strbuf_text(const struct strbuf *sb)
{
    return sb->text ? sb->text : "";
}

int strbuf_failed(const struct strbuf *sb, struct err *err)
{
    if (!sb->failed)
        return 0;
    return err_set(err, ERR_MEMORY, "no memory for a text beyond %zu bytes", sb->len);
}

char *strbuf_take(struct strbuf *sb, struct err *err)
{
    strbuf_add(sb, "", 0); /* an empty text is a text */
    char *text = sb->text;
    if (strbuf_failed(sb, err)) {
        strbuf_release(sb);
        return NULL;
    }
    *sb = (struct strbuf)STRBUF_INIT;
    return text;
}

/* 0.d1d2...dn times ten to the `point`. */
struct decimal {
    char digits[24];
    int n, point;
};

/* Splits "d.ddde-xx"; whatever stands between first and second digit is the locale's
 * point. */
static void split(struct decimal *d, const char *text)
{
    const char *s = text;

    d->n = 0;
    for (; *s && *s != 'e'; s++)
        if (*s >= '0' && *s <= '9')
            d->digits[d->n++] = *s;
    d->point = (int)strtol(s + 1, NULL, 10) + 1;
    while (d->n > 1 && d->digits[d->n - 1] == '0')
        d->n--;
}

/* Adds one to the last digit before 'e'; false if that would carry out of the first
 * digit. */
static bool bump(char *text)
{
    char *e = strchr(text, 'e');

    for (char *s = e - 1; s >= text; s--) {
        if (*s < '0' || *s > '9')
            continue;
        if (*s < '9') {
            ++*s;
            return true;
        }
        *s = '0';
    }
    return false;
}

/*
 * The fewest digits that read back as x > 0. A normal double that 15 digits or fewer give
 * back shows them, and then zeros, when printed with 15, so those are the first to try.
 * At a power of two the neighbour below is nearer than the one above: there the nearest
 * decimal of n digits may fail while the next one up reads back (2^-44
 * = 5.684341886080802e-14), hence bump().
 */
static void shortest(struct decimal *d, double x)
{
    char text[40];

    for (int n = x < DBL_MIN ? 1 : 15; n <= 17; n++) {
        snprintf(text, sizeof text, "%.*e", n - 1, x);
        if (strtod(text, NULL) == x)
            break;
        if (n < 17 && bump(text) && strtod(text, NULL) == x)
            break;
    }
    split(d, text);
}

int text_double(double *out, const char *s)
{
    locale_t c_locale;
    char *end;
    double x;

    if (!*s || s[strspn(s, "0123456789+-.eE")])
        return -1;
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale)
        return -1;
    x = strtod_l(s, &end, c_locale);
    freelocale(c_locale);
    if (*end || !isfinite(x))
        return -1;
    *out = x;
    return 0;
}

static void zeros(struct strbuf *sb, int n)
{
    while (n-- > 0)
        strbuf_putc(sb, '0');
}

/* ECMA-262, Number::toString: k = d->n digits, n = d->point. */
static void write_decimal(struct strbuf *sb, const struct decimal *d)
{
    int k = d->n, n = d->point;

    if (k <= n && n <= 21) {
        strbuf_add(sb, d->digits, (size_t)k);
        zeros(sb, n - k);
    } else if (0 < n && n <= 21) {
        strbuf_add(sb, d->digits, (size_t)n);
        strbuf_putc(sb, '.');
        strbuf_add(sb, d->digits + n, (size_t)(k - n));
    } else if (-6 < n && n <= 0) {
        strbuf_puts(sb, "0.");
        zeros(sb, -n);
        strbuf_add(sb, d->digits, (size_t)k);
    } else {
        strbuf_add(sb, d->digits, 1);
        if (k > 1) {
            strbuf_putc(sb, '.');
            strbuf_add(sb, d->digits + 1, (size_t)(k - 1));
        }
        strbuf_printf(sb, "e%c%d", n > 0 ? '+' : '-', abs(n - 1));
    }
}

void strbuf_double(struct strbuf *sb, double x)
{
    struct decimal d;

    if (isnan(x)) {
        strbuf_puts(sb, "nan");
        return;
    }
    if (x < 0) {
        strbuf_putc(sb, '-');
        x = -x;
    }
    if (isinf(x)) {
        strbuf_puts(sb, "inf");
    } else if (x == 0) { /* minus zero too, as ECMAScript does */
        strbuf_putc(sb, '0');
    } else {
        shortest(&d, x);
        write_decimal(sb, &d);
    }
}

enum { NAME_MOST = 96 };

static int min2(int a, int b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours (optimal
 * string alignment). */
static int edit_distance(const char *a, int na, const char *b, int nb)
{
    int rows[3][NAME_MOST + 1];

    for (int j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (int i = 1; i <= na; i++) {
        int *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int best = min2(up[j], row[j - 1]) + 1;
            best = min2(best, up[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = min2(best, up2[j - 2] + 1);
            row[j] = best;
        }
    }
    return rows[na % 3][nb];
}

const char *nearest_name(const char *wrong, const char *const *names)
{
    size_t len = strlen(wrong);
    const char *found = NULL;

    if (len > NAME_MOST)
        return NULL;
    int best = (int)len / 3 + 1;
    for (; *names; names++) {
        size_t n = strlen(*names);
        if (n > NAME_MOST)
            continue;
        int distance = edit_distance(wrong, (int)len, *names, (int)n);
        if (distance < best) {
            best = distance;
            found = *names;
        }
    }
    return found;
}

void strbuf_csv(struct strbuf *sb, const char *text)
{
    if (!strpbrk(text, ",\"\r\n") && *text != ' ') {
        strbuf_puts(sb, text);
        return;
    }
    strbuf_putc(sb, '"');
    for (; *text; text++) {
        if (*text == '"')
            strbuf_putc(sb, '"');
        strbuf_putc(sb, *text);
    }
    strbuf_putc(sb, '"');
}
