/* Files of numbers as rows: see import_read.h. */
#include "import_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../store/h5.h"
#include "retort/json.h"
#include "retort/utf8.h"

#define FILE_MAX ((int64_t)256 << 20)
#define COLUMNS_MAX 10000

/* ---- rows ---- */

static int64_t find_column(const struct import_rows *r, const char *name)
{
    for (int64_t i = 0; i < r->n_columns; i++)
        if (!strcmp(r->column[i], name))
            return i;
    return -1;
}

/* A column may turn up late in JSON lines: rows before it are shorter, see value_at. */
static int64_t add_column(struct import_rows *r, const char *name, struct err *err)
{
    int64_t at = find_column(r, name);

    if (at >= 0)
        return at;
    if (r->n_columns == COLUMNS_MAX)
        return err_set(err, ERR_INPUT, "more than %d columns", COLUMNS_MAX);
    if (mem_grow((void **)&r->column, r->n_columns, &r->column_capacity,
                 sizeof *r->column, err))
        return -1;
    if (!(r->column[r->n_columns] = arena_strdup(r->arena, name)))
        return arena_failed(r->arena, err);
    return r->n_columns++;
}

static struct import_row *add_row(struct import_rows *r, int64_t line, int64_t columns,
                                  struct err *err)
{
    struct import_row *row;

    if (mem_grow((void **)&r->row, r->n, &r->capacity, sizeof *r->row, err))
        return NULL;
    row = &r->row[r->n++];
    row->line = line;
    row->value = arena_zalloc(r->arena, (columns + 1) * (int64_t)sizeof *row->value);
    if (!row->value) {
        arena_failed(r->arena, err);
        return NULL;
    }
    return row;
}

/* ---- CSV ---- */

struct csv_reader {
    const char *path, *at, *end;
    int64_t line;
    struct strbuf field;
    bool last; /* the field just read ended its record */
};

/* The next field; a record's end is a line end or the end of the text. */
static int csv_field(struct csv_reader *c, struct err *err)
{
    bool quoted = c->at < c->end && *c->at == '"';
    int64_t begun = c->line;

    strbuf_clear(&c->field);
    strbuf_puts(&c->field, "");
    if (quoted) {
        for (c->at++;; c->at++) {
            if (c->at == c->end)
                return err_set(err, ERR_INPUT,
                               "%s:%lld: a quote is opened and never closed", c->path,
                               (long long)begun);
            if (*c->at == '"' && (c->at + 1 == c->end || c->at[1] != '"'))
                break;
            if (*c->at == '"')
                c->at++;
            c->line += *c->at == '\n';
            strbuf_putc(&c->field, *c->at);
        }
        c->at++;
    }
    for (; c->at < c->end && *c->at != ',' && *c->at != '\n'; c->at++) {
        if (*c->at == '\r' && (c->at + 1 == c->end || c->at[1] == '\n'))
            continue;
        if (quoted || *c->at == '"')
            return err_set(err, ERR_INPUT,
                           "%s:%lld: a quote stands in the middle of a field; write it "
                           "twice, in quotes",
                           c->path, (long long)c->line);
        strbuf_putc(&c->field, *c->at);
    }
    c->last = c->at == c->end || *c->at == '\n';
    c->line += c->at < c->end && *c->at == '\n';
    c->at += c->at < c->end;
    return strbuf_failed(&c->field, err);
}

static int csv_header(struct import_rows *r, struct csv_reader *c, struct err *err)
{
    do {
        if (csv_field(c, err))
            return -1;
        if (find_column(r, strbuf_text(&c->field)) >= 0)
            return err_set(err, ERR_INPUT, "%s:1: two columns are named \"%.100s\"",
                           c->path, strbuf_text(&c->field));
        if (add_column(r, strbuf_text(&c->field), err) < 0)
            return -1;
    } while (!c->last);
    return 0;
}

