/* prune/neurons on a small drawn model; names carry the items of GUM's card. */
#include "small_model.h"

#include "retort/pool.h"

enum { ALL = LAYERS * FFN };

static struct fake_run *drawn(void)
{
    struct model *m = small_model(HEAD_CLASSES, 2);
    struct fake_run *run = small_run(m);
    model_free(m);
    return run;
}

static struct fake_run *prune(const char *options, struct fake_run *model)
{
    return small_make("prune/neurons", options, model, NULL, 2, 0);
}

static void refused(const char *options, const char *message)
{
    const struct method *m = method_find("prune/neurons");
    struct fake_stage *f = calloc(1, sizeof *f);
    struct err err = ERR_INIT;

    fake_options(f, m, options);
    assert_fails(m->check(f->options, &err), &err, ERR_INPUT, message);
    fake_options_free(f, m);
    free(f);
}

/* All tensors and masks of two runs. */
static bool same_model(struct fake_run *a, struct fake_run *b)
{
    struct err err = ERR_INIT;

    for (int64_t i = 0; i < a->n_items; i++) {
        const char *path = a->item[i].path;
        int64_t bytes;
        struct array v;
        if (strncmp(path, "/tensors/", 9) != 0 && strncmp(path, "/masks/", 7) != 0)
            continue;
        if (fake_read(b, path, &v, &err))
            return false;
        assert_ok(shape_bytes(&bytes, v.shape, v.dtype, &err), &err);
        if (!shape_equal(v.shape, a->item[i].a.shape) ||
            memcmp(v.data, a->item[i].a.data, (size_t)bytes) != 0)
            return false;
    }
    return true;
}

static struct model *read_model(struct fake_run *run)
{
    struct err err = ERR_INIT;
    struct model *m = NULL;

    assert_ok(artifact_model(&m, &run->artifact, &err), &err);
    return m;
}

/* Which neurons of a run's model are left. */
static int64_t read_keep(bool *keep, struct fake_run *run)
{
    struct model *m = read_model(run);
    int64_t n = 0;

    for (int l = 0; l < LAYERS; l++)
        for (int j = 0; j < FFN; j++) {
            keep[l * FFN + j] = !block_neuron_masked(&m->block[l], j);
            n += keep[l * FFN + j];
        }
    model_free(m);
    return n;
}

static struct predictions *predict(struct fake_run *run)
{
    struct err err = ERR_INIT;
    struct pool *pool = pool_new(2, &err);
    struct tape *tape = tape_new(pool, DT_F32, &err);
    struct model *m = read_model(run);
    struct dataset *data = small_data(m, "dev");
    struct predictions *p = NULL;

    assert_ok(model_predict(&p, m, data, tape, 4096, NULL, NULL, NULL, &err), &err);
    p->data = NULL;
    dataset_free(data);
    model_free(m);
    tape_free(tape);
    pool_free(pool);
    return p;
}

#define STEPS "epochs=0 max_steps=24 batch=12 lr=0.001 hold=0.1 settle=0.3 "

/* ---- nothing removed ---- */

static void gum_9_1_with_all_neurons_left_nothing_changes(void **state)
{
    struct fake_run *model = drawn();
    static const char *const options[] = {
        "left=1 score=random epochs=0", "left=1 score=magnitude epochs=0",
        "left=1 score=magnitude norm=separate ties=keep epochs=0"};
    struct predictions *dense = predict(model);

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct fake_run *run = prune(options[i], model);
        struct predictions *p = predict(run);
        assert_memory_equal(p->logits, dense->logits,
                            (size_t)(p->n * p->width) * sizeof(float));
        assert_true(fake_value(run, "prune/left") == 1);
        predictions_free(p);
        fake_run_free(run);
    }
    predictions_free(dense);
    fake_run_free(model);
}

/* Scores take part in the clipping, so without it. */
static void gum_9_1_with_all_neurons_left_training_is_fine_tuning(void **state)
{
    struct fake_run *model = drawn();
    struct fake_run *plain = small_make(
        "finetune", "epochs=0 max_steps=24 batch=12 lr=0.001", model, NULL, 2, 0);
    struct fake_run *off =
        small_make("finetune", "epochs=0 max_steps=24 batch=12 lr=0.001 clip=none", model,
                   NULL, 2, 0);
    struct fake_run *random = prune(STEPS "left=1 score=random", model);
    struct fake_run *top = prune(STEPS "left=1 score=top_v clip=none", model);
    struct fake_run *gum = prune(STEPS "left=1 score=gum lambda=0 clip=none", model);

    (void)state;
    assert_true(same_model(plain, random));
    assert_true(same_model(off, top));
    assert_true(same_model(off, gum));
    assert_false(same_model(off, plain));
    fake_run_free(gum);
    fake_run_free(top);
    fake_run_free(random);
    fake_run_free(off);
    fake_run_free(plain);
    fake_run_free(model);
}

