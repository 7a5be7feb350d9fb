/* Fine-tuning and pruning while training, on a small drawn model: what is kept, when it
 * stops, what accumulation and the schedule do. */
#include "retort/train.h"
#include "small_model.h"

static struct fake_run *train_with(const char *method, const char *options,
                                   struct fake_run *model)
{
    struct fake_stage *f = small_stage(model);
    struct fake_run *out;
    assert_ok(fake_try(f, method, options), &f->st.err);
    out = f->out;
    f->out = NULL;
    fake_release(f);
    free(f);
    return out;
}

static struct fake_run *drawn(void)
{
    struct model *m = small_model(HEAD_CLASSES, 2);
    struct fake_run *run = small_run(m);
    model_free(m);
    return run;
}

static const float *weights(struct fake_run *run, int64_t *n)
{
    struct err err = ERR_INIT;
    struct array a;
    assert_ok(fake_read(run, "/tensors/bert.encoder.layer.0.attention.self.query.weight",
                        &a, &err),
              &err);
    *n = shape_count(a.shape);
    return a.data;
}

static bool same_weights(struct fake_run *a, struct fake_run *b)
{
    int64_t n;
    const float *x = weights(a, &n);
    return memcmp(x, weights(b, &n), (size_t)n * sizeof *x) == 0;
}

#define FIXED "schedule=constant warmup=0 max_len=32 "

/* The value of a series at a step. */
static double at_step(struct fake_run *run, const char *name, int64_t step)
{
    for (int64_t i = 0; i < run->n_metrics; i++)
        if (!strcmp(run->metric[i].name, name) && run->metric[i].step == step)
            return run->metric[i].value;
    fail_msg("%s has no step %lld", name, (long long)step);
    return 0;
}

static void the_best_weights_are_those_of_the_best_evaluation(void **state)
{
    (void)state;
    char options[160];
    struct fake_run *model = drawn();
    struct fake_run *best = train_with(
        "finetune",
        FIXED "lr=0.003 epochs=6 batch=15 eval_split=dev eval_every=3 keep=best", model);
    double step = fake_value(best, "train/best_step"),
           top = fake_value(best, "train/best_score");
    for (int64_t s = 3; s <= 24; s += 3) {
        double score = at_step(best, "eval/test/words/dev/accuracy", s);
        assert_true((double)s < step ? score < top : score <= top);
    }
    assert_true(step < 24); /* or the last is the best, and nothing is tested */
    snprintf(options, sizeof options, FIXED "lr=0.003 epochs=6 batch=15 max_steps=%d",
             (int)step);
    struct fake_run *same = train_with("finetune", options, model);
    assert_true(same_weights(best, same));
    assert_true(fake_value(same, "train/steps") == step);
    fake_run_free(same);
    fake_run_free(best);
    fake_run_free(model);
}

/* At rate 0 the first evaluation stays the best, and equal ones are no gain. */
static void training_stops_after_as_many_evaluations_without_gain(void **state)
{
    (void)state;
    struct fake_run *model = drawn();
    struct fake_run *run = train_with(
        "finetune", FIXED "lr=0 epochs=6 batch=15 eval_split=dev eval_every=2 patience=3",
        model);
    assert_true(fake_value(run, "train/best_step") == 2);
    assert_true(fake_value(run, "train/steps") == 2 + 3 * 2);
    assert_true(fake_value(run, "train/stopped_early") == 1);
    fake_run_free(run);
    run = train_with("finetune", FIXED "lr=0 epochs=2 batch=15 eval_split=dev patience=3",
                     model);
    assert_true(fake_value(run, "train/steps") == 8);
    assert_true(fake_value(run, "train/stopped_early") == 0);
    fake_run_free(run);
    fake_run_free(model);
}

