/* retort list: methods, tasks and metrics, from their tables. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "grid.h"
#include "retort/json.h"
#include "retort/method.h"
#include "retort/spec.h"
#include "retort/task.h"
#include "verbs.h"

struct args {
    struct common common;
    const char *what, *name;
};

/* ---- words --------------------------------------------------------------------------
 */

static const char *const kind_names[] = {"model", "task",     "scores", "eval",
                                         "stats", "features", "choice"};
enum { KINDS = sizeof kind_names / sizeof *kind_names };

static void put_kinds(struct strbuf *out, unsigned kinds)
{
    bool first = true;

    for (unsigned k = 0; k < KINDS; k++)
        if (kinds & (1U << k)) {
            strbuf_printf(out, "%s%s", first ? "" : ", ", kind_names[k]);
            first = false;
        }
}

static const char *task_kind_name(enum task_kind kind)
{
    static const char *const names[] = {"classes", "regression", "span",
                                        "choice",  "masked",     "text"};
    return names[kind];
}

static const char *type_name(enum option_type type)
{
    static const char *const names[] = {"whole number", "number", "true or false",
                                        "text",         "one of", "whole numbers",
                                        "texts"};
    return names[type];
}

static bool bounded(const struct option *o)
{
    return o->min < o->max || o->min > 0 || o->min < 0;
}

/* Are the task's files there? "generated" if it needs none. */
static const char *data_state(const struct task *t)
{
    struct err err = ERR_INIT;
    char *dir = NULL;
    const char *word;

    if (!t->files)
        return "generated";
    word = task_find_dir(&dir, t, task_data_dir(), &err) ? "not found" : "found";
    free(dir);
    return word;
}

static void put_metrics(struct strbuf *out, const struct task *t)
{
    for (int i = 0; t->metrics && t->metrics[i]; i++)
        strbuf_printf(out, "%s%s", i ? ", " : "", t->metrics[i]->name);
}

static void put_words(struct strbuf *out, const char *const *words)
{
    for (int i = 0; words && words[i]; i++)
        strbuf_printf(out, "%s%s", i ? ", " : "", words[i]);
}

/* ---- lists --------------------------------------------------------------------------
 */

static int print_methods(struct strbuf *out, struct err *err)
{
    static const struct grid_column col[] = {{.title = "method"},
                                             {.title = "what it does", .elastic = true},
                                             {.title = "paper", .rank = 2}};
    struct grid *g = grid_new(col, 3, err);
    int rc = -1;

    for (const struct method *const *m = method_list(); g && *m; m++) {
        grid_put(g, (*m)->name);
        grid_put(g, (*m)->summary);
        grid_put(g, (*m)->paper);
    }
    if (g)
        rc = grid_print(g, out, screen_width(), err);
    grid_free(g);
    return rc;
}

static int print_tasks(struct strbuf *out, struct err *err)
{
    static const struct grid_column col[] = {
        {.title = "task"},
        {.title = "kind", .rank = 3},
        {.title = "data"},
        {.title = "metrics", .rank = 2},
        {.title = "what it asks", .elastic = true, .wraps = true}};
    struct grid *g = grid_new(col, 5, err);
    int rc = -1;

    for (const struct task *const *t = task_list(); g && *t; t++) {
        struct strbuf metrics = STRBUF_INIT;
        put_metrics(&metrics, *t);
        grid_put(g, (*t)->name);
        grid_put(g, task_kind_name((*t)->kind));
        grid_put(g, data_state(*t));
        grid_put(g, strbuf_text(&metrics));
        grid_put(g, (*t)->summary);
        strbuf_release(&metrics);
    }
    if (g)
        rc = grid_print(g, out, screen_width(), err);
    grid_free(g);
    return rc;
}

static int print_metrics(struct strbuf *out, struct err *err)
{
    static const struct grid_column col[] = {
        {.title = "metric"},
        {.title = "better"},
        {.title = "what it is", .elastic = true, .wraps = true}};
    struct grid *g = grid_new(col, 3, err);
    int rc = -1;

    for (const struct metric *const *m = metric_list(); g && *m; m++) {
        grid_put(g, (*m)->name);
        grid_put(g, (*m)->larger_is_better ? "larger" : "smaller");
        grid_put(g, (*m)->summary);
    }
    if (g)
        rc = grid_print(g, out, screen_width(), err);
    grid_free(g);
    return rc;
}

