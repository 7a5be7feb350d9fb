/* analyze/redundancy; names carry the items of GUM's card. */
#include "small_decoder.h"
#include "small_model.h"

#include "../../methods/prune/neurons.h"
#include "retort/pool.h"

static struct fake_run *analyze(const char *options, struct fake_run *model)
{
    return small_make("analyze/redundancy", options, model, NULL, 2, 0);
}

/* ---- uniqueness ---- */

/* 1 - similar / n of n neurons with products c. */
static double unique(const double *c, int n)
{
    bool dead[8] = {false};
    int similar = 0;

    for (int i = 0; i < n; i++)
        similar += likeness_similar(c, n, dead, i, 0.8);
    return 1 - (double)similar / n;
}

static void
gum_9_8_identical_neurons_share_one_and_opposites_are_not_similar(void **state)
{
    double equal[64], apart[64] = {0}, opposite[4] = {2, -2, -2, 2};

    (void)state;
    for (int n = 1; n <= 8; n++) {
        for (int i = 0; i < n * n; i++) {
            equal[i] = 3;
            apart[i] = i % (n + 1) == 0 ? 5 : 0;
        }
        assert_true(fabs(unique(equal, n) - 1.0 / n) < 1e-12);
        assert_true(unique(apart, n) == 1);
    }
    assert_true(unique(opposite, 2) == 1);
}

static void gum_9_8_a_model_of_equal_neurons_has_one_of_each_layer(void **state)
{
    struct model *m = small_model(HEAD_CLASSES, 2);

    (void)state;
    for (int l = 0; l < LAYERS; l++) {
        float *w = tensor_f32(&m->block[l].ffn_in.weight->value);
        for (int j = 1; j < FFN; j++)
            memcpy(w + j * WIDTH, w, WIDTH * sizeof *w);
        param_touch(m->block[l].ffn_in.weight);
    }
    struct fake_run *model = small_run(m), *run = analyze("matrices=true", model);
    struct array sim;
    struct err err = ERR_INIT;
    assert_true(fabs(fake_value(run, "redundancy/uniqueness") - 1.0 / FFN) < 1e-12);
    assert_true(fake_value(run, "redundancy/neurons") == LAYERS * FFN);
    assert_ok(fake_read(run, "/stats/similarity/1", &sim, &err), &err);
    assert_int_equal(shape_count(sim.shape), FFN * FFN);
    for (int i = 0; i < FFN * FFN; i++)
        assert_true(fabs((double)((const float *)sim.data)[i] - 1) < 1e-4);
    fake_run_free(run);
    fake_run_free(model);
    model_free(m);
}

/* ---- sensitivity ---- */

static void gum_9_9_a_neuron_of_zeros_has_no_sensitivity(void **state)
{
    struct model *m = small_model(HEAD_CLASSES, 2);
    struct block *b = &m->block[0];

    (void)state;
    b->neuron_keep[5] = 0; /* its weights to zero, and then without masks */
    struct err err = ERR_INIT;
    assert_ok(model_mask_neurons(m, &err), &err);
    b->ffn_in.weight->mask = b->ffn_in.bias->mask = b->ffn_out.weight->mask = NULL;
    struct fake_run *model = small_run(m), *run = analyze("", model);
    const double *s = fake_doubles(run, "/stats/sensitivity/0", FFN);
    double sum = 0;
    for (int j = 0; j < FFN; j++) {
        assert_true(j == 5 ? s[j] == 0 : s[j] > 0);
        sum += s[j] + fake_doubles(run, "/stats/sensitivity/1", FFN)[j];
    }
    assert_true(fabs(fake_value(run, "redundancy/sensitivity") - sum) < 1e-9 * sum);
    fake_run_free(run);
    fake_run_free(model);
    model_free(m);
}

/* Where act(c x) = c act(x), c > 0, both terms are sum_t h dL/dh: so for ReLU too. */
static void gum_9_9_both_terms_of_a_linear_activation_are_the_same(void **state)
{
    struct err err = ERR_INIT;
    struct model *m = tiny_model(HF_GPT2);
    struct arena *arena = arena_new(&err);
    struct tape *tape = tape_new(NULL, DT_F64, &err);
    struct tensor *tap[TINY_LAYERS];
    struct batch batch;
    struct pass p;
    double got[TINY_FFN];

    (void)state;
    m->cfg.activation = HF_RELU;
    for (int64_t k = 0; k < m->n_params; k++)
        assert_ok(param_need_grad(m->param[k], arena, &err), &err);
    tiny_batch(&batch, 4, 1, arena);
    pass_begin(&p, tape, m, &batch, TAPE_GRAD, 0);
    p.tap_neurons = tap;
    struct output out = model_forward(&p);
    for (int l = 0; l < TINY_LAYERS; l++)
        tape_retain(tape, tap[l]);
    tape_backward(tape, model_loss(&p, &out, NULL), 1);
    assert_ok(tape_failed(tape, &err), &err);
    for (int l = 0; l < TINY_LAYERS; l++) {
        const double *h = tap[l]->data, *g = tape_grad(tape, tap[l]);
        neurons_sensitivity(got, &m->block[l]);
        for (int j = 0; j < TINY_FFN; j++) {
            double want = 0;
            for (int64_t t = 0; t < batch.n_tok; t++)
                want += 2 * h[t * TINY_FFN + j] * g[t * TINY_FFN + j];
            assert_true(fabs(got[j] - want) < 1e-6 * (1e-3 + fabs(want)));
        }
    }
    tape_free(tape);
    arena_free(arena);
    model_free(m);
}

