/* select: the best of several runs, which it was, and what it hands on. */
#include "small_model.h"

enum { MOST = 6 };
#define SERIES "eval/test/words/dev/accuracy"

/* Runs that recorded these scores, as candidates. */
struct contest {
    struct fake_run *run[MOST];
    struct fake_stage *f;
    int64_t n;
};

static void contest_begin(struct contest *c, const char *series, const double *score,
                          int64_t n)
{
    struct err err = ERR_INIT;

    c->n = n;
    c->f = calloc(1, sizeof *c->f);
    c->f->task = &small_task; /* "task" is given where it is an input */
    for (int64_t i = 0; i < n; i++) {
        c->run[i] = fake_run_new();
        assert_ok(fake_metric(c->run[i], RECORD_RESULT, series, 0, score[i], &err), &err);
        fake_give(c->f, "scores", c->run[i]);
    }
}

static void contest_end(struct contest *c)
{
    fake_release(c->f);
    free(c->f);
    for (int64_t i = 0; i < c->n; i++)
        fake_run_free(c->run[i]);
}

static int64_t chosen(struct contest *c)
{
    struct err err = ERR_INIT;
    struct array a;

    assert_ok(fake_read(c->f->out, "/select/chosen", &a, &err), &err);
    assert_int_equal(a.dtype, DT_I32);
    return *(const int32_t *)a.data;
}

static int64_t take(const char *series, const char *options, const double *score,
                    int64_t n)
{
    struct contest c;
    int64_t at;

    contest_begin(&c, series, score, n);
    assert_ok(fake_try(c.f, "select", options), &c.f->st.err);
    at = chosen(&c);
    contest_end(&c);
    return at;
}

static void the_best_score_is_taken_and_of_equal_ones_the_first(void **state)
{
    (void)state;
    assert_int_equal(
        take(SERIES, "best=largest metric=" SERIES, (double[]){0.5, 0.8, 0.8, 0.1}, 4),
        1);
    assert_int_equal(take("train/loss", "best=smallest metric=train/loss",
                          (double[]){0.5, 0.1, 0.8, 0.1}, 4),
                     1);
    assert_int_equal(
        take("train/loss", "best=largest metric=train/loss", (double[]){-3}, 1), 0);
}

static void what_is_no_number_is_never_the_best(void **state)
{
    static const double score[] = {(double)NAN, 0.1, (double)NAN, 0.2};

    (void)state;
    assert_int_equal(take(SERIES, "best=largest metric=" SERIES, score, 4), 3);
    assert_int_equal(take(SERIES, "best=smallest metric=" SERIES, score, 4), 1);
}

static void the_direction_is_the_metrics_own(void **state)
{
    struct contest c;

    (void)state;
    contest_begin(&c, SERIES, (double[]){0.5, 0.7, 0.6}, 3);
    fake_give(c.f, "task", c.run[0]);
    assert_ok(fake_try(c.f, "select", "metric=accuracy"), &c.f->st.err);
    assert_int_equal(chosen(&c), 1);
    contest_end(&c);
}

static void the_record_says_which_of_what_and_by_what_margin(void **state)
{
    struct contest c;
    struct err err = ERR_INIT;
    const char *const *text;
    int64_t n;

    (void)state;
    contest_begin(&c, SERIES, (double[]){0.25, 0.875, 0.5}, 3);
    c.run[1]->artifact.variables = "kd.lr=0.1";
    assert_ok(fake_try(c.f, "select", "best=largest metric=" SERIES), &c.f->st.err);
    assert_int_equal(chosen(&c), 1);
    assert_memory_equal(fake_doubles(c.f->out, "/select/score", 3),
                        ((double[]){0.25, 0.875, 0.5}), 3 * sizeof(double));
    assert_ok(fake_read_text(c.f->out, "/select/run", &text, &n, &err), &err);
    assert_int_equal(n, 3);
    assert_string_equal(text[1], c.run[1]->artifact.run_id);
    assert_ok(fake_read_text(c.f->out, "/select/variables", &text, &n, &err), &err);
    assert_string_equal(text[1], "kd.lr=0.1");
    assert_string_equal(text[0], "");
    assert_ok(fake_read_text(c.f->out, "/select/metric", &text, &n, &err), &err);
    assert_string_equal(text[0], SERIES);
    assert_true(fake_value(c.f->out, "select/score") == 0.875);
    assert_true(fake_value(c.f->out, "select/margin") == 0.375);
    assert_true(fake_value(c.f->out, "select/candidates") == 3);
    contest_end(&c);
}

