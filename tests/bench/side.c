/*
 * Retort's side: the training loop and the prediction that users get, with rounds by the
 * protocol. Works that are whole methods are in methods.c.
 *
 * Training goes through train_loop: batches from the dataset's order, dropout, clipping,
 * AdamW, the rate's schedule, and a recorder. The loop reports each step through
 * stage->progress; there the clock is read, and between rounds the loop is held.
 */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "retort/clock.h"
#include "retort/file.h"
#include "retort/hash.h"
#include "retort/profile.h"
#include "retort/stage.h"
#include "retort/train.h"

/* ---- the protocol ---- */

void side_ready(void)
{
    printf("ready\n");
    fflush(stdout);
}

/* Where the profile goes, and the peak before it took memory. */
static char profile_base[1024];
static int64_t peak_before;

/* Of this program alone: ru_maxrss also counts what its parent had when it began. */
static int64_t peak_bytes(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long long kb = 0;

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lld", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return (int64_t)kb * 1024;
}

enum side_order side_wait(void)
{
    struct err err = ERR_INIT;
    char line[1100];

    if (!fgets(line, sizeof line, stdin))
        return SIDE_END;
    if (!strncmp(line, "go", 2))
        return SIDE_GO;
    if (strncmp(line, "profile ", 8) != 0)
        return SIDE_END;
    snprintf(profile_base, sizeof profile_base, "%.*s", (int)strcspn(line + 8, "\n"),
             line + 8);
    peak_before = peak_bytes();
    if (profile_start(&err)) {
        fprintf(stderr, "bench: %s\n", err.text);
        return SIDE_END;
    }
    return SIDE_PROFILE;
}

void side_round(double seconds, double cpu, double value)
{
    printf("round %.6f %.6f %.9g\n", seconds, cpu, value);
    fflush(stdout);
}

void side_profiled(void)
{
    struct err err = ERR_INIT;

    if (profile_finish(profile_base, path_base(profile_base), &err))
        fprintf(stderr, "bench: %s\n", err.text);
    else
        printf("profiled\n");
    fflush(stdout);
}

void side_digest(const struct model *m)
{
    struct err err = ERR_INIT;
    struct sha256 *h = sha256_new(&err);
    char hex[SHA256_HEX];

    for (int64_t i = 0; h && i < m->n_params; i++)
        sha256_add(h, m->param[i]->value.data,
                   shape_count(m->param[i]->value.shape) * (int64_t)sizeof(float));
    if (h && !sha256_hex(h, hex, &err))
        printf("digest %s\n", hex);
    sha256_free(h);
}

void side_peak(void)
{
    printf("peak %lld\n", (long long)(peak_before ? peak_before : peak_bytes()));
    fflush(stdout);
}

