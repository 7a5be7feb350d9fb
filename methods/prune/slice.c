/*
 * prune/slice: removes masked heads physically: rows of W_q, W_k, W_v and columns of W_o.
 *
 * The sliced model computes what the masked one did, in less time and space. Its size is
 * a result; its speed (examples a second, beside the masked model's, in turns) depends on
 * the machine and is kept with the environment, in no digest: /measure/batch, masked,
 * sliced, gain, one element for each size of batch (Michel, Levy & Neubig 2019, table 4).
 */
#include "retort/clock.h"
#include "retort/method.h"

#include <stdlib.h>
#include <string.h>

struct options {
    struct int_list measure;
    int64_t tokens, repeats;
};

/* clang-format off */
static const struct option options[] = {
    {"measure", OPT_INTS, "[]", 1, 4096, NULL, "examples", "sizes of batches at which the speed is measured, [1, 4, 16, 64] in the paper", offsetof(struct options, measure)},
    {"tokens", OPT_INT, "128", 1, 4096, NULL, "tokens", "length of each example that is measured", offsetof(struct options, tokens)},
    {"repeats", OPT_INT, "5", 1, 1000, NULL, NULL, "measurements of which the median counts", offsetof(struct options, repeats)},
    OPTION_END,
};

static const struct input inputs[] = {
    {"model", KIND_MODEL, true, false, "a model with masked heads"},
    INPUT_END,
};
/* clang-format on */

/* n made-up sequences of equal length. */
static void make_batch(struct batch *b, struct stage *st, const struct model *m,
                       int64_t n, int64_t tokens, struct arena *arena)
{
    int64_t rows = n * tokens, bytes = rows * (int64_t)sizeof(int32_t);
    struct rng rng = rng_stream(0, "prune/slice/measure");

    memset(b, 0, sizeof *b);
    b->n_seq = b->n_examples = n;
    b->n_tok = rows;
    b->id = arena_alloc(arena, bytes);
    b->type = arena_zalloc(arena, bytes);
    b->position = arena_alloc(arena, bytes);
    b->row_example = arena_alloc(arena, bytes);
    b->offset = arena_alloc(arena, (n + 1) * (int64_t)sizeof(int32_t));
    if (arena_failed(arena, &st->err))
        return;
    for (int64_t i = 0; i < rows; i++) {
        b->id[i] = (int32_t)rng_below(&rng, (uint64_t)m->cfg.vocab);
        b->position[i] = (int32_t)(i % tokens);
        b->row_example[i] = (int32_t)(i / tokens);
    }
    for (int64_t i = 0; i <= n; i++)
        b->offset[i] = (int32_t)(i * tokens);
}

/* Seconds of one forward pass. */
static double time_pass(struct stage *st, struct tape *tape, struct model *m,
                        const struct batch *b)
{
    struct pass p;
    double began = clock_seconds();

    if (stage_failed(st))
        return 0;
    pass_begin(&p, tape, m, b, TAPE_EVAL, 0);
    model_forward(&p);
    tape_failed(tape, &st->err);
    return clock_seconds() - began;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double median(double *x, int64_t n)
{
    qsort(x, (size_t)n, sizeof *x, by_value);
    return x[n / 2];
}

/* Examples a second of both models, in turns; the first pass of each warms up. */
static void measure(struct stage *st, struct model *const model[2], int64_t n,
                    double speed[2])
{
    const struct options *o = st->options;
    struct tape *tape = stage_tape(st, DT_F32);
    struct arena *arena = arena_new(&st->err);
    int64_t longest = model[0]->cfg.positions;
    double *seconds[2] = {NULL, NULL};
    struct batch b = {.n_seq = 0};

    for (int k = 0; k < 2 && arena; k++)
        seconds[k] = arena_alloc(arena, o->repeats * (int64_t)sizeof(double));
    if (!stage_failed(st))
        make_batch(&b, st, model[0], n, o->tokens < longest ? o->tokens : longest, arena);
    for (int64_t i = -1; i < o->repeats && !stage_failed(st); i++)
        for (int k = 0; k < 2; k++) {
            double s = time_pass(st, tape, model[k], &b);
            if (i >= 0)
                seconds[k][i] = s;
        }
    for (int k = 0; k < 2 && !stage_failed(st); k++)
        speed[k] = (double)n / median(seconds[k], o->repeats);
    arena_free(arena);
}

static void record_env(struct stage *st, const char *path, const double *v, int64_t n)
{
    struct array a = {DT_F64, SHAPE(n), v, {"batch"}};

    if (!stage_failed(st))
        st->rec.array(st->rec.ctx, RECORD_ENV, path, &a, &st->err);
}

static void measure_all(struct stage *st, struct model *const model[2])
{
    const struct int_list *sizes = &((const struct options *)st->options)->measure;
    double *v[4]; /* batch, masked, sliced, gain */

    for (int k = 0; k < 4; k++)
        v[k] = arena_alloc(st->arena, (sizes->n + 1) * (int64_t)sizeof(double));
    if (arena_failed(st->arena, &st->err))
        return;
    for (int64_t i = 0; i < sizes->n && !stage_failed(st); i++) {
        double speed[2] = {0, 0};
        measure(st, model, sizes->v[i], speed);
        v[0][i] = (double)sizes->v[i];
        v[1][i] = speed[0];
        v[2][i] = speed[1];
        v[3][i] = speed[1] / speed[0] - 1;
        stage_note(st, "batches of %lld: %.1f examples/s masked, %.1f removed (%+.1f %%)",
                   (long long)sizes->v[i], speed[0], speed[1], 100 * v[3][i]);
    }
    record_env(st, "/measure/batch", v[0], sizes->n);
    record_env(st, "/measure/masked", v[1], sizes->n);
    record_env(st, "/measure/sliced", v[2], sizes->n);
    record_env(st, "/measure/gain", v[3], sizes->n);
}

static void record_size(struct stage *st, int64_t before, int64_t after)
{
    stage_metric(st, "prune/parameters_before", 0, (double)before);
    stage_metric(st, "prune/parameters", 0, (double)after);
    stage_metric(st, "prune/parameters_removed", 0, (double)(before - after));
    stage_metric(st, "prune/bytes_before", 0, 4.0 * (double)before);
    stage_metric(st, "prune/bytes", 0, 4.0 * (double)after);
}

static int run(struct stage *st)
{
    struct model *m = stage_model(st, "model", NULL), *masked = NULL;

    if (stage_failed(st))
        return -1;
    if (model_clone(&masked, m, &st->err) || model_slice(m, &st->err))
        goto done;
    record_size(st, model_count(masked), model_count(m));
    if (((const struct options *)st->options)->measure.n > 0)
        measure_all(st, (struct model *const[]){masked, m});
    stage_output_model(st, m);
done:
    model_free(masked);
    return stage_done(st);
}

const struct method method_prune_slice = {
    .name = "prune/slice",
    .summary = "remove masked heads and neurons physically; the size and speed gained",
    .paper = "Michel, Levy & Neubig 2019 (arXiv:1905.10650), section 4.3",
    .version = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .inputs = inputs,
    .outputs = KIND_MODEL,
    .run = run,
};
