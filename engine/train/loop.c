/*
 * The training loop.
 *
 * A step is one update, counted from 0: `accumulate` micro-batches of `batch` examples of
 * the epoch's order, the last one partial. All that a later step depends on is registered
 * with the stage: weights, moments, counters, the best weights so far. So a killed job
 * goes on to the same bits.
 */
#include "retort/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "retort/clock.h"
#include "retort/profile.h"
#include "retort/stage.h"

/* What is kept across a kill, besides weights and moments. */
struct progress {
    int64_t step;      /* updates made */
    int64_t opt_step;  /* those that changed something */
    int64_t bad_evals; /* evaluations without gain */
    int64_t best_step; /* -1: none yet */
    double best;
    int64_t stopped; /* early */
    int64_t skipped; /* updates with a gradient that was not finite */
};

struct loop {
    struct stage *st;
    struct model *model;
    const struct dataset *data, *dev;
    const struct train_options *opt;
    const struct train_hooks *hooks;
    struct optimizer optim;
    struct tape *tape;
    struct arena *batch_arena, *epoch_arena;
    struct progress at;
    int64_t epoch, *order; /* of `epoch`; -1: none yet */
    int64_t per_epoch, total, warmup;
    float **best; /* copies of the weights, with keep "best" */
    int64_t tokens;
    double began, loss; /* of the last step */
};

/* ---- set-up ---- */

static void plan_steps(struct loop *lp)
{
    const struct train_options *o = lp->opt;
    int64_t examples = o->batch * o->accumulate;

    lp->per_epoch = (lp->data->n + examples - 1) / examples;
    lp->total = lp->per_epoch * o->epochs;
    if (o->max_steps > 0 && (o->max_steps < lp->total || o->epochs == 0))
        lp->total = o->max_steps;
    lp->warmup = (int64_t)ceil(o->warmup * (double)lp->total - 1e-9);
}

static void use_options(struct loop *lp)
{
    const struct train_options *o = lp->opt;
    struct hf_config *cfg = &lp->model->cfg;

    lp->optim.cfg =
        (struct adamw){o->beta1, o->beta2, o->eps, o->weight_decay, o->optimizer == 0};
    lp->optim.clip = (enum clip)o->clip;
    lp->optim.clip_norm = o->clip_norm;
    if (o->dropout >= 0) {
        cfg->dropout = o->dropout;
        cfg->classifier_dropout = -1;
    }
    if (o->attention_dropout >= 0)
        cfg->attention_dropout = o->attention_dropout;
}

static int register_state(struct loop *lp)
{
    struct stage *st = lp->st;
    struct optimizer *op = &lp->optim;

    if (st->state(st, "train/progress", &lp->at, (int64_t)sizeof lp->at))
        return -1;
    for (int64_t k = 0; k < op->n; k++) {
        struct param *p = op->param[k];
        int64_t bytes = shape_count(p->value.shape) * (int64_t)sizeof(float);
        if (st->state(st, arena_printf(st->arena, "weight/%s", p->name), p->value.data,
                      bytes) ||
            st->state(st, arena_printf(st->arena, "m/%s", p->name), op->m[k], bytes) ||
            st->state(st, arena_printf(st->arena, "v/%s", p->name), op->v[k], bytes))
            return -1;
        if (p->mask && st->state(st, arena_printf(st->arena, "mask/%s", p->name), p->mask,
                                 bytes / 4))
            return -1;
        if (lp->best && st->state(st, arena_printf(st->arena, "best/%s", p->name),
                                  lp->best[k], bytes))
            return -1;
    }
    return 0;
}

