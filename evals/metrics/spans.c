/*
 * Answers as text, in the manner of SQuAD's official script (Rajpurkar et al. 2016):
 * lower case, no ASCII punctuation, no articles (a, an, the), single spaces; the best of
 * several answers counts. An example without an answer wants "". Lower case is that of
 * ASCII.
 */
#include "labels.h"

#include <stdlib.h>
#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_punct(char c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

static bool is_article(const char *w)
{
    return !strcmp(w, "a") || !strcmp(w, "an") || !strcmp(w, "the");
}

struct words {
    char *text, **word;
    int64_t n;
};

static void words_release(struct words *w)
{
    free(w->text);
    free(w->word);
}

static int words_init(struct words *w, const char *s, struct err *err)
{
    size_t len = strlen(s), n = 0;
    *w = (struct words){mem_new((int64_t)len + 1, 1, err),
                        mem_new((int64_t)len / 2 + 1, sizeof(char *), err), 0};
    if (!w->text || !w->word)
        return -1;
    for (; *s; s++)
        if (!is_punct(*s))
            w->text[n++] = *s >= 'A' && *s <= 'Z' ? (char)(*s + 32)
                           : is_space(*s)         ? ' '
                                                  : *s;
    for (char *rest = NULL, *t = strtok_r(w->text, " ", &rest); t;
         t = strtok_r(NULL, " ", &rest))
        if (!is_article(t))
            w->word[w->n++] = t;
    return 0;
}

static double exact(const struct words *a, const struct words *b)
{
    if (a->n != b->n)
        return 0;
    for (int64_t i = 0; i < a->n; i++)
        if (strcmp(a->word[i], b->word[i]))
            return 0;
    return 1;
}

static int by_word(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* 2 * common / (words of both), words counted with their number. Sorts the words. */
static double overlap(const struct words *a, const struct words *b)
{
    int64_t i = 0, j = 0, common = 0;
    if (!a->n || !b->n)
        return a->n == b->n;
    qsort(a->word, (size_t)a->n, sizeof *a->word, by_word);
    qsort(b->word, (size_t)b->n, sizeof *b->word, by_word);
    while (i < a->n && j < b->n) {
        int c = strcmp(a->word[i], b->word[j]);
        common += c == 0;
        i += c <= 0;
        j += c >= 0;
    }
    return 2.0 * (double)common / (double)(a->n + b->n);
}

static int compare(double *out, const char *said, const char *answer, bool want_exact,
                   struct err *err)
{
    struct words a = {NULL, NULL, 0}, b = {NULL, NULL, 0};
    int rc = -1;
    if (words_init(&a, said, err) || words_init(&b, answer, err))
        goto done;
    *out = want_exact ? exact(&a, &b) : overlap(&a, &b);
    rc = 0;
done:
    words_release(&b);
    words_release(&a);
    return rc;
}

static int best_of(double *out, const struct example *e, const char *said,
                   bool want_exact, struct err *err)
{
    *out = 0;
    if (!e->n_answers)
        return compare(out, said, "", want_exact, err);
    for (int64_t i = 0; i < e->n_answers; i++) {
        double x;
        if (compare(&x, said, e->answers[i].text, want_exact, err))
            return -1;
        *out = x > *out ? x : *out;
    }
    return 0;
}

int span_compute(double *out, const struct predictions *p, bool want_exact,
                 struct err *err)
{
    double sum = 0;
    if (!p->text)
        return err_set(err, ERR_INPUT,
                       "exact_match and f1 of spans need texts; %s gives none",
                       p->data->task->name);
    if (p->n < 1)
        return err_set(err, ERR_INPUT, "a metric of no examples is not defined");
    for (int64_t i = 0; i < p->n; i++) {
        double x;
        if (best_of(&x, labels_example(p, i), p->text[i], want_exact, err))
            return -1;
        sum += x;
    }
    *out = sum / (double)p->n;
    return 0;
}

static int exact_match(double *out, const struct predictions *p, struct err *err)
{
    return span_compute(out, p, true, err);
}

extern const struct metric metric_exact_match;
const struct metric metric_exact_match = {
    .name = "exact_match",
    .summary = "share of answers that are word for word right",
    .larger_is_better = true,
    .high = 1,
    .version = 1,
    .compute = exact_match,
};
