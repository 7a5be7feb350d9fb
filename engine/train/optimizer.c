/*
 * AdamW and the rates.
 *
 * Parameters are cut into pieces of about a fixed number of elements; a piece is one task
 * of the pool, so sums (the gradient's norm) have one order whatever the threads. All of
 * it is bound by memory, so nothing is read or written in vain: gradients are not zeroed
 * but marked (param.fresh); of a long table (an embedding) only rows that hold something
 * are visited, others merely decay, to the same bits; weights are packed for the next
 * step's products while they are in cache.
 */
#include "retort/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../tensor/update.h"

enum { PIECE = 1 << 16, WHOLE = 1 << 21 };

const char *const train_schedules[] = {"linear", "constant", "cosine", NULL};
const char *const train_optimizers[] = {"adamw", "bert-adam", NULL};
const char *const train_orders[] = {"shuffled", "file", NULL};
const char *const train_clips[] = {"none", "global", "tensor", NULL};
const char *const train_dtypes[] = {"f32", "bf16", NULL};
const char *const train_keeps[] = {"last", "best", NULL};

/* Room for n more, the old ones first. */
static int make_room(struct optimizer *opt, int64_t n, struct arena *arena,
                     struct err *err)
{
    struct optimizer old = *opt;
    int64_t room = opt->n + n;

    opt->param = arena_alloc(arena, room * (int64_t)sizeof *opt->param);
    opt->rate = arena_alloc(arena, room * (int64_t)sizeof *opt->rate);
    opt->m = arena_alloc(arena, room * (int64_t)sizeof *opt->m);
    opt->v = arena_alloc(arena, room * (int64_t)sizeof *opt->v);
    if (arena_failed(arena, err))
        return -1;
    for (int64_t k = 0; k < old.n; k++) {
        opt->param[k] = old.param[k];
        opt->rate[k] = old.rate[k];
        opt->m[k] = old.m[k];
        opt->v[k] = old.v[k];
    }
    return 0;
}

int optimizer_add(struct optimizer *opt, struct param *const *param, int64_t n,
                  double rate, struct arena *arena, struct err *err)
{
    if (make_room(opt, n, arena, err))
        return -1;
    for (int64_t i = 0; i < n; i++) {
        struct param *p = param[i];
        int64_t bytes = shape_count(p->value.shape) * (int64_t)sizeof(float);
        if (p->frozen)
            continue;
        if (param_need_grad(p, arena, err))
            return -1;
        opt->param[opt->n] = p;
        opt->rate[opt->n] = rate;
        opt->m[opt->n] = arena_zalloc(arena, bytes ? bytes : 1);
        opt->v[opt->n] = arena_zalloc(arena, bytes ? bytes : 1);
        opt->n++;
    }
    return arena_failed(arena, err);
}

int optimizer_init(struct optimizer *opt, struct model *model, struct arena *arena,
                   struct err *err)
{
    opt->n = 0;
    opt->step = 0;
    return optimizer_add(opt, model->param, model->n_params, 1, arena, err);
}

/* ---- pieces ---- */

struct job {
    struct optimizer *opt;
    const struct updates *k;
    double lr, scale1, scale2; /* 1 / (1 - b^t) */
    double *sum;               /* per piece: squares of the gradient */
    const double *factor;      /* per parameter: clipping */
    bool packs;                /* pieces are whole parameters where these are packed */
};

static int64_t count(const struct param *p)
{
    return shape_count(p->value.shape);
}

static int64_t row_length(const struct param *p)
{
    return p->rows ? p->value.shape.dim[1] : 1;
}

/* Rows are not cut where they are watched. */
static int64_t piece_of(const struct param *p, bool packs)
{
    int64_t c = row_length(p), n = count(p);

    if (packs && p->cache && n <= WHOLE)
        return n;
    return c >= PIECE ? c : PIECE / (c ? c : 1) * c;
}

static int64_t pieces_of(const struct param *p, bool packs)
{
    int64_t each = piece_of(p, packs);

    return each ? (count(p) + each - 1) / each : 0;
}

/* Piece `task` belongs to parameter *k, elements from *begin to *end. */
static void find_piece(const struct job *job, int64_t task, int64_t *k, int64_t *begin,
                       int64_t *end)
{
    for (*k = 0; *k < job->opt->n; (*k)++) {
        const struct param *p = job->opt->param[*k];
        int64_t pieces = pieces_of(p, job->packs), each = piece_of(p, job->packs);
        if (task < pieces) {
            *begin = task * each;
            *end = *begin + each < count(p) ? *begin + each : count(p);
            return;
        }
        task -= pieces;
    }
    BUG("piece out of range");
}

static int64_t count_pieces(const struct optimizer *opt, bool packs)
{
    int64_t pieces = 0;

    for (int64_t k = 0; k < opt->n; k++)
        pieces += pieces_of(opt->param[k], packs);
    return pieces;
}

/* Of watched rows those with a gradient; else nothing: the parameter is marked. */
static void zero_piece(void *ctx, int64_t task)
{
    struct job *job = ctx;
    int64_t k, begin, end;

    find_piece(job, task, &k, &begin, &end);
    struct param *p = job->opt->param[k];
    int64_t c = row_length(p);
    for (int64_t i = begin; p->rows && i < end; i += c) {
        uint8_t *row = &p->rows[i / c];
        if (*row & PARAM_ROW_GRAD)
            memset(p->grad + i, 0, (size_t)c * sizeof(float));
        *row &= (uint8_t)~PARAM_ROW_GRAD;
    }
}

