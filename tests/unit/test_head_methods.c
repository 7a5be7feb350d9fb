/* analyze/heads, analyze/ablate, analyze/correlate and prune/heads on a small drawn
 * model, against brute force; names carry the items of the paper's card. */
#include "small_model.h"

#include "retort/stats.h"

static struct fake_run *drawn(void)
{
    struct model *m = small_model(HEAD_CLASSES, 2);
    struct fake_run *run = small_run(m);
    model_free(m);
    return run;
}

/* Runs a method on `model` (and `scores`); the caller frees what comes back. */
static struct fake_run *make(const char *method, const char *options,
                             struct fake_run *model, struct fake_run *scores)
{
    struct fake_stage *f = small_stage(model);
    struct fake_run *out;
    if (scores)
        fake_give(f, "scores", scores);
    assert_ok(fake_try(f, method, options), &f->st.err);
    out = f->out;
    f->out = NULL;
    fake_release(f);
    free(f);
    return out;
}

static void refused(const char *method, const char *options, struct fake_run *model,
                    struct fake_run *scores, enum err_code code, const char *message)
{
    struct fake_stage *f = small_stage(model);
    if (scores)
        fake_give(f, "scores", scores);
    assert_fails(fake_try(f, method, options), &f->st.err, code, message);
    fake_release(f);
    free(f);
}

static bool same_bits(const double *a, const double *b, int64_t n)
{
    return memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

/* ---- importance ---- */

static void
sixteen_heads_7_4_raw_scores_are_positive_and_layers_have_norm_one(void **state)
{
    (void)state;
    struct fake_run *model = drawn(), *run = make("analyze/heads", "", model, NULL);
    const double *raw = fake_doubles(run, "/scores/raw", CELLS);
    const double *score = fake_doubles(run, "/scores/importance", CELLS);
    for (int l = 0; l < LAYERS; l++) {
        double sum = 0;
        for (int h = 0; h < HEADS; h++) {
            assert_true(raw[l * HEADS + h] > 0);
            sum += score[l * HEADS + h] * score[l * HEADS + h];
        }
        assert_true(fabs(sum - 1) < 1e-12);
    }
    fake_run_free(run);
    fake_run_free(model);
}

static void a_layer_without_gradient_has_scores_of_zero(void **state)
{
    (void)state;
    struct model *m = small_model(HEAD_CLASSES, 2);
    struct param *wo = m->block[1].attn_out.weight;
    memset(wo->value.data, 0, (size_t)(WIDTH * WIDTH) * sizeof(float));
    struct fake_run *model = small_run(m), *run = make("analyze/heads", "", model, NULL);
    for (int h = 0; h < HEADS; h++)
        assert_true(fake_doubles(run, "/scores/importance", CELLS)[HEADS + h] == 0);
    fake_run_free(run);
    fake_run_free(model);
    model_free(m);
}

/* The norm takes any factor of a layer out again. */
static void
sixteen_heads_7_5_a_factor_of_a_layer_changes_no_normalised_score(void **state)
{
    (void)state;
    struct fake_run *model = drawn(), *run = make("analyze/heads", "", model, NULL);
    const double *raw = fake_doubles(run, "/scores/raw", CELLS);
    const double *score = fake_doubles(run, "/scores/importance", CELLS);
    for (int l = 0; l < LAYERS; l++) {
        double sum = 0, factor = l ? 1e-3 : 7.0;
        for (int h = 0; h < HEADS; h++)
            sum += factor * raw[l * HEADS + h] * factor * raw[l * HEADS + h];
        for (int h = 0; h < HEADS; h++)
            assert_true(fabs(factor * raw[l * HEADS + h] / sqrt(sum) -
                             score[l * HEADS + h]) < 1e-12);
    }
    fake_run_free(run);
    fake_run_free(model);
}

/* |sum over positions and samples| <= sum over samples of |..| <= sum over positions of
 * |..| */
static void positions_exceed_samples_and_samples_batches(void **state)
{
    (void)state;
    struct fake_run *model = drawn();
    struct fake_run *position = make("analyze/heads", "absolute=position", model, NULL);
    struct fake_run *sample = make("analyze/heads", "absolute=sample", model, NULL);
    struct fake_run *batch = make("analyze/heads", "absolute=batch", model, NULL);
    const double *p = fake_doubles(position, "/scores/raw", CELLS);
    const double *s = fake_doubles(sample, "/scores/raw", CELLS);
    const double *b = fake_doubles(batch, "/scores/raw", CELLS);
    /* In the last layer [CLS] alone has a gradient: one position a sample. */
    for (int i = 0; i < CELLS; i++) {
        assert_true(s[i] > b[i]);
        assert_true(i < HEADS ? p[i] > s[i] : fabs(p[i] - s[i]) <= 1e-6 * s[i]);
    }
    fake_run_free(batch);
    fake_run_free(sample);
    fake_run_free(position);
    fake_run_free(model);
}

/* The batch's size is a matter of speed, except for absolute "batch". */
static void scores_of_samples_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    struct fake_run *model = drawn();
    struct fake_run *one = make("analyze/heads", "batch=1", model, NULL);
    struct fake_run *many = make("analyze/heads", "batch=32", model, NULL);
    const double *a = fake_doubles(one, "/scores/raw", CELLS);
    const double *b = fake_doubles(many, "/scores/raw", CELLS);
    for (int i = 0; i < CELLS; i++)
        assert_true(fabs(a[i] - b[i]) <= 1e-5 * b[i]);
    fake_run_free(many);
    fake_run_free(one);
    fake_run_free(model);
}

