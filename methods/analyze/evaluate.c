/*
 * evaluate: predictions and metrics of a model on a split.
 */
#include "retort/method.h"
#include "retort/train.h"

struct options {
    const char *split;
    int64_t max_len, doc_stride, stride;
    int dtype, windows, begin, documents;
    struct span_rule span;
};

static const char *const windows[] = {"all", "inside", NULL}, /* enum lm_windows */
    *const begins[] = {"auto", "yes", "no", NULL},
                         *const documents[] = {"joined", "apart", NULL};

/* clang-format off */
static const struct option options[] = {
    {"split", OPT_STRING, "\"dev\"", 0, 0, NULL, NULL, "split to score", offsetof(struct options, split)},
    {"max_len", OPT_INT, "128", 8, 65536, NULL, "tokens", "longer inputs are cut, pairs longest first", offsetof(struct options, max_len)},
    {"doc_stride", OPT_INT, "128", 1, 65536, NULL, "tokens", "overlap of the windows of a long context, at most half of max_len", offsetof(struct options, doc_stride)},
    {"dtype", OPT_ENUM, "\"f32\"", 0, 0, train_dtypes, NULL, "type of matrix products", offsetof(struct options, dtype)},
    {"n_best", OPT_INT, "20", 1, 1000, NULL, "answers", "spans: starts and ends that are paired in a window, and answers that are kept of a question", offsetof(struct options, span.n_best)},
    {"max_answer", OPT_INT, "30", 1, 65536, NULL, "tokens", "spans: longest answer", offsetof(struct options, span.max_answer)},
    {"null_threshold", OPT_REAL, "0", -1e9, 1e9, NULL, NULL, "spans of SQuAD 2.0: no answer is given where the null score is better than the answer's by more than this", offsetof(struct options, span.null_threshold)},
    {"stride", OPT_INT, "0", 0, 65536, NULL, "tokens", "language models: from a window to the next; 0: max_len, no overlap", offsetof(struct options, stride)},
    {"windows", OPT_ENUM, "\"all\"", 0, 0, windows, NULL, "language models: all: every token is told, the last of a window lies behind it; inside: as in the usual loop, a window's first token is not told unless an overlap tells it", offsetof(struct options, windows)},
    {"begin", OPT_ENUM, "\"auto\"", 0, 0, begins, NULL, "beginning token before a text; auto: before documents, not before choices (as lm-eval)", offsetof(struct options, begin)},
    {"documents", OPT_ENUM, "\"joined\"", 0, 0, documents, NULL, "language models: joined: windows run over the borders of documents; apart: each is told by itself", offsetof(struct options, documents)},
    OPTION_END,
};
static const char *const later[] = {"n_best", "max_answer", "null_threshold", "stride", "windows", "begin", "documents", NULL};

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
    struct encoding how = {.max_len = o->max_len,
                           .stride = o->doc_stride,
                           .step = o->stride,
                           .windows = (enum lm_windows)o->windows,
                           .begin = o->begin,
                           .apart = o->documents == 1};
    struct dataset *data = stage_encode(st, m, o->split, &how);
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