double side_cpu(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* ---- a stage whose steps are timed ---- */

static int take_metric(void *ctx, enum record_class class, const char *name, int64_t step,
                       double value, struct err *err)
{
    struct watch *w = ctx;

    (void)class;
    (void)step;
    (void)err;
    if (!strcmp(name, "train/loss"))
        w->loss += value;
    return 0;
}

/* After a step. The first round warms up, the last may be profiled; after that nothing is
 * waited for. */
static void after_step(struct stage *st, int64_t done, int64_t total, const char *text)
{
    struct watch *w = st->runner;
    enum side_order order;

    (void)text;
    if (++w->step % w->c->steps)
        return;
    if (w->profiling)
        side_profiled();
    else if (w->step == w->c->steps)
        side_ready();
    else
        side_round(clock_seconds() - w->began, side_cpu() - w->cpu,
                   w->loss / (double)w->c->steps);
    order = done < total ? side_wait() : SIDE_GO;
    if (order == SIDE_END)
        exit(1);
    w->profiling = order == SIDE_PROFILE;
    w->began = clock_seconds();
    w->cpu = side_cpu();
    w->loss = 0;
}

static int keep_state(struct stage *st, const char *name, void *data, int64_t bytes)
{
    (void)st;
    (void)name;
    (void)data;
    (void)bytes;
    return 0;
}

static bool restore(struct stage *st)
{
    (void)st;
    return false;
}

static bool checkpoint(struct stage *st, bool force)
{
    (void)st;
    (void)force;
    return false;
}

static void note(struct stage *st, const char *text)
{
    (void)st;
    fprintf(stderr, "bench: %s\n", text);
}

void side_stage(struct stage *st, struct watch *w)
{
    st->runner = w;
    st->rec = (struct recorder){.ctx = w, .metric = take_metric};
    st->state = keep_state;
    st->restore = restore;
    st->checkpoint = checkpoint;
    st->progress = after_step;
    st->note = note;
}

struct train_options side_train_options(const struct bench_case *c)
{
    return (struct train_options){.epochs = 1,
                                  .batch = c->batch,
                                  .accumulate = 1,
                                  .max_len = 1024,
                                  .lr = 5e-5,
                                  .warmup = 0.1,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .eps = 1e-8,
                                  .weight_decay = 0.01,
                                  .clip = CLIP_GLOBAL,
                                  .clip_norm = 1,
                                  .dropout = -1,
                                  .attention_dropout = -1,
                                  .dtype = c->bf16,
                                  .keep_metric = "",
                                  .eval_split = ""};
}

static void train(struct stage *st, const struct bench_case *c, struct model *m,
                  const struct dataset *data)
{
    struct train_options o = side_train_options(c);
    struct watch w = {.c = c};

    side_stage(st, &w);
    train_loop(st, m, data, NULL, &o, NULL);
    if (!stage_failed(st))
        side_digest(m);
}

/* ---- evaluation ---- */

/* Mean loss over the dataset. */
static double predict(struct stage *st, struct model *m, const struct dataset *data,
                      struct tape *tape)
{
    struct predictions *p = NULL;
    double loss;

    if (model_predict(&p, m, data, tape, 4096, NULL, NULL, NULL, &st->err))
        return (double)NAN;
    loss = p->loss;
    predictions_free(p);
    return loss;
}

static void evaluate(struct stage *st, const struct bench_case *c, struct model *m,
                     const struct dataset *data)
{
    struct tape *tape = stage_tape(st, c->bf16 ? DT_BF16 : DT_F32);
    enum side_order order;

    predict(st, m, data, tape);
    if (stage_failed(st))
        return;
    side_ready();
    while ((order = side_wait()) != SIDE_END) {
        double began = clock_seconds(), cpu = side_cpu();
        double loss = predict(st, m, data, tape);
        if (order == SIDE_PROFILE)
            side_profiled();
        else
            side_round(clock_seconds() - began, side_cpu() - cpu, loss);
    }
}

/* ---- the side ---- */

static void train_or_evaluate(struct stage *st, const struct bench_case *c)
{
    struct model *m = NULL;
    struct dataset *data = NULL;
    const struct task *task;
    bool real;

    if (!bench_model(&m, c, &task, &real, &st->err) &&
        !bench_data(&data, c, m, &real, &st->err)) {
        if (c->work == WORK_TRAIN)
            train(st, c, m, data);
        else
            evaluate(st, c, m, data);
    }
    dataset_free(data);
    model_free(m);
}

int side_retort(const struct bench_case *c, int threads)
{
    struct stage st = {.seed = 1, .err = ERR_INIT};

    st.pool = pool_new(threads, &st.err);
    st.arena = arena_new(&st.err);
    if (!stage_failed(&st)) {
        if (c->work == WORK_ABLATE)
            side_ablate(&st, c);
        else if (c->work == WORK_KD || c->work == WORK_KD_CACHED)
            side_distill(&st, c);
        else
            train_or_evaluate(&st, c);
    }
    if (stage_failed(&st))
        fprintf(stderr, "bench: %s\n", st.err.text);
    else
        side_peak();
    stage_release(&st);
    arena_free(st.arena);
    pool_free(st.pool);
    return stage_failed(&st) ? 1 : 0;
}
