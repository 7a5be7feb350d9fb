/* Neurons of the feed-forward layers: which stay, what moves their scores, how alike they
 * are, and that a silent neuron is an absent one. Names carry the items of GUM's card. */
#include "small_decoder.h"

#include "../../methods/prune/neurons.h"
#include "retort/pool.h"

static const enum hf_arch archs[] = {HF_GPT2, HF_GPT_NEO, HF_LLAMA};
enum { ARCHS = 3 };

/* ---- the schedule ---- */

static void
gum_9_10_the_share_stays_then_falls_as_a_cubic_and_stays_at_the_target(void **state)
{
    (void)state;
    for (int64_t t = 0; t <= 10; t++)
        assert_true(neurons_schedule(t, 100, 0.1, 0.3, 1, 0.25) == 1);
    for (int64_t t = 70; t <= 100; t++)
        assert_true(neurons_schedule(t, 100, 0.1, 0.3, 1, 0.25) == 0.25);
    for (int64_t t = 11; t < 70; t++) {
        double left = 1 - (double)(t - 10) / 60;
        double v = neurons_schedule(t, 100, 0.1, 0.3, 1, 0.25);
        assert_true(fabs(v - (0.25 + 0.75 * left * left * left)) < 1e-12);
        assert_true(v < neurons_schedule(t - 1, 100, 0.1, 0.3, 1, 0.25));
    }
}

static void a_schedule_without_a_middle_is_a_step(void **state)
{
    (void)state;
    assert_true(neurons_schedule(50, 100, 0.5, 0.5, 1, 0) == 1);
    assert_true(neurons_schedule(51, 100, 0.5, 0.5, 1, 0) == 0);
    assert_true(neurons_schedule(0, 1, 0, 1, 1, 0) == 1);
    assert_true(neurons_schedule(1, 1, 0, 0, 1, 0) == 0);
}

/* ---- rankings ---- */

enum { SIZE_A = 7, SIZE_B = 13, SIZE_C = 4, ALL = SIZE_A + SIZE_B + SIZE_C };
static int64_t firsts[] = {0, SIZE_A, SIZE_A + SIZE_B, ALL};
static const struct neuron_list three = {3, firsts};

static int64_t kept(const float *keep, int64_t layer)
{
    int64_t from = layer < 0 ? 0 : firsts[layer], n = 0;
    int64_t to = layer < 0 ? ALL : firsts[layer + 1];

    for (int64_t j = from; j < to; j++)
        n += keep[j] != 0;
    return n;
}

static void draw(double *score, uint64_t seed)
{
    struct rng rng = rng_stream(seed, "scores");

    for (int j = 0; j < ALL; j++)
        score[j] = rng_normal(&rng);
}

static void gum_9_4_a_global_ranking_keeps_the_share_of_all_neurons(void **state)
{
    struct neuron_rule rule = {.global = true};
    struct err err = ERR_INIT;
    double score[ALL];
    float keep[ALL];
    bool differ = false;

    (void)state;
    draw(score, 1);
    for (int i = 0; i <= 20; i++) {
        double v = i / 20.0;
        assert_ok(neurons_top(keep, score, &three, v, &rule, &err), &err);
        assert_int_equal(kept(keep, -1), (int64_t)floor(v * ALL + 1e-9));
        for (int j = 0; j < ALL; j++)
            for (int k = 0; k < ALL; k++)
                assert_false(keep[j] == 0 && keep[k] != 0 && score[j] > score[k]);
        differ |= kept(keep, 0) != (int64_t)floor(v * SIZE_A + 1e-9);
    }
    assert_true(differ); /* layers have shares of their own */
}

