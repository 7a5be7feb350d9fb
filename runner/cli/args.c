/* Command lines from tables: see args.h. */
#include "args.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "retort/mem.h"

enum { NAMES_MAX = 64 };

#define AT(field) offsetof(struct common, field)
static const struct {
    unsigned bit;
    struct flag flag;
} common_flags[] = {
    {COMMON_STORE,
     {.name = "store",
      .type = OPT_STRING,
      .value = "DIR",
      .help = "where runs are kept; else RETORT_STORE, else ./runs",
      .offset = AT(store)}},
    {COMMON_JOBS,
     {.name = "jobs",
      .letter = 'j',
      .type = OPT_INT,
      .value = "N",
      .min = 1,
      .max = 1024,
      .help = "jobs at the same time, each a process of its own",
      .offset = AT(jobs)}},
    {COMMON_THREADS,
     {.name = "threads",
      .type = OPT_INT,
      .value = "N",
      .min = 1,
      .max = 1024,
      .help = "threads of each job; results do not depend on them",
      .offset = AT(threads)}},
    {COMMON_JSON,
     {.name = "json", .type = OPT_BOOL, .help = "JSON for programs", .offset = AT(json)}},
    {COMMON_QUIET,
     {.name = "quiet",
      .letter = 'q',
      .type = OPT_BOOL,
      .help = "no progress and no remarks, errors only",
      .offset = AT(quiet)}},
    {COMMON_PLUGIN,
     {.name = "plugin",
      .type = OPT_STRINGS,
      .value = "FILE.so",
      .help = "methods of a shared object, beside those of RETORT_PLUGIN (may be given "
              "again)",
      .offset = AT(plugins)}},
    {COMMON_VERBOSE,
     {.name = "verbose",
      .letter = 'v',
      .type = OPT_BOOL,
      .help = "say more on the way",
      .offset = AT(verbose)}},
};
static const struct flag help_flag = {
    .name = "help", .letter = 'h', .type = OPT_BOOL, .help = "this text"};
#undef AT

const struct flag *args_flag(const struct verb *v, int64_t i)
{
    for (const struct flag *f = v->flags; f && f->name; f++)
        if (i-- == 0)
            return f;
    for (size_t k = 0; k < sizeof common_flags / sizeof *common_flags; k++)
        if ((v->common & common_flags[k].bit) && i-- == 0)
            return &common_flags[k].flag;
    return i == 0 ? &help_flag : NULL;
}

static const struct flag *find_name(const struct verb *v, const char *name, size_t n)
{
    const struct flag *f;

    for (int64_t i = 0; (f = args_flag(v, i)); i++)
        if (strlen(f->name) == n && !memcmp(f->name, name, n))
            return f;
    return NULL;
}

static const struct flag *find_letter(const struct verb *v, char letter)
{
    const struct flag *f;

    for (int64_t i = 0; (f = args_flag(v, i)); i++)
        if (f->letter && f->letter == letter)
            return f;
    return NULL;
}

/* ---- values ---- */

struct parse {
    const struct verb *v;
    char *args;              /* the struct */
    struct string_list rest; /* operands */
    struct err *err;
};

static const char *number_word(const struct flag *f)
{
    return f->type == OPT_INT ? "a whole number" : "a number";
}

static int bad_number(struct parse *p, const struct flag *f, const char *text)
{
    if (!(f->min < f->max))
        return err_set(p->err, ERR_INPUT, "--%s is \"%s\"; use %s", f->name, text,
                       number_word(f));
    if (isinf(f->max))
        return err_set(p->err, ERR_INPUT, "--%s is \"%s\"; use %s of at least %g",
                       f->name, text, number_word(f), f->min);
    return err_set(p->err, ERR_INPUT, "--%s is \"%s\"; use %s from %g to %g", f->name,
                   text, number_word(f), f->min, f->max);
}

static int read_number(struct parse *p, const struct flag *f, const char *text, void *at)
{
    double x = 0;
    bool ok = text_double(&x, text) == 0;

    if (ok && f->min < f->max)
        ok = x >= f->min && x <= f->max;
    if (ok && f->type == OPT_INT)
        ok = floor(x) == x && fabs(x) <= 9007199254740992.0;
    if (!ok)
        return bad_number(p, f, text);
    if (f->type == OPT_INT)
        *(int64_t *)at = (int64_t)x;
    else
        *(double *)at = x;
    return 0;
}

/* "md, latex or csv" */
static void put_choices(struct strbuf *out, const char *const *choices)
{
    for (int i = 0; choices[i]; i++)
        strbuf_printf(out, "%s%s", !i ? "" : choices[i + 1] ? ", " : " or ", choices[i]);
}

/* The index of the word among the choices, or -1 with a message about `what`. */
static int read_choice(struct parse *p, const char *what, const char *const *choices,
                       const char *text)
{
    struct strbuf all = STRBUF_INIT;
    const char *near = nearest_name(text, choices);

    for (int i = 0; choices[i]; i++)
        if (!strcmp(choices[i], text))
            return i;
    put_choices(&all, choices);
    if (near)
        err_set(p->err, ERR_INPUT, "%s is \"%s\"; did you mean \"%s\"? It is one of %s",
                what, text, near, strbuf_text(&all));
    else
        err_set(p->err, ERR_INPUT, "%s is \"%s\"; use %s", what, text, strbuf_text(&all));
    strbuf_release(&all);
    return -1;
}