/* ---- one of them --------------------------------------------------------------------
 */

static void put_range(struct strbuf *out, const struct option *o)
{
    if (o->type == OPT_ENUM) {
        for (int i = 0; o->choices[i]; i++)
            strbuf_printf(out, "%s%s", i ? ", " : "", o->choices[i]);
        return;
    }
    if (!bounded(o))
        strbuf_puts(out, type_name(o->type));
    else if (isinf(o->max) || o->max >= 1e9)
        strbuf_printf(out, "from %g", o->min);
    else if (isinf(o->min))
        strbuf_printf(out, "up to %g", o->max);
    else
        strbuf_printf(out, "%g to %g", o->min, o->max);
    if (o->unit)
        strbuf_printf(out, " %s", o->unit);
}

static const char *code_default(const struct method *m, const char *name)
{
    for (const struct option_default *d = m->code; d && d->option; d++)
        if (!strcmp(d->option, name))
            return d->def;
    return NULL;
}

/* With a column of the code's defaults, where the method has another reading. */
static int put_options(struct strbuf *out, const struct method *m, struct err *err)
{
    struct grid_column col[4] = {{.title = "  option"}, {.title = "default"}};
    int n = 2, rc = -1;
    struct grid *g;

    if (m->code)
        col[n++] = (struct grid_column){.title = "as code"};
    col[n++] = (struct grid_column){.title = "meaning", .elastic = true, .wraps = true};
    g = grid_new(col, n, err);
    for (const struct option *o = m->options; g && o && o->name; o++) {
        struct strbuf text = STRBUF_INIT;
        strbuf_printf(&text, "%s (", o->help);
        put_range(&text, o);
        strbuf_putc(&text, ')');
        grid_printf(g, "  %s", o->name);
        grid_put(g, o->def ? o->def : "required");
        if (m->code)
            grid_put(g, code_default(m, o->name));
        grid_put(g, strbuf_text(&text));
        strbuf_release(&text);
    }
    if (g)
        rc = grid_print(g, out, screen_width(), err);
    grid_free(g);
    return rc;
}

static int put_inputs(struct strbuf *out, const struct method *m, struct err *err)
{
    static const struct grid_column col[] = {
        {.title = "  input"},
        {.title = "takes"},
        {.title = "needed"},
        {.title = "meaning", .elastic = true, .wraps = true}};
    struct grid *g = grid_new(col, 4, err);
    int rc = -1;

    for (const struct input *in = m->inputs; g && in && in->name; in++) {
        struct strbuf kinds = STRBUF_INIT;
        put_kinds(&kinds, in->kinds);
        if (in->many)
            strbuf_puts(&kinds, " (several)");
        grid_printf(g, "  %s", in->name);
        grid_put(g, strbuf_text(&kinds));
        grid_put(g, in->required ? "yes" : "no");
        grid_put(g, in->help);
        strbuf_release(&kinds);
    }
    if (g)
        rc = grid_print(g, out, screen_width(), err);
    grid_free(g);
    return rc;
}

static int print_method(struct strbuf *out, const struct method *m, struct err *err)
{
    struct strbuf kinds = STRBUF_INIT;

    strbuf_printf(out, "%s: %s\n", m->name, m->summary);
    if (m->paper)
        strbuf_printf(out, "Paper: %s\n", m->paper);
    put_kinds(&kinds, m->outputs);
    strbuf_printf(out, "Gives: %s. %s seed. Numeric version %lld.\n\n",
                  strbuf_text(&kinds), m->uses_seed ? "Uses the" : "Needs no",
                  (long long)m->version);
    strbuf_release(&kinds);
    if (put_inputs(out, m, err))
        return -1;
    strbuf_putc(out, '\n');
    return put_options(out, m, err);
}

