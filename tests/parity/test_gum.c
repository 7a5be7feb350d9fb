/*
 * GUM's figures beside PyTorch in float64 (gum.py), on exported checkpoints with masked
 * neurons: the loss, gradients of scores, the likeness U, the penalty R and its gradient,
 * sensitivity and uniqueness.
 */
#include "../small_decoder.h"

#include "../../methods/prune/neurons.h"
#include "retort/file.h"
#include "retort/pool.h"
#include "retort/strbuf.h"

static const double beta = 0.999, lambda_gum = 1.5, share = 0.6, lambda = 3, divisor = 6,
                    threshold = 0.3;

static void put(struct strbuf *out, const char *name, const double *v, int64_t n)
{
    strbuf_printf(out, "\"%s\": [", name);
    for (int64_t i = 0; i < n; i++)
        strbuf_printf(out, "%s%.17g", i ? ", " : "", v[i]);
    strbuf_printf(out, "]");
}

static void put_ids(struct strbuf *out, const struct batch *b)
{
    strbuf_printf(out, "\"ids\": [");
    for (int64_t s = 0; s < b->n_seq; s++) {
        strbuf_printf(out, s ? ", [" : "[");
        for (int32_t i = b->offset[s]; i < b->offset[s + 1]; i++)
            strbuf_printf(out, "%s%d", i > b->offset[s] ? ", " : "", b->id[i]);
        strbuf_printf(out, "]");
    }
    strbuf_printf(out, "]");
}

/* One layer's figures; how many neurons are similar and left. */
static void put_layer(struct strbuf *out, const struct model *m, int l,
                      const struct likeness *k, const double *score, const double *u,
                      const double *penalty, int *similar, int *left)
{
    const struct block *b = &m->block[l];
    double v[TINY_FFN], c[TINY_FFN * TINY_FFN], alive[TINY_FFN];
    bool dead[TINY_FFN];

    for (int i = 0; i < TINY_FFN * TINY_FFN; i++)
        c[i] = (double)k->mean[l][i];
    strbuf_printf(out, l ? ", {" : "{");
    neurons_gradient(v, b);
    put(out, "grad", v, TINY_FFN);
    neurons_sensitivity(v, b);
    for (int j = 0; j < TINY_FFN; j++) {
        v[j] = fabs(v[j]);
        dead[j] = block_neuron_masked(b, j);
        alive[j] = !dead[j];
        *left += !dead[j];
    }
    for (int j = 0; j < TINY_FFN; j++)
        *similar += likeness_similar(c, TINY_FFN, dead, j, threshold);
    strbuf_printf(out, ", ");
    put(out, "sensitivity", v, TINY_FFN);
    strbuf_printf(out, ", ");
    put(out, "alive", alive, TINY_FFN);
    strbuf_printf(out, ", ");
    put(out, "score", score + l * TINY_FFN, TINY_FFN);
    strbuf_printf(out, ", ");
    put(out, "u", u + l * TINY_FFN, TINY_FFN);
    strbuf_printf(out, ", ");
    put(out, "penalty", penalty + l * TINY_FFN, TINY_FFN);
    strbuf_printf(out, "}");
}

static void tell(struct strbuf *out, struct model *m)
{
    enum { N = TINY_LAYERS * TINY_FFN };
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);
    struct pool *pool = pool_new(2, &err);
    struct tape *tape = tape_new(pool, DT_F32, &err);
    struct tensor *tap[TINY_LAYERS];
    struct neuron_list list;
    struct likeness k;
    struct batch batch;
    struct pass p;
    double score[N], u[N], penalty[N] = {0}, r;
    struct rng rng = rng_stream(2, "scores");
    int similar = 0, left = 0;

    for (int j = 0; j < N; j++)
        score[j] = rng_normal(&rng);
    tiny_batch(&batch, 6, 8, arena);
    assert_ok(neurons_list(&list, m, arena, &err), &err);
    assert_ok(likeness_init(&k, &list, beta, arena, &err), &err);
    for (int64_t i = 0; i < m->n_params; i++)
        assert_ok(param_need_grad(m->param[i], arena, &err), &err);
    pass_begin(&p, tape, m, &batch, TAPE_GRAD, 0);
    p.tap_neurons = tap;
    struct output o = model_forward(&p);
    struct tensor *loss = model_loss(&p, &o, NULL);
    tape_backward(tape, loss, 1);
    for (int l = 0; l < TINY_LAYERS; l++)
        likeness_add(&k, tape, l, tap[l]);
    assert_ok(tape_failed(tape, &err), &err);
    likeness_step(&k, u, lambda_gum, share, pool);
    r = neurons_penalty(penalty, score, u, &list, divisor, lambda);
    strbuf_printf(out,
                  "{\"loss\": %.17g, \"penalty\": %.17g, \"beta\": %g, \"lambda_gum\": "
                  "%g, \"v\": %g, \"lambda\": %g, \"divisor\": %g, \"threshold\": %g, ",
                  tensor_get(loss, 0), r, beta, lambda_gum, share, lambda, divisor,
                  threshold);
    put_ids(out, &batch);
    strbuf_printf(out, ", \"layers\": [");
    for (int l = 0; l < TINY_LAYERS; l++)
        put_layer(out, m, l, &k, score, u, penalty, &similar, &left);
    strbuf_printf(out, "], \"uniqueness\": %.17g}\n", 1 - (double)similar / left);
    tape_free(tape);
    pool_free(pool);
    arena_free(arena);
}

static void compare(enum hf_arch arch)
{
    struct err err = ERR_INIT;
    char dir[] = "/tmp/retort-gum-XXXXXX", path[64], command[1024];
    struct model *m = tiny_model(arch);
    struct strbuf told = STRBUF_INIT;

    assert_non_null(mkdtemp(dir));
    for (int j = 0; j < TINY_FFN; j += 5)
        m->block[1].neuron_keep[j] = 0;
    assert_ok(model_mask_neurons(m, &err), &err);
    snprintf(path, sizeof path, "%s/model", dir);
    assert_ok(model_save(m, path, NULL, &err), &err);
    tell(&told, m);
    snprintf(path, sizeof path, "%s/told.json", dir);
    assert_ok(file_write(path, strbuf_text(&told), (int64_t)told.len, &err), &err);
    snprintf(command, sizeof command,
             "HF_HUB_OFFLINE=1 '%s' tests/parity/gum.py %s && rm -r %s",
             getenv("RETORT_PYTHON"), dir, dir);
    if (system(command) != 0)
        fail_msg("%s", command);
    strbuf_release(&told);
    model_free(m);
}

static void figures_of_gum_are_those_of_pytorch(void **state)
{
    (void)state;
    if (!getenv("RETORT_PYTHON")) {
        print_message("PyTorch is not here (RETORT_PYTHON)\n");
        skip();
    }
    compare(HF_GPT2);
    compare(HF_GPT_NEO);
    compare(HF_LLAMA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_of_gum_are_those_of_pytorch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