static void gum_9_5_a_ranking_by_layer_keeps_the_share_of_each(void **state)
{
    struct neuron_rule local = {.global = false}, global = {.global = true};
    struct neuron_list one = {1, (int64_t[]){0, ALL}};
    struct err err = ERR_INIT;
    double score[ALL];
    float keep[ALL], other[ALL];

    (void)state;
    draw(score, 2);
    for (int i = 0; i <= 20; i++) {
        double v = i / 20.0;
        assert_ok(neurons_top(keep, score, &three, v, &local, &err), &err);
        for (int l = 0; l < 3; l++)
            assert_int_equal(
                kept(keep, l),
                (int64_t)floor(v * (double)(firsts[l + 1] - firsts[l]) + 1e-9));
        assert_ok(neurons_top(keep, score, &one, v, &local, &err), &err);
        assert_ok(neurons_top(other, score, &one, v, &global, &err), &err);
        assert_memory_equal(keep, other, sizeof keep);
    }
}

static void each_layer_keeps_its_least(void **state)
{
    struct neuron_rule rule = {.global = true, .least = 3};
    struct err err = ERR_INIT;
    double score[ALL];
    float keep[ALL];

    (void)state;
    for (int j = 0; j < ALL; j++)
        score[j] = j; /* the last layers win */
    assert_ok(neurons_top(keep, score, &three, 0.5, &rule, &err), &err);
    assert_int_equal(kept(keep, 0), 3);
    assert_int_equal(kept(keep, 1), 5);
    assert_int_equal(kept(keep, 2), 4);
    assert_true(keep[SIZE_A - 1] != 0 && keep[0] == 0); /* its own best */
    assert_ok(neurons_top(keep, score, &three, 0, &rule, &err), &err);
    assert_int_equal(kept(keep, -1), 9);
    rule.least = 100;
    assert_ok(neurons_top(keep, score, &three, 0, &rule, &err), &err);
    assert_int_equal(kept(keep, -1), ALL);
    rule = (struct neuron_rule){.least = 3};
    assert_ok(neurons_top(keep, score, &three, 0.1, &rule, &err), &err);
    for (int l = 0; l < 3; l++)
        assert_int_equal(kept(keep, l), 3);
}

static void of_equal_scores_the_earlier_go_unless_ties_stay(void **state)
{
    struct neuron_rule cut = {.global = true}, stay = {.global = true, .ties = true};
    struct err err = ERR_INIT;
    double score[ALL] = {0};
    float keep[ALL];

    (void)state;
    assert_ok(neurons_top(keep, score, &three, 0.5, &cut, &err), &err);
    for (int j = 0; j < ALL; j++)
        assert_true((keep[j] != 0) == (j >= ALL / 2));
    assert_ok(neurons_top(keep, score, &three, 0.5, &stay, &err), &err);
    assert_int_equal(kept(keep, -1), ALL);
    assert_ok(neurons_top(keep, score, &three, 0, &stay, &err), &err);
    assert_int_equal(kept(keep, -1), 0);
    score[3] = -1;
    score[5] = 1;
    assert_ok(neurons_top(keep, score, &three, 0.5, &stay, &err), &err);
    assert_true(kept(keep, -1) == ALL - 1 && keep[3] == 0);
    score[5] = (double)NAN; /* what is no number goes first */
    assert_ok(neurons_top(keep, score, &three, 0.97, &cut, &err), &err);
    assert_true(kept(keep, -1) == ALL - 1 && keep[5] == 0);
}

static void soft_keeps_what_passes_the_threshold_and_at_least_the_share(void **state)
{
    struct neuron_rule rule = {.global = false};
    struct err err = ERR_INIT;
    double score[ALL];
    float keep[ALL], top[ALL];

    (void)state;
    draw(score, 3);
    assert_ok(neurons_soft(keep, score, &three, 0, 0.25, &rule, &err), &err);
    assert_int_equal(kept(keep, -1), ALL);
    assert_ok(neurons_soft(keep, score, &three, 0.3, 0, &rule, &err), &err);
    for (int j = 0; j < ALL; j++)
        assert_true((keep[j] != 0) == (1 / (1 + exp(-score[j])) > 0.3));
    assert_ok(neurons_soft(keep, score, &three, 0.999, 0.5, &rule, &err), &err);
    assert_ok(neurons_top(top, score, &three, 0.5, &rule, &err), &err);
    assert_memory_equal(keep, top, sizeof keep);
}

