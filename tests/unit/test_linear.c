/* The linear map: oneDNN's tiles, the plain kernels and double agree at awkward shapes;
 * no bit depends on threads or on other rows; packed weights follow the parameter. */
#include "check.h"
#include "../../engine/tensor/gemm.h"
#include "retort/ops.h"

static float noise(uint64_t *s)
{
    *s = *s * 6364136223846793005ull + 1442695040888963407ull;
    return (float)(*s >> 40) / 8388608.0f - 1.0f;
}

/* A layer, what flows into it from above, and what it gives. */
struct layer {
    int64_t n, i, o;
    struct arena *arena;
    struct param w, b;
    float *x, *dy;
    float *y, *dx, *dw, *db; /* results, as float */
};

static float draw(uint64_t *seed, bool whole)
{
    float v = noise(seed);
    return whole ? nearbyintf(v * 3) : v;
}

/* whole: small whole numbers, whose products and sums are exact in any order. */
static struct layer layer_new(int64_t n, int64_t i, int64_t o, bool whole)
{
    struct err err = ERR_INIT;
    struct layer l = {.n = n, .i = i, .o = o, .arena = arena_new(&err)};
    uint64_t seed = 5;
    assert_ok(param_init(&l.w, l.arena, "w", SHAPE(o, i), &err), &err);
    assert_ok(param_init(&l.b, l.arena, "b", SHAPE(o), &err), &err);
    assert_ok(param_need_grad(&l.w, l.arena, &err), &err);
    assert_ok(param_need_grad(&l.b, l.arena, &err), &err);
    float **to[] = {&l.x, &l.dx, &l.dy, &l.y, &l.dw, &l.db};
    int64_t size[] = {n * i, n * i, n * o, n * o, o * i, o};
    for (int k = 0; k < 6; k++) {
        *to[k] = arena_zalloc(l.arena, size[k] * 4 + 4);
        assert_non_null(*to[k]);
        for (int64_t e = 0; e < size[k]; e++)
            (*to[k])[e] = draw(&seed, whole);
    }
    for (int64_t e = 0; e < o * i; e++)
        tensor_f32(&l.w.value)[e] = draw(&seed, whole);
    for (int64_t e = 0; e < o; e++)
        tensor_f32(&l.b.value)[e] = draw(&seed, whole);
    param_touch(&l.w);
    param_touch(&l.b);
    return l;
}

static void layer_free(struct layer *l)
{
    param_release(&l->w);
    param_release(&l->b);
    arena_free(l->arena);
}

static void copy_out(float *to, const struct tensor *like, const void *from, int64_t n)
{
    dtype_convert(to, DT_F32, from, like->dtype, n);
}

/* Forward and backward; n of the layer's rows. */
static void pass(struct layer *l, int64_t n, const char *level, enum dtype compute,
                 int threads)
{
    struct err err = ERR_INIT;
    struct pool *pool = pool_new(threads, &err);
    struct tape *t = tape_new(pool, compute, &err);
    assert_ok(kernels_select(level, &err), &err);
    assert_non_null(t);
    memset(l->w.grad, 0, (size_t)(l->o * l->i) * 4);
    memset(l->b.grad, 0, (size_t)l->o * 4);
    tape_begin(t, TAPE_TRAIN);
    struct tensor *x = tape_leaf(t, SHAPE(n, l->i), l->x);
    struct tensor *y = linear(t, x, tape_param(t, &l->w), tape_param(t, &l->b));
    struct tensor *loss = sum_all(t, mul(t, y, tape_constant(t, SHAPE(n, l->o), l->dy)));
    tape_backward(t, loss, 1);
    assert_ok(tape_failed(t, &err), &err);
    copy_out(l->y, y, y->data, n * l->o);
    copy_out(l->dx, x, tape_grad(t, x), n * l->i);
    memcpy(l->dw, l->w.grad, (size_t)(l->o * l->i) * 4);
    memcpy(l->db, l->b.grad, (size_t)l->o * 4);
    tape_free(t);
    pool_free(pool);
    kernels_select(NULL, NULL);
}