/* ---- what equals what ---- */

static void gum_9_7_without_likeness_gum_is_global_top_v(void **state)
{
    struct fake_run *model = drawn();
    struct fake_run *gum = prune(STEPS "left=0.5 lambda_gum=0 lambda=3", model);
    struct fake_run *top =
        prune(STEPS "left=0.5 score=top_v scope=global lambda=3", model);
    struct fake_run *gum0 = prune(STEPS "left=0.5 lambda_gum=7 lambda=0", model);
    struct fake_run *top0 = prune(STEPS "left=0.5 score=top_v scope=global", model);
    struct fake_run *alike = prune(STEPS "left=0.5 lambda_gum=7 lambda=3", model);

    (void)state;
    assert_true(same_model(gum, top));
    assert_true(same_model(gum0, top0));
    assert_false(same_model(gum, gum0));
    assert_false(same_model(gum, alike));
    fake_run_free(alike);
    fake_run_free(top0);
    fake_run_free(gum0);
    fake_run_free(top);
    fake_run_free(gum);
    fake_run_free(model);
}

/* ---- each score ---- */

static const char *const all_scores[] = {"magnitude", "random", "top_v", "soft", "gum"};
enum { SCORES = 5 };

static void every_score_leaves_what_is_asked_for(void **state)
{
    struct fake_run *model = drawn();

    (void)state;
    for (int i = 0; i < SCORES; i++)
        for (int q = 0; q <= 4; q++) {
            char options[256];
            bool keep[ALL];
            snprintf(options, sizeof options, STEPS "left=%g score=%s lambda=%d", q / 4.0,
                     all_scores[i], i < 3 ? 0 : 100);
            struct fake_run *run = prune(options, model);
            int64_t n = read_keep(keep, run);
            assert_true(i == 3 ? n >= q * ALL / 4 : n == q * ALL / 4);
            assert_true(fake_value(run, "prune/neurons") == (double)n);
            assert_true(fake_value(run, "prune/left") == (double)n / ALL);
            assert_true(fake_value(run, "model/parameters_kept") ==
                        fake_value(run, "model/parameters") -
                            (double)((ALL - n) * (2 * WIDTH + 1)));
            predictions_free(predict(run));
            fake_run_free(run);
        }
    fake_run_free(model);
}

/* A score that is far below the threshold is cut by it, not by the floor. */
static void soft_falls_by_the_penalty_and_stops_at_the_floor(void **state)
{
    struct fake_run *model = drawn();
    bool keep[ALL];
    struct fake_run *none =
        prune(STEPS "left=0.25 score=soft lambda=0 score_lr=0", model);
    struct fake_run *all =
        prune(STEPS "left=0.25 score=soft lambda=1000 score_lr=1", model);

    (void)state;
    assert_int_equal(read_keep(keep, none), ALL);
    assert_int_equal(read_keep(keep, all), ALL / 4);
    assert_true(fake_value(all, "prune/lambda") == 1000);
    fake_run_free(all);
    fake_run_free(none);
    fake_run_free(model);
}

static void by_separate_norms_fewer_are_left(void **state)
{
    struct fake_run *model = drawn();
    bool keep[ALL];
    struct fake_run *run =
        prune("left=0.5 score=magnitude norm=separate epochs=0", model);
    int64_t n = read_keep(keep, run);

    (void)state;
    assert_true(n < ALL / 2 && n > 0);
    fake_run_free(run);
    fake_run_free(model);
}

static void
gum_9_10_lambda_begins_above_its_end_for_top_v_and_at_zero_for_soft(void **state)
{
    struct fake_run *model = drawn();
    struct fake_run *top = prune(STEPS "left=0.25 score=top_v lambda=2", model);
    struct fake_run *soft = prune(STEPS "left=0.25 score=soft lambda=2", model);
    double first = -1, last = -1;

    (void)state;
    for (int64_t i = 0; i < top->n_metrics; i++)
        if (!strcmp(top->metric[i].name, "prune/lambda")) {
            first = first < 0 ? top->metric[i].value : first;
            last = top->metric[i].value;
        }
    assert_true(fabs(first - 8) < 1e-12 && fabs(last - 2) < 1e-12);
    for (int64_t i = 0; i < soft->n_metrics; i++)
        if (!strcmp(soft->metric[i].name, "prune/lambda")) {
            assert_true(soft->metric[i].step > 2); /* 0 until the threshold rises */
            last = soft->metric[i].value;
        }
    assert_true(fabs(last - 2) < 1e-12);
    fake_run_free(soft);
    fake_run_free(top);
    fake_run_free(model);
}