/* ---- a silent neuron is an absent one ---- */

struct world {
    struct err err;
    struct arena *arena;
    struct pool *pool;
    struct tape *tape;
    struct batch batch;
};

static void world_open(struct world *w, enum dtype compute)
{
    *w = (struct world){.err = ERR_INIT};
    w->arena = arena_new(&w->err);
    w->pool = pool_new(2, &w->err);
    w->tape = tape_new(w->pool, compute, &w->err);
    tiny_batch(&w->batch, 5, 3, w->arena);
    assert_ok(0, &w->err);
}

static void world_close(struct world *w)
{
    tape_free(w->tape);
    pool_free(w->pool);
    arena_free(w->arena);
}

/* Logits of all rows, in the arena. */
static double *logits(struct world *w, struct model *m)
{
    int64_t n = w->batch.n_tok * m->cfg.vocab;
    double *v = arena_alloc(w->arena, n * 8);
    struct pass p;

    pass_begin(&p, w->tape, m, &w->batch, TAPE_EVAL, PASS_LOGITS);
    struct output out = model_forward(&p);
    assert_ok(tape_failed(w->tape, &w->err), &w->err);
    for (int64_t i = 0; i < n; i++)
        v[i] = tensor_get(out.logits, i);
    return v;
}

static double distance(const double *a, const double *b, int64_t n)
{
    double d = 0, s = 0;

    for (int64_t i = 0; i < n; i++) {
        d += (a[i] - b[i]) * (a[i] - b[i]);
        s += b[i] * b[i];
    }
    return sqrt(d / s);
}

/* Every second neuron of layer 0, all of layer 1. */
static int64_t silence(struct model *m)
{
    for (int64_t j = 0; j < TINY_FFN; j++) {
        m->block[0].neuron_keep[j] = (float)(j % 2);
        m->block[1].neuron_keep[j] = 0;
    }
    return TINY_FFN / 2 + TINY_FFN;
}

static void slice_equals_mask(enum hf_arch arch, bool ref)
{
    struct model *m = tiny_model(arch);
    struct world w;
    int64_t gone = silence(m), before = model_count(m);
    int64_t each = m->block[0].ffn_gate.weight ? 3 * TINY_WIDTH : 2 * TINY_WIDTH + 1;

    world_open(&w, DT_F32);
    int64_t n = w.batch.n_tok * m->cfg.vocab;
    double *silent = logits(&w, m);
    assert_ok(model_mask_neurons(m, &w.err), &w.err);
    assert_true(m->block[0].neuron_keep[0] == 1);
    assert_true(block_neuron_masked(&m->block[0], 0));
    assert_false(block_neuron_masked(&m->block[0], 1));
    assert_int_equal(model_count_nonzero(m), before - gone * each);
    double *masked = logits(&w, m);
    assert_memory_equal(silent, masked, (size_t)n * sizeof *masked);
    assert_ok(model_slice(m, &w.err), &w.err);
    assert_int_equal(model_count(m), before - gone * each);
    assert_int_equal(m->cfg.ffn_kept[0], TINY_FFN / 2);
    assert_int_equal(m->cfg.ffn_kept[1], 0);
    double *sliced = logits(&w, m);
    assert_true(distance(sliced, masked, n) < 1e-6);
    if (ref) /* plain C adds in one order, and adding a zero changes no bit */
        assert_memory_equal(sliced, masked, (size_t)n * sizeof *masked);
    world_close(&w);
    model_free(m);
}

static void gum_9_2_a_masked_model_is_the_sliced_one(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    for (int i = 0; i < ARCHS; i++)
        slice_equals_mask(archs[i], false);
    assert_ok(kernels_select("ref", &err), &err);
    for (int i = 0; i < ARCHS; i++)
        slice_equals_mask(archs[i], true);
    assert_ok(kernels_select(NULL, &err), &err);
}

