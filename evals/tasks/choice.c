/*
 * Questions with choices, in the layouts of their distributions.
 *
 *   choice/arc-easy, -challenge   arc/ARC-{Easy,Challenge}-{Train,Dev,Test}.jsonl
 *                                 (Clark et al. 2018)
 *   choice/boolq                  boolq/{train,val}.jsonl (Clark et al. 2019)
 *   choice/hellaswag              hellaswag/{train,val}.jsonl, "ctx", "endings", "label"
 *                                 (Zellers et al. 2019)
 *   choice/openbookqa             openbookqa/{train,dev,test}.tsv (Mihaylov et al. 2018)
 *   choice/piqa                   piqa/{train,valid}.jsonl with -labels.lst (Bisk et
 *                                 al. 2020)
 *   choice/race-middle            race-middle/{train,validation,test}.jsonl (Lai et
 *                                 al. 2017)
 *   choice/winogrande             winogrande/{train,dev}.jsonl (Sakaguchi et al. 2020)
 *
 * An encoder reads a, b and each choice. A decoder is given prompts and endings as
 * lm-evaluation-harness words them:
 *
 *   arc, piqa    "Question: Q\nAnswer:", the choices
 *   boolq        "PASSAGE\nQuestion: Q?\nAnswer:", no and yes
 *   hellaswag, openbookqa   the text itself, the choices
 *   race         "Article: A\n\nQuestion: Q\nAnswer:", the choices (each question alone;
 *                the harness puts the article's other questions before the last)
 *   winogrande   the sentence up to the gap with each option in it; the ending is the
 *                rest of the sentence, the same for both (partial evaluation)
 */
#include "retort/task.h"

#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/json.h"
#include "table.h"

#define FILE_MAX ((int64_t)1 << 30)

struct reader {
    const struct task *task;
    const char *path, *labels; /* labels: text of piqa's second file, or NULL */
    struct examples *out;
    int64_t line;
    struct err *err;
};

struct choice_set {
    /* Fills an example from a line: JSON (object) or, with tabs, its text. */
    int (*read)(struct reader *r, struct example *e, const struct json *v, char *line);
    bool tsv;
    const char *const *splits, *const
                                   *files; /* of each split three: file, labels, NULL */
};

static int fail(const struct reader *r, const char *what)
{
    return err_set(r->err, ERR_INPUT, "%s:%lld: %s", r->path, (long long)r->line, what);
}

static const char *keep(const struct reader *r, const char *s)
{
    return s ? arena_strdup(r->out->arena, s) : NULL;
}

/* A member that must be a string. */
static const char *text_of(const struct reader *r, const struct json *v, const char *key)
{
    const char *s = json_string(json_get(v, key));

    if (!s)
        err_set(r->err, ERR_INPUT, "%s:%lld: a text \"%s\" is needed", r->path,
                (long long)r->line, key);
    return keep(r, s);
}

static int room(const struct reader *r, struct example *e, int64_t n)
{
    int64_t bytes = n * (int64_t)sizeof *e->choices;

    if (n < 2)
        return fail(r, "a question needs two choices or more");
    e->n_choices = n;
    e->choices = arena_zalloc(r->out->arena, bytes);
    e->prompts = arena_zalloc(r->out->arena, bytes);
    e->endings = e->choices;
    return arena_failed(r->out->arena, r->err);
}

/* The same prompt for all choices. */
static int ask(const struct reader *r, struct example *e, const char *prompt)
{
    for (int64_t i = 0; i < e->n_choices; i++) {
        e->prompts[i] = prompt;
        if (!e->choices[i])
            return arena_failed(r->out->arena, r->err) ? -1
                                                       : fail(r, "a choice is no text");
    }
    return prompt ? 0 : arena_failed(r->out->arena, r->err);
}

static int set_label(const struct reader *r, struct example *e, int64_t label)
{
    if (label < 0 || label >= e->n_choices)
        return fail(r, "the right choice is none of those that are there");
    e->label = (int32_t)label;
    return 0;
}

/* ---- the sets ---- */