static const int64_t shapes[][3] = {
    {1, 1, 1},     {1, 384, 2},   {2, 3, 3},       {3, 17, 1},     {15, 16, 5},
    {16, 5, 16},   {17, 64, 65},  {63, 100, 3},    {64, 3, 97},    {65, 31, 96},
    {127, 7, 7},   {128, 65, 33}, {129, 64, 64},   {200, 96, 192}, {511, 33, 100},
    {512, 32, 98}, {513, 1, 2},   {545, 384, 384}, {1100, 48, 3},  {40, 64, 5000},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static const char *const levels[] = {"ref", "v2", "v3", "v4"};

static void equal(const float *a, const float *b, int64_t n, const char *what,
                  const int64_t *s, const char *level)
{
    for (int64_t i = 0; i < n; i++)
        if (!(a[i] == b[i]))
            fail_msg("%s of %lld x %lld x %lld, %s: %g, not %g at %lld", what,
                     (long long)s[0], (long long)s[1], (long long)s[2], level,
                     (double)a[i], (double)b[i], (long long)i);
}

/* Whole numbers leave nothing to rounding: all must be equal, in f32 and in bf16. */
static void whole_numbers_are_exact_at_every_shape(void **state)
{
    (void)state;
    for (int k = 0; k < SHAPES; k++) {
        const int64_t *s = shapes[k];
        struct layer want = layer_new(s[0], s[1], s[2], true);
        struct layer got = layer_new(s[0], s[1], s[2], true);
        pass(&want, s[0], "ref", DT_F64, 1);
        for (int c = 0; c < 8; c++) {
            const char *level = levels[c / 2];
            if (kernels_select(level, NULL))
                continue;
            pass(&got, s[0], level, c % 2 ? DT_BF16 : DT_F32, 2);
            equal(got.y, want.y, s[0] * s[2], "y", s, level);
            equal(got.dx, want.dx, s[0] * s[1], "dx", s, level);
            equal(got.dw, want.dw, s[1] * s[2], "dw", s, level);
            equal(got.db, want.db, s[2], "db", s, level);
        }
        layer_free(&want);
        layer_free(&got);
    }
}

/* |a - b| <= bound * size, element by element. */
static void close_to(const float *a, const float *b, const float *size, int64_t n,
                     double bound, const char *what, const int64_t *s)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= bound * (double)size[i]))
            fail_msg("%s of %lld x %lld x %lld at %lld: %g, not %g; terms of %g in all, "
                     "bound %g of that",
                     what, (long long)s[0], (long long)s[1], (long long)s[2],
                     (long long)i, (double)a[i], (double)b[i], (double)size[i], bound);
}

static void absolute(float *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        v[i] = fabsf(v[i]);
}

/*
 * Worst cases, relative to the sum of the terms' sizes: in f32 each of the k sums and
 * products is off by 2^-24 at most. Rounding to bf16 (8 bits) moves an operand by 2^-8 at
 * most, a product by 2^-7 (and 2^-16). A bias gradient has no product: f32.
 */
static void random_numbers_stay_within_the_bounds(void **state)
{
    (void)state;
    for (int k = 0; k < SHAPES; k++) {
        const int64_t *s = shapes[k], n = s[0], i = s[1], o = s[2];
        struct layer want = layer_new(n, i, o, false), got = layer_new(n, i, o, false);
        struct layer size = layer_new(n, i, o, false);
        absolute(size.x, n * i);
        absolute(size.dy, n * o);
        absolute(size.w.value.data, o * i);
        absolute(size.b.value.data, o);
        pass(&want, n, "ref", DT_F64, 1);
        pass(&size, n, "ref", DT_F64, 1);
        for (int bf16 = 0; bf16 < 2; bf16++) {
            double half = bf16 ? 0x1p-7 + 0x1p-16 : 0, unit = 0x1p-23;
            pass(&got, n, NULL, bf16 ? DT_BF16 : DT_F32, 2);
            close_to(got.y, want.y, size.y, n * o, half + unit * (double)(i + 2), "y", s);
            close_to(got.dx, want.dx, size.dx, n * i, half + unit * (double)(o + 2), "dx",
                     s);
            close_to(got.dw, want.dw, size.dw, i * o, half + unit * (double)(n + 2), "dw",
                     s);
            close_to(got.db, want.db, size.db, o, unit * (double)(n + 2), "db", s);
        }
        layer_free(&want);
        layer_free(&got);
        layer_free(&size);
    }
}

