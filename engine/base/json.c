/*
 * Strict JSON over cJSON.
 *
 * cJSON keeps no places, takes what RFC 8259 forbids (01, raw control characters,
 * trailing garbage, a byte order mark, bad UTF-8, duplicate keys), cuts strings at \u0000
 * and rounds numbers. So our own reader goes over the text first: it checks everything,
 * notes the byte range of each value and key, and reads the numbers (strtod_l in the C
 * locale). Then cJSON decodes the same text, with the numbers blanked to 0 since it
 * refuses literals of more than 63 characters, and its tree is walked beside ours to take
 * over the decoded strings.
 */
#include "retort/json.h"
#include "retort/utf8.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/mem.h"

#define JSON_DEPTH_MAX 64
#define JSON_VALUES_MAX 2000000 /* of one text: some 300 MB of nodes */
#define JSON_FILE_MAX ((int64_t)64 << 20)

/* Order of UTF-16 code units (RFC 8785). It differs from the bytes' order only where a
 * character above U+FFFF (lead byte F0..F4) meets U+E000..U+FFFF (lead byte EE, EF). */
static int utf16_compare(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    unsigned char x = (unsigned char)*a, y = (unsigned char)*b;
    bool x_pair = x >= 0xF0, y_pair = y >= 0xF0;
    if (x_pair != y_pair && x >= 0xEE && y >= 0xEE)
        return x_pair ? -1 : 1;
    return (x > y) - (x < y);
}

/* ---- diagnostics ---- */

#define DIAGS_KEPT 100 /* more are only counted */
#define LINE_SHOWN 100 /* characters of a source line */
#define LINE_BEFORE 60 /* of them before the caret, if the line is cut */

struct diag {
    char *name;
    char *message;
    char *line; /* source line as shown, or NULL */
    char *mark; /* what stands under it: blanks (or tabs), then ^~~~ */
    int64_t begin, row, column;
    int64_t order; /* of adding */
};

struct diags {
    struct diag *item;
    int64_t n, capacity;
    int64_t count;
    int64_t missing, io; /* of them: something is not there, the system refused */
    bool failed;         /* no memory for some of them */
};

struct diags *diags_new(struct err *err)
{
    return mem_new(1, sizeof(struct diags), err);
}

static void diag_release(struct diag *d)
{
    free(d->name);
    free(d->message);
    free(d->line);
    free(d->mark);
}

void diags_free(struct diags *diags)
{
    if (!diags)
        return;
    for (int64_t i = 0; i < diags->n; i++)
        diag_release(&diags->item[i]);
    free(diags->item);
    free(diags);
}

/* Counts as an error, and makes the whole ERR_MEMORY: the text itself may be fine. */
static void diags_no_memory(struct diags *diags)
{
    diags->count++;
    diags->failed = true;
}

int64_t diags_count(const struct diags *diags)
{
    return diags->count;
}

void diags_cause(struct diags *diags, enum err_code code)
{
    diags->missing += code == ERR_MISSING;
    diags->io += code == ERR_IO;
    diags->failed = diags->failed || code == ERR_MEMORY;
}

enum err_code diags_code(const struct diags *diags)
{
    if (diags->count == 0)
        return ERR_NONE;
    if (diags->failed)
        return ERR_MEMORY;
    if (diags->missing + diags->io < diags->count)
        return ERR_INPUT;
    return diags->io ? ERR_IO : ERR_MISSING;
}

/* The line [from, to) and the marks under [begin, end), cut around `begin` if it is long.
 * `column` counts from 0. */
static void show_line(struct diag *d, const char *text, int64_t from, int64_t to,
                      int64_t begin, int64_t end, int64_t column)
{
    struct strbuf line = STRBUF_INIT, mark = STRBUF_INIT;
    int64_t total = 0, k = 0;

    for (int64_t i = from; i < to && total <= LINE_SHOWN; total++)
        i += utf8_step(text + i, to - i);
    int64_t first = total > LINE_SHOWN && column > LINE_BEFORE ? column - LINE_BEFORE : 0;
    if (first > 0) {
        strbuf_puts(&line, "...");
        strbuf_puts(&mark, "   ");
    }
    int64_t i = from;
    for (; i < to && k < first + LINE_SHOWN; k++) {
        int64_t len = utf8_step(text + i, to - i);
        if (k >= first) {
            utf8_show(&line, text + i, len);
            if (i < begin)
                strbuf_putc(&mark, text[i] == '\t' ? '\t' : ' ');
            else if (i == begin || i < end)
                strbuf_putc(&mark, i == begin ? '^' : '~');
        }
        i += len;
    }
    if (i < to)
        strbuf_puts(&line, "...");
    if (begin >= to)
        strbuf_putc(&mark, '^');
    d->line = strbuf_take(&line, NULL);
    d->mark = strbuf_take(&mark, NULL);
}

