/* Ops: gradients by central differences in double, every set of kernels against ref,
 * threads. */
#include "check.h"
#include "retort/ops.h"

/* Inputs of one case; `build` makes the scalar that is differentiated. */
struct fixture {
    struct tape *tape;
    struct arena *arena;
    struct param p[4];
    struct tensor *t[4];
};

static float noise(uint64_t *s)
{
    *s = *s * 6364136223846793005ull + 1442695040888963407ull;
    return (float)(*s >> 40) / 8388608.0f - 1.0f;
}

static struct param leaf(struct arena *arena, struct shape shape, uint64_t seed,
                         struct err *err)
{
    struct param p;
    assert_ok(param_init(&p, arena, "p", shape, err), err);
    assert_ok(param_need_grad(&p, arena, err), err);
    for (int64_t i = 0; i < shape_count(shape); i++)
        tensor_f32(&p.value)[i] = noise(&seed);
    return p;
}

static const int32_t offsets5[] = {0, 3, 3, 8};
static const int32_t ids[] = {1, 0, 4, 4, 2, 1, 3, 0},
                     labels[] = {0, 2, -1, 1, 3, 2, 0, 1};
static const int32_t target[] = {2, -1, 4}, example[] = {7, 7, 7, 9, 9, 9, 9, 9};
static const int32_t position[] = {0, 1, 2, 0, 1, 2, 3, 4};
static const struct rows rows8 = {8, example, position};

/* sum(y * fixed weights), so that each element's gradient counts */
static struct tensor *weigh(struct tape *tape, struct tensor *y)
{
    float w[1024];
    uint64_t s = 99;
    for (int i = 0; i < 1024; i++)
        w[i] = noise(&s);
    return y ? sum_all(tape, mul(tape, y, tape_constant(tape, y->shape, w))) : NULL;
}

typedef struct tensor *(*op_fn)(struct tape *tape, struct tensor **t);
#define OP(NAME, EXPR)                                                                   \
    static struct tensor *NAME(struct tape *tape, struct tensor **t)                     \
    {                                                                                    \
        (void)t;                                                                         \
        return EXPR;                                                                     \
    }
#define LABELS tape_indices(tape, SHAPE(8), labels)
#define OFFSETS tape_indices(tape, SHAPE(4), offsets5)
#define KEY (&(struct dropout_key){5, "site", 3})

OP(f_linear, weigh(tape, linear(tape, t[0], t[1], t[2])))
OP(f_add, weigh(tape, add(tape, t[0], t[0])))
OP(f_add_row, weigh(tape, add(tape, t[0], t[3])))
OP(f_mul, weigh(tape, mul(tape, t[0], gelu(tape, t[0]))))
OP(f_mul_row, weigh(tape, mul(tape, t[0], t[3])))
OP(f_scale, mean_all(tape, mul(tape, scale(tape, t[0], 1.7), t[0])))
OP(f_reshape, weigh(tape, reshape(tape, t[0], SHAPE(4, 12))))
OP(f_gelu, weigh(tape, gelu(tape, scale(tape, t[0], 3))))
OP(f_relu, weigh(tape, relu(tape, t[0])))
OP(f_tanh, weigh(tape, tanh_act(tape, t[0])))
OP(f_layernorm, weigh(tape, layernorm(tape, t[0], t[3], t[3], 1e-5)))
OP(f_softmax, weigh(tape, softmax(tape, t[0])))
OP(f_log_softmax, weigh(tape, log_softmax(tape, t[0])))
OP(f_embedding, weigh(tape, embedding(tape, t[1], tape_indices(tape, SHAPE(8), ids))))
OP(f_take_rows, weigh(tape, take_rows(tape, t[0], tape_indices(tape, SHAPE(8), ids))))
OP(f_take_column, weigh(tape, take_column(tape, t[0], 2)))
OP(f_dropout, weigh(tape, dropout(tape, t[0], 0.3, &rows8, KEY)))
OP(f_ce, cross_entropy(tape, t[0], LABELS, NULL))
OP(f_mse, squared_error(tape, take_column(tape, t[0], 1),
                        tape_constant(tape, SHAPE(8), (float[8]){1, 2, 3, 4, 5}), NULL))