static void threads_change_no_bit_of_384_by_384_by_4096(void **state)
{
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        enum dtype compute = bf16 ? DT_BF16 : DT_F32;
        struct layer one = layer_new(4096, 384, 384, false);
        struct layer many = layer_new(4096, 384, 384, false);
        pass(&one, 4096, NULL, compute, 1);
        for (int threads = 2; threads <= 8; threads += threads == 3 ? 5 : 1) {
            pass(&many, 4096, NULL, compute, threads);
            assert_memory_equal(one.y, many.y, 4096 * 384 * 4);
            assert_memory_equal(one.dx, many.dx, 4096 * 384 * 4);
            assert_memory_equal(one.dw, many.dw, 384 * 384 * 4);
            assert_memory_equal(one.db, many.db, 384 * 4);
        }
        layer_free(&one);
        layer_free(&many);
    }
}

static void other_rows_change_no_bit(void **state)
{
    (void)state;
    static const int64_t dims[][2] = {{384, 1536}, {1536, 384}, {384, 2}, {70, 33}};
    static const int64_t rows[] = {1, 7, 15, 16, 17, 64, 65, 128, 191, 192, 193, 300};
    for (int c = 0; c < 8; c++) {
        int64_t i = dims[c / 2][0], o = dims[c / 2][1];
        enum dtype compute = c % 2 ? DT_BF16 : DT_F32;
        struct layer all = layer_new(400, i, o, false), few = layer_new(400, i, o, false);
        pass(&all, 400, NULL, compute, 2);
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
            pass(&few, rows[k], NULL, compute, 2);
            assert_memory_equal(all.y, few.y, (size_t)(rows[k] * o) * 4);
            assert_memory_equal(all.dx, few.dx, (size_t)(rows[k] * i) * 4);
        }
        layer_free(&all);
        layer_free(&few);
    }
}

/* One x through two maps: gradients are added, in the padded last tile too. */
static void gradients_of_two_uses_are_added(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct layer l = layer_new(75, 40, 24, true);
    pass(&l, 75, NULL, DT_F32, 2);
    struct tape *t = tape_new(NULL, DT_F32, &err);
    tape_begin(t, TAPE_TRAIN);
    memset(l.w.grad, 0, 40 * 24 * 4);
    struct tensor *x = tape_leaf(t, SHAPE(75, 40), l.x), *w = tape_param(t, &l.w);
    struct tensor *dy = tape_constant(t, SHAPE(75, 24), l.dy);
    struct tensor *a = mul(t, linear(t, x, w, NULL), dy), *b = linear(t, x, w, NULL);
    tape_backward(t, sum_all(t, add(t, a, mul(t, b, dy))), 1);
    assert_ok(tape_failed(t, &err), &err);
    for (int64_t i = 0; i < 75 * 40; i++)
        assert_true(((const float *)tape_grad(t, x))[i] == 2 * l.dx[i]);
    for (int64_t i = 0; i < 40 * 24; i++)
        assert_true(l.w.grad[i] == 2 * l.dw[i]);
    tape_free(t);
    layer_free(&l);
}

/* Values and gradients of both, through one and through two operations. */
static void bend(struct layer *l, const char *level, enum dtype compute, bool fused,
                 bool frozen_x)
{
    struct err err = ERR_INIT;
    struct tape *t = tape_new(NULL, compute, &err);
    assert_ok(kernels_select(level, &err), &err);
    memset(l->w.grad, 0, (size_t)(l->o * l->i) * 4);
    memset(l->b.grad, 0, (size_t)l->o * 4);
    tape_begin(t, TAPE_TRAIN);
    struct shape shape = SHAPE(l->n, l->i);
    struct tensor *x =
        frozen_x ? tape_constant(t, shape, l->x) : tape_leaf(t, shape, l->x);
    struct tensor *w = tape_param(t, &l->w), *b = tape_param(t, &l->b);
    struct tensor *y = fused ? linear_gelu(t, x, w, b) : gelu(t, linear(t, x, w, b));
    struct tensor *dy = tape_constant(t, SHAPE(l->n, l->o), l->dy);
    tape_backward(t, sum_all(t, mul(t, y, dy)), 1);
    assert_ok(tape_failed(t, &err), &err);
    copy_out(l->y, y, y->data, l->n * l->o);
    if (!frozen_x)
        copy_out(l->dx, x, tape_grad(t, x), l->n * l->i);
    memcpy(l->dw, l->w.grad, (size_t)(l->o * l->i) * 4);
    memcpy(l->db, l->b.grad, (size_t)l->o * 4);
    tape_begin(t, TAPE_EVAL); /* what is not kept there changes nothing */
    y = linear_gelu(t, tape_constant(t, shape, l->x), tape_param(t, &l->w),
                    tape_param(t, &l->b));
    if (compute != DT_F64)
        assert_memory_equal(y->data, l->y, (size_t)(l->n * l->o) * 4);
    tape_free(t);
    kernels_select(NULL, NULL);
}