static int read_enum(struct parse *p, const struct flag *f, const char *text, int *at)
{
    char what[64] = "--";
    int i;

    strncat(what, f->name, sizeof what - 3);
    i = read_choice(p, what, f->choices, text);
    if (i < 0)
        return -1;
    *at = i;
    return 0;
}

static int list_add(struct string_list *list, const char *text, struct err *err)
{
    const char **v = mem_resize(list->v, list->n + 1, sizeof *v, err);

    if (!v)
        return -1;
    list->v = v;
    list->v[list->n++] = text;
    return 0;
}

static int set_value(struct parse *p, const struct flag *f, const char *text)
{
    void *at = p->args + f->offset;

    switch (f->type) {
    case OPT_BOOL:
        *(bool *)at = true;
        return 0;
    case OPT_INT:
    case OPT_REAL:
        return read_number(p, f, text, at);
    case OPT_STRING:
        if (!*text)
            return err_set(p->err, ERR_INPUT, "--%s is empty; give a %s", f->name,
                           f->value);
        *(const char **)at = text;
        return 0;
    case OPT_STRINGS:
        return list_add(at, text, p->err);
    case OPT_ENUM:
        return read_enum(p, f, text, at);
    case OPT_INTS:
        break;
    }
    BUG("option --%s has type %d, which no command line has", f->name, (int)f->type);
}

static int set_defaults(struct parse *p)
{
    const struct flag *f;

    for (int64_t i = 0; (f = args_flag(p->v, i)); i++)
        if (f->def && set_value(p, f, f->def))
            BUG("default of --%s: %s", f->name, p->err->text);
    return 0;
}

/* ---- options ---- */

static int unknown_name(struct parse *p, const char *name, size_t n)
{
    const char *names[NAMES_MAX + 1] = {NULL}, *near;
    const struct flag *f;
    char *given = mem_strndup(name, n, p->err);

    for (int64_t i = 0; i < NAMES_MAX && (f = args_flag(p->v, i)); i++)
        names[i] = f->name;
    near = given ? nearest_name(given, names) : NULL;
    if (near)
        err_set(p->err, ERR_INPUT, "unknown option --%s; did you mean --%s?", given,
                near);
    else
        err_set(p->err, ERR_INPUT, "unknown option --%s", given ? given : "");
    free(given);
    return -1;
}

/* Does the next argument look like another option rather than a value? "-" and "-3" do
 * not. */
static bool is_option(const char *text)
{
    return text[0] == '-' && text[1] && !strchr("0123456789.", text[1]);
}

/* The value that follows, or NULL with a message. */
static const char *next_value(struct parse *p, const struct flag *f, int argc,
                              char **argv, int *i)
{
    const char *what = f->value ? f->value : "value";

    if (*i + 1 >= argc)
        err_set(p->err, ERR_INPUT, "--%s needs a %s", f->name, what);
    else if (is_option(argv[*i + 1]))
        err_set(p->err, ERR_INPUT,
                "--%s needs a %s, but \"%s\" follows; if that is it, write --%s=%s",
                f->name, what, argv[*i + 1], f->name, argv[*i + 1]);
    else
        return argv[++*i];
    return NULL;
}

/* 0, 1 for --help, -1. */
static int long_option(struct parse *p, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2, *eq = strchr(name, '='), *value = eq ? eq + 1 : NULL;
    size_t n = eq ? (size_t)(eq - name) : strlen(name);
    const struct flag *f = find_name(p->v, name, n);

    if (!f)
        return unknown_name(p, name, n);
    if (f->type == OPT_BOOL && value)
        return err_set(p->err, ERR_INPUT, "--%s takes no value, it has \"%s\"", f->name,
                       value);
    if (f == &help_flag)
        return 1;
    if (f->type != OPT_BOOL && !value && !(value = next_value(p, f, argc, argv, i)))
        return -1;
    return set_value(p, f, value);
}

/* "-qv", "-j4", "-j 4". */
static int short_options(struct parse *p, int argc, char **argv, int *i)
{
    for (const char *s = argv[*i] + 1; *s; s++) {
        const struct flag *f = find_letter(p->v, *s);
        const char *value;
        if (!f && s == argv[*i] + 1 && find_name(p->v, s, strlen(s)))
            return err_set(p->err, ERR_INPUT, "unknown option -%s; did you mean --%s?", s,
                           s);
        if (!f)
            return err_set(p->err, ERR_INPUT, "unknown option -%c", *s);
        if (f == &help_flag)
            return 1;
        if (f->type == OPT_BOOL) {
            set_value(p, f, NULL);
            continue;
        }
        value = s[1] ? s + 1 + (s[1] == '=') : next_value(p, f, argc, argv, i);
        return value ? set_value(p, f, value) : -1;
    }
    return 0;
}

/* ---- operands ---- */