static void find_place(struct diag *d, const char *text, int64_t begin, int64_t end)
{
    int64_t from = 0, to = begin, column = 0;

    d->row = 1;
    for (int64_t i = 0; i < begin; i++) {
        if (text[i] == '\n') {
            d->row++;
            from = i + 1;
        }
    }
    while (text[to] && text[to] != '\n')
        to++;
    if (to > from && text[to - 1] == '\r' && to > begin)
        to--;
    for (int64_t i = from; i < begin; column++)
        i += utf8_step(text + i, begin - i);
    d->column = column + 1;
    show_line(d, text, from, to, begin, end, column);
}

static void diags_vadd(struct diags *diags, const char *name, const char *text,
                       int64_t begin, int64_t end, const char *fmt, va_list ap)
    __attribute__((format(printf, 6, 0)));

static void diags_vadd(struct diags *diags, const char *name, const char *text,
                       int64_t begin, int64_t end, const char *fmt, va_list ap)
{
    struct diag d = {.begin = text ? begin : -1, .order = diags->count};
    void *items = diags->item;

    diags->count++;
    if (diags->n >= DIAGS_KEPT)
        return;
    d.name = mem_strdup(name, NULL);
    if (vasprintf(&d.message, fmt, ap) < 0)
        d.message = NULL;
    if (text)
        find_place(&d, text, begin, end);
    if (!d.name || !d.message || (text && (!d.line || !d.mark)) ||
        mem_grow(&items, diags->n, &diags->capacity, sizeof *diags->item, NULL)) {
        diag_release(&d);
        diags->failed = true;
        return;
    }
    diags->item = items;
    diags->item[diags->n++] = d;
}

void diags_add(struct diags *diags, const char *name, const char *text, int64_t begin,
               int64_t end, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diags_vadd(diags, name, text, begin, end, fmt, ap);
    va_end(ap);
}

