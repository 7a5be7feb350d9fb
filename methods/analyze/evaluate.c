/*
 * evaluate: predictions and metrics of a model on a split.
 */
#include "retort/method.h"
#include "retort/train.h"

struct options {
    const char *split;
    int64_t max_len, doc_stride;
    int dtype;
    struct span_rule span;
};

/* clang-format off */
static const struct option options[] = {
    {"split", OPT_STRING, "\"dev\"", 0, 0, NULL, NULL, "split to score", offsetof(struct options, split)},
    {"max_len", OPT_INT, "128", 8, 65536, NULL, "tokens", "longer inputs are cut, pairs longest first", offsetof(struct options, max_len)},
    {"doc_stride", OPT_INT, "128", 1, 65536, NULL, "tokens", "overlap of the windows of a long context, at most half of max_len", offsetof(struct options, doc_stride)},
    {"dtype", OPT_ENUM, "\"f32\"", 0, 0, train_dtypes, NULL, "type of matrix products", offsetof(struct options, dtype)},
    {"n_best", OPT_INT, "20", 1, 1000, NULL, "answers", "spans: starts and ends that are paired in a window, and answers that are kept of a question", offsetof(struct options, span.n_best)},
    {"max_answer", OPT_INT, "30", 1, 65536, NULL, "tokens", "spans: longest answer", offsetof(struct options, span.max_answer)},
    {"null_threshold", OPT_REAL, "0", -1e9, 1e9, NULL, NULL, "spans of SQuAD 2.0: no answer is given where the null score is better than the answer's by more than this", offsetof(struct options, span.null_threshold)},
    OPTION_END,
};
static const char *const later[] = {"n_best", "max_answer", "null_threshold", NULL};

static const struct input inputs[] = {
    {"model", KIND_MODEL, true, false, "the model to score"},
    {"task", KIND_TASK, true, false, "the task to score it on"},
    INPUT_END,
};
/* clang-format on */

static void progress(void *ctx, int64_t done, int64_t total)
{
    stage_progress(ctx, done, total, "example %lld/%lld", (long long)done,
                   (long long)total);
}

static int run(struct stage *st)
{
    const struct options *o = st->options;
    struct model *m = stage_model(st, "model", stage_task(st));
    struct dataset *data = stage_data(st, m, o->split, o->max_len, o->doc_stride);
    struct tape *tape = stage_tape(st, o->dtype == 1 ? DT_BF16 : DT_F32);
    struct predictions *p = NULL;

    if (stage_failed(st))
        return -1;
    data->span = o->span;
    if (model_predict(&p, m, data, tape, 4096, NULL, progress, st, &st->err))
        return -1;
    stage_predictions(st, p, 0);
    stage_guesses(st, p);
    snapshot_data(st, m, data, tape);
    stage_metric(st, "model/parameters", 0, (double)model_count(m));
    stage_metric(st, "model/parameters_kept", 0, (double)model_count_nonzero(m));
    predictions_free(p);
    return stage_done(st);
}

const struct method method_evaluate = {
    .name = "evaluate",
    .summary = "predictions and metrics of a model on a split",
    .version = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .inputs = inputs,
    .outputs = KIND_EVAL,
    .records = RECORDS_PASS,
    .later = later,
    .run = run,
};
