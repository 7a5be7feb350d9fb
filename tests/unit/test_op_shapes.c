/* Operations on rows at many shapes: every set of kernels against the definition in
 * double, threads, other rows; dropout's draws; memory given back in evaluation. */
#include "check.h"
#include "retort/ops.h"

enum { PARTS = 5 }; /* output, gradients of x, w, b and gamma */

struct shape_case {
    int64_t n, c;
    int64_t first; /* number of the first row: its values follow from it */
    int threads;
};

struct inputs {
    struct tape *tape;
    struct tensor *x, *w, *b, *gamma; /* (n, c), (c + 3, c), (c + 3), (c) */
    struct tensor *label;             /* below c */
    const struct rows *rows;
    int64_t n, c;
};

struct outcome {
    int64_t n[PARTS];
    double *v[PARTS];
};

typedef struct tensor *(*op_fn)(const struct inputs *in);
#define OP(NAME, EXPR)                                                                   \
    static struct tensor *NAME(const struct inputs *in)                                  \
    {                                                                                    \
        struct tape *tape = in->tape;                                                    \
        struct tensor *x = in->x;                                                        \
        return EXPR;                                                                     \
    }
#define KEY (&(struct dropout_key){5, "site", 3})

OP(f_gelu, gelu(tape, scale(tape, x, 4)))
OP(f_tanh, tanh_act(tape, scale(tape, x, 2)))
OP(f_relu, relu(tape, x))
OP(f_layernorm, layernorm(tape, x, in->gamma, in->gamma, 1e-5))
OP(f_softmax, softmax(tape, scale(tape, x, 5)))
OP(f_log_softmax, log_softmax(tape, x))
OP(f_dropout, dropout(tape, x, 0.3, in->rows, KEY))
OP(f_add_norm, dropout_add_norm(tape, relu(tape, x), x, 0.3, in->rows, KEY, in->gamma,
                                in->gamma, 1e-5))
OP(f_add_norm_same,
   dropout_add_norm(tape, x, x, 0.3, in->rows, KEY, in->gamma, in->gamma, 1e-5))
OP(f_add_norm_plain,
   dropout_add_norm(tape, relu(tape, x), x, 0, NULL, NULL, in->gamma, in->gamma, 1e-5))
OP(f_three,
   layernorm(tape, add(tape, relu(tape, x), dropout(tape, x, 0.3, in->rows, KEY)),
             in->gamma, in->gamma, 1e-5))
OP(f_embedding, embedding(tape, x, in->label))
OP(f_linear, linear(tape, x, in->w, in->b))
OP(f_ce, cross_entropy(tape, scale(tape, x, 9), in->label, NULL))
OP(f_linear_ce, linear_cross_entropy(tape, x, in->w, in->b, in->label, NULL))

static const struct {
    const char *name;
    op_fn fn;
    bool by_row; /* a row of the output is a function of its row of x */
} cases[] = {
    {"gelu", f_gelu, true},
    {"tanh", f_tanh, true},
    {"relu", f_relu, true},
    {"layernorm", f_layernorm, true},
    {"softmax", f_softmax, true},
    {"log_softmax", f_log_softmax, true},
    {"dropout", f_dropout, true},
    {"dropout_add_norm", f_add_norm, true},
    {"dropout_add_norm of the same", f_add_norm_same, true},
    {"dropout_add_norm without dropout", f_add_norm_plain, true},
    {"linear", f_linear, true},
    {"embedding", f_embedding, false},
    {"cross_entropy", f_ce, false},
    {"linear_cross_entropy", f_linear_ce, false},
};
enum { CASES = sizeof cases / sizeof *cases };

static float noise(uint64_t *s)
{
    *s = *s * 6364136223846793005ull + 1442695040888963407ull;
    return (float)(*s >> 40) / 8388608.0f - 1.0f;
}

