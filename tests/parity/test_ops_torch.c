/* Values and gradients of ops against PyTorch in float64 (make_ops.py): 1e-5 normwise in
 * float. */
#include "check.h"
#include "fixtures/ops.h"
#include "retort/ops.h"

static const int32_t off[] = {0, 3, 8}, label[] = {0, 2, 5, 1, 3, 2, 0, 1};
static const int32_t few[] = {0, 2, -1, 1, 3, 2, 0, -1}, ids[] = {1, 0, 4, 4, 2, 1, 3, 0};
static const int32_t target[] = {2, 4};
static const int32_t example[] = {7, 7, 7, 9, 9, 9, 9, 9},
                     place[] = {0, 1, 2, 0, 1, 2, 3, 4};
static const struct rows rows = {8, example, place};
static const struct dropout_key key = {5, "site", 3};
static const float value[] = {1, 2, 3, 4, 5, 0, 0, 0};

#define LABELS(X) tape_indices(tape, SHAPE(8), X)
#define OP(NAME, EXPR)                                                                   \
    static struct tensor *NAME(struct tape *tape, struct tensor **t)                     \
    {                                                                                    \
        return EXPR;                                                                     \
    }

OP(f_linear, linear(tape, t[0], t[1], t[2]))
OP(f_gelu, gelu(tape, t[0]))
OP(f_relu, relu(tape, t[0]))
OP(f_tanh, tanh_act(tape, t[0]))
OP(f_layernorm, layernorm(tape, t[0], t[3], t[3], 1e-5))
OP(f_softmax, softmax(tape, t[0]))
OP(f_log_softmax, log_softmax(tape, t[0]))
OP(f_add_row, add(tape, t[0], t[3]))
OP(f_mul, mul(tape, t[0], gelu(tape, t[0])))
OP(f_mul_row, mul(tape, t[0], t[3]))
OP(f_embedding, embedding(tape, t[1], LABELS(ids)))
OP(f_take_rows, take_rows(tape, t[0], LABELS(ids)))
OP(f_take_column, take_column(tape, t[0], 2))
OP(f_dropout, dropout(tape, t[0], 0.3, &rows, &key))
OP(f_dropout_add_norm, dropout_add_norm(tape, mul(tape, t[0], t[3]), gelu(tape, t[0]),
                                        0.3, &rows, &key, t[3], t[3], 1e-5))
OP(f_cross_entropy, cross_entropy(tape, t[0], LABELS(label), NULL))
OP(f_cross_entropy_few, cross_entropy(tape, t[0], LABELS(few), NULL))
OP(f_squared_error, squared_error(tape, take_column(tape, t[0], 1),
                                  tape_constant(tape, SHAPE(8), value), NULL))
OP(f_segment_cross_entropy,
   segment_cross_entropy(tape, take_column(tape, t[0], 3),
                         tape_indices(tape, SHAPE(3), off),
                         tape_indices(tape, SHAPE(2), target), NULL))
OP(f_linear_cross_entropy,
   linear_cross_entropy(tape, t[0], t[1], t[2], LABELS(few), NULL))

/* Heads of 3; keys are x g; gates are the first four values of g. */
static struct tensor *attend(struct tape *tape, struct tensor **t, struct attention a,
                             bool gated)
{
    static const int32_t four[] = {0, 1, 2, 3};
    struct tensor *k = mul(tape, t[0], t[3]), *q = t[0],
                  *v = a.dropout > 0 ? gelu(tape, q) : q;
    a.heads = 2;
    a.head_dim = 3;
    a.offsets = tape_indices(tape, SHAPE(3), off);
    a.rows = &rows;
    a.key = key;
    if (gated)
        a.gates = reshape(tape,
                          take_rows(tape, reshape(tape, t[3], SHAPE(6, 1)),
                                    tape_indices(tape, SHAPE(4), four)),
                          SHAPE(2, 2));
    if (a.first_only) {
        v = t[0];
        q = take_rows(tape, t[0], tape_indices(tape, SHAPE(2), off));
    }
    return attention(tape, q, k, v, &a);
}