OP(f_segment, segment_cross_entropy(tape, take_column(tape, t[0], 1), OFFSETS,
                                    tape_indices(tape, SHAPE(3), target), NULL))
OP(f_linear_ce, linear_cross_entropy(tape, t[0], t[1], t[2], LABELS, NULL))

static struct tensor *attend(struct tape *tape, struct tensor **t, struct tensor *gates,
                             double p)
{
    struct attention a = {.heads = 2,
                          .head_dim = 3,
                          .offsets = OFFSETS,
                          .gates = gates,
                          .dropout = p,
                          .rows = &rows8,
                          .key = *KEY};
    return weigh(tape,
                 attention(tape, t[0], mul(tape, t[0], t[3]), gelu(tape, t[0]), &a));
}
OP(f_attention, attend(tape, t, NULL, 0))
OP(f_attention_drop, attend(tape, t, reshape(tape, t[3], SHAPE(3, 2)), 0.4))

/* Queries of the first tokens alone; the empty sequence asks too, and hears nothing. */
static const int32_t firsts[] = {0, 3, 3};
static struct tensor *attend_first(struct tape *tape, struct tensor **t,
                                   struct tensor *gates, double p)
{
    struct attention a = {.heads = 2,
                          .head_dim = 3,
                          .offsets = OFFSETS,
                          .first_only = true,
                          .gates = gates,
                          .dropout = p,
                          .rows = &rows8,
                          .key = *KEY};
    struct tensor *q = take_rows(tape, t[0], tape_indices(tape, SHAPE(3), firsts));
    return attention(tape, q, mul(tape, t[0], t[3]), gelu(tape, t[0]), &a);
}
OP(f_attention_first,
   weigh(tape, attend_first(tape, t, reshape(tape, t[3], SHAPE(3, 2)), 0.4)))

static const struct {
    const char *name;
    op_fn fn;
} cases[] = {
#define CASE(x)                                                                          \
    {                                                                                    \
#x, f_##x                                                                        \
    }
    CASE(linear),
    CASE(add),
    CASE(add_row),
    CASE(mul),
    CASE(mul_row),
    CASE(scale),
    CASE(reshape),
    CASE(gelu),
    CASE(relu),
    CASE(tanh),
    CASE(layernorm),
    CASE(softmax),
    CASE(log_softmax),
    CASE(embedding),
    CASE(take_rows),
    CASE(take_column),
    CASE(dropout),
    CASE(ce),
    CASE(mse),
    CASE(segment),
    CASE(linear_ce),
    CASE(attention),
    CASE(attention_drop),
    CASE(attention_first),
};
enum { CASES = sizeof cases / sizeof *cases };

static struct tensor *value_of(struct fixture *f, op_fn fn)
{
    tape_begin(f->tape, TAPE_TRAIN);
    for (int i = 0; i < 4; i++)
        f->t[i] = tape_param(f->tape, &f->p[i]);
    return fn(f->tape, f->t);
}

static void setup(struct fixture *f, enum dtype dtype, struct pool *pool)
{
    struct err err = ERR_INIT;
    memset(f, 0, sizeof *f);
    f->arena = arena_new(&err);
    f->tape = tape_new(pool, dtype, &err);
    assert_non_null(f->tape);
    struct shape shapes[] = {SHAPE(8, 6), SHAPE(5, 6), SHAPE(5), SHAPE(6)};
    for (int i = 0; i < 4; i++)
        f->p[i] = leaf(f->arena, shapes[i], 11u + (unsigned)i, &err);
}

static void teardown(struct fixture *f)
{
    tape_free(f->tape);
    for (int i = 0; i < 4; i++)
        param_release(&f->p[i]);
    arena_free(f->arena);
}

