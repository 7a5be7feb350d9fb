/*
 * The benchmark: the same work by several programs in one run, taking turns.
 *
 * The driver (main.c) starts one process for each side of a case: Retort (side.c), the
 * peer in each of its settings (peer.py), and the bare matrix products (limit.c). All
 * speak the same lines:
 *
 *     side    ready                          set up and warmed up
 *     driver  go                             do the next round
 *     side    round SECONDS CPU_SECONDS VALUE
 *     ...
 *     driver  profile BASE                   one round more, measured operation by
 *     side    profiled                       operation: BASE.trace.json (Retort alone)
 *     driver  end
 *     side    digest HEX                     of the trained weights (Retort alone)
 *     side    peak BYTES                     most memory ever resident
 *
 * VALUE is a loss or a sum, to see that the work is the same; of the limits the
 * operations or bytes of the round. In place of "ready" a peer may say "cannot REASON".
 *
 * Only one side works at a time, and all do the same batches in the same round, so that
 * what disturbs the machine disturbs all alike and the ratio of a round is honest.
 */
#ifndef RETORT_BENCH_H
#define RETORT_BENCH_H

#include "retort/model.h"
#include "retort/task.h"
#include "retort/train.h"

enum work {
    WORK_TRAIN,
    WORK_EVAL,
    WORK_ABLATE,    /* all heads, each evaluated without */
    WORK_KD,        /* a student learns from gte-small, which runs alongside */
    WORK_KD_CACHED, /* the same from what the teacher said before */
};
extern const char *const work_names[]; /* "train", "eval", ..., NULL at the end */
enum work work_find(const char *name);
static inline bool work_trains(enum work w)
{
    return w == WORK_TRAIN || w == WORK_KD || w == WORK_KD_CACHED;
}

/* What a case has beside the usual sides, as bits. */
enum more {
    MORE_COMPILE = 1, /* a peer by torch.compile */
    MORE_ONNX = 2,    /* a peer by ONNX Runtime */
    MORE_THREADS = 4, /* no peers: Retort and the limit by one thread too */
};

/* One thing to be measured. */
struct bench_case {
    enum work work;
    const char *data;  /* "mrpc", "sst2", "squad", "text" */
    const char *model; /* "minilm", "gte-small", "base", "gpt2" */
    int64_t batch;
    bool bf16;
    int64_t steps;  /* of a round: updates, or batches of an evaluation */
    int64_t rounds; /* that count; one before them warms up, one after is profiled */
    unsigned more;
};

#define BENCH_TEACHER "gte-small" /* of WORK_KD, WORK_KD_CACHED */

/* A shape that the benchmark knows. */
struct bench_shape {
    const char *name, *folder; /* of the checkpoint, where it is at hand */
    int64_t layers, width, heads, ffn;
    int64_t vocab; /* of the head that tells the next token; 0: an encoder */
};
const struct bench_shape *bench_shape(const char *name); /* or NULL */

/* Folder of a shape's checkpoint, of a case's data; false if it is not at hand. */
bool bench_model_dir(char *path, size_t size, const char *model);
bool bench_data_dir(char *path, size_t size, const struct bench_case *c);

/* Model with the head that the data needs, from the checkpoint or drawn; *real says
 * which. */
int bench_model(struct model **out, const struct bench_case *c, const struct task **task,
                bool *real, struct err *err);
/* Exactly the examples of all rounds of a case. From the real files, or drawn with their
 * lengths. */
int bench_data(struct dataset **out, const struct bench_case *c,
               const struct model *model, bool *real, struct err *err);
/* Examples of the case's rounds, with those that warm up and are profiled. */
int64_t bench_examples(const struct bench_case *c);

/* The order in which the batches come. The arena owns it. */
int64_t *bench_order(const struct dataset *data, const struct bench_case *c,
                     struct arena *arena);

/* Floating-point operations of the model for sequences of these lengths, forward alone.
 * `done`: those that are needed, where only [CLS] of the last layer is asked for. */
struct flops {
    double full, done;
};
struct flops bench_flops(const struct bench_shape *s, const int32_t *length, int64_t n,
                         bool first_token_only);

/* The sides; all run the protocol on stdin and stdout and return an exit code. */
int side_retort(const struct bench_case *c, int threads);
int side_limit(const struct bench_case *c, int threads);  /* bare matrix products */
int side_stream(const struct bench_case *c, int threads); /* bare reading and writing */

/* Line protocol of a side. */
enum side_order { SIDE_GO, SIDE_PROFILE, SIDE_END };
void side_ready(void);
enum side_order side_wait(void); /* for the next order; SIDE_PROFILE: measuring began */
void side_round(double seconds, double cpu, double value);
void side_profiled(void); /* ends it and writes the files */
void side_digest(const struct model *m);
void side_peak(void);
double side_cpu(void); /* seconds of processor that this process used */

/* Retort's side of the works that are whole methods (methods.c). */
struct stage;
void side_ablate(struct stage *st, const struct bench_case *c);
void side_distill(struct stage *st, const struct bench_case *c);
/* A stage of its own that a side runs: its steps are timed (side.c). */
struct watch {
    const struct bench_case *c;
    int64_t step;
    double began, cpu, loss; /* of this round */
    bool profiling;
    const struct task *task;
};
void side_stage(struct stage *st, struct watch *w);
/* As the runner's: what a trained stage is told. */
struct train_options side_train_options(const struct bench_case *c);

/* docs/performance.md from the results. */
int report_write(const char *json, const char *markdown, struct err *err);

#endif