static void copy_rows(struct param *p, int64_t from, int64_t to, int64_t rows,
                      int64_t width)
{
    float *v = tensor_f32(&p->value);
    memcpy(v + to * width, v + from * width, (size_t)(rows * width) * sizeof *v);
    param_touch(p);
}

static void sixteen_heads_7_7_a_duplicate_head_has_the_same_importance(void **state)
{
    (void)state;
    struct model *m = small_model(HEAD_CLASSES, 2);
    struct block *b = &m->block[1];
    struct site_linear *qkv[] = {&b->attn.query, &b->attn.key, &b->attn.value};
    float *wo = tensor_f32(&b->attn_out.weight->value);
    for (int i = 0; i < 3; i++) {
        copy_rows(qkv[i]->weight, 0, 2 * DIM, DIM, WIDTH);
        copy_rows(qkv[i]->bias, 0, 2 * DIM, DIM, 1);
    }
    for (int i = 0; i < WIDTH; i++)
        memcpy(wo + i * WIDTH + 2 * DIM, wo + i * WIDTH, DIM * sizeof *wo);
    struct fake_run *model = small_run(m), *run = make("analyze/heads", "", model, NULL);
    const double *score = fake_doubles(run, "/scores/importance", CELLS);
    assert_true(fabs(score[HEADS] - score[HEADS + 2]) <= 1e-6 * score[HEADS]);
    assert_true(fabs(score[HEADS] - score[HEADS + 1]) > 1e-3 * score[HEADS]);
    fake_run_free(run);
    fake_run_free(model);
    model_free(m);
}

static void sixteen_heads_7_10_scores_have_the_same_bits_for_any_threads(void **state)
{
    (void)state;
    struct fake_run *model = drawn(), *first = make("analyze/heads", "", model, NULL);
    for (int threads = 1; threads <= 3; threads++) {
        struct fake_stage *f = small_stage(model);
        f->threads = threads;
        assert_ok(fake_try(f, "analyze/heads", ""), &f->st.err);
        assert_true(same_bits(fake_doubles(f->out, "/scores/importance", CELLS),
                              fake_doubles(first, "/scores/importance", CELLS), CELLS));
        fake_release(f);
        free(f);
    }
    fake_run_free(first);
    fake_run_free(model);
}