static void what_is_not_masked_whole_is_not_removed(void **state)
{
    struct model *m = tiny_model(HF_GPT2);
    struct world w;

    (void)state;
    world_open(&w, DT_F32);
    silence(m);
    assert_ok(model_mask_neurons(m, &w.err), &w.err);
    m->block[0].ffn_in.bias->mask[0] = 1;
    assert_false(block_neuron_masked(&m->block[0], 0));
    assert_ok(model_slice(m, &w.err), &w.err);
    assert_int_equal(m->cfg.ffn_kept[0], TINY_FFN / 2 + 1);
    world_close(&w);
    model_free(m);
}

static void copies_of_a_model_have_its_silent_neurons(void **state)
{
    struct model *m = tiny_model(HF_GPT2), *copy = NULL;
    struct world w;

    (void)state;
    world_open(&w, DT_F32);
    int64_t n = w.batch.n_tok * m->cfg.vocab;
    double *all = logits(&w, m);
    silence(m);
    double *a = logits(&w, m);
    assert_true(distance(all, a, n) > 1e-3);
    assert_ok(model_clone(&copy, m, &w.err), &w.err);
    assert_memory_equal(a, logits(&w, copy), (size_t)n * sizeof *a);
    model_free(copy);
    world_close(&w);
    model_free(m);
}

/* ---- gradients ---- */

static double loss_of(struct world *w, struct model *m, int flags)
{
    struct pass p;

    pass_begin(&p, w->tape, m, &w->batch, flags, 0);
    struct output out = model_forward(&p);
    struct tensor *l = model_loss(&p, &out, NULL);
    tape_backward(w->tape, l, 1);
    assert_ok(tape_failed(w->tape, &w->err), &w->err);
    return tensor_get(l, 0);
}

static void need_gradients(struct world *w, struct model *m)
{
    for (int64_t k = 0; k < m->n_params; k++)
        assert_ok(param_need_grad(m->param[k], w->arena, &w->err), &w->err);
}

/* Row j of W_in (and W_gate) and column j of W_out times f; not the bias. */
static void stretch(struct block *b, int64_t j, float f)
{
    struct param *rows[] = {b->ffn_in.weight, b->ffn_gate.weight};
    float *out = tensor_f32(&b->ffn_out.weight->value);

    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; rows[k] && i < TINY_WIDTH; i++)
            tensor_f32(&rows[k]->value)[j * TINY_WIDTH + i] *= f;
    for (int64_t k = 0; k < TINY_WIDTH; k++)
        out[k * TINY_FFN + j] *= f;
    param_touch(b->ffn_in.weight);
    param_touch(b->ffn_out.weight);
    if (rows[1])
        param_touch(rows[1]);
}

/* With b1 = 0 the gradient of a score is the derivative of the loss in one gate that
 * multiplies row and column together. */
static void gradient_is_of_a_gate(enum hf_arch arch)
{
    struct model *m = tiny_model(arch);
    struct world w;
    double grad[TINY_FFN], by_difference[TINY_FFN];
    float eps = 1.0f / 1024;

    world_open(&w, DT_F64);
    need_gradients(&w, m);
    for (int l = 0; l < TINY_LAYERS; l++)
        if (m->block[l].ffn_in.bias)
            memset(m->block[l].ffn_in.bias->value.data, 0, TINY_FFN * 4);
    m->block[1].neuron_keep[4] = 0;
    loss_of(&w, m, TAPE_GRAD);
    neurons_gradient(grad, &m->block[1]);
    assert_true(grad[4] == 0);
    for (int64_t j = 0; j < TINY_FFN; j++) {
        struct model *up = NULL, *down = NULL;
        assert_ok(model_clone(&up, m, &w.err), &w.err);
        assert_ok(model_clone(&down, m, &w.err), &w.err);
        stretch(&up->block[1], j, 1 + eps);
        stretch(&down->block[1], j, 1 - eps);
        by_difference[j] = (loss_of(&w, up, TAPE_EVAL) - loss_of(&w, down, TAPE_EVAL)) /
                           (2 * (double)eps);
        model_free(down);
        model_free(up);
    }
    assert_true(distance(grad, by_difference, TINY_FFN) < 1e-4);
    world_close(&w);
    model_free(m);
}