static int read_arc(struct reader *r, struct example *e, const struct json *v, char *line)
{
    const struct json *q = json_get(v, "question"), *list = json_get(q, "choices");
    const char *key = json_string(json_get(v, "answerKey")), *label;
    int64_t i = 0, right = -1;

    (void)line;
    e->id = keep(r, json_string(json_get(v, "id")));
    if (!(e->a = text_of(r, q, "stem")) || room(r, e, json_count(list)))
        return -1;
    for (const struct json *c = json_first(list); c; c = json_next(c), i++) {
        e->choices[i] = keep(r, json_string(json_get(c, "text")));
        label = json_string(json_get(c, "label"));
        if (key && label && !strcmp(key, label))
            right = i;
    }
    if (ask(r, e, arena_printf(r->out->arena, "Question: %s\nAnswer:", e->a)))
        return -1;
    return key && *key ? set_label(r, e, right) : 0;
}

static int read_boolq(struct reader *r, struct example *e, const struct json *v,
                      char *line)
{
    const struct json *label = json_get(v, "label");

    (void)line;
    label = label ? label : json_get(v, "answer");
    if (!(e->a = text_of(r, v, "passage")) || !(e->b = text_of(r, v, "question")) ||
        room(r, e, 2))
        return -1;
    e->choices[0] = "no";
    e->choices[1] = "yes";
    if (ask(r, e, arena_printf(r->out->arena, "%s\nQuestion: %s?\nAnswer:", e->a, e->b)))
        return -1;
    if (label && json_kind(label) == JSON_BOOL)
        e->label = json_bool(label);
    else if (label)
        return set_label(r, e, json_is_int(label) ? json_int(label) : -1);
    return 0;
}

static int read_hellaswag(struct reader *r, struct example *e, const struct json *v,
                          char *line)
{
    const struct json *list = json_get(v, "endings"), *label = json_get(v, "label");
    int64_t i = 0;

    (void)line;
    if (!(e->a = text_of(r, v, "ctx")) || room(r, e, json_count(list)))
        return -1;
    for (const struct json *c = json_first(list); c; c = json_next(c))
        e->choices[i++] = keep(r, json_string(c));
    if (ask(r, e, e->a))
        return -1;
    return json_is_int(label) ? set_label(r, e, json_int(label)) : 0;
}

static int read_piqa(struct reader *r, struct example *e, const struct json *v,
                     char *line)
{
    (void)line;
    if (!(e->a = text_of(r, v, "goal")) || room(r, e, 2))
        return -1;
    e->choices[0] = text_of(r, v, "sol1");
    e->choices[1] = text_of(r, v, "sol2");
    if (ask(r, e, arena_printf(r->out->arena, "Question: %s\nAnswer:", e->a)))
        return -1;
    if (!r->labels)
        return 0;
    if (*r->labels != '0' && *r->labels != '1')
        return fail(r, "its line of the labels' file is neither 0 nor 1");
    e->label = *r->labels - '0';
    r->labels += strcspn(r->labels, "\n");
    r->labels += *r->labels == '\n';
    return 0;
}

static int read_winogrande(struct reader *r, struct example *e, const struct json *v,
                           char *line)
{
    const char *sentence = text_of(r, v, "sentence"), *gap, *answer;
    const char *option[2] = {text_of(r, v, "option1"), text_of(r, v, "option2")}, *rest;
    struct arena *arena = r->out->arena;

    (void)line;
    e->id = keep(r, json_string(json_get(v, "qID")));
    if (!sentence || !option[0] || !option[1] || room(r, e, 2))
        return -1;
    if (!(gap = strchr(sentence, '_')))
        return fail(r, "the sentence has no gap \"_\"");
    rest = gap + 1 + strspn(gap + 1, " ");
    e->a = arena_printf(arena, "%.*s", (int)(gap - sentence), sentence);
    e->endings = arena_zalloc(arena, 2 * (int64_t)sizeof *e->endings);
    if (!e->a || !e->endings)
        return arena_failed(arena, r->err);
    for (int i = 0; i < 2; i++) {
        e->prompts[i] = arena_printf(arena, "%s%s", e->a, option[i]);
        e->choices[i] = arena_printf(arena, "%s%s", option[i], gap + 1);
        e->endings[i] = rest;
    }
    if (arena_failed(arena, r->err))
        return -1;
    answer = json_string(json_get(v, "answer"));
    return answer && *answer ? set_label(r, e, *answer - '1') : 0;
}

