/*
 * Strict JSON (RFC 8259) with places, exact writing (RFC 8785) and many errors at once.
 *
 * Parsing is by cJSON after our own validation: UTF-8 without BOM, no trailing garbage,
 * no leading zeros, no raw control characters, no \u0000, no duplicate keys, no lone
 * surrogates, numbers finite and, if whole, exactly representable (or written as RFC 8785
 * writes that double); depth at most 64, 2 million values. Places are found by rereading
 * the text.
 */
#ifndef RETORT_JSON_H
#define RETORT_JSON_H

#include <stdint.h>

#include "retort/err.h"
#include "retort/strbuf.h"

/* ---- diagnostics: all errors in one go, like a compiler ---- */

struct diags; /* a list of errors, each with file, line, column and the source line */

struct diags *diags_new(struct err *err);
void diags_free(struct diags *diags);

/* One error at bytes [begin, end) of `text` (the whole file `name`). The column counts
 * code points from 1; text NULL gives a place without line ("--set pruned.ratio=x"). */
void diags_add(struct diags *diags, const char *name, const char *text, int64_t begin,
               int64_t end, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
int64_t diags_count(const struct diags *diags);

/* The error that was added last comes from there: something that the text names is
 * missing (ERR_MISSING), the system refused (ERR_IO, ERR_MEMORY). */
void diags_cause(struct diags *diags, enum err_code code);
/* What all of them amount to, for the exit code: ERR_INPUT, unless every one has another
 * cause; ERR_NONE if there are none. */
enum err_code diags_code(const struct diags *diags);

/* "file:line:col: error: what" + the line + a caret under the place; sorted by place;
 * long lines are cut around the caret. Appends to `out`. */
void diags_print(const struct diags *diags, struct strbuf *out);

/* diags_code with the printed text (cut at its size). Returns -1 if there
 * was any, else 0. */
int diags_to_err(const struct diags *diags, struct err *err);
/* The same with the first error by place alone, on one line: "file:line:col: what". */
int diags_first_to_err(const struct diags *diags, struct err *err);

/* ---- reading ---- */

struct json_doc; /* a parsed text, its name and its tree */
struct json;     /* a value in it; valid as long as the document */

enum json_kind {
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

/* NULL with errors in `diags` (never NULL). `name` is what messages call it. Text is
 * copied. */
struct json_doc *json_parse(const char *text, int64_t len, const char *name,
                            struct diags *diags);
/* Reads a file of at most 64 MiB; the first error by place comes out in `err`:
 * "file:line:col: what". */
struct json_doc *json_parse_file(const char *path, struct err *err);
void json_doc_free(struct json_doc *doc);
const struct json *json_root(const struct json_doc *doc); /* NULL of NULL */

/* NULL reads as null: an absent member of an absent member needs no question in between.
 */
enum json_kind json_kind(const struct json *v);
/* "a number", "an object" ... for messages. */
const char *json_kind_name(enum json_kind kind);
bool json_is_int(const struct json *v);   /* a whole number of at most 2^53 in size */
double json_number(const struct json *v); /* 0 if it is no number */
int64_t json_int(const struct json *v);   /* 0 if it is no whole number */
bool json_bool(const struct json *v);
const char *json_string(const struct json *v); /* NULL if it is no string */

int64_t json_count(const struct json *v); /* of an array or object; 0 for others */
const struct json *json_first(const struct json *v);
const struct json *json_next(const struct json *v);
const char *json_key(const struct json *v); /* of an object's member, else NULL */
const struct json *json_get(const struct json *object, const char *key); /* or NULL */
const struct json *json_at(const struct json *array, int64_t i);         /* or NULL */

/* Adds an error at the value (or at its key) of this document. */
void json_error(const struct json_doc *doc, const struct json *v, struct diags *diags,
                const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void json_key_error(const struct json_doc *doc, const struct json *v, struct diags *diags,
                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* "file:line:col" of a value. */
void json_place(const struct json_doc *doc, const struct json *v, struct strbuf *out);

/* ---- writing ---- */

/* RFC 8785: members sorted by UTF-16 code units, shortest doubles, minimal escapes, no
 * spaces. */
void json_canonical(const struct json *v, struct strbuf *out);
/* The same order of members as in the text, two spaces of indent: for people. */
void json_pretty(const struct json *v, struct strbuf *out);
/* A quoted, escaped string. */
void json_put_string(struct strbuf *out, const char *s);
void json_put_string_n(struct strbuf *out, const char *s, size_t n);

/* A writer that puts the commas. Keys inside objects only; misuse is a BUG. */
struct json_writer {
    struct strbuf *out;
    int depth;
    bool comma[64];
    bool object[64]; /* or array */
    bool after_key;
    bool pretty; /* newline and indent after each member */
};
void json_begin(struct json_writer *w, struct strbuf *out, bool pretty);
void json_object(struct json_writer *w);
void json_object_end(struct json_writer *w);
void json_array(struct json_writer *w);
void json_array_end(struct json_writer *w);
void json_member(struct json_writer *w, const char *key);
void json_str(struct json_writer *w, const char *s); /* NULL writes null */
void json_num(struct json_writer *w, double x);      /* NaN and infinities write null */
void json_i64(struct json_writer *w, int64_t x);
void json_flag(struct json_writer *w, bool x);
void json_raw(struct json_writer *w, const char *json); /* JSON text made elsewhere */
void json_value(struct json_writer *w,
                const struct json *v); /* canonical unless pretty */

#endif
