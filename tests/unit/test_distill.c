/* distill/student, distill/teacher and distill/pkd; names carry the items of the paper's
 * card. */
#include "small_model.h"

#include "../../methods/distill/terms.h"
#include "retort/pool.h"

/* ---- terms by themselves ---- */

enum { B = 5, C = 3, D = 16 };

struct bench {
    struct pool *pool;
    struct tape *tape;
    struct pass pass;
    struct output out;
    struct tensor *tap[3], *z;
    struct distiller d;
    float logits[B * C], teacher[B * C], mine[B * D], theirs[B * D];
    const float *states[2];
    struct teacher_says says;
    double value[TERMS];
};

static void draw(float *v, int64_t n, const char *purpose)
{
    struct rng rng = rng_stream(3, purpose);
    for (int64_t i = 0; i < n; i++)
        v[i] = (float)rng_normal(&rng);
}

static void bench_begin(struct bench *b)
{
    struct err err = ERR_INIT;
    memset(b, 0, sizeof *b);
    b->pool = pool_new(1, &err);
    b->tape = tape_new(b->pool, DT_F64, &err);
    assert_ok(err_is_set(&err) ? -1 : 0, &err);
    draw(b->logits, B * C, "logits");
    draw(b->teacher, B * C, "teacher");
    draw(b->mine, B * D, "mine");
    draw(b->theirs, B * D, "theirs");
    b->states[0] = b->theirs;
    b->says = (struct teacher_says){
        .logits = b->teacher, .classes = C, .states = b->states, .rows = B, .width = D};
    b->d = (struct distiller){
        .temperature = 4, .n_pairs = 1, .tap = b->tap, .states = STATES_CLS};
}

static void bench_end(struct bench *b)
{
    tape_free(b->tape);
    pool_free(b->pool);
}

static double bench_loss(struct bench *b)
{
    struct err err = ERR_INIT;
    tape_begin(b->tape, TAPE_TRAIN);
    b->pass.tape = b->tape;
    b->z = b->out.logits = tape_leaf(b->tape, SHAPE(B, C), b->logits);
    b->tap[1] = tape_leaf(b->tape, SHAPE(B, D), b->mine);
    struct tensor *l = terms_loss(&b->d, &b->pass, &b->out, &b->says, b->value);
    if (tape_failed(b->tape, &err))
        fail_msg("%s", err.text);
    tape_backward(b->tape, l, 1);
    return tensor_get(l, 0);
}

static void pkd_10_1_equal_states_cost_nothing_and_lengths_do_not_count(void **state)
{
    (void)state;
    struct bench b;
    double want = 0;
    bench_begin(&b);
    b.d.weight[TERM_STATES] = 1;
    b.d.normalize = true;
    for (int r = 0; r < B; r++) {
        double ab = 0, aa = 0, bb = 0;
        for (int i = r * D; i < r * D + D; i++) {
            ab += (double)b.mine[i] * (double)b.theirs[i];
            aa += (double)b.mine[i] * (double)b.mine[i];
            bb += (double)b.theirs[i] * (double)b.theirs[i];
        }
        want += 2 * (1 - ab / sqrt(aa * bb)) / (B * D);
    }
    assert_true(fabs(bench_loss(&b) - want) < 1e-12);
    for (int i = 0; i < B * D; i++)
        b.mine[i] = b.theirs[i] * (float)(1 << (i / D)); /* exact factors */
    assert_true(bench_loss(&b) < 1e-30);
    b.d.normalize = false;
    assert_true(bench_loss(&b) > 1);
    memcpy(b.mine, b.theirs, sizeof b.mine);
    assert_true(bench_loss(&b) == 0);
    bench_end(&b);
}

static void pkd_10_2_the_gradient_of_states_is_orthogonal_to_them(void **state)
{
    (void)state;
    struct bench b;
    bench_begin(&b);
    b.d.weight[TERM_STATES] = 100;
    b.d.normalize = true;
    bench_loss(&b);
    const double *g = tape_grad(b.tape, b.tap[1]);
    for (int r = 0; r < B; r++) {
        double along = 0, size = 0;
        for (int i = r * D; i < r * D + D; i++) {
            along += g[i] * (double)b.mine[i];
            size += fabs(g[i] * (double)b.mine[i]);
        }
        assert_true(size > 0 && fabs(along) < 1e-13 * size);
    }
    bench_end(&b);
}

