/* Errors in a text, many at once, each with its place, line and caret: like a compiler.
 */
#include "json_tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/mem.h"
#include "retort/utf8.h"

#define DIAGS_KEPT 100 /* more are only counted */
#define LINE_SHOWN 100 /* characters of a source line */
#define LINE_BEFORE 60 /* of them before the caret, if the line is cut */

struct diag {
    char *name;
    char *message;
    char *line; /* source line as shown, or NULL */
    char *mark; /* what stands under it: blanks (or tabs), then ^~~~ */
    int64_t begin, row, column;
    int64_t order; /* of adding */
};

struct diags {
    struct diag *item;
    int64_t n, capacity;
    int64_t count;
    int64_t missing, io; /* of them: something is not there, the system refused */
    bool failed;         /* no memory for some of them */
};

struct diags *diags_new(struct err *err)
{
    return mem_new(1, sizeof(struct diags), err);
}

static void diag_release(struct diag *d)
{
    free(d->name);
    free(d->message);
    free(d->line);
    free(d->mark);
}

void diags_free(struct diags *diags)
{
    if (!diags)
        return;
    for (int64_t i = 0; i < diags->n; i++)
        diag_release(&diags->item[i]);
    free(diags->item);
    free(diags);
}

/* Counts as an error, and makes the whole ERR_MEMORY: the text itself may be fine. */
void diags_no_memory(struct diags *diags)
{
    diags->count++;
    diags->failed = true;
}

int64_t diags_count(const struct diags *diags)
{
    return diags->count;
}

void diags_cause(struct diags *diags, enum err_code code)
{
    diags->missing += code == ERR_MISSING;
    diags->io += code == ERR_IO;
    diags->failed = diags->failed || code == ERR_MEMORY;
}

enum err_code diags_code(const struct diags *diags)
{
    if (diags->count == 0)
        return ERR_NONE;
    if (diags->failed)
        return ERR_MEMORY;
    if (diags->missing + diags->io < diags->count)
        return ERR_INPUT;
    return diags->io ? ERR_IO : ERR_MISSING;
}

/* The line [from, to) and the marks under [begin, end), cut around `begin` if it is long.
 * `column` counts from 0. */
static void show_line(struct diag *d, const char *text, int64_t from, int64_t to,
                      int64_t begin, int64_t end, int64_t column)
{
    struct strbuf line = STRBUF_INIT, mark = STRBUF_INIT;
    int64_t total = 0, k = 0;

    for (int64_t i = from; i < to && total <= LINE_SHOWN; total++)
        i += utf8_step(text + i, to - i);
    int64_t first = total > LINE_SHOWN && column > LINE_BEFORE ? column - LINE_BEFORE : 0;
    if (first > 0) {
        strbuf_puts(&line, "...");
        strbuf_puts(&mark, "   ");
    }
    int64_t i = from;
    for (; i < to && k < first + LINE_SHOWN; k++) {
        int64_t len = utf8_step(text + i, to - i);
        if (k >= first) {
            utf8_show(&line, text + i, len);
            if (i < begin)
                strbuf_putc(&mark, text[i] == '\t' ? '\t' : ' ');
            else if (i == begin || i < end)
                strbuf_putc(&mark, i == begin ? '^' : '~');
        }
        i += len;
    }
    if (i < to)
        strbuf_puts(&line, "...");
    if (begin >= to)
        strbuf_putc(&mark, '^');
    d->line = strbuf_take(&line, NULL);
    d->mark = strbuf_take(&mark, NULL);
}

static void find_place(struct diag *d, const char *text, int64_t begin, int64_t end)
{
    int64_t from = 0, to = begin, column = 0;

    d->row = 1;
    for (int64_t i = 0; i < begin; i++) {
        if (text[i] == '\n') {
            d->row++;
            from = i + 1;
        }
    }
    while (text[to] && text[to] != '\n')
        to++;
    if (to > from && text[to - 1] == '\r' && to > begin)
        to--;
    for (int64_t i = from; i < begin; column++)
        i += utf8_step(text + i, begin - i);
    d->column = column + 1;
    show_line(d, text, from, to, begin, end, column);
}

