/*
 * Examples from TSV and JSONL. GLUE's TSV has no quoting at all, so a quote is text and a
 * line is a row. Whatever could be read half is refused with its place.
 */
#include "table.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/json.h"
#include "retort/utf8.h"

#define FILE_MAX ((int64_t)4 << 30)
#define FIELDS_MAX 256

enum { COL_A, COL_B, COL_LABEL, COL_ID, N_COLS };

struct reader {
    const struct task *task;
    const struct table_split *split;
    const char *path;
    int64_t line;
    struct examples *out;
    int column[N_COLS]; /* TSV: index from 0, or -1 */
    int n_fields;       /* 0: any number */
    struct err *err;
};

static const char *wanted(const struct task_columns *c, int col)
{
    const char *names[N_COLS] = {c->a, c->b, c->label, c->id};
    return names[col];
}

/* ---- values ---- */

static int fail(const struct reader *r, int field, const char *what, const char *value,
                const char *right)
{
    return err_set(r->err, ERR_INPUT, "%s:%lld:%d: %s \"%.60s\"; %s", r->path,
                   (long long)r->line, field, what, value, right);
}

/* The number of a class from 0, or -1. */
static int32_t class_of(const struct task *task, const char *s)
{
    int64_t n = 0;
    for (int32_t i = 0; task->label_names && task->label_names[i]; i++)
        if (!strcmp(task->label_names[i], s))
            return i;
    if (!*s || strlen(s) > 9 || strspn(s, "0123456789") != strlen(s))
        return -1;
    for (; *s; s++)
        n = n * 10 + (*s - '0');
    return n < task->labels ? (int32_t)n : -1;
}

static int bad_class(const struct reader *r, int field, const char *text)
{
    struct strbuf sb = STRBUF_INIT;
    strbuf_printf(&sb, "%s has", r->task->name);
    for (int i = 0; r->task->label_names && r->task->label_names[i] && i < 12; i++)
        strbuf_printf(&sb, "%s %s", i ? "," : "", r->task->label_names[i]);
    strbuf_printf(&sb, " (or 0 to %lld)", (long long)r->task->labels - 1);
    fail(r, field, "label is", text, strbuf_text(&sb));
    strbuf_release(&sb);
    return -1;
}

static int set_label(const struct reader *r, struct example *e, int field,
                     const char *text)
{
    if (r->task->kind == TASK_REGRESSION) {
        if (text_double(&e->value, text))
            return fail(r, field, "label is", text, "a number is needed");
        return 0;
    }
    if (r->task->kind != TASK_CLASSES)
        return 0;
    if (!strcmp(text, "-1")) /* how test sets say that it is not told */
        return 0;
    e->label = class_of(r->task, text);
    return e->label < 0 ? bad_class(r, field, text) : 0;
}

static int add_example(const struct reader *r, const char *const *value, const int *field)
{
    struct example *e = examples_add(r->out, r->err);
    struct arena *arena = r->out->arena;
    if (!e)
        return -1;
    e->a = arena_strdup(arena, value[COL_A]);
    e->b = value[COL_B] ? arena_strdup(arena, value[COL_B]) : NULL;
    e->id = value[COL_ID] ? arena_strdup(arena, value[COL_ID])
                          : arena_printf(arena, "%lld", (long long)r->out->n - 1);
    if (!e->a || !e->id || (value[COL_B] && !e->b))
        return arena_failed(arena, r->err);
    return value[COL_LABEL] ? set_label(r, e, field[COL_LABEL], value[COL_LABEL]) : 0;
}

/* ---- TSV ---- */

/* Cuts a line at its tabs, in place. Returns the number of fields, or -1. */
static int cut_fields(const struct reader *r, char *line, char **field)
{
    int n = 0;
    for (char *s = line; s; n++) {
        if (n == FIELDS_MAX)
            return err_set(r->err, ERR_INPUT, "%s:%lld: more than %d fields", r->path,
                           (long long)r->line, FIELDS_MAX);
        field[n] = s;
        s = strchr(s, '\t');
        if (s)
            *s++ = '\0';
    }
    return n;
}

