/* Values and gradients of ops against PyTorch in float64 (make_ops.py): 1e-5 normwise in
 * float. */
#include "check.h"
#include "fixtures/ops.h"
#include "retort/ops.h"

static struct tensor *build(struct tape *tape, int i, struct tensor **t)
{
    static const int32_t off[] = {0, 3, 8}, label[] = {0, 2, 5, 1, 3, 2, 0, 1};
    struct attention a = {.heads = 2, .head_dim = 3};
    switch (i) {
    case 0:
        return linear(tape, t[0], t[1], t[2]);
    case 1:
        return gelu(tape, t[0]);
    case 2:
        return tanh_act(tape, t[0]);
    case 3:
        return layernorm(tape, t[0], t[3], t[3], 1e-5);
    case 4:
        return softmax(tape, t[0]);
    case 5:
        return log_softmax(tape, t[0]);
    case 6:
        a.offsets = tape_indices(tape, SHAPE(3), off);
        return attention(tape, t[0], mul(tape, t[0], t[3]), t[0], &a);
    default:
        return cross_entropy(tape, t[0], tape_indices(tape, SHAPE(8), label), NULL);
    }
}

static void ops_equal_pytorch(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tape *tape = tape_new(NULL, DT_F32, &err);
    const struct shape shapes[] = {SHAPE(8, 6), SHAPE(5, 6), SHAPE(5), SHAPE(6)};
    for (int i = 0; i < 8; i++) {
        struct tensor *t[4];
        tape_begin(tape, TAPE_GRAD);
        for (int k = 0; k < 4; k++) {
            float v[48];
            dtype_convert(v, DT_F32, inputs[k], DT_F64, 48);
            t[k] = tape_leaf(tape, shapes[k], v);
        }
        struct tensor *y = build(tape, i, t), *loss = sum_all(tape, mul(tape, y, y));
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
            fail_msg("case %d: relative difference %g", i, sqrt(diff / norm));
    }
    tape_free(tape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ops_equal_pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