/* ---- ablation, against gates given to the pass ---- */

struct world {
    struct fake_run *run;
    struct model *m;
    struct dataset *dev, *train;
    struct tape *tape;
    struct pool *pool;
};

static void world_open(struct world *w)
{
    struct err err = ERR_INIT;
    w->m = small_model(HEAD_CLASSES, 2);
    w->run = small_run(w->m);
    w->dev = small_data(w->m, "dev");
    w->train = small_data(w->m, "train");
    w->pool = pool_new(2, &err);
    w->tape = tape_new(w->pool, DT_F32, &err);
}

static void world_close(struct world *w)
{
    tape_free(w->tape);
    pool_free(w->pool);
    dataset_free(w->train);
    dataset_free(w->dev);
    model_free(w->m);
    fake_run_free(w->run);
}

/* Accuracy with these gates of all heads; right[i] of each example. */
static double gated(struct world *w, const struct dataset *data, const float *gates,
                    bool *right)
{
    struct err err = ERR_INIT;
    struct predictions *p = NULL;
    const float *layer[LAYERS] = {gates, gates + HEADS};
    double sum = 0;
    assert_ok(model_predict(&p, w->m, data, w->tape, 64, layer, NULL, NULL, &err), &err);
    for (int64_t i = 0; i < p->n; i++) {
        right[i] = p->pred[i] == data->raw->v[i].label;
        sum += right[i];
    }
    predictions_free(p);
    return sum / (double)data->n;
}

static void predictions_from_a_prefix_have_the_same_bits(void **state)
{
    (void)state;
    struct world w;
    struct err err = ERR_INIT;
    struct predictions *whole = NULL, *part = NULL;
    struct prefix *prefix = NULL;
    world_open(&w);
    assert_ok(prefix_new(&prefix, w.m, w.dev, w.tape, 64, &err), &err);
    for (int l = 0; l < LAYERS; l++) {
        w.m->block[l].attn.keep[1] = 0;
        assert_ok(model_predict(&whole, w.m, w.dev, w.tape, 1024, NULL, NULL, NULL, &err),
                  &err);
        assert_ok(prefix_advance(prefix, l, &err), &err);
        assert_ok(prefix_predict(&part, prefix, &err), &err);
        assert_memory_equal(whole->logits, part->logits, 120 * sizeof(float));
        predictions_free(part);
        predictions_free(whole);
        w.m->block[l].attn.keep[1] = 1;
    }
    prefix_free(prefix);
    world_close(&w);
}

static void ones(float *gates)
{
    for (int i = 0; i < CELLS; i++)
        gates[i] = 1;
}

static double mcnemar(const bool *a, const bool *b, int64_t n)
{
    int64_t only_a = 0, only_b = 0;
    for (int64_t i = 0; i < n; i++) {
        only_a += a[i] && !b[i];
        only_b += b[i] && !a[i];
    }
    return stats_mcnemar(only_a, only_b).p;
}

static void every_ablation_equals_brute_force(void **state)
{
    (void)state;
    struct world w;
    bool before[60], after[60];
    float gates[CELLS];
    int moved = 0;
    world_open(&w);
    struct fake_run *run = make("analyze/ablate", "", w.run, NULL);
    const double *drop = fake_doubles(run, "/scores/ablation", CELLS);
    const double *p = fake_doubles(run, "/scores/p_value", CELLS);
    ones(gates);
    double base = gated(&w, w.dev, gates, before);
    assert_true(fabs(fake_value(run, "ablate/base") - base) < 1e-15);
    for (int i = 0; i < CELLS; i++) {
        gates[i] = 0;
        double score = gated(&w, w.dev, gates, after);
        gates[i] = 1;
        assert_true(fabs(drop[i] - (base - score)) < 1e-15);
        assert_true(fabs(p[i] - mcnemar(before, after, 60)) < 1e-12);
        moved += memcmp(before, after, sizeof before) != 0;
    }
    assert_true(moved >= 3); /* or nothing was tested */
    fake_run_free(run);
    world_close(&w);
}

