/* Greedy, sampled and beam decoding: see retort/generate.h. */
#include "retort/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One or more continuations of equal length. */
struct decoder {
    struct model *m;
    struct tape *tape;
    const struct decoding *how;
    struct arena *arena; /* of a step */
    struct kv_cache cache;
    int64_t n_seq, length, capacity;
    int32_t *id; /* (n_seq, capacity) */
    int64_t vocab;
    double *logp; /* (n_seq, vocab) of the next token */
};

static int decoder_init(struct decoder *d, struct model *m, struct tape *tape,
                        const int32_t *prompt, int64_t n, const struct decoding *how,
                        struct err *err)
{
    *d = (struct decoder){.m = m, .tape = tape, .how = how, .n_seq = how->beams};
    if (d->n_seq < 1)
        d->n_seq = 1;
    if (m->head != HEAD_LM)
        return err_set(err, ERR_INPUT, "the model is no decoder: it gives no text");
    if (n < 1)
        return err_set(err, ERR_INPUT,
                       "there is nothing to continue: the prompt is empty "
                       "and the tokenizer has no beginning token");
    if (n >= m->cfg.positions)
        return err_set(
            err, ERR_INPUT,
            "the prompt has %lld tokens; the model reads %lld, and one of them "
            "is to be new",
            (long long)n, (long long)m->cfg.positions);
    d->vocab = m->cfg.vocab;
    d->capacity = m->cfg.positions - n < how->tokens ? m->cfg.positions : n + how->tokens;
    d->length = n;
    d->arena = arena_new(err);
    d->id = mem_new(d->n_seq * d->capacity, sizeof *d->id, err);
    d->logp = mem_new(d->n_seq * d->vocab, sizeof *d->logp, err);
    if (!d->arena || !d->id || !d->logp)
        return -1;
    for (int64_t b = 0; b < d->n_seq; b++)
        memcpy(d->id + b * d->capacity, prompt, (size_t)n * sizeof *prompt);
    return how->no_cache ? 0 : kv_cache_init(&d->cache, m, d->n_seq, d->capacity, err);
}

static void decoder_release(struct decoder *d)
{
    kv_cache_release(&d->cache);
    free(d->logp);
    free(d->id);
    arena_free(d->arena);
}

/* The rows from .. length - 1 of each sequence. */
static int fill_batch(struct batch *b, const struct decoder *d, int64_t from,
                      struct err *err)
{
    int64_t n = d->length - from, row = 0;
    struct arena *a = d->arena;

    *b = (struct batch){.n_seq = d->n_seq, .n_tok = d->n_seq * n, .n_examples = d->n_seq};
    b->id = arena_alloc(a, b->n_tok * (int64_t)sizeof *b->id);
    b->position = arena_alloc(a, b->n_tok * (int64_t)sizeof *b->position);
    b->type = arena_zalloc(a, b->n_tok * (int64_t)sizeof *b->type);
    b->row_example = arena_zalloc(a, b->n_tok * (int64_t)sizeof *b->row_example);
    b->offset = arena_zalloc(a, (b->n_seq + 1) * (int64_t)sizeof *b->offset);
    if (arena_failed(a, err))
        return -1;
    for (int64_t s = 0; s < d->n_seq; s++) {
        for (int64_t i = from; i < d->length; i++, row++) {
            b->id[row] = d->id[s * d->capacity + i];
            b->position[row] = (int32_t)i;
        }
        b->offset[s + 1] = (int32_t)row;
    }
    return 0;
}

/* log softmax in double. */
static void log_probabilities(double *out, const struct tensor *logits, int64_t row,
                              int64_t n)
{
    double max = -(double)INFINITY, sum = 0;

    for (int64_t v = 0; v < n; v++) {
        out[v] = tensor_get(logits, row * n + v);
        max = out[v] > max ? out[v] : max;
    }
    for (int64_t v = 0; v < n; v++)
        sum += exp(out[v] - max);
    for (int64_t v = 0; v < n; v++)
        out[v] -= max + log(sum);
}

/* What may follow each sequence: d->logp. */
static int look_ahead(struct decoder *d, struct err *err)
{
    int64_t from = d->how->no_cache ? 0 : d->cache.length;
    struct output out;
    struct batch batch;
    struct pass pass;

    arena_clear(d->arena);
    if (fill_batch(&batch, d, from, err))
        return -1;
    pass_begin(&pass, d->tape, d->m, &batch, TAPE_EVAL, PASS_LOGITS);
    pass.cache = d->how->no_cache ? NULL : &d->cache;
    out = model_forward(&pass);
    if (tape_failed(d->tape, err))
        return -1;
    for (int64_t s = 0; s < d->n_seq; s++)
        log_probabilities(d->logp + s * d->vocab, out.logits, batch.offset[s + 1] - 1,
                          d->vocab);
    d->cache.length = d->length;
    return 0;
}

static bool ends_text(const struct decoder *d, int64_t id)
{
    const struct hf_config *cfg = &d->m->cfg;
    struct special_ids sp = {-1, -1, -1, -1, -1, -1, -1};

    if (d->how->endless)
        return false;
    if (d->m->tok)
        sp = tokenizer_special(d->m->tok);
    return id == cfg->eos_id || id == sp.eos || id == sp.bos;
}