/* Is s[0 .. n-1] a number from 1 to FIELDS_MAX? Its index from 0, or -1. */
static int column_number(const char *s, size_t n)
{
    int v = 0;

    if (n < 1 || n > 3)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        v = v * 10 + (s[i] - '0');
    }
    return v >= 1 && v <= FIELDS_MAX ? v - 1 : -1;
}

/* With a header only the columns that it names are there. */
static int find_one(const char *name, size_t len, char *const *header, int n)
{
    int number = column_number(name, len);

    for (int i = 0; header && i < n; i++)
        if (strlen(header[i]) == len && !memcmp(header[i], name, len))
            return i;
    return header && number >= n ? -1 : number;
}

/* The column of the first alternative that is there, or -1. */
static int find_column(const char *names, char *const *header, int n)
{
    for (const char *s = names; s; s = strchr(s, '|'), s = s ? s + 1 : NULL) {
        int at = find_one(s, strcspn(s, "|"), header, n);
        if (at >= 0)
            return at;
    }
    return -1;
}

static int no_column(const struct reader *r, const char *name, char *const *header, int n)
{
    struct strbuf sb = STRBUF_INIT;
    for (int i = 0; header && i < n && i < 20; i++)
        strbuf_printf(&sb, "%s%s", i ? ", " : "", header[i]);
    err_set(r->err, ERR_INPUT, "%s:%lld: no column \"%s\"; the header names: %.400s",
            r->path, (long long)r->line, name,
            header ? strbuf_text(&sb) : "nothing (no header)");
    strbuf_release(&sb);
    return -1;
}

/* A name that the header has twice does not say which is meant. */
static int check_once(const struct reader *r, const char *name, int at,
                      char *const *header, int n)
{
    for (int i = at + 1; i < n; i++)
        if (!strcmp(header[at], header[i]))
            return err_set(
                r->err, ERR_INPUT,
                "%s:%lld:%d: the header names \"%.60s\" a second time; give its "
                "number instead of \"%.60s\"",
                r->path, (long long)r->line, i + 1, header[i], name);
    return 0;
}

static int bind_columns(struct reader *r, char *const *header, int n)
{
    for (int c = 0; c < N_COLS; c++) {
        const char *name = wanted(&r->split->columns, c);
        r->column[c] = name ? find_column(name, header, n) : -1;
        if (name && r->column[c] < 0 && c != COL_ID)
            return no_column(r, name, header, n);
        if (header && name && r->column[c] >= 0 &&
            column_number(name, strlen(name)) < 0 &&
            check_once(r, name, r->column[c], header, n))
            return -1;
    }
    r->n_fields = header ? n : 0;
    return 0;
}

static int read_row(const struct reader *r, char *line)
{
    char *field[FIELDS_MAX];
    const char *value[N_COLS] = {NULL, NULL, NULL, NULL};
    int at[N_COLS] = {0, 0, 0, 0}, need = 0;
    int n = cut_fields(r, line, field);

    if (n < 0)
        return -1;
    for (int c = 0; c < N_COLS; c++)
        need = r->column[c] + 1 > need ? r->column[c] + 1 : need;
    if (r->n_fields ? n != r->n_fields : n < need) {
        if (r->split->skip_broken) {
            if (!r->out->left_out++)
                r->out->first_left_out = r->line;
            return 0;
        }
        return err_set(r->err, ERR_INPUT, "%s:%lld:%d: the row has %d field%s; %s%d %s",
                       r->path, (long long)r->line, n, n, n == 1 ? "" : "s",
                       r->n_fields ? "" : "at least ", r->n_fields ? r->n_fields : need,
                       r->n_fields ? "are needed, as the header has" : "are needed");
    }
    for (int c = 0; c < N_COLS; c++) {
        if (r->column[c] < 0)
            continue;
        value[c] = field[r->column[c]];
        at[c] = r->column[c] + 1;
    }
    return add_example(r, value, at);
}