static void sixteen_heads_7_12_all_but_one_equals_masking_the_complement(void **state)
{
    (void)state;
    struct world w;
    bool before[60], after[60];
    float gates[CELLS];
    world_open(&w);
    struct fake_run *run =
        make("analyze/ablate", "mode=but_one split=train report_split=dev", w.run, NULL);
    const double *drop = fake_doubles(run, "/scores/ablation", CELLS);
    ones(gates);
    double base = gated(&w, w.train, gates, before),
           dev = gated(&w, w.dev, gates, before);
    for (int l = 0; l < LAYERS; l++) {
        int best = 0;
        double score;
        for (int h = 0; h < HEADS; h++) {
            for (int k = 0; k < HEADS; k++)
                gates[l * HEADS + k] = k == h;
            assert_true(fabs(drop[l * HEADS + h] -
                             (base - gated(&w, w.train, gates, after))) < 1e-15);
            best = drop[l * HEADS + h] < drop[l * HEADS + best] ? h : best;
        }
        /* chosen on train, told on dev */
        for (int k = 0; k < HEADS; k++)
            gates[l * HEADS + k] = k == best;
        score = gated(&w, w.dev, gates, after);
        ones(gates);
        assert_true(fake_doubles(run, "/scores/best_head", LAYERS)[l] == best);
        assert_true(fabs(fake_doubles(run, "/scores/best_ablation", LAYERS)[l] -
                         (dev - score)) < 1e-15);
        assert_true(fabs(fake_doubles(run, "/scores/best_p_value", LAYERS)[l] -
                         mcnemar(before, after, 60)) < 1e-12);
    }
    fake_run_free(run);
    world_close(&w);
}

static void sixteen_heads_7_12_the_only_head_alone_is_the_unchanged_model(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct model *m = small_model(HEAD_CLASSES, 2);
    for (int l = 0; l < LAYERS; l++)
        for (int h = 1; h < HEADS; h++)
            m->block[l].attn.keep[h] = 0;
    assert_ok(model_slice(m, &err), &err);
    struct fake_run *model = small_run(m),
                    *run = make("analyze/ablate", "mode=but_one", model, NULL);
    const double *drop = fake_doubles(run, "/scores/ablation", CELLS);
    for (int l = 0; l < LAYERS; l++) {
        assert_true(drop[l * HEADS] == 0);
        assert_true(isnan(drop[l * HEADS + 1])); /* is not there */
    }
    fake_run_free(run);
    fake_run_free(model);
    model_free(m);
}

/* 1 and 0 for right and wrong, as the paper tests accuracies. */
static void the_t_test_is_of_right_and_wrong(void **state)
{
    (void)state;
    struct world w;
    bool before[60], after[60];
    float gates[CELLS];
    double a[60], b[60];
    world_open(&w);
    struct fake_run *run = make("analyze/ablate", "test=t", w.run, NULL);
    ones(gates);
    gated(&w, w.dev, gates, before);
    gates[2] = 0;
    gated(&w, w.dev, gates, after);
    for (int i = 0; i < 60; i++) {
        a[i] = before[i];
        b[i] = after[i];
    }
    assert_true(fabs(fake_doubles(run, "/scores/p_value", CELLS)[2] -
                     stats_paired_t(a, b, 60).p) < 1e-12);
    fake_run_free(run);
    world_close(&w);
}

static void ablation_by_another_metric(void **state)
{
    (void)state;
    struct fake_run *model = drawn();
    struct fake_run *run = make("analyze/ablate", "metric=f1", model, NULL);
    assert_true(fabs(fake_value(run, "ablate/base") -
                     fake_value(run, "eval/test/words/dev/f1")) < 1e-15);
    refused("analyze/ablate", "metric=bleu", model, NULL, ERR_INPUT,
            "no metric \"bleu\"");
    fake_run_free(run);
    fake_run_free(model);
}

