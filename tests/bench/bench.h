/*
 * The benchmark: the same work by several programs in one run, taking turns.
 *
 * The driver (main.c) starts one process for each side of a case: Retort (side.c), the
 * peer in each of its settings (peer.py), and the bare matrix products (limit.c). All
 * speak the same lines:
 *
 *     side    ready                          set up and warmed up
 *     driver  go                             do the next round
 *     side    round SECONDS CPU_SECONDS VALUE      VALUE: a loss or a sum, to see that
 * the work is the same
 *     ...
 *     driver  end
 *     side    peak BYTES                     most memory ever resident
 *
 * Only one side works at a time, and all do the same batches in the same round, so that
 * what disturbs the machine disturbs all alike and the ratio of a round is honest.
 */
#ifndef RETORT_BENCH_H
#define RETORT_BENCH_H

#include "retort/model.h"
#include "retort/task.h"

enum work { WORK_TRAIN, WORK_EVAL, WORK_ABLATE };
extern const char *const work_names[]; /* "train", "eval", "ablate" */

/* One thing to be measured. */
struct bench_case {
    enum work work;
    const char *data;  /* "mrpc", "sst2", "squad" */
    const char *model; /* "minilm", "gte-small" */
    int64_t batch;
    bool bf16;
    int64_t steps;  /* of a round: updates, or batches of an evaluation */
    int64_t rounds; /* that count; one before them warms up */
};

/* A shape that the benchmark knows. */
struct bench_shape {
    const char *name, *folder; /* of the checkpoint, where it is at hand */
    int64_t layers, width, heads, ffn;
};
const struct bench_shape *bench_shape(const char *name); /* or NULL */

/* Folder of a case's checkpoint, of its data; false if it is not at hand. */
bool bench_model_dir(char *path, size_t size, const struct bench_case *c);
bool bench_data_dir(char *path, size_t size, const struct bench_case *c);

/* Model with the head that the data needs, from the checkpoint or drawn; *real says
 * which. */
int bench_model(struct model **out, const struct bench_case *c, const struct task **task,
                bool *real, struct err *err);
/* Exactly the examples of all rounds of a case. From the real files, or drawn with their
 * lengths. */
int bench_data(struct dataset **out, const struct bench_case *c,
               const struct model *model, bool *real, struct err *err);
/* Examples of the case's rounds, with the round that warms up. */
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

/* The sides; both run the protocol on stdin and stdout and return an exit code. */
int side_retort(const struct bench_case *c, int threads);
int side_limit(const struct bench_case *c, int threads);

/* Line protocol of a side. */
void side_ready(void);
bool side_go(void); /* waits; false: end */
void side_round(double seconds, double cpu, double value);
void side_peak(void);
double side_cpu(void); /* seconds of processor that this process used */

/* docs/performance.md from the results. */
int report_write(const char *json, const char *markdown, struct err *err);

#endif
