/*
 * Retort's side of the works that are whole methods: ablation of all heads, and
 * distillation. The stage is the bench's own: inputs are the checkpoints' folders, data
 * come from the real files, and what is recorded is summed or dropped.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#include "retort/clock.h"
#include "retort/method.h"
#include "retort/stage.h"

/* What the method is run on. */
struct desk {
    struct watch watch; /* first: stage.runner of side.c */
    struct arena *arena;
    struct artifact features; /* what distill/teacher recorded, below */
    struct array logits, blocks, depth;
    const char *about;
    bool cached;
};

/* ---- options: the method's defaults, but for some ---- */

struct setting {
    const char *name, *value; /* JSON text */
};

static void set_option(char *at, const struct option *o, const char *text,
                       struct arena *a)
{
    if (o->type == OPT_INT)
        *(int64_t *)(void *)at = strtoll(text, NULL, 10);
    else if (o->type == OPT_REAL)
        *(double *)(void *)at = strtod(text, NULL);
    else if (o->type == OPT_BOOL)
        *(bool *)(void *)at = !strcmp(text, "true");
    else if (o->type == OPT_STRING)
        *(const char **)(void *)at =
            arena_printf(a, "%.*s", (int)strlen(text) - 2, text + 1);
    else if (o->type == OPT_ENUM)
        for (int i = 0; o->choices[i]; i++)
            if (strlen(o->choices[i]) == strlen(text) - 2 &&
                !strncmp(text + 1, o->choices[i], strlen(text) - 2))
                *(int *)(void *)at = i;
}

static const void *options_of(const struct method *m, const struct setting *set,
                              struct arena *a)
{
    char *out = arena_zalloc(a, (int64_t)m->options_size);

    for (const struct option *o = m->options; out && o->name; o++) {
        const char *text = o->def ? o->def : "0";
        for (const struct setting *s = set; s->name; s++)
            if (!strcmp(s->name, o->name))
                text = s->value;
        set_option(out + o->offset, o, text, a);
    }
    return out;
}

/* ---- inputs ---- */

static const char *give_path(struct stage *st, const char *input)
{
    static char path[1024];
    const struct desk *d = st->runner;
    bool teacher =
        !strcmp(input, "teacher") || !strcmp(st->method->name, "distill/teacher");

    if (!strcmp(input, "features"))
        return NULL;
    return bench_model_dir(path, sizeof path, teacher ? BENCH_TEACHER : d->watch.c->model)
               ? path
               : NULL;
}

static const struct task *give_task(struct stage *st, const char *input)
{
    const struct desk *d = st->runner;

    (void)input;
    return d->watch.task;
}

static int64_t count_input(struct stage *st, const char *input)
{
    const struct desk *d = st->runner;

    if (!strcmp(input, "teacher"))
        return !d->cached;
    return strcmp(input, "features") || d->cached;
}

static struct artifact *give_artifact(struct stage *st, const char *input, int64_t i)
{
    struct desk *d = st->runner;

    (void)i;
    return !strcmp(input, "features") && d->cached ? &d->features : NULL;
}

static int load_split(struct stage *st, const struct task *task, const char *split,
                      struct examples **out, struct err *err)
{
    const struct desk *d = st->runner;
    char dir[1024];
    struct task_source src = {dir, split};

    if (!bench_data_dir(dir, sizeof dir, d->watch.c))
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

/* ---- what is recorded ---- */

static int take_nothing(void *ctx, enum record_class class, const char *name,
                        int64_t step, double value, struct err *err)
{
    (void)ctx;
    (void)class;
    (void)name;
    (void)step;
    (void)value;
    (void)err;
    return 0;
}

/* Sums the scores of heads. */
static int take_scores(void *ctx, enum record_class class, const char *path,
                       const struct array *a, struct err *err)
{
    struct desk *d = ctx;
    const double *v = a->data;

    (void)class;
    (void)err;
    for (int64_t i = 0; !strcmp(path, "/scores/ablation") && i < shape_count(a->shape);
         i++)
        d->watch.loss += v[i];
    return 0;
}

static struct array *feature_of(struct desk *d, const char *path)
{
    return !strcmp(path, "/features/logits")   ? &d->logits
           : !strcmp(path, "/features/blocks") ? &d->blocks
           : !strcmp(path, "/features/depth")  ? &d->depth
                                               : NULL;
}

/* Keeps the features; all of them have 4 bytes an element. */
static int take_features(void *ctx, enum record_class class, const char *path,
                         const struct array *a, struct err *err)
{
    struct desk *d = ctx;
    struct array *to = feature_of(d, path);
    int64_t bytes = shape_count(a->shape) * 4;
    void *copy;

    (void)class;
    if (!to)
        return 0;
    copy = arena_alloc(d->arena, bytes + 4);
    if (arena_failed(d->arena, err))
        return -1;
    memcpy(copy, a->data, (size_t)bytes);
    *to = *a;
    to->data = copy;
    return 0;
}

static int take_text(void *ctx, enum record_class class, const char *path,
                     const char *const *texts, int64_t n, struct err *err)
{
    struct desk *d = ctx;

    (void)class;
    (void)n;
    if (!strcmp(path, "/features/data"))
        d->about = arena_printf(d->arena, "%s", texts[0]);
    return arena_failed(d->arena, err);
}

static int give_array(void *ctx, const char *path, struct array *out, struct err *err)
{
    const struct array *a = feature_of(ctx, path);

    if (!a || !a->data)
        return err_set(err, ERR_MISSING, "no %s", path);
    *out = *a;
    return 0;
}

static int give_text(void *ctx, const char *path, const char *const **texts, int64_t *n,
                     struct err *err)
{
    struct desk *d = ctx;