void optimizer_zero_grad(struct optimizer *opt, struct pool *pool)
{
    struct job job = {.opt = opt};

    for (int64_t k = 0; k < opt->n; k++)
        opt->param[k]->fresh = !opt->param[k]->rows;
    pool_run(pool, count_pieces(opt, false), zero_piece, &job);
}

void optimizer_settle(struct optimizer *opt)
{
    for (int64_t k = 0; k < opt->n; k++) {
        struct param *p = opt->param[k];
        if (p->fresh)
            memset(p->grad, 0, (size_t)count(p) * sizeof(float));
        p->fresh = false;
    }
}

/* Sum of squares in 16 lanes, in those of each row where rows are watched; masked
 * elements do not count. */
static void norm_piece(void *ctx, int64_t task)
{
    struct job *job = ctx;
    int64_t k, begin, end;
    double lane[UPDATE_LANES] = {0}, sum = 0;

    find_piece(job, task, &k, &begin, &end);
    struct param *p = job->opt->param[k];
    float *g = p->grad;
    int64_t c = p->rows ? row_length(p) : end - begin;
    for (int64_t i = begin; p->mask && i < end; i++)
        g[i] = p->mask[i] ? g[i] : 0.0f;
    for (int64_t i = begin; i < end; i += c)
        if (!p->rows || p->rows[i / c] & PARAM_ROW_GRAD)
            job->k->squares(lane, g + i, c);
    for (int j = 0; j < UPDATE_LANES; j++)
        sum += lane[j];
    job->sum[task] = sum;
}

static struct adamw_step step_of(const struct job *job, int64_t k)
{
    const struct adamw *cfg = &job->opt->cfg;
    double lr = job->opt->rate ? job->lr * job->opt->rate[k] : job->lr;
    double decay = job->opt->param[k]->decay ? lr * cfg->weight_decay : 0;

    return (struct adamw_step){.beta1 = (float)cfg->beta1,
                               .beta2 = (float)cfg->beta2,
                               .rest1 = (float)(1 - cfg->beta1),
                               .rest2 = (float)(1 - cfg->beta2),
                               .clip = (float)job->factor[k],
                               .step = (float)(lr * job->scale1),
                               .root = (float)sqrt(job->scale2),
                               .eps = (float)cfg->eps,
                               .keep = (float)(1 - decay)};
}

/* A row without gradient and moments only decays; no change is left out. */
static void update_rows(const struct job *job, const struct adamw_step *step, int64_t k,
                        int64_t begin, int64_t end)
{
    struct param *p = job->opt->param[k];
    float *w = tensor_f32(&p->value);
    int64_t c = row_length(p);

    for (int64_t i = begin; i < end; i += c) {
        if (p->rows[i / c])
            job->k->adamw(step, w + i, p->grad + i, job->opt->m[k] + i,
                          job->opt->v[k] + i, c);
        else if (step->keep < 1 || step->keep > 1)
            job->k->scale(w + i, step->keep, c);
    }
}

static void update_piece(void *ctx, int64_t task)
{
    struct job *job = ctx;
    int64_t k, begin, end;

    find_piece(job, task, &k, &begin, &end);
    struct param *p = job->opt->param[k];
    struct adamw_step step = step_of(job, k);
    float *w = tensor_f32(&p->value);
    if (p->rows)
        update_rows(job, &step, k, begin, end);
    else
        job->k->adamw(&step, w + begin, p->grad + begin, job->opt->m[k] + begin,
                      job->opt->v[k] + begin, end - begin);
    for (int64_t i = begin; p->mask && i < end; i++)
        w[i] = p->mask[i] ? w[i] : 0.0f;
    if (end - begin == count(p)) {
        param_touch(p);
        param_repack(p);
    }
}

/* ---- the update ---- */

static double clip_factor(double norm, double limit)
{
    /* torch.nn.utils.clip_grad_norm_ */
    return norm > limit ? limit / (norm + 1e-6) : 1.0;
}

/* Norms of all parameters from their pieces, the global norm; factors by the kind of
 * clipping. */
static double clip(struct optimizer *opt, const double *sum, double *factor)
{
    double total = 0;
    int64_t piece = 0;

    for (int64_t k = 0; k < opt->n; k++) {
        int64_t n = pieces_of(opt->param[k], false);
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
    int64_t pieces = count_pieces(opt, false);
    struct job job = {.opt = opt, .k = updates_now(), .lr = lr, .scale1 = 1, .scale2 = 1};
    struct err err = ERR_INIT;
    double *buf = mem_new(pieces + opt->n + 1, sizeof *buf, &err);
    double norm;

    if (!buf)
        return (double)NAN;
    optimizer_settle(opt);
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
        job.packs = true;
        pool_run(pool, count_pieces(opt, true), update_piece, &job);
        for (int64_t k = 0; k < opt->n; k++)
            if (pieces_of(opt->param[k], true) != 1)
                param_touch(opt->param[k]);
    }
    free(buf);
    return norm;
}

/* Moments are 0 in rows that no gradient ever met; minus zero counts as something. */
static bool row_is_zero(const float *x, int64_t n)
{
    static const float zeros[64];

    for (int64_t i = 0; i < n; i += 64)
        if (memcmp(x + i, zeros, (size_t)(n - i < 64 ? n - i : 64) * sizeof *x))
            return false;
    return true;
}

void optimizer_resume(struct optimizer *opt, int64_t step)
{
    opt->step = step;
    for (int64_t k = 0; k < opt->n; k++) {
        struct param *p = opt->param[k];
        int64_t c = row_length(p);
        for (int64_t i = 0; p->rows && i < count(p); i += c)
            if (!row_is_zero(opt->m[k] + i, c) || !row_is_zero(opt->v[k] + i, c))
                p->rows[i / c] |= PARAM_ROW_MOMENTS;
        param_touch(p);
    }
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
