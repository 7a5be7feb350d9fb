/*
 * From raw examples to sequences of tokens: [CLS] a [SEP], [CLS] a [SEP] b [SEP], one
 * sequence for each choice, windows over long contexts.
 */
#include "retort/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kind.h"
#include "pack.h"
#include "retort/rng.h"

enum { MAX_LEN_LEAST = 8, MAX_LEN_MOST = 1 << 20 };

struct encoder {
    struct dataset *data;
    const struct tokenizer *tok;
    const struct encoding *how;
    int64_t stride;
    int64_t capacity; /* of data->seq */
    struct tokens a, b;
    char *joined; /* b and choice */
    int64_t joined_capacity;
    const struct example *ex;
    int64_t i; /* its index */
    struct encode_watch watch;
    struct lookout lookout; /* over all texts */
    int64_t bytes;          /* read so far */
};

static bool tell_examples(void *ctx, int64_t done)
{
    const struct encoder *e = ctx;

    (void)done;
    return e->how->progress(e->how->progress_ctx, e->i, e->data->n);
}

/* Part of a text's tokens. */
struct piece {
    const struct tokens *of;
    int64_t begin, n;
};

static const char *example_name(const struct encoder *e)
{
    return e->ex->id ? e->ex->id : "without id";
}

/* A new sequence of the current example, filled with [CLS] a [SEP] and, if not NULL, b
 * [SEP]. */
static struct sequence *add_sequence(struct encoder *e, int64_t part, struct piece a,
                                     const struct piece *b, struct err *err)
{
    struct dataset *data = e->data;
    int64_t n = a.n + 2 + (b ? b->n + 1 : 0), at = 0;
    void *v = data->seq;

    if (mem_grow(&v, data->n_seq, &e->capacity, sizeof *data->seq, err))
        return NULL;
    data->seq = v;
    struct sequence *s = &data->seq[data->n_seq];
    *s = (struct sequence){
        .n = (int32_t)n, .example = (int32_t)e->i, .part = (int32_t)part};
    s->id = arena_alloc(data->arena, n * (int64_t)sizeof *s->id);
    s->type = arena_zalloc(data->arena, n * (int64_t)sizeof *s->type);
    if (arena_failed(data->arena, err))
        return NULL;
    s->id[at++] = data->special.cls;
    for (int64_t i = 0; i < a.n; i++)
        s->id[at++] = a.of->id[a.begin + i];
    s->id[at++] = data->special.sep;
    s->context = (int32_t)at;
    for (int64_t i = 0; b && i < b->n; i++) {
        s->type[at] = 1;
        s->id[at++] = b->of->id[b->begin + i];
    }
    if (b) {
        s->type[at] = 1;
        s->id[at] = data->special.sep;
    }
    s->label = e->ex->label;
    s->value = (float)e->ex->value;
    data->n_seq++;
    data->n_tokens += n;
    return s;
}

static int encode_text(struct encoder *e, struct tokens *out, const char *text,
                       const char *what, struct err *err)
{
    if (!text)
        return err_set(err, ERR_INPUT, "example %s: has no %s", example_name(e), what);
    int64_t len = (int64_t)strlen(text);
    tokens_clear(out);
    e->bytes += len;
    return tokenizer_encode_watched(e->tok, text, len, out, e->lookout.watch, err) ||
                   lookout_pass(&e->lookout, e->bytes, err)
               ? -1
               : 0;
}

/* The reference's "longest first": both end as long as each other where
 * both must be cut. */
static void cut_pair(int64_t *a, int64_t *b, int64_t room)
{
    if (*a + *b <= room)
        return;
    int64_t *small = *a <= *b ? a : b, *large = *a <= *b ? b : a;
    *large = *small > room ? *small : room - *small > *small ? room - *small : *small;
    if (*small + *large > room) {
        *small = room / 2;
        *large = *small + room % 2;
    }
}