static void rules_that_need_an_evaluation_say_so(void **state)
{
    (void)state;
    static const struct {
        struct train_options o;
        const char *said;
    } cases[] = {
        {{.keep = 1, .keep_metric = "", .eval_split = ""},
         "keep \"best\" needs eval_split"},
        {{.patience = 2, .keep_metric = "", .eval_split = ""},
         "patience needs eval_split"},
        {{.keep_metric = "f1", .eval_split = ""}, "keep_metric needs eval_split"},
        {{.eval_every = 5, .keep_metric = "", .eval_split = ""},
         "eval_every needs eval_split"},
    };
    struct err err = ERR_INIT;
    struct train_options fine = {
        .keep = 1, .patience = 2, .keep_metric = "f1", .eval_split = "dev"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(train_check(&cases[i].o, &err), &err, ERR_INPUT, cases[i].said);
    assert_ok(train_check(&fine, &err), &err);
}

/* 4 micro-batches of 5 make the update of one batch of 20; the last of an epoch is
 * partial. */
static void accumulated_gradients_are_those_of_the_whole_batch(void **state)
{
    (void)state;
    struct fake_run *model = drawn();
    struct fake_run *whole = train_with(
        "finetune", FIXED "dropout=0 attention_dropout=0 lr=0.001 epochs=2 batch=25",
        model);
    struct fake_run *parts = train_with(
        "finetune",
        FIXED "dropout=0 attention_dropout=0 lr=0.001 epochs=2 batch=5 accumulate=5",
        model);
    int64_t n;
    const float *a = weights(whole, &n), *b = weights(parts, &n),
                *start = weights(model, &n);
    double moved = 0, apart = 0;
    assert_true(fake_value(whole, "train/steps") == 6 &&
                fake_value(parts, "train/steps") == 6);
    for (int64_t i = 0; i < n; i++) {
        moved += ((double)a[i] - (double)start[i]) * ((double)a[i] - (double)start[i]);
        apart += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    }
    assert_true(moved > 0 && apart <= 1e-4 * moved);
    for (int64_t s = 0; s < 6; s++)
        assert_true(fabs(at_step(whole, "train/loss", s) -
                         at_step(parts, "train/loss", s)) < 1e-4);
    fake_run_free(parts);
    fake_run_free(whole);
    fake_run_free(model);
}

/* s_t = s (1 - (1 - t / T)^3) up to T = ramp * total, then s; whole at the end, per
 * tensor too. */
static void sparsity_rises_by_the_cubic_schedule(void **state)
{
    (void)state;
    struct fake_run *model = drawn();
    struct fake_run *run = train_with(
        "prune/magnitude",
        FIXED "ratio=0.6 scope=layer every=4 ramp=0.5 lr=0.001 epochs=8 batch=15", model);
    for (int64_t s = 4; s <= 32; s += 4) {
        double t = s < 16 ? (double)s / 16 : 1;
        assert_true(fabs(at_step(run, "prune/ratio_scheduled", s) -
                         0.6 * (1 - pow(1 - t, 3))) < 1e-12);
    }
    int64_t n, zeros = 0;
    const float *w = weights(run, &n);
    for (int64_t i = 0; i < n; i++)
        zeros += w[i] == 0.0f;
    assert_int_equal(zeros, (int64_t)floor(0.6 * (double)n + 1e-9));
    assert_true(
        fake_value(run,
                   "prune/sparsity/bert.encoder.layer.0.attention.self.query.weight") ==
        (double)zeros / (double)n);
    assert_true(fake_value(run,
                           "prune/sparsity_requested/"
                           "bert.encoder.layer.0.attention.self.query.weight") == 0.6);
    assert_true(fake_value(run, "prune/ratio_requested") == 0.6);
    assert_true(fabs(fake_value(run, "prune/ratio") - 0.6) < 1e-3);
    fake_run_free(run);
    fake_run_free(model);
}

static void the_smallest_weights_go_at_once(void **state)
{
    (void)state;
    struct fake_run *model = drawn(),
                    *run = train_with("prune/magnitude", "ratio=0.5 scope=layer", model);
    int64_t n;
    const float *before = weights(model, &n), *after = weights(run, &n);
    float largest = 0, smallest = 1e9f;
    for (int64_t i = 0; i < n; i++) {
        if (after[i] == 0.0f)
            largest = fmaxf(largest, fabsf(before[i]));
        else
            smallest = fminf(smallest, fabsf(before[i]));
    }
    assert_true(largest <= smallest);
    fake_run_free(run);
    fake_run_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_weights_are_those_of_the_best_evaluation),
        cmocka_unit_test(training_stops_after_as_many_evaluations_without_gain),
        cmocka_unit_test(rules_that_need_an_evaluation_say_so),
        cmocka_unit_test(accumulated_gradients_are_those_of_the_whole_batch),
        cmocka_unit_test(sparsity_rises_by_the_cubic_schedule),
        cmocka_unit_test(the_smallest_weights_go_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
