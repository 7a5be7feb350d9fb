/*
 * A growing UTF-8 text. Failures stick: append freely, ask once (strbuf_failed or
 * strbuf_take).
 */
#ifndef RETORT_STRBUF_H
#define RETORT_STRBUF_H

#include <stddef.h>
#include <stdint.h>

#include "retort/err.h"

struct strbuf {
    char *text; /* NUL-terminated once anything was appended; NULL before */
    size_t len, capacity;
    bool failed;
};

#define STRBUF_INIT                                                                      \
    {                                                                                    \
        NULL, 0, 0, false                                                                \
    }

void strbuf_add(struct strbuf *sb, const char *bytes, size_t n);
void strbuf_puts(struct strbuf *sb, const char *s);
void strbuf_putc(struct strbuf *sb, char c);
void strbuf_printf(struct strbuf *sb, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void strbuf_clear(struct strbuf *sb); /* length 0, memory kept */
void strbuf_release(struct strbuf *sb);
const char *strbuf_text(const struct strbuf *sb); /* "" when empty */
int strbuf_failed(const struct strbuf *sb, struct err *err);

/* The text as heap memory, the buffer empty again; NULL with `err` if an
 * append failed. */
char *strbuf_take(struct strbuf *sb, struct err *err);

/* Appends a double in the shortest form that reads back equal, as ECMAScript and RFC 8785
 * print it (1, 0.3, 1e-7, 1e+21). NaN and infinities are written nan, inf, -inf (not
 * JSON). */
void strbuf_double(struct strbuf *sb, double x);

/* A field of a CSV file as RFC 4180 wants it: quoted where it must be, and where it
 * begins with a blank, which some readers would drop. */
void strbuf_csv(struct strbuf *sb, const char *text);

/* The other way: a decimal number that is all of `s`, finite, with a point whatever the
 * locale says (strtod follows it). 0, or -1 and *out as it was. */
int text_double(double *out, const char *s);

/* The known name nearest to a misspelt one, or NULL if none is near (edit distance of at
 * most a third of its length): for "did you mean". `names` ends with NULL. */
const char *nearest_name(const char *wrong, const char *const *names);

#endif