/* The sequence of e->a and, if `pair`, e->b. */
static int add_pair(struct encoder *e, int64_t part, bool pair, struct err *err)
{
    struct piece a = {&e->a, 0, e->a.n}, b = {&e->b, 0, e->b.n};
    int64_t room = e->data->max_len - (pair ? 3 : 2), all = a.n + (pair ? b.n : 0);

    if (pair)
        cut_pair(&a.n, &b.n, room);
    else
        a.n = a.n < room ? a.n : room;
    struct sequence *s = add_sequence(e, part, a, pair ? &b : NULL, err);
    if (!s)
        return -1;
    s->cut = all > room;
    e->data->n_cut += s->cut;
    return 0;
}

static int encode_plain(struct encoder *e, struct err *err)
{
    const struct task *task = e->data->task;

    if (task->kind == TASK_CLASSES && (e->ex->label < -1 || e->ex->label >= task->labels))
        return err_set(err, ERR_INPUT, "example %s: label is %d; %s has 0 to %lld",
                       example_name(e), (int)e->ex->label, task->name,
                       (long long)task->labels - 1);
    if (encode_text(e, &e->a, e->ex->a, "text", err))
        return -1;
    if (e->ex->b && encode_text(e, &e->b, e->ex->b, "second text", err))
        return -1;
    return add_pair(e, 0, e->ex->b != NULL, err);
}

/* "b choice", or the choice alone. */
static const char *join(struct encoder *e, const char *choice, struct err *err)
{
    if (!e->ex->b || !choice)
        return choice;
    int64_t need = (int64_t)(strlen(e->ex->b) + strlen(choice)) + 2;
    if (need > e->joined_capacity) {
        char *grown = mem_resize(e->joined, need, 1, err);
        if (!grown)
            return NULL;
        e->joined = grown;
        e->joined_capacity = need;
    }
    snprintf(e->joined, (size_t)need, "%s %s", e->ex->b, choice);
    return e->joined;
}

static int encode_choices(struct encoder *e, struct err *err)
{
    if (e->ex->n_choices < 1)
        return err_set(err, ERR_INPUT, "example %s: has no choices", example_name(e));
    if (e->ex->label < -1 || e->ex->label >= e->ex->n_choices)
        return err_set(
            err, ERR_INPUT, "example %s: the right choice is %d; there are 0 to %lld",
            example_name(e), (int)e->ex->label, (long long)e->ex->n_choices - 1);
    if (e->how->causal)
        return pack_choices(e->data, e->i, e->tok, e->how, &e->capacity, err);
    if (encode_text(e, &e->a, e->ex->a, "question", err))
        return -1;
    for (int64_t c = 0; c < e->ex->n_choices; c++) {
        const char *text = join(e, e->ex->choices[c], err);
        if (encode_text(e, &e->b, text, "text of a choice", err) ||
            add_pair(e, c, true, err))
            return -1;
    }
    return 0;
}

/* ---- spans ---- */

/* Where each token of the window lies in the context. */
static int place_window(struct encoder *e, struct sequence *s, struct piece w,
                        struct err *err)
{
    struct arena *arena = e->data->arena;

    s->from = arena_alloc(arena, s->n * (int64_t)sizeof *s->from);
    s->to = arena_alloc(arena, s->n * (int64_t)sizeof *s->to);
    s->best = arena_zalloc(arena, s->n * (int64_t)sizeof *s->best);
    if (arena_failed(arena, err))
        return -1;
    for (int32_t i = 0; i < s->n; i++)
        s->from[i] = s->to[i] = -1;
    for (int64_t i = 0; i < w.n; i++) {
        s->from[s->context + i] = (int32_t)w.of->begin[w.begin + i];
        s->to[s->context + i] = (int32_t)w.of->end[w.begin + i];
    }
    return 0;
}