static void print_task(struct strbuf *out, const struct task *t)
{
    struct strbuf words = STRBUF_INIT;

    strbuf_printf(out, "%s: %s\n%-12s %s", t->name, t->summary, "kind",
                  task_kind_name(t->kind));
    if (t->labels > 1)
        strbuf_printf(out, ", %lld labels", (long long)t->labels);
    put_words(&words, t->label_names);
    if (words.len)
        strbuf_printf(out, ": %s", strbuf_text(&words));
    strbuf_clear(&words);
    put_metrics(&words, t);
    strbuf_printf(out, "\n%-12s %s\n", "metrics", strbuf_text(&words));
    strbuf_clear(&words);
    put_words(&words, t->splits);
    strbuf_printf(out, "%-12s %s\n%-12s %s\n", "splits", strbuf_text(&words), "data",
                  data_state(t));
    strbuf_release(&words);
    for (int i = 0; t->files && t->splits && t->splits[i]; i++) {
        const char *const *f = t->files(t, t->splits[i]);
        for (int k = 0; f && f[k] && (k == 0 || t->every_file); k++)
            strbuf_printf(out, "  %-10s %s/%s\n", k ? "" : t->splits[i], task_data_dir(),
                          f[k]);
    }
    if (t->submission)
        strbuf_printf(out, "%-12s %s\n", "submission", t->submission);
}

static void print_metric(struct strbuf *out, const struct metric *m)
{
    strbuf_printf(out, "%s: %s\n%s is better. Version %lld.\n", m->name, m->summary,
                  m->larger_is_better ? "Larger" : "Smaller", (long long)m->version);
}

static int unknown(const char *name, struct err *err)
{
    const char *names[512] = {NULL}, *near;
    int n = 0;

    for (const struct method *const *m = method_list(); *m && n < 511; m++)
        names[n++] = (*m)->name;
    for (const struct task *const *t = task_list(); *t && n < 511; t++)
        names[n++] = (*t)->name;
    for (const struct metric *const *m = metric_list(); *m && n < 511; m++)
        names[n++] = (*m)->name;
    near = nearest_name(name, names);
    if (near)
        return err_set(err, ERR_MISSING,
                       "no method, task or metric is named \"%s\"; did you mean \"%s\"?",
                       name, near);
    return err_set(
        err, ERR_MISSING,
        "no method, task or metric is named \"%s\"; `retort list methods` shows them",
        name);
}

/* ---- as JSON ------------------------------------------------------------------------
 */

static void put_pair(struct json_writer *w, const char *key, const char *text)
{
    json_member(w, key);
    json_str(w, text);
}

static void put_array(struct json_writer *w, const char *key, const char *const *words)
{
    json_member(w, key);
    json_array(w);
    for (int i = 0; words && words[i]; i++)
        json_str(w, words[i]);
    json_array_end(w);
}

static void json_kinds(struct json_writer *w, const char *key, unsigned kinds)
{
    json_member(w, key);
    json_array(w);
    for (unsigned k = 0; k < KINDS; k++)
        if (kinds & (1U << k))
            json_str(w, kind_names[k]);
    json_array_end(w);
}

static void json_option(struct json_writer *w, const struct method *m,
                        const struct option *o)
{
    const char *code = code_default(m, o->name);

    json_object(w);
    put_pair(w, "name", o->name);
    put_pair(w, "type", type_name(o->type));
    json_member(w, "default");
    json_raw(w, o->def ? o->def : "null");
    json_member(w, "required");
    json_flag(w, !o->def);
    if (code) {
        json_member(w, "code_default");
        json_raw(w, code);
    }
    if (bounded(o) && o->type != OPT_ENUM) {
        json_member(w, "min");
        json_num(w, o->min); /* an open end is null */
        json_member(w, "max");
        json_num(w, o->max);
    }
    if (o->choices)
        put_array(w, "choices", o->choices);
    put_pair(w, "unit", o->unit);
    put_pair(w, "help", o->help);
    json_object_end(w);
}

static void json_method(struct json_writer *w, const struct method *m)
{
    json_object(w);
    put_pair(w, "name", m->name);
    put_pair(w, "summary", m->summary);
    put_pair(w, "paper", m->paper);
    json_member(w, "version");
    json_i64(w, m->version);
    json_member(w, "uses_seed");
    json_flag(w, m->uses_seed);
    json_kinds(w, "outputs", m->outputs);
    json_member(w, "inputs");
    json_array(w);
    for (const struct input *in = m->inputs; in && in->name; in++) {
        json_object(w);
        put_pair(w, "name", in->name);
        json_kinds(w, "takes", in->kinds);
        json_member(w, "required");
        json_flag(w, in->required);
        json_member(w, "many");
        json_flag(w, in->many);
        put_pair(w, "help", in->help);
        json_object_end(w);
    }
    json_array_end(w);
    json_member(w, "options");
    json_array(w);
    for (const struct option *o = m->options; o && o->name; o++)
        json_option(w, m, o);
    json_array_end(w);
    json_object_end(w);
}

