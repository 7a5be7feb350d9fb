/* Metrics beside scikit-learn and SciPy (make_metrics.py). */
#include "check.h"

#include "retort/file.h"
#include "retort/task.h"

static void set_up(struct predictions *p, struct dataset *d, struct task *t, int64_t n,
                   int classes)
{
    struct err err = ERR_INIT;
    *t = (struct task){.name = "own/test",
                       .kind = classes ? TASK_CLASSES : TASK_REGRESSION,
                       .labels = classes ? classes : 1};
    *d = (struct dataset){
        .task = t, .raw = examples_new(&err), .n = n, .name = "own/test/dev"};
    *p = (struct predictions){.data = d, .n = n, .width = t->labels};
    p->prob = calloc((size_t)(n * t->labels) + 1, sizeof *p->prob);
    p->pred = classes ? calloc((size_t)n + 1, sizeof *p->pred) : NULL;
    assert_non_null(d->raw);
    for (int64_t i = 0; i < n; i++)
        assert_non_null(examples_add(d->raw, &err));
}

static void tear_down(struct predictions *p, struct dataset *d)
{
    free(p->prob);
    free(p->pred);
    examples_free(d->raw);
}

static int64_t count_words(const char *s)
{
    int64_t n = 1;
    for (; *s; s++)
        n += *s == ' ';
    return n;
}

static void check_line(char *line)
{
    char *part[5], *rest = NULL;
    struct predictions p;
    struct dataset d;
    struct task t;
    struct err err = ERR_INIT;
    double got = 0, want;
    for (int i = 0; i < 5; i++)
        part[i] = strtok_r(i ? NULL : line, "\t", &rest);
    want = strtod(part[2], NULL);
    set_up(&p, &d, &t, count_words(part[3]), atoi(part[1]));
    for (int64_t i = 0; i < p.n; i++) {
        double y = strtod(part[3], &part[3]), x = strtod(part[4], &part[4]);
        d.raw->v[i].value = y;
        d.raw->v[i].label = (int32_t)y;
        if (p.pred)
            p.pred[i] = (int32_t)x;
        else
            p.prob[i] = x;
    }
    assert_ok(metric_find(part[0])->compute(&got, &p, &err), &err);
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= 1e-12))
        fail_msg("%s of %s classes, n = %lld: %.17g, want %.17g", part[0], part[1],
                 (long long)p.n, got, want);
    tear_down(&p, &d);
}

static void metrics_are_those_of_the_reference(void **state)
{
    struct err err = ERR_INIT;
    char *text = NULL, *rest = NULL;
    int64_t len, n = 0;
    (void)state;
    assert_ok(file_read(&text, &len, "tests/parity/fixtures/metrics.tsv", 1 << 20, &err),
              &err);
    for (char *s = strtok_r(text, "\n", &rest); s; s = strtok_r(NULL, "\n", &rest), n++)
        check_line(s);
    assert_true(n > 80);
    free(text);
}

static void unknown_labels_are_refused(void **state)
{
    struct predictions p;
    struct dataset d;
    struct task t;
    struct err err = ERR_INIT;
    double x;
    (void)state;
    set_up(&p, &d, &t, 3, 2);
    assert_fails(metric_find("accuracy")->compute(&x, &p, &err), &err, ERR_INPUT,
                 "not known");
    assert_fails(metric_find("pearson")->compute(&x, &p, &err), &err, ERR_INPUT,
                 "needs numbers");
    assert_fails(metric_find("exact_match")->compute(&x, &p, &err), &err, ERR_INPUT,
                 "texts");
    t.labels = 3;
    for (int i = 0; i < 3; i++)
        d.raw->v[i].label = i;
    assert_fails(metric_find("f1")->compute(&x, &p, &err), &err, ERR_INPUT,
                 "two classes");
    tear_down(&p, &d);
}

/* Values by hand: "The Cat!" is "cat"; two of three words are shared; none wants "". */
static void spans_are_compared_as_squad_does(void **state)
{
    const char *said[] = {"The Cat!", "big  red fox", "", "dog"};
    struct answer answers[] = {{"cat", 0}, {"a red fox", 0}};
    struct predictions p;
    struct dataset d;
    struct task t;
    struct err err = ERR_INIT;
    double exact = 0, f1 = 0;
    (void)state;
    set_up(&p, &d, &t, 4, 0);
    t.no_answer = true;
    p.text = said;
    for (int i = 0; i < 2; i++) {
        d.raw->v[i].answers = &answers[i];
        d.raw->v[i].n_answers = 1;
    }
    assert_ok(metric_find("exact_match")->compute(&exact, &p, &err), &err);
    assert_ok(metric_find("f1")->compute(&f1, &p, &err), &err);
    assert_true(fabs(exact - 0.5) < 1e-15);
    assert_true(fabs(f1 - (1 + 0.8 + 1 + 0) / 4) < 1e-15);
    tear_down(&p, &d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_are_those_of_the_reference),
        cmocka_unit_test(unknown_labels_are_refused),
        cmocka_unit_test(spans_are_compared_as_squad_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