static int csv_record(struct import_rows *r, struct csv_reader *c, struct err *err)
{
    struct import_row *row = add_row(r, c->line, r->n_columns, err);
    int64_t n = 0;

    if (!row)
        return -1;
    do {
        if (csv_field(c, err))
            return -1;
        if (n < r->n_columns && c->field.len)
            row->value[n] = arena_strdup(r->arena, strbuf_text(&c->field));
        n++;
    } while (!c->last);
    if (n == 1 && !row->value[0] && r->n_columns > 1) { /* an empty line */
        r->n--;
        return 0;
    }
    if (n != r->n_columns)
        return err_set(err, ERR_INPUT, "%s:%lld: has %lld fields, the header %lld",
                       c->path, (long long)row->line, (long long)n,
                       (long long)r->n_columns);
    return arena_failed(r->arena, err);
}

static int read_csv(struct import_rows *r, const char *path, const char *text,
                    int64_t len, struct err *err)
{
    struct csv_reader c = {.path = path, .at = text, .end = text + len, .line = 1};
    int rc;

    if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
        c.at += 3;
    rc = csv_header(r, &c, err);
    while (!rc && c.at < c.end)
        rc = csv_record(r, &c, err);
    strbuf_release(&c.field);
    return rc;
}

/* ---- JSON lines ---- */

static int json_member_of(struct import_rows *r, struct import_row *row,
                          const struct json *v, struct err *err)
{
    int64_t at = add_column(r, json_key(v), err);
    struct strbuf sb = STRBUF_INIT;

    if (at < 0)
        return -1;
    switch (json_kind(v)) {
    case JSON_STRING:
        row->value[at] = arena_strdup(r->arena, json_string(v));
        break;
    case JSON_NUMBER:
    case JSON_BOOL:
        json_canonical(v, &sb);
        row->value[at] = arena_strdup(r->arena, strbuf_text(&sb));
        strbuf_release(&sb);
        break;
    default: /* null: nothing; lists and objects are no results */
        break;
    }
    return arena_failed(r->arena, err);
}

/* The value of each column of each row has a place once all columns are known. */
static int json_line(struct import_rows *r, const struct json *object, int64_t line,
                     struct err *err)
{
    struct import_row *row = add_row(r, line, r->n_columns + json_count(object), err);

    for (const struct json *v = json_first(object); row && v; v = json_next(v))
        if (json_member_of(r, row, v, err))
            return -1;
    return row ? 0 : -1;
}

/* Rows that were read before a column turned up get a place for it. */
static int widen(struct import_rows *r, const int64_t *had, struct err *err)
{
    for (int64_t i = 0; i < r->n; i++) {
        const char **wide =
            arena_zalloc(r->arena, (r->n_columns + 1) * (int64_t)sizeof *wide);
        if (!wide)
            return arena_failed(r->arena, err);
        memcpy(wide, r->row[i].value, (size_t)had[i] * sizeof *wide);
        r->row[i].value = wide;
    }
    return 0;
}

static int read_jsonl(struct import_rows *r, const char *path, const char *text,
                      int64_t len, struct err *err)
{
    int64_t line = 1, *had = NULL, capacity = 0;
    int rc = 0;

    for (const char *p = text, *end = text + len; !rc && p < end; line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        int64_t n = stop ? stop - p : end - p;
        struct diags *diags = diags_new(err);
        struct json_doc *doc = NULL;
        char name[300];
        bool blank = n == 0 || strspn(p, " \t\r") >= (size_t)n;

        snprintf(name, sizeof name, "%.250s, line %lld", path, (long long)line);
        if (!diags)
            rc = -1;
        else if (!blank && !(doc = json_parse(p, n, name, diags)))
            rc = diags_first_to_err(diags, err);
        else if (doc && json_kind(json_root(doc)) != JSON_OBJECT)
            rc = err_set(err, ERR_INPUT, "%s: is %s; each line is an object", name,
                         json_kind_name(json_kind(json_root(doc))));
        else if (doc && (rc = json_line(r, json_root(doc), line, err)) == 0 &&
                 (rc = mem_grow((void **)&had, r->n - 1, &capacity, sizeof *had, err)) ==
                     0)
            had[r->n - 1] = r->n_columns;
        json_doc_free(doc);
        diags_free(diags);
        p += n + (stop != NULL);
    }
    if (!rc)
        rc = widen(r, had, err);
    free(had);
    return rc;
}

/* ---- HDF5 ---- */

/* The library crashes on damaged files, so it reads in a process of its own, which
 * writes JSON lines. */