/* ---- chance ---- */

static void redraw(struct param *p)
{
    struct rng rng = rng_streamf(9, "%s", p->name);

    for (int64_t i = 0; p->value.shape.rank == 2 && i < shape_count(p->value.shape); i++)
        tensor_f32(&p->value)[i] = (float)(0.3 * rng_normal(&rng));
}

static void gum_9_11_random_masks_depend_on_the_seed_alone_and_are_nested(void **state)
{
    struct fake_run *model = drawn(), *other = NULL, *runs[5];
    bool keep[5][ALL], more[ALL];
    struct model *m = small_model(HEAD_CLASSES, 2);
    struct fake_stage *f;

    (void)state;
    for (int64_t i = 0; i < m->n_params; i++) /* another model, another course */
        redraw(m->param[i]);
    other = small_run(m);
    for (int q = 0; q <= 4; q++) {
        char options[128];
        snprintf(options, sizeof options, "left=%g score=random epochs=0", q / 4.0);
        runs[q] = prune(options, model);
        read_keep(keep[q], runs[q]);
        for (int j = 0; q > 0 && j < ALL; j++)
            assert_true(keep[q][j] || !keep[q - 1][j]);
    }
    struct fake_run *trained = prune(STEPS "left=0.5 score=random", other);
    read_keep(more, trained);
    assert_memory_equal(more, keep[2], sizeof more);
    f = small_stage(model);
    f->st.seed = 2;
    assert_ok(fake_try(f, "prune/neurons", "left=0.5 score=random epochs=0"), &f->st.err);
    read_keep(more, f->out);
    assert_true(memcmp(more, keep[2], sizeof more) != 0);
    fake_release(f);
    free(f);
    fake_run_free(trained);
    for (int q = 0; q <= 4; q++)
        fake_run_free(runs[q]);
    fake_run_free(other);
    model_free(m);
    fake_run_free(model);
}

/* ---- bits ---- */

static void gum_9_10_runs_of_one_seed_are_the_same_for_any_threads(void **state)
{
    struct fake_run *model = drawn();

    (void)state;
    for (int i = 0; i < SCORES; i++) {
        char options[128];
        snprintf(options, sizeof options, STEPS "left=0.4 score=%s", all_scores[i]);
        struct fake_run *first = prune(options, model);
        for (int threads = 1; threads <= 3; threads++) {
            struct fake_run *run =
                small_make("prune/neurons", options, model, NULL, threads, 0);
            assert_true(same_model(first, run));
            fake_run_free(run);
        }
        fake_run_free(first);
    }
    fake_run_free(model);
}

static void a_stopped_run_ends_with_the_same_bits(void **state)
{
    struct fake_run *model = drawn();

    (void)state;
    for (int i = 0; i < SCORES; i++) {
        char options[128];
        snprintf(options, sizeof options, STEPS "left=0.4 score=%s beta=0.7",
                 all_scores[i]);
        struct fake_run *whole = prune(options, model);
        for (int64_t stop = 1; stop <= 24; stop += 5) {
            struct fake_run *run =
                small_make("prune/neurons", options, model, NULL, 2, stop);
            assert_true(same_model(whole, run));
            fake_run_free(run);
        }
        fake_run_free(whole);
    }
    fake_run_free(model);
}

/* Accumulated micro-batches have the gradients of one batch, up to rounding. */
static void micro_batches_add_up(void **state)
{
    struct fake_run *model = drawn();
    struct fake_run *one = prune(STEPS "left=0.5 lambda_gum=2 dropout=0", model);
    struct fake_run *two = prune("epochs=0 max_steps=24 batch=6 accumulate=2 lr=0.001 "
                                 "left=0.5 lambda_gum=2 dropout=0",
                                 model);
    bool a[ALL], b[ALL];
    int same = 0;

    (void)state;
    read_keep(a, one);
    read_keep(b, two);
    for (int j = 0; j < ALL; j++)
        same += a[j] == b[j];
    assert_true(same > ALL * 9 / 10);
    fake_run_free(two);
    fake_run_free(one);
    fake_run_free(model);
}

