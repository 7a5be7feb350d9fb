/* Gates, masks and removal of heads on a small drawn model; names carry the items of the
 * paper's card. */
#include "check.h"

#include "retort/model.h"

enum { WIDTH = 32, HEADS = 4, DIM = WIDTH / HEADS };

static const char vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\ne\n";
static const char *const labels[] = {"0", "1", NULL};
static const struct task task = {
    .name = "test/words", .kind = TASK_CLASSES, .labels = 2, .label_names = labels};

struct world {
    struct model *m;
    struct dataset *data;
    struct arena *arena;
    struct pool *pool;
    struct tape *tape;
    struct batch batch;
    struct pass pass;
    struct err err;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct hf_config cfg;
    struct examples *ex = examples_new(&w->err);
    const char *texts[] = {"a b c", "e d c b a a", "b"};
    const int64_t pick[] = {0, 1, 2};

    hf_config_defaults(&cfg);
    cfg.layers = 2;
    cfg.width = WIDTH;
    cfg.heads = HEADS;
    cfg.ffn = 64;
    cfg.vocab = 10;
    cfg.positions = 32;
    cfg.types = 2;
    cfg.eps = 1e-12;
    cfg.init_range = 0.2;
    cfg.classifier_dropout = -1;
    for (int l = 0; l < 2; l++) {
        cfg.heads_kept[l] = HEADS;
        cfg.ffn_kept[l] = 64;
    }
    for (int32_t i = 0; i < 3; i++) {
        struct example *e = examples_add(ex, &w->err);
        e->id = "";
        e->a = texts[i];
        e->label = i % 2;
    }
    assert_ok(model_random(&w->m, &cfg, vocab, (int64_t)strlen(vocab), HEAD_CLASSES, 2, 7,
                           &w->err),
              &w->err);
    assert_ok(dataset_encode(&w->data, &task, ex, "test", w->m->tok, 32, 8, &w->err),
              &w->err);
    w->arena = arena_new(&w->err);
    w->pool = pool_new(2, &w->err);
    w->tape = tape_new(w->pool, DT_F32, &w->err);
    assert_ok(batch_fill(&w->batch, w->data, pick, 3, w->arena, &w->err), &w->err);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    tape_free(w->tape);
    pool_free(w->pool);
    arena_free(w->arena);
    dataset_free(w->data);
    model_free(w->m);
    free(w);
    return 0;
}

/* Logits (3, 2) without gradients. */
static void logits(struct world *w, unsigned flags, float out[6])
{
    pass_begin(&w->pass, w->tape, w->m, &w->batch, flags ? TAPE_GRAD : TAPE_EVAL, flags);
    struct output o = model_forward(&w->pass);
    assert_ok(tape_failed(w->tape, &w->err), &w->err);
    memcpy(out, o.logits->data, 6 * sizeof *out);
}

static void assert_near(const float *a, const float *b)
{
    double want[6];
    for (int i = 0; i < 6; i++)
        want[i] = (double)b[i];
    assert_true(relative_error(a, want, 6) <= 1e-5);
}

static void sixteen_heads_7_1_gates_of_one_change_no_bit(void **state)
{
    float plain[6], gated[6];
    logits(*state, 0, plain);
    logits(*state, PASS_GATES, gated);
    assert_memory_equal(plain, gated, sizeof plain);
}

static void sixteen_heads_7_2_masked_equals_removed(void **state)
{
    struct world *w = *state;
    float masked[6], sliced[6];
    w->m->block[0].attn.keep[1] = 0;
    w->m->block[0].attn.keep[3] = 0;
    w->m->block[1].attn.keep[0] = 0;
    logits(w, 0, masked);
    assert_ok(model_slice(w->m, &w->err), &w->err);
    assert_int_equal(w->m->block[0].attn.heads, 2);
    assert_int_equal(w->m->block[0].attn.head_id[1],
                     2); /* the original numbering stays */
    logits(w, 0, sliced);
    assert_near(sliced, masked);
}

