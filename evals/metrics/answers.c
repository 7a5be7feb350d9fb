/*
 * Answers as words, compared as SQuAD's official scripts do (retort/squad.h).
 *
 * A text is lowered, loses its ASCII punctuation, then its articles: runs of word
 * characters that read a, an or the. Only then is it split at blanks, so "a-b" is one
 * word "ab", while of "a b" with any other dash between them the article goes.
 */
#include "labels.h"

#include <stdlib.h>
#include <string.h>

#include "retort/squad.h"
#include "retort/utf8.h"

struct fold_range {
    uint32_t first, last;
};
struct fold_lower { /* first, first + step, ... last: each becomes itself + delta */
    uint32_t first, last;
    int32_t delta;
    uint32_t step;
};
#include "fold.inc"

enum { CAPITAL_I_DOT = 0x130, DOT_ABOVE = 0x307, CAPITAL_SIGMA = 0x3a3 };
enum { SMALL_SIGMA = 0x3c3, FINAL_SIGMA = 0x3c2 };

/* ---- characters ---- */

/* Rows of both tables begin with the range. */
static int by_range(const void *key, const void *row)
{
    uint32_t c = *(const uint32_t *)key;
    const struct fold_range *r = row;

    return c < r->first ? -1 : c > r->last;
}

#define FIND(table, c)                                                                   \
    bsearch(&(c), table, sizeof table / sizeof *table, sizeof *table, by_range)

static bool is_word(uint32_t c)
{
    if (c < 0x80)
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               (c >= '0' && c <= '9') || c == '_';
    return FIND(fold_words, c) != NULL;
}

static bool is_space(uint32_t c)
{
    return FIND(fold_spaces, c) != NULL;
}

static bool is_punct(uint32_t c)
{
    return c < 0x80 && c > ' ' && c != 0x7f && (!is_word(c) || c == '_');
}

static bool is_cased(uint32_t c)
{
    return FIND(fold_cased, c) != NULL;
}

static bool is_ignorable(uint32_t c)
{
    return FIND(fold_ignorable, c) != NULL;
}

/* The sigma at v[i] ends a word: a cased letter before it and none behind, whatever
 * marks there are between (Unicode's Final_Sigma). */
static bool ends_word(const uint32_t *v, int64_t n, int64_t i)
{
    int64_t j = i - 1;

    while (j >= 0 && is_ignorable(v[j]))
        j--;
    if (j < 0 || !is_cased(v[j]))
        return false;
    for (j = i + 1; j < n && is_ignorable(v[j]);)
        j++;
    return j == n || !is_cased(v[j]);
}

static uint32_t lower(uint32_t c)
{
    const struct fold_lower *row;

    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    row = FIND(fold_lowers, c);
    return row && (c - row->first) % row->step == 0 ? (uint32_t)((int32_t)c + row->delta)
                                                    : c;
}

/* ---- words ---- */

struct word {
    const uint32_t *c;
    int64_t n;
};
struct words {
    uint32_t *text;
    struct word *word, *sorted; /* n each */
    int64_t n;
};

static void words_release(struct words *w)
{
    free(w->text);
    free(w->word);
    free(w->sorted);
}

/* Lowered and without punctuation. `out` holds as many as the text has bytes: a capital I
 * with a dot has two, and becomes two characters. */
static int64_t fold(uint32_t *out, const uint32_t *in, int64_t n)
{
    int64_t k = 0;

    for (int64_t i = 0; i < n; i++) {
        if (in[i] == CAPITAL_SIGMA) {
            out[k++] = ends_word(in, n, i) ? FINAL_SIGMA : SMALL_SIGMA;
        } else if (in[i] == CAPITAL_I_DOT) {
            out[k++] = 'i';
            out[k++] = DOT_ABOVE;
        } else if (!is_punct(in[i])) {
            out[k++] = lower(in[i]);
        }
    }
    return k;
}

static bool is_article(const uint32_t *c, int64_t n)
{
    return (n == 1 && c[0] == 'a') || (n == 2 && c[0] == 'a' && c[1] == 'n') ||
           (n == 3 && c[0] == 't' && c[1] == 'h' && c[2] == 'e');
}

