/*
 * AdamW and the rates.
 *
 * Parameters are cut into pieces of a fixed number of elements; a piece is one task of
 * the pool, so sums (the gradient's norm) have one order whatever the threads.
 */
#include "retort/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 16 };

const char *const train_schedules[] = {"linear", "constant", "cosine", NULL};
const char *const train_optimizers[] = {"adamw", "bert-adam", NULL};
const char *const train_orders[] = {"shuffled", "file", NULL};
const char *const train_clips[] = {"none", "global", "tensor", NULL};
const char *const train_dtypes[] = {"f32", "bf16", NULL};
const char *const train_keeps[] = {"last", "best", NULL};

int optimizer_init(struct optimizer *opt, struct model *model, struct arena *arena,
                   struct err *err)
{
    int64_t n = model->n_params;

    opt->n = 0;
    opt->step = 0;
    opt->param = arena_alloc(arena, n * (int64_t)sizeof *opt->param);
    opt->m = arena_alloc(arena, n * (int64_t)sizeof *opt->m);
    opt->v = arena_alloc(arena, n * (int64_t)sizeof *opt->v);
    if (arena_failed(arena, err))
        return -1;
    for (int64_t i = 0; i < n; i++) {
        struct param *p = model->param[i];
        int64_t bytes = shape_count(p->value.shape) * (int64_t)sizeof(float);
        if (p->frozen)
            continue;
        if (param_need_grad(p, arena, err))
            return -1;
        opt->param[opt->n] = p;
        opt->m[opt->n] = arena_zalloc(arena, bytes);
        opt->v[opt->n] = arena_zalloc(arena, bytes);
        opt->n++;
    }
    return arena_failed(arena, err);
}

/* ---- pieces ---- */

struct job {
    struct optimizer *opt;
    double lr, scale1, scale2; /* 1 / (1 - b^t) */
    double *sum;               /* per piece: squares of the gradient */
    const double *factor;      /* per parameter: clipping */
};

/* Piece `task` belongs to parameter *k, elements from *begin to *end. */
static void find_piece(const struct optimizer *opt, int64_t task, int64_t *k,
                       int64_t *begin, int64_t *end)
{
    for (*k = 0; *k < opt->n; (*k)++) {
        int64_t n = shape_count(opt->param[*k]->value.shape),
                pieces = (n + PIECE - 1) / PIECE;
        if (task < pieces) {
            *begin = task * PIECE;
            *end = *begin + PIECE < n ? *begin + PIECE : n;
            return;
        }
        task -= pieces;
    }
    BUG("piece out of range");
}

static int64_t count_pieces(const struct optimizer *opt)
{
    int64_t pieces = 0;

    for (int64_t k = 0; k < opt->n; k++)
        pieces += (shape_count(opt->param[k]->value.shape) + PIECE - 1) / PIECE;
    return pieces;
}

static void zero_piece(void *ctx, int64_t task)
{
    struct job *job = ctx;
    int64_t k, begin, end;

    find_piece(job->opt, task, &k, &begin, &end);
    memset(job->opt->param[k]->grad + begin, 0, (size_t)(end - begin) * sizeof(float));
}

void optimizer_zero_grad(struct optimizer *opt, struct pool *pool)
{
    struct job job = {.opt = opt};

    pool_run(pool, count_pieces(opt), zero_piece, &job);
}

/* Sum of squares in 16 lanes; masked elements do not count. */
static void norm_piece(void *ctx, int64_t task)
{
    struct job *job = ctx;
    int64_t k, begin, end;
    double lane[16] = {0}, sum = 0;

    find_piece(job->opt, task, &k, &begin, &end);
    float *g = job->opt->param[k]->grad;
    const uint8_t *mask = job->opt->param[k]->mask;
    for (int64_t i = begin; mask && i < end; i++)
        g[i] = mask[i] ? g[i] : 0.0f;
    for (int64_t i = begin; i + 16 <= end; i += 16)
        for (int64_t j = 0; j < 16; j++)
            lane[j] += (double)g[i + j] * (double)g[i + j];
    for (int64_t i = end - (end - begin) % 16; i < end; i++)
        lane[0] += (double)g[i] * (double)g[i];
    for (int j = 0; j < 16; j++)
        sum += lane[j];
    job->sum[task] = sum;
}

