/*
 * Strict JSON over cJSON.
 *
 * cJSON keeps no places, takes what RFC 8259 forbids (01, raw control characters,
 * trailing garbage, a byte order mark, bad UTF-8, duplicate keys), cuts strings at \u0000
 * and rounds numbers. So our own reader (json_check.c) goes over the text first. Then
 * cJSON decodes the same text, with the numbers blanked to 0 since it refuses literals of
 * more than 63 characters, and its tree is walked beside ours to take over the decoded
 * strings.
 */
#include "json_tree.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/mem.h"
#include "retort/utf8.h"

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
    doc->capacity = json_count_values(text, len);
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
    struct json_doc *doc = doc_new(text, len, name, &err);

    if (err.code == ERR_MEMORY)
        diags_no_memory(diags);
    else if (err_is_set(&err))
        diags_add(diags, name, NULL, 0, 0, "%s", err.text);
    if (doc && !json_check(doc, diags) && !decode(doc, diags))
        return doc;
    json_doc_free(doc);
    return NULL;
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
    return doc ? doc->node : NULL;
}

enum json_kind json_kind(const struct json *v)
{
    return v ? v->kind : JSON_NULL;
}

const char *json_kind_name(enum json_kind kind)
{
    static const char *const names[] = {"null",     "true or false", "a number",
                                        "a string", "an array",      "an object"};
    return names[kind];
}

bool json_is_int(const struct json *v)
{
    return v && v->kind == JSON_NUMBER && v->whole;
}

double json_number(const struct json *v)
{
    return v && v->kind == JSON_NUMBER ? v->number : 0;
}

int64_t json_int(const struct json *v)
{
    return json_is_int(v) ? (int64_t)v->number : 0;
}

bool json_bool(const struct json *v)
{
    return v && v->kind == JSON_BOOL && v->flag;
}

const char *json_string(const struct json *v)
{
    return v && v->kind == JSON_STRING ? v->string : NULL;
}

int64_t json_count(const struct json *v)
{
    return v ? v->count : 0;
}

const struct json *json_first(const struct json *v)
{
    return v ? v->first : NULL;
}

const struct json *json_next(const struct json *v)
{
    return v ? v->next : NULL;
}

const char *json_key(const struct json *v)
{
    return v ? v->key : NULL;
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