static void gum_9_3_the_gradient_of_a_score_is_that_of_a_gate(void **state)
{
    (void)state;
    for (int i = 0; i < ARCHS; i++)
        gradient_is_of_a_gate(archs[i]);
}

/* The two sums, written out, also with biases and on a float tape. */
static void gum_9_3_the_gradient_of_a_score_is_the_sum_of_two_terms(void **state)
{
    struct model *m = tiny_model(HF_GPT2);
    struct world w;
    double grad[TINY_FFN];

    (void)state;
    world_open(&w, DT_F32);
    need_gradients(&w, m);
    for (int64_t j = 0; j < TINY_FFN; j += 3)
        m->block[0].neuron_keep[j] = 0;
    loss_of(&w, m, TAPE_GRAD);
    neurons_gradient(grad, &m->block[0]);
    const struct param *in = m->block[0].ffn_in.weight, *out = m->block[0].ffn_out.weight;
    for (int64_t j = 0; j < TINY_FFN; j++) {
        double a = 0, b = 0;
        for (int64_t i = 0; i < TINY_WIDTH; i++)
            a += (double)in->grad[j * TINY_WIDTH + i] *
                 (double)tensor_f32(&in->value)[j * TINY_WIDTH + i];
        for (int64_t k = 0; k < TINY_WIDTH; k++)
            b += (double)out->grad[k * TINY_FFN + j] *
                 (double)tensor_f32(&out->value)[k * TINY_FFN + j];
        assert_true(fabs(grad[j] - (a + b)) <= 1e-12 * (fabs(a) + fabs(b)));
        assert_true((grad[j] == 0) == (j % 3 == 0));
    }
    world_close(&w);
    model_free(m);
}

/* ---- likeness ---- */

enum { TOKENS = 40, SIX = 6 };
static const struct neuron_list six = {1, (int64_t[]){0, SIX}};

/* One step over outputs h (TOKENS, SIX); C comes back in *c. */
static void likeness(double *u, const float *h, double weight, double v, float *c)
{
    struct world w;
    struct likeness k;

    world_open(&w, DT_F32);
    assert_ok(likeness_init(&k, &six, 0.999, w.arena, &w.err), &w.err);
    tape_begin(w.tape, TAPE_EVAL);
    likeness_add(&k, w.tape, 0, tape_constant(w.tape, SHAPE(TOKENS, SIX), h));
    assert_ok(tape_failed(w.tape, &w.err), &w.err);
    likeness_step(&k, u, weight, v, w.pool);
    if (c)
        memcpy(c, k.mean[0], SIX * SIX * sizeof *c);
    world_close(&w);
}

static double sim(const float *c, int i, int j)
{
    return likeness_of((double)c[i * SIX + j], (double)c[i * SIX + i],
                       (double)c[j * SIX + j]);
}

/* Neuron 1 doubles 0; 2 is three times it; 3 is masked; 4 and 5 speak in turns. */
static void outputs(float *h, uint64_t seed)
{
    struct rng rng = rng_stream(seed, "outputs");

    for (int t = 0; t < TOKENS; t++) {
        float a = (float)rng_normal(&rng), b = (float)rng_normal(&rng);
        float row[SIX] = {a, a, 3 * a, 0, t % 2 ? b : 0, t % 2 ? 0 : b};
        memcpy(h + t * SIX, row, sizeof row);
    }
}