static int read_race(struct reader *r, struct example *e, const struct json *v,
                     char *line)
{
    const struct json *list = json_get(v, "options");
    const char *answer = json_string(json_get(v, "answer"));
    int64_t i = 0;

    (void)line;
    e->id = keep(r, json_string(json_get(v, "example_id")));
    if (!(e->a = text_of(r, v, "article")) || !(e->b = text_of(r, v, "question")))
        return -1;
    if (room(r, e, json_count(list)))
        return -1;
    for (const struct json *c = json_first(list); c; c = json_next(c))
        e->choices[i++] = keep(r, json_string(c));
    if (ask(r, e,
            arena_printf(r->out->arena, "Article: %s\n\nQuestion: %s\nAnswer:", e->a,
                         e->b)))
        return -1;
    return answer && *answer ? set_label(r, e, *answer - 'A') : 0;
}

/* Id, stem, "(A) one (B) two (C) three (D) four", both together, the right letter. */
static int read_openbookqa(struct reader *r, struct example *e, const struct json *v,
                           char *line)
{
    static const char *const mark[] = {"(A) ", "(B) ", "(C) ", "(D) ", NULL};
    char *field[5] = {line}, *at, *next;
    int n = 1;

    (void)v;
    for (; n < 5 && (at = strchr(field[n - 1], '\t')); n++) {
        *at = '\0';
        field[n] = at + 1;
    }
    if (n < 5)
        return fail(r, "five fields are needed: id, stem, choices, both, answer");
    e->id = keep(r, field[0]);
    e->a = keep(r, field[1]);
    if (room(r, e, 4))
        return -1;
    at = strstr(field[2], mark[0]);
    for (int i = 0; at && i < 4; i++, at = next) {
        next = mark[i + 1] ? strstr(at + 4, mark[i + 1]) : NULL;
        int64_t len = next ? next - at - 4 : (int64_t)strlen(at + 4);
        while (len > 0 && at[4 + len - 1] == ' ')
            len--;
        e->choices[i] = arena_printf(r->out->arena, "%.*s", (int)len, at + 4);
    }
    return ask(r, e, e->a) || set_label(r, e, *field[4] - 'A') ? -1 : 0;
}

/* ---- files ---- */

static int read_json(struct reader *r, struct example *e, const char *line, int64_t len)
{
    const struct choice_set *set = r->task->config;
    struct diags *diags = diags_new(r->err);
    struct json_doc *doc = diags ? json_parse(line, len, "line", diags) : NULL;
    struct err found = ERR_INIT;
    int rc = -1;

    if (diags && !doc) {
        diags_first_to_err(diags, &found);
        err_set(r->err, found.code, "%s:%lld: %s", r->path, (long long)r->line,
                found.text);
    } else if (doc && json_kind(json_root(doc)) != JSON_OBJECT) {
        fail(r, "an object is needed");
    } else if (doc) {
        rc = set->read(r, e, json_root(doc), NULL);
    }
    json_doc_free(doc);
    diags_free(diags);
    return rc;
}

static int read_line(struct reader *r, char *line)
{
    const struct choice_set *set = r->task->config;
    struct example *e = examples_add(r->out, r->err);

    if (!e)
        return -1;
    if (set->tsv ? set->read(r, e, NULL, line)
                 : read_json(r, e, line, (int64_t)strlen(line)))
        return -1;
    if (!e->id)
        e->id = arena_printf(r->out->arena, "%lld", (long long)r->out->n - 1);
    return arena_failed(r->out->arena, r->err);
}

static int read_text(struct reader *r, char *text, int64_t len)
{
    const struct choice_set *set = r->task->config;

    if (textfile_check(r->path, text, len, r->err))
        return -1;
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        r->line++;
        size_t n = strlen(line);
        if (n && line[n - 1] == '\r')
            line[n - 1] = '\0';
        if (!*line || (set->tsv && r->line == 1))
            continue;
        if (read_line(r, line))
            return -1;
    }
    return r->out->n ? 0 : fail(r, "no questions");
}

static int slurp(char **text, int64_t *len, const char *dir, const char *name,
                 char **path, struct err *err)
{
    *path = path_join(dir ? dir : "", name, err);
    return *path ? file_read(text, len, *path, FILE_MAX, err) : -1;
}

static const char *const *files(const struct task *task, const char *split)
{
    const struct choice_set *set = task->config;

    for (int i = 0; set->splits[i]; i++)
        if (!strcmp(set->splits[i], split))
            return set->files + 3 * i;
    return NULL;
}