static int by_place(const void *a, const void *b)
{
    const struct diag *x = *(const struct diag *const *)a,
                      *y = *(const struct diag *const *)b;
    int names = strcmp(x->name, y->name);
    if (names)
        return names;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* Names and messages quote what stands in the text, so they too are made harmless. */
static void diag_print(const struct diag *d, struct strbuf *out)
{
    utf8_show(out, d->name, (int64_t)strlen(d->name));
    if (d->line)
        strbuf_printf(out, ":%" PRId64 ":%" PRId64, d->row, d->column);
    strbuf_puts(out, ": error: ");
    utf8_show(out, d->message, (int64_t)strlen(d->message));
    strbuf_putc(out, '\n');
    if (d->line)
        strbuf_printf(out, "%5" PRId64 " | %s\n%5s | %s\n", d->row, d->line, "", d->mark);
}

void diags_print(const struct diags *diags, struct strbuf *out)
{
    const struct diag *sorted[DIAGS_KEPT];

    for (int64_t i = 0; i < diags->n; i++)
        sorted[i] = &diags->item[i];
    if (diags->n > 1)
        qsort(sorted, (size_t)diags->n, sizeof sorted[0], by_place);
    for (int64_t i = 0; i < diags->n; i++)
        diag_print(sorted[i], out);
    if (diags->failed)
        strbuf_puts(out, "out of memory\n");
    else if (diags->count > diags->n)
        strbuf_printf(out, "and %" PRId64 " more error%s\n", diags->count - diags->n,
                      diags->count - diags->n == 1 ? "" : "s");
}

int diags_to_err(const struct diags *diags, struct err *err)
{
    struct strbuf text = STRBUF_INIT;

    if (diags->count == 0)
        return 0;
    diags_print(diags, &text);
    if (text.len > 0 && text.text[text.len - 1] == '\n')
        text.text[--text.len] = '\0';
    err_set(err, diags_code(diags), "%s", strbuf_text(&text));
    strbuf_release(&text);
    return -1;
}

int diags_first_to_err(const struct diags *diags, struct err *err)
{
    const struct diag *first = diags->n > 0 ? &diags->item[0] : NULL;

    if (diags->count == 0)
        return 0;
    for (int64_t i = 1; i < diags->n; i++) {
        const struct diag *d = &diags->item[i];
        if (by_place(&d, &first) < 0)
            first = d;
    }
    if (diags->failed || !first)
        return err_set(err, ERR_MEMORY, "out of memory");
    if (!first->line)
        return err_set(err, ERR_INPUT, "%s: %s", first->name, first->message);
    return err_set(err, ERR_INPUT, "%s:%" PRId64 ":%" PRId64 ": %s", first->name,
                   first->row, first->column, first->message);
}

/* ---- reading ---- */

struct json {
    enum json_kind kind;
    bool flag;
    bool whole; /* a whole number of at most 2^53 in size */
    double number;
    int64_t begin, end;         /* bytes of the value */
    int64_t key_begin, key_end; /* bytes of its key with the quotes; -1 without */
    const char *key, *string;   /* in cJSON's tree */
    struct json *first, *next;
    const struct json *
        *child; /* (count) an array's in order, an object's sorted by key */
    int64_t count;
};

struct json_doc {
    char *text; /* with a NUL after it */
    int64_t len;
    char *name;
    struct json *node; /* in the order of the text */
    int64_t n, capacity;
    const struct json **child; /* all values' child lists, one after another */
    int64_t n_child;
    cJSON *tree;
};

struct parser {
    struct json_doc *doc;
    const char *text;
    int64_t len, pos;
    int depth;
    struct diags *diags;
    locale_t c_locale;
};

static int fail_at(struct parser *p, int64_t begin, int64_t end, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static int fail_at(struct parser *p, int64_t begin, int64_t end, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diags_vadd(p->diags, p->doc->name, p->text, begin, end, fmt, ap);
    va_end(ap);
    return -1;
}

static void skip_blanks(struct parser *p)
{
    while (p->pos < p->len && p->text[p->pos] && strchr(" \t\r\n", p->text[p->pos]))
        p->pos++;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The end of the word or single character at `pos`, for a caret. */
static int64_t word_end(const struct parser *p, int64_t pos)
{
    int64_t end = pos;
    while (end < p->len && is_word(p->text[end]))
        end++;
    if (end == pos && pos < p->len)
        end += utf8_step(p->text + pos, p->len - pos);
    return end;
}

/* Something else than `wanted` stands here. */
static int unexpected(struct parser *p, const char *wanted)
{
    int64_t end = word_end(p, p->pos);
    char c = p->text[p->pos];

    if (p->pos >= p->len)
        return fail_at(p, p->len, p->len, "the text ends where %s should be", wanted);
    if (c == '/' || c == '#')
        return fail_at(p, p->pos, end, "expected %s; JSON has no comments", wanted);
    if (c == '\'')
        return fail_at(p, p->pos, end, "expected %s; strings need double quotes", wanted);
    if ((unsigned char)c < 0x20 || c == 0x7F)
        return fail_at(p, p->pos, end, "expected %s, found the control character 0x%02x",
                       wanted, (unsigned)(unsigned char)c);
    return fail_at(p, p->pos, end, "expected %s, found '%.*s'", wanted,
                   (int)(end - p->pos > 40 ? 40 : end - p->pos), p->text + p->pos);
}

static int hex4(const struct parser *p, int64_t pos, unsigned *out)
{
    *out = 0;
    for (int64_t i = pos; i < pos + 4; i++) {
        char c = i < p->len ? p->text[i] : 'x';
        unsigned digit = is_digit(c)              ? (unsigned)(c - '0')
                         : (c >= 'a' && c <= 'f') ? (unsigned)(c - 'a' + 10)
                         : (c >= 'A' && c <= 'F') ? (unsigned)(c - 'A' + 10)
                                                  : 16;
        if (digit > 15)
            return -1;
        *out = *out * 16 + digit;
    }
    return 0;
}

/* \uXXXX at pos (on the backslash), with its second half if it is a surrogate. */
static int check_unicode_escape(struct parser *p)
{
    int64_t at = p->pos;
    unsigned unit, low;

    if (hex4(p, at + 2, &unit))
        return fail_at(p, at, at + 2, "\\u needs four hexadecimal digits");
    p->pos += 6;
    if (unit == 0)
        return fail_at(p, at, at + 6, "\\u0000 cannot be used in a string");
    if (unit < 0xD800 || unit > 0xDFFF)
        return 0;
    if (unit < 0xDC00 && p->pos + 1 < p->len && p->text[p->pos] == '\\' &&
        p->text[p->pos + 1] == 'u' && hex4(p, p->pos + 2, &low) == 0 && low >= 0xDC00 &&
        low <= 0xDFFF) {
        p->pos += 6;
        return 0;
    }
    return fail_at(p, at, at + 6, "\\u%04X is half of a surrogate pair", unit);
}

/* Checks the string at pos and stands behind it afterwards. */
static int read_string(struct parser *p)
{
    int64_t start = p->pos++;

    while (p->pos < p->len && p->text[p->pos] != '"') {
        unsigned char c = (unsigned char)p->text[p->pos];
        if (c == '\n' || c == '\r')
            return fail_at(p, start, p->pos, "the string is not closed on its line");
        if (c < 0x20)
            return fail_at(p, p->pos, p->pos + 1,
                           "control character 0x%02x in a string; write \\u%04x",
                           (unsigned)c, (unsigned)c);
        if (c != '\\') {
            p->pos++;
            continue;
        }
        char e = p->pos + 1 < p->len ? p->text[p->pos + 1] : '\0';
        if (e == 'u') {
            if (check_unicode_escape(p))
                return -1;
            continue;
        }
        if (!e || !strchr("\"\\/bfnrt", e))
            return fail_at(
                p, p->pos, p->pos + 2 > p->len ? p->len : p->pos + 2,
                "unknown escape in a string; use one of \\\" \\\\ \\/ \\b \\f \\n \\r "
                "\\t \\uXXXX");
        p->pos += 2;
    }
    if (p->pos >= p->len)
        return fail_at(p, start, start + 1, "the string is not closed");
    p->pos++;
    return 0;
}

/* Does the whole literal say which double it is: exactly, or as RFC 8785 writes that
 * double (beyond 2^53 it fills up with zeros)? Only doubles from 2^53 on can differ. */
static bool whole_is_exact(const char *digits, int64_t n, double x)
{
    char exact[400];
    struct strbuf shortest = STRBUF_INIT;
    bool same;

    if (x < 9007199254740992.0)
        return true;
    snprintf(exact, sizeof exact, "%.0f", x);
    if (strlen(exact) == (size_t)n && memcmp(exact, digits, (size_t)n) == 0)
        return true;
    strbuf_double(&shortest, x);
    same = shortest.len == (size_t)n &&
           memcmp(strbuf_text(&shortest), digits, (size_t)n) == 0;
    strbuf_release(&shortest);
    return same;
}

static int64_t skip_digits(const struct parser *p, int64_t pos)
{
    while (pos < p->len && is_digit(p->text[pos]))
        pos++;
    return pos;
}

static int read_number(struct parser *p, struct json *v)
{
    int64_t at = p->pos, digits = at + (p->text[at] == '-'), end = skip_digits(p, digits);
    int64_t whole_end = end;
    bool whole = true;

    if (end == digits)
        return fail_at(p, at, word_end(p, digits), "a number needs a digit after '-'");
    if (p->text[digits] == '0' && end > digits + 1)
        return fail_at(p, at, end, "a number must not begin with 0");
    if (end < p->len && p->text[end] == '.') {
        int64_t fraction = skip_digits(p, end + 1);
        if (fraction == end + 1)
            return fail_at(p, at, fraction, "a number needs a digit after '.'");
        whole = false;
        end = fraction;
    }
    if (end < p->len && (p->text[end] == 'e' || p->text[end] == 'E')) {
        int64_t exponent = end + 1;
        if (exponent < p->len && (p->text[exponent] == '+' || p->text[exponent] == '-'))
            exponent++;
        int64_t last = skip_digits(p, exponent);
        if (last == exponent)
            return fail_at(p, at, last, "a number needs a digit in its exponent");
        whole = false;
        end = last;
    }
    if (end < p->len && (is_word(p->text[end]) || p->text[end] == '.'))
        return fail_at(p, at, word_end(p, end), "this is no number as JSON writes them");
    v->number = strtod_l(p->text + at, NULL, p->c_locale);
    if (!isfinite(v->number))
        return fail_at(p, at, end, "the number is too large for a double");
    if (whole && !whole_is_exact(p->text + digits, whole_end - digits, fabs(v->number)))
        return fail_at(p, at, end,
                       "this whole number is not exact as a double; quote it, or "
                       "stay within 2^53 (9007199254740992)");
    v->whole = fabs(v->number) <= 9007199254740992.0 && v->number == floor(v->number);
    v->kind = JSON_NUMBER;
    p->pos = end;
    return 0;
}

static int read_literal(struct parser *p, struct json *v)
{
    static const struct {
        const char *text;
        enum json_kind kind;
        bool flag;
    } words[] = {{"null", JSON_NULL, false},
                 {"true", JSON_BOOL, true},
                 {"false", JSON_BOOL, false}};
    int64_t end = word_end(p, p->pos);

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i].text) == (size_t)(end - p->pos) &&
            memcmp(words[i].text, p->text + p->pos, (size_t)(end - p->pos)) == 0) {
            v->kind = words[i].kind;
            v->flag = words[i].flag;
            p->pos = end;
            return 0;
        }
    }
    return unexpected(p, "a value");
}

