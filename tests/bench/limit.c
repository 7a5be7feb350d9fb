/*
 * The limit: the bare matrix products of a case's model on its own batches, by oneDNN,
 * and nothing else.
 *
 * Each thread has its share of the rows and its own single-threaded primitives; weights
 * are packed before the clock starts, in the layout that oneDNN likes best; outputs of
 * bf16 products are bf16. So this is as fast as a program could be whose every other part
 * cost nothing. Per layer: four maps C -> C, C -> F, F -> C forward, and a decoder's head
 * C -> V; training has for each of them two products more, for the inputs' and the
 * weights' gradients. A teacher alongside has its own, forward alone.
 */
#include "bench.h"

#include <dnnl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/clock.h"

extern void omp_set_num_threads(int n) __attribute__((weak));

#define CHECK(call)                                                                      \
    do {                                                                                 \
        if ((call) != dnnl_success) {                                                    \
            fprintf(stderr, "bench: oneDNN refused %s\n", #call);                        \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)

/* c (m, n) = a (m, k) b (k, n), ready to run. */
struct product {
    int64_t m, n, k, times; /* times: of one round */
    dnnl_primitive_t prim;
    dnnl_exec_arg_t arg[3];
};

static dnnl_memory_t buffer(const_dnnl_primitive_desc_t pd, dnnl_query_t query,
                            dnnl_engine_t engine)
{
    dnnl_memory_t memory;
    void *data = NULL;
#if DNNL_VERSION_MAJOR >= 3
    const_dnnl_memory_desc_t md = dnnl_primitive_desc_query_md(pd, query, 0);
#else
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, query, 0);
#endif
    size_t bytes = dnnl_memory_desc_get_size(md);

    CHECK(dnnl_memory_create(&memory, md, engine, DNNL_MEMORY_ALLOCATE));
    CHECK(dnnl_memory_get_data_handle(memory, &data));
    memset(data, 0, bytes);
    return memory;
}

static dnnl_primitive_desc_t describe(const struct product *p, dnnl_data_type_t type,
                                      dnnl_engine_t engine)
{
    const dnnl_dims_t a = {p->m, p->k}, b = {p->k, p->n}, c = {p->m, p->n};
    dnnl_primitive_desc_t pd;
#if DNNL_VERSION_MAJOR >= 3
    dnnl_memory_desc_t da, db, dc;
    CHECK(dnnl_memory_desc_create_with_tag(&da, 2, a, type, dnnl_ab));
    CHECK(dnnl_memory_desc_create_with_tag(&db, 2, b, type, dnnl_format_tag_any));
    CHECK(dnnl_memory_desc_create_with_tag(&dc, 2, c, type, dnnl_ab));
    CHECK(dnnl_matmul_primitive_desc_create(&pd, engine, da, db, NULL, dc, NULL));
#else
    dnnl_memory_desc_t da, db, dc;
    dnnl_matmul_desc_t d;
    CHECK(dnnl_memory_desc_init_by_tag(&da, 2, a, type, dnnl_ab));
    CHECK(dnnl_memory_desc_init_by_tag(&db, 2, b, type, dnnl_format_tag_any));
    CHECK(dnnl_memory_desc_init_by_tag(&dc, 2, c, type, dnnl_ab));
    CHECK(dnnl_matmul_desc_init(&d, &da, &db, NULL, &dc));
    CHECK(dnnl_primitive_desc_create(&pd, &d, NULL, engine, NULL));
#endif
    return pd;
}

static void product_init(struct product *p, dnnl_data_type_t type, dnnl_engine_t engine)
{
    dnnl_primitive_desc_t pd = describe(p, type, engine);

    p->arg[0] = (dnnl_exec_arg_t){DNNL_ARG_SRC, buffer(pd, dnnl_query_src_md, engine)};
    p->arg[1] =
        (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, buffer(pd, dnnl_query_weights_md, engine)};
    p->arg[2] = (dnnl_exec_arg_t){DNNL_ARG_DST, buffer(pd, dnnl_query_dst_md, engine)};
    CHECK(dnnl_primitive_create(&p->prim, pd));
    dnnl_primitive_desc_destroy(pd);
}

/* ---- one thread's share ---- */

enum { PRODUCTS_MAX = 24 };

struct share {
    const struct bench_case *c;
    int64_t rows; /* of one batch, this thread's part */
    bool first;   /* the first run makes the primitives */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct product product[PRODUCTS_MAX];
    int n;
};

static void plan_map(struct share *s, int64_t in, int64_t out, int64_t times, bool train)
{
    int64_t r = s->rows;
    struct product *p = &s->product[s->n];

    p[0] = (struct product){.m = r, .n = out, .k = in, .times = times};
    p[1] = (struct product){.m = r, .n = in, .k = out, .times = times};
    p[2] = (struct product){.m = out, .n = in, .k = r, .times = times};
    s->n += train ? 3 : 1;
}

static void plan_model(struct share *s, const char *model, bool train)
{
    const struct bench_shape *shape = bench_shape(model);
    int64_t c = shape->width, f = shape->ffn;
    /* Of ablations a part: enough to be timed. */
    int64_t times = s->c->steps * (s->c->work == WORK_ABLATE ? 4 : 1);

    plan_map(s, c, c, times * 4 * shape->layers, train);
    plan_map(s, c, f, times * shape->layers, train);
    plan_map(s, f, c, times * shape->layers, train);
    if (shape->vocab)
        plan_map(s, c, shape->vocab, times, train);
}

static void plan(struct share *s)
{
    s->n = 0;
    plan_model(s, s->c->model, work_trains(s->c->work));
    if (s->c->work == WORK_KD)
        plan_model(s, BENCH_TEACHER, false);
}

static void *run_share(void *arg)
{
    struct share *s = arg;

    if (omp_set_num_threads)
        omp_set_num_threads(1);
    if (s->first) {
        plan(s);
        CHECK(dnnl_engine_create(&s->engine, dnnl_cpu, 0));
        CHECK(dnnl_stream_create(&s->stream, s->engine, dnnl_stream_default_flags));
        for (int i = 0; i < s->n; i++)
            product_init(&s->product[i], s->c->bf16 ? dnnl_bf16 : dnnl_f32, s->engine);
    }
    for (int i = 0; i < s->n; i++)
        for (int64_t t = 0; t < (s->first ? 1 : s->product[i].times); t++)
            CHECK(dnnl_primitive_execute(s->product[i].prim, s->stream, 3,
                                         s->product[i].arg));
    CHECK(dnnl_stream_wait(s->stream));
    s->first = false;
    return NULL;
}

/* All shares at once, the first on this thread. */
static void run_all(struct share *s, int threads)
{
    pthread_t id[64];

    for (int i = 1; i < threads; i++)
        if (pthread_create(&id[i], NULL, run_share, &s[i]))
            exit(1);
    run_share(&s[0]);
    for (int i = 1; i < threads; i++)
        pthread_join(id[i], NULL);
}

/* Floating-point operations of a round: the value that this side reports. */
static double operations(const struct share *s, int threads)
{
    double sum = 0;

    for (int t = 0; t < threads; t++)
        for (int i = 0; i < s[t].n; i++)
            sum += 2 * (double)s[t].product[i].m * (double)s[t].product[i].n *
                   (double)s[t].product[i].k * (double)s[t].product[i].times;
    return sum;
}

int side_limit(const struct bench_case *c, int threads)
{
    struct share share[64] = {{0}};
    struct err err = ERR_INIT;
    struct model *m = NULL;
    struct dataset *data = NULL;
    const struct task *task;
    bool real;
    int rc = 1;

    if (bench_model(&m, c, &task, &real, &err) || bench_data(&data, c, m, &real, &err)) {
        fprintf(stderr, "bench: %s\n", err.text);
        goto done;
    }
    for (int i = 0; i < threads; i++) {
        share[i].c = c;
        share[i].rows = data->n_tokens * c->batch / data->n / threads;
        share[i].first = true;
    }
    run_all(share, threads);
    side_ready();
    while (side_wait() == SIDE_GO) {
        double began = clock_seconds(), cpu = side_cpu();
        run_all(share, threads);
        side_round(clock_seconds() - began, side_cpu() - cpu, operations(share, threads));
    }
    side_peak();
    rc = 0;
done:
    dataset_free(data);
    model_free(m);
    return rc;
}
