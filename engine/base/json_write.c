/* JSON out: canonical (RFC 8785), for people, and piece by piece. */
#include "json_tree.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "retort/utf8.h"

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
    if (!v)
        strbuf_puts(out, "null");
    else if (v->kind == JSON_STRING)
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
    bool object = json_kind(v) == JSON_OBJECT;

    if (!object && json_kind(v) != JSON_ARRAY) {
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
    bool object = json_kind(v) == JSON_OBJECT;

    if (!object && json_kind(v) != JSON_ARRAY) {
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