static void gelu_in_the_tiles_changes_no_bit(void **state)
{
    (void)state;
    static const int64_t dims[][3] = {
        {1700, 384, 1536}, {77, 100, 33}, {1, 3, 1}, {64, 64, 64}};
    for (int k = 0; k < 4; k++)
        for (int c = 0; c < 9; c++) {
            const char *level = c < 8 ? levels[c % 4] : "ref";
            enum dtype compute = c >= 8 ? DT_F64 : c >= 4 ? DT_BF16 : DT_F32;
            const int64_t *d = dims[k];
            if (kernels_select(level, NULL) || (k == 0 && strcmp(level, "v4")))
                continue;
            struct layer one = layer_new(d[0], d[1], d[2], false);
            struct layer two = layer_new(d[0], d[1], d[2], false);
            bend(&one, level, compute, true, c == 5);
            bend(&two, level, compute, false, c == 5);
            assert_memory_equal(one.y, two.y, (size_t)(d[0] * d[2]) * 4);
            assert_memory_equal(one.dx, two.dx, (size_t)(d[0] * d[1]) * 4);
            assert_memory_equal(one.dw, two.dw, (size_t)(d[1] * d[2]) * 4);
            assert_memory_equal(one.db, two.db, (size_t)d[2] * 4);
            layer_free(&one);
            layer_free(&two);
        }
}

static void packed_weights_follow_the_parameter(void **state)
{
    (void)state;
    struct layer l = layer_new(20, 30, 40, true), ref = layer_new(20, 30, 40, true);
    pass(&l, 20, NULL, DT_F32, 1);
    for (int64_t i = 0; i < 30 * 40; i++)
        tensor_f32(&l.w.value)[i] = tensor_f32(&ref.w.value)[i] += (float)(i % 5);
    param_touch(&l.w);
    pass(&ref, 20, "ref", DT_F64, 1);
    for (int k = 0; k < 3; k++) { /* and its type */
        pass(&l, 20, NULL, k == 1 ? DT_BF16 : DT_F32, 1);
        assert_memory_equal(l.y, ref.y, 20 * 40 * 4);
        assert_memory_equal(l.dx, ref.dx, 20 * 30 * 4);
    }
    l.w.value.shape.dim[0] = l.o = 39; /* a row is cut off */
    l.b.value.shape.dim[0] = 39;
    param_touch(&l.w);
    pass(&l, 20, NULL, DT_F32, 1);
    for (int64_t r = 0; r < 20; r++)
        assert_memory_equal(l.y + r * 39, ref.y + r * 40, 39 * 4);
    layer_free(&l);
    layer_free(&ref);
}

static void the_cache_of_primitives_is_bounded(void **state)
{
    (void)state;
    for (int64_t i = 1; i <= 140; i++) {
        struct layer l = layer_new(5 + i * 3, i, 4, true);
        pass(&l, l.n, NULL, DT_F32, 1);
        layer_free(&l);
        assert_true(gemm_cached() <= 256);
    }
    for (int64_t n = 1; n < 1200; n += 13) { /* token counts vary: 16 last chunks */
        struct layer l = layer_new(n, 24, 24, true);
        pass(&l, n, NULL, DT_F32, 1);
        layer_free(&l);
    }
    assert_true(gemm_cached() <= 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_are_exact_at_every_shape),
        cmocka_unit_test(random_numbers_stay_within_the_bounds),
        cmocka_unit_test(threads_change_no_bit_of_384_by_384_by_4096),
        cmocka_unit_test(other_rows_change_no_bit),
        cmocka_unit_test(gradients_of_two_uses_are_added),
        cmocka_unit_test(gelu_in_the_tiles_changes_no_bit),
        cmocka_unit_test(packed_weights_follow_the_parameter),
        cmocka_unit_test(the_cache_of_primitives_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
