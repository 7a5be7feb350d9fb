/*
 * The same bits for any number of threads and, in evaluation, for any batching: products,
 * training and prediction of a model of MiniLM's shape with drawn weights.
 */
#include "check.h"

#include "loop.h"
#include "retort/hash.h"

static const int thread_counts[] = {1, 2, 3, 8};
enum { COUNTS = sizeof thread_counts / sizeof *thread_counts };

static const char *const labels[] = {"0", "1", NULL};
static const struct task pairs = {
    .name = "test/pairs", .kind = TASK_CLASSES, .labels = 2, .label_names = labels};

enum { VOCAB = 2000 };

/* Six layers of 384 channels; the vocabulary is small, for only the embedding depends on
 * it. */
static struct model *minilm(uint64_t seed)
{
    struct err err = ERR_INIT;
    struct hf_config cfg;
    struct model *m = NULL;

    hf_config_defaults(&cfg);
    cfg.layers = 6;
    cfg.width = 384;
    cfg.heads = 12;
    cfg.ffn = 1536;
    cfg.vocab = VOCAB;
    cfg.positions = 128;
    cfg.types = 2;
    cfg.eps = 1e-12;
    cfg.dropout = cfg.attention_dropout = 0.1;
    cfg.classifier_dropout = -1;
    cfg.init_range = 0.05;
    for (int64_t l = 0; l < cfg.layers; l++) {
        cfg.heads_kept[l] = cfg.heads;
        cfg.ffn_kept[l] = cfg.ffn;
    }
    assert_ok(model_random(&m, &cfg, NULL, 0, HEAD_CLASSES, 2, seed, &err), &err);
    return m;
}

/* n examples of 3 to 70 random tokens. */
static struct dataset *random_data(int64_t n)
{
    struct err err = ERR_INIT;
    struct dataset *d = mem_new(1, sizeof *d, &err);
    struct rng rng = rng_stream(5, "data");

    d->task = &pairs;
    strcpy(d->name, "test/pairs/train");
    d->n = d->n_seq = n;
    d->raw = examples_new(&err);
    d->arena = arena_new(&err);
    d->seq = mem_new(n, sizeof *d->seq, &err);
    d->first = mem_new(n + 1, sizeof *d->first, &err);
    d->index = mem_new(n, sizeof *d->index, &err);
    for (int64_t i = 0; i < n; i++) {
        struct sequence *s = &d->seq[i];
        s->n = 3 + (int32_t)rng_below(&rng, 68);
        s->id = arena_alloc(d->arena, s->n * (int64_t)sizeof *s->id);
        s->type = arena_zalloc(d->arena, s->n * (int64_t)sizeof *s->type);
        for (int32_t t = 0; t < s->n; t++)
            s->id[t] = (int32_t)rng_below(&rng, VOCAB);
        s->label = (int32_t)rng_below(&rng, 2);
        s->example = (int32_t)i;
        examples_add(d->raw, &err)->label = s->label;
        d->first[i + 1] = i + 1;
        d->index[i] = i;
        d->n_tokens += s->n;
    }
    assert_ok(arena_failed(d->arena, &err), &err);
    return d;
}

/* ---- products ---- */

enum { ROWS = 4096, WIDTH = 384 };

static void draw(float *v, int64_t n, const char *purpose)
{
    struct rng rng = rng_stream(1, purpose);

    for (int64_t i = 0; i < n; i++)
        v[i] = (float)rng_normal(&rng);
}

/* y = x w' + b over 4096 rows, and all its gradients, by `threads` threads. */
static void product(float *y, float *dx, float *dw, const float *x, const float *w,
                    enum dtype compute, int threads)
{
    struct err err = ERR_INIT;
    struct pool *pool = pool_new(threads, &err);
    struct tape *tape = tape_new(pool, compute, &err);
    struct arena *arena = arena_new(&err);
    struct param p = {0};

    assert_ok(param_init(&p, arena, "w", SHAPE(WIDTH, WIDTH), &err), &err);
    assert_ok(param_need_grad(&p, arena, &err), &err);
    memcpy(p.value.data, w, sizeof(float) * WIDTH * WIDTH);
    param_touch(&p);
    tape_begin(tape, TAPE_GRAD);
    struct tensor *in = tape_leaf(tape, SHAPE(ROWS, WIDTH), x);
    struct tensor *out = linear(tape, in, tape_param(tape, &p), NULL);
    tape_backward(tape, sum_all(tape, mul(tape, out, out)), 1.0f);
    assert_ok(tape_failed(tape, &err), &err);
    memcpy(y, out->data, sizeof(float) * ROWS * WIDTH);
    memcpy(dx, tape_grad(tape, in), sizeof(float) * ROWS * WIDTH);
    memcpy(dw, p.grad, sizeof(float) * WIDTH * WIDTH);
    tape_free(tape);
    param_release(&p);
    arena_free(arena);
    pool_free(pool);
}