void diags_vadd(struct diags *diags, const char *name, const char *text, int64_t begin,
                int64_t end, const char *fmt, va_list ap)
{
    struct diag d = {.begin = text ? begin : -1, .order = diags->count};
    void *items = diags->item;

    diags->count++;
    if (diags->n >= DIAGS_KEPT)
        return;
    d.name = mem_strdup(name, NULL);
    if (vasprintf(&d.message, fmt, ap) < 0)
        d.message = NULL;
    if (text)
        find_place(&d, text, begin, end);
    if (!d.name || !d.message || (text && (!d.line || !d.mark)) ||
        mem_grow(&items, diags->n, &diags->capacity, sizeof *diags->item, NULL)) {
        diag_release(&d);
        diags->failed = true;
        return;
    }
    diags->item = items;
    diags->item[diags->n++] = d;
}

void diags_add(struct diags *diags, const char *name, const char *text, int64_t begin,
               int64_t end, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diags_vadd(diags, name, text, begin, end, fmt, ap);
    va_end(ap);
}

static int by_place(const void *a, const void *b)
{
    const struct diag *x = *(const struct diag *const *)a,
                      *y = *(const struct diag *const *)b;
    int names = strcmp(x->name, y->name);
    if (names)
        return names;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* Names and messages quote what stands in the text, so they too are made harmless. */
static void diag_print(const struct diag *d, struct strbuf *out)
{
    utf8_show(out, d->name, (int64_t)strlen(d->name));
    if (d->line)
        strbuf_printf(out, ":%" PRId64 ":%" PRId64, d->row, d->column);
    strbuf_puts(out, ": error: ");
    utf8_show(out, d->message, (int64_t)strlen(d->message));
    strbuf_putc(out, '\n');
    if (d->line)
        strbuf_printf(out, "%5" PRId64 " | %s\n%5s | %s\n", d->row, d->line, "", d->mark);
}

void diags_print(const struct diags *diags, struct strbuf *out)
{
    const struct diag *sorted[DIAGS_KEPT];

    for (int64_t i = 0; i < diags->n; i++)
        sorted[i] = &diags->item[i];
    if (diags->n > 1)
        qsort(sorted, (size_t)diags->n, sizeof sorted[0], by_place);
    for (int64_t i = 0; i < diags->n; i++)
        diag_print(sorted[i], out);
    if (diags->failed)
        strbuf_puts(out, "out of memory\n");
    else if (diags->count > diags->n)
        strbuf_printf(out, "and %" PRId64 " more error%s\n", diags->count - diags->n,
                      diags->count - diags->n == 1 ? "" : "s");
}

int diags_to_err(const struct diags *diags, struct err *err)
{
    struct strbuf text = STRBUF_INIT;

    if (diags->count == 0)
        return 0;
    diags_print(diags, &text);
    if (text.len > 0 && text.text[text.len - 1] == '\n')
        text.text[--text.len] = '\0';
    err_set(err, diags_code(diags), "%s", strbuf_text(&text));
    strbuf_release(&text);
    return -1;
}

int diags_first_to_err(const struct diags *diags, struct err *err)
{
    const struct diag *first = diags->n > 0 ? &diags->item[0] : NULL;

    if (diags->count == 0)
        return 0;
    for (int64_t i = 1; i < diags->n; i++) {
        const struct diag *d = &diags->item[i];
        if (by_place(&d, &first) < 0)
            first = d;
    }
    if (diags->failed || !first)
        return err_set(err, ERR_MEMORY, "out of memory");
    if (!first->line)
        return err_set(err, ERR_INPUT, "%s: %s", first->name, first->message);
    return err_set(err, ERR_INPUT, "%s:%" PRId64 ":%" PRId64 ": %s", first->name,
                   first->row, first->column, first->message);
}
