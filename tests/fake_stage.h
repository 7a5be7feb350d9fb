/*
 * A stage without a runner: options from "name=value" texts over the defaults of the
 * method's table, inputs from what other fake stages recorded, records in memory, and
 * checkpoints that can stop a method and let it go on. For unit tests of methods.
 */
#ifndef RETORT_TESTS_FAKE_STAGE_H
#define RETORT_TESTS_FAKE_STAGE_H

#include "check.h"
#include "retort/method.h"

enum { FAKE_MOST = 4096 };

/* What a stage recorded; serves as an input of the next. */
struct fake_run {
    struct arena *arena;
    struct {
        const char *path;
        enum record_class cls;
        struct array a;
        const char **text;
        int64_t n_text; /* 0: an array */
    } item[FAKE_MOST];
    struct {
        const char *name;
        enum record_class cls;
        int64_t step;
        double value;
    } metric[FAKE_MOST];
    int64_t n_items, n_metrics;
    struct artifact artifact;
};

struct fake_stage {
    struct stage st; /* first: callbacks get it */
    struct fake_run *out;
    struct {
        const char *name;
        struct fake_run *run;
    } input[8];
    int64_t n_inputs;
    const struct task *task;
    int (*load)(const char *split, struct examples *out, struct err *err);
    char options[4096];
    int threads;        /* 0: 2 */
    int64_t stop_after; /* checkpoints until the stage is stopped; 0: never */
    int64_t calls;
    struct {
        const char *name;
        void *data;
        int64_t bytes;
    } region[512];
    int64_t n_regions;
    void *saved[512]; /* of a stopped stage, in the order of registration */
    bool has_saved;
    int64_t notes;
};

/* ---- recording ---- */

static int fake_metric(void *ctx, enum record_class c, const char *name, int64_t step,
                       double value, struct err *err)
{
    struct fake_run *r = ctx;
    (void)err;
    assert_true(r->n_metrics < FAKE_MOST);
    r->metric[r->n_metrics].name = arena_strdup(r->arena, name);
    r->metric[r->n_metrics].cls = c;
    r->metric[r->n_metrics].step = step;
    r->metric[r->n_metrics++].value = value;
    return 0;
}

static int fake_array(void *ctx, enum record_class c, const char *path,
                      const struct array *a, struct err *err)
{
    struct fake_run *r = ctx;
    int64_t bytes;
    void *copy;
    assert_ok(shape_bytes(&bytes, a->shape, a->dtype, err), err);
    assert_true(r->n_items < FAKE_MOST);
    copy = arena_alloc(r->arena, bytes);
    memcpy(copy, a->data, (size_t)bytes);
    r->item[r->n_items].path = arena_strdup(r->arena, path);
    r->item[r->n_items].cls = c;
    r->item[r->n_items].a = *a;
    r->item[r->n_items].n_text = 0;
    r->item[r->n_items++].a.data = copy;
    return 0;
}

static int fake_text(void *ctx, enum record_class c, const char *path,
                     const char *const *texts, int64_t n, struct err *err)
{
    struct fake_run *r = ctx;
    int64_t count = n < 0 ? 1 : n;
    const char **copy = arena_alloc(r->arena, count * (int64_t)sizeof *copy);
    (void)err;
    assert_true(r->n_items < FAKE_MOST);
    for (int64_t i = 0; i < count; i++)
        copy[i] = arena_strdup(r->arena, texts[i]);
    r->item[r->n_items].path = arena_strdup(r->arena, path);
    r->item[r->n_items].cls = c;
    r->item[r->n_items].text = copy;
    r->item[r->n_items++].n_text = n;
    return 0;
}

static int fake_read(void *ctx, const char *path, struct array *out, struct err *err)
{
    struct fake_run *r = ctx;
    for (int64_t i = r->n_items - 1; i >= 0; i--)
        if (r->item[i].n_text == 0 && !strcmp(r->item[i].path, path)) {
            *out = r->item[i].a;
            return 0;
        }
    return err_set(err, ERR_MISSING, "there is no %s", path);
}

/* The tests have one parent at most, whose tensors are copied. */
static int fake_reference(void *ctx, const char *path, const char *origin,
                          struct err *err)
{
    struct fake_run *r = ctx, *from = NULL;
    struct array a;
    assert_int_equal(sscanf(origin, "%p:", (void **)&from), 1);
    assert_ok(fake_read(from, strchr(origin, ':') + 1, &a, err), err);
    return fake_array(r, RECORD_RESULT, path, &a, err);
}