static void check_products(enum dtype compute)
{
    size_t big = sizeof(float) * ROWS * WIDTH, small = sizeof(float) * WIDTH * WIDTH;
    float *x = malloc(big), *w = malloc(small);
    float *y[2] = {malloc(big), malloc(big)}, *dx[2] = {malloc(big), malloc(big)};
    float *dw[2] = {malloc(small), malloc(small)};

    draw(x, ROWS * WIDTH, "x");
    draw(w, WIDTH * WIDTH, "w");
    for (int i = 0; i < COUNTS; i++) {
        product(y[i > 0], dx[i > 0], dw[i > 0], x, w, compute, thread_counts[i]);
        if (i == 0)
            continue;
        assert_memory_equal(y[1], y[0], big);
        assert_memory_equal(dx[1], dx[0], big);
        assert_memory_equal(dw[1], dw[0], small);
    }
    for (int i = 0; i < 2; i++) {
        free(y[i]);
        free(dx[i]);
        free(dw[i]);
    }
    free(x);
    free(w);
}

static void products_of_384_384_4096_do_not_depend_on_threads(void **state)
{
    (void)state;
    check_products(DT_F32);
    check_products(DT_BF16);
}

/* ---- training ---- */

/* Losses, norms and the digest of all weights after 20 steps. */
static void train(struct losses *l, char digest[SHA256_HEX], const struct dataset *data,
                  int dtype, int threads)
{
    struct model *m = minilm(1);
    struct train_options opt = loop_options(20, 2);
    struct err err = ERR_INIT;
    struct sha256 *sha = sha256_new(&err);

    opt.dtype = dtype;
    loop_run(l, m, data, &opt, threads, 1);
    assert_int_equal(l->n, 20);
    for (int64_t i = 0; i < m->n_params; i++)
        sha256_add(sha, m->param[i]->value.data,
                   shape_count(m->param[i]->value.shape) * (int64_t)sizeof(float));
    assert_ok(sha256_hex(sha, digest, &err), &err);
    sha256_free(sha);
    model_free(m);
}

static void check_training(int dtype)
{
    struct dataset *data = random_data(40);
    struct losses l[2];
    char digest[2][SHA256_HEX];

    for (int i = 0; i < COUNTS; i++) {
        train(&l[i > 0], digest[i > 0], data, dtype, thread_counts[i]);
        if (i == 0)
            continue;
        assert_memory_equal(&l[1], &l[0], sizeof l[0]);
        assert_string_equal(digest[1], digest[0]);
    }
    dataset_free(data);
}

static void twenty_steps_in_f32_do_not_depend_on_threads(void **state)
{
    (void)state;
    check_training(0);
}

static void twenty_steps_in_bf16_do_not_depend_on_threads(void **state)
{
    (void)state;
    check_training(1);
}

/* ---- evaluation ---- */

enum { EXAMPLES = 67 }; /* no multiple of 7 or 64 */

/* Logits of all examples, `size` of them in a batch. */
static void logits_by(float *out, struct model *m, const struct dataset *data,
                      struct tape *tape, int64_t size)
{
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);
    int64_t pick[EXAMPLES];

    for (int64_t i = 0; i < EXAMPLES; i += size) {
        int64_t n = size < EXAMPLES - i ? size : EXAMPLES - i;
        struct batch batch;
        struct pass pass;
        for (int64_t j = 0; j < n; j++)
            pick[j] = i + j;
        arena_clear(arena);
        assert_ok(batch_fill(&batch, data, pick, n, arena, &err), &err);
        pass_begin(&pass, tape, m, &batch, TAPE_EVAL, 0);
        struct output o = model_forward(&pass);
        assert_ok(tape_failed(tape, &err), &err);
        memcpy(out + 2 * i, o.logits->data, (size_t)(2 * n) * sizeof *out);
    }
    arena_free(arena);
}

static void check_batches(enum dtype compute)
{
    struct err err = ERR_INIT;
    struct model *m = minilm(2);
    struct dataset *data = random_data(EXAMPLES);
    struct pool *pool = pool_new(2, &err);
    struct tape *tape = tape_new(pool, compute, &err);
    float one[2 * EXAMPLES], many[2 * EXAMPLES];
    const int64_t size[] = {7, 64}, tokens[] = {1, 300, 4096};

    logits_by(one, m, data, tape, 1);
    for (size_t i = 0; i < 2; i++) {
        logits_by(many, m, data, tape, size[i]);
        assert_memory_equal(many, one, sizeof one);
    }
    for (size_t i = 0; i < 3; i++) {
        struct predictions *p = NULL;
        assert_ok(model_predict(&p, m, data, tape, tokens[i], NULL, NULL, NULL, &err),
                  &err);
        assert_memory_equal(p->logits, one, sizeof one);
        predictions_free(p);
    }
    tape_free(tape);
    pool_free(pool);
    dataset_free(data);
    model_free(m);
}

static void predictions_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    check_batches(DT_F32);
    check_batches(DT_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_384_384_4096_do_not_depend_on_threads),
        cmocka_unit_test(twenty_steps_in_f32_do_not_depend_on_threads),
        cmocka_unit_test(twenty_steps_in_bf16_do_not_depend_on_threads),
        cmocka_unit_test(predictions_do_not_depend_on_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