/* A teacher of share 0 is none, to the bit; one that is asked changes the course. */
static void a_teacher_without_share_changes_nothing(void **state)
{
    struct fake_run *model = drawn();
    struct fake_run *plain = prune(STEPS "left=0.5", model), *same, *other;
    struct fake_stage *f = small_stage(model);

    (void)state;
    fake_give(f, "teacher", model);
    assert_ok(fake_try(f, "prune/neurons", STEPS "left=0.5 alpha=0"), &f->st.err);
    same = f->out;
    f->out = NULL;
    assert_ok(fake_try(f, "prune/neurons", STEPS "left=0.5 alpha=0.5"), &f->st.err);
    other = f->out;
    f->out = NULL;
    assert_true(same_model(plain, same));
    assert_false(same_model(plain, other));
    fake_release(f);
    f->task = &small_task;
    f->load = small_load;
    fake_give(f, "model", model);
    assert_fails(fake_try(f, "prune/neurons", STEPS "left=0.5 alpha=0.5"), &f->st.err,
                 ERR_INPUT, "there is no teacher");
    fake_release(f);
    free(f);
    fake_run_free(other);
    fake_run_free(same);
    fake_run_free(plain);
    fake_run_free(model);
}

/* ---- pruned before ---- */

static void what_was_masked_stays_masked_and_counts(void **state)
{
    struct fake_run *model = drawn();
    struct fake_run *first = prune("left=0.5 score=random epochs=0", model);
    bool before[ALL], after[ALL];

    (void)state;
    read_keep(before, first);
    for (int i = 0; i < SCORES; i++)
        for (int q = 1; q <= 3; q++) {
            char options[128];
            snprintf(options, sizeof options, STEPS "left=%g score=%s scope=layer",
                     q / 4.0, all_scores[i]);
            struct fake_run *run = prune(options, first);
            int64_t n = read_keep(after, run);
            assert_true(n <= ALL / 2 && (i == 3 || n == (q < 2 ? ALL / 4 : ALL / 2)));
            for (int j = 0; j < ALL; j++)
                assert_true(before[j] || !after[j]);
            fake_run_free(run);
        }
    fake_run_free(first);
    fake_run_free(model);
}

/* A layer is emptied whole, removed, and the rest pruned again. */
static void emptied_layers_are_removed_and_pruned_again(void **state)
{
    struct fake_run *model = drawn(), *masked, *sliced, *again, *none;
    struct predictions *a, *b;
    bool keep[ALL];

    (void)state;
    none = prune("left=0 score=random epochs=0", model);
    assert_int_equal(read_keep(keep, none), 0);
    masked = prune("left=0.5 score=magnitude epochs=0 scope=global", model);
    for (int i = 0; i < 2; i++) {
        sliced = small_make("prune/slice", "", i ? none : masked, NULL, 2, 0);
        a = predict(i ? none : masked);
        b = predict(sliced);
        for (int64_t k = 0; k < a->n * a->width; k++)
            assert_true(fabs((double)a->logits[k] - (double)b->logits[k]) < 1e-5);
        again = prune(STEPS "left=0.5 lambda_gum=1", sliced);
        assert_true(fake_value(again, "prune/neurons") == (i ? 0 : ALL / 4));
        predictions_free(a);
        predictions_free(b);
        fake_run_free(again);
        fake_run_free(sliced);
    }
    fake_run_free(masked);
    fake_run_free(none);
    fake_run_free(model);
}

static void layers_keep_min_neurons(void **state)
{
    struct fake_run *model = drawn();
    bool keep[ALL];

    (void)state;
    for (int i = 0; i < SCORES; i++) {
        char options[128];
        snprintf(options, sizeof options, STEPS "left=0 min_neurons=5 score=%s scope=%s",
                 all_scores[i], i % 2 ? "global" : "layer");
        struct fake_run *run = prune(options, model);
        int64_t n = read_keep(keep, run);
        assert_true(i == 3 ? n >= 5 * LAYERS : n == 5 * LAYERS);
        fake_run_free(run);
    }
    fake_run_free(model);
}

static void options_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    refused("left=0.5 hold=0.6 settle=0.5", "together at most 1");
    refused("left=0.5 epochs=0", "score \"gum\" is learned");
    refused("left=0.5 lr=0", "lr must be above 0");
    refused("left=0.5 score=random lambda=1", "score \"random\" has none");
    refused("left=0.5 keep=best eval_split=dev", "the last weights are the pruned ones");
    refused("left=0.5 eval_every=3", "eval_split");
}

/* ---- the planted test ---- */

/*
 * Neurons of layer 0 that each speak of one word in one place, two of each: word and
 * place are one channel each, attention adds nothing, and a row of W_in asks for both
 * channels. So the outputs of pairs are the same, those of strangers orthogonal; what a
 * neuron says to the outside is its own.
 */