static int fake_read_text(void *ctx, const char *path, const char *const **texts,
                          int64_t *n, struct err *err)
{
    struct fake_run *r = ctx;
    for (int64_t i = r->n_items - 1; i >= 0; i--)
        if (r->item[i].n_text != 0 && !strcmp(r->item[i].path, path)) {
            *texts = r->item[i].text;
            *n = r->item[i].n_text;
            return 0;
        }
    return err_set(err, ERR_MISSING, "there is no %s", path);
}

static int fake_read_metric(void *ctx, const char *name, double *value, struct err *err)
{
    struct fake_run *r = ctx;
    for (int64_t i = r->n_metrics - 1; i >= 0; i--)
        if (!strcmp(r->metric[i].name, name)) {
            *value = r->metric[i].value;
            return 0;
        }
    return err_set(err, ERR_MISSING, "there is no metric %s", name);
}

/* Names right under a group, without the groups below it. */
static int fake_list(void *ctx, const char *group, const char *const **names,
                     struct err *err)
{
    struct fake_run *r = ctx;
    const char **list = arena_alloc(r->arena, (r->n_items + 1) * (int64_t)sizeof *list);
    size_t len = strlen(group);
    int64_t n = 0;
    (void)err;
    for (int64_t i = 0; i < r->n_items; i++)
        if (!strncmp(r->item[i].path, group, len) && r->item[i].path[len] == '/' &&
            !strchr(r->item[i].path + len + 1, '/'))
            list[n++] = r->item[i].path + len + 1;
    list[n] = NULL;
    *names = list;
    return 0;
}

static inline struct fake_run *fake_run_new(void)
{
    struct err err = ERR_INIT;
    struct fake_run *r = calloc(1, sizeof *r);
    char *id;
    r->arena = arena_new(&err);
    id = arena_printf(r->arena, "%p", (void *)r);
    r->artifact = (struct artifact){.ctx = r,
                                    .run_id = id,
                                    .array = fake_read,
                                    .text = fake_read_text,
                                    .metric = fake_read_metric,
                                    .list = fake_list};
    return r;
}

static inline void fake_run_free(struct fake_run *r)
{
    if (r)
        arena_free(r->arena);
    free(r);
}

/* An array that must be there, in double. */
static inline const double *fake_doubles(struct fake_run *r, const char *path, int64_t n)
{
    struct err err = ERR_INIT;
    struct array a;
    assert_ok(fake_read(r, path, &a, &err), &err);
    assert_int_equal(a.dtype, DT_F64);
    assert_int_equal(shape_count(a.shape), n);
    return a.data;
}

static inline double fake_value(struct fake_run *r, const char *name)
{
    struct err err = ERR_INIT;
    double v = 0;
    assert_ok(fake_read_metric(r, name, &v, &err), &err);
    return v;
}

/* ---- the stage's functions ---- */

static int64_t fake_count(struct stage *st, const char *name)
{
    struct fake_stage *f = (struct fake_stage *)st;
    int64_t n = 0;
    for (int64_t i = 0; i < f->n_inputs; i++)
        n += !strcmp(f->input[i].name, name);
    return n;
}

static struct artifact *fake_input(struct stage *st, const char *name, int64_t at)
{
    struct fake_stage *f = (struct fake_stage *)st;
    for (int64_t i = 0; i < f->n_inputs; i++)
        if (!strcmp(f->input[i].name, name) && at-- == 0)
            return &f->input[i].run->artifact;
    return NULL;
}

static const char *fake_path(struct stage *st, const char *name)
{
    (void)st;
    (void)name;
    return NULL;
}

static const struct task *fake_task(struct stage *st, const char *name)
{
    (void)name;
    return ((struct fake_stage *)st)->task;
}

static int fake_load(struct stage *st, const struct task *task, const char *split,
                     struct examples **out, struct err *err)
{
    (void)task;
    *out = examples_new(err);
    return ((struct fake_stage *)st)->load(split, *out, err);
}

static int fake_state(struct stage *st, const char *name, void *data, int64_t bytes)
{
    struct fake_stage *f = (struct fake_stage *)st;
    assert_true(f->n_regions < 512);
    f->region[f->n_regions].name = name;
    f->region[f->n_regions].data = data;
    f->region[f->n_regions++].bytes = bytes;
    return 0;
}

static bool fake_restore(struct stage *st)
{
    struct fake_stage *f = (struct fake_stage *)st;
    for (int64_t i = 0; f->has_saved && i < f->n_regions; i++)
        memcpy(f->region[i].data, f->saved[i], (size_t)f->region[i].bytes);
    return f->has_saved;
}

static bool fake_checkpoint(struct stage *st, bool force)
{
    struct fake_stage *f = (struct fake_stage *)st;
    (void)force;
    if (stage_failed(st))
        return true;
    if (++f->calls != f->stop_after)
        return false;
    for (int64_t i = 0; i < f->n_regions; i++) {
        f->saved[i] = realloc(f->saved[i], (size_t)f->region[i].bytes + 1);
        memcpy(f->saved[i], f->region[i].data, (size_t)f->region[i].bytes);
    }
    f->has_saved = true;
    stage_fail(st, ERR_STOPPED, "stopped");
    return true;
}