/* Row i of what is said by `what` and i alone. */
static struct tensor *leaf(struct tape *tape, struct shape s, uint64_t what,
                           int64_t first)
{
    int64_t c = s.dim[s.rank - 1], n = shape_count(s) / (c ? c : 1);
    float *v = malloc((size_t)(n * c + 1) * sizeof *v);
    for (int64_t i = 0; i < n; i++) {
        uint64_t seed = what * 1000003 + (uint64_t)(i + first);
        noise(&seed);
        for (int64_t j = 0; j < c; j++)
            v[i * c + j] = noise(&seed);
    }
    struct tensor *t = tape_leaf(tape, s, v);
    free(v);
    return t;
}

static double *copy(const struct tensor *t, const void *from, int64_t *n)
{
    *n = from ? shape_count(t->shape) : 0;
    double *to = malloc((size_t)(*n + 1) * sizeof *to);
    if (from)
        dtype_convert(to, DT_F64, from, t->dtype, *n);
    return to;
}

static struct outcome outcome(op_fn fn, const struct shape_case *s, const char *level,
                              enum dtype dtype)
{
    struct outcome out;
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);
    assert_ok(kernels_select(level, &err), &err);
    struct pool *pool = s->threads ? pool_new(s->threads, &err) : NULL;
    struct tape *tape = tape_new(pool, dtype, &err);
    int32_t *v = arena_alloc(arena, 3 * (s->n + 1) * (int64_t)sizeof *v);
    int32_t *label = v, *example = v + s->n, *position = v + 2 * s->n;
    for (int64_t i = 0; i < s->n;
         i++) { /* examples of 37 tokens; some labels are unknown */
        int32_t number = (int32_t)(i + s->first);
        label[i] = fn == f_embedding ? (int32_t)(i * 7 % (s->n < 9 ? s->n : 9))
                   : i % 5 == 3      ? -1
                                     : number % (int32_t)s->c;
        example[i] = number / 37;
        position[i] = number % 37;
    }
    struct rows rows = {s->n, example, position};
    struct inputs in = {.tape = tape, .rows = &rows, .n = s->n, .c = s->c};
    tape_begin(tape, TAPE_TRAIN);
    in.x = leaf(tape, SHAPE(s->n, s->c), 1, s->first);
    in.w = leaf(tape, SHAPE(s->c + 3, s->c), 2, 0);
    in.b = leaf(tape, SHAPE(s->c + 3), 3, 0);
    in.gamma = leaf(tape, SHAPE(s->c), 4, 0);
    in.label = tape_indices(tape, SHAPE(s->n), label);
    struct tensor *y = fn(&in), *loss = y;
    if (y && y->shape.rank)
        loss = sum_all(tape, mul(tape, y, leaf(tape, y->shape, 5, s->first)));
    tape_backward(tape, loss, 1);
    assert_ok(tape_failed(tape, &err), &err);
    struct tensor *t[PARTS] = {y, in.x, in.w, in.b, in.gamma};
    for (int i = 0; i < PARTS; i++)
        out.v[i] = copy(t[i], i ? tape_grad(tape, t[i]) : y->data, &out.n[i]);
    tape_free(tape);
    pool_free(pool);
    arena_free(arena);
    kernels_select(NULL, NULL);
    return out;
}

static void outcome_free(struct outcome *o)
{
    for (int i = 0; i < PARTS; i++)
        free(o->v[i]);
}

static void compare(int i, const struct shape_case *s, const char *level)
{
    struct outcome want = outcome(cases[i].fn, s, "ref", DT_F64);
    struct outcome got = outcome(cases[i].fn, s, level, DT_F32);
    for (int p = 0; p < PARTS; p++) {
        double diff = 0, norm = 0;
        assert_int_equal(want.n[p], got.n[p]);
        for (int64_t e = 0; e < want.n[p]; e++) {
            diff += pow(want.v[p][e] - got.v[p][e], 2);
            norm += pow(want.v[p][e], 2);
        }
        /* a LayerNorm of one or two columns divides what rounding leaves by sqrt(eps) */
        double slack = s->c <= 2 ? 2e-3 : 1e-6;
        if (!(sqrt(diff) <= 4e-6 * sqrt(norm) + slack))
            fail_msg("%s, %s, %d x %d, part %d: difference %g of %g", cases[i].name,
                     level, (int)s->n, (int)s->c, p, sqrt(diff), sqrt(norm));
    }
    outcome_free(&want);
    outcome_free(&got);
}