static void pkd_10_6_the_gradient_of_soft_labels(void **state)
{
    (void)state;
    struct bench b;
    bench_begin(&b);
    b.d.weight[TERM_SOFT] = 1;
    bench_loss(&b);
    const double *g = tape_grad(b.tape, b.z);
    for (int r = 0; r < B; r++) {
        double s = 0, t = 0;
        for (int i = r * C; i < r * C + C; i++) {
            s += exp((double)b.logits[i] / 4);
            t += exp((double)b.teacher[i] / 4);
        }
        for (int i = r * C; i < r * C + C; i++) {
            double want =
                4 *
                (exp((double)b.logits[i] / 4) / s - exp((double)b.teacher[i] / 4) / t) /
                (B * C);
            assert_true(fabs(g[i] - want) < 1e-8); /* p is rounded to float */
        }
    }
    bench_end(&b);
}

/* The three scales are multiples of each other. */
static void scalings(void **state)
{
    (void)state;
    struct bench b;
    double kl, entropy = 0;
    bench_begin(&b);
    b.d.weight[TERM_SOFT] = 1;
    b.d.scaling = SCALING_HINTON;
    kl = bench_loss(&b) / 16 * B;
    b.d.scaling = SCALING_CODE;
    assert_true(fabs(bench_loss(&b) - 16 * kl / (B * C)) < 1e-12);
    for (int r = 0; r < B; r++) {
        double t = 0;
        for (int i = r * C; i < r * C + C; i++)
            t += exp((double)b.teacher[i] / 4);
        for (int i = r * C; i < r * C + C; i++)
            entropy -=
                exp((double)b.teacher[i] / 4) / t * ((double)b.teacher[i] / 4 - log(t));
    }
    b.d.scaling = SCALING_PUBLISHED;
    assert_true(fabs(bench_loss(&b) - kl - entropy) < 1e-6);
    b.d.weight[TERM_SOFT] = 0;
    b.d.weight[TERM_STATES] = 1;
    double sum = bench_loss(&b);
    b.d.scaling = SCALING_CODE;
    assert_true(fabs(bench_loss(&b) - sum / (B * D)) < 1e-12);
    bench_end(&b);
}

static void maps(enum layer_map map, int64_t depth, int64_t n, const char *want)
{
    int64_t block[32], k = layer_map(block, map, depth, n);
    char got[128] = "";
    for (int64_t i = 0; i < k; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%lld", i ? "," : "",
                 (long long)block[i]);
    assert_string_equal(got, want);
}

static void pkd_10_4_layers_that_are_followed(void **state)
{
    (void)state;
    int64_t block[32];
    maps(MAP_SKIP, 12, 6, "2,4,6,8,10");
    maps(MAP_LAST, 12, 6, "7,8,9,10,11");
    maps(MAP_SKIP, 12, 3, "4,8");
    maps(MAP_LAST, 12, 3, "10,11");
    maps(MAP_SKIP, 24, 6, "4,8,12,16,20");
    maps(MAP_LAST, 24, 6, "19,20,21,22,23");
    maps(MAP_SKIP, 24, 3, "8,16");
    maps(MAP_LAST, 24, 3, "22,23");
    maps(MAP_EVERY, 12, 3, "4,8,12");
    maps(MAP_LAST, 12, 5, "8,9,10,11");
    assert_int_equal(layer_map(block, MAP_SKIP, 12, 5), -1);
    assert_int_equal(layer_map(block, MAP_LAST, 3, 6), -1);
}

/* ---- stages ---- */

