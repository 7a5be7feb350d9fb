/*
 * The layout: 8 bytes, the header's length (little-endian); the header, JSON, perhaps
 * with blanks at its end; then the tensors' bytes, to which data_offsets are relative.
 * Nothing of a tensor is touched before its entry and its place among all others were
 * checked.
 */
#include "retort/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/json.h"

#define HEADER_MAX ((int64_t)100 << 20) /* as the reference implementation has it */
#define METADATA "__metadata__"

struct safetensors {
    char *path;
    struct file_map map;
    struct json_doc *header; /* holds the names */
    struct safetensors_entry *entry;
    const struct safetensors_entry **by_name;
    int64_t n;
};

/* What lies where, for the check that the tensors fill the file without
 * gap or overlap. */
struct span {
    int64_t begin, end;
    const char *name;
};

static const struct {
    const char *name;
    enum dtype dtype;
    int64_t bytes;
} dtypes[] = {
    {"F64", DT_F64, 8}, {"F32", DT_F32, 4}, {"BF16", DT_BF16, 2}, {"F16", DT_F16, 2},
    {"I64", DT_I64, 8}, {"I32", DT_I32, 4}, {"I8", DT_I8, 1},     {"U8", DT_U8, 1},
};

/* Other dtypes of the format: tensors that nobody asks for may have them. */
static const struct {
    const char *name;
    int64_t bytes;
} raw_dtypes[] = {
    {"BOOL", 1}, {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2}, {"U16", 2},
    {"U32", 4},  {"U64", 8},     {"C64", 8},     {NULL, 0},
};

#define N_DTYPES ((int)(sizeof dtypes / sizeof dtypes[0]))

