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

#include "retort/profile.h"

/* Which examples go together: batch k is pick[begin[k]] ... pick[begin[k + 1] - 1]. */
struct batching {
    int64_t *pick, *begin, n;
};

struct prefix {
    const struct dataset *data;
    struct model *model;
    struct tape *tape;
    struct batching batching;
    int64_t layer; /* the states are the input of this block; 0: none are held */
    float **state; /* of each batch (N, C) */
};

struct predictor {
    struct predictions *out;
    const struct dataset *data;
    struct model *model;
    struct tape *tape;
    const float *const *gates;
    struct arena *arena;        /* of a batch */
    struct span_search *search; /* spans */
    const float *start;         /* hidden states before block first_block, or NULL */
    int64_t first_block;
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

static void batching_release(struct batching *b)
{
    free(b->begin);
    free(b->pick);
}

/* About `batch_tokens` tokens go together, of examples sorted by length. */
static int batching_init(struct batching *b, const struct dataset *data,
                         int64_t batch_tokens, struct err *err)
{
    struct sized *order = mem_new(data->n, sizeof *order, err);
    int64_t tokens = 0;

    *b = (struct batching){mem_new(data->n, sizeof *b->pick, err),
                           mem_new(data->n + 1, sizeof *b->begin, err), 0};
    if (!order || !b->pick || !b->begin) {
        batching_release(b);
        free(order);
        return -1;
    }
    for (int64_t i = 0; i < data->n; i++)
        order[i] = (struct sized){example_tokens(data, i), i};
    qsort(order, (size_t)data->n, sizeof *order, by_size);
    for (int64_t i = 0; i < data->n; i++) {
        b->pick[i] = order[i].index;
        if (i == 0 || tokens + order[i].tokens > batch_tokens) {
            b->begin[b->n++] = i;
            tokens = 0;
        }
        tokens += order[i].tokens;
    }
    b->begin[b->n] = data->n;
    free(order);
    return 0;
}

static int64_t width_of(const struct dataset *d)
{
    int64_t most = 1;

    switch (d->task->kind) {
    case TASK_CLASSES:
        return d->task->labels;
    case TASK_SPAN:
        return 2;
    case TASK_CHOICE: /* of the example that has the most */
        for (int64_t i = 0; i < d->n; i++)
            most = d->first[i + 1] - d->first[i] > most ? d->first[i + 1] - d->first[i]
                                                        : most;
        return most;
    case TASK_REGRESSION:
    case TASK_MLM:
    case TASK_LM:
        break;
    }
    return 1;
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
    p->width = width_of(data);
    if (data->task->kind == TASK_LM)
        p->tokens = arena_zalloc(p->arena, n * (int64_t)sizeof *p->tokens);
    else
        p->logits = arena_zalloc(p->arena, n * p->width * (int64_t)sizeof(float));
    p->score = arena_zalloc(p->arena, n * (int64_t)sizeof(double));
    p->likelihood = data->causal && data->task->kind == TASK_CHOICE;
    if (data->task->kind != TASK_SPAN && data->task->kind != TASK_MLM &&
        data->task->kind != TASK_LM)
        p->prob = arena_zalloc(p->arena, n * p->width * (int64_t)sizeof(double));
    if (data->task->kind == TASK_CLASSES || data->task->kind == TASK_CHOICE)
        p->pred = arena_zalloc(p->arena, n * (int64_t)sizeof(int32_t));
    if (data->task->kind == TASK_SPAN) {
        p->text = arena_zalloc(p->arena, n * (int64_t)sizeof *p->text);
        p->guess = arena_zalloc(p->arena, n * (int64_t)sizeof *p->guess);
    }
    if (data->task->kind == TASK_SPAN && data->task->no_answer) {
        p->answer = arena_zalloc(p->arena, n * (int64_t)sizeof *p->answer);
        p->null_odds = arena_zalloc(p->arena, n * (int64_t)sizeof *p->null_odds);
    }
    if (arena_failed(p->arena, err))
        goto fail;
    return p;
fail:
    predictions_free(p);
    return NULL;
}

/* ---- taking a batch's results ---- */

/* Softmax over n classes in double, and the loss -log p[label]. */
static void take_classes(struct predictor *pr, int64_t i, const float *logits, int64_t n,
                         int32_t label)
{
    struct predictions *p = pr->out;
    int64_t k = p->width, best = 0;
    double sum = 0, max = (double)logits[0];

    for (int64_t c = 1; c < n; c++)
        if ((double)logits[c] > max) {
            max = (double)logits[c];
            best = c;
        }
    for (int64_t c = 0; c < n; c++)
        sum += exp((double)logits[c] - max);
    for (int64_t c = n; c < k; c++)
        p->logits[i * k + c] = -INFINITY;
    for (int64_t c = 0; c < n; c++) {
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

/* The answer of an example and the mean loss of its windows, which are the batch's
 * sequences from k on. Returns where the next example's begin. */
static int64_t take_span(struct predictor *pr, const struct batch *b, int64_t k,
                         const float *logits, const struct tensor *each, struct err *err)
{
    int64_t i = pr->data->seq[b->seq[k]].example;
    int64_t n = pr->data->first[i + 1] - pr->data->first[i];
    const float **window = arena_alloc(pr->arena, n * (int64_t)sizeof *window);
    double sum = 0;

    if (arena_failed(pr->arena, err))
        return -1;
    for (int64_t w = 0; w < n; w++) {
        window[w] = logits + 2 * (int64_t)b->offset[k + w];
        sum += each ? tensor_get(each, k + w) : (double)NAN;
    }
    pr->out->score[i] = sum / (double)n;
    return span_predict(pr->search, pr->out, i, window, err) ? -1 : k + n;
}

/* Of language models: the mean loss of the example's tokens that are told. Rows of an
 * example are neighbours. */
static void take_hidden(struct predictor *pr, const struct batch *b,
                        const struct tensor *each)
{
    int64_t m = 0;

    for (int64_t e = 0; e < b->n_examples; e++) {
        double sum = 0;
        int64_t from = m, i = b->example[e];
        int32_t number = (int32_t)pr->data->index[i];
        for (; m < b->n_mlm && b->row_example[b->mlm_row[m]] == number; m++)
            sum += tensor_get(each, m);
        pr->out->score[i] = m > from ? sum / (double)(m - from) : (double)NAN;
        if (pr->out->tokens)
            pr->out->tokens[i] = m - from;
    }
}

/* Of choices that a decoder read: the sum of each one's tokens' log-likelihoods. */
static int take_likelihoods(struct predictor *pr, const struct batch *b,
                            const struct tensor *each, struct err *err)
{
    float *sum = arena_alloc(pr->arena, (pr->out->width + 1) * (int64_t)sizeof *sum);
    int64_t m = 0, s = 0;

    if (!sum)
        return arena_failed(pr->arena, err);
    for (int64_t e = 0; e < b->n_examples; e++) {
        int64_t i = b->example[e], n = pr->data->first[i + 1] - pr->data->first[i];
        for (int64_t c = 0; c < n; c++, s++) {
            double nats = 0;
            for (; m < b->n_mlm && b->mlm_row[m] < b->offset[s + 1]; m++)
                nats += tensor_get(each, m);
            sum[c] = (float)-nats;
        }
        take_classes(pr, i, sum, n, b->label[e]);
    }
    return 0;
}

static int take(struct predictor *pr, const struct batch *b, const struct tensor *logits,
                const struct tensor *each, struct err *err)
{
    const struct dataset *d = pr->data;
    const float *v = logits ? tensor_f32(logits) : NULL;
    int64_t w = pr->out->width;

    for (int64_t e = 0; e < b->n_examples; e++) {
        int64_t i = b->example[e];
        if (d->task->kind == TASK_CLASSES || d->task->kind == TASK_CHOICE)
            take_classes(pr, i, v + e * w, w, b->label[e]);
        else if (d->task->kind == TASK_REGRESSION)
            take_value(pr, i, v[e], b->value[e]);
    }
    if ((d->task->kind == TASK_MLM || d->task->kind == TASK_LM) && each)
        take_hidden(pr, b, each);
    for (int64_t k = 0; d->task->kind == TASK_SPAN && k < b->n_seq;)
        if ((k = take_span(pr, b, k, v, each, err)) < 0)
            return -1;
    return arena_failed(pr->out->arena, err);
}

static int run_batch(struct predictor *pr, const int64_t *pick, int64_t n,
                     struct err *err)
{
    struct batch batch;
    struct pass pass;
    struct tensor *each = NULL;
    struct output out;
    enum task_kind kind = pr->data->task->kind;

    arena_clear(pr->arena);
    if (batch_fill(&batch, pr->data, pick, n, pr->arena, err))
        return -1;
    profile_lap("batch");
    pass_begin(&pass, pr->tape, pr->model, &batch, TAPE_EVAL, 0);
    pass.gates = pr->gates;
    pass.start = pr->start;
    pass.first_block = pr->first_block;
    out = model_forward(&pass);
    if (kind == TASK_SPAN || kind == TASK_MLM || pr->model->head == HEAD_LM ||
        kind == TASK_LM)
        model_loss(&pass, &out, &each);
    if (tape_failed(pr->tape, err))
        return -1;
    if (pr->out->likelihood)
        return take_likelihoods(pr, &batch, each, err);
    return take(pr, &batch, out.logits, each, err);
}

static void mean_loss(struct predictions *p)
{
    double sum = 0;
    int64_t n = 0;

    for (int64_t i = 0; i < p->n; i++)
        if (!isnan(p->score[i])) {
            sum += p->tokens ? p->score[i] * (double)p->tokens[i] : p->score[i];
            n += p->tokens ? p->tokens[i] : 1;
        }
    p->loss = n ? sum / (double)n : (double)NAN;
}

static int predictor_init(struct predictor *pr, struct model *model,
                          const struct dataset *data, struct tape *tape, struct err *err)
{
    *pr = (struct predictor){.data = data, .model = model, .tape = tape};
    pr->arena = arena_new(err);
    pr->search = span_search_new(err);
    pr->out = new_predictions(data, err);
    return pr->arena && pr->search && pr->out ? 0 : -1;
}

/* What was predicted, if all went well. */
static void predictor_end(struct predictor *pr, struct predictions **out, int rc)
{
    if (rc == 0) {
        mean_loss(pr->out);
        *out = pr->out;
    } else {
        predictions_free(pr->out);
    }
    span_search_free(pr->search);
    arena_free(pr->arena);
}

int model_predict(struct predictions **out, struct model *model,
                  const struct dataset *data, struct tape *tape, int64_t batch_tokens,
                  const float *const *gates,
                  void (*progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                  struct err *err)
{
    struct predictor pr;
    struct batching b;
    int rc;

    if (batching_init(&b, data, batch_tokens, err))
        return -1;
    rc = predictor_init(&pr, model, data, tape, err);
    pr.gates = gates;
    for (int64_t k = 0; rc == 0 && k < b.n; k++) {
        rc = run_batch(&pr, b.pick + b.begin[k], b.begin[k + 1] - b.begin[k], err);
        if (rc == 0 && progress)
            progress(ctx, b.begin[k + 1], data->n);
    }
    predictor_end(&pr, out, rc);
    batching_release(&b);
    return rc;
}

/* ---- prefixes ---- */

int prefix_new(struct prefix **out, struct model *model, const struct dataset *data,
               struct tape *tape, int64_t batch_tokens, struct err *err)
{
    struct prefix *p = mem_new(1, sizeof *p, err);

    if (!p || batching_init(&p->batching, data, batch_tokens, err)) {
        free(p);
        return -1;
    }
    p->data = data;
    p->model = model;
    p->tape = tape;
    p->state = mem_new(p->batching.n + 1, sizeof *p->state, err);
    if (!p->state) {
        prefix_free(p);
        return -1;
    }
    *out = p;
    return 0;
}

void prefix_free(struct prefix *p)
{
    if (!p)
        return;
    for (int64_t k = 0; p->state && k < p->batching.n; k++)
        free(p->state[k]);
    free(p->state);
    batching_release(&p->batching);
    free(p);
}

static int advance_batch(struct prefix *p, int64_t k, int64_t layer, struct arena *arena,
                         struct err *err)
{
    const struct batching *b = &p->batching;
    struct batch batch;
    struct pass pass;
    struct output out;
    int64_t count;

    arena_clear(arena);
    if (batch_fill(&batch, p->data, b->pick + b->begin[k], b->begin[k + 1] - b->begin[k],
                   arena, err))
        return -1;
    profile_lap("batch");
    pass_begin(&pass, p->tape, p->model, &batch, TAPE_EVAL, 0);
    pass.start = p->state[k];
    pass.first_block = p->layer;
    pass.end_block = layer;
    out = model_forward(&pass);
    if (tape_failed(p->tape, err))
        return -1;
    count = batch.n_tok * p->model->cfg.width;
    if (!p->state[k])
        p->state[k] = mem_new(count, sizeof **p->state, err);
    if (!p->state[k])
        return -1;
    memcpy(p->state[k], out.hidden->data, (size_t)count * sizeof **p->state);
    return 0;
}

int prefix_advance(struct prefix *p, int64_t layer, struct err *err)
{
    struct arena *arena = arena_new(err);
    int rc = arena ? 0 : -1;

    if (layer < p->layer || layer >= p->model->cfg.layers)
        BUG("a prefix goes from block %lld to %lld", (long long)p->layer,
            (long long)layer);
    for (int64_t k = 0; rc == 0 && layer > p->layer && k < p->batching.n; k++)
        rc = advance_batch(p, k, layer, arena, err);
    if (rc == 0)
        p->layer = layer;
    arena_free(arena);
    return rc;
}

int prefix_predict(struct predictions **out, const struct prefix *p, struct err *err)
{
    const struct batching *b = &p->batching;
    struct predictor pr;
    int rc = predictor_init(&pr, p->model, p->data, p->tape, err);

    pr.first_block = p->layer;
    for (int64_t k = 0; rc == 0 && k < b->n; k++) {
        pr.start = p->state[k];
        rc = run_batch(&pr, b->pick + b->begin[k], b->begin[k + 1] - b->begin[k], err);
    }
    predictor_end(&pr, out, rc);
    return rc;
}