/*
 * Positions of the first answer if the window holds all of it, else 0 0 ([CLS]); -1 -1 if
 * it is not known. The start is the last token that begins at or before the answer, the
 * end the first that ends at or after it, as in the reference's run_qa (which forgets to
 * stop at the context's end, so that an answer beginning in a window's last token is lost
 * there; here it is not).
 */
static void find_answer(const struct example *ex, struct sequence *s, int64_t n_context)
{
    int32_t first = s->context, last = (int32_t)(s->context + n_context - 1);

    s->start = s->end = ex->answerable && ex->n_answers == 0 ? -1 : 0;
    if (ex->n_answers == 0 || n_context == 0)
        return;
    int64_t begin = ex->answers[0].begin,
            end = begin + (int64_t)strlen(ex->answers[0].text);
    if (begin < 0)
        s->start = s->end = -1;
    if (begin < 0 || s->from[first] > begin || s->to[last] < end)
        return;
    while (first < last && s->from[first + 1] <= begin)
        first++;
    while (last > s->context && s->to[last - 1] >= end)
        last--;
    s->start = first;
    s->end = last;
}

/*
 * A token of several windows counts in the one with the most context around it: the
 * largest min(left, right) + 0.01 * length of the window, the first of equals (Devlin et
 * al. 2019, run_squad).
 */
static void mark_best(struct sequence *v, int64_t n, int64_t n_context, int64_t room,
                      int64_t step)
{
    for (int64_t t = 0; t < n_context; t++) {
        int64_t best = -1, best_score = -1;
        int64_t w = t < room ? 0 : (t - room) / step + 1;
        for (; w < n && w * step <= t; w++) {
            int64_t len = v[w].n - v[w].context - 1, left = t - w * step,
                    right = len - 1 - left;
            int64_t score = 100 * (left < right ? left : right) + len;
            if (score > best_score) {
                best = w;
                best_score = score;
            }
        }
        if (best >= 0)
            v[best].best[v[best].context + t - best * step] = true;
    }
}

/* A question leaves the windows their overlap and a quarter of the rest, so that they get
 * on. */
static int64_t question_max(const struct encoder *e)
{
    int64_t rest = e->data->max_len - 3 - e->stride;
    return rest - (rest / 4 > 1 ? rest / 4 : 1);
}

static int encode_windows(struct encoder *e, struct err *err)
{
    struct dataset *data = e->data;
    int64_t first = data->n_seq, part = 0;

    if (encode_text(e, &e->a, e->ex->a, "question", err) ||
        encode_text(e, &e->b, e->ex->b, "context", err))
        return -1;
    if (strlen(e->ex->b) > INT32_MAX)
        return err_set(err, ERR_INPUT, "example %s: context is longer than 2 GiB",
                       example_name(e));
    struct piece a = {&e->a, 0, e->a.n};
    a.n = a.n < question_max(e) ? a.n : question_max(e);
    int64_t room = data->max_len - 3 - a.n, step = room - e->stride;
    for (int64_t begin = 0;; begin += step, part++) {
        int64_t left = e->b.n - begin;
        struct piece w = {&e->b, begin, left < room ? left : room};
        struct sequence *s = add_sequence(e, part, a, &w, err);
        if (!s || place_window(e, s, w, err))
            return -1;
        find_answer(e->ex, s, w.n);
        s->cut = a.n < e->a.n;
        data->n_cut += s->cut;
        if (left <= room)
            break;
    }
    mark_best(data->seq + first, data->n_seq - first, e->b.n, room, step);
    return 0;
}

/* ---- whole splits ---- */

static int encode_example(struct encoder *e, struct err *err)
{
    switch (e->data->task->kind) {
    case TASK_SPAN:
        return encode_windows(e, err);
    case TASK_CHOICE:
        return encode_choices(e, err);
    case TASK_CLASSES:
    case TASK_REGRESSION:
    case TASK_MLM:
    case TASK_LM:
        break;
    }
    return encode_plain(e, err);
}