/* Names are not in the id, so they may not be in the result's digest either. */
static void names_of_the_candidates_are_no_part_of_the_result(void **state)
{
    struct contest c;

    (void)state;
    contest_begin(&c, SERIES, (double[]){0.25, 0.875}, 2);
    assert_ok(fake_try(c.f, "select", "best=largest metric=" SERIES), &c.f->st.err);
    for (int64_t i = 0; i < c.f->out->n_items; i++)
        assert_int_equal(c.f->out->item[i].cls,
                         strcmp(c.f->out->item[i].path, "/select/variables")
                             ? RECORD_RESULT
                             : RECORD_ENV);
    contest_end(&c);
}

static void the_model_of_the_best_is_handed_on(void **state)
{
    struct err err = ERR_INIT;
    struct model *m[2] = {small_model(HEAD_CLASSES, 2), small_model(HEAD_CLASSES, 2)};
    struct fake_run *run[2];
    struct array mine, theirs;
    struct contest c;

    (void)state;
    tensor_f32(&m[1]->word->value)[0] += 1;
    contest_begin(&c, SERIES, (double[]){0.25, 0.875}, 2);
    for (int i = 0; i < 2; i++) {
        run[i] = small_run(m[i]);
        fake_give(c.f, "model", run[i]);
    }
    fake_give(c.f, "task", run[0]); /* that there is one; its first metric is compared */
    assert_ok(fake_try(c.f, "select", ""), &c.f->st.err);
    const char *path = "/tensors/bert.embeddings.word_embeddings.weight";
    assert_ok(fake_read(c.f->out, path, &mine, &err), &err);
    assert_ok(fake_read(run[1], path, &theirs, &err), &err);
    assert_memory_equal(mine.data, theirs.data,
                        (size_t)shape_count(mine.shape) * sizeof(float));
    contest_end(&c);
    for (int i = 0; i < 2; i++) {
        fake_run_free(run[i]);
        model_free(m[i]);
    }
}

static void refuse(const char *series, const char *options, const double *score,
                   int64_t n, enum err_code code, const char *message)
{
    struct contest c;

    contest_begin(&c, series, score, n);
    assert_fails(fake_try(c.f, "select", options), &c.f->st.err, code, message);
    contest_end(&c);
}

static void what_cannot_be_compared_is_told(void **state)
{
    (void)state;
    refuse("a/b", "metric=a/b", (double[]){1, 2}, 2, ERR_INPUT,
           "whether a large or a small \"a/b\" is good is not known");
    refuse("a/b", "metric=a/c best=largest", (double[]){1, 2}, 2, ERR_MISSING,
           "no metric a/c");
    refuse(SERIES, "best=largest metric=" SERIES, (double[]){(double)NAN}, 1, ERR_INPUT,
           "is no number in any of the 1 candidates");
    refuse(SERIES, "metric=accuracy", (double[]){1}, 1, ERR_INPUT, "Give \"task\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_score_is_taken_and_of_equal_ones_the_first),
        cmocka_unit_test(what_is_no_number_is_never_the_best),
        cmocka_unit_test(the_direction_is_the_metrics_own),
        cmocka_unit_test(the_record_says_which_of_what_and_by_what_margin),
        cmocka_unit_test(names_of_the_candidates_are_no_part_of_the_result),
        cmocka_unit_test(the_model_of_the_best_is_handed_on),
        cmocka_unit_test(what_cannot_be_compared_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
