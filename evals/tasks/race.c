/*
 * RACE (Lai et al. 2017, arXiv:1704.04683) in the folders of its distribution,
 * RACE/{train,dev,test}/{middle,high}/NUMBER.txt, each a file of JSON:
 *
 *     {"article": ..., "questions": [...], "options": [[four texts], ...],
 *      "answers": ["A", ...], "id": "high1.txt"}
 *
 * An encoder reads [CLS] article [SEP] question option [SEP]; what is too long is cut
 * longest first, so from the end of the article. A decoder is asked as choice/race-middle
 * is, which holds one question a line. Examples are in the order of the files' names; an
 * example's id is the file's and the question's number from 0, "high1.txt/0".
 */
#include "retort/task.h"

#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/json.h"

enum { OPTIONS = 4 };

struct reader {
    const struct json_doc *doc;
    const char *article, *id;
    struct examples *out;
    struct err *err;
};

static int fail(const struct reader *r, const struct json *at, const char *what)
{
    struct strbuf place = STRBUF_INIT;

    json_place(r->doc, at, &place);
    err_set(r->err, ERR_INPUT, "%s: %s", strbuf_text(&place), what);
    strbuf_release(&place);
    return -1;
}

static int read_options(const struct reader *r, struct example *e,
                        const struct json *list)
{
    struct arena *arena = r->out->arena;
    const char *prompt = arena_printf(arena, "Article: %s\n\nQuestion: %s\nAnswer:", e->a,
                                      e->b ? e->b : "");

    e->choices = arena_zalloc(arena, OPTIONS * (int64_t)sizeof *e->choices);
    e->prompts = arena_zalloc(arena, OPTIONS * (int64_t)sizeof *e->prompts);
    e->endings = e->choices;
    if (arena_failed(arena, r->err))
        return -1;
    for (const struct json *c = json_first(list); c; c = json_next(c)) {
        if (!json_string(c))
            return fail(r, c, "an option is a text");
        e->prompts[e->n_choices] = prompt;
        e->choices[e->n_choices++] = arena_strdup(arena, json_string(c));
    }
    return arena_failed(arena, r->err);
}

static int add_question(const struct reader *r, int64_t number,
                        const struct json *question, const struct json *options,
                        const struct json *answer)
{
    const char *letter = json_string(answer);
    struct example *e;

    if (!json_string(question))
        return fail(r, question, "a question is a text");
    if (json_kind(options) != JSON_ARRAY || json_count(options) != OPTIONS)
        return fail(r, options, "a question of RACE has four options");
    if (!letter || letter[0] < 'A' || letter[0] >= 'A' + OPTIONS || letter[1])
        return fail(r, answer, "an answer is \"A\", \"B\", \"C\" or \"D\"");
    e = examples_add(r->out, r->err);
    if (!e)
        return -1;
    e->id = arena_printf(r->out->arena, "%s/%lld", r->id, (long long)number);
    e->a = r->article;
    e->b = arena_strdup(r->out->arena, json_string(question));
    e->label = letter[0] - 'A';
    return read_options(r, e, options);
}

static int add_article(struct reader *r, const char *name)
{
    const struct json *v = json_root(r->doc), *questions = json_get(v, "questions"),
                      *options = json_get(v, "options"),
                      *answers = json_get(v, "answers"), *q, *o, *a;
    const char *article = json_string(json_get(v, "article"));
    int64_t n = json_count(questions), number = 0;

    if (!article || json_kind(questions) != JSON_ARRAY || json_count(options) != n ||
        json_count(answers) != n)
        return fail(r, v,
                    "a text \"article\" and as many \"questions\" as \"options\" and "
                    "\"answers\" are needed");
    r->article = arena_strdup(r->out->arena, article);
    r->id = name;
    for (q = json_first(questions), o = json_first(options), a = json_first(answers); q;
         q = json_next(q), o = json_next(o), a = json_next(a))
        if (add_question(r, number++, q, o, a))
            return -1;
    return arena_failed(r->out->arena, r->err);
}