static void check_gradients(op_fn fn, const char *name)
{
    struct fixture f;
    struct err err = ERR_INIT;
    static double got[4][48];
    memset(got, 0, sizeof got);
    setup(&f, DT_F64, NULL);
    tape_backward(f.tape, value_of(&f, fn), 1);
    assert_ok(tape_failed(f.tape, &err), &err);
    for (int k = 0; k < 4; k++) {
        const double *g = tape_grad(f.tape, f.t[k]);
        if (g)
            memcpy(got[k], g, (size_t)shape_count(f.p[k].value.shape) * sizeof *g);
    }
    for (int k = 0; k < 4; k++)
        for (int64_t i = 0; i < shape_count(f.p[k].value.shape); i++) {
            float *x = &tensor_f32(&f.p[k].value)[i], was = *x;
            const float h = 1.0f / 1024; /* exact in float near 1 up to 2^-13 relative */
            *x = was + h;
            double up = (double)*x, a = tensor_get(value_of(&f, fn), 0);
            *x = was - h;
            double down = (double)*x, b = tensor_get(value_of(&f, fn), 0);
            *x = was;
            double want = (a - b) / (up - down);
            /* truncation: h^2 / 6 times a third derivative of some 30 */
            if (fabs(want - got[k][i]) > 2e-5 * (1 + fabs(want)))
                fail_msg("%s: input %d, element %lld: %g, difference quotient %g", name,
                         k, (long long)i, got[k][i], want);
        }
    teardown(&f);
}

static void gradients_equal_central_differences(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++)
        check_gradients(cases[i].fn, cases[i].name);
}

/* Value and all gradients of a case in float under a level. */
static int64_t outcome(float *to, op_fn fn, const char *level, enum dtype dtype)
{
    struct fixture f;
    struct err err = ERR_INIT;
    int64_t n = 0;
    if (kernels_select(level, NULL))
        return 0;
    setup(&f, dtype, NULL);
    struct tensor *y = value_of(&f, fn);
    tape_backward(f.tape, y, 1);
    assert_ok(tape_failed(f.tape, &err), &err);
    to[n++] = (float)tensor_get(y, 0);
    for (int k = 0; k < 4; k++)
        for (int64_t i = 0; i < shape_count(f.p[k].value.shape); i++)
            to[n++] = f.p[k].grad[i];
    teardown(&f);
    return n;
}

static void every_level_agrees_with_double(void **state)
{
    (void)state;
    const char *levels[] = {"ref", "v2", "v3", "v4"};
    static float want[128], got[128];
    for (int l = 0; l < 4; l++)
        for (int i = 0; i < CASES; i++) {
            int64_t n = outcome(want, cases[i].fn, "ref", DT_F64);
            double diff = 0, norm = 0;
            if (!outcome(got, cases[i].fn, levels[l], DT_F32))
                continue;
            for (int64_t e = 0; e < n; e++) {
                double d = (double)want[e] - (double)got[e];
                diff += d * d;
                norm += (double)want[e] * (double)want[e];
            }
            /* a few dozen float roundings of 6e-8 */
            if (!(sqrt(diff) <= 2e-6 * sqrt(norm)))
                fail_msg("%s, %s: relative difference %g", cases[i].name, levels[l],
                         sqrt(diff / norm));
        }
    kernels_select(NULL, NULL);
}

/* A layer of 700 rows; value and gradients must not depend on the threads. */
static void layer(float *y, float *grad, int threads, int64_t n, enum dtype compute)
{
    enum { I = 96, O = 200 };
    struct err err = ERR_INIT;
    struct pool *pool = pool_new(threads, &err);
    struct tape *tape = tape_new(pool, compute, &err);
    struct arena *arena = arena_new(&err);
    struct param x = leaf(arena, SHAPE(n, I), 1, &err),
                 w = leaf(arena, SHAPE(O, I), 2, &err);
    struct param b = leaf(arena, SHAPE(O), 3, &err);
    tape_begin(tape, TAPE_GRAD);
    struct tensor *out =
        linear(tape, tape_param(tape, &x), tape_param(tape, &w), tape_param(tape, &b));
    struct tensor *act = gelu(tape, out);
    tape_backward(tape, sum_all(tape, mul(tape, act, act)), 1);
    assert_ok(tape_failed(tape, &err), &err);
    memcpy(y, out->data, (size_t)(n * O) * sizeof *y);
    if (grad) {
        memcpy(grad, w.grad, O * I * sizeof *grad);
        memcpy(grad + O * I, x.grad, (size_t)(n * I) * sizeof *grad);
        memcpy(grad + O * I + n * I, b.grad, O * sizeof *grad);
    }
    tape_free(tape);
    pool_free(pool);
    param_release(&w);
    arena_free(arena);
}