static int check_sizes(const struct task *task, int64_t n, int64_t max_len,
                       int64_t stride, struct err *err)
{
    if (max_len < MAX_LEN_LEAST || max_len > MAX_LEN_MOST)
        return err_set(err, ERR_INPUT, "%s: max_len is %lld; use %d to %d", task->name,
                       (long long)max_len, MAX_LEN_LEAST, MAX_LEN_MOST);
    if (task->kind == TASK_SPAN && (stride < 0 || stride > max_len / 2))
        return err_set(err, ERR_INPUT,
                       "%s: stride is %lld; use 0 to half of max_len, %lld", task->name,
                       (long long)stride, (long long)max_len / 2);
    if (n > INT32_MAX)
        return err_set(err, ERR_INPUT, "%s: %lld examples; at most 2^31 - 1 fit",
                       task->name, (long long)n);
    return 0;
}

static int encode_all(struct encoder *e, struct err *err)
{
    struct dataset *data = e->data;

    data->arena = arena_new(err);
    if (data->task->kind == TASK_LM)
        return data->arena ? pack_documents(data, e->tok, e->how, err) : -1;
    data->first = mem_new(data->n + 1, sizeof *data->first, err);
    data->index = mem_new(data->n, sizeof *data->index, err);
    if (!data->arena || !data->first || !data->index)
        return -1;
    for (e->i = 0; e->i < data->n; e->i++) {
        e->ex = &data->raw->v[e->i];
        data->index[e->i] = e->i;
        data->first[e->i] = data->n_seq;
        if (encode_example(e, err))
            return -1;
        if (data->n_seq > INT32_MAX)
            return err_set(err, ERR_INPUT, "%s: more than 2^31 - 1 sequences",
                           data->name);
    }
    data->first[data->n] = data->n_seq;
    return 0;
}

int dataset_encode(struct dataset **out, const struct task *task, struct examples *raw,
                   const char *split, const struct tokenizer *tok, int64_t max_len,
                   int64_t stride, struct err *err)
{
    struct encoding how = {
        .max_len = max_len, .stride = stride, .causal = task->kind == TASK_LM};

    return dataset_encode_as(out, task, raw, split, tok, &how, err);
}

int dataset_encode_as(struct dataset **out, const struct task *task, struct examples *raw,
                      const char *split, const struct tokenizer *tok,
                      const struct encoding *how, struct err *err)
{
    struct dataset *data = mem_new(1, sizeof *data, err);
    struct encoder e = {.data = data, .tok = tok, .how = how, .stride = how->stride};
    int rc = -1;

    if (!data) {
        examples_free(raw);
        return -1;
    }
    e.watch = (struct encode_watch){tell_examples, &e};
    e.lookout.watch = how->progress ? &e.watch : NULL;
    data->task = task;
    data->raw = raw;
    data->n = raw->n;
    data->max_len = how->max_len;
    data->causal = how->causal;
    data->windows = how->windows;
    data->special = tokenizer_special(tok);
    data->n_vocab = tokenizer_size(tok);
    data->span = (struct span_rule){20, 30, 0};
    int len = snprintf(data->name, sizeof data->name, "%s/%s", task->name, split);
    if (len < 0 || (size_t)len >= sizeof data->name) {
        err_set(err, ERR_INPUT, "%s/%s: the name is longer than %d bytes", task->name,
                split, (int)sizeof data->name - 1);
        goto done;
    }
    if (check_sizes(task, raw->n, how->max_len, how->stride, err))
        goto done;
    if (encode_all(&e, err)) {
        err_prefix(err, "%s", data->name);
        goto done;
    }
    *out = data;
    data = NULL;
    rc = 0;
done:
    tokens_release(&e.a);
    tokens_release(&e.b);
    free(e.joined);
    dataset_free(data);
    return rc;
}

void dataset_free(struct dataset *data)
{
    if (!data)
        return;
    examples_free(data->raw);
    free(data->seq);
    free(data->first);
    free(data->index);
    arena_free(data->arena);
    free(data);
}