/* "high1.txt" for high/1.txt, as the files call themselves. */
static int read_file(const char *dir, const char *level, const char *name,
                     struct examples *out, struct err *err)
{
    char *path = path_join(dir, name, err), *id = mem_printf(err, "%s%s", level, name);
    struct reader r = {.out = out, .err = err};
    struct json_doc *doc = path && id ? json_parse_file(path, err) : NULL;
    int rc = -1;

    r.doc = doc;
    if (doc)
        rc = add_article(&r, id);
    json_doc_free(doc);
    free(id);
    free(path);
    return rc;
}

static bool is_text(const char *name)
{
    size_t n = strlen(name);

    return n > 4 && !strcmp(name + n - 4, ".txt");
}

static int read_folder(const char *dir, const char *level, struct examples *out,
                       struct err *err)
{
    char **list = NULL;
    int rc = file_list(&list, dir, err);

    for (char **name = list; rc == 0 && *name; name++)
        if (is_text(*name))
            rc = read_file(dir, level, *name, out, err);
    file_list_free(list);
    return rc;
}

/* ---- tasks ---- */

struct race {
    const char *const *files[3]; /* folders of train, dev, test */
};

static const char *const splits[] = {"train", "dev", "test", NULL};

static const char *const *files(const struct task *task, const char *split)
{
    const struct race *race = task->config;

    for (int i = 0; splits[i]; i++)
        if (!strcmp(splits[i], split))
            return race->files[i];
    return NULL;
}

static int load(const struct task *task, const struct task_source *src,
                struct examples *out, struct err *err)
{
    const char *const *list = files(task, src->split);

    if (!list)
        return err_set(err, ERR_MISSING,
                       "%s has no split \"%s\"; it has train, dev, test", task->name,
                       src->split);
    for (; *list; list++) {
        char *dir = path_join(src->dir ? src->dir : "", *list, err);
        int rc = dir ? read_folder(dir, strrchr(*list, '/') + 1, out, err) : -1;
        free(dir);
        if (rc)
            return -1;
    }
    if (!out->n)
        return err_set(err, ERR_INPUT, "%s, split %s: no questions in files *.txt",
                       task->name, src->split);
    return 0;
}

extern const struct metric metric_accuracy, metric_accuracy_norm;
static const struct metric *const metrics[] = {&metric_accuracy, &metric_accuracy_norm,
                                               NULL};

#define LIST(...)                                                                        \
    (const char *const[])                                                                \
    {                                                                                    \
        __VA_ARGS__, NULL                                                                \
    }
#define RACE(id, name_, summary_, train_, dev_, test_)                                   \
    extern const struct task task_race_##id;                                             \
    const struct task task_race_##id = {                                                 \
        .name = name_,                                                                   \
        .summary = summary_,                                                             \
        .kind = TASK_CHOICE,                                                             \
        .labels = 1,                                                                     \
        .metrics = metrics,                                                              \
        .splits = splits,                                                                \
        .version = 1,                                                                    \
        .max_len = 512,                                                                  \
        .every_file = true,                                                              \
        .files = files,                                                                  \
        .load = load,                                                                    \
        .config = &(const struct race){{train_, dev_, test_}},                           \
    }

RACE(middle, "race/middle", "reading comprehension of middle schools (RACE's folders)",
     LIST("RACE/train/middle"), LIST("RACE/dev/middle"), LIST("RACE/test/middle"));
RACE(high, "race/high", "reading comprehension of high schools (RACE's folders)",
     LIST("RACE/train/high"), LIST("RACE/dev/high"), LIST("RACE/test/high"));
RACE(all, "race/all", "reading comprehension of middle and high schools (RACE's folders)",
     LIST("RACE/train/middle", "RACE/train/high"),
     LIST("RACE/dev/middle", "RACE/dev/high"),
     LIST("RACE/test/middle", "RACE/test/high"));