static int start(struct loop *lp)
{
    struct stage *st = lp->st;

    plan_steps(lp);
    use_options(lp);
    lp->at.best_step = -1;
    lp->epoch = -1;
    lp->batch_arena = arena_new(&st->err);
    lp->epoch_arena = arena_new(&st->err);
    lp->tape = stage_tape(st, lp->opt->dtype == 1 ? DT_BF16 : DT_F32);
    if (stage_failed(st) || optimizer_init(&lp->optim, lp->model, st->arena, &st->err))
        return -1;
    if (lp->hooks && lp->hooks->n_params > 0 &&
        optimizer_add(&lp->optim, lp->hooks->param, lp->hooks->n_params, lp->hooks->rate,
                      st->arena, &st->err))
        return -1;
    if (lp->opt->keep == 1) {
        lp->best = arena_alloc(st->arena, lp->optim.n * (int64_t)sizeof *lp->best);
        for (int64_t k = 0; lp->best && k < lp->optim.n; k++)
            lp->best[k] =
                arena_zalloc(st->arena, shape_count(lp->optim.param[k]->value.shape) *
                                            (int64_t)sizeof(float));
    }
    if (arena_failed(st->arena, &st->err) || register_state(lp))
        return -1;
    if (st->restore(st))
        optimizer_resume(&lp->optim, lp->at.opt_step);
    lp->began = clock_seconds();
    return stage_done(st);
}

/* ---- one step ---- */

static int64_t *file_order(int64_t n, struct arena *arena)
{
    int64_t *order = arena_alloc(arena, n * (int64_t)sizeof *order);

    for (int64_t i = 0; order && i < n; i++)
        order[i] = i;
    return order;
}

static const int64_t *order_of(struct loop *lp, int64_t epoch)
{
    if (epoch != lp->epoch) {
        arena_clear(lp->epoch_arena);
        lp->order = lp->opt->order == 1
                        ? file_order(lp->data->n, lp->epoch_arena)
                        : dataset_order(lp->data, lp->st->seed, epoch, lp->epoch_arena);
        lp->epoch = epoch;
    }
    return lp->order;
}

/* Forward and backward of one micro-batch; its loss. */
static int micro_batch(struct loop *lp, const int64_t *pick, int64_t n, float share,
                       struct snapshot *snap, double *loss)
{
    struct stage *st = lp->st;
    struct batch batch;
    struct pass pass;
    struct output out;
    struct tensor *l;
    bool drop = lp->opt->dropout_epochs == 0 ||
                lp->at.step / lp->per_epoch < lp->opt->dropout_epochs;
    int flags = drop ? TAPE_TRAIN : TAPE_GRAD;

    arena_clear(lp->batch_arena);
    if (batch_fill(&batch, lp->data, pick, n, lp->batch_arena, &st->err))
        return -1;
    profile_lap("batch");
    snapshot_batch(snap, lp->tape, lp->model, &batch, lp->data, drop);
    pass_begin(&pass, lp->tape, lp->model, &batch, flags, 0);
    pass.seed = st->seed;
    pass.step = lp->at.step;
    if (lp->hooks && lp->hooks->prepare)
        lp->hooks->prepare(lp->hooks->ctx, &pass);
    out = model_forward(&pass);
    l = lp->hooks && lp->hooks->loss ? lp->hooks->loss(lp->hooks->ctx, &pass, &out)
                                     : model_loss(&pass, &out, NULL);
    tape_backward(lp->tape, l, share);
    if (tape_failed(lp->tape, &st->err))
        return -1;
    *loss += (double)share * tensor_get(l, 0);
    lp->tokens += batch.n_tok;
    return 0;
}

/* Sums the gradients of the step's micro-batches; its mean loss. */
static int gradients(struct loop *lp, int64_t from, int64_t to, double *loss)
{
    const int64_t *order = order_of(lp, lp->at.step / lp->per_epoch);
    struct snapshot *snap = snapshot_begin(lp->st, lp->at.step);

    *loss = 0;
    if (!order)
        err_set(&lp->st->err, ERR_MEMORY, "no memory for the order of an epoch");
    optimizer_zero_grad(&lp->optim, lp->st->pool);
    profile_lap("optimizer");
    for (int64_t i = from; i < to && !stage_failed(lp->st); i += lp->opt->batch) {
        int64_t n = i + lp->opt->batch < to ? lp->opt->batch : to - i;
        micro_batch(lp, order + i, n, (float)n / (float)(to - from), snap, loss);
    }
    optimizer_settle(&lp->optim);
    if (!stage_failed(lp->st) && lp->hooks && lp->hooks->gradients)
        lp->hooks->gradients(lp->hooks->ctx, lp->model, lp->at.step, lp->total,
                             &lp->st->err);
    profile_lap("optimizer");
    snapshot_params(snap, &lp->optim);
    snapshot_end(snap);
    profile_lap("record");
    return stage_done(lp->st);
}

