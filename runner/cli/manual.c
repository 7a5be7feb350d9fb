/*
 * retort manual: the manual page, made from the same tables as --help. `make install`
 * writes it to retort.1.
 *
 * Everything but ASCII is written as \[uXXXX], so the page reads the same whatever the
 * encoding a formatter takes its input for.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "retort/method.h"
#include "retort/pins.h"
#include "verbs.h"

/* ---- roff ---------------------------------------------------------------------------
 */

/* The code point that begins at *s, moved on; a byte that begins none counts as itself.
 */
static unsigned code_point(const char **s)
{
    const unsigned char *p = (const unsigned char *)*s;
    unsigned n = *p < 0xc0 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
    unsigned c = n ? *p & (0x3fU >> n) : *p;

    for (p++; n && (*p & 0xc0) == 0x80; n--, p++)
        c = c << 6 | (*p & 0x3fU);
    *s = (const char *)p;
    return c;
}

/* Text that cannot be taken for a request or an escape. Hyphens become minus signs, which
 * can be copied into a shell. */
static void put(struct strbuf *out, const char *s)
{
    if (*s == '.' || *s == '\'')
        strbuf_puts(out, "\\&");
    while (*s) {
        unsigned c = code_point(&s);
        if (c == '\\')
            strbuf_puts(out, "\\e");
        else if (c == '-')
            strbuf_puts(out, "\\-");
        else if (c == '\'')
            strbuf_puts(out, "\\(aq");
        else if (c == '`')
            strbuf_puts(out, "\\(ga");
        else if (c == '^' || c == '~')
            strbuf_puts(out, c == '^' ? "\\(ha" : "\\(ti");
        else if (c < 0x80)
            strbuf_putc(out, (char)c);
        else
            strbuf_printf(out, "\\[u%04X]", c);
    }
}

static void put_line(struct strbuf *out, const char *s)
{
    put(out, s);
    strbuf_putc(out, '\n');
}

/* Filled text: lines of the source stay short, as mandoc's lint likes them. */
static void put_words(struct strbuf *out, const char *s)
{
    struct strbuf lines = STRBUF_INIT;

    help_wrap(&lines, s, 0, 0, 66);
    for (const char *at = strbuf_text(&lines); *at;) {
        size_t n = strcspn(at, "\n");
        char *line = mem_strndup(at, n, NULL);
        if (line)
            put_line(out, line);
        else
            out->failed = true;
        free(line);
        at += n + (at[n] == '\n');
    }
    out->failed = out->failed || lines.failed;
    strbuf_release(&lines);
}

static void section(struct strbuf *out, const char *title)
{
    strbuf_printf(out, ".SH %s\n", title);
}

/* Words in capitals stand for what one writes: italic; the rest is bold. */
static void put_usage(struct strbuf *out, const char *s)
{
    while (*s) {
        size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        size_t m = n > 0 ? n : strcspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        char part[256];
        if (m >= sizeof part)
            m = sizeof part - 1;
        memcpy(part, s, m);
        part[m] = '\0';
        strbuf_puts(out, n > 0 ? "\\fI" : "\\fB");
        put(out, part);
        s += m;
    }
    strbuf_puts(out, "\\fR\n");
}

static void entry(struct strbuf *out, const char *name, const char *help)
{
    strbuf_puts(out, ".TP\n");
    put_usage(out, name);
    put_words(out, help);
}

static void topics(struct strbuf *out, const char *title, const struct topic *t)
{
    section(out, title);
    for (; t->name; t++) {
        strbuf_puts(out, ".TP\n.B ");
        put_line(out, t->name);
        put_words(out, t->help);
    }
}

/* Paragraphs, and lines that stay as they are. */
static void put_about(struct strbuf *out, const char *text)
{
    bool example = false, fresh = true;

    while (*text) {
        size_t n = strcspn(text, "\n");
        char *line = mem_strndup(text, n, NULL);
        bool as_is = *text == ' ';
        if (!line) {
            out->failed = true;
            return;
        }
        if (as_is != example && n)
            strbuf_puts(out, as_is ? ".PP\n.EX\n" : ".EE\n");
        if (n && !as_is && fresh)
            strbuf_puts(out, ".PP\n");
        if (n) {
            example = as_is;
            if (as_is)
                put_line(out, line);
            else
                put_words(out, line);
        }
        fresh = n == 0;
        free(line);
        text += n + (text[n] == '\n');
    }
    if (example)
        strbuf_puts(out, ".EE\n");
}

/* ---- the page -----------------------------------------------------------------------
 */