static void
gum_9_6_likeness_is_symmetric_one_of_doubles_and_none_of_strangers(void **state)
{
    float h[TOKENS * SIX], c[SIX * SIX];
    double u[SIX];

    (void)state;
    outputs(h, 1);
    likeness(u, h, 1, 1, c);
    for (int i = 0; i < SIX; i++)
        for (int j = 0; j < SIX; j++)
            assert_true(fabs(sim(c, i, j) - sim(c, j, i)) < 1e-6);
    for (int i = 0; i < SIX; i++)
        assert_true(i == 3 ? sim(c, i, i) == 0 : fabs(sim(c, i, i) - 1) < 1e-5);
    assert_true(fabs(sim(c, 0, 1) - 1) < 1e-5);
    assert_true(fabs(sim(c, 0, 2) - 1) < 1e-5); /* a positive factor changes nothing */
    assert_true(fabs(sim(c, 1, 4) - sim(c, 2, 4)) < 1e-5);
    assert_true(sim(c, 3, 0) == 0 && sim(c, 4, 5) == 0);
}

static void gum_9_7_a_double_raises_the_likeness_of_both_copies(void **state)
{
    float h[TOKENS * SIX];
    double alone[SIX], both[SIX], twice[SIX];
    struct rng rng = rng_stream(4, "strangers");

    (void)state;
    for (int i = 0; i < TOKENS * SIX; i++)
        h[i] = (float)rng_normal(&rng);
    likeness(alone, h, 1, 1, NULL);
    for (int t = 0; t < TOKENS; t++)
        h[t * SIX + 5] = h[t * SIX];
    likeness(both, h, 1, 1, NULL);
    assert_true(both[0] > alone[0] + 0.05 && both[5] > alone[5] + 0.05);
    likeness(twice, h, 2, 0.25, NULL); /* lambda_gum and 1 / v are factors */
    for (int i = 0; i < SIX; i++)
        assert_true(fabs(twice[i] - 8 * both[i]) < 1e-9);
    likeness(twice, h, 0, 1, NULL);
    for (int i = 0; i < SIX; i++)
        assert_true(twice[i] == 0);
}

/* U written out from sim. */
static void likeness_is_the_mean_of_absolute_similarities(void **state)
{
    float h[TOKENS * SIX], c[SIX * SIX];
    double u[SIX];

    (void)state;
    outputs(h, 2);
    likeness(u, h, 1.5, 0.5, c);
    for (int j = 0; j < SIX; j++) {
        double sum = 0;
        for (int i = 0; i < SIX; i++)
            sum += i == j ? 0 : fabs(sim(c, i, j));
        assert_true(fabs(u[j] - 1.5 * sum / (SIX * 0.5)) < 1e-12 + 1e-9 * sum);
    }
}

/* The penalty's gradient is that of R with U held: a difference of R alone. */
static void gum_9_7_the_penalty_takes_u_for_a_constant(void **state)
{
    double score[ALL], u[ALL], grad[ALL] = {0}, eps = 1e-5;

    (void)state;
    draw(score, 5);
    draw(u, 6);
    for (int j = 0; j < ALL; j++)
        u[j] = fabs(u[j]);
    neurons_penalty(grad, score, u, &three, 9, 0.7);
    for (int j = 0; j < ALL; j++) {
        double was = score[j], d;
        score[j] = was + eps;
        d = neurons_penalty(NULL, score, u, &three, 9, 1);
        score[j] = was - eps;
        d = 0.7 * (d - neurons_penalty(NULL, score, u, &three, 9, 1)) / (2 * eps);
        score[j] = was;
        assert_true(fabs(d - grad[j]) < 1e-9);
    }
    double plain = neurons_penalty(NULL, score, NULL, &three, 1, 1);
    memset(u, 0, sizeof u);
    assert_true(plain == neurons_penalty(NULL, score, u, &three, 1, 1));
}

