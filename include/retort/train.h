/*
 * Optimizers, schedules and the training loop.
 */
#ifndef RETORT_TRAIN_H
#define RETORT_TRAIN_H

#include "retort/model.h"
#include "retort/option.h"

struct stage;

/*
 * AdamW (Loshchilov & Hutter 2019, algorithm 2), with g the clipped gradient and t = 1,
 * 2, ...:
 *
 *     m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2
 *     w <- w - lr * wd * w - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
 *
 * Without bias correction (the BERT port's Adam) the two quotients are left out. Decay
 * goes to parameters with `decay` alone. Masked elements stay 0.
 */
struct adamw {
    double beta1, beta2, eps;
    double weight_decay;
    bool bias_correction;
};

enum clip { CLIP_NONE, CLIP_GLOBAL, CLIP_TENSOR };

struct optimizer {
    struct adamw cfg;
    enum clip clip;
    double clip_norm;
    struct param **param; /* those that are not frozen */
    int64_t n;
    double *rate; /* of each, times the update's; NULL: 1 for all */
    float **m, **v;
    int64_t step; /* updates made */
};

/* Takes the model's parameters that are not frozen; moments and gradients live in
 * `arena`. */
int optimizer_init(struct optimizer *opt, struct model *model, struct arena *arena,
                   struct err *err);
/* After that: n parameters that are not the model's, learned at `rate` times its rate. */
int optimizer_add(struct optimizer *opt, struct param *const *param, int64_t n,
                  double rate, struct arena *arena, struct err *err);
/* Gradients count as 0 from here on; their memory is set by the first who adds to it, so
 * between the two it must not be read: optimizer_settle sets what nobody added to. */
void optimizer_zero_grad(struct optimizer *opt, struct pool *pool);
void optimizer_settle(struct optimizer *opt);
/* Weights and moments were read from a checkpoint made after update `step`. */
void optimizer_resume(struct optimizer *opt, int64_t step);
/* One update at rate `lr`. Returns the global norm of the gradient before clipping (fixed
 * order of summation, in double). A norm that is not finite changes nothing and comes
 * back as it is. */
double optimizer_update(struct optimizer *opt, double lr, struct pool *pool);

enum schedule { SCHEDULE_LINEAR, SCHEDULE_CONSTANT, SCHEDULE_COSINE };

/* Rate at update `step` of `total`: from 0 up over `warmup` updates, then down to 0
 * (linear: lr * (total - step) / (total - warmup)); as transformers' schedules. */
double schedule_lr(enum schedule kind, double lr, int64_t step, int64_t warmup,
                   int64_t total);

/* Options of every method that trains; its table splices them in by TRAIN_OPTIONS(struct
 * x, train). */
struct train_options {
    int64_t epochs, max_steps, batch, accumulate, max_len, doc_stride;
    double lr, warmup;
    int schedule;  /* enum schedule */
    int optimizer; /* 0 adamw, 1 adam without bias correction ("bert-adam") */
    double beta1, beta2, eps, weight_decay;
    int clip; /* enum clip */
    double clip_norm;
    double dropout, attention_dropout; /* -1: as the checkpoint says */
    int64_t dropout_epochs;            /* epochs with dropout; 0: all */
    int order;                         /* 0 shuffled, 1 file */
    int dtype;                         /* 0 f32, 1 bf16 */
    int keep;                          /* 0 last, 1 best */
    const char *keep_metric;           /* "" : the task's first */
    const char *eval_split;            /* "" : none */
    int64_t eval_every;                /* steps; 0: at the end of each epoch */
    int64_t patience; /* evaluations without gain before stopping; 0: never stop early */
};

/*
 * What a method adds to the loop. All may be NULL.
 */
struct train_hooks {
    void *ctx;
    /* Before the forward pass of a micro-batch: taps. */
    void (*prepare)(void *ctx, struct pass *p);
    /* The loss of a micro-batch; NULL: the task's. */
    struct tensor *(*loss)(void *ctx, struct pass *p, const struct output *out);
    /* After update `step` (masks by a schedule, ...). */
    int (*after_step)(void *ctx, struct model *model, int64_t step, int64_t total,
                      struct err *err);
    /* Before the first micro-batch of update `step`, counted from 0. */
    int (*before_step)(void *ctx, struct model *model, int64_t step, int64_t total,
                       struct err *err);
    /* Parameters of the method's own, learned with the model's at `rate` times its
     * learning rate, and kept across a kill. */
    struct param *const *param;
    int64_t n_params;
    double rate;
    /* When the gradients of update `step` are summed, not yet clipped: sets those of its
     * parameters that no op has added to. */
    int (*gradients)(void *ctx, struct model *model, int64_t step, int64_t total,
                     struct err *err);
};

/* Options that fit together: 0, or -1 with a message. For a method's `check`. */
int train_check(const struct train_options *opt, struct err *err);
/* The same where pruning goes on while training: only the last weights are the pruned
 * ones, so neither keep "best" nor patience. */
int train_check_pruning(const struct train_options *opt, struct err *err);

/*
 * Trains `model` on `data` as `opt` says: epochs over permutations order/<data>/<epoch>
 * (or in the file's order), the last partial batch kept, warm-up of ceil(warmup * total)
 * updates, dropout from its streams. Records train/loss, train/lr, train/grad_norm of
 * every step, eval/<task>/<split>/<metric> of each evaluation, and at the end
 * train/steps.
 *
 * Evaluations of `dev` come every eval_every updates (else after each epoch) and after
 * the last. The best is the one whose keep_metric is better than all before it: of equal
 * ones the first; what is not a number is never the best. With patience p training stops
 * at the p-th evaluation in a row that is not the best so far; with keep "best" the best
 * weights are in `model` at the end, else the last. Recorded: train/best_step,
 * train/best_score, train/stopped_early.
 *
 * Registers its state with the stage, so that a killed job goes on to the same bits.
 * Stops between steps when the stage is asked to.
 */
