/* Stages: what each says by itself, read once for all points that share it. */
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    unsigned bit;
    const char *name, *article;
} kinds[] = {{KIND_MODEL, "model", "a model"},
             {KIND_TASK, "task", "a task"},
             {KIND_SCORES, "scores", "scores"},
             {KIND_EVAL, "eval", "an evaluation"},
             {KIND_STATS, "stats", "statistics"},
             {KIND_FEATURES, "features", "what a teacher said"},
             {KIND_CHOICE, "choice", "a choice"}};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

static const char *const stage_keys[] = {"do",     "over", "seed", "as",
                                         "record", "note", NULL};

/* "a model or scores" */
const char *kind_text(struct spec *sp, unsigned bits)
{
    const char *text = "";

    for (size_t i = 0; i < KINDS; i++)
        if (bits & kinds[i].bit)
            text = *text ? arena_printf(sp->arena, "%s or %s", text, kinds[i].article)
                         : kinds[i].article;
    return text && *text ? text : "nothing";
}

/* "model, task or scores" */
static const char *kinds_text(struct spec *sp)
{
    const char *text = kinds[0].name;

    for (size_t i = 1; text && i < KINDS; i++)
        text = arena_printf(sp->arena, "%s%s%s", text, i + 1 < KINDS ? ", " : " or ",
                            kinds[i].name);
    return text ? text : "";
}

static bool is_stage_key(const char *key)
{
    for (const char *const *k = stage_keys; *k; k++)
        if (!strcmp(*k, key))
            return true;
    return false;
}

static const struct option *find_option(const struct method *m, const char *name)
{
    for (const struct option *o = m->options; o && o->name; o++)
        if (!strcmp(o->name, name))
            return o;
    return NULL;
}

static const struct input *find_input(const struct method *m, const char *name)
{
    for (const struct input *in = m->inputs; in && in->name; in++)
        if (!strcmp(in->name, name))
            return in;
    return NULL;
}

static void check_keys(struct spec *sp, struct stage_decl *st)
{
    const struct method *m = st->method;
    const char **names;
    int64_t n = 0;

    for (const struct option *o = m->options; o && o->name; o++)
        n++;
    for (const struct input *in = m->inputs; in && in->name; in++)
        n++;
    names = arena_zalloc(sp->arena,
                         (n + (int64_t)(sizeof(stage_keys) / sizeof(*stage_keys))) *
                             (int64_t)sizeof(*names));
    if (!names)
        return;
    n = 0;
    for (const struct option *o = m->options; o && o->name; o++)
        names[n++] = o->name;
    for (const struct input *in = m->inputs; in && in->name; in++)
        names[n++] = in->name;
    for (const char *const *k = stage_keys; *k; k++)
        names[n++] = *k;
    for (const struct node *v = st->node->first; v; v = v->next)
        if (!is_stage_key(v->key) && !find_option(m, v->key) && !find_input(m, v->key)) {
            node_unknown_key(sp, v, m->name, names);
            st->bad = true;
        }
}

/* ---- inputs ---- */

static bool read_from(struct spec *sp, const struct node *v, struct ref *ref)
{
    static const char *const keys[] = {"from", "output", NULL};
    const struct node *from = node_get(v, "from"), *output = node_get(v, "output");
    const char *names[KINDS + 1] = {NULL};

    for (const struct node *m = v->first; m; m = m->next)
        if (m != from && m != output)
            node_unknown_key(sp, m, "an input", keys);
    if (!from || from->kind != JSON_STRING) {
        node_error(sp, from ? from : v,
                   "an input is a path, a name, or {\"from\": \"stage\"}");
        return false;
    }
    ref->stage = from->text;
    ref->node = from;
    ref->output = ~0u;
    if (!output)
        return true;
    ref->output = 0;
    for (size_t i = 0; i < KINDS; i++) {
        names[i] = kinds[i].name;
        if (output->kind == JSON_STRING && !strcmp(output->text, kinds[i].name))
            ref->output = kinds[i].bit;
    }
    if (!ref->output) {
        const char *near =
            output->kind == JSON_STRING ? did_you_mean(sp, output->text, names) : "";
        node_error(sp, output, "an output is %s%s", kinds_text(sp), near);
    }
    return ref->output != 0;
}

