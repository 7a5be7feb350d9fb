/* The heads of a model: each one's loss by hand from its logits, its gradient by finite
 * differences in double, and a small training that learns. */
#include "small_model.h"

extern const struct metric metric_pearson, metric_exact_match, metric_loss;

static const struct metric *const by_pearson[] = {&metric_pearson, NULL};
static const struct metric *const by_match[] = {&metric_f1, &metric_exact_match, NULL};
static const struct metric *const by_loss[] = {&metric_loss, NULL};
static const struct metric *const by_accuracy[] = {&metric_accuracy, NULL};

static const struct task regression = {.name = "test/number",
                                       .kind = TASK_REGRESSION,
                                       .labels = 1,
                                       .metrics = by_pearson,
                                       .splits = small_splits,
                                       .max_len = 32};
static const struct task choice = {.name = "test/choice",
                                   .kind = TASK_CHOICE,
                                   .labels = 1,
                                   .metrics = by_accuracy,
                                   .splits = small_splits,
                                   .max_len = 32};
static const struct task span = {.name = "test/span",
                                 .kind = TASK_SPAN,
                                 .labels = 2,
                                 .metrics = by_match,
                                 .splits = small_splits,
                                 .max_len = 32};
static const struct task mlm = {.name = "test/mlm",
                                .kind = TASK_MLM,
                                .labels = 0,
                                .metrics = by_loss,
                                .splits = small_splits,
                                .max_len = 32};
static const struct task *const tasks[] = {&regression, &choice, &span, &mlm};

static const char *const word[] = {"a", "b", "c", "d", "e"};

/* n words of the first `kinds` with `special` at place `at` (-1: nowhere). */
static const char *words(struct arena *arena, struct rng *rng, int n, int at,
                         const char *special, uint64_t kinds)
{
    char text[64] = "";
    for (int i = 0; i < n; i++)
        strcat(strcat(text, i ? " " : ""),
               i == at ? special : word[rng_below(rng, kinds)]);
    return arena_strdup(arena, text);
}

/* number: how many "e" there are, less 2. choice: the one that holds "e". span: "e" in
 * the context. mlm: "a b c d e a b ..." from "a" or "b" on. */
static int make(const struct task *task, const char *split, struct examples *out,
                struct err *err)
{
    for (int i = 0; i < 60; i++) {
        struct rng rng = rng_streamf(0, "%s/%s/%d", task->name, split, i);
        struct example *e = examples_add(out, err);
        e->id = "";
        if (task->kind == TASK_REGRESSION) {
            e->a = words(out->arena, &rng, 6, -1, "", 5);
            for (const char *c = (e->value = -2, e->a); *c; c++)
                e->value += *c == 'e';
        } else if (task->kind == TASK_CHOICE) {
            const char **v = arena_alloc(out->arena, 3 * (int64_t)sizeof *v);
            e->label = (int32_t)rng_below(&rng, 3);
            for (int c = 0; c < 3; c++)
                v[c] = words(out->arena, &rng, 4,
                             c == e->label ? (int)rng_below(&rng, 4) : -1, "e", 4);
            e->a = "a b";
            e->choices = v;
            e->n_choices = 3;
        } else if (task->kind == TASK_SPAN) {
            int at = (int)rng_below(&rng, 8);
            struct answer *answer = arena_alloc(out->arena, (int64_t)sizeof *answer);
            *answer = (struct answer){"e", 2 * at};
            e->a = "a b";
            e->b = words(out->arena, &rng, 8, at, "e", 4);
            e->answers = answer;
            e->n_answers = 1;
            e->answerable = true;
        } else {
            char text[64] = "";
            for (int k = 0, from = i % 2; k < 10; k++)
                strcat(strcat(text, k ? " " : ""), word[(from + k) % 5]);
            e->a = arena_strdup(out->arena, text);
        }
    }
    return 0;
}

static const struct task *loaded; /* what load() makes */
static int load(const char *split, struct examples *out, struct err *err)
{
    return make(loaded, split, out, err);
}

struct world {
    const struct task *task;
    struct model *m;
    struct dataset *data;
    struct arena *arena;
    struct pool *pool;
    struct tape *tape;
    struct batch batch;
    struct err err;
};

static void world_open(struct world *w, const struct task *task)
{
    const int64_t pick[] = {0, 1, 2, 3};
    struct examples *raw = examples_new(&w->err);
    memset(&w->err, 0, sizeof w->err);
    w->task = task;
    w->m = small_model(head_for_task(task), task->labels);
    assert_ok(make(task, "dev", raw, &w->err), &w->err);
    assert_ok(dataset_encode(&w->data, task, raw, "dev", w->m->tok, 32, 8, &w->err),
              &w->err);
    w->arena = arena_new(&w->err);
    w->pool = pool_new(2, &w->err);
    w->tape = tape_new(w->pool, DT_F64, &w->err);
    assert_ok(batch_fill(&w->batch, w->data, pick, 4, w->arena, &w->err), &w->err);
}

static void world_close(struct world *w)
{
    tape_free(w->tape);
    pool_free(w->pool);
    arena_free(w->arena);
    dataset_free(w->data);
    model_free(w->m);
}

