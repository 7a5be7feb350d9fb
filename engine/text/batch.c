/*
 * Slices and orders of a dataset, and packed batches of it. Draws are keyed by the
 * example, never by the batch, so batching changes nothing.
 */
#include "retort/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/rng.h"

static const double HIDE = 0.15, HIDE_MASK = 0.8, HIDE_RANDOM = 0.9;

/* ---- slices and orders ---- */

/* The arrays of a slice, until all are there. */
struct slice {
    struct example *raw;
    struct sequence *seq;
    int64_t *first, *index;
};

static int64_t count_sequences(const struct dataset *d, const int64_t *pick, int64_t n)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += d->first[pick[i] + 1] - d->first[pick[i]];
    return sum;
}

static int slice_new(struct slice *s, const struct dataset *d, const int64_t *pick,
                     int64_t n, struct err *err)
{
    s->raw = mem_new(n, sizeof *s->raw, err);
    s->seq = mem_new(count_sequences(d, pick, n), sizeof *s->seq, err);
    s->first = mem_new(n + 1, sizeof *s->first, err);
    s->index = mem_new(n, sizeof *s->index, err);
    if (s->raw && s->seq && s->first && s->index)
        return 0;
    free(s->raw);
    free(s->seq);
    free(s->first);
    free(s->index);
    return -1;
}

/* Moves the picked examples into the slice, which then becomes the dataset's. */
static void slice_take(struct slice *s, struct dataset *d, const int64_t *pick, int64_t n)
{
    int64_t at = 0;

    d->n_tokens = d->n_cut = 0;
    for (int64_t i = 0; i < n; i++) {
        s->raw[i] = d->raw->v[pick[i]];
        s->index[i] = d->index[pick[i]];
        s->first[i] = at;
        for (int64_t j = d->first[pick[i]]; j < d->first[pick[i] + 1]; j++, at++) {
            s->seq[at] = d->seq[j];
            s->seq[at].example = (int32_t)i;
            d->n_tokens += d->seq[j].n;
            d->n_cut += d->seq[j].cut;
        }
    }
    s->first[n] = at;
    free(d->raw->v);
    free(d->seq);
    free(d->first);
    free(d->index);
    d->raw->v = s->raw;
    d->raw->n = d->raw->capacity = d->n = n;
    d->seq = s->seq;
    d->n_seq = at;
    d->first = s->first;
    d->index = s->index;
}

/* Digits up to `end`, which must follow them. Returns what stands behind it, or NULL. */
static const char *read_bound(const char *s, char end, int64_t *out)
{
    if (*s == end)
        return s + 1; /* left out */
    for (*out = 0; *s >= '0' && *s <= '9'; s++) {
        if (*out > (INT64_MAX - 9) / 10)
            return NULL;
        *out = *out * 10 + (*s - '0');
    }
    return *s == end ? s + 1 : NULL;
}

int split_parse(struct split *out, const char *text, struct err *err)
{
    size_t n = strcspn(text, "[");
    const char *s = text + n;

    *out = (struct split){.slice = *s == '[', .to = INT64_MAX};
    if (n < 1 || n >= sizeof out->name)
        return err_set(err, ERR_INPUT,
                       "a split's name has 1 to %d bytes, this is \"%.60s\"",
                       (int)sizeof out->name - 1, text);
    memcpy(out->name, text, n);
    if (!out->slice)
        return 0;
    s = read_bound(s + 1, ':', &out->from);
    s = s ? read_bound(s, ']', &out->to) : NULL;
    if (!s || *s || out->from >= out->to)
        return err_set(err, ERR_INPUT,
                       "a slice is written %s[from:to], from below to, this is \"%.60s\"",
                       out->name, text);
    return 0;
}