/* All tasks' names: those of the spec, then the built-in ones. */
static const char **task_names(struct spec *sp)
{
    const struct task *const *list = task_list();
    int64_t n = 0;
    const char **names;

    while (list[n])
        n++;
    names = arena_zalloc(sp->arena, (n + sp->n_tasks + 1) * (int64_t)sizeof(*names));
    if (!names)
        return NULL;
    for (int64_t i = 0; i < sp->n_tasks; i++)
        names[i] = sp->task[i]->name;
    for (int64_t i = 0; i < n; i++)
        names[sp->n_tasks + i] = list[i]->name;
    return names;
}

static bool read_name(struct spec *sp, const struct input *in, const struct method *m,
                      const struct node *v, struct ref *ref)
{
    const char **names;

    ref->node = v;
    if (!*v->text) {
        node_error(sp, v, "\"%s\" of %s is empty", in->name, m->name);
        return false;
    }
    if (in->kinds & KIND_TASK)
        ref->task = spec_find_task(sp, v->text);
    if (ref->task)
        return true;
    if (in->kinds & KIND_MODEL) {
        ref->path = v->text;
        return true;
    }
    if (in->kinds & KIND_TASK) {
        if (node_get(node_get(sp->root, "tasks"), v->text))
            return false; /* declared, but with errors: told there */
        if ((names = task_names(sp)))
            node_error(sp, v, "no task is named \"%s\"%s", v->text,
                       did_you_mean(sp, v->text, names));
        return false;
    }
    node_error(sp, v, "\"%s\" of %s takes %s from another stage: {\"from\": \"stage\"}",
               in->name, m->name, kind_text(sp, in->kinds));
    return false;
}

static bool read_ref(struct spec *sp, const struct input *in, const struct method *m,
                     const struct node *v, struct ref *ref)
{
    if (v->kind == JSON_STRING)
        return read_name(sp, in, m, v, ref);
    if (v->kind == JSON_OBJECT)
        return read_from(sp, v, ref);
    node_error(sp, v, "\"%s\" of %s wants %s, this is %s", in->name, m->name,
               kind_text(sp, in->kinds), json_kind_name(v->kind));
    return false;
}

static bool read_input(struct spec *sp, struct stage_decl *st, const struct input *in,
                       const struct node *v)
{
    struct input_decl *d = &st->input[st->n_inputs];
    bool ok = true;

    *d = (struct input_decl){.input = in, .node = v};
    if (v->kind == JSON_ARRAY && (!in->many || !v->first)) {
        node_error(sp, v,
                   in->many ? "\"%s\" of %s is an empty list"
                            : "\"%s\" of %s takes one, not a list",
                   in->name, st->method->name);
        return false;
    }
    d->n = v->kind == JSON_ARRAY ? node_count(v) : 1;
    d->ref = arena_zalloc(sp->arena, d->n * (int64_t)sizeof(*d->ref));
    if (!d->ref)
        return false;
    if (v->kind == JSON_ARRAY) {
        int64_t i = 0;
        for (const struct node *e = v->first; e; e = e->next)
            ok = read_ref(sp, in, st->method, e, &d->ref[i++]) && ok;
    } else {
        ok = read_ref(sp, in, st->method, v, &d->ref[0]);
    }
    if (ok)
        st->n_inputs++;
    return ok;
}

static void read_inputs(struct spec *sp, struct stage_decl *st)
{
    int64_t n = 0;

    for (const struct input *in = st->method->inputs; in && in->name; in++)
        n++;
    st->input = arena_zalloc(sp->arena, (n + 1) * (int64_t)sizeof(*st->input));
    if (!st->input)
        return;
    for (const struct input *in = st->method->inputs; in && in->name; in++) {
        const struct node *v = node_get(st->node, in->name);
        if (v)
            st->bad = !read_input(sp, st, in, v) || st->bad;
        else if (in->required) {
            node_error(sp, node_get(st->node, "do"), "%s needs \"%s\"%s%s",
                       st->method->name, in->name, in->help ? ": " : "",
                       in->help ? in->help : "");
            st->bad = true;
        }
    }
}

