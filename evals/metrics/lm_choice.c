/*
 * accuracy_norm, as lm-evaluation-harness defines acc_norm: the choice whose
 * log-likelihood per character of its text is the highest is the right one (the first of
 * equals). Characters are code points, without the space before it.
 */
#include "labels.h"

static bool is_likelihood(const struct predictions *p)
{
    return p->likelihood;
}

static int64_t characters(const char *s)
{
    int64_t n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static int64_t best_by_length(const struct predictions *p, int64_t i)
{
    const struct example *ex = labels_example(p, i);
    int64_t best = 0;
    double most = 0;

    for (int64_t c = 0; c < ex->n_choices; c++) {
        int64_t n = characters(ex->choices[c]);
        double x = (double)p->logits[i * p->width + c] / (double)(n > 0 ? n : 1);
        if (c == 0 || x > most) {
            most = x;
            best = c;
        }
    }
    return best;
}

static int accuracy_norm(double *out, const struct predictions *p, struct err *err)
{
    int64_t right = 0;

    if (labels_check("accuracy_norm", p, err))
        return -1;
    if (!is_likelihood(p))
        return err_set(err, ERR_INPUT,
                       "accuracy_norm is for choices that a decoder reads");
    for (int64_t i = 0; i < p->n; i++)
        right += best_by_length(p, i) == labels_class(p, i);
    *out = (double)right / (double)p->n;
    return 0;
}

extern const struct metric metric_accuracy_norm;
const struct metric metric_accuracy_norm = {
    .name = "accuracy_norm",
    .summary = "share of right answers by likelihood per character (decoders)",
    .larger_is_better = true,
    .high = 1,
    .version = 1,
    .compute = accuracy_norm,
    .suits = is_likelihood,
};