static int64_t needed(const struct operand *o)
{
    int64_t n = 0;

    for (; o && o->name; o++)
        n += !o->optional;
    return n;
}

static int check_word(struct parse *p, const struct operand *o, const char *text)
{
    return o->choices && read_choice(p, o->name, o->choices, text) < 0 ? -1 : 0;
}

static int give_operands(struct parse *p)
{
    const struct operand *o = p->v->operands;
    int64_t at = 0, extra = p->rest.n - needed(o);

    for (; o && o->name; o++) {
        int64_t n = !o->optional, more = o->many ? extra : o->optional && extra > 0;
        if (at + n > p->rest.n)
            return err_set(p->err, ERR_INPUT, "%s is missing: %s", o->name, o->help);
        if (more > 0) {
            n += more;
            extra -= more;
        }
        for (int64_t i = 0; i < n; i++) {
            const char *text = p->rest.v[at++];
            void *to = p->args + o->offset;
            if (check_word(p, o, text))
                return -1;
            if (!o->many)
                *(const char **)to = text;
            else if (list_add(to, text, p->err))
                return -1;
        }
    }
    if (at < p->rest.n)
        return err_set(p->err, ERR_INPUT, "unexpected \"%s\"", p->rest.v[at]);
    return 0;
}

/* ---- the whole ---- */

static int read_all(struct parse *p, int argc, char **argv)
{
    bool options = true;

    for (int i = 1; i < argc; i++) {
        int rc = 0;
        if (options && !strcmp(argv[i], "--"))
            options = false;
        else if (!options || argv[i][0] != '-' || !argv[i][1])
            rc = list_add(&p->rest, argv[i], p->err);
        else if (argv[i][1] == '-')
            rc = long_option(p, argc, argv, &i);
        else
            rc = short_options(p, argc, argv, &i);
        if (rc)
            return rc;
    }
    return give_operands(p);
}

static const char *store_place(const char *given)
{
    const char *dir = given ? given : getenv("RETORT_STORE");

    return dir && dir[0] ? dir : "runs";
}

int args_parse(void **out, const struct verb *v, int argc, char **argv, struct err *err)
{
    struct parse p = {v, NULL, {0, NULL}, err};
    struct common *common;
    int rc = -1;

    *out = NULL;
    p.args = mem_new(1, v->size > sizeof *common ? v->size : sizeof *common, err);
    if (!p.args || set_defaults(&p))
        goto done;
    rc = read_all(&p, argc, argv);
    if (rc)
        goto done;
    common = (struct common *)(void *)p.args;
    common->store = store_place(common->store);
    *out = p.args;
    p.args = NULL;
done:
    free(p.rest.v);
    args_free(p.args, v);
    return rc;
}

void args_free(void *args, const struct verb *v)
{
    const struct flag *f;

    if (!args)
        return;
    for (int64_t i = 0; (f = args_flag(v, i)); i++)
        if (f->type == OPT_STRINGS)
            free(((struct string_list *)(void *)((char *)args + f->offset))->v);
    for (const struct operand *o = v->operands; o && o->name; o++)
        if (o->many)
            free(((struct string_list *)(void *)((char *)args + o->offset))->v);
    free(args);
}

/* ---- as text ---- */

static void put_value(struct strbuf *out, const struct flag *f)
{
    if (f->type == OPT_BOOL)
        return;
    strbuf_putc(out, ' ');
    if (f->value) {
        strbuf_puts(out, f->value);
        return;
    }
    for (int i = 0; f->choices[i]; i++)
        strbuf_printf(out, "%s%s", i ? "|" : "", f->choices[i]);
}

void args_put_flag(struct strbuf *out, const struct flag *f)
{
    if (f->letter)
        strbuf_printf(out, "-%c, ", f->letter);
    strbuf_printf(out, "--%s", f->name);
    put_value(out, f);
}

void args_put_operand(struct strbuf *out, const struct operand *o)
{
    const char *dots = o->many ? "..." : "";

    strbuf_puts(out, o->optional ? "[" : "");
    if (o->choices)
        for (int i = 0; o->choices[i]; i++)
            strbuf_printf(out, "%s%s", i ? "|" : "", o->choices[i]);
    else
        strbuf_puts(out, o->name);
    strbuf_printf(out, "%s%s", dots, o->optional ? "]" : "");
}

static void put_lines(struct strbuf *out, const char *name, const char *lines,
                      const char *indent)
{
    while (*lines) {
        size_t n = strcspn(lines, "\n");
        strbuf_printf(out, "%sretort %s %.*s\n", indent, name, (int)n, lines);
        lines += n + (lines[n] == '\n');
    }
}

void args_put_synopsis(struct strbuf *out, const struct verb *v, const char *indent)
{
    if (v->synopsis) {
        put_lines(out, v->name, v->synopsis, indent);
        return;
    }
    strbuf_printf(out, "%sretort %s", indent, v->name);
    if (v->flags || v->common)
        strbuf_puts(out, " [options]");
    for (const struct operand *o = v->operands; o && o->name; o++) {
        strbuf_putc(out, ' ');
        args_put_operand(out, o);
    }
    strbuf_putc(out, '\n');
}
