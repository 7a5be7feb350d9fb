/*
 * The loss of a student: a sum of weighted terms, one row of a table each (terms.c). A
 * term of weight 0 is left out.
 */
#ifndef RETORT_METHODS_TERMS_H
#define RETORT_METHODS_TERMS_H

#include "retort/model.h"
#include "teacher.h"

/*
 * How terms are scaled, B examples, C classes, R rows of states, K pairs of blocks, d
 * channels:
 *
 *                soft labels                   states
 *     code       T^2 / (B C) sum KL            1 / (R K d) sum || ||^2
 *     published  sum over examples of the      sum over rows and pairs
 *                cross-entropy with the
 *                softened teacher
 *     hinton     T^2 / B sum KL                1 / (R K d) sum || ||^2
 *
 *     batch      the same; of a language   the same
 *                model the sum over tokens
 *                and the mean over sequences
 *
 * Of a language model the B examples are the tokens that are told.
 * code is the scale of PKD's program and of its grids; hinton that of Hinton et al. 2015,
 * section 2.
 */
enum scaling { SCALING_CODE, SCALING_PUBLISHED, SCALING_HINTON, SCALING_BATCH };
extern const char *const term_scalings[];

/* Which block of the teacher each block of the student follows (Sun et al. 2019,
 * section 3.2). */
enum layer_map { MAP_SKIP, MAP_LAST, MAP_EVERY };
extern const char *const layer_maps[];

/*
 * Blocks, from 1, that a student of n blocks follows in a teacher of depth blocks, s =
 * depth / n: skip gives {s, 2s, ..., (n-1)s}, last {depth-n+1, ..., depth-1}, both for
 * the student's blocks 1 .. n-1 (the last block is left to the logits); every {s, ...,
 * ns} for all. Returns their number, or -1 if n does not divide depth (skip, every) or
 * exceeds it. `out` has room for n.
 */
int64_t layer_map(int64_t *out, enum layer_map map, int64_t depth, int64_t n);

/* A term is a line here, a row of the table in terms.c, and what sets its weight. */
enum term {
    TERM_HARD,   /* -log softmax(z_s)[y], mean over examples */
    TERM_SOFT,   /* KL(p || q) = sum_c p (log p - log q), p = softmax(z_t / T), q =
                  * softmax(z_s / T) */
    TERM_STATES, /* || h_s / ||h_s|| - h_t / ||h_t|| ||^2 (or without the lengths), over
                  * rows and pairs of blocks */
    TERMS
};
const char *term_name(enum term term); /* "soft" */

struct distiller {
    double weight[TERMS]; /* 0: the term is left out */
    double temperature;
    enum scaling scaling;
    bool normalize; /* states to unit length first */
    enum states states;
    int64_t n_pairs;
    struct tensor **tap; /* (blocks + 1) the student's states */
};

/* Weighted sum of the terms for a micro-batch; value[i]: each term by itself, 0 where it
 * is left out. */
struct tensor *terms_loss(const struct distiller *d, struct pass *p,
                          const struct output *out, const struct teacher_says *says,
                          double value[TERMS]);

#endif