/* ---- pruning ---- */

static const float *masks(struct fake_run *run)
{
    struct err err = ERR_INIT;
    struct array a;
    assert_ok(fake_read(run, "/masks/heads", &a, &err), &err);
    return a.data;
}

static int masked(const float *keep)
{
    int n = 0;
    for (int i = 0; i < CELLS; i++)
        n += keep[i] == 0.0f;
    return n;
}

static void sixteen_heads_7_8_sets_are_nested_and_counts_follow_the_rule(void **state)
{
    (void)state;
    static const char *const orders[] = {"importance", "ablation", "iterative", "random"};
    struct fake_run *model = drawn();
    struct fake_run *heads = make("analyze/heads", "step=0.25", model, NULL);
    struct fake_run *alone = make("analyze/ablate", "", model, NULL);
    for (int o = 0; o < 4; o++) {
        float before[CELLS];
        for (int i = 0; i < CELLS; i++)
            before[i] = 1;
        for (int k = 0; k <= 10; k++) {
            char options[64];
            snprintf(options, sizeof options, "order=%s ratio=%g", orders[o], 0.1 * k);
            struct fake_run *run =
                make("prune/heads", options, model, o == 1 ? alone : heads);
            const float *keep = masks(run);
            assert_int_equal(masked(keep), (int)floor(0.1 * k * CELLS + 1e-9));
            assert_true(fake_value(run, "prune/heads_removed") == masked(keep));
            for (int i = 0; i < CELLS; i++)
                assert_true(keep[i] <= before[i]);
            memcpy(before, keep, sizeof before);
            fake_run_free(run);
        }
    }
    fake_run_free(alone);
    fake_run_free(heads);
    fake_run_free(model);
}

static void the_least_important_heads_go_first(void **state)
{
    (void)state;
    struct fake_run *model = drawn(), *heads = make("analyze/heads", "", model, NULL);
    struct fake_run *run = make("prune/heads", "ratio=0.5", model, heads);
    const double *score = fake_doubles(heads, "/scores/importance", CELLS);
    const float *keep = masks(run);
    for (int i = 0; i < CELLS; i++)
        for (int k = 0; k < CELLS; k++)
            assert_false(keep[i] == 0.0f && keep[k] != 0.0f && score[i] > score[k]);
    fake_run_free(run);
    fake_run_free(heads);
    fake_run_free(model);
}

static void every_layer_keeps_its_least_number_of_heads(void **state)
{
    (void)state;
    struct fake_run *model = drawn(), *heads = make("analyze/heads", "", model, NULL);
    struct fake_run *run = make("prune/heads", "ratio=1 min_heads=1", model, heads);
    const float *keep = masks(run);
    for (int l = 0; l < LAYERS; l++) {
        float left = 0;
        for (int h = 0; h < HEADS; h++)
            left += keep[l * HEADS + h];
        assert_true(left == 1.0f);
    }
    assert_true(fake_value(run, "prune/ratio_requested") == 1);
    assert_true(fake_value(run, "prune/ratio") == 0.75);
    fake_run_free(run);
    fake_run_free(heads);
    fake_run_free(model);
}

/* 20 % and then 50 % of a pruned model is 50 % of it. */
static void masked_heads_count_and_go_first(void **state)
{
    (void)state;
    struct fake_run *model = drawn(), *heads = make("analyze/heads", "", model, NULL);
    struct fake_run *some = make("prune/heads", "ratio=0.25", model, heads);
    struct fake_run *more = make("prune/heads", "ratio=0.5", some, heads);
    struct fake_run *direct = make("prune/heads", "ratio=0.5", model, heads);
    assert_memory_equal(masks(more), masks(direct), CELLS * sizeof(float));
    fake_run_free(direct);
    fake_run_free(more);
    fake_run_free(some);
    fake_run_free(heads);
    fake_run_free(model);
}