static void every_level_at_awkward_shapes(void **state)
{
    (void)state;
    static const struct shape_case shapes[] = {{.n = 1, .c = 1},    {.n = 3, .c = 2},
                                               {.n = 2, .c = 15},   {.n = 65, .c = 16},
                                               {.n = 130, .c = 17}, {.n = 7, .c = 100},
                                               {.n = 70, .c = 384}, {.n = 5, .c = 1537}};
    const char *const levels[] = {"ref", "v2", "v3", "v4"};
    for (int l = 0; l < 4; l++) {
        if (kernels_select(levels[l], NULL))
            continue;
        for (int i = 0; i < CASES; i++)
            for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
                compare(i, &shapes[s], levels[l]);
    }
    kernels_select(NULL, NULL);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        struct shape_case s = {.n = 300, .c = 100, .threads = 1};
        struct outcome one = outcome(cases[i].fn, &s, NULL, DT_F32);
        for (s.threads = 2; s.threads <= 8; s.threads += s.threads == 3 ? 5 : 1) {
            struct outcome many = outcome(cases[i].fn, &s, NULL, DT_F32);
            for (int p = 0; p < PARTS; p++)
                if (memcmp(one.v[p], many.v[p], (size_t)one.n[p] * sizeof(double)))
                    fail_msg("%s: %d threads change part %d", cases[i].name, s.threads,
                             p);
            outcome_free(&many);
        }
        outcome_free(&one);
    }
}

static void other_rows_change_no_bit(void **state)
{
    (void)state;
    const struct shape_case all = {.n = 200, .c = 100};
    const struct shape_case parts[] = {{.n = 1, .c = 100, .first = 63},
                                       {.n = 70, .c = 100, .first = 90},
                                       {.n = 64, .c = 100, .first = 1}};
    for (int i = 0; i < CASES && cases[i].by_row; i++) {
        struct outcome whole = outcome(cases[i].fn, &all, NULL, DT_F32);
        for (int k = 0; k < 3; k++) {
            struct outcome part = outcome(cases[i].fn, &parts[k], NULL, DT_F32);
            for (int p = 0; p < 2; p++) /* the output and the gradient of x */
                if (memcmp(part.v[p],
                           whole.v[p] + parts[k].first * (part.n[p] / parts[k].n),
                           (size_t)part.n[p] * sizeof(double)))
                    fail_msg("%s: other rows change part %d of rows from %d",
                             cases[i].name, p, (int)parts[k].first);
            outcome_free(&part);
        }
        outcome_free(&whole);
    }
}

static void a_blocks_end_has_the_bits_of_its_three_operations(void **state)
{
    (void)state;
    const char *const levels[] = {"ref", "v2", "v3", "v4"};
    const struct shape_case s = {.n = 70, .c = 100};
    for (int l = 0; l < 4; l++) {
        if (kernels_select(levels[l], NULL))
            continue;
        struct outcome one = outcome(f_add_norm, &s, levels[l], DT_F32);
        struct outcome three = outcome(f_three, &s, levels[l], DT_F32);
        for (int p = 0; p < PARTS; p++)
            assert_memory_equal(one.v[p], three.v[p], (size_t)one.n[p] * sizeof(double));
        outcome_free(&one);
        outcome_free(&three);
    }
    kernels_select(NULL, NULL);
}

/* Element (r, c): 32 bits of draw (example 2^16 + position) 2^16 + c / 2 of the stream.
 */
