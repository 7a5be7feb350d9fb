/*
 * A model over a whole dataset, without gradients.
 *
 * Batches hold about `batch_tokens` tokens of examples sorted by length; results are put
 * back into the dataset's order. Rows of all operations are independent, so bits depend
 * on neither.
 */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct predictor {
    struct predictions *out;
    const struct dataset *data;
    struct model *model;
    struct tape *tape;
    const float *const *gates;
    struct arena *arena; /* of a batch */
    double *best;        /* spans: score of the best answer so far, per example */
};

/* ---- sizes and order ---- */

static int64_t example_tokens(const struct dataset *d, int64_t i)
{
    int64_t n = 0;

    for (int64_t s = d->first[i]; s < d->first[i + 1]; s++)
        n += d->seq[s].n;
    return n;
}

struct sized {
    int64_t tokens, index;
};

static int by_size(const void *a, const void *b)
{
    const struct sized *x = a, *y = b;

    if (x->tokens != y->tokens)
        return x->tokens < y->tokens ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static struct predictions *new_predictions(const struct dataset *data, struct err *err)
{
    struct predictions *p = mem_new(1, sizeof *p, err);
    int64_t n = data->n;

    if (!p)
        return NULL;
    p->data = data;
    p->n = n;
    p->loss = (double)NAN;
    p->arena = arena_new(err);
    if (!p->arena)
        goto fail;
    p->width = data->task->kind == TASK_CLASSES ? data->task->labels
               : data->task->kind == TASK_SPAN  ? 2
               : data->task->kind == TASK_CHOICE
                   ? (n ? data->first[1] - data->first[0] : 1)
                   : 1;
    p->logits = arena_zalloc(p->arena, n * p->width * (int64_t)sizeof(float));
    p->score = arena_zalloc(p->arena, n * (int64_t)sizeof(double));
    if (data->task->kind != TASK_SPAN && data->task->kind != TASK_MLM)
        p->prob = arena_zalloc(p->arena, n * p->width * (int64_t)sizeof(double));
    if (data->task->kind == TASK_CLASSES || data->task->kind == TASK_CHOICE)
        p->pred = arena_zalloc(p->arena, n * (int64_t)sizeof(int32_t));
    if (data->task->kind == TASK_SPAN) {
        p->text = arena_zalloc(p->arena, n * (int64_t)sizeof(char *));
        for (int64_t i = 0; p->text && i < n; i++)
            p->text[i] = "";
    }
    if (arena_failed(p->arena, err))
        goto fail;
    return p;
fail:
    predictions_free(p);
    return NULL;
}

/* ---- taking a batch's results ---- */

/* Softmax in double, and the loss -log p[label]. */
static void take_classes(struct predictor *pr, int64_t i, const float *logits,
                         int32_t label)
{
    struct predictions *p = pr->out;
    int64_t k = p->width, best = 0;
    double sum = 0, max = (double)logits[0];

    for (int64_t c = 1; c < k; c++)
        if ((double)logits[c] > max) {
            max = (double)logits[c];
            best = c;
        }
    for (int64_t c = 0; c < k; c++)
        sum += exp((double)logits[c] - max);
    for (int64_t c = 0; c < k; c++) {
        p->logits[i * k + c] = logits[c];
        p->prob[i * k + c] = exp((double)logits[c] - max) / sum;
    }
    p->pred[i] = (int32_t)best;
    p->score[i] = label < 0 ? (double)NAN : log(sum) - ((double)logits[label] - max);
}

static void take_value(struct predictor *pr, int64_t i, float x, float want)
{
    double d = (double)x - (double)want;

    pr->out->logits[i] = x;
    pr->out->prob[i] = (double)x;
    pr->out->score[i] = d * d;
}

/*
 * The best span of a window: start and end inside the context, at most 30 tokens long, by
 * the sum of the logits (Devlin et al. 2019, 4.2); against [CLS] at position 0 for no
 * answer.
 */
static void take_span(struct predictor *pr, int64_t i, const struct sequence *s,
                      const float *logits)
{
    enum { LONGEST = 30 };
    struct predictions *p = pr->out;
    const struct example *ex = &pr->data->raw->v[i];

    for (int32_t a = s->context; a < s->n; a++) {
        if (s->from[a] < 0)
            continue;
        for (int32_t b = a; b < s->n && b < a + LONGEST; b++) {
            double score = (double)logits[2 * a] + (double)logits[2 * b + 1];
            if (s->to[b] < 0 || !(score > pr->best[i]))
                continue;
            pr->best[i] = score;
            p->logits[2 * i] = logits[2 * a];
            p->logits[2 * i + 1] = logits[2 * b + 1];
            p->text[i] = arena_printf(p->arena, "%.*s", (int)(s->to[b] - s->from[a]),
                                      ex->b + s->from[a]);
        }
    }
}

static void take(struct predictor *pr, const struct batch *b, const struct tensor *logits,
                 const struct tensor *each)
{
    const struct dataset *d = pr->data;
    const float *v = logits ? tensor_f32(logits) : NULL;
    int64_t w = pr->out->width;

    for (int64_t e = 0; e < b->n_examples; e++) {
        int64_t i = b->example[e];
        if (d->task->kind == TASK_CLASSES || d->task->kind == TASK_CHOICE)
            take_classes(pr, i, v + e * w, b->label[e]);
        else if (d->task->kind == TASK_REGRESSION)
            take_value(pr, i, v[e], b->value[e]);
    }
    for (int64_t s = 0; d->task->kind == TASK_SPAN && s < b->n_seq; s++) {
        const struct sequence *seq = &d->seq[b->seq[s]];
        take_span(pr, seq->example, seq, v + 2 * b->offset[s]);
        if (each && seq->part == 0)
            pr->out->score[seq->example] = tensor_get(each, s);
    }
}

static int run_batch(struct predictor *pr, const int64_t *pick, int64_t n,
                     struct err *err)
{
    struct batch batch;
    struct pass pass;
    struct tensor *each = NULL;
    struct output out;

    arena_clear(pr->arena);
    if (batch_fill(&batch, pr->data, pick, n, pr->arena, err))
        return -1;
    pass_begin(&pass, pr->tape, pr->model, &batch, TAPE_EVAL, 0);
    pass.gates = pr->gates;
    out = model_forward(&pass);
    if (pr->data->task->kind == TASK_SPAN)
        model_loss(&pass, &out, &each);
    if (tape_failed(pr->tape, err))
        return -1;
    take(pr, &batch, out.logits, each);
    return arena_failed(pr->out->arena, err);
}

static void mean_loss(struct predictions *p)
{
    double sum = 0;
    int64_t n = 0;

    for (int64_t i = 0; i < p->n; i++)
        if (!isnan(p->score[i])) {
            sum += p->score[i];
            n++;
        }
    p->loss = n ? sum / (double)n : (double)NAN;
}

int model_predict(struct predictions **out, struct model *model,
                  const struct dataset *data, struct tape *tape, int64_t batch_tokens,
                  const float *const *gates,
                  void (*progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                  struct err *err)
{
    struct predictor pr = {NULL, data, model, tape, gates, NULL, NULL};
    struct sized *order = mem_new(data->n, sizeof *order, err);
    int64_t *pick = mem_new(data->n, sizeof *pick, err);
    int rc = -1;

    pr.arena = arena_new(err);
    pr.best = mem_new(data->n, sizeof *pr.best, err);
    pr.out = new_predictions(data, err);
    if (!order || !pick || !pr.arena || !pr.best || !pr.out)
        goto done;
    for (int64_t i = 0; i < data->n; i++) {
        order[i] = (struct sized){example_tokens(data, i), i};
        pr.best[i] = -(double)INFINITY;
    }
    qsort(order, (size_t)data->n, sizeof *order, by_size);
    for (int64_t i = 0; i < data->n;) {
        int64_t n = 0, tokens = 0;
        while (i + n < data->n &&
               (n == 0 || tokens + order[i + n].tokens <= batch_tokens)) {
            tokens += order[i + n].tokens;
            pick[n] = order[i + n].index;
            n++;
        }
        if (run_batch(&pr, pick, n, err))
            goto done;
        i += n;
        if (progress)
            progress(ctx, i, data->n);
    }
    mean_loss(pr.out);
    *out = pr.out;
    pr.out = NULL;
    rc = 0;
done:
    predictions_free(pr.out);
    free(pr.best);
    arena_free(pr.arena);
    free(pick);
    free(order);
    return rc;
}
