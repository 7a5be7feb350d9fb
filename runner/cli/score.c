/*
 * retort score: what SQuAD's official scripts print of a file of predictions.
 *
 * The arguments are those of evaluate-v1.1.py and evaluate-v2.0.py: the data set, the
 * predictions, for version 2 the null odds and a threshold. So a file of anybody's model
 * can be scored without a store, and what is printed can be read by whatever read the
 * scripts' output: their keys, their order, their digits.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/json.h"
#include "retort/squad.h"
#include "retort/utf8.h"
#include "verbs.h"

enum { RULES_AUTO, RULES_V1, RULES_V2 };
static const char *const rules_choices[] = {"auto", "v1.1", "v2.0", NULL};

struct args {
    struct common common;
    const char *data, *predictions, *null_odds, *null_threshold;
    int rules;
};

struct scoring {
    const struct args *args;
    enum squad_rules rules;
    double threshold;
    struct examples *ex;
    struct json_doc *said, *odds;
    int64_t *by_id; /* examples by their ids */
    const char **text;
    double *odds_of;
    int64_t *order;
};

/* ---- whose is a prediction ---- */

static int by_id(const void *pa, const void *pb, void *ex_)
{
    const struct examples *ex = ex_;

    return strcmp(ex->v[*(const int64_t *)pa].id, ex->v[*(const int64_t *)pb].id);
}

/* The example of that id, or -1. */
static int64_t find(const struct scoring *s, const char *id)
{
    int64_t low = 0, high = s->ex->n;

    while (low < high) {
        int64_t mid = low + (high - low) / 2;
        int c = strcmp(id, s->ex->v[s->by_id[mid]].id);
        if (c == 0)
            return s->by_id[mid];
        low = c > 0 ? mid + 1 : low;
        high = c > 0 ? high : mid;
    }
    return -1;
}

static int fail_at(const struct json_doc *doc, const struct json *v, const char *what,
                   struct err *err)
{
    struct strbuf place = STRBUF_INIT;

    json_place(doc, v, &place);
    err_set(err, ERR_INPUT, "%s: %s, this is %s", strbuf_text(&place), what,
            json_kind_name(json_kind(v)));
    strbuf_release(&place);
    return -1;
}

static void tell_strangers(const struct scoring *s, const char *path, int64_t n,
                           const char *first)
{
    struct strbuf id = STRBUF_INIT;

    if (n == 0 || s->args->common.quiet)
        return;
    utf8_show(&id, first, (int64_t)strlen(first));
    fprintf(stderr,
            "retort: %s: %lld of its ids %s of no question in %s; the first is "
            "\"%.100s\"\n",
            path, (long long)n, n == 1 ? "is" : "are", s->args->data, strbuf_text(&id));
    strbuf_release(&id);
}

/* Each member of a file to its example. */
static int read_file(struct scoring *s, struct json_doc **doc, const char *path,
                     bool texts, struct err *err)
{
    const struct json *root;
    const char *first = NULL;
    int64_t strangers = 0, at = 0;

    *doc = json_parse_file(path, err);
    if (!*doc)
        return -1;
    root = json_root(*doc);
    if (json_kind(root) != JSON_OBJECT)
        return fail_at(*doc, root,
                       texts ? "predictions are an object, {\"id\": \"answer\", ...}"
                             : "null odds are an object, {\"id\": number, ...}",
                       err);
    for (const struct json *v = json_first(root); v; v = json_next(v), at++) {
        int64_t i = find(s, json_key(v));
        if (json_kind(v) != (texts ? JSON_STRING : JSON_NUMBER))
            return fail_at(*doc, v,
                           texts ? "a prediction is a string, \"\" for no answer"
                                 : "null odds are a number",
                           err);
        if (i < 0) {
            first = strangers++ ? first : json_key(v);
        } else if (texts) {
            s->text[i] = json_string(v);
        } else {
            s->odds_of[i] = json_number(v);
            s->order[i] = at;
        }
    }
    tell_strangers(s, path, strangers, first);
    return 0;
}

