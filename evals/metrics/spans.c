/*
 * Sums of SQuAD's scores, thresholds for giving no answer, and the metrics made of both.
 */
#include "labels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "retort/squad.h"

/* ---- sums ---- */

static void add(struct squad_sum *sum, struct squad_score s)
{
    sum->n++;
    sum->exact += s.exact;
    sum->f1 += s.f1;
}

/* What the answer is worth if it is taken back where its odds say so. */
static struct squad_score applied(const struct squad_said *said, int64_t i,
                                  const struct example *ex, struct squad_score raw)
{
    double right = ex->n_answers == 0;

    if (!said->null_odds || !(said->null_odds[i] > said->threshold))
        return raw;
    return (struct squad_score){right, right};
}

static void sum_all(struct squad_scores *out, const struct examples *ex,
                    const struct squad_said *said, const struct squad_score *raw)
{
    for (int64_t i = 0; i < ex->n; i++) {
        struct squad_score s = applied(said, i, &ex->v[i], raw[i]);
        add(&out->all, s);
        add(ex->v[i].n_answers ? &out->answerable : &out->unanswerable, s);
    }
}

/* ---- thresholds ---- */

struct ranked {
    double odds;
    int64_t order, i;
};

static int by_odds(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;

    if (a->odds < b->odds || a->odds > b->odds)
        return a->odds < b->odds ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/*
 * First nothing is answered. Then one answer after another is let through, by rising null
 * odds: it adds what it is worth, or takes away the point of a question without answer.
 * The first of the best sums counts (find_best_thresh of the script).
 */
static struct squad_best search(const struct examples *ex, const struct squad_said *said,
                                const struct ranked *v, const struct squad_score *raw,
                                bool f1)
{
    struct squad_best best = {0, 0};
    double now = 0;

    for (int64_t i = 0; i < ex->n; i++)
        now += ex->v[i].n_answers == 0;
    best.sum = now;
    for (int64_t k = 0; k < ex->n; k++) {
        int64_t i = v[k].i;
        if (ex->v[i].n_answers)
            now += f1 ? raw[i].f1 : raw[i].exact;
        else
            now -= said->text[i] && said->text[i][0];
        if (now > best.sum)
            best = (struct squad_best){now, v[k].odds};
    }
    return best;
}

static int search_both(struct squad_scores *out, const struct examples *ex,
                       const struct squad_said *said, const struct squad_score *raw,
                       struct err *err)
{
    struct ranked *v = mem_new(ex->n, sizeof *v, err);

    if (!v)
        return -1;
    for (int64_t i = 0; i < ex->n; i++)
        v[i] = (struct ranked){said->null_odds[i], said->order ? said->order[i] : i, i};
    qsort(v, (size_t)ex->n, sizeof *v, by_odds);
    out->exact = search(ex, said, v, raw, false);
    out->f1 = search(ex, said, v, raw, true);
    free(v);
    return 0;
}

int squad_score_all(struct squad_scores *out, const struct examples *ex,
                    const struct squad_said *said, enum squad_rules rules,
                    struct err *err)
{
    struct squad_score *raw = mem_new(ex->n, sizeof *raw, err);
    int rc = raw ? 0 : -1;

    *out = (struct squad_scores){.all = {0, 0, 0}};
    for (int64_t i = 0; rc == 0 && i < ex->n; i++)
        if (said->text[i])
            rc = squad_compare(&raw[i], &ex->v[i], said->text[i], rules, err);
    if (rc == 0)
        sum_all(out, ex, said, raw);
    if (rc == 0 && said->null_odds)
        rc = search_both(out, ex, said, raw, err);
    free(raw);
    return rc;
}

/* ---- metrics ---- */

/* The texts are those of the best answer; which of them are taken back depends on the
 * threshold that they were made with, and is done already. */
static int score(struct squad_scores *out, const struct predictions *p, bool search_too,
                 struct err *err)
{
    struct squad_said said = {.text = p->text};

    if (!p->text)
        return err_set(err, ERR_INPUT, "needs texts; %s gives none", p->data->task->name);
    if (p->n < 1)
        return err_set(err, ERR_INPUT, "of no examples is not defined");
    if (search_too) {
        if (!p->answer)
            return err_set(err, ERR_INPUT,
                           "needs the odds of no answer; %s has none, every question of "
                           "it has an answer",
                           p->data->task->name);
        said = (struct squad_said){
            .text = p->answer, .null_odds = p->null_odds, .threshold = (double)INFINITY};
    }
    return squad_score_all(out, p->data->raw, &said,
                           p->data->task->no_answer ? SQUAD_V2 : SQUAD_V1, err);
}

static double mean(double sum, int64_t n)
{
    return n ? sum / (double)n : (double)NAN;
}

int span_f1(double *out, const struct predictions *p, struct err *err)
{
    struct squad_scores s;

    if (score(&s, p, false, err))
        return -1;
    *out = mean(s.all.f1, s.all.n);
    return 0;
}

#define SCORE(name, search_too, value)                                                   \
    static int name(double *out, const struct predictions *p, struct err *err)           \
    {                                                                                    \
        struct squad_scores s;                                                           \
        if (score(&s, p, search_too, err))                                               \
            return -1;                                                                   \
        *out = value;                                                                    \
        return 0;                                                                        \
    }

SCORE(exact_match, false, mean(s.all.exact, s.all.n))
SCORE(answerable_exact, false, mean(s.answerable.exact, s.answerable.n))
SCORE(answerable_f1, false, mean(s.answerable.f1, s.answerable.n))
SCORE(unanswerable, false, mean(s.unanswerable.exact, s.unanswerable.n))
SCORE(best_exact, true, mean(s.exact.sum, s.all.n))
SCORE(best_exact_threshold, true, s.exact.threshold)
SCORE(best_f1, true, mean(s.f1.sum, s.all.n))
SCORE(best_f1_threshold, true, s.f1.threshold)

#define METRIC_ROW(id, text, function, low_, high_)                                      \
    extern const struct metric metric_##id;                                              \
    const struct metric metric_##id = {                                                  \
        .name = #id,                                                                     \
        .summary = text,                                                                 \
        .larger_is_better = true,                                                        \
        .low = low_,                                                                     \
        .high = high_,                                                                   \
        .version = 1,                                                                    \
        .compute = function,                                                             \
    }

METRIC_ROW(exact_match, "share of answers that are word for word right", exact_match, 0,
           1);
METRIC_ROW(answerable_exact, "exact_match of the questions that have an answer",
           answerable_exact, 0, 1);
METRIC_ROW(answerable_f1, "f1 of the questions that have an answer", answerable_f1, 0, 1);
METRIC_ROW(unanswerable, "share of the questions without answer that were given none",
           unanswerable, 0, 1);
METRIC_ROW(best_exact, "exact_match at the best threshold of the null odds", best_exact,
           0, 1);
METRIC_ROW(best_exact_threshold, "the threshold of best_exact", best_exact_threshold, 0,
           0);
METRIC_ROW(best_f1, "f1 at the best threshold of the null odds", best_f1, 0, 1);
METRIC_ROW(best_f1_threshold, "the threshold of best_f1", best_f1_threshold, 0, 0);