static void child_writes(const char *path, int fd)
{
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    int rc = h5_rows(&out, path, &err);

    if (rc)
        rc = file_write_fd(fd, err.text, (int64_t)strlen(err.text), path, NULL) ? 4 : 3;
    else
        rc = file_write_fd(fd, strbuf_text(&out), (int64_t)out.len, path, NULL) ? 4 : 0;
    _exit(rc);
}

static int collect(struct strbuf *out, int fd, struct err *err)
{
    char buf[65536];
    ssize_t n;

    while ((n = read(fd, buf, sizeof buf)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "a pipe");
        if ((int64_t)out->len + n > FILE_MAX)
            return err_set(err, ERR_INPUT, "holds more than %lld MB of results",
                           (long long)(FILE_MAX >> 20));
        strbuf_add(out, buf, (size_t)n);
    }
    return strbuf_failed(out, err);
}

static int read_h5(struct import_rows *r, const char *path, struct err *err)
{
    struct strbuf text = STRBUF_INIT;
    int fd[2], status = 0, rc;
    pid_t pid;

    if (pipe(fd))
        return err_errno(err, "a pipe");
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        close(fd[0]);
        child_writes(path, fd[1]);
    }
    close(fd[1]);
    rc = pid < 0 ? err_errno(err, "a process") : collect(&text, fd[0], err);
    close(fd[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!rc && WIFSIGNALED(status))
        rc =
            err_set(err, ERR_INPUT, "%s: is so damaged that HDF5 stumbles over it", path);
    else if (!rc && WEXITSTATUS(status) == 3)
        rc = err_set(err, ERR_INPUT, "%s", strbuf_text(&text));
    else if (!rc && WEXITSTATUS(status))
        rc = err_set(err, ERR_IO, "%s: could not be read", path);
    if (!rc)
        rc = read_jsonl(r, path, strbuf_text(&text), (int64_t)text.len, err);
    strbuf_release(&text);
    return rc;
}

/* ---- all of them ---- */

static enum import_format format_of(const char *path)
{
    static const struct {
        const char *end;
        enum import_format format;
    } ends[] = {{".csv", IMPORT_CSV},      {".jsonl", IMPORT_JSONL},
                {".ndjson", IMPORT_JSONL}, {".json", IMPORT_JSONL},
                {".h5", IMPORT_H5},        {".hdf5", IMPORT_H5}};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(path), k = strlen(ends[i].end);
        if (n > k && !strcmp(path + n - k, ends[i].end))
            return ends[i].format;
    }
    return IMPORT_AUTO;
}

int import_read(struct import_rows *out, const char *path, enum import_format format,
                struct err *err)
{
    char *text = NULL;
    int64_t len = 0;
    int rc = -1;

    *out = (struct import_rows){.arena = arena_new(err)};
    if (format == IMPORT_AUTO)
        format = format_of(path);
    if (!out->arena)
        return -1;
    if (format == IMPORT_AUTO)
        return err_set(err, ERR_INPUT,
                       "%s: neither .csv nor .jsonl nor .h5; say --format", path);
    if (format == IMPORT_H5)
        rc = read_h5(out, path, err);
    else if (!file_read(&text, &len, path, FILE_MAX, err))
        rc = (int64_t)strlen(text) != len || utf8_invalid(text, len) >= 0
                 ? err_set(err, ERR_INPUT, "%s: is no UTF-8 text", path)
             : format == IMPORT_CSV ? read_csv(out, path, text, len, err)
                                    : read_jsonl(out, path, text, len, err);
    free(text);
    if (!rc && out->n == 0)
        rc = err_set(err, ERR_INPUT, "%s: has no rows", path);
    return rc;
}

void import_release(struct import_rows *r)
{
    free(r->column);
    free(r->row);
    arena_free(r->arena);
}

int64_t import_column(const struct import_rows *r, const char *path, const char *name,
                      struct err *err)
{
    int64_t at = find_column(r, name);
    const char **names, *near;

    if (at >= 0)
        return at;
    names = arena_zalloc(r->arena, (r->n_columns + 1) * (int64_t)sizeof *names);
    if (!names)
        return arena_failed(r->arena, err);
    memcpy(names, r->column, (size_t)r->n_columns * sizeof *names);
    near = nearest_name(name, names);
    return err_set(err, ERR_INPUT, "%s: has no column \"%.100s\"%s%.100s%s", path, name,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}
