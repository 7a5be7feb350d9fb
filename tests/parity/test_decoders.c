/*
 * Decoders beside transformers in float64 (decoders.py): logits, the loss and all its
 * gradients, folders there and back, files of llama2.c.
 */
#include "check.h"

#include "retort/file.h"
#include "retort/model.h"
#include "retort/pool.h"
#include "retort/tokenizer.h"

#define skip_without_python()                                                            \
    do {                                                                                 \
        if (!getenv("RETORT_PYTHON")) {                                                  \
            print_message("PyTorch is not here (RETORT_PYTHON)\n");                      \
            skip();                                                                      \
        }                                                                                \
    } while (0)

__attribute__((format(printf, 1, 2))) static void python(const char *fmt, ...)
{
    char command[4096];
    int n = snprintf(command, sizeof command,
                     "HF_HUB_OFFLINE=1 '%s' tests/parity/decoders.py ",
                     getenv("RETORT_PYTHON"));
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(command + n, sizeof command - (size_t)n, fmt, ap);
    va_end(ap);
    if (system(command) != 0)
        fail_msg("%s", command);
}

struct told {
    struct safetensors *file;
    struct arena *arena;
    struct batch batch;
};

static const void *part(const struct told *a, const char *name, int64_t n)
{
    const struct safetensors_entry *e = safetensors_find(a->file, name);

    if (!e || (n >= 0 && e->count != n))
        fail_msg("no %s of %lld values", name, (long long)n);
    return e->data;
}

/* The sequences as a batch whose rows all ask for the next token, but for the last of
 * each. */
static void told_open(struct told *a, const char *path)
{
    struct err err = ERR_INIT;
    struct batch *b = &a->batch;

    assert_ok(safetensors_open(&a->file, path, &err), &err);
    a->arena = arena_new(&err);
    memset(b, 0, sizeof *b);
    b->n_seq = safetensors_find(a->file, "length")->count;
    b->n_tok = safetensors_find(a->file, "id")->count;
    b->n_examples = b->n_seq;
    const int32_t *length = part(a, "length", b->n_seq), *id = part(a, "id", b->n_tok);
    int32_t **rows[] = {&b->id,          &b->type,    &b->position,
                        &b->row_example, &b->mlm_row, &b->mlm_label};
    for (int i = 0; i < 6; i++)
        *rows[i] = arena_zalloc(a->arena, b->n_tok * 4);
    b->offset = arena_zalloc(a->arena, (b->n_seq + 1) * 4);
    memcpy(b->id, id, (size_t)b->n_tok * 4);
    for (int32_t s = 0, row = 0; s < b->n_seq; s++) {
        for (int32_t k = 0; k < length[s]; k++, row++) {
            b->position[row] = k;
            b->row_example[row] = s;
            if (k + 1 < length[s]) {
                b->mlm_row[b->n_mlm] = row;
                b->mlm_label[b->n_mlm++] = b->id[row + 1];
            }
        }
        b->offset[s + 1] = row;
    }
}

static void told_close(struct told *a)
{
    safetensors_close(a->file);
    arena_free(a->arena);
}

/* ||got - want|| / max(||want||, least) */
static double distance(const struct tensor *got, const float *want, double least)
{
    double d = 0, s = 0;

    for (int64_t i = 0; i < shape_count(got->shape); i++) {
        double x = tensor_get(got, i) - (double)want[i];
        d += x * x;
        s += (double)want[i] * (double)want[i];
    }
    return sqrt(d) / fmax(sqrt(s), least);
}

static void compare_logits(struct model *m, const struct told *a, enum dtype compute,
                           double limit)
{
    struct err err = ERR_INIT;
    struct pool *pool = pool_new(2, &err);
    struct tape *tape = tape_new(pool, compute, &err);
    struct pass p;
    int64_t n = a->batch.n_tok * m->cfg.vocab;

    pass_begin(&p, tape, m, &a->batch, TAPE_EVAL, PASS_LOGITS);
    struct output out = model_forward(&p);
    assert_ok(tape_failed(tape, &err), &err);
    double d = distance(out.logits, part(a, "logits", n), 0);
    if (!(d < limit))
        fail_msg("logits differ by %g", d);
    tape_free(tape);
    pool_free(pool);
}