static void update_piece(void *ctx, int64_t task)
{
    struct job *job = ctx;
    const struct adamw *cfg = &job->opt->cfg;
    int64_t k, begin, end;

    find_piece(job->opt, task, &k, &begin, &end);
    struct param *p = job->opt->param[k];
    float *restrict w = tensor_f32(&p->value);
    const float *restrict g = p->grad;
    float *restrict m = job->opt->m[k], *restrict v = job->opt->v[k];
    float b1 = (float)cfg->beta1, b2 = (float)cfg->beta2, c1 = (float)(1 - cfg->beta1),
          c2 = (float)(1 - cfg->beta2), clip = (float)job->factor[k];
    float step = (float)(job->lr * job->scale1), root = (float)sqrt(job->scale2),
          eps = (float)cfg->eps;
    float keep = (float)(1 - (p->decay ? job->lr * cfg->weight_decay : 0));

    for (int64_t i = begin; i < end; i++) {
        float gi = g[i] * clip;
        m[i] = b1 * m[i] + c1 * gi;
        v[i] = b2 * v[i] + c2 * gi * gi;
        w[i] = w[i] * keep - step * m[i] / (sqrtf(v[i]) * root + eps);
    }
    for (int64_t i = begin; p->mask && i < end; i++)
        w[i] = p->mask[i] ? w[i] : 0.0f;
}

/* ---- the update ---- */

static double clip_factor(double norm, double limit)
{
    return norm > limit ? limit / (norm + 1e-6)
                        : 1.0; /* torch.nn.utils.clip_grad_norm_ */
}

/* Norms of all parameters from their pieces, the global norm; factors by the kind of
 * clipping. */
static double clip(struct optimizer *opt, const double *sum, double *factor)
{
    double total = 0;
    int64_t piece = 0;

    for (int64_t k = 0; k < opt->n; k++) {
        int64_t n = (shape_count(opt->param[k]->value.shape) + PIECE - 1) / PIECE;
        double own = 0;
        for (int64_t i = 0; i < n; i++)
            own += sum[piece++];
        total += own;
        factor[k] =
            opt->clip == CLIP_TENSOR ? clip_factor(sqrt(own), opt->clip_norm) : 1.0;
    }
    for (int64_t k = 0; opt->clip == CLIP_GLOBAL && k < opt->n; k++)
        factor[k] = clip_factor(sqrt(total), opt->clip_norm);
    return sqrt(total);
}

double optimizer_update(struct optimizer *opt, double lr, struct pool *pool)
{
    int64_t pieces = count_pieces(opt);
    struct job job = {.opt = opt, .lr = lr, .scale1 = 1, .scale2 = 1};
    struct err err = ERR_INIT;
    double *buf = mem_new(pieces + opt->n + 1, sizeof *buf, &err);
    double norm;

    if (!buf)
        return (double)NAN;
    job.sum = buf;
    job.factor = buf + pieces;
    pool_run(pool, pieces, norm_piece, &job);
    norm = clip(opt, job.sum, buf + pieces);
    if (isfinite(norm)) {
        opt->step++;
        if (opt->cfg.bias_correction) {
            job.scale1 = 1 / (1 - pow(opt->cfg.beta1, (double)opt->step));
            job.scale2 = 1 / (1 - pow(opt->cfg.beta2, (double)opt->step));
        }
        pool_run(pool, pieces, update_piece, &job);
        for (int64_t k = 0; k < opt->n; k++)
            param_touch(opt->param[k]);
    }
    free(buf);
    return norm;
}

double schedule_lr(enum schedule kind, double lr, int64_t step, int64_t warmup,
                   int64_t total)
{
    double left, span = (double)(total - warmup > 1 ? total - warmup : 1);

    if (step < warmup)
        return lr * (double)step / (double)warmup;
    left = (double)(total - step) / span;
    left = left < 0 ? 0 : left;
    if (kind == SCHEDULE_LINEAR)
        return lr * left;
    if (kind == SCHEDULE_COSINE)
        return lr * 0.5 * (1 + cos(3.14159265358979323846 * (1 - left)));
    return lr;
}