/* How many there are of; the first in *i. */
static int64_t count_missing(const struct scoring *s, bool texts, int64_t *first)
{
    int64_t n = 0;

    for (int64_t i = s->ex->n; i-- > 0;)
        if (texts ? !s->text[i] : isnan(s->odds_of[i])) {
            n++;
            *first = i;
        }
    return n;
}

/* Version 1 counts a question without prediction as wrong; the script of version 2 knows
 * no score of a part. */
static int check_missing(const struct scoring *s, bool texts, const char *path,
                         struct err *err)
{
    int64_t first = 0, n = count_missing(s, texts, &first);

    if (n == 0)
        return 0;
    if (!texts || s->rules == SQUAD_V2)
        return err_set(
            err, ERR_INPUT, "%s: %lld of %lld questions have no %s; the first is %.100s",
            path, (long long)n, (long long)s->ex->n,
            texts ? "prediction (\"\" says that there is no answer)" : "null odds",
            s->ex->v[first].id);
    if (!s->args->common.quiet)
        fprintf(stderr,
                "retort: %s: %lld of %lld questions have no prediction and score 0; the "
                "first is %.100s\n",
                path, (long long)n, (long long)s->ex->n, s->ex->v[first].id);
    return 0;
}

static int read_all(struct scoring *s, struct err *err)
{
    const struct args *a = s->args;
    int64_t n;

    s->rules = a->rules == RULES_V1   ? SQUAD_V1
               : a->rules == RULES_V2 ? SQUAD_V2
                                      : SQUAD_AUTO;
    s->ex = examples_new(err);
    if (!s->ex || squad_read(a->data, &s->rules, s->ex, err))
        return -1;
    if (a->null_odds && s->rules == SQUAD_V1)
        return err_set(err, ERR_INPUT,
                       "%s is of version 1.1, where every question has an answer; null "
                       "odds are of version 2.0 (--rules v2.0 takes it so)",
                       a->data);
    n = s->ex->n;
    s->by_id = mem_new(n, sizeof *s->by_id, err);
    s->text = mem_new(n, sizeof *s->text, err);
    s->odds_of = mem_new(n, sizeof *s->odds_of, err);
    s->order = mem_new(n, sizeof *s->order, err);
    if (!s->by_id || !s->text || !s->odds_of || !s->order)
        return -1;
    for (int64_t i = 0; i < n; i++) {
        s->by_id[i] = i;
        s->odds_of[i] = (double)NAN;
    }
    qsort_r(s->by_id, (size_t)n, sizeof *s->by_id, by_id, s->ex);
    if (read_file(s, &s->said, a->predictions, true, err) ||
        check_missing(s, true, a->predictions, err))
        return -1;
    if (!a->null_odds)
        return 0;
    return read_file(s, &s->odds, a->null_odds, false, err) ||
                   check_missing(s, false, a->null_odds, err)
               ? -1
               : 0;
}

/* ---- what is printed ---- */

/* As Python writes a float: the shortest text that reads back the same, with a point. */
static void put(struct strbuf *out, bool lines, const char *key, double x)
{
    size_t at;

    if (out->len > 1)
        strbuf_puts(out, lines ? "," : ", ");
    strbuf_printf(out, "%s\"%s\": ", lines ? "\n  " : "", key);
    at = out->len;
    strbuf_double(out, x);
    if (!strpbrk(strbuf_text(out) + at, ".e"))
        strbuf_puts(out, ".0");
}

static double share(double sum, int64_t n)
{
    return 100.0 * sum / (double)n;
}

static void put_part(struct strbuf *out, const char *prefix, const struct squad_sum *s)
{
    char key[64];

    if (s->n == 0)
        return;
    snprintf(key, sizeof key, "%sexact", prefix);
    put(out, true, key, share(s->exact, s->n));
    snprintf(key, sizeof key, "%sf1", prefix);
    put(out, true, key, share(s->f1, s->n));
    strbuf_printf(out, ",\n  \"%stotal\": %lld", prefix, (long long)s->n);
}

static void print_scores(const struct scoring *s, const struct squad_scores *scores,
                         struct strbuf *out)
{
    const struct squad_sum *all = &scores->all;