static int train_step(struct loop *lp)
{
    struct stage *st = lp->st;
    const struct train_options *o = lp->opt;
    int64_t step = lp->at.step, examples = o->batch * o->accumulate;
    int64_t from = step % lp->per_epoch * examples;
    int64_t to = from + examples < lp->data->n ? from + examples : lp->data->n;
    double loss, norm,
        lr = schedule_lr((enum schedule)o->schedule, o->lr, step, lp->warmup, lp->total);

    if (lp->hooks && lp->hooks->before_step &&
        lp->hooks->before_step(lp->hooks->ctx, lp->model, step, lp->total, &st->err))
        return -1;
    if (gradients(lp, from, to, &loss))
        return -1;
    norm = optimizer_update(&lp->optim, lr, st->pool);
    profile_lap("optimizer");
    if (!isfinite(norm) && lp->at.skipped++ == 0)
        stage_note(st, "step %lld: the gradient is not finite; the update is left out",
                   (long long)step);
    lp->at.step++;
    lp->at.opt_step = lp->optim.step;
    lp->loss = loss;
    stage_metric(st, "train/loss", step, loss);
    stage_metric(st, "train/lr", step, lr);
    stage_metric(st, "train/grad_norm", step, norm);
    if (lp->hooks && lp->hooks->after_step &&
        lp->hooks->after_step(lp->hooks->ctx, lp->model, lp->at.step, lp->total,
                              &st->err))
        return -1;
    return stage_done(st);
}

/* ---- evaluation ---- */

static const struct metric *keep_metric(const struct loop *lp)
{
    const struct task *task = lp->dev->task;

    if (!lp->opt->keep_metric[0])
        return task->metrics[0];
    for (int64_t i = 0; task->metrics[i]; i++)
        if (!strcmp(task->metrics[i]->name, lp->opt->keep_metric))
            return task->metrics[i];
    return NULL;
}

/* A gain is a better score than all before; an equal one is none, nor is what is not a
 * number. */
static void keep_best(struct loop *lp, double score, bool larger)
{
    bool first = lp->at.best_step < 0;
    bool gain =
        !isnan(score) && (first || (larger ? score > lp->at.best : score < lp->at.best));

    lp->at.bad_evals = gain ? 0 : lp->at.bad_evals + 1;
    if (!gain)
        return;
    lp->at.best = score;
    lp->at.best_step = lp->at.step;
    for (int64_t k = 0; lp->best && k < lp->optim.n; k++)
        memcpy(lp->best[k], lp->optim.param[k]->value.data,
               (size_t)shape_count(lp->optim.param[k]->value.shape) * sizeof(float));
}

static int evaluate(struct loop *lp)
{
    struct stage *st = lp->st;
    const struct metric *m = keep_metric(lp);
    struct predictions *p = NULL;

    if (!m)
        return stage_fail(st, ERR_INPUT, "%s has no metric \"%s\"", lp->dev->task->name,
                          lp->opt->keep_metric);
    if (model_predict(&p, lp->model, lp->dev, lp->tape, 4096, NULL, NULL, NULL, &st->err))
        return -1;
    for (int64_t i = 0; lp->dev->task->metrics[i]; i++) {
        const struct metric *each = lp->dev->task->metrics[i];
        if (!metric_suits(each, p))
            continue;
        stage_metric(st, arena_printf(st->arena, "eval/%s/%s", lp->dev->name, each->name),
                     lp->at.step, stage_score(st, each, p));
    }
    stage_metric(st, arena_printf(st->arena, "eval/%s/loss", lp->dev->name), lp->at.step,
                 p->loss);
    keep_best(lp, stage_score(st, m, p), m->larger_is_better);
    if (lp->opt->patience > 0 && lp->at.bad_evals >= lp->opt->patience)
        lp->at.stopped = 1;
    predictions_free(p);
    return stage_done(st);
}