static struct fake_run *deep_run(float last)
{
    struct err err = ERR_INIT;
    struct hf_config cfg = small_config();
    struct model *m = NULL;
    struct fake_run *run;
    cfg.layers = 4;
    for (int l = 0; l < 4; l++) {
        cfg.heads_kept[l] = HEADS;
        cfg.ffn_kept[l] = FFN;
    }
    assert_ok(model_random(&m, &cfg, small_vocab, (int64_t)strlen(small_vocab),
                           HEAD_CLASSES, 2, 9, &err),
              &err);
    tensor_f32(&m->block[3].ffn_out.bias->value)[0] += last;
    run = small_run(m);
    model_free(m);
    return run;
}

struct given {
    const char *input;
    struct fake_run *run;
};

/* Runs a method; the caller frees what comes back. */
static struct fake_run *make(const char *method, const char *options,
                             struct fake_run *model, struct given more,
                             int (*load)(const char *, struct examples *, struct err *))
{
    struct fake_stage *f = small_stage(model);
    struct fake_run *out;
    if (more.input)
        fake_give(f, more.input, more.run);
    if (load)
        f->load = load;
    f->st.seed = 5;
    assert_ok(fake_try(f, method, options), &f->st.err);
    out = f->out;
    f->out = NULL;
    fake_release(f);
    free(f);
    return out;
}

static const struct given nothing = {NULL, NULL};

static bool same_arrays(struct fake_run *a, struct fake_run *b, const char *under)
{
    int64_t n = 0;
    for (int64_t i = 0; i < a->n_items; i++) {
        struct array v;
        struct err err = ERR_INIT;
        if (a->item[i].n_text || strncmp(a->item[i].path, under, strlen(under)) != 0)
            continue;
        assert_ok(fake_read(b, a->item[i].path, &v, &err), &err);
        if (memcmp(v.data, a->item[i].a.data,
                   (size_t)(shape_count(v.shape) * dtype_bytes(v.dtype))) != 0)
            return false;
        n++;
    }
    assert_true(n > 0);
    return true;
}

#define SHORT "epochs=2 batch=16 lr=0.001"

static void pkd_10_5_without_its_terms_it_is_finetune(void **state)
{
    (void)state;
    struct fake_run *model = deep_run(0);
    struct fake_run *a = make("finetune", SHORT, model, nothing, NULL);
    struct fake_run *b =
        make("distill/pkd", SHORT " alpha=0 beta=0", model, nothing, NULL);
    assert_true(same_arrays(a, b, "/tensors/"));
    fake_run_free(b);
    fake_run_free(a);
    fake_run_free(model);
}

static int other_labels(const char *split, struct examples *out, struct err *err)
{
    int rc = small_load(split, out, err);
    for (int64_t i = 0; i < out->n; i++)
        out->v[i].label ^= (int32_t)(i % 3 == 0);
    return rc;
}

static void pkd_10_5_with_soft_labels_alone_labels_do_not_count(void **state)
{
    (void)state;
    struct fake_run *model = deep_run(0), *teacher = deep_run(0.5f);
    struct given given = {"teacher", teacher};
    struct fake_run *a = make("distill/pkd", SHORT " alpha=1 beta=0", model, given, NULL);
    struct fake_run *b =
        make("distill/pkd", SHORT " alpha=1 beta=0", model, given, other_labels);
    struct fake_run *c =
        make("distill/pkd", SHORT " alpha=0.5 beta=0", model, given, NULL);
    struct fake_run *d =
        make("distill/pkd", SHORT " alpha=0.5 beta=0", model, given, other_labels);
    assert_true(same_arrays(a, b, "/tensors/"));
    assert_false(same_arrays(c, d, "/tensors/"));
    fake_run_free(d);
    fake_run_free(c);
    fake_run_free(b);
    fake_run_free(a);
    fake_run_free(teacher);
    fake_run_free(model);
}

static double first_states(struct fake_run *student, struct fake_run *teacher,
                           const char *options)
{
    char all[256];
    struct given given = {"teacher", teacher};
    snprintf(all, sizeof all, SHORT " max_steps=1 alpha=0 %s", options);
    struct fake_run *run = make("distill/pkd", all, student, given, NULL);
    double v = fake_value(run, "train/loss_states");
    fake_run_free(run);
    return v;
}