static int read_tsv_line(struct reader *r, char *line, bool first)
{
    char *field[FIELDS_MAX];
    int n;
    if (!first || !r->split->columns.header)
        return first && bind_columns(r, NULL, 0) ? -1 : read_row(r, line);
    n = cut_fields(r, line, field);
    return n < 0 ? -1 : bind_columns(r, field, n);
}

/* ---- JSONL ---- */

static const struct json *find_member(const struct json *object, const char *names)
{
    char name[128];
    for (const char *s = names; s; s = strchr(s, '|'), s = s ? s + 1 : NULL) {
        size_t n = strcspn(s, "|");
        const struct json *v;
        if (n >= sizeof name)
            continue;
        memcpy(name, s, n);
        name[n] = '\0';
        v = json_get(object, name);
        if (v)
            return v;
    }
    return NULL;
}

/* A string as it is, a number in its shortest form, null as nothing; *out in the heap. */
static int member_text(const struct reader *r, char **out, const char *names,
                       const struct json *v)
{
    struct strbuf sb = STRBUF_INIT;
    if (json_kind(v) == JSON_NULL)
        return 0;
    if (json_kind(v) == JSON_STRING)
        strbuf_puts(&sb, json_string(v));
    else if (json_kind(v) == JSON_NUMBER)
        strbuf_double(&sb, json_number(v));
    else
        return err_set(r->err, ERR_INPUT,
                       "%s:%lld: \"%.60s\" is %s; a string or a number is needed",
                       r->path, (long long)r->line, names, json_kind_name(json_kind(v)));
    strbuf_puts(&sb, "");
    *out = strbuf_take(&sb, r->err);
    return *out ? 0 : -1;
}

static int read_object(const struct reader *r, const struct json *object)
{
    char *text[N_COLS] = {NULL, NULL, NULL, NULL};
    const int at[N_COLS] = {1, 1, 1, 1};
    int rc = -1;

    if (json_kind(object) != JSON_OBJECT)
        return err_set(r->err, ERR_INPUT, "%s:%lld: an object is needed, this is %s",
                       r->path, (long long)r->line, json_kind_name(json_kind(object)));
    for (int c = 0; c < N_COLS; c++) {
        const char *names = wanted(&r->split->columns, c);
        const struct json *v = names ? find_member(object, names) : NULL;
        if (v && member_text(r, &text[c], names, v))
            goto done;
        if (names && !text[c] && c != COL_ID && !(c == COL_LABEL && v)) {
            err_set(r->err, ERR_INPUT, "%s:%lld: no member \"%s\"", r->path,
                    (long long)r->line, names);
            goto done;
        }
    }
    rc = add_example(r, (const char *const *)text, at);
done:
    for (int c = 0; c < N_COLS; c++)
        free(text[c]);
    return rc;
}

/* The parser sees one line: its "path:1:" becomes the line's own number. */
static int json_failed(const struct reader *r, const struct diags *diags)
{
    struct err found = ERR_INIT;
    size_t n = strlen(r->path);
    const char *rest;

    diags_first_to_err(diags, &found);
    rest = found.text + (strncmp(found.text, r->path, n) ? 0 : n);
    return err_set(r->err, found.code, "%s:%lld:%s%s", r->path, (long long)r->line,
                   strncmp(rest, ":1:", 3) ? " " : "",
                   strncmp(rest, ":1:", 3) ? rest : rest + 3);
}

static int read_json_line(const struct reader *r, const char *line)
{
    struct diags *diags = diags_new(r->err);
    struct json_doc *doc = NULL;
    int rc = -1;
    if (!diags)
        goto done;
    doc = json_parse(line, (int64_t)strlen(line), r->path, diags);
    rc = doc ? read_object(r, json_root(doc)) : json_failed(r, diags);
done:
    json_doc_free(doc);
    diags_free(diags);
    return rc;
}

/* ---- files ---- */

static bool has_suffix(const char *s, const char *suffix)
{
    size_t n = strlen(s), k = strlen(suffix);
    return n >= k && !strcmp(s + n - k, suffix);
}