static void json_task(struct json_writer *w, const struct task *t)
{
    json_object(w);
    put_pair(w, "name", t->name);
    put_pair(w, "summary", t->summary);
    put_pair(w, "kind", task_kind_name(t->kind));
    put_array(w, "labels", t->label_names);
    json_member(w, "metrics");
    json_array(w);
    for (int i = 0; t->metrics && t->metrics[i]; i++)
        json_str(w, t->metrics[i]->name);
    json_array_end(w);
    put_array(w, "splits", t->splits);
    put_pair(w, "data", data_state(t));
    put_pair(w, "submission", t->submission);
    json_object_end(w);
}

static void json_metric(struct json_writer *w, const struct metric *m)
{
    json_object(w);
    put_pair(w, "name", m->name);
    put_pair(w, "summary", m->summary);
    json_member(w, "larger_is_better");
    json_flag(w, m->larger_is_better);
    json_member(w, "version");
    json_i64(w, m->version);
    json_object_end(w);
}

/* ---- the verb -----------------------------------------------------------------------
 */

static int print_one(struct strbuf *out, const char *name, bool json, struct err *err)
{
    const struct method *m = method_find(name);
    const struct task *t = task_find(name);
    const struct metric *x = metric_find(name);
    struct json_writer w;

    json_begin(&w, out, true);
    if (m && json)
        json_method(&w, m);
    else if (m)
        return print_method(out, m, err);
    else if (t && json)
        json_task(&w, t);
    else if (t)
        print_task(out, t);
    else if (x && json)
        json_metric(&w, x);
    else if (x)
        print_metric(out, x);
    else
        return unknown(name, err);
    if (json)
        strbuf_putc(out, '\n');
    return 0;
}

static void print_json(struct strbuf *out, const char *what)
{
    struct json_writer w;

    json_begin(&w, out, true);
    json_array(&w);
    if (!strcmp(what, "methods"))
        for (const struct method *const *m = method_list(); *m; m++)
            json_method(&w, *m);
    else if (!strcmp(what, "tasks"))
        for (const struct task *const *t = task_list(); *t; t++)
            json_task(&w, *t);
    else
        for (const struct metric *const *m = metric_list(); *m; m++)
            json_metric(&w, *m);
    json_array_end(&w);
    strbuf_putc(out, '\n');
}

static int print_list(struct strbuf *out, const char *what, bool json, struct err *err)
{
    if (json)
        print_json(out, what);
    else if (!strcmp(what, "methods"))
        return print_methods(out, err);
    else if (!strcmp(what, "tasks"))
        return print_tasks(out, err);
    else
        return print_metrics(out, err);
    return 0;
}

static bool is_list(const char *what)
{
    return !strcmp(what, "methods") || !strcmp(what, "tasks") || !strcmp(what, "metrics");
}

static int run(const void *given)
{
    const struct args *a = given;
    struct strbuf out = STRBUF_INIT;
    struct err err = ERR_INIT;
    int rc;

    if (a->name && !is_list(a->what))
        rc = err_set(&err, ERR_INPUT, "\"%s\" is neither methods nor tasks nor metrics",
                     a->what);
    else if (a->name || !is_list(a->what))
        rc = print_one(&out, a->name ? a->name : a->what, a->common.json, &err);
    else
        rc = print_list(&out, a->what, a->common.json, &err);
    if (!rc)
        return print_text(&out);
    strbuf_release(&out);
    return tell_error(&err);
}

#define AT(field) offsetof(struct args, field)
static const struct operand operands[] = {
    {.name = "KIND",
     .help = "methods, tasks or metrics; or the name of one of them",
     .offset = AT(what)},
    {.name = "NAME",
     .optional = true,
     .help =
         "one of them: its options, inputs, paper; its labels, files; what it computes",
     .offset = AT(name)},
    OPERAND_END,
};

const struct verb verb_list = {
    .name = "list",
    .group = "Retort itself",
    .summary = "methods, tasks and metrics, and the options of each",
    .synopsis = "[options] methods|tasks|metrics\n[options] NAME",
    .operands = operands,
    .common = COMMON_JSON | COMMON_PLUGIN,
    .about =
        "  retort list methods\n"
        "  retort list prune/heads     its options, their defaults, its inputs and paper",
    .size = sizeof(struct args),
    .run = run,
};
