/* Gates, masks and removal of heads on a small drawn model; names carry the items of the
 * paper's card. */
#include "check.h"

#include "retort/file.h"
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

/* What others read has full shapes, with zeros where heads were. */
static void a_sliced_model_is_saved_in_full_shapes(void **state)
{
    struct world *w = *state;
    struct model *back = NULL, *m = w->m;
    char dir[] = "/tmp/retort-heads-XXXXXX", path[64], *text = NULL;
    int64_t whole = model_count(m), len;
    float sliced[6], read[6];
    m->block[0].attn.keep[1] = 0;
    for (int h = 0; h < HEADS; h++)
        m->block[1].attn.keep[h] = 0;
    assert_ok(model_slice(m, &w->err), &w->err);
    m->block[0].attn.keep[2] = 0; /* one more is masked: number 3 */
    logits(w, 0, sliced);
    assert_non_null(mkdtemp(dir));
    assert_ok(model_save(m, dir, NULL, &w->err), &w->err);
    assert_ok(model_load(&back, dir, HEAD_CLASSES, 2, 1, &w->err), &w->err);
    assert_int_equal(model_count(back), whole);
    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_ok(file_read(&text, &len, path, 1 << 16, &w->err), &w->err);
    assert_null(strstr(text, "pruned_heads"));
    w->m = back;
    logits(w, 0, read);
    w->m = m;
    assert_near(read, sliced);
    free(text);
    model_free(back);
    assert_ok(file_remove(dir, &w->err), &w->err);
}

/* The gradient of c times the loss is c times it, and the norm takes c out again. */
static void sixteen_heads_7_5_scaling_the_loss_leaves_normalised_scores(void **state)
{
    struct world *w = *state;
    double score[2][HEADS];
    for (int k = 0; k < 2; k++) {
        double norm = 0;
        pass_begin(&w->pass, w->tape, w->m, &w->batch, TAPE_GRAD, PASS_GATES);
        struct output o = model_forward(&w->pass);
        tape_backward(w->tape, model_loss(&w->pass, &o, NULL), k ? 37.0f : 1.0f);
        assert_ok(tape_failed(w->tape, &w->err), &w->err);
        const float *g = pass_gate_grad(&w->pass, 0);
        for (int h = 0; h < HEADS; h++) {
            score[k][h] = 0;
            for (int b = 0; b < 3; b++)
                score[k][h] += fabs((double)g[b * HEADS + h]);
            norm += score[k][h] * score[k][h];
        }
        for (int h = 0; h < HEADS; h++)
            score[k][h] /= sqrt(norm);
    }
    for (int h = 0; h < HEADS; h++)
        assert_true(fabs(score[0][h] - score[1][h]) <= 1e-5 * score[0][h]);
}

/* In ref kernels sums have one accumulator and one order, so exact zeros change no bit.
 */
static void
sixteen_heads_7_2_masked_and_removed_are_bit_equal_by_ref_kernels(void **state)
{
    struct world *w = *state;
    const char *level = kernels_level();
    float masked[6], sliced[6];
    assert_ok(kernels_select("ref", &w->err), &w->err);
    w->m->block[0].attn.keep[0] = 0;
    w->m->block[0].attn.keep[3] = 0;
    w->m->block[1].attn.keep[1] = 0;
    logits(w, 0, masked);
    assert_ok(model_slice(w->m, &w->err), &w->err);
    logits(w, 0, sliced);
    assert_ok(kernels_select(level, &w->err), &w->err);
    assert_memory_equal(masked, sliced, sizeof masked);
}

/* Central differences of the loss in each gate, in double. */
static void sixteen_heads_7_3_gate_gradient_is_the_finite_difference(void **state)
{
    struct world *w = *state;
    struct tape *tape = tape_new(w->pool, DT_F64, &w->err);
    const double step = 1.0 / 1024;
    double want[2][HEADS];
    for (int l = 0; l < 2; l++)
        for (int h = 0; h < HEADS; h++) {
            double loss[2];
            for (int k = 0; k < 2; k++) {
                float gates[2][HEADS] = {{1, 1, 1, 1}, {1, 1, 1, 1}};
                const float *const layer[2] = {gates[0], gates[1]};
                gates[l][h] = (float)(1 + (k ? step : -step));
                pass_begin(&w->pass, tape, w->m, &w->batch, TAPE_EVAL, 0);
                w->pass.gates = layer;
                struct output o = model_forward(&w->pass);
                loss[k] = tensor_get(model_loss(&w->pass, &o, NULL), 0);
                assert_ok(tape_failed(tape, &w->err), &w->err);
            }
            want[l][h] = (loss[1] - loss[0]) / (2 * step);
        }
    pass_begin(&w->pass, tape, w->m, &w->batch, TAPE_GRAD, PASS_GATES);
    struct output o = model_forward(&w->pass);
    tape_backward(tape, model_loss(&w->pass, &o, NULL), 1.0f);
    assert_ok(tape_failed(tape, &w->err), &w->err);
    for (int l = 0; l < 2; l++) {
        const double *gate = pass_gate_grad(&w->pass, l);
        for (int h = 0; h < HEADS; h++) {
            double sum = gate[h] + gate[HEADS + h] + gate[2 * HEADS + h];
            assert_true(fabs(sum - want[l][h]) <= 1e-4 * fabs(want[l][h]) + 1e-7);
        }
    }
    tape_free(tape);
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
        TEST(a_sliced_model_is_saved_in_full_shapes),
        TEST(sixteen_heads_7_5_scaling_the_loss_leaves_normalised_scores),
        TEST(sixteen_heads_7_2_masked_and_removed_are_bit_equal_by_ref_kernels),
        TEST(sixteen_heads_7_3_gate_gradient_is_the_finite_difference),
        TEST(a_clone_says_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
