/* Tasks that a user declares: a table with its columns and labels, texts, or a file of
 * SQuAD's form. */
#include "lm.h"
#include "squad.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/strbuf.h"

static int check(const struct task_decl *d, struct err *err)
{
    const char *name = d->name && *d->name ? d->name : NULL;
    if (!name)
        return err_set(err, ERR_INPUT, "a task needs a name, such as \"my/intents\"");
    if (task_find(name))
        return err_set(err, ERR_INPUT, "task %s is built in; choose another name", name);
    if (d->kind != TASK_CLASSES && d->kind != TASK_REGRESSION && d->kind != TASK_MLM &&
        d->kind != TASK_LM && d->kind != TASK_SPAN)
        return err_set(err, ERR_INPUT,
                       "task %s: files can hold classes, regression, mlm, text or span",
                       name);
    if (d->kind == TASK_CLASSES && d->n_labels < 2)
        return err_set(err, ERR_INPUT,
                       "task %s has %lld label%s; classes need at least 2", name,
                       (long long)d->n_labels, d->n_labels == 1 ? "" : "s");
    if (d->n_files < 1)
        return err_set(err, ERR_INPUT, "task %s names no files; give at least one split",
                       name);
    if (d->separator && !*d->separator)
        return err_set(err, ERR_INPUT, "task %s: the separator of documents is empty",
                       name);
    if (d->no_answer && d->kind != TASK_SPAN)
        return err_set(err, ERR_INPUT, "task %s: no_answer is of the kind span", name);
    if (!d->columns.a && d->kind != TASK_LM && d->kind != TASK_SPAN)
        return err_set(err, ERR_INPUT, "task %s: the column of the text (a) is missing",
                       name);
    for (int64_t i = 0; i < d->n_labels; i++)
        for (int64_t j = 0; j < i; j++)
            if (!strcmp(d->label_names[i], d->label_names[j]))
                return err_set(err, ERR_INPUT, "task %s: label \"%s\" is named twice",
                               name, d->label_names[i]);
    for (int64_t i = 0; i < d->n_files; i++)
        for (int64_t j = 0; j < i; j++)
            if (!strcmp(d->files[i].split, d->files[j].split) &&
                (d->kind != TASK_LM || strcmp(d->files[i].split, d->files[i - 1].split)))
                return err_set(err, ERR_INPUT, "task %s: split \"%s\" is named twice",
                               name, d->files[i].split);
    return 0;
}

static bool is_of_spans(const char *metric, bool no_answer)
{
    const struct metric *const *list = no_answer ? squad_metrics_v2 : squad_metrics_v1;

    for (; *list; list++)
        if (!strcmp((*list)->name, metric))
            return true;
    return false;
}

/* A task of that kind can compute them. */
static bool suits(const char *metric, const struct task_decl *d)
{
    bool number = !strcmp(metric, "pearson") || !strcmp(metric, "spearman");
    if (!strcmp(metric, "loss"))
        return true;
    if (d->kind == TASK_LM)
        return strstr(metric, "perplexity") || !strcmp(metric, "bits_per_byte");
    if (d->kind == TASK_SPAN)
        return is_of_spans(metric, d->no_answer);
    if ((is_of_spans(metric, true) && strcmp(metric, "f1")) || d->kind == TASK_MLM)
        return false;
    if (strstr(metric, "perplexity") || !strcmp(metric, "bits_per_byte"))
        return false;
    if (!strcmp(metric, "f1"))
        return d->kind == TASK_CLASSES && d->n_labels == 2;
    return number == (d->kind == TASK_REGRESSION);
}