/* An option that names a split of the stage's task: its unit says so, or its name. */
bool option_is_split(const struct option *o)
{
    size_t n = strlen(o->name);

    return o->type == OPT_STRING && ((o->unit && !strcmp(o->unit, "split")) ||
                                     (n >= 5 && !strcmp(o->name + n - 5, "split") &&
                                      (n == 5 || o->name[n - 6] == '_')));
}

/* Is the split one of the task's, its slice well written? "" is none at all. */
static bool check_split(struct spec *sp, const struct task *task,
                        const struct node *place, const char *value)
{
    struct err err = ERR_INIT;
    const char *all = "", *near;
    struct split split;

    if (!*value)
        return true;
    if (split_parse(&split, value, &err)) {
        node_error(sp, place, "%s", err.text);
        return false;
    }
    for (const char *const *s = task->splits; *s; s++) {
        if (!strcmp(*s, split.name))
            return true;
        all = *all ? arena_printf(sp->arena, "%s, %s", all, *s) : *s;
        if (!all)
            return false;
    }
    near = did_you_mean(sp, split.name, task->splits);
    node_error(sp, place, "%s has no split \"%s\"%s%s", task->name, split.name,
               *near ? near : "; it has ", *near ? "" : all);
    return false;
}

static void check_splits(struct spec *sp, struct stage_decl *st)
{
    const struct task *task = NULL;

    for (int64_t i = 0; i < st->n_inputs; i++)
        if (st->input[i].n && st->input[i].ref[0].task)
            task = st->input[i].ref[0].task;
    for (const struct option *o = st->method->options; task && o && o->name; o++) {
        const struct node *v = node_get(st->node, o->name);
        if (option_is_split(o) &&
            !check_split(sp, task, v ? v : node_get(st->node, "do"),
                         *(const char *const *)((const char *)st->options + o->offset)))
            st->bad = true;
    }
}

/* ---- over, seed, as ---- */

static bool known_variable(struct spec *sp, const struct node *v)
{
    int64_t n = 0;
    const char **names;

    while (sp->var && sp->var[n])
        n++;
    names = arena_zalloc(sp->arena, (n + 3) * (int64_t)sizeof(*names));
    if (!names)
        return false;
    names[0] = "seed";
    names[1] = "label";
    for (int64_t i = 0; i < n; i++)
        names[i + 2] = sp->var[i];
    for (int64_t i = 0; i < n + 2; i++)
        if (!strcmp(names[i], v->text))
            return true;
    for (int64_t i = 0; i < sp->n_sets;
         i++) /* taken out of the sweep: one value is left */
        if (!strcmp(sp->set_path[i], v->text))
            return true;
    node_error(sp, v, "\"over\" names \"%s\", which is not swept%s", v->text,
               did_you_mean(sp, v->text, names));
    return false;
}

static void read_over(struct spec *sp, struct stage_decl *st)
{
    const struct node *v = node_get(st->node, "over");
    struct strbuf sb = STRBUF_INIT;

    if (!v)
        return;
    if (v->kind != JSON_ARRAY || !v->first) {
        node_error(sp, v, "\"over\" wants a list of variables, like [\"seed\"]");
        st->bad = true;
        return;
    }
    st->over = arena_zalloc(sp->arena, (node_count(v) + 1) * (int64_t)sizeof(*st->over));
    for (const struct node *m = st->over ? v->first : NULL; m; m = m->next) {
        if (m->kind != JSON_STRING || !known_variable(sp, m)) {
            if (m->kind != JSON_STRING)
                node_error(sp, m, "a variable's name is a string, this is %s",
                           json_kind_name(m->kind));
            st->bad = true;
            continue;
        }
        st->over[st->n_over++] = m->text;
        strbuf_printf(&sb, "%s\n", m->text);
    }
    if (!strbuf_failed(&sb, &sp->err))
        st->over_key = arena_strdup(sp->arena, strbuf_text(&sb));
    strbuf_release(&sb);
}