/* ---- runs ---- */

static const char *const figures[] = {"redundancy/sensitivity", "redundancy/uniqueness",
                                      "redundancy/neurons"};

static void a_masked_model_has_the_figures_of_the_sliced_one(void **state)
{
    struct model *m = small_model(HEAD_CLASSES, 2);
    struct fake_run *model = small_run(m);
    struct fake_run *masked =
        small_make("prune/neurons", "left=0.5 score=random epochs=0", model, NULL, 2, 0);
    struct fake_run *sliced = small_make("prune/slice", "", masked, NULL, 2, 0);
    struct fake_run *a = analyze("threshold=0.3", masked),
                    *b = analyze("threshold=0.3", sliced);

    (void)state;
    for (int i = 0; i < 3; i++) {
        double x = fake_value(a, figures[i]), y = fake_value(b, figures[i]);
        assert_true(fabs(x - y) <= 1e-5 * fabs(y));
    }
    assert_true(fake_value(a, "redundancy/neurons") == LAYERS * FFN / 2);
    assert_true(fake_value(a, "redundancy/uniqueness") < 1);
    fake_run_free(b);
    fake_run_free(a);
    fake_run_free(sliced);
    fake_run_free(masked);
    fake_run_free(model);
    model_free(m);
}

static void ratios_to_the_dense_model_are_recorded(void **state)
{
    struct model *m = small_model(HEAD_CLASSES, 2);
    struct fake_run *model = small_run(m), *dense = analyze("", model);
    struct fake_run *masked =
        small_make("prune/neurons", "left=0.25 score=random epochs=0", model, NULL, 2, 0);
    struct fake_run *same = small_make("analyze/redundancy", "", model, dense, 2, 0);
    struct fake_run *less = small_make("analyze/redundancy", "", masked, dense, 2, 0);

    (void)state;
    assert_true(fake_value(same, "redundancy/sensitivity_ratio") == 1);
    assert_true(fake_value(same, "redundancy/uniqueness_ratio") == 1);
    assert_true(fabs(fake_value(less, "redundancy/sensitivity_ratio") *
                         fake_value(dense, "redundancy/sensitivity") -
                     fake_value(less, "redundancy/sensitivity")) < 1e-9);
    fake_run_free(less);
    fake_run_free(same);
    fake_run_free(masked);
    fake_run_free(dense);
    fake_run_free(model);
    model_free(m);
}

/* A model without neurons has nothing to be sensitive, and nobody alike. */
static void a_model_without_neurons_has_figures(void **state)
{
    struct model *m = small_model(HEAD_CLASSES, 2);
    struct fake_run *model = small_run(m);
    struct fake_run *masked =
        small_make("prune/neurons", "left=0 score=random epochs=0", model, NULL, 2, 0);
    struct fake_run *sliced = small_make("prune/slice", "", masked, NULL, 2, 0);
    struct fake_run *run = analyze("matrices=true", sliced);

    (void)state;
    assert_true(fake_value(run, "redundancy/sensitivity") == 0);
    assert_true(fake_value(run, "redundancy/uniqueness") == 1);
    fake_run_free(run);
    fake_run_free(sliced);
    fake_run_free(masked);
    fake_run_free(model);
    model_free(m);
}

static void bits_do_not_depend_on_threads_or_stops(void **state)
{
    struct model *m = small_model(HEAD_CLASSES, 2);
    struct fake_run *model = small_run(m), *first = analyze("batch=7", model);

    (void)state;
    for (int i = 1; i <= 6; i++) {
        struct fake_run *run = small_make("analyze/redundancy", "batch=7", model, NULL,
                                          i <= 3 ? i : 2, i <= 3 ? 0 : 2 * (i - 3));
        for (int k = 0; k < 3; k++)
            assert_true(fake_value(run, figures[k]) == fake_value(first, figures[k]));
        assert_memory_equal(fake_doubles(run, "/stats/sensitivity/0", FFN),
                            fake_doubles(first, "/stats/sensitivity/0", FFN), FFN * 8);
        fake_run_free(run);
    }
    fake_run_free(first);
    fake_run_free(model);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            gum_9_8_identical_neurons_share_one_and_opposites_are_not_similar),
        cmocka_unit_test(gum_9_8_a_model_of_equal_neurons_has_one_of_each_layer),
        cmocka_unit_test(gum_9_9_a_neuron_of_zeros_has_no_sensitivity),
        cmocka_unit_test(gum_9_9_both_terms_of_a_linear_activation_are_the_same),
        cmocka_unit_test(a_masked_model_has_the_figures_of_the_sliced_one),
        cmocka_unit_test(ratios_to_the_dense_model_are_recorded),
        cmocka_unit_test(a_model_without_neurons_has_figures),
        cmocka_unit_test(bits_do_not_depend_on_threads_or_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
