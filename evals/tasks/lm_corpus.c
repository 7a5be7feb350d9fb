/* The reader of texts: see lm.h. */
#include "lm.h"

#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/json.h"
#include "table.h"

#define TEXT_MAX ((int64_t)4 << 30)

enum { HELD_OUT = 20 }; /* one of so many */

struct reader {
    const struct corpus *corpus;
    const char *path;
    enum corpus_part part;
    struct examples *out;
    int64_t n; /* documents of the file, also those of the other part */
    struct err *err;
};

/* ---- documents ---- */

static int add_text(struct reader *r, const char *text, int64_t len)
{
    struct example *e = examples_add(r->out, r->err);
    char *copy = e ? arena_alloc(r->out->arena, len + 1) : NULL;

    if (!copy)
        return e ? arena_failed(r->out->arena, r->err) : -1;
    memcpy(copy, text, (size_t)len);
    copy[len] = '\0';
    e->a = copy;
    e->id = arena_printf(r->out->arena, "%lld", (long long)r->out->n - 1);
    return e->id ? 0 : arena_failed(r->out->arena, r->err);
}

/* One of the file's documents, if it is in the part. */
static int add_document(struct reader *r, const char *text, int64_t len)
{
    bool held = r->n % HELD_OUT == HELD_OUT - 1;

    r->n++;
    if (r->part != CORPUS_ALL && held != (r->part == CORPUS_HELD))
        return 0;
    return add_text(r, text, len);
}

/* Where the last twentieth begins: the first line that begins in it; without one, its
 * first character. */
static int64_t border(const char *text, int64_t len)
{
    int64_t at = len - len / HELD_OUT;
    const char *line = memchr(text + at, '\n', (size_t)(len - at));

    if (line && line + 1 < text + len)
        return line + 1 - text;
    while (at < len && ((unsigned char)text[at] & 0xc0) == 0x80)
        at++;
    return at;
}

static int add_only(struct reader *r, const char *text, int64_t len)
{
    int64_t at = border(text, len);

    r->n = 1;
    switch (r->part) {
    case CORPUS_LEARN:
        return add_text(r, text, at);
    case CORPUS_HELD:
        return add_text(r, text + at, len - at);
    case CORPUS_ALL:
        break;
    }
    return add_text(r, text, len);
}

static bool is_blank(const char *text, int64_t len)
{
    for (int64_t i = 0; i < len; i++)
        if (!strchr(" \t\r\n", text[i]))
            return false;
    return true;
}

/* ---- plain texts ---- */

/* Without the white space around it, if there is more. */
static int add_stripped(struct reader *r, const char *begin, const char *end)
{
    while (begin < end && is_blank(begin, 1))
        begin++;
    while (begin < end && is_blank(end - 1, 1))
        end--;
    return begin < end ? add_document(r, begin, end - begin) : 0;
}

static int read_separated(struct reader *r, const char *text, int64_t len)
{
    const char *sep = r->corpus->separator, *end = text + len, *next;

    for (const char *at = text; at < end; at = next + strlen(sep)) {
        next = strstr(at, sep);
        if (add_stripped(r, at, next ? next : end))
            return -1;
        if (!next)
            break;
    }
    return 0;
}

/* ---- JSON ---- */

/* The first of the alternatives that the object has. */
static const struct json *member(const struct json *object, const char *names)
{
    for (const char *s = names; s; s = strchr(s, '|'), s = s ? s + 1 : NULL) {
        char name[128];
        size_t n = strcspn(s, "|");
        const struct json *v;
        if (n >= sizeof name)
            continue;
        memcpy(name, s, n);
        name[n] = '\0';
        if ((v = json_get(object, name)))
            return v;
    }
    return NULL;
}

static int read_object(struct reader *r, const struct json *v, int64_t number)
{
    const char *first = json_string(member(v, r->corpus->member));
    const char *more = json_string(member(v, r->corpus->more));
    struct strbuf sb = STRBUF_INIT;
    int rc = -1;

    if (!first)
        return err_set(r->err, ERR_INPUT,
                       "%s:%lld: an object with a text \"%s\" is needed", r->path,
                       (long long)number, r->corpus->member);
    if (!more)
        return add_document(r, first, (int64_t)strlen(first));
    strbuf_printf(&sb, "%s %s", first, more);
    if (!strbuf_failed(&sb, r->err))
        rc = add_document(r, strbuf_text(&sb), (int64_t)sb.len);
    strbuf_release(&sb);
    return rc;
}