/* Score, prune a quarter, score what is left ... by stages of their own. */
static void iterative_order(const char *method, const char *by)
{
    struct fake_run *model = drawn(), *now = model, *path;
    char options[64];
    path = make(method, "step=0.25", model, NULL);
    for (int k = 1; k <= 4; k++) {
        struct fake_run *scores = make(method, "", now, NULL), *next, *whole;
        snprintf(options, sizeof options, "order=%s ratio=%g", by, 0.25 * k);
        next = make("prune/heads", options, now, scores);
        snprintf(options, sizeof options, "order=iterative ratio=%g", 0.25 * k);
        whole = make("prune/heads", options, model, path);
        assert_memory_equal(masks(next), masks(whole), CELLS * sizeof(float));
        fake_run_free(whole);
        fake_run_free(scores);
        if (now != model)
            fake_run_free(now);
        now = next;
    }
    fake_run_free(now);
    fake_run_free(path);
    fake_run_free(model);
}

static void iterative_pruning_equals_scoring_and_pruning_by_turns(void **state)
{
    (void)state;
    iterative_order("analyze/heads", "importance");
    iterative_order("analyze/ablate", "ablation");
}

static void the_iterative_order_is_recorded_round_by_round(void **state)
{
    (void)state;
    struct fake_run *model = drawn(), *one = make("analyze/heads", "", model, NULL);
    struct fake_run *run = make("analyze/heads", "step=0.25", model, NULL);
    const double *order = fake_doubles(run, "/scores/order", CELLS);
    const double *rounds = fake_doubles(run, "/scores/rounds", 4 * CELLS);
    const double *score = fake_doubles(run, "/scores/importance", CELLS);
    bool seen[CELLS] = {false};
    assert_true(same_bits(score, fake_doubles(one, "/scores/importance", CELLS), CELLS));
    assert_true(same_bits(score, rounds, CELLS));
    for (int i = 0; i < CELLS; i++) {
        assert_true(order[i] >= 0 && order[i] < CELLS);
        seen[(int)order[i]] = true;
        for (int k = 0; k < 4; k++)
            assert_true(isnan(rounds[k * CELLS + i]) == (order[i] < 2 * k));
    }
    for (int i = 0; i < CELLS; i++)
        assert_true(seen[i]);
    refused("prune/heads", "order=iterative ratio=0.5", model, one, ERR_MISSING,
            "made with a step");
    fake_run_free(run);
    fake_run_free(one);
    fake_run_free(model);
}

static void steps_and_modes_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *method, *options, *said;
    } cases[] = {
        {"analyze/heads", "step=1e-9", "at least 0.001"},
        {"analyze/ablate", "step=1e-9", "at least 0.001"},
        {"analyze/ablate", "mode=but_one step=0.5", "needs mode \"one\""},
        {"analyze/ablate", "report_split=dev", "needs mode \"but_one\""},
        {"prune/magnitude", "ratio=0.3 scope=n:m", "so ratio is 0.5, not 0.3"},
        {"prune/magnitude", "ratio=0.3 keep=best eval_split=dev", "leave out keep"},
    };
    struct err err = ERR_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct method *m = method_find(cases[i].method);
        struct fake_stage f = {.n_inputs = 0};
        fake_options(&f, m, cases[i].options);
        assert_fails(m->check(f.options, &err), &err, ERR_INPUT, cases[i].said);
        fake_options_free(&f, m);
    }
}

/* Stopped at any checkpoint and run again: the same bits. */
static void resumes(const char *method, const char *options, const char *path, int64_t n)
{
    struct fake_run *model = drawn(), *whole = make(method, options, model, NULL);
    for (int64_t stop = 1; stop < 40; stop += 5) {
        struct fake_stage *f = small_stage(model);
        f->stop_after = stop;
        if (fake_try(f, method, options)) {
            assert_int_equal(f->st.err.code, ERR_STOPPED);
            err_clear(&f->st.err);
            assert_ok(fake_try(f, method, options), &f->st.err);
        }
        assert_true(
            same_bits(fake_doubles(f->out, path, n), fake_doubles(whole, path, n), n));
        fake_release(f);
        free(f);
    }
    fake_run_free(whole);
    fake_run_free(model);
}