static double loss_of(struct world *w, struct output *out, int flags)
{
    struct pass p;
    pass_begin(&p, w->tape, w->m, &w->batch, flags, 0);
    struct output o = model_forward(&p);
    struct tensor *loss = model_loss(&p, &o, NULL);
    if (flags & TAPE_GRAD)
        tape_backward(w->tape, loss, 1.0f);
    assert_ok(tape_failed(w->tape, &w->err), &w->err);
    if (out)
        *out = o;
    return tensor_get(loss, 0);
}

/* -log softmax(x)[at] over n logits, `stride` apart from element `from`. */
static double entropy(const struct tensor *x, int64_t from, int64_t stride, int64_t n,
                      int64_t at)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += exp(tensor_get(x, from + i * stride));
    return log(sum) - tensor_get(x, from + at * stride);
}

static double loss_by_hand(const struct world *w, const struct tensor *x)
{
    const struct batch *b = &w->batch;
    double sum = 0;
    switch (w->task->kind) {
    case TASK_REGRESSION:
        for (int64_t i = 0; i < 4; i++)
            sum += pow(tensor_get(x, i) - (double)b->value[i], 2);
        return sum / 4;
    case TASK_CHOICE:
        for (int64_t i = 0; i < 4; i++)
            sum += entropy(x, 3 * i, 1, 3, b->label[i]);
        return sum / 4;
    case TASK_SPAN:
        for (int64_t i = 0; i < 4; i++) {
            int64_t n = b->offset[i + 1] - b->offset[i];
            assert_true(b->start[i] > 0 && b->end[i] == b->start[i]);
            sum += entropy(x, 2 * b->offset[i], 2, n, b->start[i]) +
                   entropy(x, 2 * b->offset[i] + 1, 2, n, b->end[i]);
        }
        return sum / 8;
    default:
        assert_true(b->n_mlm >= 4);
        for (int64_t i = 0; i < b->n_mlm; i++)
            sum += entropy(x, 10 * i, 1, 10, b->mlm_label[i]);
        return sum / (double)b->n_mlm;
    }
}

static void losses_are_what_the_logits_say(void **state)
{
    (void)state;
    for (size_t t = 0; t < sizeof tasks / sizeof *tasks; t++) {
        struct world w;
        struct output out;
        world_open(&w, tasks[t]);
        double loss = loss_of(&w, &out, TAPE_EVAL), want = loss_by_hand(&w, out.logits);
        if (!(fabs(loss - want) <= 1e-10 * fabs(want)))
            fail_msg("%s: the loss is %.12g, by hand %.12g", tasks[t]->name, loss, want);
        world_close(&w);
    }
}

/* A few elements of every parameter: central differences against the gradient. */
static void gradients_are_finite_differences(void **state)
{
    (void)state;
    for (size_t t = 0; t < sizeof tasks / sizeof *tasks; t++) {
        struct world w;
        double apart = 0, size = 0;
        world_open(&w, tasks[t]);
        for (int64_t k = 0; k < w.m->n_params; k++)
            assert_ok(param_need_grad(w.m->param[k], w.m->arena, &w.err), &w.err);
        loss_of(&w, NULL, TAPE_GRAD);
        for (int64_t k = 0; k < w.m->n_params; k++) {
            struct param *p = w.m->param[k];
            int64_t n = shape_count(p->value.shape);
            for (int64_t i = n / 3; i < n; i += n / 2 + 1) {
                float *v = tensor_f32(&p->value) + i, old = *v, up, down;
                double loss[2];
                up = *v = old + 1.0f / 512;
                param_touch(p);
                loss[1] = loss_of(&w, NULL, TAPE_EVAL);
                down = *v = old - 1.0f / 512;
                param_touch(p);
                loss[0] = loss_of(&w, NULL, TAPE_EVAL);
                *v = old;
                param_touch(p);
                double want = (loss[1] - loss[0]) / ((double)up - (double)down);
                apart += ((double)p->grad[i] - want) * ((double)p->grad[i] - want);
                size += want * want;
            }
        }
        if (!(size > 0 && sqrt(apart / size) < 1e-3))
            fail_msg("%s: gradients are %.3g apart", tasks[t]->name, sqrt(apart / size));
        world_close(&w);
    }
}

static void a_small_training_learns(void **state)
{
    (void)state;
    for (size_t t = 0; t < sizeof tasks / sizeof *tasks; t++) {
        struct model *m = small_model(HEAD_NONE, 0);
        struct fake_run *start = small_run(m);
        struct fake_stage *f = small_stage(start);
        char name[64];
        f->task = loaded = tasks[t];
        f->load = load;
        assert_ok(
            fake_try(
                f, "finetune",
                "lr=0.003 epochs=60 batch=15 max_len=32 eval_split=dev eval_every=240"),
            &f->st.err);
        snprintf(name, sizeof name, "eval/%s/dev/%s", tasks[t]->name,
                 tasks[t]->metrics[0]->name);
        double score = fake_value(f->out, name);
        if (tasks[t]->kind == TASK_MLM ? score > 0.7 : score < 0.9)
            fail_msg("%s: %s is %g after 240 updates", tasks[t]->name,
                     tasks[t]->metrics[0]->name, score);
        fake_release(f);
        free(f);
        fake_run_free(start);
        model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_what_the_logits_say),
        cmocka_unit_test(gradients_are_finite_differences),
        cmocka_unit_test(a_small_training_learns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