static int read_list(struct reader *r, const char *text, int64_t len)
{
    struct diags *diags = diags_new(r->err);
    struct json_doc *doc = diags ? json_parse(text, len, r->path, diags) : NULL;
    int64_t number = 0;
    int rc = doc ? 0 : -1;

    if (diags && !doc)
        diags_first_to_err(diags, r->err);
    for (const struct json *v = json_first(json_root(doc)); v && rc == 0;
         v = json_next(v))
        rc = read_object(r, v, ++number);
    json_doc_free(doc);
    diags_free(diags);
    return rc;
}

static int read_line(struct reader *r, const char *line, int64_t len, int64_t number)
{
    struct diags *diags = diags_new(r->err);
    struct json_doc *doc = diags ? json_parse(line, len, "line", diags) : NULL;
    struct err found = ERR_INIT;
    int rc = doc ? read_object(r, json_root(doc), number) : -1;

    if (diags && !doc) {
        diags_first_to_err(diags, &found);
        err_set(r->err, found.code, "%s:%lld: %s", r->path, (long long)number,
                found.text);
    }
    json_doc_free(doc);
    diags_free(diags);
    return rc;
}

static int read_lines(struct reader *r, const char *text, int64_t len)
{
    const char *end = text + len;
    int64_t number = 0;

    for (const char *at = text; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        number++;
        if (!is_blank(at, stop - at) && read_line(r, at, stop - at, number))
            return -1;
        at = stop + 1;
    }
    return 0;
}

/* ---- files ---- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);

    return n >= k && !strcmp(s + n - k, end);
}

static bool is_json(const struct reader *r)
{
    if (r->corpus->format != TASK_FORMAT_AUTO)
        return r->corpus->format == TASK_FORMAT_JSONL;
    return ends_with(r->path, ".jsonl") || ends_with(r->path, ".json");
}

static int read_text(struct reader *r, const char *text, int64_t len)
{
    if (textfile_check(r->path, text, len, r->err))
        return -1;
    if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
        text += 3;
        len -= 3;
    }
    if (is_blank(text, len))
        return err_set(r->err, ERR_INPUT, "%s: there is no text in it", r->path);
    if (is_json(r))
        return text[strspn(text, " \t\r\n")] == '[' ? read_list(r, text, len)
                                                    : read_lines(r, text, len);
    return r->corpus->separator && strstr(text, r->corpus->separator)
               ? read_separated(r, text, len)
               : add_only(r, text, len);
}

static int read_file(struct reader *r, const char *dir, const char *name)
{
    char *path = path_join(dir, name, r->err), *text = NULL;
    int64_t len = 0;
    int rc = -1;

    r->path = path;
    r->n = 0;
    if (path && !file_read(&text, &len, path, TEXT_MAX, r->err))
        rc = read_text(r, text, len);
    free(text);
    free(path);
    return rc;
}

static const struct corpus_split *find_split(const struct corpus *c, const char *name)
{
    for (const struct corpus_split *s = c->splits; s->name; s++)
        if (!strcmp(s->name, name))
            return s;
    return NULL;
}

const char *const *corpus_files(const struct task *task, const char *split)
{
    const struct corpus_split *s = find_split(task->config, split);

    return s ? s->files : NULL;
}

int corpus_load(const struct task *task, const struct task_source *src,
                struct examples *out, struct err *err)
{
    const struct corpus *c = task->config;
    const struct corpus_split *s = find_split(c, src->split);
    struct reader r = {.corpus = c, .out = out, .err = err};

    if (!s)
        return err_set(err, ERR_MISSING, "%s has no split \"%s\"", task->name,
                       src->split);
    r.part = s->part;
    for (int i = 0; s->files[i]; i++)
        if (read_file(&r, src->dir ? src->dir : "", s->files[i]))
            return -1;
    if (!out->n)
        return err_set(err, ERR_INPUT, "%s, split %s: no documents", task->name,
                       src->split);
    return 0;
}