static void read_seed(struct spec *sp, struct stage_decl *st)
{
    const struct node *v = node_get(st->node, "seed");

    if (!v)
        return;
    if (v->kind != JSON_NUMBER || !v->is_int || v->number < 0) {
        node_error(sp, v, "a seed is a whole number from 0 to 2^53, this is %s",
                   node_show(sp, v));
        st->bad = true;
        return;
    }
    st->own_seed = true;
    st->seed = (uint64_t)v->number;
}

static void read_note(struct spec *sp, struct stage_decl *st)
{
    const struct node *v = node_get(st->node, "note");

    if (!v || v->kind == JSON_STRING)
        return;
    node_error(sp, v, "\"note\" wants a string, this is %s", json_kind_name(v->kind));
    st->bad = true;
}

static void read_record(struct spec *sp, struct stage_decl *st)
{
    const struct node *v = node_get(st->node, "record");

    st->own_record = v != NULL;
    st->record = record_read(sp, v, st->method);
}

static const char *read_reading(struct spec *sp, struct stage_decl *st)
{
    static const char *const readings[] = {"paper", "code", NULL};
    const struct node *v = node_get(st->node, "as");
    bool code;

    if (!v)
        return "paper";
    code = v->kind == JSON_STRING && !strcmp(v->text, "code");
    if (!code && (v->kind != JSON_STRING || strcmp(v->text, "paper"))) {
        node_error(sp, v, "\"as\" is \"paper\" or \"code\"%s",
                   v->kind == JSON_STRING ? did_you_mean(sp, v->text, readings) : "");
        st->bad = true;
    } else if (code && !st->method->code) {
        node_error(sp, v,
                   "%s has one reading only; \"as\": \"code\" would change nothing",
                   st->method->name);
        st->bad = true;
    }
    return code ? "code" : "paper";
}

static const struct method *read_method(struct spec *sp, const struct node *node)
{
    const struct node *v = node_get(node, "do");
    const struct method *const *list = method_list();
    const struct method *m;
    const char **names;
    int64_t n = 0;

    if (!v) {
        node_key_error(sp, node, "stage \"%s\" needs \"do\": the name of a method",
                       node->key);
        return NULL;
    }
    if (v->kind != JSON_STRING) {
        node_error(sp, v, "\"do\" wants the name of a method, this is %s",
                   json_kind_name(v->kind));
        return NULL;
    }
    if ((m = method_find(v->text)))
        return m;
    while (list[n])
        n++;
    names = arena_zalloc(sp->arena, (n + 1) * (int64_t)sizeof(*names));
    for (int64_t i = 0; names && i < n; i++)
        names[i] = list[i]->name;
    if (names) {
        const char *hint = did_you_mean(sp, v->text, names);
        node_error(sp, v, "unknown method \"%s\"%s", v->text,
                   *hint ? hint : "; see: retort list methods");
    }
    return NULL;
}

struct stage_decl *stage_read(struct spec *sp, const struct node *node)
{
    struct stage_decl *st = node->decl;

    if (!st || st->read)
        return st;
    st->read = true;
    st->bad = true;
    st->node = node;
    if (node->kind != JSON_OBJECT) {
        node_error(sp, node, "stage \"%s\" wants an object, this is %s", node->key,
                   json_kind_name(node->kind));
        return st;
    }
    if (!(st->method = read_method(sp, node)))
        return st;
    st->bad = false;
    check_keys(sp, st);
    read_note(sp, st);
    read_over(sp, st);
    read_seed(sp, st);
    read_record(sp, st);
    read_inputs(sp, st);
    if (!options_read(sp, st, read_reading(sp, st)))
        st->bad = true;
    if (!st->bad)
        check_splits(sp, st);
    return st;
}
