/*
 * Gradients and training steps beside PyTorch (oracle.py), on MRPC with real checkpoints.
 *
 * Our side writes the checkpoint with its drawn head and the batches; the other reads
 * them, so both have the same weights and tokens.
 */
#include "check.h"

#include <unistd.h>

#include "loop.h"
#include "retort/file.h"

#define skip_without_python()                                                            \
    do {                                                                                 \
        if (!getenv("RETORT_PYTHON")) {                                                  \
            print_message("PyTorch is not here (RETORT_PYTHON)\n");                      \
            skip();                                                                      \
        }                                                                                \
    } while (0)

/* A folder for one test. */
struct oracle {
    char dir[64], model[96], batches[96], answer[96];
    struct safetensors *out;
};

static void oracle_open(struct oracle *o)
{
    strcpy(o->dir, "/tmp/retort-parity-XXXXXX");
    assert_non_null(mkdtemp(o->dir));
    snprintf(o->model, sizeof o->model, "%s/model", o->dir);
    snprintf(o->batches, sizeof o->batches, "%s/batches.safetensors", o->dir);
    snprintf(o->answer, sizeof o->answer, "%s/answer.safetensors", o->dir);
    o->out = NULL;
}

static void oracle_close(struct oracle *o)
{
    struct err err = ERR_INIT;

    safetensors_close(o->out);
    assert_ok(file_remove(o->dir, &err), &err);
}

/* Asks for `what` and opens the answer. */
static void oracle_ask(struct oracle *o, const char *what)
{
    struct err err = ERR_INIT;
    char command[1024];

    snprintf(command, sizeof command,
             "HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=passive '%s' tests/parity/oracle.py %s %s "
             "%s %s",
             getenv("RETORT_PYTHON"), what, o->model, o->batches, o->answer);
    assert_int_equal(system(command), 0);
    assert_ok(safetensors_open(&o->out, o->answer, &err), &err);
}

static const float *answer(const struct oracle *o, const char *name, int64_t n)
{
    const struct safetensors_entry *e = safetensors_find(o->out, name);

    if (!e || e->count != n || e->dtype != DT_F32)
        fail_msg("PyTorch has no %s of %lld values", name, (long long)n);
    return e->data;
}

/* ||got - want|| / scale; scale 0: ||want||. */
static double distance(const float *got, const float *want, int64_t n, double scale)
{
    double d = 0, s = 0;

    for (int64_t i = 0; i < n; i++) {
        double x = (double)got[i] - (double)want[i];
        d += x * x;
        s += (double)want[i] * (double)want[i];
    }
    return sqrt(d) / (scale > 0 ? scale : sqrt(s));
}

/* The first n examples of a split of MRPC, or examples of a slice. */
static struct dataset *mrpc(const struct model *m, int64_t n, int64_t max_len)
{
    struct err err = ERR_INIT;
    const struct task *task = task_find("glue/mrpc");
    struct examples *raw = examples_new(&err);
    struct dataset *data = NULL;
    char dir[512];

    snprintf(dir, sizeof dir, "%s/data/glue", shared_dir());
    struct task_source src = {dir, "train"};
    assert_ok(task->load(task, &src, raw, &err), &err);
    assert_ok(dataset_encode(&data, task, raw, "train", m->tok, max_len, 128, &err),
              &err);
    assert_ok(dataset_slice(&data, 0, n, &err), &err);
    return data;
}

static struct model *checkpoint(const char *folder)
{
    struct err err = ERR_INIT;
    struct model *m = NULL;
    char path[512];

    snprintf(path, sizeof path, "%s/models/%s", shared_dir(), folder);
    assert_ok(model_load(&m, path, HEAD_CLASSES, 2, 1, &err), &err);
    return m;
}

/* Model and sequences in this order, `size` of them a batch, for the other side. */
static void hand_over(const struct oracle *o, const struct model *m,
                      const struct dataset *d, const int64_t *order, int32_t size)
{
    struct err err = ERR_INIT;
    struct arena *a = arena_new(&err);
    int64_t word = (int64_t)sizeof(int32_t), at = 0;
    int32_t *id = arena_alloc(a, d->n_tokens * word),
            *type = arena_alloc(a, d->n_tokens * word),
            *length = arena_alloc(a, d->n * word), *label = arena_alloc(a, d->n * word);

    assert_ok(arena_failed(a, &err), &err);
    for (int64_t i = 0; i < d->n; i++) {
        const struct sequence *s = &d->seq[d->first[order[i]]];
        memcpy(id + at, s->id, (size_t)s->n * sizeof *id);
        memcpy(type + at, s->type, (size_t)s->n * sizeof *type);
        length[i] = s->n;
        label[i] = s->label;
        at += s->n;
    }
    struct safetensors_entry e[] = {{"id", DT_I32, SHAPE(at), at, id},
                                    {"type", DT_I32, SHAPE(at), at, type},
                                    {"length", DT_I32, SHAPE(d->n), d->n, length},
                                    {"label", DT_I32, SHAPE(d->n), d->n, label},
                                    {"batch", DT_I32, SHAPE(1), 1, &size}};
    assert_ok(safetensors_write(o->batches, e, 5, &err), &err);
    assert_ok(model_save(m, o->model, d->task, &err), &err);
    arena_free(a);
}