static struct tensor *mask(struct tape *tape)
{
    static const uint8_t seen[] = {1, 0, 1, 1, 1, 0, 1, 1};
    struct tensor *m = tape_tensor(tape, DT_U8, SHAPE(8));
    memcpy(m->data, seen, sizeof seen);
    return m;
}

#define ATTENTION(GATED, ...) attend(tape, t, (struct attention){__VA_ARGS__}, GATED)
OP(f_attention, ATTENTION(false, .dropout = 0))
OP(f_attention_gates, ATTENTION(true, .dropout = 0))
OP(f_attention_dropout, ATTENTION(true, .dropout = 0.4))
OP(f_attention_mask, ATTENTION(false, .key_mask = mask(tape)))
OP(f_attention_first, ATTENTION(true, .dropout = 0.4, .first_only = true))

/* In the order of the fixtures. */
#define CASE(X)                                                                          \
    {                                                                                    \
#X, f_##X                                                                        \
    }
static const struct {
    const char *name;
    struct tensor *(*fn)(struct tape *tape, struct tensor **t);
} cases[] = {
    /* clang-format off */
    CASE(linear), CASE(gelu), CASE(relu), CASE(tanh), CASE(layernorm), CASE(softmax),
    CASE(log_softmax), CASE(add_row), CASE(mul), CASE(mul_row), CASE(embedding), CASE(take_rows),
    CASE(take_column), CASE(dropout), CASE(dropout_add_norm), CASE(attention),
    CASE(attention_gates), CASE(attention_dropout), CASE(attention_mask), CASE(attention_first),
    CASE(cross_entropy), CASE(cross_entropy_few), CASE(squared_error),
    CASE(segment_cross_entropy), CASE(linear_cross_entropy),
    /* clang-format on */
};

static void compare(struct tape *tape, int i, const char *level)
{
    const struct shape shapes[] = {SHAPE(8, 6), SHAPE(5, 6), SHAPE(5), SHAPE(6)};
    struct err err = ERR_INIT;
    struct tensor *t[4];
    assert_string_equal(cases[i].name, names[i]);
    tape_begin(tape, TAPE_TRAIN);
    for (int k = 0; k < 4; k++) {
        float v[48];
        dtype_convert(v, DT_F32, inputs[k], DT_F64, 48);
        t[k] = tape_leaf(tape, shapes[k], v);
    }
    struct tensor *y = cases[i].fn(tape, t), *loss = sum_all(tape, mul(tape, y, y));
    tape_backward(tape, loss, 1);
    assert_ok(tape_failed(tape, &err), &err);
    double d = tensor_get(loss, 0) - wanted[i][0], diff = d * d,
           norm = wanted[i][0] * wanted[i][0];
    for (int k = 0, at = 1; k < 4; k++) {
        const float *grad = tape_grad(tape, t[k]);
        for (int64_t e = 0; e < shape_count(shapes[k]); e++, at++) {
            d = (grad ? (double)grad[e] : 0) - wanted[i][at];
            diff += d * d;
            norm += wanted[i][at] * wanted[i][at];
        }
    }
    if (!(sqrt(diff) <= 1e-5 * sqrt(norm)))
        fail_msg("%s, %s: relative difference %g", names[i], level, sqrt(diff / norm));
}

static void ops_equal_pytorch(void **state)
{
    (void)state;
    const char *const levels[] = {"ref", "v2", "v3", "v4"};
    struct err err = ERR_INIT;
    struct tape *tape = tape_new(NULL, DT_F32, &err);
    assert_int_equal(sizeof cases / sizeof *cases, OPS_CASES);
    for (int l = 0; l < 4; l++)
        for (int i = 0; kernels_select(levels[l], NULL) == 0 && i < OPS_CASES; i++)
            compare(tape, i, levels[l]);
    kernels_select(NULL, NULL);
    tape_free(tape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ops_equal_pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