int dataset_slice(struct dataset **data, int64_t from, int64_t to, struct err *err)
{
    struct dataset *d = *data;
    struct slice s;
    char name[sizeof d->name];
    int rc = -1;

    if (strchr(d->name, '['))
        return err_set(err, ERR_INPUT, "%s: is a slice already", d->name);
    if (from < 0 || to <= from || to > d->n)
        return err_set(err, ERR_INPUT, "%s[%lld:%lld]: not inside 0 to %lld, or empty",
                       d->name, (long long)from, (long long)to, (long long)d->n);
    int len = snprintf(name, sizeof name, "%s[%lld:%lld]", d->name, (long long)from,
                       (long long)to);
    if (len < 0 || (size_t)len >= sizeof name)
        return err_set(err, ERR_INPUT,
                       "%s: the name of its slice is longer than %d bytes", d->name,
                       (int)sizeof name - 1);
    int64_t *pick = mem_new(d->n, sizeof *pick, err);
    if (!pick)
        return -1;
    for (int64_t i = 0; i < d->n; i++)
        pick[i] = i;
    struct rng rng = rng_streamf(0, "slice/%s", d->name);
    rng_shuffle(&rng, pick, d->n);
    if (slice_new(&s, d, pick + from, to - from, err))
        goto done;
    slice_take(&s, d, pick + from, to - from);
    memcpy(d->name, name, sizeof name);
    rc = 0;
done:
    free(pick);
    return rc;
}

int64_t *dataset_order(const struct dataset *data, uint64_t seed, int64_t epoch,
                       struct arena *arena)
{
    int64_t *order = arena_alloc(arena, data->n * (int64_t)sizeof *order);

    if (!order)
        return NULL;
    for (int64_t i = 0; i < data->n; i++)
        order[i] = i;
    struct rng rng = rng_streamf(seed, "order/%s/%lld", data->name, (long long)epoch);
    rng_shuffle(&rng, order, data->n);
    return order;
}

/* ---- batches ---- */

static int batch_alloc(struct batch *b, struct arena *arena, struct err *err)
{
    int64_t rows = b->n_tok * (int64_t)sizeof(int32_t),
            seqs = b->n_seq * (int64_t)sizeof(int32_t);
    int64_t labels = b->n_seq > b->n_examples ? b->n_seq : b->n_examples;

    b->id = arena_alloc(arena, rows);
    b->type = arena_alloc(arena, rows);
    b->position = arena_alloc(arena, rows);
    b->row_example = arena_alloc(arena, rows);
    b->offset = arena_zalloc(arena, seqs + (int64_t)sizeof(int32_t));
    b->label = arena_alloc(arena, labels * (int64_t)sizeof(int32_t));
    b->value = arena_alloc(arena, b->n_seq * (int64_t)sizeof(float));
    b->start = arena_alloc(arena, seqs);
    b->end = arena_alloc(arena, seqs);
    b->seq = arena_alloc(arena, b->n_seq * (int64_t)sizeof *b->seq);
    b->example = arena_alloc(arena, b->n_examples * (int64_t)sizeof *b->example);
    return arena_failed(arena, err);
}

/* Copies sequence `j` behind the rows that are there; the k-th of the batch. */
static int64_t put_sequence(struct batch *b, const struct dataset *data, int64_t j,
                            int64_t k, int64_t row)
{
    const struct sequence *s = &data->seq[j];

    memcpy(b->id + row, s->id, (size_t)s->n * sizeof *s->id);
    memcpy(b->type + row, s->type, (size_t)s->n * sizeof *s->type);
    for (int32_t i = 0; i < s->n; i++) {
        b->position[row + i] = i;
        b->row_example[row + i] = (int32_t)data->index[s->example];
    }
    if (data->task->kind != TASK_CHOICE)
        b->label[k] = s->label;
    b->value[k] = s->value;
    b->start[k] = s->start;
    b->end[k] = s->end;
    b->seq[k] = j;
    b->offset[k + 1] = (int32_t)(row + s->n);
    return row + s->n;
}

static void hide(struct batch *b, const struct dataset *data, int64_t row,
                 struct rng *rng)
{
    double u = rng_uniform(rng);
    int32_t random = (int32_t)rng_below(rng, (uint64_t)data->n_vocab);

