/* The terms of distillation and their gradients beside PyTorch in float64
 * (make_distill.py): 1e-6 of the norm, of which the teacher's softened labels, rounded to
 * float, take the most. */
#include "check.h"

#include <math.h>
#include <stdio.h>

#include "../../methods/distill/terms.h"
#include "retort/pool.h"

enum { B = 6, C = 3, D = 16, K = 2 };

static void read_floats(FILE *f, float *v, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(fscanf(f, "%f", &v[i]), 1);
}

static double read_one(FILE *f)
{
    double x;

    assert_int_equal(fscanf(f, "%lf", &x), 1);
    return x;
}

/* || got - want || <= 1e-6 || want ||, want read on the way. */
static void same(FILE *f, const double *got, int n)
{
    double off = 0, size = 0;

    for (int i = 0; i < n; i++) {
        double want = read_one(f);
        off += (got[i] - want) * (got[i] - want);
        size += want * want;
    }
    assert_true(sqrt(off) <= 1e-6 * sqrt(size));
}

struct given {
    struct pool *pool;
    struct tape *tape;
    float logits[B * C], teacher[B * C], mine[K][B * D], theirs[K][B * D], label[B];
    int32_t labels[B];
};

static void check_case(struct given *g, FILE *f)
{
    static const double none[B * D];
    struct err err = ERR_INIT;
    struct tensor *tap[K + 1] = {NULL};
    const float *states[K] = {g->theirs[0], g->theirs[1]};
    double alpha = read_one(f), beta = read_one(f), value[TERMS];
    struct distiller d = {
        .weight = {[TERM_HARD] = 1 - alpha, [TERM_SOFT] = alpha, [TERM_STATES] = beta},
        .temperature = read_one(f),
        .states = STATES_CLS,
        .n_pairs = K,
        .tap = tap};
    struct batch batch = {.n_seq = B, .n_examples = B, .label = g->labels};
    struct model model = {.head = HEAD_CLASSES};
    struct pass pass = {.tape = g->tape, .model = &model, .batch = &batch};
    struct output out = {.logits = NULL};
    struct teacher_says says = {
        .logits = g->teacher, .classes = C, .states = states, .rows = B, .width = D};
    struct tensor *loss;
    double total, all[K * B * D];

    d.scaling = (enum scaling)(int)read_one(f);
    d.normalize = read_one(f) > 0;
    tape_begin(g->tape, TAPE_TRAIN);
    out.logits = tape_leaf(g->tape, SHAPE(B, C), g->logits);
    for (int k = 0; k < K; k++)
        tap[k + 1] = tape_leaf(g->tape, SHAPE(B, D), g->mine[k]);
    loss = terms_loss(&d, &pass, &out, &says, value);
    if (tape_failed(g->tape, &err))
        fail_msg("%s", err.text);
    tape_backward(g->tape, loss, 1);
    total = tensor_get(loss, 0);
    same(f, &total, 1);
    same(f, tape_grad(g->tape, out.logits), B * C);
    for (int k = 0; k < K; k++) {
        const double *grad = beta > 0 ? tape_grad(g->tape, tap[k + 1]) : none;
        memcpy(all + k * B * D, grad, B * D * sizeof(double));
    }
    same(f, all, K * B * D);
}

static void pkd_losses_and_gradients_are_those_of_pytorch(void **state)
{
    struct err err = ERR_INIT;
    struct given g;
    FILE *f = fopen("tests/parity/fixtures/distill.txt", "r");
    int cases;

    (void)state;
    assert_non_null(f);
    assert_true((int)read_one(f) == B && (int)read_one(f) == C);
    assert_true((int)read_one(f) == D && (int)read_one(f) == K);
    read_floats(f, g.logits, B * C);
    read_floats(f, g.teacher, B * C);
    for (int k = 0; k < K; k++)
        read_floats(f, g.mine[k], B * D);
    for (int k = 0; k < K; k++)
        read_floats(f, g.theirs[k], B * D);
    read_floats(f, g.label, B);
    for (int i = 0; i < B; i++)
        g.labels[i] = (int32_t)g.label[i];
    g.pool = pool_new(1, &err);
    g.tape = tape_new(g.pool, DT_F64, &err);
    assert_ok(err_is_set(&err) ? -1 : 0, &err);
    cases = (int)read_one(f);
    assert_true(cases > 50);
    for (int i = 0; i < cases; i++)
        check_case(&g, f);
    tape_free(g.tape);
    pool_free(g.pool);
    fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pkd_losses_and_gradients_are_those_of_pytorch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
