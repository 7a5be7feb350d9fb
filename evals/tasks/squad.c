/*
 * SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018) from their official JSON files.
 *
 * `answer_start` counts code points of the context; it becomes a byte. An answer that
 * does not stand where it says is refused, as are two questions of one id: predictions
 * are filed by it. Questions of 2.0 may have no answer. What else the files hold (titles,
 * plausible answers) is passed over.
 */
#include "squad.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/json.h"
#include "retort/squad.h"
#include "retort/utf8.h"

struct reader {
    enum squad_rules rules;
    const struct json_doc *doc;
    struct examples *out;
    const struct json **from; /* of each example */
    int64_t from_capacity;
    struct err *err;
};

/* ---- telling ---- */

static int fail(const struct reader *r, const struct json *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(const struct reader *r, const struct json *at, const char *fmt, ...)
{
    struct strbuf place = STRBUF_INIT;
    char what[600];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    json_place(r->doc, at, &place);
    err_set(r->err, ERR_INPUT, "%s: %s", strbuf_text(&place), what);
    strbuf_release(&place);
    return -1;
}

/* The member of that kind, or NULL with a message: `owner` is what wants it. */
static const struct json *want(const struct reader *r, const struct json *object,
                               const char *owner, const char *key, enum json_kind kind)
{
    static const char *const kinds[] = {[JSON_STRING] = "a string",
                                        [JSON_ARRAY] = "an array",
                                        [JSON_NUMBER] = "a number"};
    const struct json *v;

    if (json_kind(object) != JSON_OBJECT) {
        fail(r, object, "%s is an object, this is %s", owner,
             json_kind_name(json_kind(object)));
        return NULL;
    }
    v = json_get(object, key);
    if (!v)
        fail(r, object, "%s needs \"%s\", %s", owner, key, kinds[kind]);
    else if (json_kind(v) != kind)
        fail(r, v, "\"%s\" of %s is %s, this is %s", key, owner, kinds[kind],
             json_kind_name(json_kind(v)));
    else
        return v;
    return NULL;
}

static const char *want_string(const struct reader *r, const struct json *object,
                               const char *owner, const char *key)
{
    const struct json *v = want(r, object, owner, key, JSON_STRING);

    return v ? json_string(v) : NULL;
}

/* ---- answers ---- */

/* The byte where code point `n` of s begins, or -1. */
static int64_t byte_of(const char *s, int64_t n)
{
    int64_t len = (int64_t)strlen(s), at = 0;

    for (; at < len && n > 0; n--)
        at += utf8_step(s + at, len - at);
    return n == 0 ? at : -1;
}

static int64_t count_points(const char *s, int64_t len)
{
    int64_t n = 0;

    for (int64_t at = 0; at < len; n++)
        at += utf8_step(s + at, len - at);
    return n;
}

/* The beginning of a text for messages: whole characters, at most 24. */
static int shown(const char *s)
{
    int64_t at = byte_of(s, 24);

    return (int)(at < 0 ? (int64_t)strlen(s) : at);
}

static int tell_misplaced(const struct reader *r, const struct json *start,
                          const char *context, const char *text, int64_t at)
{
    const char *there = strstr(context, text);
    int64_t len = (int64_t)strlen(context);

    if (at < 0 || at >= len)
        return fail(r, start,
                    "\"answer_start\" is %lld, but the context has %lld characters",
                    (long long)json_int(start), (long long)count_points(context, len));
    if (!there)
        return fail(r, start,
                    "the answer \"%.*s\" stands nowhere in its context; at %lld there is "
                    "\"%.*s\"",
                    shown(text), text, (long long)json_int(start), shown(context + at),
                    context + at);
    return fail(r, start,
                "the answer \"%.*s\" does not stand at %lld, where there is \"%.*s\"; "
                "first it stands at %lld",
                shown(text), text, (long long)json_int(start), shown(context + at),
                context + at, (long long)count_points(context, there - context));
}

static int add_answer(const struct reader *r, struct example *e, const struct json *v)
{
    const char *text = want_string(r, v, "an answer", "text");
    const struct json *start =
        text ? want(r, v, "an answer", "answer_start", JSON_NUMBER) : NULL;
    int64_t at;

    if (!text || !start)
        return -1;
    if (!*text)
        return fail(r, v,
                    "an answer is empty; a question without one has \"answers\": []");
    if (!json_is_int(start) || json_int(start) < 0)
        return fail(r, start, "\"answer_start\" is a whole number from 0");
    at = byte_of(e->b, json_int(start));
    if (at < 0 || strncmp(e->b + at, text, strlen(text)) != 0)
        return tell_misplaced(r, start, e->b, text, at);
    text = arena_strdup(r->out->arena, text);
    e->answers[e->n_answers++] = (struct answer){text, at};
    return arena_failed(r->out->arena, r->err);
}

/* ---- questions ---- */

/* What is said of there being an answer fits the answers. */
static int check_none(const struct reader *r, const struct json *qa, int64_t n)
{
    const struct json *none = json_get(qa, "is_impossible");

    if (none && json_kind(none) != JSON_BOOL)
        return fail(r, none, "\"is_impossible\" is true or false, this is %s",
                    json_kind_name(json_kind(none)));
    if (none && json_bool(none) && n > 0)
        return fail(r, none,
                    "\"is_impossible\" is true, but \"answers\" has %lld; one of them is "
                    "wrong",
                    (long long)n);
    if (n == 0 && r->rules != SQUAD_V2)
        return fail(r, qa,
                    "a question without an answer; that is SQuAD 2.0 (the task squad/v2, "
                    "or \"no_answer\": true of a task of your own)");
    return 0;
}

static int add_question(struct reader *r, const char *context, const struct json *qa)
{
    const char *id = want_string(r, qa, "a question", "id");
    const char *question = id ? want_string(r, qa, "a question", "question") : NULL;
    const struct json *answers =
        question ? want(r, qa, "a question", "answers", JSON_ARRAY) : NULL;
    struct arena *arena = r->out->arena;
    void *from = r->from;
    struct example *e;

    if (!answers || check_none(r, qa, json_count(answers)))
        return -1;
    if (mem_grow(&from, r->out->n, &r->from_capacity, sizeof *r->from, r->err))
        return -1;
    r->from = from;
    r->from[r->out->n] = qa;
    e = examples_add(r->out, r->err);
    if (!e)
        return -1;
    e->id = arena_strdup(arena, id);
    e->a = arena_strdup(arena, question);
    e->b = context;
    e->answerable = json_count(answers) > 0;
    e->answers = arena_zalloc(arena, json_count(answers) * (int64_t)sizeof *e->answers);
    if (arena_failed(arena, r->err))
        return -1;
    for (const struct json *v = json_first(answers); v; v = json_next(v))
        if (add_answer(r, e, v))
            return -1;
    return 0;
}

static int add_paragraph(struct reader *r, const struct json *paragraph)
{
    const char *context = want_string(r, paragraph, "a paragraph", "context");
    const struct json *qas =
        context ? want(r, paragraph, "a paragraph", "qas", JSON_ARRAY) : NULL;

    if (!qas)
        return -1;
    if (!*context && json_count(qas))
        return fail(r, json_get(paragraph, "context"),
                    "the context is empty, but \"qas\" has %lld",
                    (long long)json_count(qas));
    context = arena_strdup(r->out->arena, context);
    if (!context)
        return arena_failed(r->out->arena, r->err);
    for (const struct json *qa = json_first(qas); qa; qa = json_next(qa))
        if (add_question(r, context, qa))
            return -1;
    return 0;
}

/* ---- files ---- */

struct named {
    const char *id;
    int64_t i;
};

static int by_id(const void *pa, const void *pb)
{
    const struct named *a = pa, *b = pb;
    int c = strcmp(a->id, b->id);

    return c ? c : a->i < b->i ? -1 : a->i > b->i;
}

static int check_ids(const struct reader *r)
{
    int64_t n = r->out->n;
    struct named *v = mem_new(n, sizeof *v, r->err);
    int rc = v ? 0 : -1;

    for (int64_t i = 0; v && i < n; i++)
        v[i] = (struct named){r->out->v[i].id, i};
    if (v)
        qsort(v, (size_t)n, sizeof *v, by_id);
    for (int64_t k = 1; v && k < n && !rc; k++) {
        struct strbuf first = STRBUF_INIT;
        if (strcmp(v[k].id, v[k - 1].id))
            continue;
        json_place(r->doc, r->from[v[k - 1].i], &first);
        rc = fail(r, r->from[v[k].i],
                  "the id \"%.*s\" is taken: the question at %s has it; ids name "
                  "predictions",
                  shown(v[k].id), v[k].id, strbuf_text(&first));
        strbuf_release(&first);
    }
    free(v);
    return rc;
}

static int add_article(struct reader *r, const struct json *article)
{
    const struct json *list = want(r, article, "an article", "paragraphs", JSON_ARRAY);

    if (!list)
        return -1;
    for (const struct json *p = json_first(list); p; p = json_next(p))
        if (add_paragraph(r, p))
            return -1;
    return 0;
}

/* Of version 2 is what says so, or has a question that says whether it has an answer. */
static enum squad_rules rules_of(const struct json *root)
{
    const struct json *version = json_get(root, "version");
    const struct json *a = json_first(json_get(root, "data"));
    const char *text = version ? json_string(version) : NULL;

    if (text && strstr(text, "2.0"))
        return SQUAD_V2;
    for (; a; a = json_next(a))
        for (const struct json *p = json_first(json_get(a, "paragraphs")); p;
             p = json_next(p))
            for (const struct json *q = json_first(json_get(p, "qas")); q;
                 q = json_next(q))
                if (json_get(q, "is_impossible"))
                    return SQUAD_V2;
    return SQUAD_V1;
}

int squad_read(const char *path, enum squad_rules *rules, struct examples *out,
               struct err *err)
{
    struct json_doc *doc = json_parse_file(path, err);
    struct reader r = {.doc = doc, .out = out, .err = err};
    const struct json *root, *data;
    int rc = -1;

    if (!doc)
        return -1;
    root = json_root(doc);
    data = want(&r, root, "a file of SQuAD's form", "data", JSON_ARRAY);
    if (!data)
        goto done;
    if (*rules == SQUAD_AUTO)
        *rules = rules_of(root);
    r.rules = *rules;
    for (const struct json *a = json_first(data); a; a = json_next(a))
        if (add_article(&r, a))
            goto done;
    rc = out->n ? check_ids(&r) : fail(&r, data, "there are no questions in it");
done:
    free(r.from);
    json_doc_free(doc);
    return rc;
}

const char *const *squad_files(const struct task *task, const char *split)
{
    const struct squad *squad = task->config;

    for (int64_t i = 0; i < squad->n; i++)
        if (!strcmp(split, squad->split[i].name))
            return squad->split[i].files;
    return NULL;
}

static int no_split(const struct task *task, const char *split, struct err *err)
{
    struct strbuf all = STRBUF_INIT;

    for (int64_t i = 0; task->splits[i]; i++)
        strbuf_printf(&all, "%s%s", i ? ", " : "", task->splits[i]);
    err_set(err, ERR_MISSING, "%s has no split \"%s\"; it has %s", task->name, split,
            strbuf_text(&all));
    strbuf_release(&all);
    return -1;
}

int squad_load(const struct task *task, const struct task_source *src,
               struct examples *out, struct err *err)
{
    const char *const *list = squad_files(task, src->split);
    enum squad_rules rules = task->no_answer ? SQUAD_V2 : SQUAD_V1;

    if (!list)
        return no_split(task, src->split, err);
    for (int i = 0; list[i]; i++) {
        char *path = path_join(src->dir ? src->dir : "", list[i], err);
        int rc = path ? 1 : -1;
        if (path && file_exists(path))
            rc = squad_read(path, &rules, out, err);
        free(path);
        if (rc <= 0)
            return rc;
    }
    return err_set(err, ERR_MISSING, "%s, split %s: no file %s in \"%s\"", task->name,
                   src->split, list[0], src->dir ? src->dir : ".");
}

/* ---- the tasks ---- */

#define FILES(name)                                                                      \
    (const char *const[])                                                                \
    {                                                                                    \
        "SQuAD/" name, "squad/" name, name, NULL                                         \
    }

extern const struct metric metric_f1, metric_exact_match, metric_answerable_f1,
    metric_answerable_exact, metric_unanswerable, metric_best_f1,
    metric_best_f1_threshold, metric_best_exact, metric_best_exact_threshold;

const struct metric *const squad_metrics_v1[] = {&metric_f1, &metric_exact_match, NULL};
const struct metric *const squad_metrics_v2[] = {&metric_f1,
                                                 &metric_exact_match,
                                                 &metric_answerable_f1,
                                                 &metric_answerable_exact,
                                                 &metric_unanswerable,
                                                 &metric_best_f1,
                                                 &metric_best_f1_threshold,
                                                 &metric_best_exact,
                                                 &metric_best_exact_threshold,
                                                 NULL};

static const struct squad_split splits_v1[] = {{"train", FILES("train-v1.1.json")},
                                               {"dev", FILES("dev-v1.1.json")},
                                               {"part", FILES("train-part-v1.1.json")}};
static const struct squad_split splits_v2[] = {{"train", FILES("train-v2.0.json")},
                                               {"dev", FILES("dev-v2.0.json")}};
static const struct squad squad_v1 = {splits_v1, 3}, squad_v2 = {splits_v2, 2};

extern const struct task task_squad_v1, task_squad_v2;

const struct task task_squad_v1 = {
    .name = "squad/v1",
    .summary = "find the answer in a paragraph (SQuAD 1.1)",
    .kind = TASK_SPAN,
    .labels = 2,
    .metrics = squad_metrics_v1,
    .splits = (const char *const[]){"train", "dev", "part", NULL},
    .version = 2,
    .max_len = 384,
    .files = squad_files,
    .load = squad_load,
    .config = &squad_v1,
};

const struct task task_squad_v2 = {
    .name = "squad/v2",
    .summary = "find the answer in a paragraph, if there is one (SQuAD 2.0)",
    .kind = TASK_SPAN,
    .labels = 2,
    .metrics = squad_metrics_v2,
    .splits = (const char *const[]){"train", "dev", NULL},
    .version = 2,
    .max_len = 384,
    .no_answer = true,
    .files = squad_files,
    .load = squad_load,
    .config = &squad_v2,
};