static struct json *read_value(struct parser *p);

/* One member or element at pos is appended to `v`; `last` is the one before it. */
static struct json *read_child(struct parser *p, struct json *v, struct json *last)
{
    int64_t key_begin = -1, key_end = -1;

    if (v->kind == JSON_OBJECT) {
        if (p->pos >= p->len || p->text[p->pos] != '"') {
            unexpected(p, "a key in double quotes");
            return NULL;
        }
        key_begin = p->pos;
        if (read_string(p))
            return NULL;
        key_end = p->pos;
        skip_blanks(p);
        if (p->pos >= p->len || p->text[p->pos] != ':') {
            unexpected(p, "':' after the key");
            return NULL;
        }
        p->pos++;
        skip_blanks(p);
    }
    struct json *child = read_value(p);
    if (!child)
        return NULL;
    child->key_begin = key_begin;
    child->key_end = key_end;
    if (last)
        last->next = child;
    else
        v->first = child;
    v->count++;
    return child;
}

static int read_container(struct parser *p, struct json *v)
{
    char close = p->text[p->pos] == '{' ? '}' : ']';
    struct json *last = NULL;

    v->kind = close == '}' ? JSON_OBJECT : JSON_ARRAY;
    if (p->depth >= JSON_DEPTH_MAX)
        return fail_at(p, p->pos, p->pos + 1, "more than %d levels deep", JSON_DEPTH_MAX);
    p->depth++;
    p->pos++;
    skip_blanks(p);
    while (p->pos >= p->len || p->text[p->pos] != close) {
        int64_t comma = p->pos;
        if (last) {
            if (p->pos >= p->len || p->text[p->pos] != ',')
                return unexpected(p, close == '}' ? "',' or '}'" : "',' or ']'");
            p->pos++;
            skip_blanks(p);
            if (p->pos < p->len && p->text[p->pos] == close)
                return fail_at(p, comma, comma + 1, "nothing follows this comma");
        }
        last = read_child(p, v, last);
        if (!last)
            return -1;
        skip_blanks(p);
    }
    p->pos++;
    p->depth--;
    return 0;
}

