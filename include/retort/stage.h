/*
 * What a method sees of the world: its options, inputs, seed, and a recorder.
 *
 * `struct stage`, `struct recorder` and `struct artifact` are engine types whose
 * functions the runner fills in, so nothing calls upward; tests fill in their own.
 *
 * A failure sticks to the stage: stage_* return NULL or do nothing after it, and run()
 * returns stage_done(st). So a method is a straight story.
 */
#ifndef RETORT_STAGE_H
#define RETORT_STAGE_H

#include "retort/model.h"
#include "retort/option.h"
#include "retort/record.h"
#include "retort/task.h"

/* ---- what a run holds: datasets, attributes, metrics (docs/store.md) ---- */

struct array {
    enum dtype dtype;
    struct shape shape;
    const void *data;
    const char *dim[RANK_MAX]; /* names of the dimensions ("layer", "head"), or NULL */
};

enum record_class {
    RECORD_RESULT, /* in the result digest: metrics, evaluations, final tensors, masks,
                      scores */
    RECORD_EXTRA,  /* asked for by "record": in the second digest */
    RECORD_ENV,    /* times, hosts: in no digest */
};

/* One array of a snapshot: its path below /steps/<step>/. */
struct recorded {
    const char *path;
    struct array array;
};

/*
 * Takes what a stage produces. Paths are absolute in the run: "/tensors/...",
 * "/scores/heads". Each function returns 0 or -1 with err. Data is copied or written
 * before the call returns.
 */
struct recorder {
    void *ctx;
    /* One value of a series: /metrics/<name>/{step,value}. Steps do not fall. */
    int (*metric)(void *ctx, enum record_class c, const char *name, int64_t step,
                  double value, struct err *err);
    int (*array)(void *ctx, enum record_class c, const char *path, const struct array *a,
                 struct err *err);
    /* n strings as one dataset of UTF-8; n -1: a scalar (texts[0]). */
    int (*text)(void *ctx, enum record_class c, const char *path,
                const char *const *texts, int64_t n, struct err *err);
    /* The tensor at `path` is the one at `origin`, "<run id>:<path>". */
    int (*reference)(void *ctx, const char *path, const char *origin, struct err *err);
    /* A snapshot, /steps/<step>/... (RECORD_EXTRA): a file of its own beside the run.
     * Steps rise. NULL where a stage's `record` asks for none. */
    int (*snapshot)(void *ctx, int64_t step, const struct recorded *list, int64_t n,
                    struct err *err);
};

/* ---- reading what another stage made ---- */

struct artifact {
    void *ctx;
    const char *run_id; /* full hash */
    /* The dataset at a path; references are followed. Data stays valid as long as the
     * artifact. ERR_MISSING if it is not there. */
    int (*array)(void *ctx, const char *path, struct array *out, struct err *err);
    /* Strings; *n -1 for a scalar. */
    int (*text)(void *ctx, const char *path, const char *const **texts, int64_t *n,
                struct err *err);
    /* Last value of a metric. */
    int (*metric)(void *ctx, const char *name, double *value, struct err *err);
    /* Names of the datasets right under a group, NULL-terminated, in the order of their
     * recording. */
    int (*list)(void *ctx, const char *group, const char *const **names, struct err *err);
    /* "pruned.ratio=0.3 seed=1": what tells it from its siblings in the spec that is run,
     * for people alone; or NULL. */
    const char *variables;
};

/* ---- the stage ---- */

struct method;

struct stage {
    const struct method *method;
    const void *options; /* the method's struct, parsed and checked */
    uint64_t seed;
    struct pool *pool;
    struct arena *arena; /* run arena */
    struct recorder rec;
    struct err err;               /* the first failure */
    struct record_options record; /* what is kept beyond the default: retort/record.h */
    void *runner;                 /* the runner's own */
    struct stage_owned *owned;    /* what stage_release frees */