/* ---- one token at a time ---- */

struct candidate {
    double p;
    int64_t id;
};

static int likelier_first(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->p > y->p || x->p < y->p)
        return x->p > y->p ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int64_t likeliest(const double *logp, int64_t n)
{
    int64_t best = 0;

    for (int64_t v = 1; v < n; v++)
        if (logp[v] > logp[best])
            best = v;
    return best;
}

/* How many of the candidates, likeliest first, may be drawn. */
static int64_t cut(const struct decoding *how, const struct candidate *c, int64_t n)
{
    double sum = 0, all = 0;

    if (how->top_k > 0 && how->top_k < n)
        n = how->top_k;
    for (int64_t i = 0; i < n; i++)
        all += c[i].p;
    for (int64_t i = 0; how->top_p < 1 && i < n; i++) {
        sum += c[i].p;
        if (sum >= how->top_p * all)
            return i + 1;
    }
    return n;
}

/* -1: no memory. */
static int64_t draw(struct decoder *d, struct err *err)
{
    struct rng rng = rng_streamf(d->how->seed, "rollout/%lld/%lld",
                                 (long long)d->how->number, (long long)d->length);
    struct candidate *c = arena_alloc(d->arena, d->vocab * (int64_t)sizeof *c);
    double sum = 0, max = d->logp[likeliest(d->logp, d->vocab)], u;
    int64_t n;

    if (!c)
        return arena_failed(d->arena, err);
    for (int64_t v = 0; v < d->vocab; v++)
        c[v] = (struct candidate){exp((d->logp[v] - max) / d->how->temperature), v};
    qsort(c, (size_t)d->vocab, sizeof *c, likelier_first);
    n = cut(d->how, c, d->vocab);
    for (int64_t i = 0; i < n; i++)
        sum += c[i].p;
    u = rng_uniform(&rng) * sum;
    for (int64_t i = 0; i < n - 1; i++) {
        u -= c[i].p;
        if (u < 0)
            return c[i].id;
    }
    return c[n - 1].id;
}

static int push(struct tokens *out, int32_t id, struct err *err)
{
    int64_t capacity = out->capacity ? 2 * out->capacity : 64;

    if (out->n == out->capacity) {
        int32_t *ids = mem_resize(out->id, capacity, sizeof *ids, err);
        int64_t *begin, *end;
        if (!ids)
            return -1;
        out->id = ids;
        begin = mem_resize(out->begin, capacity, sizeof *begin, err);
        if (!begin)
            return -1;
        out->begin = begin;
        end = mem_resize(out->end, capacity, sizeof *end, err);
        if (!end)
            return -1;
        out->end = end;
        out->capacity = capacity;
    }
    out->id[out->n] = id;
    out->begin[out->n] = out->end[out->n] = -1;
    out->n++;
    return 0;
}

static int one_by_one(struct decoder *d, struct tokens *out,
                      bool (*each)(void *ctx, const struct tokens *out), void *ctx,
                      struct err *err)
{
    for (; d->length < d->capacity; d->length++) {
        int64_t id;
        if (look_ahead(d, err))
            return -1;
        id = d->how->temperature > 0 ? draw(d, err) : likeliest(d->logp, d->vocab);
        if (id < 0)
            return -1;
        if (ends_text(d, id))
            break;
        d->id[d->length] = (int32_t)id;
        if (push(out, (int32_t)id, err))
            return -1;
        if (each && !each(ctx, out))
            break;
    }
    return 0;
}

/* ---- beams ---- */

struct beams {
    double *score;      /* (K) sums of log p of those that run */
    double *done_score; /* (K) of finished ones, over their length; falling */
    int32_t *done;      /* (K, capacity) */
    int64_t *done_length;
    int64_t n_done;
    struct candidate *best; /* (2 K) by p; id: sequence * vocab + token */
    int32_t *from, *next;   /* (K) what the running ones go on from, and their token */
    int32_t *old;           /* (K, capacity) */
};

static int beams_init(struct beams *b, const struct decoder *d, struct arena *a,
                      struct err *err)
{
    int64_t k = d->n_seq, ids = k * d->capacity * (int64_t)sizeof(int32_t);

    *b = (struct beams){
        .score = arena_zalloc(a, k * (int64_t)sizeof(double)),
        .done_score = arena_zalloc(a, (k + 1) * (int64_t)sizeof(double)),
        .done = arena_zalloc(a, ids + d->capacity * (int64_t)sizeof(int32_t)),
        .done_length = arena_zalloc(a, (k + 1) * (int64_t)sizeof(int64_t)),
        .best = arena_zalloc(a, 2 * k * (int64_t)sizeof(struct candidate)),
        .from = arena_zalloc(a, k * (int64_t)sizeof(int32_t)),
        .next = arena_zalloc(a, k * (int64_t)sizeof(int32_t)),
        .old = arena_zalloc(a, ids),
    };
    if (arena_failed(a, err))
        return -1;
    for (int64_t i = 1; i < k; i++) /* all begin alike: one of them counts */
        b->score[i] = -1e9;
    return 0;
}

