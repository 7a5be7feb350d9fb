/*
 * SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018) from their official JSON files.
 * `answer_start` counts code points of the context; it becomes a byte. An answer that
 * does not stand where it says is refused. Questions of 2.0 may have no answer.
 */
#include "retort/task.h"

#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/json.h"

struct squad {
    const char *const *train, *const *dev;
    bool impossible; /* questions without an answer are allowed */
};

struct reader {
    const struct squad *squad;
    const struct json_doc *doc;
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

/* A member that is a string, or NULL. */
static const char *member_string(const struct json *object, const char *key)
{
    const struct json *v = json_get(object, key);
    return v ? json_string(v) : NULL;
}

/* The byte where code point `n` of s begins, or -1. */
static int64_t byte_of(const char *s, int64_t n)
{
    const char *p = s;
    for (; *p && n > 0; n--)
        for (p++; ((unsigned char)*p & 0xc0) == 0x80; p++)
            ;
    return n == 0 ? p - s : -1;
}

static int add_answer(const struct reader *r, struct example *e, const struct json *v)
{
    const char *text = member_string(v, "text");
    const struct json *start = json_get(v, "answer_start");
    int64_t at;
    if (!text || !start || !json_is_int(start) || json_int(start) < 0)
        return fail(r, v,
                    "an answer needs \"text\" and \"answer_start\", a number from 0");
    at = byte_of(e->b, json_int(start));
    if (at < 0 || strncmp(e->b + at, text, strlen(text)) != 0)
        return fail(r, v, "the answer's text does not stand at its answer_start");
    text = arena_strdup(r->out->arena, text);
    e->answers[e->n_answers++] = (struct answer){text, at};
    return arena_failed(r->out->arena, r->err);
}

static int add_question(const struct reader *r, const char *context,
                        const struct json *qa)
{
    const struct json *answers = json_get(qa, "answers");
    const char *id = member_string(qa, "id");
    const char *question = member_string(qa, "question");
    const struct json *none = json_get(qa, "is_impossible");
    struct arena *arena = r->out->arena;
    struct example *e;

    if (!id || !question || !answers || json_kind(answers) != JSON_ARRAY)
        return fail(r, qa,
                    "a question needs \"id\", \"question\" and an array \"answers\"");
    e = examples_add(r->out, r->err);
    if (!e)
        return -1;
    e->id = arena_strdup(arena, id);
    e->a = arena_strdup(arena, question);
    e->b = context;
    e->answerable = (!none || !json_bool(none)) && json_count(answers) > 0;
    if (!e->answerable && !r->squad->impossible)
        return fail(r, qa, "a question without an answer; that is SQuAD 2.0 (squad/v2)");
    if (!e->answerable)
        return arena_failed(arena, r->err);
    e->answers = arena_zalloc(arena, json_count(answers) * (int64_t)sizeof *e->answers);
    if (!e->answers)
        return arena_failed(arena, r->err);
    for (const struct json *v = json_first(answers); v; v = json_next(v))
        if (add_answer(r, e, v))
            return -1;
    return arena_failed(arena, r->err);
}

static int add_paragraph(const struct reader *r, const struct json *paragraph)
{
    const char *context = member_string(paragraph, "context");
    const struct json *qas;
    if (!context)
        return fail(r, paragraph, "a paragraph needs a string \"context\"");
    context = arena_strdup(r->out->arena, context);
    if (!context)
        return arena_failed(r->out->arena, r->err);
    qas = json_get(paragraph, "qas");
    if (!qas || json_kind(qas) != JSON_ARRAY)
        return fail(r, paragraph, "a paragraph needs an array \"qas\"");
    for (const struct json *qa = json_first(qas); qa; qa = json_next(qa))
        if (add_question(r, context, qa))
            return -1;
    return 0;
}

static int add_all(const struct reader *r)
{
    const struct json *data = json_get(json_root(r->doc), "data");
    if (!data || json_kind(data) != JSON_ARRAY)
        return fail(r, json_root(r->doc), "an array \"data\" is needed");
    for (const struct json *a = json_first(data); a; a = json_next(a)) {
        const struct json *list = json_get(a, "paragraphs");
        if (!list || json_kind(list) != JSON_ARRAY)
            return fail(r, a, "an article needs an array \"paragraphs\"");
        for (const struct json *p = json_first(list); p; p = json_next(p))
            if (add_paragraph(r, p))
                return -1;
    }
    return r->out->n ? 0 : fail(r, data, "no questions");
}

static const char *const *files(const struct task *task, const char *split)
{
    const struct squad *squad = task->config;
    if (!strcmp(split, "train"))
        return squad->train;
    return !strcmp(split, "dev") ? squad->dev : NULL;
}

static int read_file(const struct squad *squad, const char *path, struct examples *out,
                     struct err *err)
{
    struct json_doc *doc = json_parse_file(path, err);
    struct reader r = {squad, doc, out, err};
    int rc = doc ? add_all(&r) : -1;
    json_doc_free(doc);
    return rc;
}

static int load(const struct task *task, const struct task_source *src,
                struct examples *out, struct err *err)
{
    const char *const *list = files(task, src->split);
    if (!list)
        return err_set(err, ERR_MISSING, "%s has no split \"%s\"; it has train, dev",
                       task->name, src->split);
    for (int i = 0; list[i]; i++) {
        char *path = path_join(src->dir ? src->dir : "", list[i], err);
        int rc = path ? 1 : -1;
        if (path && file_exists(path))
            rc = read_file(task->config, path, out, err);
        free(path);
        if (rc <= 0)
            return rc;
    }
    return err_set(err, ERR_MISSING, "%s, split %s: no file %s in \"%s\"", task->name,
                   src->split, list[0], src->dir ? src->dir : ".");
}

#define FILES(name)                                                                      \
    (const char *const[])                                                                \
    {                                                                                    \
        "SQuAD/" name, "squad/" name, name, NULL                                         \
    }

extern const struct metric metric_f1, metric_exact_match;
static const struct metric *const metrics[] = {&metric_f1, &metric_exact_match, NULL};
static const char *const splits[] = {"train", "dev", NULL};

extern const struct task task_squad_v1, task_squad_v2;

const struct task task_squad_v1 = {
    .name = "squad/v1",
    .summary = "find the answer in a paragraph (SQuAD 1.1)",
    .kind = TASK_SPAN,
    .labels = 2,
    .metrics = metrics,
    .splits = splits,
    .version = 1,
    .max_len = 384,
    .files = files,
    .load = load,
    .config =
        &(const struct squad){FILES("train-v1.1.json"), FILES("dev-v1.1.json"), false},
};

const struct task task_squad_v2 = {
    .name = "squad/v2",
    .summary = "find the answer in a paragraph, if there is one (SQuAD 2.0)",
    .kind = TASK_SPAN,
    .labels = 2,
    .metrics = metrics,
    .splits = splits,
    .version = 1,
    .max_len = 384,
    .files = files,
    .load = load,
    .config =
        &(const struct squad){FILES("train-v2.0.json"), FILES("dev-v2.0.json"), true},
};
