/* Rates and updates. */
#include "check.h"

#include "retort/train.h"

static void the_rate_rises_over_the_warmup_and_falls_to_zero(void **state)
{
    (void)state;
    assert_true(schedule_lr(SCHEDULE_LINEAR, 1, 0, 10, 110) == 0);
    assert_true(fabs(schedule_lr(SCHEDULE_LINEAR, 1, 5, 10, 110) - 0.5) < 1e-15);
    assert_true(fabs(schedule_lr(SCHEDULE_LINEAR, 1, 10, 10, 110) - 1) < 1e-15);
    assert_true(fabs(schedule_lr(SCHEDULE_LINEAR, 1, 60, 10, 110) - 0.5) < 1e-15);
    assert_true(schedule_lr(SCHEDULE_LINEAR, 1, 110, 10, 110) == 0);
}

static void a_constant_rate_stays(void **state)
{
    (void)state;
    assert_true(schedule_lr(SCHEDULE_CONSTANT, 0.25, 7, 0, 10) == 0.25);
}

/* One parameter of three elements, as an optimizer sees it. */
struct bench {
    struct arena *arena;
    struct param p;
    float m[3], v[3];
    struct param *list[1];
    float *ms[1], *vs[1];
    struct optimizer opt;
};

static void set_up(struct bench *b, bool correct)
{
    struct err err = ERR_INIT;
    memset(b, 0, sizeof *b);
    b->arena = arena_new(&err);
    assert_ok(param_init(&b->p, b->arena, "w", SHAPE(3), &err), &err);
    assert_ok(param_need_grad(&b->p, b->arena, &err), &err);
    b->list[0] = &b->p;
    b->ms[0] = b->m;
    b->vs[0] = b->v;
    b->opt = (struct optimizer){.cfg = {0.9, 0.999, 1e-8, 0.1, correct},
                                .clip = CLIP_GLOBAL,
                                .clip_norm = 1,
                                .param = b->list,
                                .n = 1,
                                .m = b->ms,
                                .v = b->vs};
    for (size_t i = 0; i < 3; i++) {
        tensor_f32(&b->p.value)[i] = 1.0f;
        b->p.grad[i] = 0.1f * (float)(i + 1);
    }
    b->p.decay = true;
}

/* With bias correction the first step of Adam is lr * sign(g), after decay by lr * wd. */
static void the_first_step_of_adamw_is_the_sign_of_the_gradient(void **state)
{
    struct bench b;
    (void)state;
    set_up(&b, true);
    double norm = optimizer_update(&b.opt, 0.01, NULL);
    assert_true(fabs(norm - sqrt(0.01 + 0.04 + 0.09)) < 1e-7);
    for (size_t i = 0; i < 3; i++)
        assert_true(fabs((double)tensor_f32(&b.p.value)[i] - (1 - 0.01 * 0.1 - 0.01)) <
                    1e-6);
    arena_free(b.arena);
}

/* Without it the quotients are left out: m / sqrt(v) = (1 - b1) / sqrt(1 - b2) for the
 * first step. */
static void without_bias_correction_the_first_step_is_larger(void **state)
{
    struct bench b;
    (void)state;
    set_up(&b, false);
    optimizer_update(&b.opt, 0.01, NULL);
    double step = 0.01 * 0.1 / sqrt(0.001);
    for (size_t i = 0; i < 3; i++)
        assert_true(fabs((double)tensor_f32(&b.p.value)[i] - (1 - 0.001 - step)) < 1e-5);
    arena_free(b.arena);
}

static void a_gradient_that_is_not_finite_changes_nothing(void **state)
{
    struct bench b;
    (void)state;
    set_up(&b, true);
    b.p.grad[1] = (float)INFINITY;
    assert_true(!isfinite(optimizer_update(&b.opt, 0.01, NULL)));
    for (size_t i = 0; i < 3; i++)
        assert_true(tensor_f32(&b.p.value)[i] == 1.0f);
    assert_int_equal(b.opt.step, 0);
    arena_free(b.arena);
}

static void masked_elements_stay_zero(void **state)
{
    struct bench b;
    uint8_t mask[3] = {1, 0, 1};
    (void)state;
    set_up(&b, true);
    b.p.mask = mask;
    param_apply_mask(&b.p);
    double norm = optimizer_update(&b.opt, 0.01, NULL);
    assert_true(fabs(norm - sqrt(0.01 + 0.09)) < 1e-7);
    assert_true(tensor_f32(&b.p.value)[1] == 0.0f);
    arena_free(b.arena);
}