static int no_metric(const struct task_decl *d, const char *name, struct err *err)
{
    const struct metric *const *list = metric_list();
    struct strbuf all = STRBUF_INIT;
    const char *names[64], *near;
    int n = 0;

    for (; list[n] && n < 63; n++) {
        names[n] = list[n]->name;
        strbuf_printf(&all, "%s%s", n ? ", " : "", names[n]);
    }
    names[n] = NULL;
    near = nearest_name(name, names);
    if (near)
        err_set(err, ERR_INPUT, "task %s: unknown metric \"%s\"; did you mean \"%s\"?",
                d->name, name, near);
    else
        err_set(err, ERR_INPUT, "task %s: unknown metric \"%s\"; there are %s", d->name,
                name, strbuf_text(&all));
    strbuf_release(&all);
    return -1;
}

static int add_metrics(struct task *t, const struct task_decl *d, struct arena *arena,
                       struct err *err)
{
    static const char *const usual[][6] = {
        [TASK_CLASSES] = {"accuracy", NULL},
        [TASK_REGRESSION] = {"pearson", "spearman", NULL},
        [TASK_MLM] = {"loss", NULL},
        [TASK_LM] = {"perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte",
                     "hf_perplexity", NULL},
    };
    const char *const *names = d->metrics ? d->metrics : usual[d->kind];
    const struct metric **list;
    int64_t n = 0;
    if (d->kind == TASK_SPAN && !d->metrics) {
        t->metrics = d->no_answer ? squad_metrics_v2 : squad_metrics_v1;
        return 0;
    }
    while (names[n])
        n++;
    list = arena_zalloc(arena, (n + 1) * (int64_t)sizeof *list);
    for (int64_t i = 0; list && i < n; i++) {
        list[i] = metric_find(names[i]);
        if (!list[i])
            return no_metric(d, names[i], err);
        if (!suits(names[i], d))
            return err_set(err, ERR_INPUT, "task %s: metric %s does not suit its kind",
                           d->name, names[i]);
    }
    t->metrics = list;
    return 0;
}

static const char *copy(struct arena *arena, const char *s)
{
    return s ? arena_strdup(arena, s) : NULL;
}

static const char *const *copy_names(struct arena *arena, const char *const *names,
                                     int64_t n)
{
    const char **out = arena_zalloc(arena, (n + 1) * (int64_t)sizeof *out);
    for (int64_t i = 0; out && i < n; i++)
        out[i] = copy(arena, names[i]);
    return out;
}

static int add_split(struct table_split *s, const struct task_decl *d, int64_t i,
                     struct arena *arena, struct err *err)
{
    char *path = path_join(d->dir ? d->dir : "", d->files[i].path, err);
    const char *one[1] = {path};
    if (!path)
        return -1;
    *s = (struct table_split){
        .name = copy(arena, d->files[i].split),
        .files = copy_names(arena, one, 1),
        .columns = {.a = copy(arena, d->columns.a),
                    .b = copy(arena, d->columns.b),
                    .label = d->kind == TASK_MLM ? NULL : copy(arena, d->columns.label),
                    .id = copy(arena, d->columns.id),
                    .header = d->columns.header},
    };
    free(path);
    return 0;
}

static int add_table(struct task *t, const struct task_decl *d, struct arena *arena,
                     struct err *err)
{
    struct table *table = arena_zalloc(arena, (int64_t)sizeof *table);
    struct table_split *s = arena_zalloc(arena, d->n_files * (int64_t)sizeof *s);
    const char **names = arena_zalloc(arena, (d->n_files + 1) * (int64_t)sizeof *names);
    if (!table || !s || !names)
        return arena_failed(arena, err);
    for (int64_t i = 0; i < d->n_files; i++) {
        if (add_split(&s[i], d, i, arena, err))
            return -1;
        names[i] = s[i].name;
    }
    *table = (struct table){.splits = s, .n = d->n_files, .format = d->format};
    t->config = table;
    t->splits = names;
    return 0;
}

/* The files of one split, from file `from` on; *n of them. */
static const char *const *text_files(const struct task_decl *d, int64_t from, int64_t *n,
                                     struct arena *arena, struct err *err)
{
    const char **list = arena_zalloc(arena, (d->n_files + 1) * (int64_t)sizeof *list);