static void threads_and_other_rows_change_no_bit(void **state)
{
    (void)state;
    enum { N = 700, GRADS = 200 * 96 + N * 96 + 200 };
    float *y = malloc(N * 200 * sizeof *y), *y2 = malloc(N * 200 * sizeof *y2);
    float *g = malloc(GRADS * sizeof *g), *g2 = malloc(GRADS * sizeof *g2);
    for (int bf16 = 0; bf16 < 2; bf16++) {
        enum dtype compute = bf16 ? DT_BF16 : DT_F32;
        layer(y, g, 1, N, compute);
        for (int threads = 2; threads <= 8; threads += threads == 3 ? 5 : 1) {
            layer(y2, g2, threads, N, compute);
            assert_memory_equal(y, y2, N * 200 * sizeof *y);
            assert_memory_equal(g, g2, GRADS * sizeof *g);
        }
        for (int64_t n = 1; n < 200; n += 66) {
            layer(y2, NULL, 2, n, compute);
            assert_memory_equal(y, y2, (size_t)n * 200 * sizeof *y);
        }
    }
    free(y);
    free(y2);
    free(g);
    free(g2);
}

static void bad_shapes_fail_the_tape_once(void **state)
{
    (void)state;
    struct fixture f;
    struct err err = ERR_INIT;
    setup(&f, DT_F32, NULL);
    tape_begin(f.tape, TAPE_TRAIN);
    struct tensor *x = tape_param(f.tape, &f.p[0]), *b = tape_param(f.tape, &f.p[2]);
    assert_null(gelu(f.tape, linear(f.tape, x, b, NULL)));
    assert_fails(tape_failed(f.tape, &err), &err, ERR_INPUT, "linear of (8, 6) and (5)");
    teardown(&f);
}

static void f16_and_bf16_round_to_even_and_back(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t u = (uint16_t)i;
        float h = f16_to_f32(u), b = bf16_to_f32(u);
        if (!isnan(h))
            assert_int_equal(f32_to_f16(h), u);
        if (!isnan(b))
            assert_int_equal(f32_to_bf16(b), u);
    }
    assert_int_equal(f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(f32_to_f16(1.00048828125f), 0x3c00);
}

static void all_gates_one_change_no_bit(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, DT_F32, NULL);
    tape_begin(f.tape, TAPE_EVAL);
    struct tensor *x = tape_param(f.tape, &f.p[0]);
    struct tape *tape = f.tape;
    struct attention a = {.heads = 2, .head_dim = 3, .offsets = OFFSETS};
    struct tensor *plain = attention(tape, x, x, x, &a);
    a.gates = tape_constant(tape, SHAPE(2), (float[]){1, 1});
    assert_memory_equal(plain->data, attention(tape, x, x, x, &a)->data,
                        48 * sizeof(float));
    teardown(&f);
}

static void first_queries_alone_have_the_bits_of_the_whole(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, DT_F32, NULL);
    tape_begin(f.tape, TAPE_TRAIN);
    struct tape *tape = f.tape;
    struct tensor *t[4] = {tape_param(tape, &f.p[0]), NULL, NULL,
                           tape_param(tape, &f.p[3])};
    struct attention a = {.heads = 2,
                          .head_dim = 3,
                          .offsets = OFFSETS,
                          .dropout = 0.4,
                          .rows = &rows8,
                          .key = *KEY};
    float *whole =
        attention(tape, t[0], mul(tape, t[0], t[3]), gelu(tape, t[0]), &a)->data;
    float *first = attend_first(tape, t, NULL, 0.4)->data;
    assert_memory_equal(first, whole, 6 * sizeof(float));
    assert_memory_equal(first + 12, whole + 18, 6 * sizeof(float));
    for (int c = 0; c < 6; c++)
        assert_true(first[6 + c] == 0.0f); /* of the empty sequence */
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_equal_central_differences),
        cmocka_unit_test(every_level_agrees_with_double),
        cmocka_unit_test(threads_and_other_rows_change_no_bit),
        cmocka_unit_test(bad_shapes_fail_the_tape_once),
        cmocka_unit_test(f16_and_bf16_round_to_even_and_back),
        cmocka_unit_test(all_gates_one_change_no_bit),
        cmocka_unit_test(first_queries_alone_have_the_bits_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