    b->mlm_row[b->n_mlm] = (int32_t)row;
    b->mlm_label[b->n_mlm++] = b->id[row];
    if (u < HIDE_MASK)
        b->id[row] = data->special.mask;
    else if (u < HIDE_RANDOM)
        b->id[row] = random;
}

/* Hides tokens of the k-th sequence, between [CLS] and the last [SEP]. */
static void hide_some(struct batch *b, const struct dataset *data, int64_t k)
{
    const struct sequence *s = &data->seq[b->seq[k]];
    int64_t begin = b->offset[k] + 1, end = b->offset[k + 1] - 1, before = b->n_mlm;
    struct rng rng =
        rng_streamf(0, "mlm/%.*s/%lld/%d", (int)strcspn(data->name, "["), data->name,
                    (long long)data->index[s->example], (int)s->part);

    for (int64_t row = begin; row < end; row++)
        if (rng_uniform(&rng) < HIDE && b->id[row] != data->special.sep)
            hide(b, data, row, &rng);
    if (b->n_mlm > before || end <= begin)
        return;
    int64_t row = begin + (int64_t)rng_below(&rng, (uint64_t)(end - begin));
    if (b->id[row] == data->special.sep) /* between two texts */
        row = row > begin ? row - 1 : row + 1;
    if (row < end)
        hide(b, data, row, &rng);
}

/* The tokens that follow those of the k-th sequence. */
static void ask_next(struct batch *b, const struct dataset *data, int64_t k)
{
    const struct sequence *s = &data->seq[b->seq[k]];

    for (int32_t i = s->score_from; i < s->score_to; i++) {
        b->mlm_row[b->n_mlm] = b->offset[k] + i;
        b->mlm_label[b->n_mlm++] = s->target[i];
    }
}

static int ask_tokens(struct batch *b, const struct dataset *data, struct arena *arena,
                      struct err *err)
{
    b->mlm_row = arena_alloc(arena, b->n_tok * (int64_t)sizeof *b->mlm_row);
    b->mlm_label = arena_alloc(arena, b->n_tok * (int64_t)sizeof *b->mlm_label);
    if (arena_failed(arena, err))
        return -1;
    for (int64_t k = 0; k < b->n_seq; k++) {
        if (data->causal)
            ask_next(b, data, k);
        else
            hide_some(b, data, k);
    }
    return 0;
}

int batch_fill(struct batch *batch, const struct dataset *data, const int64_t *pick,
               int64_t n, struct arena *arena, struct err *err)
{
    int64_t k = 0, row = 0;

    *batch = (struct batch){.n_examples = n};
    for (int64_t i = 0; i < n; i++) {
        if (pick[i] < 0 || pick[i] >= data->n)
            BUG("example %lld of %lld in %s", (long long)pick[i], (long long)data->n,
                data->name);
        for (int64_t j = data->first[pick[i]]; j < data->first[pick[i] + 1]; j++)
            batch->n_tok += data->seq[j].n;
    }
    batch->n_seq = count_sequences(data, pick, n);
    if (batch->n_tok > INT32_MAX)
        return err_set(err, ERR_INPUT, "%s: a batch of %lld tokens; at most 2^31 - 1 fit",
                       data->name, (long long)batch->n_tok);
    if (batch_alloc(batch, arena, err))
        return -1;
    for (int64_t i = 0; i < n; i++) {
        batch->example[i] = pick[i];
        if (data->task->kind == TASK_CHOICE)
            batch->label[i] = data->raw->v[pick[i]].label;
        for (int64_t j = data->first[pick[i]]; j < data->first[pick[i] + 1]; j++, k++)
            row = put_sequence(batch, data, j, k, row);
    }
    if (data->causal || data->task->kind == TASK_MLM || data->task->kind == TASK_LM)
        return ask_tokens(batch, data, arena, err);
    return 0;
}