static void sixteen_heads_7_3_gate_gradient_is_the_dot_product(void **state)
{
    struct world *w = *state;
    struct tensor *context[2];
    pass_begin(&w->pass, w->tape, w->m, &w->batch, TAPE_GRAD, PASS_GATES);
    w->pass.tap_context = context;
    struct output o = model_forward(&w->pass);
    tape_backward(w->tape, model_loss(&w->pass, &o, NULL), 1.0f);
    assert_ok(tape_failed(w->tape, &w->err), &w->err);
    for (int64_t l = 0; l < 2; l++) {
        const float *gate = pass_gate_grad(&w->pass, l), *c = tensor_f32(context[l]);
        const float *g = tape_grad(w->tape, context[l]);
        double largest = 0;
        for (int64_t i = 0; i < 3 * HEADS; i++)
            largest = fmax(largest, fabs((double)gate[i]));
        assert_true(largest > 0);
        for (int64_t b = 0; b < 3; b++)
            for (int64_t h = 0; h < HEADS; h++) {
                double dot = 0;
                for (int64_t t = w->batch.offset[b]; t < w->batch.offset[b + 1]; t++)
                    for (int64_t d = h * DIM; d < (h + 1) * DIM; d++)
                        dot += (double)c[t * WIDTH + d] * (double)g[t * WIDTH + d];
                assert_true(fabs(dot - (double)gate[b * HEADS + h]) <= 1e-5 * largest);
            }
    }
}

static void sixteen_heads_7_6_a_head_without_output_does_nothing(void **state)
{
    struct world *w = *state;
    float before[6], after[6];
    float *wo = tensor_f32(&w->m->block[1].attn_out.weight->value);
    for (int64_t i = 0; i < WIDTH; i++)
        for (int64_t d = 2 * DIM; d < 3 * DIM; d++)
            wo[i * WIDTH + d] = 0;
    param_touch(w->m->block[1].attn_out.weight);
    logits(w, 0, before);
    w->m->block[1].attn.keep[2] = 0;
    logits(w, 0, after);
    assert_memory_equal(before, after, sizeof before);
}

static void sixteen_heads_7_9_without_heads_attention_is_its_bias(void **state)
{
    struct world *w = *state;
    float before[6], after[6];
    for (int l = 0; l < 2; l++)
        for (int h = 0; h < HEADS; h++)
            w->m->block[l].attn.keep[h] = 0;
    logits(w, 0, before);
    float *v = tensor_f32(&w->m->block[0].attn.value.weight->value);
    for (int i = 0; i < WIDTH * WIDTH; i++)
        v[i] += 1.0f; /* whatever the heads would say */
    param_touch(w->m->block[0].attn.value.weight);
    logits(w, 0, after);
    assert_memory_equal(before, after, sizeof before);
    assert_ok(model_slice(w->m, &w->err), &w->err);
    logits(w, 0, after);
    assert_near(after, before);
}

static void sixteen_heads_7_11_each_head_takes_its_parameters_along(void **state)
{
    struct world *w = *state;
    int64_t whole = model_count(w->m), each = 4 * WIDTH * DIM + 3 * DIM;
    w->m->block[0].attn.keep[1] = 0;
    w->m->block[1].attn.keep[2] = 0;
    assert_int_equal(model_count_nonzero(w->m), whole - 2 * each);
    assert_ok(model_slice(w->m, &w->err), &w->err);
    assert_int_equal(model_count(w->m), whole - 2 * each);
}

static void a_clone_says_the_same(void **state)
{
    struct world *w = *state;
    struct model *copy = NULL, *m = w->m;
    float a[6], b[6];
    w->m->block[0].attn.keep[1] = 0;
    logits(w, 0, a);
    assert_ok(model_clone(&copy, m, &w->err), &w->err);
    w->m = copy;
    logits(w, 0, b);
    w->m = m;
    model_free(copy);
    assert_memory_equal(a, b, sizeof a);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sixteen_heads_7_1_gates_of_one_change_no_bit),
        TEST(sixteen_heads_7_2_masked_equals_removed),
        TEST(sixteen_heads_7_3_gate_gradient_is_the_dot_product),
        TEST(sixteen_heads_7_6_a_head_without_output_does_nothing),
        TEST(sixteen_heads_7_9_without_heads_attention_is_its_bias),
        TEST(sixteen_heads_7_11_each_head_takes_its_parameters_along),
        TEST(a_clone_says_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
