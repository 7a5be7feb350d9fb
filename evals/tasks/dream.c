/*
 * DREAM (Sun et al. 2019): questions about dialogues, three choices each. A split is one
 * JSON file of the distribution, dream/{train,dev,test}.json:
 *
 *     [[["M: ...", "W: ..."], [{"question": ..., "choice": [...], "answer": ...}],
 *       id], ...]
 *
 * `answer` is the text of the right choice. An encoder reads [CLS] turns [SEP] question
 * choice [SEP], the turns joined by blanks; what is too long is cut longest first, so
 * from the end of the dialogue. A decoder is asked as RACE's questions are.
 */
#include "retort/task.h"

#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/json.h"

struct reader {
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

static int read_choices(const struct reader *r, struct example *e, const struct json *qa)
{
    const struct json *list = json_get(qa, "choice"), *answer = json_get(qa, "answer");
    const char *right = json_string(answer);
    int64_t n = json_count(list), bytes = n * (int64_t)sizeof *e->choices;

    if (json_kind(list) != JSON_ARRAY || n != 3)
        return fail(r, list ? list : qa,
                    "a question of DREAM has three texts, \"choice\"");
    if (answer && !right)
        return fail(r, answer, "\"answer\" is the text of the right choice");
    e->choices = arena_zalloc(r->out->arena, bytes);
    e->prompts = arena_zalloc(r->out->arena, bytes);
    e->endings = e->choices;
    if (arena_failed(r->out->arena, r->err))
        return -1;
    for (const struct json *c = json_first(list); c; c = json_next(c)) {
        if (!json_string(c))
            return fail(r, c, "a choice is a text");
        if (right && e->label < 0 && !strcmp(right, json_string(c)))
            e->label = (int32_t)e->n_choices;
        e->choices[e->n_choices++] = arena_strdup(r->out->arena, json_string(c));
    }
    return right && e->label < 0
               ? fail(r, answer, "\"answer\" is none of the texts in \"choice\"")
               : 0;
}

static int add_question(const struct reader *r, const char *dialogue, const char *id,
                        int64_t number, const struct json *qa)
{
    const char *question = json_string(json_get(qa, "question")), *prompt;
    struct arena *arena = r->out->arena;
    struct example *e;

    if (!question)
        return fail(r, qa, "a question needs \"question\", a text");
    e = examples_add(r->out, r->err);
    if (!e)
        return -1;
    e->id = arena_printf(arena, "%s/%lld", id, (long long)number);
    e->a = dialogue;
    e->b = arena_strdup(arena, question);
    if (read_choices(r, e, qa))
        return -1;
    prompt =
        arena_printf(arena, "Dialogue: %s\n\nQuestion: %s\nAnswer:", dialogue, question);
    for (int64_t i = 0; i < e->n_choices; i++)
        e->prompts[i] = prompt;
    return arena_failed(arena, r->err);
}

/* The turns in one line. */
static const char *join(const struct reader *r, const struct json *turns)
{
    struct strbuf sb = STRBUF_INIT;
    const char *text = NULL;
    int rc = json_kind(turns) == JSON_ARRAY && json_count(turns)
                 ? 0
                 : fail(r, turns, "a dialogue begins with a list of turns");

    for (const struct json *t = json_first(turns); t && !rc; t = json_next(t)) {
        if (!json_string(t))
            rc = fail(r, t, "a turn is a text");
        else
            strbuf_printf(&sb, "%s%s", sb.len ? " " : "", json_string(t));
    }
    if (!rc && !strbuf_failed(&sb, r->err))
        text = arena_strdup(r->out->arena, strbuf_text(&sb));
    strbuf_release(&sb);
    return text;
}

static int add_dialogue(const struct reader *r, const struct json *v)
{
    const struct json *turns = json_at(v, 0), *qas = json_at(v, 1);
    const char *id = json_string(json_at(v, 2)), *dialogue;
    int64_t n = 0;

    if (json_kind(v) != JSON_ARRAY || !id || json_kind(qas) != JSON_ARRAY)
        return fail(r, v, "a dialogue is a list: turns, questions, id");
    if (!(dialogue = join(r, turns)))
        return -1;
    for (const struct json *qa = json_first(qas); qa; qa = json_next(qa))
        if (add_question(r, dialogue, id, n++, qa))
            return -1;
    return 0;
}

static const char *const *files(const struct task *task, const char *split)
{
    static const char *const train[] = {"dream/train.json", NULL},
                             *const dev[] = {"dream/dev.json", NULL},
                             *const test[] = {"dream/test.json", NULL};

    (void)task;
    return !strcmp(split, "train")  ? train
           : !strcmp(split, "dev")  ? dev
           : !strcmp(split, "test") ? test
                                    : NULL;
}

static int read_file(const char *path, struct examples *out, struct err *err)
{
    struct json_doc *doc = json_parse_file(path, err);
    struct reader r = {doc, out, err};
    int rc = doc ? 0 : -1;

    if (!rc && json_kind(json_root(doc)) != JSON_ARRAY)
        rc = fail(&r, json_root(doc), "a list of dialogues is needed");
    for (const struct json *v = doc ? json_first(json_root(doc)) : NULL; v && !rc;
         v = json_next(v))
        rc = add_dialogue(&r, v);
    if (!rc && !out->n)
        rc = fail(&r, json_root(doc), "there are no questions in it");
    json_doc_free(doc);
    return rc;
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
        char *path = path_join(src->dir ? src->dir : "", *list, err);
        int rc = !path ? -1 : file_exists(path) ? read_file(path, out, err) : 1;
        free(path);
        if (rc <= 0)
            return rc;
    }
    return err_set(err, ERR_MISSING, "%s, split %s: no file dream/%s.json in \"%s\"",
                   task->name, src->split, src->split, src->dir ? src->dir : ".");
}

extern const struct metric metric_accuracy;
extern const struct task task_choice_dream;

const struct task task_choice_dream = {
    .name = "choice/dream",
    .summary = "what was said in a dialogue (DREAM)",
    .kind = TASK_CHOICE,
    .labels = 1,
    .metrics = (const struct metric *const[]){&metric_accuracy, NULL},
    .splits = (const char *const[]){"train", "dev", "test", NULL},
    .version = 1,
    .max_len = 512,
    .files = files,
    .load = load,
};