static void dropout_draws_as_documented(void **state)
{
    (void)state;
    enum { N = 80, C = 101 };
    const char *const levels[] = {"ref", "v2", "v3", "v4"};
    const double p = 0.37;
    struct err err = ERR_INIT;
    struct tape *tape = tape_new(NULL, DT_F32, &err);
    int32_t example[N], position[N];
    for (int i = 0; i < N; i++) {
        example[i] = i / 30 * 70000;
        position[i] = i % 30 + (i % 30 > 20 ? 400 : 0);
    }
    struct rows rows = {N, example, position};
    for (int l = 0; l < 4; l++) {
        if (kernels_select(levels[l], NULL))
            continue;
        tape_begin(tape, TAPE_TRAIN);
        struct tensor *y = dropout(tape, leaf(tape, SHAPE(N, C), 1, 0), p, &rows, KEY);
        struct tensor *x = leaf(tape, SHAPE(N, C), 1, 0);
        for (int64_t i = 0; i < N * C; i++) {
            struct rng rng = rng_stream(5, "dropout/site/3");
            rng_advance(&rng,
                        (((uint64_t)example[i / C] << 16) + (uint64_t)position[i / C])
                            << 16);
            rng_advance(&rng, (uint64_t)(i % C) / 2);
            uint64_t bits = rng_next(&rng) >> (i % C % 2 * 32) & 0xffffffff;
            float want = (double)bits >= p * 4294967296.0
                             ? tensor_f32(x)[i] * (float)(1 / (1 - p))
                             : 0;
            if (tensor_f32(y)[i] != want)
                fail_msg("%s: element %d", levels[l], (int)i);
        }
    }
    kernels_select(NULL, NULL);
    tape_free(tape);
}

/* A vocabulary's loss in chunks of rows is that of the whole matrix of logits. */
static void the_vocabularys_loss_is_that_of_its_logits(void **state)
{
    (void)state;
    enum { N = 300, C = 24, V = 2000 };
    struct err err = ERR_INIT;
    struct tape *tape = tape_new(NULL, DT_F32, &err);
    int32_t label[N];
    double loss[2];
    static double grad[2][V * C + N * C];
    for (int i = 0; i < N; i++)
        label[i] = i % 7 == 2 ? -1 : i * 6007 % V;
    for (int k = 0; k < 2; k++) {
        tape_begin(tape, TAPE_GRAD);
        struct tensor *x = leaf(tape, SHAPE(N, C), 1, 0),
                      *w = leaf(tape, SHAPE(V, C), 2, 0);
        struct tensor *b = leaf(tape, SHAPE(V), 3, 0),
                      *l = tape_indices(tape, SHAPE(N), label);
        struct tensor *y = k ? linear_cross_entropy(tape, x, w, b, l, NULL)
                             : cross_entropy(tape, linear(tape, x, w, b), l, NULL);
        tape_backward(tape, y, 1);
        assert_ok(tape_failed(tape, &err), &err);
        loss[k] = tensor_get(y, 0);
        dtype_convert(grad[k], DT_F64, tape_grad(tape, w), DT_F32, V * C);
        dtype_convert(grad[k] + V * C, DT_F64, tape_grad(tape, x), DT_F32, N * C);
    }
    double diff = 0, norm = 0;
    for (int i = 0; i < V * C + N * C; i++) {
        diff += pow(grad[0][i] - grad[1][i], 2);
        norm += pow(grad[0][i], 2);
    }
    assert_true(fabs(loss[0] - loss[1]) < 1e-6);
    assert_true(sqrt(diff) < 1e-6 * sqrt(norm));
    tape_free(tape);
}