static void the_average_of_products_forgets_by_beta(void **state)
{
    struct world w;
    struct likeness k;
    float h[TOKENS * SIX];
    double u[SIX];

    (void)state;
    outputs(h, 3);
    world_open(&w, DT_F32);
    assert_ok(likeness_init(&k, &six, 0.25, w.arena, &w.err), &w.err);
    for (int step = 0; step < 3; step++) {
        tape_begin(w.tape, TAPE_EVAL);
        for (int half = 0; half < 2; half++) /* two micro-batches are one batch */
            likeness_add(&k, w.tape, 0,
                         tape_constant(w.tape, SHAPE(TOKENS / 2, SIX),
                                       h + half * TOKENS / 2 * SIX));
        likeness_step(&k, u, 1, 1, w.pool);
    }
    double want = 0, now = 0;
    for (int t = 0; t < TOKENS; t++)
        now += (double)h[t * SIX] * (double)h[t * SIX + 2];
    for (int step = 0; step < 3; step++)
        want = 0.75 * want + 0.25 * now;
    assert_true(fabs((double)k.mean[0][2] - want) < 1e-5 * fabs(want));
    world_close(&w);
}

/* ---- soft labels over a vocabulary ---- */

enum { SOFT_ROWS = 5, SOFT_WIDTH = 6, SOFT_OTHER = 4, SOFT_CLASSES = 7 };

static double soft_distance(struct tape *t, struct param *x, struct param *w,
                            const float *xt, const float *wt, bool fused, bool back)
{
    struct err err = ERR_INIT;
    double temperature = 1.7;
    struct tensor *loss, *a, *b;

    tape_begin(t, TAPE_GRAD);
    a = tape_constant(t, SHAPE(SOFT_ROWS, SOFT_OTHER), xt);
    b = tape_constant(t, SHAPE(SOFT_CLASSES, SOFT_OTHER), wt);
    if (fused) {
        loss = linear_distill(t, tape_param(t, x), tape_param(t, w), a, b, temperature);
    } else { /* T^2 / M sum p (log p - log q) */
        struct tensor *log_p =
            log_softmax(t, scale(t, linear(t, a, b, NULL), 1 / temperature));
        struct tensor *log_q =
            log_softmax(t, scale(t, linear(t, tape_param(t, x), tape_param(t, w), NULL),
                                 1 / temperature));
        struct tensor *p = softmax(t, scale(t, linear(t, a, b, NULL), 1 / temperature));
        loss = sum_all(t, mul(t, p, add(t, log_p, scale(t, log_q, -1))));
        loss = scale(t, loss, temperature * temperature / SOFT_ROWS);
    }
    x->fresh = w->fresh = back;
    if (back)
        tape_backward(t, loss, 1);
    assert_ok(tape_failed(t, &err), &err);
    return tensor_get(loss, 0);
}

