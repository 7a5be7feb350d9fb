/*
 * The predictions that a run keeps, as metrics take them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stored.h"

/* The array `name` of the evaluation, as `dtype`; NULL where it is not there. */
static void *read_as(struct stored *s, struct artifact *a, const char *eval,
                     const char *name, enum dtype dtype, int64_t n, int64_t *width)
{
    struct err none = ERR_INIT;
    struct array v;
    void *out;

    if (a->array(a->ctx, arena_printf(s->arena, "/%s/%s", eval, name), &v, &none) ||
        v.shape.rank < 1 || v.shape.dim[0] != n)
        return NULL;
    if (width)
        *width = n ? shape_count(v.shape) / n : 0;
    out = arena_alloc(s->arena, (shape_count(v.shape) + 1) * (int64_t)sizeof(double));
    if (out)
        dtype_convert(out, dtype, v.data, v.dtype, shape_count(v.shape));
    return out;
}

static int digest_ids(struct stored *s, const char *const *id, int64_t n, struct err *err)
{
    struct sha256 *h = sha256_new(err);
    int rc;

    if (!h)
        return -1;
    for (int64_t i = 0; i < n; i++)
        sha256_add(h, id[i], (int64_t)strlen(id[i]) + 1);
    rc = sha256_hex(h, s->examples_digest, err);
    sha256_free(h);
    return rc;
}

static int read_all(struct stored *s, struct artifact *a, const char *eval,
                    struct err *err)
{
    const char *const *id;
    double *label;
    int64_t n;

    if (a->text(a->ctx, arena_printf(s->arena, "/%s/example_id", eval), &id, &n, err) ||
        digest_ids(s, id, n, err))
        return -1;
    s->p.n = n;
    s->p.pred = read_as(s, a, eval, "pred", DT_I32, n, NULL);
    s->p.prob = read_as(s, a, eval, "prob", DT_F64, n, &s->p.width);
    s->p.score = read_as(s, a, eval, "score", DT_F64, n, NULL);
    label = read_as(s, a, eval, "label", DT_F64, n, NULL);
    s->raw.v = arena_zalloc(s->arena, (n + 1) * (int64_t)sizeof *s->raw.v);
    if (arena_failed(s->arena, err))
        return -1;
    if (!label || !s->p.prob || !s->p.score)
        return err_set(err, ERR_INPUT, "%s keeps no labels and scores of its examples",
                       eval);
    s->raw.n = s->data.n = n;
    for (int64_t i = 0; i < n; i++) {
        s->raw.v[i].label = s->p.pred && label[i] >= 0 ? (int32_t)label[i] : -1;
        s->raw.v[i].value = label[i];
        s->p.loss += s->p.score[i] / (double)n;
    }
    s->task.labels = s->p.width;
    s->task.kind = s->p.pred ? TASK_CLASSES : TASK_REGRESSION;
    return 0;
}

int stored_open(struct stored **out, struct store *store, const char *run_id,
                const char *eval, struct err *err)
{
    struct stored *s = mem_new(1, sizeof *s, err);
    struct run *run = NULL;
    int rc = -1;

    if (!s || !(s->arena = arena_new(err)) || run_open(&run, store, run_id, false, err))
        goto done;
    s->task.name = arena_strdup(s->arena, eval);
    snprintf(s->data.name, sizeof s->data.name, "%.90s", eval);
    s->data.task = &s->task;
    s->data.raw = &s->raw;
    s->p.data = &s->data;
    if (read_all(s, run_artifact(run), eval, err)) {
        err_prefix(err, "run %.10s", run_id);
        goto done;
    }
    *out = s;
    s = NULL;
    rc = 0;
done:
    run_close(run);
    stored_close(s);
    return rc;
}

void stored_close(struct stored *s)
{
    if (!s)
        return;
    arena_free(s->arena);
    free(s);
}

/* Examples pick[i] of `from` become the examples of `to`, which has room for as many. */
static void take(struct stored *to, const struct stored *from, const int64_t *pick)
{
    int64_t n = from->p.n, w = from->p.width;

    to->p.loss = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t k = pick[i];
        to->raw.v[i].label = from->raw.v[k].label;
        to->raw.v[i].value = from->raw.v[k].value;
        to->p.score[i] = from->p.score[k];
        to->p.loss += from->p.score[k] / (double)n;
        if (to->p.pred)
            to->p.pred[i] = from->p.pred[k];
        memcpy(to->p.prob + i * w, from->p.prob + k * w, (size_t)w * sizeof(double));
    }
}

/* Room for the examples of a resample. */
static int room_for(struct stored *to, const struct stored *from, struct err *err)
{
    int64_t n = from->p.n;

    *to = *from;
    to->arena = arena_new(err);
    if (!to->arena)
        return -1;
    to->data.raw = &to->raw;
    to->p.data = &to->data;
    to->raw.v = arena_zalloc(to->arena, (n + 1) * (int64_t)sizeof *to->raw.v);
    to->p.score = arena_alloc(to->arena, (n + 1) * (int64_t)sizeof(double));
    to->p.prob = arena_alloc(to->arena, (n * to->p.width + 1) * (int64_t)sizeof(double));
    if (to->p.pred)
        to->p.pred = arena_alloc(to->arena, (n + 1) * (int64_t)sizeof(int32_t));
    return arena_failed(to->arena, err);
}

int stored_resample(double *all, double *value, const struct stored *s,
                    const struct metric *metric, int64_t resamples, struct err *err)
{
    struct stored drawn = {.arena = NULL};
    int64_t n = s->p.n, *pick = mem_new(n + 1, sizeof *pick, err);
    struct rng rng = rng_stream(0, "bootstrap");
    int rc = pick ? 0 : -1;

    if (!rc)
        rc = metric->compute(all, &s->p, err);
    if (!rc)
        rc = room_for(&drawn, s, err);
    for (int64_t r = 0; !rc && r < resamples; r++) {
        for (int64_t i = 0; i < n; i++)
            pick[i] = (int64_t)rng_below(&rng, (uint64_t)n);
        take(&drawn, s, pick);
        rc = metric->compute(&value[r], &drawn.p, err);
    }
    arena_free(drawn.arena);
    free(pick);
    return rc;
}
