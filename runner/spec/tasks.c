/* "tasks" of a spec. */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

const struct task *spec_find_task(const struct spec *sp, const char *name)
{
    for (int64_t i = 0; i < sp->n_tasks; i++)
        if (!strcmp(sp->task[i]->name, name))
            return sp->task[i];
    return task_find(name);
}

const struct task *spec_task(const struct spec *sp, const char *name)
{
    return spec_find_task(sp, name);
}

/* ---- declarations ---- */

static const char *const task_keys[] = {"kind",   "files",     "format",    "columns",
                                        "labels", "metrics",   "max_len",   "summary",
                                        "header", "separator", "no_answer", NULL};

struct declaring {
    struct spec *sp;
    const struct node *v; /* the declaration */
    struct task_decl *d;
    bool bad;
};

static void complain(struct declaring *t, const struct node *v, const char *what)
{
    node_error(t->sp, v, "%s", what);
    t->bad = true;
}

static const char *text_of(struct declaring *t, const char *key)
{
    const struct node *v = node_get(t->v, key);

    if (v && v->kind != JSON_STRING)
        complain(t, v, "this must be a string");
    return v && v->kind == JSON_STRING ? v->text : NULL;
}

static void read_kind(struct declaring *t)
{
    static const char *const names[] = {"classes", "regression", "mlm",
                                        "text",    "span",       NULL};
    static const enum task_kind kinds[] = {TASK_CLASSES, TASK_REGRESSION, TASK_MLM,
                                           TASK_LM, TASK_SPAN};
    static const char *const formats[] = {"auto", "tsv", "jsonl", NULL};
    const char *kind = text_of(t, "kind"), *format = text_of(t, "format");
    int i = 0;

    while (kind && names[i] && strcmp(names[i], kind))
        i++;
    if (!names[i])
        complain(t, node_get(t->v, "kind"),
                 "a task's kind is classes, regression, mlm, text or span");
    else
        t->d->kind = kinds[i];
    for (i = 0; format && formats[i] && strcmp(formats[i], format);)
        i++;
    if (!formats[i])
        complain(t, node_get(t->v, "format"), "a format is auto, tsv or jsonl");
    else
        t->d->format = (enum task_format)i;
}

/* Paths are relative to the file that declares the task; made absolute, since data is
 * looked up elsewhere. */
static void add_file(struct declaring *t, struct task_file *files, const char *split,
                     const struct node *v)
{
    if (v->kind != JSON_STRING || !*v->text)
        complain(t, v,
                 t->d->kind == TASK_LM ? "a split's file is a path, or a list of paths"
                                       : "a split's file is a path");
    else
        files[t->d->n_files++] = (struct task_file){split, v->text};
}

static int64_t count_files(const struct node *v)
{
    int64_t n = 0;

    for (const struct node *m = v->first; m; m = m->next)
        n += m->kind == JSON_ARRAY ? node_count(m) : 1;
    return n;
}

static void read_files(struct declaring *t)
{
    const struct node *v = node_get(t->v, "files");
    struct task_file *files;
    char *dir;

    if (!v || v->kind != JSON_OBJECT || !v->first) {
        complain(t, v ? v : t->v,
                 "a task needs \"files\", like {\"train\": \"train.tsv\"}");
        return;
    }
    files = arena_zalloc(t->sp->arena, count_files(v) * (int64_t)sizeof(*files));
    for (const struct node *m = files ? v->first : NULL; m; m = m->next) {
        bool list = m->kind == JSON_ARRAY && m->first && t->d->kind == TASK_LM;
        if (!list)
            add_file(t, files, m->key, m);
        for (const struct node *f = list ? m->first : NULL; f; f = f->next)
            add_file(t, files, m->key, f);
    }
    t->d->files = files;
    dir = realpath(v->source->dir, NULL);
    t->d->dir = dir ? arena_strdup(t->sp->arena, dir) : NULL;
    free(dir);
    if (!t->d->dir)
        t->bad = true;
}

static const char *column(struct declaring *t, const struct node *v)
{
    if (v->kind == JSON_STRING && *v->text)
        return v->text;
    if (v->kind == JSON_NUMBER && v->is_int && v->number >= 1)
        return arena_printf(t->sp->arena, "%lld", (long long)v->number);
    complain(t, v, "a column is a name, or a number from 1");
    return NULL;
}