    /* Inputs. n counts what `over` gives; 1 otherwise, 0: the input was not given. */
    int64_t (*input_count)(struct stage *st, const char *input);
    struct artifact *(*input_artifact)(struct stage *st, const char *input, int64_t i);
    /* A checkpoint's folder if the input is a path, else NULL (then it is
     * an artifact). */
    const char *(*input_path)(struct stage *st, const char *input);
    const struct task *(*task)(struct stage *st, const char *input);
    /* Raw examples of a task's split, "train[0:500]" handled by the caller. */
    int (*load)(struct stage *st, const struct task *task, const char *split,
                struct examples **out, struct err *err);

    void (*progress)(struct stage *st, int64_t done, int64_t total, const char *text);
    void (*note)(struct stage *st, const char *text); /* a warning a person should see */

    /* Checkpoints: the regions registered by name; saved together when the runner finds
     * it time. */
    int (*state)(struct stage *st, const char *name, void *data, int64_t bytes);
    /* After all are registered: fills them and returns true if there is a checkpoint. */
    bool (*restore)(struct stage *st);
    /* At a safe place: saves if it is time (or `force`), and returns true if the stage is
     * to stop now (run() then returns stage_done: its failure is ERR_STOPPED). */
    bool (*checkpoint)(struct stage *st, bool force);
};

/* Sticks a failure. Returns -1. */
int stage_fail(struct stage *st, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool stage_failed(const struct stage *st);
int stage_done(const struct stage *st); /* 0, or -1 after a failure */

/*
 * The model of an input: from a folder, or from the run that made it, with its masks and
 * removed heads. With `task` its head is made to fit: a fresh one is drawn from the
 * stage's seed. The stage frees it.
 */
struct model *stage_model(struct stage *st, const char *input, const struct task *task);
const struct task *stage_task(struct stage *st);
/* An encoded split with the model's tokenizer, at most as long as the model's positions;
 * windows overlap by doc_stride, at most by half. "" gives NULL without failure. The
 * stage frees it. */
struct dataset *stage_data(struct stage *st, const struct model *model, const char *split,
                           int64_t max_len, int64_t doc_stride);
/* The same, text made into sequences as `how` says; what it is for (causal) and the limit
 * of its length come from the model. */
struct dataset *stage_encode(struct stage *st, const struct model *model,
                             const char *split, const struct encoding *how);
/* Fails the stage unless every answer of the data is told: for what has a loss. */
void stage_need_labels(struct stage *st, const struct dataset *data);
struct tape *stage_tape(struct stage *st, enum dtype compute); /* the stage frees it */
void stage_progress(struct stage *st, int64_t done, int64_t total, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void stage_note(struct stage *st, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Recording. */
void stage_metric(struct stage *st, const char *name, int64_t step, double value);
void stage_array(struct stage *st, const char *path, const struct array *a);
void stage_text(struct stage *st, const char *path, const char *text);
/* Floats (rows, columns) at a path, dimensions named; columns 0: a vector. */
void stage_floats(struct stage *st, const char *path, const float *v, int64_t rows,
                  int64_t cols, const char *row_name, const char *col_name);
void stage_doubles(struct stage *st, const char *path, const double *v, int64_t rows,
                   int64_t cols, const char *row_name, const char *col_name);
/* The stage's model output: configuration, vocabulary, tensors (references where
 * unchanged), masks. */
void stage_output_model(struct stage *st, struct model *model);
/* Predictions to /eval/<task>/<split>/..., its metrics as series
 * eval/<task>/<split>/<metric> at `step`. Of a test set without labels the predictions
 * alone: no label, score or metric. */
void stage_predictions(struct stage *st, const struct predictions *p, int64_t step);
/* Of spans: all guesses, below /eval/<task>/<split>/nbest (docs/store.md). */
void stage_guesses(struct stage *st, const struct predictions *p);
/* One metric of predictions. */
double stage_score(struct stage *st, const struct metric *m, const struct predictions *p);

/* Frees what stage_* made. */
void stage_release(struct stage *st);

/* Reads a model that stage_output_model wrote. */
int artifact_model(struct model **out, struct artifact *a, struct err *err);

#endif