/* A table of 5000 rows, watched or not; a step's gradient comes from an embedding. */
static struct param table_new(struct arena *arena, bool watched, struct optimizer *opt)
{
    struct err err = ERR_INIT;
    struct param p;
    assert_ok(param_init(&p, arena, "table", SHAPE(5000, 32), &err), &err);
    assert_ok(param_need_grad(&p, arena, &err), &err);
    assert_non_null(p.rows);
    for (int64_t i = 0; i < 5000 * 32; i++)
        tensor_f32(&p.value)[i] = (float)(i % 1013) / 100 - 5;
    p.decay = true;
    if (!watched)
        p.rows = NULL;
    *opt = (struct optimizer){.cfg = {0.9, 0.999, 1e-8, 0.1, true},
                              .clip = CLIP_GLOBAL,
                              .clip_norm = 1,
                              .n = 1};
    return p;
}

static void table_steps(struct param *p, struct optimizer *opt, int from, int to)
{
    struct err err = ERR_INIT;
    struct tape *t = tape_new(NULL, DT_F32, &err);
    for (int s = from; s < to; s++) {
        int32_t id[] = {7, 7 + s, 4999, 100 * s, 7};
        optimizer_zero_grad(opt, NULL);
        tape_begin(t, TAPE_TRAIN);
        struct tensor *x = embedding(t, tape_param(t, p), tape_indices(t, SHAPE(5), id));
        tape_backward(t, sum_all(t, mul(t, x, x)), 1);
        assert_ok(tape_failed(t, &err), &err);
        assert_true(optimizer_update(opt, 0.01, NULL) > 0);
    }
    tape_free(t);
}

static void rows_never_met_are_skipped_to_the_same_bits(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);
    struct optimizer opt[2];
    struct param p[2], *list[2];
    float *m[2], *v[2];
    for (int k = 0; k < 2; k++) {
        p[k] = table_new(arena, k == 1, &opt[k]);
        list[k] = &p[k];
        m[k] = arena_zalloc(arena, 5000 * 32 * 4);
        v[k] = arena_zalloc(arena, 5000 * 32 * 4);
        opt[k].param = &list[k];
        opt[k].m = &m[k];
        opt[k].v = &v[k];
        table_steps(&p[k], &opt[k], 0, 3);
    }
    memset(p[1].rows, 0, 5000); /* as after a kill: found again from the moments */
    memset(p[1].grad, 0, 5000 * 32 * 4);
    optimizer_resume(&opt[1], 3);
    for (int k = 0; k < 2; k++)
        table_steps(&p[k], &opt[k], 3, 6);
    assert_memory_equal(p[0].value.data, p[1].value.data, 5000 * 32 * 4);
    assert_memory_equal(m[0], m[1], 5000 * 32 * 4);
    assert_memory_equal(v[0], v[1], 5000 * 32 * 4);
    int64_t met = 0;
    for (int64_t r = 0; r < 5000; r++)
        met += p[1].rows[r] != 0;
    assert_true(met > 5 && met < 20);
    arena_free(arena);
}

/* Used in one step and not in the next: its gradient is 0 there, not the old one. */
static void a_gradient_that_nobody_adds_to_is_zero(void **state)
{
    struct bench b;
    (void)state;
    set_up(&b, true);
    optimizer_zero_grad(&b.opt, NULL);
    assert_true(b.p.fresh);
    optimizer_settle(&b.opt);
    for (size_t i = 0; i < 3; i++)
        assert_true(b.p.grad[i] == 0.0f);
    assert_true(optimizer_update(&b.opt, 0.01, NULL) == 0);
    arena_free(b.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rate_rises_over_the_warmup_and_falls_to_zero),
        cmocka_unit_test(a_constant_rate_stays),
        cmocka_unit_test(the_first_step_of_adamw_is_the_sign_of_the_gradient),
        cmocka_unit_test(without_bias_correction_the_first_step_is_larger),
        cmocka_unit_test(a_gradient_that_is_not_finite_changes_nothing),
        cmocka_unit_test(masked_elements_stay_zero),
        cmocka_unit_test(rows_never_met_are_skipped_to_the_same_bits),
        cmocka_unit_test(a_gradient_that_nobody_adds_to_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
