#include "terms.h"

#include <math.h>

const char *const term_scalings[] = {"code", "published", "hinton", "batch", NULL};
const char *const layer_maps[] = {"skip", "last", "every", NULL};

int64_t layer_map(int64_t *out, enum layer_map map, int64_t depth, int64_t n)
{
    int64_t step = n > 0 ? depth / n : 0, pairs = map == MAP_EVERY ? n : n - 1;

    if (n < 1 || n > depth || (map != MAP_LAST && depth % n))
        return -1;
    for (int64_t i = 0; i < pairs; i++)
        out[i] = map == MAP_LAST ? depth - n + 1 + i : (i + 1) * step;
    return pairs;
}

/* What a term is computed from. */
struct scene {
    const struct distiller *d;
    struct pass *p;
    const struct output *out;
    const struct teacher_says *says;
};

static struct tensor *hard(const struct scene *s)
{
    return model_loss(s->p, s->out, NULL);
}

/* p = softmax(logits / T) (rows, c) and the sum of p log p, in double. */
static double soften(float *p, const float *logits, int64_t rows, int64_t c,
                     double temperature)
{
    double entropy = 0;

    for (int64_t r = 0; r < rows; r++) {
        const float *z = logits + r * c;
        double top = -(double)INFINITY, sum = 0;
        for (int64_t i = 0; i < c; i++)
            top = fmax(top, (double)z[i] / temperature);
        for (int64_t i = 0; i < c; i++)
            sum += exp((double)z[i] / temperature - top);
        for (int64_t i = 0; i < c; i++) {
            double log_p = (double)z[i] / temperature - top - log(sum);
            p[r * c + i] = (float)exp(log_p);
            entropy += exp(log_p) * log_p;
        }
    }
    return entropy;
}

/* Of a decoder: over the vocabulary, for each token that is told. */
static struct tensor *soft_tokens(const struct scene *s)
{
    struct pass *p = s->p;
    struct tape *t = p->tape;
    const struct teacher_says *says = s->says;
    int64_t n = p->batch->n_mlm;
    struct tensor *x, *loss;

    if (p->model->head != HEAD_LM || says->n_hidden != n ||
        says->head->value.shape.dim[0] != p->model->lm_head->value.shape.dim[0]) {
        tape_fail(
            t, ERR_INPUT,
            "the teacher is a language model, of another vocabulary or texts than the "
            "student");
        return NULL;
    }
    x = take_rows(t, s->out->hidden, tape_indices(t, SHAPE(n), p->batch->mlm_row));
    loss = linear_distill(t, x, tape_param(t, p->model->lm_head),
                          tape_constant(t, SHAPE(n, says->width), says->hidden),
                          tape_param(t, says->head), s->d->temperature);
    if (s->d->scaling != SCALING_BATCH)
        return loss;
    return scale(t, loss, (double)n / (double)p->batch->n_seq);
}

static struct tensor *soft(const struct scene *s)
{
    struct tape *t = s->p->tape;
    struct tensor *z = s->out->logits, *log_q, *cross;
    double temperature = s->d->temperature, entropy, factor = 1;
    int64_t rows, c;
    float *p, less;

    if (s->says->hidden)
        return soft_tokens(s);
    if (!z) {
        tape_fail(t, ERR_INPUT, "teacher and student have no outputs to compare");
        return NULL;
    }
    rows = z->shape.dim[0];
    c = z->shape.dim[1];
    if (c != s->says->classes) {
        tape_fail(t, ERR_INPUT, "the teacher has %lld classes, the student %lld",
                  (long long)s->says->classes, (long long)c);
        return NULL;
    }
    p = arena_alloc(tape_arena(t), rows * c * (int64_t)sizeof *p);
    if (!p) {
        tape_fail(t, ERR_MEMORY, "no memory for soft labels");
        return NULL;
    }
    entropy = soften(p, s->says->logits, rows, c, temperature);
    log_q = log_softmax(t, scale(t, z, 1 / temperature));
    cross = scale(t, sum_all(t, mul(t, log_q, tape_constant(t, SHAPE(rows, c), p))), -1);
    if (s->d->scaling == SCALING_PUBLISHED)
        return cross;
    less = (float)entropy; /* KL = cross-entropy + sum of p log p: a constant, for the
                              value alone */
    cross = add(t, cross, tape_constant(t, SCALAR, &less));
    factor = temperature * temperature / (double)rows;
    return scale(t, cross, s->d->scaling == SCALING_CODE ? factor / (double)c : factor);
}

/* || a - b ||^2 summed over rows of one pair of blocks. */
static struct tensor *distance(const struct scene *s, struct tensor *mine,
                               const float *theirs)
{
    struct tape *t = s->p->tape;
    struct shape shape = SHAPE(s->says->rows, s->says->width);
    struct tensor *target, *diff;

    if (!mine || !theirs)
        return NULL;
    if (mine->shape.dim[0] != shape.dim[0] || mine->shape.dim[1] != shape.dim[1]) {
        tape_fail(t, ERR_INPUT,
                  "states of the teacher are (%lld, %lld), of the student (%lld, %lld)",
                  (long long)shape.dim[0], (long long)shape.dim[1],
                  (long long)mine->shape.dim[0], (long long)mine->shape.dim[1]);
        return NULL;
    }
    target = tape_constant(t, shape, theirs);
    if (s->d->normalize) {
        mine = unit_rows(t, mine);
        target = unit_rows(t, target);
    }
    diff = add(t, mine, scale(t, target, -1));
    return sum_all(t, mul(t, diff, diff));
}

static struct tensor *states(const struct scene *s)
{
    struct tape *t = s->p->tape;
    struct tensor *sum = NULL;

    for (int64_t k = 0; k < s->d->n_pairs; k++) {
        struct tensor *each = distance(s, s->d->tap[k + 1], s->says->states[k]);
        sum = k == 0 ? each : add(t, sum, each);
    }
    if (s->d->scaling == SCALING_PUBLISHED)
        return sum;
    return scale(t, sum, 1 / (double)(s->says->rows * s->d->n_pairs * s->says->width));
}

/* The table: a new term is one row. */
static const struct {
    const char *name;
    struct tensor *(*loss)(const struct scene *s);
} terms[TERMS] = {
    [TERM_HARD] = {"hard", hard},
    [TERM_SOFT] = {"soft", soft},
    [TERM_STATES] = {"states", states},
};

const char *term_name(enum term term)
{
    return terms[term].name;
}

struct tensor *terms_loss(const struct distiller *d, struct pass *p,
                          const struct output *out, const struct teacher_says *says,
                          double value[TERMS])
{
    struct scene scene = {d, p, out, says};
    struct tensor *sum = NULL;

    for (int i = 0; i < TERMS; i++) {
        double weight = d->weight[i];
        struct tensor *loss;
        value[i] = 0;
        if (weight == 0)
            continue;
        loss = terms[i].loss(&scene);
        if (!loss)
            return NULL;
        value[i] = tensor_get(loss, 0);
        loss = weight == 1 ? loss : scale(p->tape, loss, weight);
        sum = sum ? add(p->tape, sum, loss) : loss;
    }
    if (!sum)
        tape_fail(p->tape, ERR_INPUT, "all terms of the loss have weight 0");
    return sum;
}