static void a_stopped_scoring_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    resumes("analyze/heads", "batch=7", "/scores/importance", CELLS);
    resumes("analyze/heads", "step=0.25 batch=7", "/scores/rounds", 4 * CELLS);
    resumes("analyze/heads", "step=0.25 batch=7", "/scores/order", CELLS);
    resumes("analyze/ablate", "", "/scores/p_value", CELLS);
    resumes("analyze/ablate", "step=0.5", "/scores/order", CELLS);
}

/* ---- removal ---- */

static double normwise(struct fake_run *a, struct fake_run *b)
{
    struct err err = ERR_INIT;
    struct array x, y;
    double apart = 0, size = 0;
    assert_ok(fake_read(a, "/eval/test/words/dev/logits", &x, &err), &err);
    assert_ok(fake_read(b, "/eval/test/words/dev/logits", &y, &err), &err);
    for (int64_t i = 0; i < shape_count(x.shape); i++) {
        double u = (double)((const float *)x.data)[i],
               v = (double)((const float *)y.data)[i];
        apart += (u - v) * (u - v);
        size += v * v;
    }
    return sqrt(apart / size);
}

static void a_sliced_model_predicts_what_the_masked_one_did(void **state)
{
    (void)state;
    struct fake_run *model = drawn();
    struct fake_run *masked_run =
        make("prune/heads", "ratio=0.625 order=random", model, NULL);
    struct fake_run *sliced = make("prune/slice", "", masked_run, NULL);
    struct fake_run *before = make("evaluate", "", masked_run, NULL);
    struct fake_run *after = make("evaluate", "", sliced, NULL);
    struct fake_run *whole = make("evaluate", "", model, NULL);
    assert_true(normwise(after, before) <= 1e-5);
    assert_true(normwise(whole, before) > 1e-2); /* the heads did something */
    assert_true(fake_value(sliced, "prune/parameters_removed") ==
                5 * (4 * WIDTH * DIM + 3 * DIM));
    assert_true(fake_value(sliced, "prune/parameters_before") -
                    fake_value(sliced, "prune/parameters_removed") ==
                fake_value(sliced, "prune/parameters"));
    assert_true(fake_value(sliced, "model/parameters") ==
                fake_value(sliced, "prune/parameters"));
    fake_run_free(whole);
    fake_run_free(after);
    fake_run_free(before);
    fake_run_free(sliced);
    fake_run_free(masked_run);
    fake_run_free(model);
}

/* Speed is told, and is no result. */
static void the_speed_is_kept_with_the_environment(void **state)
{
    (void)state;
    struct fake_run *model = drawn(),
                    *half = make("prune/heads", "ratio=0.5 order=random", model, NULL);
    struct fake_run *run =
        make("prune/slice", "measure=1,3 tokens=8 repeats=2", half, NULL);
    const double *masked_speed = fake_doubles(run, "/measure/masked", 2);
    const double *speed = fake_doubles(run, "/measure/sliced", 2);
    int timed = 0;
    assert_true(fake_doubles(run, "/measure/batch", 2)[1] == 3);
    for (int i = 0; i < 2; i++) {
        assert_true(speed[i] > 0 && masked_speed[i] > 0);
        assert_true(fabs(fake_doubles(run, "/measure/gain", 2)[i] -
                         (speed[i] / masked_speed[i] - 1)) < 1e-12);
    }
    for (int64_t i = 0; i < run->n_items; i++) {
        bool measured = !strncmp(run->item[i].path, "/measure/", 9);
        assert_true(measured == (run->item[i].cls == RECORD_ENV));
        timed += measured;
    }
    assert_int_equal(timed, 4);
    fake_run_free(run);
    fake_run_free(half);
    fake_run_free(model);
}

