/* retort --help, retort VERB --help, retort help VERB: the tables as text. */
#include <string.h>

#include "verbs.h"

enum { WIDTH = 80, WIDTH_MAX = 100, NAME_COLUMN = 26 };

const struct topic help_environment[] = {
    {"RETORT_STORE", "where runs are kept, if --store does not say it"},
    {"RETORT_DATA",
     "folder of the tasks' data (GLUE in its official layout below it); else "
     "$XDG_DATA_HOME/retort/data, else ~/.local/share/retort/data"},
    {"RETORT_PLUGIN", "shared objects with methods, a colon between; as --plugin"},
    {"RETORT_MIRROR", "where `retort data get` finds its files, at MIRROR/host/path"},
    {"HF_HUB_CACHE, HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE",
     "for models named hf:org/name: where they are kept, where they come from, with "
     "which "
     "token, and whether the network may be asked; as in huggingface_hub"},
    {"RETORT_KERNELS",
     "kernels to use: v2, v3, v4 (levels of x86-64) or ref; else the best "
     "that the processor has"},
    {"NO_COLOR", "if it is set and not empty, no colours"},
    {"COLUMNS", "width of what is printed, if it is not the terminal's"},
    {"SOURCE_DATE_EPOCH",
     "the time that runs record, so that they can be made again byte for "
     "byte"},
    {NULL, NULL},
};

const struct topic help_files[] = {
    {"runs/", "the store: one HDF5 file for each run that is done (docs/store.md)"},
    {"SPEC.json", "an experiment (docs/spec.md)"},
    {"TABLE.json", "the declaration of a table and its plot"},
    {NULL, NULL},
};

const struct topic help_exit_codes[] = {
    {"0", "done"},
    {"1", "the answer is no (runs differ, a cell is missing), or some job failed"},
    {"2", "wrong usage, spec or data"},
    {"3", "something named is not there"},
    {"4", "the system, a disk or a library refused"},
    {"5", "another process holds it"},
    {"75", "stopped with its state saved: run it again"},
    {"130, 143", "ended by a signal"},
    {NULL, NULL},
};

static int width(void)
{
    int w = screen_width();

    return w == 0 ? WIDTH : w > WIDTH_MAX ? WIDTH_MAX : w;
}

static void blanks(struct strbuf *out, int n)
{
    for (int i = 0; i < n; i++)
        strbuf_putc(out, ' ');
}

void help_wrap(struct strbuf *out, const char *text, int at, int indent, int columns)
{
    bool first = true;

    while (*(text += strspn(text, " \n"))) {
        size_t n = strcspn(text, " \n");
        char word[256];
        if (n >= sizeof word)
            n = sizeof word - 1;
        memcpy(word, text, n);
        word[n] = '\0';
        if (!first && at + 1 + text_width(word) > columns) {
            strbuf_putc(out, '\n');
            blanks(out, at = indent);
            first = true;
        }
        if (!first)
            strbuf_putc(out, ' ');
        strbuf_puts(out, word);
        at += text_width(word) + !first;
        first = false;
        text += n;
    }
    strbuf_putc(out, '\n');
}

/* "  name       what it is", wrapped in its column. */
static void put_entry(struct strbuf *out, const char *name, const char *help, int column)
{
    int at = 2 + text_width(name);

    strbuf_printf(out, "  %s", name);
    if (at + 2 > column) {
        strbuf_putc(out, '\n');
        at = 0;
    }
    blanks(out, column - at);
    help_wrap(out, help, column, column, width());
}

static void put_flag(struct strbuf *out, const struct flag *f)
{
    struct strbuf name = STRBUF_INIT, help = STRBUF_INIT;

    strbuf_puts(&name, f->letter ? "" : "    "); /* names stand below each other */
    args_put_flag(&name, f);
    strbuf_puts(&help, f->help);
    if (f->def)
        strbuf_printf(&help, " (%s)", f->def);
    put_entry(out, strbuf_text(&name), strbuf_text(&help), NAME_COLUMN);
    strbuf_release(&help);
    strbuf_release(&name);
}

static void put_paragraphs(struct strbuf *out, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        const char *end = strstr(text, "\n\n");
        if (*text == ' ') { /* as it is: an example */
            strbuf_add(out, text, n);
            strbuf_putc(out, '\n');
            text += n + (text[n] == '\n');
        } else if (*text == '\n') {
            strbuf_putc(out, '\n');
            text++;
        } else {
            struct strbuf one = STRBUF_INIT;
            n = end ? (size_t)(end - text) : strlen(text);
            strbuf_add(&one, text, n);
            help_wrap(out, strbuf_text(&one), 0, 0, width());
            strbuf_release(&one);
            text += n + (text[n] == '\n');
        }
    }
}

void help_verb(struct strbuf *out, const struct verb *v)
{
    const struct flag *f;

    strbuf_printf(out, "retort %s: %s\n\n", v->name, v->summary);
    args_put_synopsis(out, v, "  ");
    if (v->about) {
        strbuf_putc(out, '\n');
        put_paragraphs(out, v->about);
    }
    if (v->operands)
        strbuf_puts(out, "\nArguments\n");
    for (const struct operand *o = v->operands; o && o->name; o++)
        put_entry(out, o->name, o->help, NAME_COLUMN);
    strbuf_puts(out, "\nOptions\n");
    for (int64_t i = 0; (f = args_flag(v, i)); i++)
        put_flag(out, f);
}

void help_program(struct strbuf *out)
{
    const char *group = "";

    strbuf_puts(
        out, "Retort runs distillation and pruning experiments on transformer models.\n\n"
             "  retort VERB [options] [arguments]\n");
    for (const struct verb *const *v = verbs; *v; v++) {
        if (!(*v)->group)
            continue;
        if (strcmp(group, (*v)->group) != 0)
            strbuf_printf(out, "\n%s\n", group = (*v)->group);
        put_entry(out, (*v)->name, (*v)->summary, 13);
    }
    strbuf_puts(out, "\nEnvironment\n");
    for (const struct topic *t = help_environment; t->name; t++)
        put_entry(out, t->name, t->help, 21);
    strbuf_puts(out, "\nretort VERB --help tells all of one verb.\n");
}

/* ---- the verb ---- */

struct args {
    struct common common;
    const char *verb;
};

static int run(const void *given)
{
    const struct args *args = given;
    const struct verb *v = args->verb ? verb_find(args->verb) : NULL;
    struct strbuf out = STRBUF_INIT;
    struct err err = ERR_INIT;

    if (args->verb && !v) {
        const char *near = nearest_name(args->verb, verb_names());
        err_set(&err, ERR_MISSING,
                "no verb is named \"%s\"%s%s%s; `retort help` lists them", args->verb,
                near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
        return tell_error(&err);
    }
    if (v)
        help_verb(&out, v);
    else
        help_program(&out);
    return print_text(&out);
}

static const struct operand operands[] = {
    {.name = "VERB",
     .optional = true,
     .help = "the verb to tell about",
     .offset = offsetof(struct args, verb)},
    OPERAND_END,
};

const struct verb verb_help = {
    .name = "help",
    .group = "Retort itself",
    .summary = "this list, or all of one verb",
    .operands = operands,
    .size = sizeof(struct args),
    .run = run,
};
