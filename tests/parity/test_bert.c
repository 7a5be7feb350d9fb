/* Real checkpoints against transformers in float64. */
#include "check.h"

#include "fixtures/bert.h"
#include "retort/model.h"

/* A task of the pairs, so that they go the way of all data. */
static const char *const labels[] = {"0", "1", NULL};
static const struct task pair_task = {
    .name = "test/pairs", .kind = TASK_CLASSES, .labels = 2, .label_names = labels};

static struct dataset *encode(const struct model *m, struct err *err)
{
    struct examples *ex = examples_new(err);
    struct dataset *data = NULL;

    for (int i = 0; i < 3; i++) {
        struct example *e = examples_add(ex, err);
        e->id = "";
        e->a = bert_pairs[i][0];
        e->b = bert_pairs[i][1];
        e->label = 0;
    }
    assert_ok(dataset_encode(&data, &pair_task, ex, "test", m->tok, 128, 32, err), err);
    return data;
}

/* All three pairs in one packed batch; hidden state of [CLS] and pooled output beside
 * theirs. */
static void compare(const char *folder, const double *cls, const double *pooled)
{
    struct err err = ERR_INIT;
    struct model *m = NULL;
    char path[512];
    struct batch batch;
    struct pass pass;
    const int64_t pick[] = {0, 1, 2};
    float got[3 * 384];

    snprintf(path, sizeof path, "%s/models/%s", shared_dir(), folder);
    assert_ok(model_load(&m, path, HEAD_CLASSES, 2, 1, &err), &err);
    struct dataset *data = encode(m, &err);
    struct arena *arena = arena_new(&err);
    struct pool *pool = pool_new(2, &err);
    struct tape *tape = tape_new(pool, DT_F32, &err);
    assert_ok(batch_fill(&batch, data, pick, 3, arena, &err), &err);
    pass_begin(&pass, tape, m, &batch, TAPE_EVAL, PASS_HIDDEN);
    struct output out = model_forward(&pass);
    assert_ok(tape_failed(tape, &err), &err);
    for (int64_t b = 0; b < 3; b++)
        memcpy(got + b * 384, tensor_f32(out.hidden) + batch.offset[b] * 384,
               384 * sizeof *got);
    double worst = relative_error(got, cls, 3 * 384);
    print_message("%s: [CLS] %.2e\n", folder, worst);
    assert_true(worst <= 1e-4);
    if (pooled)
        assert_true(relative_error(tensor_f32(out.pooled), pooled, 3 * 384) <= 1e-4);
    tape_free(tape);
    pool_free(pool);
    arena_free(arena);
    dataset_free(data);
    model_free(m);
}

static void minilm_equals_transformers(void **state)
{
    (void)state;
    skip_without_shared();
    compare("minilm-l6-h384", bert_minilm_cls, bert_minilm_pooled);
}

static void gte_small_equals_transformers(void **state)
{
    (void)state;
    skip_without_shared();
    compare("gte-small-l12-h384", bert_gte_cls, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(minilm_equals_transformers),
        cmocka_unit_test(gte_small_equals_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