static void read_columns(struct declaring *t)
{
    static const char *const names[] = {"a", "b", "label", "id", NULL};
    const struct node *v = node_get(t->v, "columns"), *header = node_get(t->v, "header");
    const char **out[] = {&t->d->columns.a, &t->d->columns.b, &t->d->columns.label,
                          &t->d->columns.id};

    t->d->columns.header = header ? header->flag : true;
    if (header && header->kind != JSON_BOOL)
        complain(t, header, "\"header\" is true or false");
    if (!v && (t->d->kind == TASK_LM || t->d->kind == TASK_SPAN))
        return;
    if (t->d->kind == TASK_SPAN) {
        complain(t, v, "files of SQuAD's form have no columns; leave it out");
        return;
    }
    if (!v || v->kind != JSON_OBJECT || !node_get(v, "a")) {
        complain(
            t, v ? v : t->v,
            "a task needs \"columns\", like {\"a\": \"text\", \"label\": \"class\"}");
        return;
    }
    for (const struct node *m = v->first; m; m = m->next) {
        int i = 0;
        while (names[i] && strcmp(names[i], m->key))
            i++;
        if (names[i]) {
            *out[i] = column(t, m);
        } else {
            node_unknown_key(t->sp, m, "columns", names);
            t->bad = true;
        }
    }
}

static const char **read_names(struct declaring *t, const char *key, int64_t *n)
{
    const struct node *v = node_get(t->v, key);
    const char **names;

    *n = 0;
    if (!v)
        return NULL;
    if (v->kind != JSON_ARRAY || !v->first) {
        complain(t, v, "this must be a list of strings");
        return NULL;
    }
    names = arena_zalloc(t->sp->arena, (node_count(v) + 1) * (int64_t)sizeof(*names));
    for (const struct node *m = names ? v->first : NULL; m; m = m->next) {
        if (m->kind == JSON_STRING)
            names[(*n)++] = m->text;
        else
            complain(t, m, "this must be a string");
    }
    return names;
}

static void read_no_answer(struct declaring *t)
{
    const struct node *v = node_get(t->v, "no_answer");

    if (v && v->kind != JSON_BOOL)
        complain(t, v, "\"no_answer\" is true or false");
    t->d->no_answer = v && v->flag;
}

/* What decides the numbers: the declaration without its paths and words. */
static const char *declared_text(struct spec *sp, const struct node *v)
{
    struct node *slim = node_set(sp, v, "files", NULL);

    if (slim)
        slim = node_set(sp, slim, "summary", NULL);
    return slim ? node_canonical(sp, slim) : NULL;
}

static void read_task(struct spec *sp, const struct node *v)
{
    struct task_decl d = {.name = v->key};
    struct declaring t = {sp, v, &d, false};
    const struct node *max_len = node_get(v, "max_len");
    struct err err = ERR_INIT;
    struct task *task = NULL;
    int64_t n;

    if (v->kind != JSON_OBJECT) {
        node_error(sp, v, "a task is an object, this is %s", json_kind_name(v->kind));
        return;
    }
    for (const struct node *m = v->first; m; m = m->next) {
        int i = 0;
        while (task_keys[i] && strcmp(task_keys[i], m->key))
            i++;
        if (!task_keys[i])
            node_unknown_key(sp, m, "a task", task_keys);
    }
    if (task_find(v->key))
        node_key_error(sp, v, "\"%s\" is a built-in task; give yours another name",
                       v->key);
    d.summary = text_of(&t, "summary");
    d.separator = text_of(&t, "separator");
    read_kind(&t);
    read_files(&t);
    read_columns(&t);
    read_no_answer(&t);
    d.label_names = read_names(&t, "labels", &d.n_labels);
    d.metrics = read_names(&t, "metrics", &n);
    if (max_len && (!max_len->is_int || max_len->number < 3 || max_len->number > 65536))
        complain(&t, max_len, "\"max_len\" is a whole number of 3 to 65536 tokens");
    else if (max_len)
        d.max_len = (int64_t)max_len->number;
    if (t.bad)
        return;
    if (task_declare(&task, &d, sp->arena, &err)) {
        node_key_error(sp, v, "%s", err.text);
        return;
    }
    sp->task_text[sp->n_tasks] = declared_text(sp, v);
    sp->task[sp->n_tasks++] = task;
}

void tasks_read(struct spec *sp, const struct node *tasks)
{
    int64_t n = node_count(tasks);

    if (!tasks)
        return;
    if (tasks->kind != JSON_OBJECT) {
        node_error(sp, tasks, "\"tasks\" wants an object, this is %s",
                   json_kind_name(tasks->kind));
        return;
    }
    sp->task = arena_zalloc(sp->arena, (n + 1) * (int64_t)sizeof(*sp->task));
    sp->task_text = arena_zalloc(sp->arena, (n + 1) * (int64_t)sizeof(*sp->task_text));
    for (const struct node *m = sp->task && sp->task_text ? tasks->first : NULL; m;
         m = m->next)
        read_task(sp, m);
}

const char *task_declared_text(const struct spec *sp, const struct task *task)
{
    for (int64_t i = 0; i < sp->n_tasks; i++)
        if (sp->task[i] == task)
            return sp->task_text[i];
    return NULL;
}
