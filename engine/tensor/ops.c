/*
 * The op table, and what all operations use. The operations are in ops_*.c: shape rules,
 * cutting of rows into fixed tasks, order of sums. The arithmetic is in the sets of
 * kernels (op.h).
 */
#include "ops_shared.h"
#include "retort/strbuf.h"

static atomic_bool used[OP_COUNT][2]; /* by dtype: float, double */

void op_run(struct tape *tape, int64_t tasks, void (*fn)(void *, int64_t),
            struct job *job)
{
    if (tasks > 0 && !tape_bad(tape))
        pool_run(tape_pool(tape), tasks, fn, job);
}

const struct kernels *op_use(struct tape *tape, int op)
{
    bool f64 = tape_real(tape) == DT_F64;
    atomic_store(&used[op][f64], true);
    return kernels_for(f64 ? DT_F64 : DT_F32);
}

struct tensor *op_like(struct tape *tape, const struct tensor *x)
{
    return tape_tensor(tape, tape_real(tape), x->shape);
}

struct tensor *op_bad_shapes(struct tape *tape, const char *op, const struct tensor *a,
                             const struct tensor *b, const char *want)
{
    char s[96], t[96];
    tape_fail(tape, ERR_INPUT, "%s of %s and %s: %s", op, shape_text(s, a->shape),
              b ? shape_text(t, b->shape) : "nothing", want);
    return NULL;
}

const struct op op_table[OP_COUNT] = {
    [OP_LINEAR] = {"linear", 2, linear_back, linear_flops},
    [OP_LINEAR_GELU] = {"linear_gelu", 1, linear_back, linear_flops},
    [OP_ADD] = {"add", 1, add_back, NULL},
    [OP_MUL] = {"mul", 1, mul_back, NULL},
    [OP_SCALE] = {"scale", 1, scale_back, NULL},
    [OP_SUM] = {"sum", 1, sum_back, NULL},
    [OP_RESHAPE] = {"reshape", 1, reshape_back, NULL},
    [OP_UNARY] = {"unary", 2, unary_backward, NULL},
    [OP_LAYERNORM] = {"layernorm", 2, norm_backward, NULL},
    [OP_ADD_NORM] = {"dropout_add_norm", 1, norm_backward, NULL},
    [OP_SOFTMAX] = {"softmax", 1, softmax_backward, NULL},
    [OP_UNIT_ROWS] = {"unit_rows", 1, unit_rows_backward, NULL},
    [OP_RMS_NORM] = {"rms_norm", 1, rms_norm_backward, NULL},
    [OP_ROTARY] = {"rotary", 1, rotary_backward, NULL},
    [OP_REPEAT_HEADS] = {"repeat_heads", 1, repeat_heads_backward, NULL},
    [OP_EMBEDDING] = {"embedding", 1, gather_back, NULL},
    [OP_TAKE_ROWS] = {"take_rows", 1, gather_back, NULL},
    [OP_DROPOUT] = {"dropout", 1, dropout_back, NULL},
    [OP_ATTENTION] = {"attention", 3, attention_back, attention_flops},
    [OP_CROSS_ENTROPY] = {"cross_entropy", 2, cross_entropy_back, NULL},
    [OP_SQUARED_ERROR] = {"squared_error", 1, squared_error_back, NULL},
    [OP_SEGMENT_CE] = {"segment_cross_entropy", 2, segment_back, NULL},
    [OP_LINEAR_CE] = {"linear_cross_entropy", 3, linear_ce_back, linear_ce_flops},
    [OP_TAKE_COLUMN] = {"take_column", 1, take_column_back, NULL},
    [OP_GRAM] = {"gram", 1, NULL, NULL},
    [OP_LINEAR_DISTILL] = {"linear_distill", 1, linear_distill_back,
                           linear_distill_flops},
};

void ops_used(struct strbuf *out)
{
    const char *gap = "";
    for (int i = 0; i < OP_COUNT; i++)
        for (int f64 = 0; f64 < 2; f64++) {
            const struct kernels *k = kernels_for(f64 ? DT_F64 : DT_F32);
            if (!atomic_load(&used[i][f64]))
                continue;
            if ((i == OP_LINEAR || i == OP_LINEAR_GELU) && k->packers)
                strbuf_printf(out, "%s%s=onednn-%s", gap, op_table[i].name,
                              kernels_level());
            else
                strbuf_printf(out, "%s%s=%s", gap, op_table[i].name, k->name);
            gap = " ";
        }
}

int64_t ops_numeric_version(void)
{
    int64_t sum = 0;
    for (int i = 0; i < OP_COUNT; i++)
        sum += op_table[i].version - 1; /* so that a new op reruns nothing */
    return sum;
}