static void evaluation_gives_back_a_blocks_memory(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tape *tape = tape_new(NULL, DT_F32, &err);
    tape_begin(tape, TAPE_EVAL);
    struct tensor *x = leaf(tape, SHAPE(64, 64), 1, 0);
    int64_t used = 0;
    for (int layer = 0; layer < 20; layer++) {
        struct arena_mark mark = tape_mark(tape);
        x = tape_keep(tape, mark, gelu(tape, add(tape, x, gelu(tape, x))));
        if (layer == 1)
            used = arena_used(tape_arena(tape));
    }
    assert_ok(tape_failed(tape, &err), &err);
    assert_true(arena_used(tape_arena(tape)) < 20 * used / 2);
    tape_begin(tape, TAPE_EVAL);
    struct tensor *y = leaf(tape, SHAPE(64, 64), 1, 0);
    for (int layer = 0; layer < 20; layer++)
        y = gelu(tape, add(tape, y, gelu(tape, y)));
    struct tape *other = tape_new(NULL, DT_F32, &err);
    tape_begin(other, TAPE_EVAL);
    x = leaf(other, SHAPE(64, 64), 1, 0);
    for (int layer = 0; layer < 20; layer++) {
        struct arena_mark mark = tape_mark(other);
        x = tape_keep(other, mark, gelu(other, add(other, x, gelu(other, x))));
    }
    assert_memory_equal(x->data, y->data, 64 * 64 * sizeof(float));
    tape_free(tape);
    tape_free(other);
}

static void gelu_is_close_everywhere(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tape *tape = tape_new(NULL, DT_F32, &err);
    static float v[4096];
    for (int i = 0; i < 4090; i++)
        v[i] = (float)(i - 2045) / 128;
    v[4090] = 1e30f;
    v[4091] = -1e30f;
    v[4092] = INFINITY;
    v[4093] = NAN;
    v[4094] = -0.0f;
    tape_begin(tape, TAPE_EVAL);
    struct tensor *y = gelu(tape, tape_constant(tape, SHAPE(4096), v));
    for (int i = 0; i < 4090; i++) {
        double x = (double)v[i], want = 0.5 * x * erfc(-x / sqrt(2));
        /* x times an error of 1.5 units in the last place of 1/2 + Phi */
        assert_true(fabs(tensor_get(y, i) - want) <= 2e-7 * (1 + fabs(x)));
    }
    assert_true(tensor_get(y, 4090) >= 9.9e29 && tensor_get(y, 4092) > 1e300);
    assert_true(tensor_get(y, 4091) == 0 && isnan(tensor_get(y, 4093)));
    tape_free(tape);
}

/* As in a mapped file. */
static void numbers_are_read_from_any_address(void **state)
{
    const enum dtype dtypes[] = {DT_F64, DT_F32, DT_BF16, DT_F16, DT_I64, DT_I32, DT_I8};
    const double values[3] = {-2, 0.5, 7}, whole[3] = {-2, 0, 7};
    (void)state;
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
        double even[4], back[3];
        const double *want = dtypes[d] >= DT_I64 ? whole : values;
        char odd[1 + sizeof even];
        dtype_convert(even, dtypes[d], values, DT_F64, 3);
        memcpy(odd + 1, even, (size_t)(3 * dtype_bytes(dtypes[d])));
        dtype_convert(back, dtypes[d] == DT_F64 ? DT_F32 : DT_F64, odd + 1, dtypes[d], 3);
        if (dtypes[d] == DT_F64)
            assert_float_equal(((const float *)back)[2], 7, 0);
        for (int i = 0; dtypes[d] != DT_F64 && i < 3; i++)
            assert_float_equal((float)back[i], (float)want[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_at_awkward_shapes),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(numbers_are_read_from_any_address),
        cmocka_unit_test(other_rows_change_no_bit),
        cmocka_unit_test(a_blocks_end_has_the_bits_of_its_three_operations),
        cmocka_unit_test(dropout_draws_as_documented),
        cmocka_unit_test(the_vocabularys_loss_is_that_of_its_logits),
        cmocka_unit_test(evaluation_gives_back_a_blocks_memory),
        cmocka_unit_test(gelu_is_close_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
