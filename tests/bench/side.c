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
#include "retort/method.h"
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
    const struct task *task;
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

/* ---- ablation of all heads ---- */

/* The method's options at their defaults, but for the split and the metric. */
static void *default_options(const struct method *m, const char *split, struct arena *a)
{
    char *out = arena_zalloc(a, (int64_t)m->options_size);

    for (const struct option *o = m->options; out && o->name; o++) {
        char *at = out + o->offset;
        const char *def = o->def ? o->def : "0";
        if (o->type == OPT_INT)
            *(int64_t *)(void *)at = strtoll(def, NULL, 10);
        else if (o->type == OPT_REAL)
            *(double *)(void *)at = strtod(def, NULL);
        else if (o->type == OPT_BOOL)
            *(bool *)(void *)at = !strcmp(def, "true");
        else if (o->type == OPT_STRING)
            *(const char **)(void *)at =
                !strcmp(o->name, "split") ? split
                : !strcmp(o->name, "metric")
                    ? "accuracy"
                    : arena_printf(a, "%.*s", (int)strlen(def) - 2, def + 1);
        else if (o->type == OPT_ENUM)
            for (int i = 0; o->choices[i]; i++)
                if (!strncmp(def + 1, o->choices[i], strlen(def) - 2))
                    *(int *)(void *)at = i;
    }
    return out;
}

static const char *give_path(struct stage *st, const char *input)
{
    static char path[1024];
    const struct watch *w = st->runner;

    (void)input;
    return bench_model_dir(path, sizeof path, w->c) ? path : NULL;
}

static const struct task *give_task(struct stage *st, const char *input)
{
    const struct watch *w = st->runner;

    (void)input;
    return w->task;
}

static int64_t count_input(struct stage *st, const char *input)
{
    (void)st;
    (void)input;
    return 1;
}

static int load_split(struct stage *st, const struct task *task, const char *split,
                      struct examples **out, struct err *err)
{
    const struct watch *w = st->runner;
    char dir[1024];
    struct task_source src = {dir, split};

    if (!bench_data_dir(dir, sizeof dir, w->c))
        return err_set(err, ERR_MISSING, "no data of %s", task->name);
    *out = examples_new(err);
    if (!*out)
        return -1;
    if (task->load(task, &src, *out, err)) {
        examples_free(*out);
        return -1;
    }
    return 0;
}

static int take_array(void *ctx, enum record_class class, const char *path,
                      const struct array *a, struct err *err)
{
    struct watch *w = ctx;
    const double *v = a->data;

    (void)class;
    (void)err;
    for (int64_t i = 0; !strcmp(path, "/scores/ablation") && i < shape_count(a->shape);
         i++)
        w->loss += v[i];
    return 0;
}

static int take_text(void *ctx, enum record_class class, const char *path,
                     const char *const *texts, int64_t n, struct err *err)
{
    (void)ctx;
    (void)class;
    (void)path;
    (void)texts;
    (void)n;
    (void)err;
    return 0;
}

static void quiet(struct stage *st, int64_t done, int64_t total, const char *text)
{
    (void)st;
    (void)done;
    (void)total;
    (void)text;
}

/* The whole method, reading of model and data included. The value: accuracy lost, summed
 * over the heads. */
static double ablate_once(const struct stage *like, struct watch *w, struct err *err)
{
    const struct method *m = method_find("analyze/ablate");
    struct stage st = *like;

    w->loss = 0;
    st.arena = arena_new(err);
    st.method = m;
    st.runner = w;
    st.rec = (struct recorder){
        .ctx = w, .metric = take_metric, .array = take_array, .text = take_text};
    st.input_count = count_input;
    st.input_path = give_path;
    st.task = give_task;
    st.load = load_split;
    st.state = keep_state;
    st.restore = restore;
    st.checkpoint = checkpoint;
    st.progress = quiet;
    st.note = note;
    st.options = default_options(
        m, arena_printf(st.arena, "train[0:%lld]", (long long)bench_examples(w->c)),
        st.arena);
    if (!arena_failed(st.arena, err) && m->run(&st))
        *err = st.err;
    stage_release(&st);
    arena_free(st.arena);
    return w->loss;
}

static void ablate(struct stage *st, struct watch *w)
{
    ablate_once(st, w, &st->err);
    if (stage_failed(st))
        return;
    side_ready();
    while (!stage_failed(st) && side_go()) {
        double began = clock_seconds(), cpu = side_cpu();
        double lost = ablate_once(st, w, &st->err);
        side_round(clock_seconds() - began, side_cpu() - cpu, lost);
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
        w.task = task;
        if (c->work == WORK_TRAIN)
            train(&st, &w, m, data);
        else if (c->work == WORK_ABLATE)
            ablate(&st, &w);
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
