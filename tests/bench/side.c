/*
 * Retort's side: the training loop and the prediction that users get, with rounds by the
 * protocol.
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
#include "retort/stage.h"
#include "retort/train.h"

/* ---- the protocol ---- */

void side_ready(void)
{
    printf("ready\n");
    fflush(stdout);
}

bool side_go(void)
{
    char line[64];

    return fgets(line, sizeof line, stdin) && !strncmp(line, "go", 2);
}

void side_round(double seconds, double cpu, double value)
{
    printf("round %.6f %.6f %.9g\n", seconds, cpu, value);
    fflush(stdout);
}

void side_peak(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    printf("peak %lld\n", (long long)u.ru_maxrss * 1024);
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

struct watch {
    const struct bench_case *c;
    int64_t step;
    double began, cpu, loss; /* of this round */
};

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

/* After a step. The first round warms up; after the last one nothing is waited for. */
static void after_step(struct stage *st, int64_t done, int64_t total, const char *text)
{
    struct watch *w = st->runner;

    (void)text;
    if (++w->step % w->c->steps)
        return;
    if (w->step == w->c->steps)
        side_ready();
    else
        side_round(clock_seconds() - w->began, side_cpu() - w->cpu,
                   w->loss / (double)w->c->steps);
    if (done < total && !side_go())
        exit(1);
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

static void train(struct stage *st, struct watch *w, struct model *m,
                  const struct dataset *data)
{
    const struct bench_case *c = w->c;
    struct train_options o = {.epochs = 1,
                              .batch = c->batch,
                              .accumulate = 1,
                              .max_len = 384,
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

    st->runner = w;
    st->rec = (struct recorder){.ctx = w, .metric = take_metric};
    st->state = keep_state;
    st->restore = restore;
    st->checkpoint = checkpoint;
    st->progress = after_step;
    st->note = note;
    train_loop(st, m, data, NULL, &o, NULL);
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

    predict(st, m, data, tape);
    if (stage_failed(st))
        return;
    side_ready();
    while (side_go()) {
        double began = clock_seconds(), cpu = side_cpu();
        double loss = predict(st, m, data, tape);
        side_round(clock_seconds() - began, side_cpu() - cpu, loss);
    }
}

/* ---- the side ---- */

int side_retort(const struct bench_case *c, int threads)
{
    struct stage st = {.seed = 1, .err = ERR_INIT};
    struct watch w = {.c = c};
    struct model *m = NULL;
    struct dataset *data = NULL;
    const struct task *task;
    bool real;

    st.pool = pool_new(threads, &st.err);
    st.arena = arena_new(&st.err);
    if (!stage_failed(&st) && !bench_model(&m, c, &task, &real, &st.err) &&
        !bench_data(&data, c, m, &real, &st.err)) {
        if (c->work == WORK_TRAIN)
            train(&st, &w, m, data);
        else
            evaluate(&st, c, m, data);
    }
    if (stage_failed(&st))
        fprintf(stderr, "bench: %s\n", st.err.text);
    else
        side_peak();
    stage_release(&st);
    dataset_free(data);
    model_free(m);
    arena_free(st.arena);
    pool_free(st.pool);
    return stage_failed(&st) ? 1 : 0;
}