int textfile_check(const char *path, const char *text, int64_t len, struct err *err)
{
    const char *zero = memchr(text, 0, (size_t)len);
    int64_t bad = utf8_invalid(text, zero ? zero - text : len), line = 1, field = 1;
    if (bad < 0 && !zero)
        return 0;
    if (bad < 0)
        bad = zero - text;
    for (int64_t i = 0; i < bad; i++) {
        field = text[i] == '\n' ? 1 : field + (text[i] == '\t');
        line += text[i] == '\n';
    }
    if (!text[bad])
        return err_set(err, ERR_INPUT, "%s:%lld:%lld: a zero byte; text has none", path,
                       (long long)line, (long long)field);
    return err_set(err, ERR_INPUT,
                   "%s:%lld:%lld: byte 0x%02x is not UTF-8; convert the file (iconv -t "
                   "UTF-8)",
                   path, (long long)line, (long long)field,
                   (unsigned)(unsigned char)text[bad]);
}

static int read_text(struct reader *r, char *text, int64_t len, bool jsonl)
{
    char *line = text;
    if (textfile_check(r->path, text, len, r->err))
        return -1;
    if (!strncmp(line, "\xef\xbb\xbf", 3))
        line += 3;
    len -= line - text;
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        line[--len] = '\0';
    for (bool first = true; len > 0 && line; first = false) {
        char *end = strchr(line, '\n');
        size_t n = end ? (size_t)(end - line) : strlen(line);
        if (n && line[n - 1] == '\r')
            line[n - 1] = '\0';
        line[n] = '\0';
        r->line++;
        if (jsonl ? read_json_line(r, line) : read_tsv_line(r, line, first))
            return -1;
        line = end ? end + 1 : NULL;
    }
    if (!r->out->n)
        return err_set(r->err, ERR_INPUT, "%s: no examples", r->path);
    return 0;
}

static int read_file(const struct task *task, const struct table_split *split,
                     const char *path, struct examples *out, struct err *err)
{
    const struct table *table = task->config;
    struct reader r = {
        .task = task, .split = split, .path = path, .out = out, .err = err};
    bool jsonl = table->format == TASK_FORMAT_JSONL ||
                 (table->format == TASK_FORMAT_AUTO &&
                  (has_suffix(path, ".jsonl") || has_suffix(path, ".json")));
    char *text = NULL;
    int64_t len = 0;
    int rc = file_read(&text, &len, path, FILE_MAX, err);
    if (!rc)
        rc = read_text(&r, text, len, jsonl);
    free(text);
    return rc;
}

static const struct table_split *find_split(const struct task *task, const char *name)
{
    const struct table *table = task->config;
    for (int64_t i = 0; i < table->n; i++)
        if (!strcmp(table->splits[i].name, name))
            return &table->splits[i];
    return NULL;
}

const char *const *table_files(const struct task *task, const char *split)
{
    const struct table_split *s = find_split(task, split);
    return s ? s->files : NULL;
}

static int no_split(const struct task *task, const char *split, struct err *err)
{
    struct strbuf sb = STRBUF_INIT;
    for (int i = 0; task->splits[i]; i++)
        strbuf_printf(&sb, "%s%s", i ? ", " : "", task->splits[i]);
    err_set(err, ERR_MISSING, "%s has no split \"%s\"; it has %s", task->name, split,
            strbuf_text(&sb));
    strbuf_release(&sb);
    return -1;
}

int textfile_load(const struct task *task, const struct task_source *src,
                  struct examples *out, struct err *err)
{
    const struct table_split *split = find_split(task, src->split);
    const char *dir = src->dir ? src->dir : "";
    if (!split)
        return no_split(task, src->split, err);
    for (int i = 0; split->files[i]; i++) {
        char *path = path_join(dir, split->files[i], err);
        int rc = -1;
        if (!path)
            return -1;
        if (!file_exists(path)) {
            free(path);
            continue;
        }
        rc = read_file(task, split, path, out, err);
        free(path);
        return rc;
    }
    return err_set(err, ERR_MISSING, "%s, split %s: no file %s in \"%s\"", task->name,
                   src->split, split->files[0], *dir ? dir : ".");
}