/* ---- gradients ---- */

/*
 * A key's bias adds the same to all scores of a query, which softmax does not see: its
 * gradient is 0, and both sides have rounding alone. It is measured by the gradient of
 * the query's bias.
 */
static double scale_of(const struct oracle *o, const struct model *m,
                       const struct param *p)
{
    const char *at = strstr(p->name, "self.key.bias");
    const float *v;
    char name[256];
    double s = 0;

    if (!at)
        return 0;
    snprintf(name, sizeof name, "%.*sself.query.bias", (int)(at - p->name), p->name);
    v = answer(o, name, m->cfg.width);
    for (int64_t i = 0; i < m->cfg.width; i++)
        s += (double)v[i] * (double)v[i];
    return sqrt(s);
}

static void check_gradients(const struct oracle *o, const struct model *m)
{
    double worst = 0;
    const char *where = "";

    for (int64_t i = 0; i < m->n_params; i++) {
        const struct param *p = m->param[i];
        int64_t n = shape_count(p->value.shape);
        double d = distance(p->grad, answer(o, p->name, n), n, scale_of(o, m, p));
        if (!(d <= 1e-4))
            fail_msg("the gradient of %s is %.2e off", p->name, d);
        if (d > worst) {
            worst = d;
            where = p->name;
        }
    }
    print_message("%lld gradients, worst %.2e: %s\n", (long long)m->n_params, worst,
                  where);
}

static void compare_gradients(const char *folder, int64_t examples)
{
    struct err err = ERR_INIT;
    struct oracle o;
    struct model *m = checkpoint(folder);
    struct dataset *data = mrpc(m, examples, 128);
    struct arena *arena = arena_new(&err);
    struct pool *pool = pool_new(2, &err);
    struct tape *tape = tape_new(pool, DT_F32, &err);
    int64_t *order = dataset_order(data, 1, 0, arena);
    struct batch batch;
    struct pass pass;

    oracle_open(&o);
    hand_over(&o, m, data, order, (int32_t)examples);
    oracle_ask(&o, "gradients");
    for (int64_t i = 0; i < m->n_params; i++)
        assert_ok(param_need_grad(m->param[i], arena, &err), &err);
    assert_ok(batch_fill(&batch, data, order, examples, arena, &err), &err);
    pass_begin(&pass, tape, m, &batch, TAPE_GRAD, 0);
    struct output out = model_forward(&pass);
    tape_backward(tape, model_loss(&pass, &out, NULL), 1.0f);
    assert_ok(tape_failed(tape, &err), &err);
    double d = distance(tensor_f32(out.logits), answer(&o, "logits", 2 * examples),
                        2 * examples, 0);
    print_message("%s: logits %.2e\n", folder, d);
    assert_true(d <= 1e-4);
    check_gradients(&o, m);
    oracle_close(&o);
    tape_free(tape);
    pool_free(pool);
    arena_free(arena);
    dataset_free(data);
    model_free(m);
}

static void gradients_of_minilm_are_those_of_pytorch(void **state)
{
    (void)state;
    skip_without_shared();
    skip_without_python();
    compare_gradients("minilm-l6-h384", 16);
}

static void gradients_of_gte_small_are_those_of_pytorch(void **state)
{
    (void)state;
    skip_without_shared();
    skip_without_python();
    compare_gradients("gte-small-l12-h384", 8);
}

/* ---- training ---- */

enum { STEPS = 100, BATCH = 4 };

static void a_hundred_steps_follow_pytorch(void **state)
{
    struct err err = ERR_INIT;
    struct oracle o;
    struct losses l;
    double worst = 0, worst_norm = 0;

    (void)state;
    skip_without_shared();
    skip_without_python();
    struct model *m = checkpoint("minilm-l6-h384");
    struct dataset *data = mrpc(m, STEPS * BATCH, 40);
    struct arena *arena = arena_new(&err);
    struct train_options opt = loop_options(STEPS, BATCH);
    opt.dropout = opt.attention_dropout = 0;
    oracle_open(&o);
    hand_over(&o, m, data, dataset_order(data, 1, 0, arena), BATCH);
    loop_run(&l, m, data, &opt, 2, 1);
    oracle_ask(&o, "steps");
    const float *loss = answer(&o, "loss", STEPS), *norm = answer(&o, "norm", STEPS);
    for (int64_t i = 0; i < STEPS; i++) {
        worst = fmax(worst, fabs(l.v[i] - (double)loss[i]));
        worst_norm = fmax(worst_norm, fabs(l.norm[i] / (double)norm[i] - 1));
    }
    print_message("loss from %.4f to %.4f, worst difference %.2e; of the norm %.2e\n",
                  l.v[0], l.v[STEPS - 1], worst, worst_norm);
    assert_true(worst <= 1e-4);
    oracle_close(&o);
    arena_free(arena);
    dataset_free(data);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_minilm_are_those_of_pytorch),
        cmocka_unit_test(gradients_of_gte_small_are_those_of_pytorch),
        cmocka_unit_test(a_hundred_steps_follow_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
