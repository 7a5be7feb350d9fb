/*
 * Answers from the logits of windows: see struct span_rule in retort/task.h.
 */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A guess and where it came from: guesses of one score keep the order in which they were
 * found. */
struct found {
    struct span_guess guess;
    double score;
    int64_t order;
};

struct span_search {
    struct found *v;
    int64_t n, capacity;
    int32_t *start, *end; /* the best positions of a window */
    int64_t top_capacity;
};

struct span_search *span_search_new(struct err *err)
{
    return mem_new(1, sizeof(struct span_search), err);
}

void span_search_free(struct span_search *s)
{
    if (!s)
        return;
    free(s->end);
    free(s->start);
    free(s->v);
    free(s);
}

static int reserve(struct span_search *s, int64_t n_best, struct err *err)
{
    int32_t *start, *end;

    if (n_best <= s->top_capacity)
        return 0;
    start = mem_resize(s->start, n_best, sizeof *start, err);
    s->start = start ? start : s->start;
    end = start ? mem_resize(s->end, n_best, sizeof *end, err) : NULL;
    s->end = end ? end : s->end;
    s->top_capacity = end ? n_best : s->top_capacity;
    return end ? 0 : -1;
}

/* Positions of the k largest of every second value, largest first, the first of equals.
 * Returns how many there are; what is no number is none of them. */
static int64_t largest(int32_t *out, int64_t k, const float *v, int64_t n)
{
    int64_t have = 0;

    for (int64_t i = 0; i < n; i++) {
        int64_t at = have;
        if (isnan(v[2 * i]))
            continue;
        while (at > 0 && v[2 * i] > v[2 * (int64_t)out[at - 1]])
            at--;
        if (at == k)
            continue;
        have += have < k;
        memmove(out + at + 1, out + at, (size_t)(have - 1 - at) * sizeof *out);
        out[at] = (int32_t)i;
    }
    return have;
}

static int add_guess(struct span_search *s, struct span_guess g, struct err *err)
{
    void *v = s->v;

    if (mem_grow(&v, s->n, &s->capacity, sizeof *s->v, err))
        return -1;
    s->v = v;
    s->v[s->n] = (struct found){g, (double)g.start + (double)g.end, s->n};
    s->n++;
    return 0;
}

static int add_window(struct span_search *s, const struct sequence *w,
                      const float *logits, const struct span_rule *rule, struct err *err)
{
    int64_t n_start = largest(s->start, rule->n_best, logits, w->n);
    int64_t n_end = largest(s->end, rule->n_best, logits + 1, w->n);

    for (int64_t i = 0; i < n_start; i++)
        for (int64_t j = 0; j < n_end; j++) {
            int32_t a = s->start[i], b = s->end[j];
            if (w->from[a] < 0 || w->from[b] < 0 || !w->best[a] || b < a ||
                b - a + 1 > rule->max_answer)
                continue;
            if (add_guess(s,
                          (struct span_guess){w->from[a], w->to[b],
                                              logits[2 * (int64_t)a],
                                              logits[2 * (int64_t)b + 1]},
                          err))
                return -1;
        }
    return 0;
}

static int by_score(const void *pa, const void *pb)
{
    const struct found *a = pa, *b = pb;

    if (a->score < b->score || a->score > b->score)
        return a->score > b->score ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static bool same_text(const char *context, struct span_guess a, struct span_guess b)
{
    int32_t n = a.to - a.from;

    if (a.from < 0 || b.from < 0)
        return a.from == b.from;
    return n == b.to - b.from && !memcmp(context + a.from, context + b.from, (size_t)n);
}

static bool is_in(const struct span_list *list, const char *context, struct span_guess g)
{
    for (int64_t i = 0; i < list->n; i++)
        if (same_text(context, list->v[i], g))
            return true;
    return false;
}

/* The best n_best of what was found; no answer stays in the list, however bad it is. */
static int make_list(struct span_search *s, struct predictions *p, int64_t i,
                     const struct span_guess *none, struct err *err)
{
    static const struct span_guess empty = {SPAN_EMPTY, SPAN_EMPTY, 0, 0};
    const char *context = p->data->raw->v[i].b;
    int64_t n_best = p->data->span.n_best;
    struct span_list *list = &p->guess[i];

    if (none && add_guess(s, *none, err))
        return -1;
    qsort(s->v, (size_t)s->n, sizeof *s->v, by_score);
    list->v = arena_alloc(p->arena, ((s->n < n_best ? s->n : n_best) + 2) *
                                        (int64_t)sizeof *list->v);
    if (!list->v)
        return arena_failed(p->arena, err);
    for (int64_t k = 0; k < s->n && list->n < n_best; k++)
        if (!is_in(list, context, s->v[k].guess))
            list->v[list->n++] = s->v[k].guess;
    if (none && !is_in(list, context, *none))
        list->v[list->n++] = *none;
    if (list->n == 0 || (list->n == 1 && list->v[0].from == SPAN_NONE)) {
        memmove(list->v + 1, list->v, (size_t)list->n * sizeof *list->v);
        list->v[0] = empty;
        list->n++;
    }
    return 0;
}

const char *span_text(const struct predictions *p, int64_t i, struct span_guess g)
{
    if (g.from == SPAN_NONE)
        return "";
    if (g.from == SPAN_EMPTY)
        return "empty";
    return arena_printf(p->arena, "%.*s", (int)(g.to - g.from),
                        p->data->raw->v[i].b + g.from);
}

/* The window whose [CLS] says least that there is no answer. */
static struct span_guess least_null(const float *const *logits, int64_t n)
{
    struct span_guess none = {SPAN_NONE, SPAN_NONE, logits[0][0], logits[0][1]};

    for (int64_t w = 1; w < n; w++)
        if ((double)logits[w][0] + (double)logits[w][1] <
            (double)none.start + (double)none.end)
            none = (struct span_guess){SPAN_NONE, SPAN_NONE, logits[w][0], logits[w][1]};
    return none;
}

static void decide(struct predictions *p, int64_t i, const struct span_guess *none)
{
    const struct span_list *list = &p->guess[i];
    struct span_guess best = list->v[0];

    for (int64_t k = 1; best.from == SPAN_NONE && k < list->n; k++)
        best = list->v[k];
    p->logits[2 * i] = best.start;
    p->logits[2 * i + 1] = best.end;
    p->text[i] = span_text(p, i, best);
    if (!none)
        return;
    p->answer[i] = p->text[i];
    p->null_odds[i] =
        (double)none->start + (double)none->end - (double)best.start - (double)best.end;
    if (p->null_odds[i] > p->data->span.null_threshold)
        p->text[i] = "";
}

int span_predict(struct span_search *s, struct predictions *p, int64_t i,
                 const float *const *logits, struct err *err)
{
    const struct dataset *d = p->data;
    int64_t first = d->first[i], n = d->first[i + 1] - first;
    struct span_guess none = least_null(logits, n);
    const struct span_guess *may = d->task->no_answer ? &none : NULL;

    s->n = 0;
    if (reserve(s, d->span.n_best, err))
        return -1;
    for (int64_t w = 0; w < n; w++)
        if (add_window(s, &d->seq[first + w], logits[w], &d->span, err))
            return -1;
    if (make_list(s, p, i, may, err))
        return -1;
    decide(p, i, may);
    return arena_failed(p->arena, err);
}