static int load(const struct task *task, const struct task_source *src,
                struct examples *out, struct err *err)
{
    const char *const *list = files(task, src->split);
    char *text = NULL, *path = NULL, *labels = NULL, *labels_path = NULL;
    struct reader r = {.task = task, .out = out, .err = err};
    int64_t len = 0;
    int rc = -1;

    if (!list)
        return err_set(err, ERR_MISSING, "%s has no split \"%s\"", task->name,
                       src->split);
    if (slurp(&text, &len, src->dir, list[0], &path, err) ||
        (list[1] && slurp(&labels, NULL, src->dir, list[1], &labels_path, err)))
        goto done;
    r.path = path;
    r.labels = labels;
    rc = read_text(&r, text, len);
done:
    free(text);
    free(path);
    free(labels);
    free(labels_path);
    return rc;
}

extern const struct metric metric_accuracy, metric_accuracy_norm;
static const struct metric *const both[] = {&metric_accuracy, &metric_accuracy_norm,
                                            NULL};
static const struct metric *const plain[] = {&metric_accuracy, NULL};

#define SET(id, name_, summary_, metrics_, read_, tsv_, splits_, ...)                    \
    extern const struct task task_choice_##id;                                           \
    const struct task task_choice_##id = {                                               \
        .name = name_,                                                                   \
        .summary = summary_,                                                             \
        .kind = TASK_CHOICE,                                                             \
        .labels = 1,                                                                     \
        .metrics = metrics_,                                                             \
        .splits = splits_,                                                               \
        .version = 1,                                                                    \
        .max_len = 512,                                                                  \
        .every_file = true,                                                              \
        .files = files,                                                                  \
        .load = load,                                                                    \
        .config =                                                                        \
            &(const struct choice_set){.read = read_,                                    \
                                       .tsv = tsv_,                                      \
                                       .splits = splits_,                                \
                                       .files = (const char *const[]){__VA_ARGS__}},     \
    }

static const char *const three[] = {"train", "dev", "test", NULL};
static const char *const two[] = {"train", "dev", NULL};

/* clang-format off */
/* Files of each split: one, or one and its labels. */
SET(arc_easy, "choice/arc-easy", "science for pupils, easy", both, read_arc, false, three,
    "arc/ARC-Easy-Train.jsonl", NULL, NULL, "arc/ARC-Easy-Dev.jsonl", NULL, NULL,
    "arc/ARC-Easy-Test.jsonl", NULL, NULL);
SET(arc_challenge, "choice/arc-challenge", "science for pupils, hard", both, read_arc, false, three,
    "arc/ARC-Challenge-Train.jsonl", NULL, NULL, "arc/ARC-Challenge-Dev.jsonl", NULL, NULL,
    "arc/ARC-Challenge-Test.jsonl", NULL, NULL);
SET(boolq, "choice/boolq", "is it so, by the passage", plain, read_boolq, false, two,
    "boolq/train.jsonl", NULL, NULL, "boolq/val.jsonl", NULL, NULL);
SET(hellaswag, "choice/hellaswag", "what happens next", both, read_hellaswag, false, two,
    "hellaswag/train.jsonl", NULL, NULL, "hellaswag/val.jsonl", NULL, NULL);
SET(openbookqa, "choice/openbookqa", "science from an open book", both, read_openbookqa, true, three,
    "openbookqa/train.tsv", NULL, NULL, "openbookqa/dev.tsv", NULL, NULL,
    "openbookqa/test.tsv", NULL, NULL);
SET(piqa, "choice/piqa", "which way works", both, read_piqa, false, two,
    "piqa/train.jsonl", "piqa/train-labels.lst", NULL,
    "piqa/valid.jsonl", "piqa/valid-labels.lst", NULL);
SET(race_middle, "choice/race-middle", "reading comprehension of middle schools", both, read_race, false, three,
    "race-middle/train.jsonl", NULL, NULL, "race-middle/validation.jsonl", NULL, NULL,
    "race-middle/test.jsonl", NULL, NULL);
SET(winogrande, "choice/winogrande", "whom is the sentence about", plain, read_winogrande, false, two,
    "winogrande/train.jsonl", NULL, NULL, "winogrande/dev.jsonl", NULL, NULL);
/* clang-format on */