static struct json *read_value(struct parser *p)
{
    struct json_doc *doc = p->doc;
    char c = p->pos < p->len ? p->text[p->pos] : '\0';
    int rc;

    if (doc->n >= doc->capacity)
        BUG("more values than were counted (%" PRId64 ")", doc->capacity);
    struct json *v = &doc->node[doc->n++];
    v->begin = p->pos;
    v->key_begin = v->key_end = -1;
    if (c == '{' || c == '[') {
        rc = read_container(p, v);
    } else if (c == '"') {
        v->kind = JSON_STRING;
        rc = read_string(p);
    } else if (c == '-' || is_digit(c)) {
        rc = read_number(p, v);
    } else {
        rc = read_literal(p, v);
    }
    v->end = p->pos;
    return rc ? NULL : v;
}

/* At most how many values a text holds: one, and one for each bracket and comma outside
 * strings. */
static int64_t count_values(const char *text, int64_t len)
{
    int64_t n = 1;
    bool inside = false;

    for (int64_t i = 0; i < len; i++) {
        if (inside && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            inside = !inside;
        else if (!inside && (text[i] == ',' || text[i] == '[' || text[i] == '{'))
            n++;
    }
    return n;
}

static int check_encoding(struct parser *p)
{
    if (p->len >= 3 && memcmp(p->text, "\xEF\xBB\xBF", 3) == 0)
        return fail_at(p, 0, 3, "a byte order mark; save the text as UTF-8 without it");
    for (int64_t i = 0; i < p->len;) {
        int64_t len = utf8_length(p->text + i, p->len - i);
        if (len == 0)
            return fail_at(p, i, i + 1, "byte 0x%02x is not UTF-8",
                           (unsigned)(unsigned char)p->text[i]);
        if (p->text[i] == '\0')
            return fail_at(p, i, i + 1, "a zero byte");
        i += len;
    }
    return 0;
}

static int read_text(struct parser *p)
{
    if (check_encoding(p))
        return -1;
    skip_blanks(p);
    if (!read_value(p))
        return -1;
    skip_blanks(p);
    if (p->pos < p->len)
        return unexpected(p, "the end of the text");
    return 0;
}

/* ---- cJSON's tree beside ours ---- */

static bool same_kind(const cJSON *item, const struct json *v)
{
    switch (v->kind) {
    case JSON_NULL:
        return cJSON_IsNull(item);
    case JSON_BOOL:
        return v->flag ? cJSON_IsTrue(item) : cJSON_IsFalse(item);
    case JSON_NUMBER:
        return cJSON_IsNumber(item);
    case JSON_STRING:
        return cJSON_IsString(item);
    case JSON_ARRAY:
        return cJSON_IsArray(item);
    case JSON_OBJECT:
        return cJSON_IsObject(item);
    }
    return false;
}

static int take_strings(struct json *v, const cJSON *item)
{
    const cJSON *sub = item->child;

    if (!same_kind(item, v))
        return -1;
    v->string = item->valuestring;
    v->key = v->key_begin >= 0 ? item->string : NULL;
    for (struct json *child = v->first; child; child = child->next, sub = sub->next)
        if (!sub || take_strings(child, sub))
            return -1;
    return sub ? -1 : 0;
}

/* The text with all numbers as 0 and blanks, see the top of the file. */
static char *blank_numbers(const struct json_doc *doc)
{
    char *text = mem_strndup(doc->text, (size_t)doc->len, NULL);

    for (int64_t i = 0; text && i < doc->n; i++) {
        const struct json *v = &doc->node[i];
        if (v->kind == JSON_NUMBER) {
            memset(text + v->begin, ' ', (size_t)(v->end - v->begin));
            text[v->begin] = '0';
        }
    }
    return text;
}

static int by_key(const void *a, const void *b)
{
    const struct json *x = *(const struct json *const *)a,
                      *y = *(const struct json *const *)b;
    int keys = utf16_compare(x->key, y->key);
    return keys ? keys : (x->begin > y->begin) - (x->begin < y->begin);
}

/* Lays out the child lists and reports duplicate keys. */
static int index_children(struct json_doc *doc, struct diags *diags)
{
    int rc = 0;

    for (int64_t k = 0; k < doc->n; k++) {
        struct json *v = &doc->node[k];
        int64_t n = 0;
        v->child = doc->child + doc->n_child;
        for (const struct json *c = v->first; c; c = c->next)
            v->child[n++] = c;
        doc->n_child += n;
        if (v->kind != JSON_OBJECT || n < 2)
            continue;
        qsort(v->child, (size_t)n, sizeof v->child[0], by_key);
        for (int64_t i = 1; i < n; i++) {
            const struct json *c = v->child[i];
            if (strcmp(v->child[i - 1]->key, c->key) == 0) {
                diags_add(diags, doc->name, doc->text, c->key_begin, c->key_end,
                          "key \"%s\" stands here a second time", c->key);
                rc = -1;
            }
        }
    }
    return rc;
}

static int decode(struct json_doc *doc, struct diags *diags)
{
    char *text = blank_numbers(doc);

    if (text)
        doc->tree = cJSON_ParseWithLength(text, (size_t)doc->len + 1);
    free(text);
    if (!doc->tree) { /* what can be wrong with the text was found before */
        diags_no_memory(diags);
        return -1;
    }
    if (take_strings(doc->node, doc->tree)) {
        diags_add(diags, doc->name, NULL, 0, 0,
                  "cJSON reads this text as something else");
        return -1;
    }
    return index_children(doc, diags);
}

static struct json_doc *doc_new(const char *text, int64_t len, const char *name,
                                struct err *err)
{
    struct json_doc *doc = mem_new(1, sizeof *doc, err);

    if (!doc)
        return NULL;
    doc->len = len;
    doc->name = mem_strdup(name, err);
    doc->text = mem_new(len + 1, 1, err);
    doc->capacity = count_values(text, len);
    if (doc->capacity > JSON_VALUES_MAX)
        err_set(err, ERR_INPUT,
                "more than %d values; JSON texts of this size are not read",
                JSON_VALUES_MAX);
    if (err_is_set(err))
        goto failed;
    doc->node = mem_new(doc->capacity, sizeof *doc->node, err);
    doc->child = mem_new(doc->capacity, sizeof *doc->child, err);
    if (!doc->node || !doc->child)
        goto failed;
    if (len > 0)
        memcpy(doc->text, text, (size_t)len);
    return doc;
failed:
    json_doc_free(doc);
    return NULL;
}

struct json_doc *json_parse(const char *text, int64_t len, const char *name,
                            struct diags *diags)
{
    struct err err = ERR_INIT;
    struct parser p = {.diags = diags, .len = len};
    int rc = -1;

    p.doc = doc_new(text, len, name, &err);
    p.c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (p.doc && !p.c_locale)
        err_errno(&err, "the C locale");
    if (err_is_set(&err)) {
        if (err.code == ERR_MEMORY)
            diags_no_memory(diags);
        else
            diags_add(diags, name, NULL, 0, 0, "%s", err.text);
        goto done;
    }
    p.text = p.doc->text;
    rc = read_text(&p);
    if (rc == 0)
        rc = decode(p.doc, diags);
done:
    if (p.c_locale)
        freelocale(p.c_locale);
    if (rc) {
        json_doc_free(p.doc);
        return NULL;
    }
    return p.doc;
}

struct json_doc *json_parse_file(const char *path, struct err *err)
{
    struct json_doc *doc = NULL;
    struct diags *diags = NULL;
    char *text = NULL;
    int64_t len;

    if (file_read(&text, &len, path, JSON_FILE_MAX, err))
        goto done;
    diags = diags_new(err);
    if (!diags)
        goto done;
    doc = json_parse(text, len, path, diags);
    if (!doc)
        diags_first_to_err(diags, err);
done:
    diags_free(diags);
    free(text);
    return doc;
}

void json_doc_free(struct json_doc *doc)
{
    if (!doc)
        return;
    cJSON_Delete(doc->tree);
    free(doc->child);
    free(doc->node);
    free(doc->text);
    free(doc->name);
    free(doc);
}

const struct json *json_root(const struct json_doc *doc)
{
    return doc->node;
}

enum json_kind json_kind(const struct json *v)
{
    return v->kind;
}

const char *json_kind_name(enum json_kind kind)
{
    static const char *const names[] = {"null",     "true or false", "a number",
                                        "a string", "an array",      "an object"};
    return names[kind];
}

bool json_is_int(const struct json *v)
{
    return v->kind == JSON_NUMBER && v->whole;
}

double json_number(const struct json *v)
{
    return v->kind == JSON_NUMBER ? v->number : 0;
}

int64_t json_int(const struct json *v)
{
    return json_is_int(v) ? (int64_t)v->number : 0;
}

bool json_bool(const struct json *v)
{
    return v->kind == JSON_BOOL && v->flag;
}

const char *json_string(const struct json *v)
{
    return v->kind == JSON_STRING ? v->string : NULL;
}

int64_t json_count(const struct json *v)
{
    return v->count;
}

const struct json *json_first(const struct json *v)
{
    return v->first;
}

const struct json *json_next(const struct json *v)
{
    return v->next;
}

const char *json_key(const struct json *v)
{
    return v->key;
}

const struct json *json_get(const struct json *object, const char *key)
{
    int64_t low = 0, high;

    if (!object || object->kind != JSON_OBJECT)
        return NULL;
    high = object->count;
    while (low < high) {
        int64_t mid = low + (high - low) / 2;
        int order = utf16_compare(key, object->child[mid]->key);
        if (order == 0)
            return object->child[mid];
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const struct json *json_at(const struct json *array, int64_t i)
{
    if (!array || array->kind != JSON_ARRAY || i < 0 || i >= array->count)
        return NULL;
    return array->child[i];
}

/* Of an array or object only the bracket is marked: it may go on for pages. */
static int64_t marked_end(const struct json *v)
{
    return v->kind == JSON_ARRAY || v->kind == JSON_OBJECT ? v->begin + 1 : v->end;
}

void json_error(const struct json_doc *doc, const struct json *v, struct diags *diags,
                const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diags_vadd(diags, doc->name, doc->text, v->begin, marked_end(v), fmt, ap);
    va_end(ap);
}

void json_key_error(const struct json_doc *doc, const struct json *v, struct diags *diags,
                    const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diags_vadd(diags, doc->name, doc->text, v->key ? v->key_begin : v->begin,
               v->key ? v->key_end : marked_end(v), fmt, ap);
    va_end(ap);
}

void json_place(const struct json_doc *doc, const struct json *v, struct strbuf *out)
{
    int64_t row = 1, column = 1;

    for (int64_t i = 0; i < v->begin;) {
        bool newline = doc->text[i] == '\n';
        i += utf8_step(doc->text + i, doc->len - i);
        row += newline;
        column = newline ? 1 : column + 1;
    }
    strbuf_printf(out, "%s:%" PRId64 ":%" PRId64, doc->name, row, column);
}

/* ---- writing ---- */

void json_put_string_n(struct strbuf *out, const char *s, size_t n)
{
    static const char *const shorts[32] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
    size_t from = 0;

    strbuf_putc(out, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        int64_t len = utf8_length(s + i, (int64_t)(n - i));
        if (len > 0 && c >= 0x20 && c != '"' && c != '\\') {
            i += (size_t)len - 1;
            continue;
        }
        strbuf_add(out, s + from, i - from);
        from = i + 1;
        if (len == 0)
            strbuf_puts(out, "\xEF\xBF\xBD"); /* what is written is always UTF-8 */
        else if (c >= 0x20)
            strbuf_printf(out, "\\%c", c);
        else if (shorts[c])
            strbuf_puts(out, shorts[c]);
        else
            strbuf_printf(out, "\\u%04x", (unsigned)c);
    }
    strbuf_add(out, s + from, n - from);
    strbuf_putc(out, '"');
}

void json_put_string(struct strbuf *out, const char *s)
{
    json_put_string_n(out, s, strlen(s));
}

static void put_number(struct strbuf *out, double x)
{
    if (!isfinite(x))
        strbuf_puts(out, "null");
    else if (x == 0) /* ECMAScript writes -0 as 0 */
        strbuf_putc(out, '0');
    else
        strbuf_double(out, x);
}

/* What is neither array nor object. */
static void put_plain(const struct json *v, struct strbuf *out)
{
    if (v->kind == JSON_STRING)
        json_put_string(out, v->string);
    else if (v->kind == JSON_NUMBER)
        put_number(out, v->number);
    else if (v->kind == JSON_BOOL)
        strbuf_puts(out, v->flag ? "true" : "false");
    else
        strbuf_puts(out, "null");
}

void json_canonical(const struct json *v, struct strbuf *out)
{
    bool object = v->kind == JSON_OBJECT;

    if (!object && v->kind != JSON_ARRAY) {
        put_plain(v, out);
        return;
    }
    strbuf_putc(out, object ? '{' : '[');
    for (int64_t i = 0; i < v->count; i++) {
        if (i > 0)
            strbuf_putc(out, ',');
        if (object) {
            json_put_string(out, v->child[i]->key);
            strbuf_putc(out, ':');
        }
        json_canonical(v->child[i], out);
    }
    strbuf_putc(out, object ? '}' : ']');
}

static void new_line(struct strbuf *out, int depth)
{
    strbuf_putc(out, '\n');
    for (int i = 0; i < depth; i++)
        strbuf_puts(out, "  ");
}

static void put_pretty(const struct json *v, struct strbuf *out, int depth)
{
    bool object = v->kind == JSON_OBJECT;

    if (!object && v->kind != JSON_ARRAY) {
        put_plain(v, out);
        return;
    }
    strbuf_putc(out, object ? '{' : '[');
    for (const struct json *c = v->first; c; c = c->next) {
        if (c != v->first)
            strbuf_putc(out, ',');
        new_line(out, depth + 1);
        if (object) {
            json_put_string(out, c->key);
            strbuf_puts(out, ": ");
        }
        put_pretty(c, out, depth + 1);
    }
    if (v->first)
        new_line(out, depth);
    strbuf_putc(out, object ? '}' : ']');
}

void json_pretty(const struct json *v, struct strbuf *out)
{
    put_pretty(v, out, 0);
}

/* ---- the writer ---- */

void json_begin(struct json_writer *w, struct strbuf *out, bool pretty)
{
    memset(w, 0, sizeof *w);
    w->out = out;
    w->pretty = pretty;
}

/* Comma and line before a member or an element. */
static void before_item(struct json_writer *w)
{
    if (w->depth == 0)
        return;
    if (w->comma[w->depth])
        strbuf_putc(w->out, ',');
    w->comma[w->depth] = true;
    if (w->pretty)
        new_line(w->out, w->depth);
}

static void before_value(struct json_writer *w)
{
    if (w->after_key)
        w->after_key = false;
    else if (w->depth > 0 && w->object[w->depth])
        BUG("a value in an object without a key");
    else if (w->depth == 0 && w->comma[0])
        BUG("a second value at the top");
    else
        before_item(w);
    if (w->depth == 0)
        w->comma[0] = true;
}

static void writer_open(struct json_writer *w, bool object)
{
    before_value(w);
    if (w->depth + 1 >= (int)(sizeof w->comma / sizeof w->comma[0]))
        BUG("more than %d levels", w->depth);
    w->depth++;
    w->comma[w->depth] = false;
    w->object[w->depth] = object;
    strbuf_putc(w->out, object ? '{' : '[');
}

static void writer_close(struct json_writer *w, bool object)
{
    if (w->depth == 0 || w->object[w->depth] != object || w->after_key)
        BUG("%s ends that is not open", object ? "an object" : "an array");
    bool any = w->comma[w->depth];
    w->depth--;
    if (any && w->pretty)
        new_line(w->out, w->depth);
    strbuf_putc(w->out, object ? '}' : ']');
}

void json_object(struct json_writer *w)
{
    writer_open(w, true);
}

void json_object_end(struct json_writer *w)
{
    writer_close(w, true);
}

void json_array(struct json_writer *w)
{
    writer_open(w, false);
}

void json_array_end(struct json_writer *w)
{
    writer_close(w, false);
}

void json_member(struct json_writer *w, const char *key)
{
    if (w->depth == 0 || !w->object[w->depth] || w->after_key)
        BUG("key \"%s\" outside an object, or after another key", key);
    before_item(w);
    json_put_string(w->out, key);
    strbuf_puts(w->out, w->pretty ? ": " : ":");
    w->after_key = true;
}

void json_str(struct json_writer *w, const char *s)
{
    before_value(w);
    if (s)
        json_put_string(w->out, s);
    else
        strbuf_puts(w->out, "null");
}

void json_num(struct json_writer *w, double x)
{
    before_value(w);
    put_number(w->out, x);
}

void json_i64(struct json_writer *w, int64_t x)
{
    before_value(w);
    strbuf_printf(w->out, "%" PRId64, x);
}

void json_flag(struct json_writer *w, bool x)
{
    before_value(w);
    strbuf_puts(w->out, x ? "true" : "false");
}

void json_raw(struct json_writer *w, const char *json)
{
    before_value(w);
    strbuf_puts(w->out, json);
}

void json_value(struct json_writer *w, const struct json *v)
{
    before_value(w);
    if (w->pretty)
        put_pretty(v, w->out, w->depth);
    else
        json_canonical(v, w->out);
}