/* SOURCE_DATE_EPOCH, else today: "2026-11-25". */
static void put_date(struct strbuf *out)
{
    const char *given = getenv("SOURCE_DATE_EPOCH");
    time_t t = given && *given ? (time_t)strtoll(given, NULL, 10) : time(NULL);
    struct tm tm;
    char text[32] = "";

    if (gmtime_r(&t, &tm))
        strftime(text, sizeof text, "%Y-%m-%d", &tm);
    strbuf_puts(out, text);
}

static void put_head(struct strbuf *out)
{
    strbuf_puts(out, ".TH RETORT 1 ");
    put_date(out);
    strbuf_printf(out, " \"Retort %s\" \"User Commands\"\n", build_info().version);
    section(out, "NAME");
    strbuf_puts(
        out,
        "retort \\- run distillation and pruning experiments on transformer models\n");
    section(out, "SYNOPSIS");
    put_usage(out, "retort VERB");
    strbuf_puts(out, "[\\fIoptions\\fR] [\\fIarguments\\fR]\n");
    section(out, "DESCRIPTION");
    put_words(
        out,
        "Retort reads an experiment spec, pins everything that decides the result, runs "
        "distillation and pruning methods on transformer models, evaluates them, "
        "records every metric and tensor in HDF5 files, and turns many runs into a "
        "table, a plot or a file for other programs.");
    strbuf_puts(out, ".PP\n");
    put_words(
        out,
        "Results go to standard output, messages and progress to standard error. "
        "Options and arguments of a verb may come in any order; after \"--\" all are "
        "arguments. A run is named by the first digits of its id (4 or more), by its "
        "label, or as \"latest\".");
}

static void put_verb(struct strbuf *out, const struct verb *v)
{
    struct strbuf text = STRBUF_INIT;
    const struct flag *f;

    strbuf_printf(out, ".SS %s\n", v->name);
    args_put_synopsis(&text, v, "");
    for (const char *s = strbuf_text(&text); *s; s += *s == '\n') {
        size_t n = strcspn(s, "\n");
        char *line = mem_strndup(s, n, NULL);
        if (line)
            put_usage(out, line);
        if (s[n] && s[n + 1])
            strbuf_puts(out, ".br\n");
        free(line);
        s += n;
    }
    strbuf_puts(out, ".PP\n");
    strbuf_printf(out, "%c", v->summary[0] & ~0x20);
    put(out, v->summary + 1);
    strbuf_puts(out, ".\n");
    if (v->about)
        put_about(out, v->about);
    for (const struct operand *o = v->operands; o && o->name; o++)
        entry(out, o->name, o->help);
    for (int64_t i = 0; (f = args_flag(v, i)); i++) {
        struct strbuf help = STRBUF_INIT;
        strbuf_clear(&text);
        args_put_flag(&text, f);
        strbuf_puts(&help, f->help);
        if (f->def)
            strbuf_printf(&help, " (default: %s)", f->def);
        entry(out, strbuf_text(&text), strbuf_text(&help));
        strbuf_release(&help);
    }
    strbuf_release(&text);
}

static void put_methods(struct strbuf *out)
{
    section(out, "METHODS");
    put_words(out, "What a stage of a spec can do. `retort list NAME` tells a method's "
                   "inputs, options "
                   "and defaults.");
    for (const struct method *const *m = method_list(); *m; m++) {
        struct strbuf help = STRBUF_INIT;
        strbuf_puts(&help, (*m)->summary);
        if ((*m)->paper)
            strbuf_printf(&help, " (%s)", (*m)->paper);
        strbuf_puts(out, ".TP\n.B ");
        put_line(out, (*m)->name);
        put_words(out, strbuf_text(&help));
        strbuf_release(&help);
    }
}

static int run(const void *given)
{
    struct strbuf out = STRBUF_INIT;

    (void)given;
    put_head(&out);
    section(&out, "VERBS");
    for (const struct verb *const *v = verbs; *v; v++)
        if ((*v)->group)
            put_verb(&out, *v);
    put_methods(&out);
    topics(&out, "EXIT STATUS", help_exit_codes);
    topics(&out, "ENVIRONMENT", help_environment);
    topics(&out, "FILES", help_files);
    section(&out, "SEE ALSO");
    strbuf_puts(&out, ".BR h5dump (1),\n.BR gnuplot (1)\n");
    return print_text(&out);
}

const struct verb verb_manual = {
    .name = "manual",
    .group = "Retort itself",
    .summary = "the manual page of all verbs, as roff",
    .about = "  retort manual | man -l -",
    .run = run,
};