static void pkd_10_3_the_last_block_of_the_teacher_is_not_followed(void **state)
{
    (void)state;
    struct fake_run *model = deep_run(0), *teacher = deep_run(0), *other = deep_run(0.5f);
    struct fake_run *student = make("distill/student", "layers=2", model, nothing, NULL);
    double a = first_states(student, teacher, "layers=skip");
    assert_true(a > 0);
    assert_true(first_states(student, other, "layers=skip") == a);
    assert_true(first_states(student, other, "layers=last") ==
                first_states(student, teacher, "layers=last"));
    assert_true(first_states(student, other, "layers=every") !=
                first_states(student, teacher, "layers=every"));
    assert_true(first_states(student, teacher, "blocks=2") == a);
    assert_true(first_states(student, teacher, "states=tokens") != a);
    fake_run_free(student);
    fake_run_free(other);
    fake_run_free(teacher);
    fake_run_free(model);
}

static void pkd_10_7_a_student_begins_as_the_first_blocks(void **state)
{
    (void)state;
    struct fake_run *model = deep_run(0);
    struct fake_run *student = make("distill/student", "layers=3", model, nothing, NULL);
    struct fake_run *all =
        make("distill/teacher", "states=tokens blocks=3", model, nothing, NULL);
    struct fake_run *three =
        make("distill/teacher", "states=tokens", student, nothing, NULL);
    struct array a, b;
    struct err err = ERR_INIT;
    assert_ok(fake_read(all, "/features/states", &a, &err), &err);
    assert_ok(fake_read(three, "/features/states", &b, &err), &err);
    assert_int_equal(a.shape.dim[1], 1);
    assert_int_equal(b.shape.dim[1], 3);
    for (int64_t r = 0; r < a.shape.dim[0]; r++)
        assert_memory_equal((const float *)a.data + r * WIDTH,
                            (const float *)b.data + (r * 3 + 2) * WIDTH,
                            WIDTH * sizeof(float));
    fake_run_free(three);
    fake_run_free(all);
    fake_run_free(student);
    fake_run_free(model);
}

static void pkd_10_8_stored_features_are_the_teacher_to_the_bit(void **state)
{
    (void)state;
    static const char *const states[] = {"cls", "tokens"};
    struct fake_run *model = deep_run(0), *teacher = deep_run(0.5f);
    struct fake_run *student = make("distill/student", "layers=2", model, nothing, NULL);
    for (int i = 0; i < 2; i++) {
        char ask[128], learn[128];
        snprintf(ask, sizeof ask, "states=%s blocks=1,2", states[i]);
        snprintf(learn, sizeof learn, SHORT " alpha=0.5 beta=10 states=%s", states[i]);
        struct fake_run *f = make("distill/teacher", ask, teacher, nothing, NULL);
        struct fake_run *again = make("distill/teacher", ask, teacher, nothing, NULL);
        assert_true(same_arrays(f, again, "/features/"));
        struct given alongside = {"teacher", teacher}, stored = {"features", f};
        struct fake_run *a = make("distill/pkd", learn, student, alongside, NULL);
        struct fake_run *b = make("distill/pkd", learn, student, stored, NULL);
        assert_true(same_arrays(a, b, "/tensors/"));
        assert_true(fake_value(a, "train/loss_states") ==
                    fake_value(b, "train/loss_states"));
        fake_run_free(b);
        fake_run_free(a);
        fake_run_free(again);
        fake_run_free(f);
    }
    fake_run_free(student);
    fake_run_free(teacher);
    fake_run_free(model);
}

static void pkd_10_9_sizes_of_students(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct hf_config cfg;
    struct model *m = NULL;
    hf_config_defaults(&cfg);
    cfg.layers = 3;
    cfg.width = 768;
    cfg.heads = 12;
    cfg.ffn = 3072;
    cfg.vocab = 30522;
    cfg.positions = 512;
    cfg.types = 2;
    for (int l = 0; l < 3; l++) {
        cfg.heads_kept[l] = 12;
        cfg.ffn_kept[l] = 3072;
    }
    assert_ok(model_empty(&m, &cfg, HEAD_NONE, true, NULL, &err), &err);
    assert_int_equal(model_count(m), 45691392);
    int64_t block = 0;
    for (int64_t i = 0; i < m->n_params; i++)
        if (strstr(m->param[i]->name, "layer.0."))
            block += shape_count(m->param[i]->value.shape);
    assert_int_equal(model_count(m) + 3 * block, 66955008);
    assert_int_equal(model_count(m) + 9 * block, 109482240);
    model_free(m);
}