static void fake_note(struct stage *st, const char *text)
{
    (void)text;
    ((struct fake_stage *)st)->notes++;
}

/* ---- options ---- */

static inline void fake_set(const struct option *o, char *at, const char *text)
{
    size_t n = strlen(text);
    if (*text == '"') {
        text++;
        n -= 2;
    }
    switch (o->type) {
    case OPT_INT:
        *(int64_t *)(void *)at = strtoll(text, NULL, 10);
        return;
    case OPT_REAL:
        *(double *)(void *)at = strtod(text, NULL);
        return;
    case OPT_BOOL:
        *(bool *)(void *)at = *text == 't';
        return;
    case OPT_STRING:
        *(char **)(void *)at = n ? strndup(text, n) : (char *)calloc(1, 1);
        return;
    case OPT_ENUM:
        for (int i = 0; o->choices[i]; i++)
            if (strlen(o->choices[i]) == n && !strncmp(o->choices[i], text, n)) {
                *(int *)(void *)at = i;
                return;
            }
        fail_msg("%s has no choice %s", o->name, text);
        return;
    case OPT_INTS: { /* "[]", "4", "1,4" */
        struct int_list *list = (void *)at;
        *list = (struct int_list){0, calloc(16, sizeof(int64_t))};
        for (char *end; *text && *text != '['; text = *end == ',' ? end + 1 : end)
            list->v[list->n++] = strtoll(text, &end, 10);
        return;
    }
    case OPT_STRINGS:
        fail_msg("%s: lists of strings are not set here", o->name);
    }
}

/* `text`: "ratio=0.5 order=random". */
static inline void fake_options(struct fake_stage *f, const struct method *m,
                                const char *text)
{
    for (const struct option *o = m->options; o->name; o++) {
        const char *given = text, *def = o->def;
        char value[128];
        size_t len = strlen(o->name);
        while (given && (strncmp(given, o->name, len) != 0 || given[len] != '='))
            given = strchr(given, ' ') ? strchr(given, ' ') + 1 : NULL;
        if (given) {
            snprintf(value, sizeof value, "%.*s", (int)strcspn(given + len + 1, " "),
                     given + len + 1);
            def = value;
        }
        if (!def)
            fail_msg("%s needs %s", m->name, o->name);
        fake_set(o, f->options + o->offset, def);
    }
}

static inline void fake_options_free(struct fake_stage *f, const struct method *m)
{
    for (const struct option *o = m->options; o->name; o++)
        if (o->type == OPT_STRING)
            free(*(char **)(void *)(f->options + o->offset));
        else if (o->type == OPT_INTS)
            free(((struct int_list *)(void *)(f->options + o->offset))->v);
}

/* ---- running ---- */

static inline void fake_give(struct fake_stage *f, const char *input,
                             struct fake_run *run)
{
    f->input[f->n_inputs].name = input;
    f->input[f->n_inputs++].run = run;
}

/* Runs the method; the records are in f->out, the failure in f->st.err. Call fake_release
 * after. */
static inline int fake_try(struct fake_stage *f, const char *method, const char *options)
{
    const struct method *m = method_find(method);
    struct err err = ERR_INIT;
    int rc;

    assert_non_null(m);
    fake_options(f, m, options);
    if (!f->out)
        f->out = fake_run_new();
    f->st.method = m;
    f->st.options = f->options;
    f->st.seed = f->st.seed ? f->st.seed : 1;
    f->st.pool = pool_new(f->threads ? f->threads : 2, &err);
    f->st.arena = arena_new(&err);
    f->st.rec = (struct recorder){f->out,    fake_metric,    fake_array,
                                  fake_text, fake_reference, NULL};
    f->st.input_count = fake_count;
    f->st.input_artifact = fake_input;
    f->st.input_path = fake_path;
    f->st.task = fake_task;
    f->st.load = fake_load;
    f->st.state = fake_state;
    f->st.restore = fake_restore;
    f->st.checkpoint = fake_checkpoint;
    f->st.note = fake_note;
    f->n_regions = 0;
    rc = m->run(&f->st);
    stage_release(&f->st);
    f->st.owned = NULL;
    pool_free(f->st.pool);
    arena_free(f->st.arena);
    fake_options_free(f, m);
    return rc;
}

static inline void fake_release(struct fake_stage *f)
{
    for (size_t i = 0; i < sizeof f->saved / sizeof *f->saved; i++)
        free(f->saved[i]);
    fake_run_free(f->out);
    memset(f, 0, sizeof *f);
}

#endif