    strbuf_putc(out, '{');
    if (s->rules == SQUAD_V1) {
        put(out, false, "exact_match", share(all->exact, all->n));
        put(out, false, "f1", share(all->f1, all->n));
        strbuf_puts(out, "}\n");
        return;
    }
    put_part(out, "", all);
    put_part(out, "HasAns_", &scores->answerable);
    put_part(out, "NoAns_", &scores->unanswerable);
    if (s->odds) {
        put(out, true, "best_exact", share(scores->exact.sum, all->n));
        put(out, true, "best_exact_thresh", scores->exact.threshold);
        put(out, true, "best_f1", share(scores->f1.sum, all->n));
        put(out, true, "best_f1_thresh", scores->f1.threshold);
    }
    strbuf_puts(out, "\n}\n");
}

static void release(struct scoring *s)
{
    free(s->order);
    free(s->odds_of);
    free(s->text);
    free(s->by_id);
    json_doc_free(s->odds);
    json_doc_free(s->said);
    examples_free(s->ex);
}

static int read_threshold(struct scoring *s, struct err *err)
{
    const struct args *a = s->args;

    s->threshold = (double)INFINITY;
    if (!a->null_threshold)
        return 0;
    if (!a->null_odds)
        return err_set(err, ERR_INPUT, "--null-threshold needs --null-odds");
    if (text_double(&s->threshold, a->null_threshold))
        return err_set(err, ERR_INPUT, "--null-threshold is a number, this is \"%s\"",
                       a->null_threshold);
    return 0;
}

static int run(const void *given)
{
    const struct args *a = given;
    struct scoring s = {.args = a};
    struct squad_scores scores;
    struct squad_said said;
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    int rc = read_threshold(&s, &err);

    if (!rc)
        rc = read_all(&s, &err);
    said = (struct squad_said){s.text, s.odds ? s.odds_of : NULL, s.order, s.threshold};
    if (!rc)
        rc = squad_score_all(&scores, s.ex, &said, s.rules, &err);
    if (!rc)
        print_scores(&s, &scores, &out);
    release(&s);
    if (rc) {
        strbuf_release(&out);
        return tell_error(&err);
    }
    return print_text(&out);
}

#define AT(field) offsetof(struct args, field)
static const struct operand operands[] = {
    {.name = "DATA",
     .help = "a file of SQuAD's form: dev-v1.1.json, dev-v2.0.json",
     .offset = AT(data)},
    {.name = "PREDICTIONS",
     .help = "a JSON object: an answer for each question's id",
     .offset = AT(predictions)},
    OPERAND_END,
};
static const struct flag flags[] = {
    {.name = "null-odds",
     .type = OPT_STRING,
     .value = "FILE",
     .help = "of version 2: a JSON object, a number for each id, the larger the rather "
             "there is no answer; the best thresholds are looked for",
     .offset = AT(null_odds)},
    {.name = "null-threshold",
     .type = OPT_STRING,
     .value = "X",
     .help = "take back the answers whose null odds are above it",
     .offset = AT(null_threshold)},
    {.name = "rules",
     .type = OPT_ENUM,
     .choices = rules_choices,
     .def = "auto",
     .help = "which script's; auto: by what DATA says of itself",
     .offset = AT(rules)},
    FLAG_END,
};

const struct verb verb_score = {
    .name = "score",
    .group = "Results",
    .summary = "SQuAD's official scores of a file of predictions",
    .operands = operands,
    .flags = flags,
    .common = COMMON_QUIET,
    .about =
        "Prints what evaluate-v1.1.py or evaluate-v2.0.py print: their keys, their "
        "order, "
        "all digits. No model and no store are needed. `retort export --squad` writes "
        "such files from runs.\n\n"
        "  retort score dev-v1.1.json predictions.json\n"
        "  retort score dev-v2.0.json predictions.json --null-odds null_odds.json\n\n"
        "The script of version 2 applies a threshold of 1 unless it is told another; "
        "here answers are taken back only where --null-threshold is given.",
    .size = sizeof(struct args),
    .run = run,
};