    (void)path;
    (void)err;
    *texts = &d->about;
    *n = -1;
    return 0;
}

static void no_progress(struct stage *st, int64_t done, int64_t total, const char *text)
{
    (void)st;
    (void)done;
    (void)total;
    (void)text;
}

/* ---- running a method ---- */

static void desk_open(struct desk *d, const struct bench_case *c, struct stage *like)
{
    struct model *m = NULL;
    bool real;

    *d = (struct desk){.watch = {.c = c}, .arena = like->arena};
    d->features = (struct artifact){
        .ctx = d, .run_id = "bench", .array = give_array, .text = give_text};
    bench_model(&m, c, &d->watch.task, &real, &like->err); /* for its task alone */
    model_free(m);
}

static void stage_of(struct stage *st, struct desk *d, const struct stage *like,
                     const char *name, const struct setting *set)
{
    *st = *like;
    st->owned = NULL;
    side_stage(st, &d->watch);
    st->rec.array = take_features;
    st->rec.text = take_text;
    st->input_count = count_input;
    st->input_path = give_path;
    st->input_artifact = give_artifact;
    st->task = give_task;
    st->load = load_split;
    st->method = method_find(name);
    st->options = options_of(st->method, set, like->arena);
    arena_failed(like->arena, &st->err);
}

/* The examples of all rounds. */
static const char *split_of(const struct bench_case *c, struct arena *a)
{
    return arena_printf(a, "\"train[0:%lld]\"", (long long)bench_examples(c));
}

/* The whole method, reading of model and data included. The value: accuracy lost, summed
 * over the heads. */
static double ablate_once(struct stage *like, struct desk *d)
{
    struct setting set[] = {{"split", split_of(d->watch.c, like->arena)},
                            {"metric", "\"accuracy\""},
                            {NULL, NULL}};
    struct stage st;

    stage_of(&st, d, like, "analyze/ablate", set);
    st.progress = no_progress;
    st.rec.metric = take_nothing;
    st.rec.array = take_scores;
    d->watch.loss = 0;
    if (!stage_failed(&st))
        st.method->run(&st);
    like->err = st.err;
    stage_release(&st);
    return d->watch.loss;
}

void side_ablate(struct stage *st, const struct bench_case *c)
{
    struct desk d;
    enum side_order order;

    desk_open(&d, c, st);
    if (!stage_failed(st))
        ablate_once(st, &d);
    if (stage_failed(st))
        return;
    side_ready();
    while (!stage_failed(st) && (order = side_wait()) != SIDE_END) {
        double began = clock_seconds(), cpu = side_cpu();
        double lost = ablate_once(st, &d);
        if (order == SIDE_PROFILE)
            side_profiled();
        else
            side_round(clock_seconds() - began, side_cpu() - cpu, lost);
    }
}

/* What the teacher says of all examples, before any clock runs. */
static void ask_teacher(struct stage *like, struct desk *d)
{
    const struct bench_case *c = d->watch.c;
    struct setting set[] = {{"split", split_of(c, like->arena)},
                            {"states", "\"none\""},
                            {"dtype", c->bf16 ? "\"bf16\"" : "\"f32\""},
                            {NULL, NULL}};
    struct stage st;

    stage_of(&st, d, like, "distill/teacher", set);
    st.progress = no_progress;
    st.rec.metric = take_nothing;
    if (!stage_failed(&st))
        st.method->run(&st);
    like->err = st.err;
    stage_release(&st);
}

/* Hinton's distillation: half the labels, half what the teacher says at temperature 2. */
void side_distill(struct stage *like, const struct bench_case *c)
{
    struct setting set[] = {
        {"split", split_of(c, like->arena)},
        {"epochs", "1"},
        {"batch", arena_printf(like->arena, "%lld", (long long)c->batch)},
        {"dtype", c->bf16 ? "\"bf16\"" : "\"f32\""},
        {"alpha", "0.5"},
        {"temperature", "2"},
        {"beta", "0"},
        {"scaling", "\"hinton\""},
        {NULL, NULL}};
    struct desk d;
    struct stage st;

    desk_open(&d, c, like);
    if (c->work == WORK_KD_CACHED && !stage_failed(like))
        ask_teacher(like, &d);
    if (stage_failed(like))
        return;
    d.cached = c->work == WORK_KD_CACHED;
    stage_of(&st, &d, like, "distill/pkd", set);
    if (!stage_failed(&st))
        st.method->run(&st);
    like->err = st.err;
    stage_release(&st);
}