int train_loop(struct stage *st, struct model *model, const struct dataset *data,
               const struct dataset *dev, const struct train_options *opt,
               const struct train_hooks *hooks);

/* The rows of an options table. S is the options struct, F its struct train_options. */
/* clang-format off */
#define TRAIN_OPTIONS(S, F, DEF_EPOCHS, DEF_LR) \
    {"epochs", OPT_INT, DEF_EPOCHS, 0, 100000, NULL, NULL, "passes over the training split", offsetof(S, F.epochs)}, \
    {"max_steps", OPT_INT, "0", 0, 1e12, NULL, "updates", "stop after this many updates; 0: by epochs", offsetof(S, F.max_steps)}, \
    {"batch", OPT_INT, "32", 1, 65536, NULL, "examples", "examples of one micro-batch", offsetof(S, F.batch)}, \
    {"accumulate", OPT_INT, "1", 1, 65536, NULL, "batches", "micro-batches summed into one update", offsetof(S, F.accumulate)}, \
    {"max_len", OPT_INT, "128", 8, 65536, NULL, "tokens", "longer inputs are cut, pairs longest first", offsetof(S, F.max_len)}, \
    {"doc_stride", OPT_INT, "128", 1, 65536, NULL, "tokens", "overlap of the windows of a long context, at most half of max_len", offsetof(S, F.doc_stride)}, \
    {"lr", OPT_REAL, DEF_LR, 0, 100, NULL, NULL, "highest learning rate", offsetof(S, F.lr)}, \
    {"warmup", OPT_REAL, "0.1", 0, 1, NULL, NULL, "share of the updates with rising rate", offsetof(S, F.warmup)}, \
    {"schedule", OPT_ENUM, "\"linear\"", 0, 0, train_schedules, NULL, "rate after the warm-up", offsetof(S, F.schedule)}, \
    {"optimizer", OPT_ENUM, "\"adamw\"", 0, 0, train_optimizers, NULL, "bert-adam has no bias correction", offsetof(S, F.optimizer)}, \
    {"beta1", OPT_REAL, "0.9", 0, 0.9999999, NULL, NULL, "decay of the gradient's mean", offsetof(S, F.beta1)}, \
    {"beta2", OPT_REAL, "0.999", 0, 0.9999999, NULL, NULL, "decay of the gradient's square", offsetof(S, F.beta2)}, \
    {"eps", OPT_REAL, "1e-8", 0, 1, NULL, NULL, "added to the root of the square", offsetof(S, F.eps)}, \
    {"weight_decay", OPT_REAL, "0.01", 0, 100, NULL, NULL, "decoupled; none on biases and LayerNorm", offsetof(S, F.weight_decay)}, \
    {"clip", OPT_ENUM, "\"global\"", 0, 0, train_clips, NULL, "norm that is clipped", offsetof(S, F.clip)}, \
    {"clip_norm", OPT_REAL, "1.0", 0, 1e30, NULL, NULL, "largest norm of the gradient", offsetof(S, F.clip_norm)}, \
    {"dropout", OPT_REAL, "-1", -1, 0.99, NULL, NULL, "of hidden states; -1: as the checkpoint says", offsetof(S, F.dropout)}, \
    {"attention_dropout", OPT_REAL, "-1", -1, 0.99, NULL, NULL, "of attention maps; -1: as the checkpoint says", offsetof(S, F.attention_dropout)}, \
    {"dropout_epochs", OPT_INT, "0", 0, 1e9, NULL, "epochs", "dropout in the first so many epochs alone; 0: in all", offsetof(S, F.dropout_epochs)}, \
    {"data_order", OPT_ENUM, "\"shuffled\"", 0, 0, train_orders, NULL, "of the examples in each epoch; file: as they stand in it", offsetof(S, F.order)}, \
    {"dtype", OPT_ENUM, "\"f32\"", 0, 0, train_dtypes, NULL, "type of matrix products; sums and weights stay f32", offsetof(S, F.dtype)}, \
    {"keep", OPT_ENUM, "\"last\"", 0, 0, train_keeps, NULL, "weights handed on: the last, or those of the evaluation with the best keep_metric (of equal ones the first)", offsetof(S, F.keep)}, \
    {"keep_metric", OPT_STRING, "\"\"", 0, 0, NULL, NULL, "metric of keep and patience; empty: the task's first", offsetof(S, F.keep_metric)}, \
    {"eval_split", OPT_STRING, "\"\"", 0, 0, NULL, NULL, "split scored while training; empty: none", offsetof(S, F.eval_split)}, \
    {"eval_every", OPT_INT, "0", 0, 1e12, NULL, "updates", "0: after each epoch", offsetof(S, F.eval_every)}, \
    {"patience", OPT_INT, "0", 0, 1e9, NULL, "evaluations", "stop after this many in a row whose keep_metric is not better than all before; 0: never", offsetof(S, F.patience)}
/* clang-format on */
extern const char *const train_schedules[],
    *const train_optimizers[], *const train_orders[], *const train_clips[],
                                                          *const train_dtypes[],
                                                              *const train_keeps[];

#endif