static struct model *planted(uint64_t seed)
{
    enum { WORDS = 5, FIRST_WORD = 5, PLACES = WIDTH - 10 };
    struct err err = ERR_INIT;
    struct hf_config cfg = small_config();
    struct model *m = NULL;

    assert_ok(model_random(&m, &cfg, small_vocab, (int64_t)strlen(small_vocab),
                           HEAD_CLASSES, 2, seed, &err),
              &err);
    struct block *b = &m->block[0];
    float *in = tensor_f32(&b->ffn_in.weight->value);
    float *word = tensor_f32(&m->word->value), *place = tensor_f32(&m->position->value);
    memset(word, 0, (size_t)(cfg.vocab * WIDTH) * sizeof *word);
    memset(place, 0, (size_t)(cfg.positions * WIDTH) * sizeof *place);
    memset(m->type->value.data, 0, 2 * WIDTH * sizeof *word);
    memset(b->attn_out.weight->value.data, 0, WIDTH * WIDTH * sizeof *word);
    memset(in, 0, FFN * WIDTH * sizeof *in);
    for (int i = 0; i < cfg.vocab; i++)
        word[i * WIDTH + i] = 1;
    for (int i = 0; i < cfg.positions; i++)
        place[i * WIDTH + 10 + i % PLACES] = 1;
    for (int j = 0; j < FFN; j++) {
        int pair = j % (FFN / 2);
        in[j * WIDTH + FIRST_WORD + pair % WORDS] = 2;
        in[j * WIDTH + 10 + 1 + pair / WORDS] = 2;
        tensor_f32(&b->ffn_in.bias->value)[j] = -12;
    }
    for (int64_t i = 0; i < m->n_params; i++)
        param_touch(m->param[i]);
    return m;
}

/* Pairs of which one is left. */
static int broken_pairs(const char *options, struct fake_run *model)
{
    struct fake_run *run = prune(options, model);
    bool keep[ALL];
    int n = 0;

    read_keep(keep, run);
    for (int j = 0; j < FFN / 2; j++)
        n += keep[j] != keep[FFN / 2 + j];
    fake_run_free(run);
    return n;
}

static void
gum_9_12_of_doubled_neurons_gum_keeps_one_of_each_pair_more_often(void **state)
{
    static const char run[] =
        "epochs=0 max_steps=150 batch=60 lr=0.0005 eps=0.1 scope=layer left=0.5 ";
    char gum[256], top[256];
    int pairs = FFN / 2;

    (void)state;
    snprintf(gum, sizeof gum, "%slambda=3 lambda_gum=256", run);
    snprintf(top, sizeof top, "%sscore=top_v", run);
    for (uint64_t seed = 1; seed <= 2; seed++) {
        struct model *m = planted(seed);
        struct fake_run *model = small_run(m);
        int by_gum = broken_pairs(gum, model), by_top = broken_pairs(top, model);
        print_message("one left of %d of %d pairs by gum, of %d by top_v\n", by_gum,
                      pairs, by_top);
        assert_true(by_gum > by_top && by_gum >= pairs * 3 / 4);
        fake_run_free(model);
        model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gum_9_1_with_all_neurons_left_nothing_changes),
        cmocka_unit_test(gum_9_1_with_all_neurons_left_training_is_fine_tuning),
        cmocka_unit_test(gum_9_7_without_likeness_gum_is_global_top_v),
        cmocka_unit_test(every_score_leaves_what_is_asked_for),
        cmocka_unit_test(soft_falls_by_the_penalty_and_stops_at_the_floor),
        cmocka_unit_test(by_separate_norms_fewer_are_left),
        cmocka_unit_test(
            gum_9_10_lambda_begins_above_its_end_for_top_v_and_at_zero_for_soft),
        cmocka_unit_test(gum_9_11_random_masks_depend_on_the_seed_alone_and_are_nested),
        cmocka_unit_test(gum_9_10_runs_of_one_seed_are_the_same_for_any_threads),
        cmocka_unit_test(a_stopped_run_ends_with_the_same_bits),
        cmocka_unit_test(micro_batches_add_up),
        cmocka_unit_test(a_teacher_without_share_changes_nothing),
        cmocka_unit_test(what_was_masked_stays_masked_and_counts),
        cmocka_unit_test(emptied_layers_are_removed_and_pruned_again),
        cmocka_unit_test(layers_keep_min_neurons),
        cmocka_unit_test(options_that_do_not_fit_are_refused),
        cmocka_unit_test(
            gum_9_12_of_doubled_neurons_gum_keeps_one_of_each_pair_more_often),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