/* ---- correlation ---- */

static void correlations_of_two_data_sets(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct fake_run *model = drawn();
    struct fake_run *dev = make("analyze/ablate", "split=dev", model, NULL);
    struct fake_run *train = make("analyze/ablate", "split=train", model, NULL);
    struct fake_stage *f = calloc(1, sizeof *f);
    struct test_result r, rho;
    fake_give(f, "scores", dev);
    fake_give(f, "scores", train);
    assert_ok(fake_try(f, "analyze/correlate", ""), &f->st.err);
    const double *x = fake_doubles(dev, "/scores/ablation", CELLS);
    const double *y = fake_doubles(train, "/scores/ablation", CELLS);
    assert_ok(stats_pearson(&r, x, y, CELLS, &err), &err);
    assert_ok(stats_spearman(&rho, x, y, CELLS, &err), &err);
    assert_true(fabs(fake_value(f->out, "correlate/pearson") - r.statistic) < 1e-15);
    assert_true(fabs(fake_value(f->out, "correlate/pearson_p") - r.p) < 1e-15);
    assert_true(fabs(fake_value(f->out, "correlate/spearman") - rho.statistic) < 1e-15);
    assert_true(fabs(fake_doubles(f->out, "/stats/pearson", 4)[0] - 1) < 1e-12);
    assert_true(fake_value(f->out, "correlate/cells") == CELLS);
    fake_release(f);
    fake_give(f, "scores", dev);
    assert_fails(fake_try(f, "analyze/correlate", ""), &f->st.err, ERR_INPUT,
                 "correlate with nothing");
    fake_give(f, "scores", dev);
    assert_fails(fake_try(f, "analyze/correlate", "field=importance"), &f->st.err,
                 ERR_MISSING, "/scores/importance");
    fake_release(f);
    free(f);
    fake_run_free(train);
    fake_run_free(dev);
    fake_run_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            sixteen_heads_7_4_raw_scores_are_positive_and_layers_have_norm_one),
        cmocka_unit_test(a_layer_without_gradient_has_scores_of_zero),
        cmocka_unit_test(
            sixteen_heads_7_5_a_factor_of_a_layer_changes_no_normalised_score),
        cmocka_unit_test(positions_exceed_samples_and_samples_batches),
        cmocka_unit_test(scores_of_samples_do_not_depend_on_the_batch),
        cmocka_unit_test(sixteen_heads_7_7_a_duplicate_head_has_the_same_importance),
        cmocka_unit_test(sixteen_heads_7_10_scores_have_the_same_bits_for_any_threads),
        cmocka_unit_test(predictions_from_a_prefix_have_the_same_bits),
        cmocka_unit_test(every_ablation_equals_brute_force),
        cmocka_unit_test(sixteen_heads_7_12_all_but_one_equals_masking_the_complement),
        cmocka_unit_test(sixteen_heads_7_12_the_only_head_alone_is_the_unchanged_model),
        cmocka_unit_test(the_t_test_is_of_right_and_wrong),
        cmocka_unit_test(ablation_by_another_metric),
        cmocka_unit_test(sixteen_heads_7_8_sets_are_nested_and_counts_follow_the_rule),
        cmocka_unit_test(the_least_important_heads_go_first),
        cmocka_unit_test(every_layer_keeps_its_least_number_of_heads),
        cmocka_unit_test(masked_heads_count_and_go_first),
        cmocka_unit_test(iterative_pruning_equals_scoring_and_pruning_by_turns),
        cmocka_unit_test(the_iterative_order_is_recorded_round_by_round),
        cmocka_unit_test(steps_and_modes_that_make_no_sense_are_refused),
        cmocka_unit_test(a_stopped_scoring_goes_on_to_the_same_bits),
        cmocka_unit_test(a_sliced_model_predicts_what_the_masked_one_did),
        cmocka_unit_test(the_speed_is_kept_with_the_environment),
        cmocka_unit_test(correlations_of_two_data_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
