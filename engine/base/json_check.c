/*
 * RFC 8259 to the letter: checks a text, notes the byte range of each value and key, and
 * reads the numbers (strtod_l in the C locale). See json.c for why.
 */
#include "json_tree.h"

#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/mem.h"
#include "retort/utf8.h"

#define JSON_DEPTH_MAX 64

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
int64_t json_count_values(const char *text, int64_t len)
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

int json_check(struct json_doc *doc, struct diags *diags)
{
    struct parser p = {.doc = doc, .text = doc->text, .len = doc->len, .diags = diags};
    int rc;

    p.c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!p.c_locale) {
        diags_no_memory(diags);
        return -1;
    }
    rc = read_text(&p);
    freelocale(p.c_locale);
    return rc;
}
