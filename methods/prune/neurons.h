/*
 * Feed-forward neurons under a schedule: which stay, what moves their scores, and how
 * alike they are (Santacroce, Wen, Shen & Li 2023, arXiv:2302.03773; the straight-through
 * scores are those of Sanh, Wolf & Rush 2020).
 *
 * Neurons of all layers stand in one list, layer after layer: those of layer l are
 * first[l] to first[l + 1] - 1, N = first[layers] in all. v is the share of them that is
 * left.
 */
#ifndef RETORT_METHODS_NEURONS_H
#define RETORT_METHODS_NEURONS_H

#include <math.h>

#include "retort/model.h"

struct neuron_list {
    int64_t layers;
    int64_t *first; /* (layers + 1) */
};

/* Of a model, in `arena`. 0, or -1 without memory. */
int neurons_list(struct neuron_list *out, const struct model *m, struct arena *arena,
                 struct err *err);
static inline int64_t neurons_count(const struct neuron_list *list)
{
    return list->first[list->layers];
}

/*
 * `from` until step hold * total, `to` after step (1 - settle) * total, and between them
 *
 *     to + (from - to) (1 - (t - hold T) / (T - (hold + settle) T))^3
 *
 * (Sanh et al. 2020, by their program; steps are counted from 0.)
 */
double neurons_schedule(int64_t step, int64_t total, double hold, double settle,
                        double from, double to);

struct neuron_rule {
    bool global;   /* one ranking over all layers; else one of each */
    bool ties;     /* all that equal the last one kept stay too */
    int64_t least; /* neurons that each layer keeps */
};

/* keep[j] = 1 for the floor(v n + 1e-9) neurons of largest score, of the N or of each
 * layer's n, and 0 for the others. Of equal scores the earlier ones go first, and what is
 * not a number before all. 0, or -1 without memory. */
int neurons_top(float *keep, const double *score, const struct neuron_list *list,
                double v, const struct neuron_rule *rule, struct err *err);
/* keep[j] = sigmoid(score) > threshold; where fewer than v are left, of all or of a
 * layer, the top v. */
int neurons_soft(float *keep, const double *score, const struct neuron_list *list,
                 double threshold, double v, const struct neuron_rule *rule,
                 struct err *err);

/* Norms of each neuron: of its rows of W_in (and W_gate), and of its column of W_out. */
void neurons_norms(double *in, double *out, const struct model *m,
                   const struct neuron_list *list);
/*
 * dL/dS of the scores of a layer, of the gradients that its parameters hold:
 *
 *     dL/dS_j = sum_i g1[j,i] W1[j,i] + sum_k g2[k,j] W2[k,j]
 *
 * with g1, g2 those of the masked matrices (and of W_gate, where there is one); exactly 0
 * for a silent neuron. `out` has n elements.
 */
void neurons_gradient(double *out, const struct block *b);

/* The same with the biases' terms, b_j dL/db_j: what the sensitivity of a neuron is the
 * mean size of. */
void neurons_sensitivity(double *out, const struct block *b);

/*
 * The penalty
 *
 *     R = (1 / divisor) sum_layers mean_j [ sigmoid(S_j) (1 + U_j) ],   u NULL: U = 0
 *
 * and, times `weight`, its gradient by S, added to `grad` (NULL: not wanted). u is a
 * constant to it.
 */
double neurons_penalty(double *grad, const double *score, const double *u,
                       const struct neuron_list *list, double divisor, double weight);

/*
 * How alike the neurons of a layer are, by their outputs H (tokens, n):
 *
 *     C_t = H'H,   C <- (1 - beta) C + beta C_t,   q = the diagonal of C
 *     sim_ij = C_ij / (sqrt(q_i) sqrt(q_j) + 1e-6)
 *     U_j = weight * sum_{i != j} |sim_ij| / (n v)
 */
struct likeness {
    const struct neuron_list *list;
    double beta;
    float **now, **mean; /* (layers) (n, n): C_t so far, C */
    double *root;        /* (N) sqrt(q) */
};
int likeness_init(struct likeness *k, const struct neuron_list *list, double beta,
                  struct arena *arena, struct err *err);
/* Adds the rows h (tokens, n) of a micro-batch to a layer's C_t. */
void likeness_add(struct likeness *k, struct tape *tape, int64_t layer,
                  const struct tensor *h);
/* Ends a step: C_t goes into C, and u (N) is set. v 0: to zeros. */
void likeness_step(struct likeness *k, double *u, double weight, double v,
                   struct pool *pool);

static inline double likeness_of(double c, double qi, double qj)
{
    return c / (sqrt(qi) * sqrt(qj) + 1e-6);
}
/* True if neuron i of n with products c (n, n) is like one after it: sim_ij >= threshold
 * for some j > i. Dead ones are like nobody. */
bool likeness_similar(const double *c, int64_t n, const bool *dead, int64_t i,
                      double threshold);

#endif