static void soft_labels_over_a_vocabulary_are_those_of_its_parts(void **state)
{
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);
    struct param x, w;
    struct rng rng = rng_stream(3, "soft");
    float xt[SOFT_ROWS * SOFT_OTHER], wt[SOFT_CLASSES * SOFT_OTHER];

    (void)state;
    assert_ok(param_init(&x, arena, "x", SHAPE(SOFT_ROWS, SOFT_WIDTH), &err), &err);
    assert_ok(param_init(&w, arena, "w", SHAPE(SOFT_CLASSES, SOFT_WIDTH), &err), &err);
    assert_ok(param_need_grad(&x, arena, &err), &err);
    assert_ok(param_need_grad(&w, arena, &err), &err);
    for (int i = 0; i < SOFT_ROWS * SOFT_WIDTH; i++)
        tensor_f32(&x.value)[i] = (float)rng_normal(&rng);
    for (int i = 0; i < SOFT_CLASSES * SOFT_WIDTH; i++)
        tensor_f32(&w.value)[i] = (float)rng_normal(&rng);
    for (int i = 0; i < SOFT_ROWS * SOFT_OTHER; i++)
        xt[i] = (float)rng_normal(&rng);
    for (int i = 0; i < SOFT_CLASSES * SOFT_OTHER; i++)
        wt[i] = (float)rng_normal(&rng);
    for (int f64 = 0; f64 < 2; f64++) {
        struct tape *t = tape_new(NULL, f64 ? DT_F64 : DT_F32, &err);
        float grad[2][SOFT_CLASSES * SOFT_WIDTH], grad_x[2][SOFT_ROWS * SOFT_WIDTH];
        double loss[2], want[SOFT_CLASSES * SOFT_WIDTH], want_x[SOFT_ROWS * SOFT_WIDTH];
        for (int fused = 0; fused < 2; fused++) {
            loss[fused] = soft_distance(t, &x, &w, xt, wt, fused, true);
            memcpy(grad[fused], w.grad, sizeof grad[0]);
            memcpy(grad_x[fused], x.grad, sizeof grad_x[0]);
        }
        for (int i = 0; i < SOFT_CLASSES * SOFT_WIDTH; i++)
            want[i] = (double)grad[0][i];
        for (int i = 0; i < SOFT_ROWS * SOFT_WIDTH; i++)
            want_x[i] = (double)grad_x[0][i];
        assert_true(fabs(loss[1] - loss[0]) < 1e-5 * loss[0]);
        assert_true(relative_error(grad[1], want, SOFT_CLASSES * SOFT_WIDTH) < 1e-5);
        assert_true(relative_error(grad_x[1], want_x, SOFT_ROWS * SOFT_WIDTH) < 1e-5);
        for (int i = 0; f64 && i < SOFT_CLASSES * SOFT_WIDTH; i++) {
            float *v = &tensor_f32(&w.value)[i], was = *v, eps = 1.0f / 4096;
            double d;
            *v = was + eps;
            d = soft_distance(t, &x, &w, xt, wt, true, false);
            double up = (double)*v;
            *v = was - eps;
            d = (d - soft_distance(t, &x, &w, xt, wt, true, false)) / (up - (double)*v);
            *v = was;
            assert_true(fabs(d - (double)grad[1][i]) < 1e-6 + 1e-4 * fabs(d));
        }
        tape_free(t);
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            gum_9_10_the_share_stays_then_falls_as_a_cubic_and_stays_at_the_target),
        cmocka_unit_test(a_schedule_without_a_middle_is_a_step),
        cmocka_unit_test(gum_9_4_a_global_ranking_keeps_the_share_of_all_neurons),
        cmocka_unit_test(gum_9_5_a_ranking_by_layer_keeps_the_share_of_each),
        cmocka_unit_test(each_layer_keeps_its_least),
        cmocka_unit_test(of_equal_scores_the_earlier_go_unless_ties_stay),
        cmocka_unit_test(soft_keeps_what_passes_the_threshold_and_at_least_the_share),
        cmocka_unit_test(gum_9_2_a_masked_model_is_the_sliced_one),
        cmocka_unit_test(what_is_not_masked_whole_is_not_removed),
        cmocka_unit_test(copies_of_a_model_have_its_silent_neurons),
        cmocka_unit_test(gum_9_3_the_gradient_of_a_score_is_that_of_a_gate),
        cmocka_unit_test(gum_9_3_the_gradient_of_a_score_is_the_sum_of_two_terms),
        cmocka_unit_test(
            gum_9_6_likeness_is_symmetric_one_of_doubles_and_none_of_strangers),
        cmocka_unit_test(gum_9_7_a_double_raises_the_likeness_of_both_copies),
        cmocka_unit_test(likeness_is_the_mean_of_absolute_similarities),
        cmocka_unit_test(gum_9_7_the_penalty_takes_u_for_a_constant),
        cmocka_unit_test(the_average_of_products_forgets_by_beta),
        cmocka_unit_test(soft_labels_over_a_vocabulary_are_those_of_its_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