static bool evaluation_due(const struct loop *lp)
{
    int64_t every = lp->opt->eval_every > 0 ? lp->opt->eval_every : lp->per_epoch;

    return lp->dev && (lp->at.step % every == 0 || lp->at.step == lp->total);
}

/* ---- the loop ---- */

static void hand_on(struct loop *lp)
{
    for (int64_t k = 0; lp->best && lp->at.best_step >= 0 && k < lp->optim.n; k++) {
        struct param *p = lp->optim.param[k];
        memcpy(p->value.data, lp->best[k],
               (size_t)shape_count(p->value.shape) * sizeof(float));
        param_touch(p);
    }
    stage_metric(lp->st, "train/steps", lp->at.step, (double)lp->at.step);
    if (lp->dev) {
        stage_metric(lp->st, "train/stopped_early", lp->at.step, (double)lp->at.stopped);
        stage_metric(lp->st, "train/best_step", lp->at.step, (double)lp->at.best_step);
        stage_metric(lp->st, "train/best_score", lp->at.step,
                     lp->at.best_step < 0 ? (double)NAN : lp->at.best);
    }
    if (lp->best && lp->at.best_step < 0)
        stage_note(lp->st, "no evaluation gave a number to keep the best by; the last "
                           "weights are handed on");
    if (lp->at.skipped)
        stage_metric(lp->st, "train/skipped_steps", lp->at.step, (double)lp->at.skipped);
}

int train_check(const struct train_options *o, struct err *err)
{
    const char *what = o->keep == 1        ? "keep \"best\""
                       : o->patience > 0   ? "patience"
                       : o->keep_metric[0] ? "keep_metric"
                       : o->eval_every > 0 ? "eval_every"
                                           : NULL;

    if (what && !o->eval_split[0])
        return err_set(err, ERR_INPUT, "%s needs eval_split: a split to score", what);
    return 0;
}

int train_check_pruning(const struct train_options *o, struct err *err)
{
    if (o->keep == 1 || o->patience > 0)
        return err_set(
            err, ERR_INPUT,
            "the last weights are the pruned ones: leave out keep \"best\" and "
            "patience");
    return train_check(o, err);
}

int train_loop(struct stage *st, struct model *model, const struct dataset *data,
               const struct dataset *dev, const struct train_options *opt,
               const struct train_hooks *hooks)
{
    struct loop lp = {
        .st = st, .model = model, .data = data, .dev = dev, .opt = opt, .hooks = hooks};

    if (stage_failed(st))
        return -1;
    if (!data || data->n == 0)
        return stage_fail(st, ERR_INPUT, "there are no examples to train on");
    if (data->causal && data->task->kind == TASK_CHOICE)
        return stage_fail(st, ERR_INPUT,
                          "%s: a decoder scores choices by the likelihood of their text; "
                          "it learns from texts (a task of language modelling)",
                          data->name);
    stage_need_labels(st, data);
    if (stage_failed(st) || start(&lp))
        goto done;
    while (lp.at.step < lp.total && !lp.at.stopped) {
        if (train_step(&lp) || (evaluation_due(&lp) && evaluate(&lp)))
            goto done;
        stage_progress(st, lp.at.step, lp.total, "step %lld/%lld  loss %.4f  %.0f tok/s",
                       (long long)lp.at.step, (long long)lp.total, lp.loss,
                       (double)lp.tokens / (clock_seconds() - lp.began + 1e-9));
        if (st->checkpoint(st, false))
            goto done;
        profile_lap("record");
    }
    hand_on(&lp);
done:
    arena_free(lp.epoch_arena);
    arena_free(lp.batch_arena);
    return stage_done(st);
}