static void blank_articles(uint32_t *c, int64_t n)
{
    for (int64_t i = 0; i < n;) {
        int64_t begin = i;
        while (i < n && is_word(c[i]))
            i++;
        if (is_article(c + begin, i - begin))
            for (int64_t k = begin; k < i; k++)
                c[k] = ' ';
        while (i < n && !is_word(c[i]))
            i++;
    }
}

static void split(struct words *w, const uint32_t *c, int64_t n)
{
    for (int64_t i = 0; i < n;) {
        int64_t begin;
        while (i < n && is_space(c[i]))
            i++;
        for (begin = i; i < n && !is_space(c[i]);)
            i++;
        if (i > begin)
            w->word[w->n++] = (struct word){c + begin, i - begin};
    }
}

static int by_word(const void *pa, const void *pb)
{
    const struct word *a = pa, *b = pb;

    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    return memcmp(a->c, b->c, (size_t)a->n * sizeof *a->c);
}

static int words_init(struct words *w, const char *s, struct err *err)
{
    int64_t len = (int64_t)strlen(s), n = 0, most = len / 2 + 1;
    uint32_t *given = mem_new(len + 1, sizeof *given, err);

    *w = (struct words){mem_new(len + 1, sizeof *w->text, err),
                        mem_new(most, sizeof *w->word, err),
                        mem_new(most, sizeof *w->sorted, err), 0};
    if (!given || !w->text || !w->word || !w->sorted) {
        free(given);
        return -1;
    }
    for (int64_t at = 0; at < len;)
        at += utf8_read(s + at, len - at, &given[n++]);
    n = fold(w->text, given, n);
    free(given);
    blank_articles(w->text, n);
    split(w, w->text, n);
    memcpy(w->sorted, w->word, (size_t)w->n * sizeof *w->word);
    qsort(w->sorted, (size_t)w->n, sizeof *w->sorted, by_word);
    return 0;
}

/* ---- scores ---- */

static double exact(const struct words *a, const struct words *b)
{
    if (a->n != b->n)
        return 0;
    for (int64_t i = 0; i < a->n; i++)
        if (by_word(&a->word[i], &b->word[i]))
            return 0;
    return 1;
}

static int64_t count_common(const struct words *a, const struct words *b)
{
    int64_t i = 0, j = 0, common = 0;

    while (i < a->n && j < b->n) {
        int c = by_word(&a->sorted[i], &b->sorted[j]);
        common += c == 0;
        i += c <= 0;
        j += c >= 0;
    }
    return common;
}

/* In the order of the scripts' operations, so that sums have their bits. */
static double overlap(const struct words *said, const struct words *right,
                      enum squad_rules rules)
{
    int64_t common;
    double precision, recall;

    if (rules == SQUAD_V2 && (!said->n || !right->n))
        return said->n == right->n;
    common = count_common(said, right);
    if (common == 0)
        return 0;
    precision = 1.0 * (double)common / (double)said->n;
    recall = 1.0 * (double)common / (double)right->n;
    return 2 * precision * recall / (precision + recall);
}

static void keep_best(struct squad_score *best, const struct words *said,
                      const struct words *right, enum squad_rules rules)
{
    double same = exact(said, right), f1 = overlap(said, right, rules);

    best->exact = same > best->exact ? same : best->exact;
    best->f1 = f1 > best->f1 ? f1 : best->f1;
}

int squad_compare(struct squad_score *out, const struct example *ex, const char *said,
                  enum squad_rules rules, struct err *err)
{
    struct words a = {NULL, NULL, NULL, 0}, right = {NULL, NULL, NULL, 0};
    int64_t usable = 0;
    int rc = words_init(&a, said, err);

    *out = (struct squad_score){0, 0};
    for (int64_t i = 0; rc == 0 && i < ex->n_answers; i++) {
        rc = words_init(&right, ex->answers[i].text, err);
        if (rc == 0 && (rules == SQUAD_V1 || right.n)) {
            keep_best(out, &a, &right, rules);
            usable++;
        }
        words_release(&right);
    }
    if (rc == 0 && !usable) /* "" is right */
        keep_best(out, &a, &(struct words){NULL, NULL, NULL, 0}, rules);
    words_release(&a);
    return rc;
}