static void compare_gradients(struct model *m, const struct told *a, enum dtype compute,
                              double limit)
{
    struct err err = ERR_INIT;
    struct pool *pool = pool_new(2, &err);
    struct tape *tape = tape_new(pool, compute, &err);
    struct pass p;
    const float *want = part(a, "loss", 1);

    for (int64_t i = 0; i < m->n_params; i++) {
        assert_ok(param_need_grad(m->param[i], a->arena, &err), &err);
        memset(m->param[i]->grad, 0,
               (size_t)shape_count(m->param[i]->value.shape) * sizeof(float));
    }
    pass_begin(&p, tape, m, &a->batch, TAPE_GRAD, 0);
    struct output out = model_forward(&p);
    struct tensor *loss = model_loss(&p, &out, NULL);
    tape_backward(tape, loss, 1);
    assert_ok(tape_failed(tape, &err), &err);
    assert_true(fabs(tensor_get(loss, 0) - (double)*want) < 1e-5);
    for (int64_t i = 0; i < m->n_params; i++) {
        struct param *w = m->param[i];
        char name[256];
        struct tensor g = {.dtype = DT_F32, .shape = w->value.shape, .data = w->grad};
        snprintf(name, sizeof name, "grad/%s", w->name);
        /* A key's bias moves no softmax: its gradient is rounding alone. */
        double d = distance(&g, part(a, name, shape_count(g.shape)), 1e-3);
        if (!(d < limit))
            fail_msg("the gradient of %s differs by %g", w->name, d);
    }
    tape_free(tape);
    pool_free(pool);
}

static void decoders_equal_transformers(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "gpt2-gelu", "neo", "llama",
                                        "llama-tied"};
    struct err err = ERR_INIT;
    char dir[] = "/tmp/retort-decoders-XXXXXX", path[256], back[256];

    skip_without_python();
    assert_non_null(mkdtemp(dir));
    python("make %s", dir);
    for (int i = 0; i < 5; i++) {
        struct model *m = NULL;
        struct told a;
        print_message("# %s\n", names[i]);
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        snprintf(back, sizeof back, "%s/%s-back", dir, names[i]);
        assert_ok(model_load(&m, path, HEAD_LM, 0, 1, &err), &err);
        snprintf(path, sizeof path, "%s/%s.safetensors", dir, names[i]);
        told_open(&a, path);
        compare_logits(m, &a, DT_F64, 1e-6);
        compare_logits(m, &a, DT_F32, 1e-5);
        compare_gradients(m, &a, DT_F32, 1e-4);
        assert_ok(model_save(m, back, NULL, &err), &err);
        python("same %s %s %s-back", dir, names[i], names[i]);
        told_close(&a);
        model_free(m);
    }
    assert_ok(file_remove(dir, &err), &err);
}

static void models_of_llama2c_equal_transformers(void **state)
{
    (void)state;
    static const char *const files[] = {"stories15m/stories15M.bin",
                                        "stories260k/stories260K.bin"};
    struct err err = ERR_INIT;
    char dir[] = "/tmp/retort-decoders-XXXXXX", path[2][512];

    skip_without_shared();
    skip_without_python();
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < 2; i++)
        snprintf(path[i], sizeof path[i], "%s/models/%s", shared_dir(), files[i]);
    python("llama2c %s '%s' '%s'", dir, path[0], path[1]);
    for (int i = 0; i < 2; i++) {
        struct model *m = NULL;
        struct told a;
        char file[256];
        print_message("# %s\n", files[i]);
        assert_ok(model_load(&m, path[i], HEAD_LM, 0, 1, &err), &err);
        assert_non_null(m->tok);
        assert_int_equal(tokenizer_size(m->tok), m->cfg.vocab);
        snprintf(file, sizeof file, "%s/%d.safetensors", dir, i);
        told_open(&a, file);
        compare_logits(m, &a, DT_F32, 1e-4);
        compare_gradients(m, &a, DT_F32, 1e-4);
        told_close(&a);
        model_free(m);
    }
    assert_ok(file_remove(dir, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoders_equal_transformers),
        cmocka_unit_test(models_of_llama2c_equal_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