/* Row of `dtypes`, or -1. */
static int row_of_name(const char *name)
{
    for (int i = 0; i < N_DTYPES; i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return i;
    return -1;
}

static int row_of_dtype(enum dtype dtype)
{
    for (int i = 0; i < N_DTYPES; i++)
        if (dtypes[i].dtype == dtype)
            return i;
    return -1;
}

/* ---- reading ---- */

static int bad_tensor(const struct safetensors *st, const char *name, struct err *err,
                      const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int bad_tensor(const struct safetensors *st, const char *name, struct err *err,
                      const char *fmt, ...)
{
    char what[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return err_set(err, ERR_INPUT, "%s: tensor \"%.200s\": %s", st->path, name, what);
}

static uint64_t read_u64(const unsigned char *p)
{
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--)
        n = n << 8 | p[i];
    return n;
}

/* Parses the header; *data_len is what the file has behind it. */
static int read_header(struct safetensors *st, const unsigned char **data,
                       int64_t *data_len, struct err *err)
{
    static const char lfs[] = "version https://git-lfs";
    const unsigned char *p = st->map.data;
    struct diags *diags = NULL;
    char *name = NULL;
    int rc = -1;

    if (st->map.len < 8)
        return err_set(err, ERR_INPUT,
                       "%s: %" PRId64 " bytes are too few for a safetensors file",
                       st->path, st->map.len);
    if (st->map.len >= (int64_t)sizeof lfs && memcmp(p, lfs, sizeof lfs - 1) == 0)
        return err_set(
            err, ERR_INPUT,
            "%s: a Git LFS pointer, not the tensors; fetch them with git lfs pull",
            st->path);
    uint64_t len = read_u64(p);
    if (len > (uint64_t)(st->map.len - 8))
        return err_set(err, ERR_INPUT,
                       "%s: the header should have %" PRIu64 " bytes, but only %" PRId64
                       " follow; the file is cut or no safetensors",
                       st->path, len, st->map.len - 8);
    if (len > (uint64_t)HEADER_MAX)
        return err_set(err, ERR_INPUT,
                       "%s: a header of %" PRIu64 " bytes; at most %" PRId64, st->path,
                       len, HEADER_MAX);
    diags = diags_new(err);
    name = mem_printf(err, "%s (header)", st->path);
    if (!diags || !name)
        goto done;
    st->header = json_parse((const char *)p + 8, (int64_t)len, name, diags);
    if (!st->header) {
        diags_first_to_err(diags, err);
        goto done;
    }
    if (json_kind(json_root(st->header)) != JSON_OBJECT) {
        err_set(err, ERR_INPUT, "%s: the header is %s; it should be an object", st->path,
                json_kind_name(json_kind(json_root(st->header))));
        goto done;
    }
    *data = p + 8 + len;
    *data_len = st->map.len - 8 - (int64_t)len;
    rc = 0;
done:
    free(name);
    diags_free(diags);
    return rc;
}

static int read_dtype(const struct safetensors *st, struct safetensors_entry *e,
                      const struct json *v, int64_t *bytes, bool *raw, struct err *err)
{
    const char *text = v ? json_string(v) : NULL;
    int row = text ? row_of_name(text) : -1;

    if (!text)
        return bad_tensor(st, e->name, err, "\"dtype\" is missing or no string");
    for (int i = 0; row < 0 && raw_dtypes[i].name; i++)
        if (!strcmp(raw_dtypes[i].name, text)) {
            e->dtype = DT_U8;
            *raw = true;
            *bytes = raw_dtypes[i].bytes;
            return 0;
        }
    if (row < 0)
        return bad_tensor(st, e->name, err,
                          "dtype \"%.40s\" is unknown; F64, F32, BF16, F16, I64, I32, I8 "
                          "and U8 are read",
                          text);
    e->dtype = dtypes[row].dtype;
    *bytes = dtypes[row].bytes;
    return 0;
}

static int read_shape(const struct safetensors *st, struct safetensors_entry *e,
                      const struct json *v, struct err *err)
{
    int64_t rank = v ? json_count(v) : 0, i = 0;

    if (!v || json_kind(v) != JSON_ARRAY)
        return bad_tensor(st, e->name, err, "\"shape\" is missing or no array");
    e->count = 1;
    e->shape.rank = rank <= RANK_MAX ? (int)rank : -1;
    for (const struct json *d = json_first(v); d; d = json_next(d), i++) {
        if (!json_is_int(d) || json_int(d) < 0)
            return bad_tensor(st, e->name, err,
                              "dimension %" PRId64 " is no whole number from 0 up", i);
        if (mem_product(&e->count, e->count, json_int(d), NULL))
            return bad_tensor(st, e->name, err,
                              "the shape has more elements than a file can hold");
        if (rank <= RANK_MAX)
            e->shape.dim[i] = json_int(d);
    }
    return 0;
}

static int read_offsets(const struct safetensors *st, const struct safetensors_entry *e,
                        const struct json *v, int64_t data_len, struct span *span,
                        struct err *err)
{
    const struct json *a = json_at(v, 0), *b = json_at(v, 1);

    if (!a || !b || json_count(v) != 2 || !json_is_int(a) || !json_is_int(b))
        return bad_tensor(st, e->name, err,
                          "\"data_offsets\" should be two whole numbers");
    span->begin = json_int(a);
    span->end = json_int(b);
    span->name = e->name;
    if (span->begin < 0 || span->end < span->begin)
        return bad_tensor(st, e->name, err,
                          "data_offsets [%" PRId64 ", %" PRId64
                          "] are negative or the wrong way round",
                          span->begin, span->end);
    if (span->end > data_len)
        return bad_tensor(st, e->name, err,
                          "data_offsets end at %" PRId64 ", but the file has %" PRId64
                          " bytes of tensors; it is cut or damaged",
                          span->end, data_len);
    return 0;
}

static int read_entry(const struct safetensors *st, struct safetensors_entry *e,
                      const struct json *v, const unsigned char *data, int64_t data_len,
                      struct span *span, struct err *err)
{
    int64_t bytes = 0, size = 0;
    bool raw = false;

    e->name = json_key(v);
    if (json_kind(v) != JSON_OBJECT)
        return bad_tensor(st, e->name, err, "is %s in the header; it should be an object",
                          json_kind_name(json_kind(v)));
    if (read_dtype(st, e, json_get(v, "dtype"), &bytes, &raw, err) ||
        read_shape(st, e, json_get(v, "shape"), err) ||
        read_offsets(st, e, json_get(v, "data_offsets"), data_len, span, err))
        return -1;
    if (mem_product(&size, e->count, bytes, NULL))
        return bad_tensor(st, e->name, err,
                          "the shape has more bytes than a file can hold");
    if (size != span->end - span->begin)
        return bad_tensor(st, e->name, err,
                          "dtype and shape make %" PRId64 " bytes, data_offsets %" PRId64,
                          size, span->end - span->begin);
    e->data = data + span->begin;
    if (raw) {
        e->shape.rank = -1;
        e->count = size;
    }
    return 0;
}

static int by_begin(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* Do the tensors fill [0, data_len) without gap and overlap? */
static int check_spans(const struct safetensors *st, struct span *span, int64_t data_len,
                       struct err *err)
{
    int64_t end = 0;

    if (st->n > 1)
        qsort(span, (size_t)st->n, sizeof *span, by_begin);
    for (int64_t i = 0; i < st->n; i++) {
        if (span[i].begin < end)
            return bad_tensor(st, span[i].name, err, "overlaps tensor \"%.200s\"",
                              span[i - 1].name);
        if (span[i].begin > end)
            return bad_tensor(st, span[i].name, err,
                              "%" PRId64 " bytes before it belong to no tensor",
                              span[i].begin - end);
        end = span[i].end;
    }
    if (end != data_len)
        return err_set(err, ERR_INPUT,
                       "%s: the last %" PRId64 " bytes belong to no tensor", st->path,
                       data_len - end);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct safetensors_entry *x = *(const struct safetensors_entry *const *)a;
    const struct safetensors_entry *y = *(const struct safetensors_entry *const *)b;
    return strcmp(x->name, y->name);
}

static int read_entries(struct safetensors *st, const unsigned char *data,
                        int64_t data_len, struct err *err)
{
    const struct json *root = json_root(st->header);
    int64_t most = json_count(root);
    struct span *span = mem_new(most, sizeof *span, err);
    int rc = -1;

    st->entry = mem_new(most, sizeof *st->entry, err);
    st->by_name = mem_new(most, sizeof *st->by_name, err);
    if (!span || !st->entry || !st->by_name)
        goto done;
    for (const struct json *v = json_first(root); v; v = json_next(v)) {
        if (strcmp(json_key(v), METADATA) == 0)
            continue;
        struct safetensors_entry *e = &st->entry[st->n];
        if (read_entry(st, e, v, data, data_len, &span[st->n], err))
            goto done;
        st->by_name[st->n++] = e;
    }
    if (st->n > 1)
        qsort(st->by_name, (size_t)st->n, sizeof *st->by_name, by_name);
    rc = check_spans(st, span, data_len, err);
done:
    free(span);
    return rc;
}

int safetensors_open(struct safetensors **out, const char *path, struct err *err)
{
    struct safetensors *st = mem_new(1, sizeof *st, err);
    const unsigned char *data = NULL;
    int64_t data_len = 0;
    int rc = -1;

    *out = NULL;
    if (!st)
        return -1;
    st->path = mem_strdup(path, err);
    if (!st->path || file_map(&st->map, path, err) ||
        read_header(st, &data, &data_len, err) || read_entries(st, data, data_len, err))
        goto done;
    *out = st;
    st = NULL;
    rc = 0;
done:
    safetensors_close(st);
    return rc;
}

void safetensors_close(struct safetensors *st)
{
    if (!st)
        return;
    free(st->by_name);
    free(st->entry);
    json_doc_free(st->header);
    file_unmap(&st->map);
    free(st->path);
    free(st);
}

int64_t safetensors_count(const struct safetensors *st)
{
    return st->n;
}

const struct safetensors_entry *safetensors_at(const struct safetensors *st, int64_t i)
{
    return i >= 0 && i < st->n ? &st->entry[i] : NULL;
}

const struct safetensors_entry *safetensors_find(const struct safetensors *st,
                                                 const char *name)
{
    struct safetensors_entry wanted = {.name = name};
    const struct safetensors_entry *key = &wanted;
    const struct safetensors_entry **found;

    if (st->n == 0)
        return NULL;
    found = bsearch(&key, st->by_name, (size_t)st->n, sizeof *st->by_name, by_name);
    return found ? *found : NULL;
}

/* ---- writing ---- */

/* Bytes of an entry from its shape. */
static int entry_bytes(const struct safetensors_entry *e, const char *path,
                       int64_t *bytes, struct err *err)
{
    int row = row_of_dtype(e->dtype);
    int64_t n = 1;

    if (row < 0 || e->shape.rank < 0 || e->shape.rank > RANK_MAX)
        return err_set(err, ERR_INPUT,
                       "%s: tensor \"%s\" has a dtype or shape of no file", path,
                       e->name);
    for (int i = 0; i < e->shape.rank; i++)
        if (mem_product(&n, n, e->shape.dim[i], err))
            return err_prefix(err, "%s: tensor \"%s\"", path, e->name);
    if (mem_product(bytes, n, dtypes[row].bytes, err))
        return err_prefix(err, "%s: tensor \"%s\"", path, e->name);
    return 0;
}

static void put_entry(struct json_writer *w, const struct safetensors_entry *e,
                      int64_t begin, int64_t end)
{
    json_member(w, e->name);
    json_object(w);
    json_member(w, "dtype");
    json_str(w, dtypes[row_of_dtype(e->dtype)].name);
    json_member(w, "shape");
    json_array(w);
    for (int i = 0; i < e->shape.rank; i++)
        json_i64(w, e->shape.dim[i]);
    json_array_end(w);
    json_member(w, "data_offsets");
    json_array(w);
    json_i64(w, begin);
    json_i64(w, end);
    json_array_end(w);
    json_object_end(w);
}

/* The header, with blanks so that the data begins at a multiple of 8; *total counts the
 * data's bytes. */
static int make_header(struct strbuf *out, const char *path,
                       const struct safetensors_entry *entries, int64_t n, int64_t *total,
                       struct err *err)
{
    struct json_writer w;

    *total = 0;
    json_begin(&w, out, false);
    json_object(&w);
    json_member(&w, METADATA);
    json_raw(&w, "{\"format\":\"pt\"}");
    for (int64_t i = 0; i < n; i++) {
        int64_t bytes = 0;
        if (entry_bytes(&entries[i], path, &bytes, err))
            return -1;
        if (bytes > INT64_MAX / 2 - *total)
            return err_set(err, ERR_INPUT, "%s: the tensors are too large for a file",
                           path);
        put_entry(&w, &entries[i], *total, *total + bytes);
        *total += bytes;
    }
    json_object_end(&w);
    while (out->len % 8 != 0 && !out->failed)
        strbuf_putc(out, ' ');
    return strbuf_failed(out, err);
}

int safetensors_write(const char *path, const struct safetensors_entry *entries,
                      int64_t n, struct err *err)
{
    struct strbuf header = STRBUF_INIT;
    unsigned char *file = NULL;
    int64_t total = 0, at, bytes = 0;
    int rc = -1;

    if (make_header(&header, path, entries, n, &total, err))
        goto done;
    at = 8 + (int64_t)header.len;
    file = mem_new(at + total, 1, err);
    if (!file)
        goto done;
    for (int i = 0; i < 8; i++)
        file[i] = (unsigned char)(((uint64_t)header.len >> (8 * i)) & 0xFF);
    memcpy(file + 8, header.text, header.len);
    for (int64_t i = 0; i < n; i++, at += bytes) {
        if (entry_bytes(&entries[i], path, &bytes, err))
            goto done;
        if (bytes > 0)
            memcpy(file + at, entries[i].data, (size_t)bytes);
    }
    rc = file_write(path, file, at, err);
done:
    free(file);
    strbuf_release(&header);
    return rc;
}