    for (*n = 0; list && from + *n < d->n_files &&
                 !strcmp(d->files[from + *n].split, d->files[from].split);
         ++*n) {
        char *path = path_join(d->dir ? d->dir : "", d->files[from + *n].path, err);
        if (!path)
            return NULL;
        list[*n] = arena_strdup(arena, path);
        free(path);
    }
    return list;
}

static int add_corpus(struct task *t, const struct task_decl *d, struct arena *arena,
                      struct err *err)
{
    struct corpus *c = arena_zalloc(arena, (int64_t)sizeof *c);
    struct corpus_split *s = arena_zalloc(arena, (d->n_files + 1) * (int64_t)sizeof *s);
    const char **names = arena_zalloc(arena, (d->n_files + 1) * (int64_t)sizeof *names);
    int64_t n = 0, used;

    if (!c || !s || !names)
        return arena_failed(arena, err);
    for (int64_t i = 0; i < d->n_files; i += used, n++) {
        s[n].files = text_files(d, i, &used, arena, err);
        if (!s[n].files)
            return arena_failed(arena, err), -1;
        s[n].name = names[n] = copy(arena, d->files[i].split);
    }
    *c = (struct corpus){.splits = s,
                         .separator = copy(arena, d->separator),
                         .member = copy(arena, d->columns.a ? d->columns.a : "text"),
                         .format = d->format};
    t->config = c;
    t->splits = names;
    t->every_file = true;
    t->files = corpus_files;
    t->load = corpus_load;
    return 0;
}

/* Each split is one file. */
static int add_spans(struct task *t, const struct task_decl *d, struct arena *arena,
                     struct err *err)
{
    struct squad *squad = arena_zalloc(arena, (int64_t)sizeof *squad);
    struct squad_split *s = arena_zalloc(arena, d->n_files * (int64_t)sizeof *s);
    const char **names = arena_zalloc(arena, (d->n_files + 1) * (int64_t)sizeof *names);

    if (!squad || !s || !names)
        return arena_failed(arena, err);
    for (int64_t i = 0; i < d->n_files; i++) {
        char *path = path_join(d->dir ? d->dir : "", d->files[i].path, err);
        const char *one[1] = {path};
        if (!path)
            return -1;
        s[i].name = names[i] = copy(arena, d->files[i].split);
        s[i].files = copy_names(arena, one, 1);
        free(path);
    }
    *squad = (struct squad){s, d->n_files};
    t->config = squad;
    t->splits = names;
    t->labels = 2;
    t->no_answer = d->no_answer;
    t->files = squad_files;
    t->load = squad_load;
    return 0;
}

static int add_files(struct task *t, const struct task_decl *d, struct arena *arena,
                     struct err *err)
{
    return d->kind == TASK_LM     ? add_corpus(t, d, arena, err)
           : d->kind == TASK_SPAN ? add_spans(t, d, arena, err)
                                  : add_table(t, d, arena, err);
}

int task_declare(struct task **out, const struct task_decl *d, struct arena *arena,
                 struct err *err)
{
    struct task *t;
    if (check(d, err))
        return -1;
    t = arena_zalloc(arena, (int64_t)sizeof *t);
    if (!t)
        return arena_failed(arena, err);
    *t = (struct task){
        .name = copy(arena, d->name),
        .summary = copy(arena, d->summary ? d->summary : "declared in the spec"),
        .kind = d->kind,
        .labels = d->kind == TASK_CLASSES ? d->n_labels : 1,
        .version = 1,
        .max_len = d->max_len > 0         ? d->max_len
                   : d->kind == TASK_LM   ? 512
                   : d->kind == TASK_SPAN ? 384
                                          : 128,
        .files = table_files,
        .load = textfile_load,
    };
    if (d->kind == TASK_CLASSES)
        t->label_names = copy_names(arena, d->label_names, d->n_labels);
    if (add_files(t, d, arena, err) || add_metrics(t, d, arena, err) ||
        arena_failed(arena, err))
        return -1;
    *out = t;
    return 0;
}