/* The 2 K likeliest continuations, by insertion. Returns their number. */
static int64_t rank(struct beams *b, const struct decoder *d)
{
    int64_t most = 2 * d->n_seq, n = 0;

    for (int64_t i = 0; i < d->n_seq * d->vocab; i++) {
        double p = b->score[i / d->vocab] + d->logp[i];
        int64_t at = n < most ? n : most;
        if (n == most && !(p > b->best[most - 1].p))
            continue;
        if (at == most)
            at--;
        else
            n++;
        for (; at > 0 && p > b->best[at - 1].p; at--)
            b->best[at] = b->best[at - 1];
        b->best[at] = (struct candidate){p, i};
    }
    return n;
}

/* A finished text: its prompt and tokens are those of `seq`; `last` joins them unless it
 * is one that ends texts. */
static void finish(struct beams *b, const struct decoder *d, int64_t seq, int32_t last,
                   double p, int64_t prompt)
{
    int64_t k = d->n_seq, c = d->capacity, at = b->n_done;
    int64_t length = d->length;
    double score = p / pow((double)(d->length + 1 - prompt), d->how->length_penalty);

    if (at == k && !(score > b->done_score[k - 1]))
        return;
    at = at == k ? k - 1 : b->n_done++;
    for (; at > 0 && score > b->done_score[at - 1]; at--) {
        b->done_score[at] = b->done_score[at - 1];
        b->done_length[at] = b->done_length[at - 1];
        memcpy(b->done + at * c, b->done + (at - 1) * c, (size_t)c * sizeof *b->done);
    }
    memcpy(b->done + at * c, d->id + seq * c, (size_t)length * sizeof *b->done);
    if (!ends_text(d, last))
        b->done[at * c + length++] = last;
    b->done_score[at] = score;
    b->done_length[at] = length;
}

/* Candidates end or run on. */
static void choose(struct beams *b, const struct decoder *d, int64_t n, int64_t prompt)
{
    bool full = d->length + 1 >= d->capacity;
    int64_t run = 0;

    for (int64_t i = 0; i < n && run < d->n_seq; i++) {
        int64_t seq = b->best[i].id / d->vocab;
        int32_t id = (int32_t)(b->best[i].id % d->vocab);
        if (!full && !ends_text(d, id)) {
            b->from[run] = (int32_t)seq;
            b->next[run] = id;
            b->score[run++] = b->best[i].p;
        } else if (i < d->n_seq) { /* others would push a likelier one out */
            finish(b, d, seq, id, b->best[i].p, prompt);
        }
    }
    for (; run < d->n_seq; run++) {
        b->from[run] = b->next[run] = 0;
        b->score[run] = -1e9;
    }
}

static int run_on(struct beams *b, struct decoder *d, struct err *err)
{
    int64_t c = d->capacity;

    memcpy(b->old, d->id, (size_t)(d->n_seq * c) * sizeof *b->old);
    for (int64_t s = 0; s < d->n_seq; s++) {
        memcpy(d->id + s * c, b->old + b->from[s] * c,
               (size_t)d->length * sizeof *b->old);
        d->id[s * c + d->length] = b->next[s];
    }
    if (!d->how->no_cache && kv_cache_select(&d->cache, b->from, err))
        return -1;
    d->length++;
    return 0;
}

/* Can a running one still be better than the worst finished one? */
static bool is_over(const struct beams *b, const struct decoder *d, int64_t prompt)
{
    if (d->length + 1 > d->capacity)
        return true;
    return b->n_done == d->n_seq &&
           b->score[0] / pow((double)(d->length - prompt), d->how->length_penalty) <=
               b->done_score[d->n_seq - 1];
}

static int by_beams(struct decoder *d, struct tokens *out, int64_t prompt,
                    struct err *err)
{
    struct arena *arena = arena_new(err);
    struct beams b;
    int rc = -1;

    if (!arena || beams_init(&b, d, arena, err))
        goto done;
    do {
        if (look_ahead(d, err))
            goto done;
        choose(&b, d, rank(&b, d), prompt);
        if (run_on(&b, d, err))
            goto done;
    } while (!is_over(&b, d, prompt));
    rc = 0;
    for (int64_t i = prompt; rc == 0 && b.n_done && i < b.done_length[0]; i++)
        rc = push(out, b.done[i], err);
done:
    arena_free(arena);
    return rc;
}

int generate(struct tokens *out, struct model *m, struct tape *tape,
             const int32_t *prompt, int64_t n, const struct decoding *how,
             bool (*each)(void *ctx, const struct tokens *out), void *ctx,
             struct err *err)
{
    struct decoder d;
    int rc = decoder_init(&d, m, tape, prompt, n, how, err);

    if (rc == 0 && how->tokens > 0)
        rc = how->beams > 1 ? by_beams(&d, out, n, err)
                            : one_by_one(&d, out, each, ctx, err);
    if (rc == 0 && how->beams > 1 && each)
        each(ctx, out);
    decoder_release(&d);
    return rc;
}
