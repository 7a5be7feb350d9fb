/*
 * A teacher: what it says about examples, computed alongside the student or read from a
 * run of distill/teacher. Both give the same bits: in evaluation a row does not depend on
 * its batch.
 */
#ifndef RETORT_METHODS_TEACHER_H
#define RETORT_METHODS_TEACHER_H

#include "retort/stage.h"

enum states { STATES_NONE, STATES_CLS, STATES_TOKENS };
extern const char *const teacher_states[]; /* names of the above */

/* Which states of its teacher a student wants. */
struct teacher_need {
    enum states states;
    const int64_t *block; /* numbers from 1 */
    int64_t n_blocks;
};

/* Of a batch, in the tape's arena: logits (rows, classes), states (rows, C) of each block
 * wanted, where rows are sequences or tokens. */
struct teacher_says {
    const float *logits;
    int64_t classes;
    const float **states; /* (n_blocks) */
    int64_t rows, width;
    /* Of a language model, in place of logits: the rows (n_hidden, width) that are asked
     * for a token, and what makes logits of them. */
    const float *hidden;
    int64_t n_hidden;
    struct param *head; /* (V, C) */
};

struct teacher;

/* The teacher behind the stage's inputs "teacher" (a model) or "features" (a run of
 * distill/teacher), about `data`: the split as its student reads it, which must outlive
 * the teacher. NULL with a failure that sticks. The stage frees models and tapes; free
 * the rest by teacher_close. */
struct teacher *teacher_open(struct stage *st, const struct dataset *data,
                             const char *split, int64_t max_len, int64_t doc_stride,
                             enum dtype compute);
void teacher_close(struct teacher *t);
int64_t teacher_depth(const struct teacher *t); /* its blocks */
/* Before the first question; need->block stays the caller's. 0, or -1 with a failure that
 * sticks. */
int teacher_want(struct teacher *t, const struct teacher_need *need);
/* About the examples of a student's batch. 0, or -1 with a failure that sticks. */
int teacher_ask(struct teacher *t, const struct batch *batch, struct arena *arena,
                struct teacher_says *says);

/* One pass of a model over a batch, without gradients: also how distill/teacher computes
 * what it stores. */
int teacher_run(struct stage *st, struct tape *tape, struct model *model,
                const struct batch *batch, const struct teacher_need *need,
                struct arena *arena, struct teacher_says *says);
/* What stored features say they are of: the split and the cut. */
void teacher_about(char *out, size_t size, const struct dataset *data);
/* Rows of states before each sequence of a data set (n_seq + 1). NULL: no memory. */
int64_t *teacher_rows(const struct dataset *data, enum states states,
                      struct arena *arena);

#endif
