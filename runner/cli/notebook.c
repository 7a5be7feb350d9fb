/* A notebook and its script: see notebook.h. */
#include "notebook.h"

#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/json.h"

static const char template[] =
#include "notebook.inc"
    ;

#define MARK "# %%"

struct cell {
    bool markdown;
    char id[64], tags[64];
    const char *text; /* in the template, or in filled */
    size_t len;
    char *filled; /* of markdown: without "# ", the texts filled in */
};

/* ---- reading the template ---- */

static const char *next_line(const char *p)
{
    const char *end = strchr(p, '\n');
    return end ? end + 1 : p + strlen(p);
}

static bool holds(const struct notebook *nb, const char *what)
{
    for (const char *const *h = nb->holds; *h; h++)
        if (!strcmp(*h, what))
            return true;
    return false;
}

/* A line "# %% [markdown] id if=x tags=y". False if the cell is not wanted. */
static bool read_mark(struct cell *c, const struct notebook *nb, const char *line)
{
    const char *end = line + strcspn(line, "\n");
    bool wanted = true;

    for (const char *p = line + strlen(MARK); p < end;) {
        size_t n = strcspn(p, " \n");
        char word[64];
        if (n >= sizeof word)
            BUG("a word of the template is too long: %.80s", p);
        memcpy(word, p, n);
        word[n] = '\0';
        if (!strcmp(word, "[markdown]"))
            c->markdown = true;
        else if (!strncmp(word, "if=", 3))
            wanted = holds(nb, word + 3);
        else if (!strncmp(word, "tags=", 5))
            memcpy(c->tags, word + 5, n - 4);
        else if (n)
            memcpy(c->id, word, n + 1);
        p += n + (p + n < end);
    }
    return wanted;
}

/* Markdown takes a backslash before anything that is markup; a dollar begins a formula.
 */
static void put_plain(struct strbuf *out, const char *text)
{
    for (; *text; text++) {
        char c = *text;
        if ((unsigned char)c < ' ' || c == 127)
            c = ' ';
        if (strchr("\\`*_[]<>#|~$&!{}", c))
            strbuf_putc(out, '\\');
        strbuf_putc(out, c);
    }
}

/* The comment's text, with title and lines about filled in. */
static void put_markdown(struct strbuf *out, const struct cell *c,
                         const struct notebook *nb)
{
    for (const char *p = c->text; p < c->text + c->len; p++) {
        if ((p == c->text || p[-1] == '\n') && *p == '#')
            p += p[1] == ' ' ? 2 : 1;
        if (!strncmp(p, "@TITLE@", 7)) {
            put_plain(out, nb->title);
            p += 6;
        } else if (!strncmp(p, "@ABOUT@", 7)) {
            put_plain(out, nb->about);
            p += 6;
        } else {
            strbuf_putc(out, *p);
        }
    }
}

/* The next wanted cell at *at; false after the last. */
static bool next_cell(struct cell *c, const struct notebook *nb, const char **at,
                      struct err *err)
{
    const char *p = *at;

    while (*p) {
        *c = (struct cell){.len = 0};
        if (strncmp(p, MARK, strlen(MARK)) != 0) {
            p = next_line(p);
            continue;
        }
        bool wanted = read_mark(c, nb, p);
        c->text = p = next_line(p);
        while (*p && strncmp(p, MARK, strlen(MARK)) != 0)
            p = next_line(p);
        c->len = (size_t)(p - c->text);
        while (c->len && c->text[c->len - 1] == '\n')
            c->len--;
        if (!wanted)
            continue;
        *at = p;
        if (c->markdown) {
            struct strbuf sb = STRBUF_INIT;
            put_markdown(&sb, c, nb);
            c->text = c->filled = strbuf_take(&sb, err);
            c->len = c->filled ? strlen(c->filled) : 0;
        }
        return true;
    }
    return false;
}

/* ---- writing ---- */

/* nbformat keeps a text as a list of lines, each with its end. */
static void put_source(struct json_writer *w, const struct cell *c)
{
    const char *p = c->text, *end = c->text + c->len;

    json_member(w, "source");
    json_array(w);
    while (p < end) {
        struct strbuf line = STRBUF_INIT;
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = stop ? (size_t)(stop + 1 - p) : (size_t)(end - p);
        json_put_string_n(&line, p, n);
        json_raw(w, strbuf_text(&line));
        w->out->failed |= line.failed;
        strbuf_release(&line);
        p += n;
    }
    json_array_end(w);
}

static void put_json_cell(struct json_writer *w, const struct cell *c)
{
    json_object(w);
    json_member(w, "cell_type");
    json_str(w, c->markdown ? "markdown" : "code");
    if (!c->markdown) {
        json_member(w, "execution_count");
        json_raw(w, "null");
    }
    json_member(w, "id");
    json_str(w, c->id);
    json_member(w, "metadata");
    json_object(w);
    if (c->tags[0]) {
        json_member(w, "tags");
        json_array(w);
        json_str(w, c->tags);
        json_array_end(w);
    }
    json_object_end(w);
    if (!c->markdown) {
        json_member(w, "outputs");
        json_array(w);
        json_array_end(w);
    }
    put_source(w, c);
    json_object_end(w);
}

static void put_json_tail(struct json_writer *w)
{
    json_member(w, "metadata");
    json_raw(w, "{\"kernelspec\":{\"display_name\":\"Python 3\",\"language\":\"python\","
                "\"name\":\"python3\"},\"language_info\":{\"name\":\"python\"}}");
    json_member(w, "nbformat");
    json_i64(w, 4);
    json_member(w, "nbformat_minor");
    json_i64(w, 5);
}

static void put_script_cell(struct strbuf *out, const struct cell *c)
{
    strbuf_puts(out, out->len ? "\n" MARK : MARK);
    if (c->markdown)
        strbuf_puts(out, " [markdown]");
    if (c->tags[0])
        strbuf_printf(out, " tags=[\"%s\"]", c->tags);
    strbuf_putc(out, '\n');
    for (const char *p = c->text, *end = p + c->len; p < end; p++) {
        if (c->markdown && (p == c->text || p[-1] == '\n'))
            strbuf_puts(out, *p == '\n' ? "#" : "# ");
        strbuf_putc(out, *p);
    }
    strbuf_putc(out, '\n');
}

static int write_file(const char *dir, const char *name, const struct strbuf *sb,
                      struct err *err)
{
    char *path = strbuf_failed(sb, err) ? NULL : path_join(dir, name, err);
    int rc = path ? file_write(path, strbuf_text(sb), (int64_t)sb->len, err) : -1;

    free(path);
    return rc;
}

int notebook_write(const struct notebook *nb, const char *dir, struct err *err)
{
    struct strbuf book = STRBUF_INIT, script = STRBUF_INIT;
    const char *at = template;
    struct json_writer w;
    struct cell c;
    int rc;

    json_begin(&w, &book, true);
    json_object(&w);
    json_member(&w, "cells");
    json_array(&w);
    while (next_cell(&c, nb, &at, err)) {
        put_json_cell(&w, &c);
        put_script_cell(&script, &c);
        free(c.filled);
    }
    json_array_end(&w);
    put_json_tail(&w);
    json_object_end(&w);
    strbuf_putc(&book, '\n');
    rc = err_is_set(err) || write_file(dir, "notebook.ipynb", &book, err) ||
                 write_file(dir, "notebook.py", &script, err)
             ? -1
             : 0;
    strbuf_release(&book);
    strbuf_release(&script);
    return rc;
}