static void refused(const char *method, const char *options, struct fake_run *model,
                    struct given given, const char *message)
{
    struct fake_stage *f = small_stage(model);
    if (given.input)
        fake_give(f, given.input, given.run);
    assert_fails(fake_try(f, method, options), &f->st.err, ERR_INPUT, message);
    fake_release(f);
    free(f);
}

static void what_does_not_fit_is_told(void **state)
{
    (void)state;
    struct fake_run *model = deep_run(0);
    struct fake_run *three = make("distill/student", "layers=3", model, nothing, NULL);
    struct fake_run *f = make("distill/teacher", "blocks=1", model, nothing, NULL);
    struct given teacher = {"teacher", model}, features = {"features", f};
    refused("distill/student", "layers=5", model, nothing, "5 blocks; the model has 4");
    refused("distill/student", "layers=3 take=every", model, nothing, "no multiple of 3");
    refused("distill/student", "blocks=2,2", model, nothing, "rising order");
    refused("distill/teacher", "blocks=5", model, nothing, "no block 5");
    refused("distill/pkd", SHORT, three, nothing, "there is no teacher");
    refused("distill/pkd", SHORT, three, teacher, "do not divide among 3");
    refused("distill/pkd", SHORT " blocks=5", three, teacher, "no block 5");
    refused("distill/pkd", SHORT " blocks=2", three, features,
            "block 2 is not among the stored");
    refused("distill/pkd", SHORT " blocks=1 max_len=16", three, features,
            "are of test/words/train, max_len 32; wanted");
    fake_run_free(f);
    fake_run_free(three);
    fake_run_free(model);
}

/* As the authors' program does: file order, dropout in the first epoch alone. */
static void oddities_are_options(void **state)
{
    (void)state;
    struct fake_run *model = deep_run(0);
    struct fake_run *a = make("finetune", SHORT " dropout=0.3", model, nothing, NULL);
    struct fake_run *b =
        make("finetune", SHORT " dropout=0.3 dropout_epochs=1", model, nothing, NULL);
    struct fake_run *c =
        make("finetune", SHORT " dropout=0.3 dropout_epochs=2", model, nothing, NULL);
    struct fake_run *d =
        make("finetune", SHORT " dropout=0.3 data_order=file", model, nothing, NULL);
    assert_false(same_arrays(a, b, "/tensors/"));
    assert_true(same_arrays(a, c, "/tensors/"));
    assert_false(same_arrays(a, d, "/tensors/"));
    fake_run_free(d);
    fake_run_free(c);
    fake_run_free(b);
    fake_run_free(a);
    fake_run_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pkd_10_1_equal_states_cost_nothing_and_lengths_do_not_count),
        cmocka_unit_test(pkd_10_2_the_gradient_of_states_is_orthogonal_to_them),
        cmocka_unit_test(pkd_10_3_the_last_block_of_the_teacher_is_not_followed),
        cmocka_unit_test(pkd_10_4_layers_that_are_followed),
        cmocka_unit_test(pkd_10_5_without_its_terms_it_is_finetune),
        cmocka_unit_test(pkd_10_5_with_soft_labels_alone_labels_do_not_count),
        cmocka_unit_test(pkd_10_6_the_gradient_of_soft_labels),
        cmocka_unit_test(pkd_10_7_a_student_begins_as_the_first_blocks),
        cmocka_unit_test(pkd_10_8_stored_features_are_the_teacher_to_the_bit),
        cmocka_unit_test(pkd_10_9_sizes_of_students),
        cmocka_unit_test(scalings),
        cmocka_unit_test(what_does_not_fit_is_told),
        cmocka_unit_test(oddities_are_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
