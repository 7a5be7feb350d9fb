/*
 * Snapshots: what "record" in a spec keeps of a stage beyond the default.
 *
 * At a step that is due, a stage gathers weights, gradients, activations and attention
 * maps and hands them on all at once; a reader finds them at /steps/<step>/... of the run
 * (docs/store.md):
 *
 *     weights/<parameter>          as the step starts from them
 *     gradients/<parameter>        summed over the step's micro-batches, before clipping
 *     activations/embeddings       (token, channel) of the first examples of the step
 *     activations/encoder.layer.0  (token, channel) what the block gives
 *     activations/pooled, logits   (sequence, channel) or as the head gives them
 *     attention/encoder.layer.0/0  (head, query, key) of sequence 0: softmax(q k' /
 *                                  sqrt(D)), before dropout
 *     batch/...                    which examples, tokens and sequences these are
 *
 * The step's own computation is left alone: the results have the same bits with any
 * "record".
 */
#ifndef RETORT_RECORD_H
#define RETORT_RECORD_H

#include <stdint.h>

#include "retort/tensor.h"

struct batch;
struct dataset;
struct model;
struct optimizer;
struct output;
struct pass;
struct stage;

#define RECORD_ALL_EXAMPLES INT64_MAX

/* Every so many steps, counted from 0; 0: never. */
struct record_options {
    int64_t weights, gradients, activations, attention;
    int64_t activation_examples, attention_examples; /* the first so many of the step's */
};

/* What a method can give of that: `records` of its row. */
enum record_kind {
    RECORDS_PASS = 1,                                /* activations and attention */
    RECORDS_STEPS = 2,                               /* weights and gradients */
    RECORDS_TRAINING = RECORDS_PASS | RECORDS_STEPS, /* whatever calls train_loop */
};

struct snapshot;

/* A snapshot of `step`, or NULL if none is due (or memory is short, which sticks to the
 * stage). All below take NULL and do nothing. */
struct snapshot *snapshot_begin(struct stage *st, int64_t step);
/* Activations and maps of a micro-batch's first examples, by a pass of its own without
 * gradients (`training`: with the step's dropout); further batches add to them until
 * there are enough examples. The tape begins anew: call it before the step's pass. */
void snapshot_batch(struct snapshot *s, struct tape *tape, struct model *model,
                    const struct batch *batch, const struct dataset *data, bool training);
/* Before the update. The parameters must stay as they are until snapshot_end. */
void snapshot_params(struct snapshot *s, const struct optimizer *opt);
/* Hands it to the recorder, and frees it. */
void snapshot_end(struct snapshot *s);

/* For a stage without steps: activations and attention of the first examples of `data` as
 * step 0, without gradients. Does nothing if they are not asked for. */
void snapshot_data(struct stage *st, struct model *model, const struct dataset *data,
                   struct tape *tape);

#endif
