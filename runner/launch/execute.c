/*
 * One job: the stage's functions, filled in over plan and store.
 */
#include "retort/launch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "retort/clock.h"
#include "retort/ops.h"
#include "retort/profile.h"
#include "retort/strbuf.h"

#define HEARTBEAT_SECONDS 15 /* a lease on another host counts as dead after 60 */

struct opened { /* a run that an input comes from */
    struct opened *next;
    struct run *run;
    const char *id;
};

/* ---- the lease stays alive however long a step takes ---- */

struct heartbeat {
    struct run_writer *writer; /* NULL: no thread was made */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool end;
};

static void *beat(void *arg)
{
    struct heartbeat *h = arg;
    struct err err = ERR_INIT; /* a lost lease is found by the next checkpoint */
    struct timespec at;

    pthread_mutex_lock(&h->lock);
    while (!h->end) {
        clock_gettime(CLOCK_REALTIME, &at);
        at.tv_sec += HEARTBEAT_SECONDS;
        if (pthread_cond_timedwait(&h->over, &h->lock, &at) == ETIMEDOUT && !h->end) {
            run_heartbeat(h->writer, &err);
            err_clear(&err);
        }
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

static int heartbeat_start(struct heartbeat *h, struct run_writer *w, struct err *err)
{
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->over, NULL);
    h->writer = w;
    if (!pthread_create(&h->thread, NULL, beat, h))
        return 0;
    h->writer = NULL;
    return err_set(err, ERR_IO, "no thread can be made for the heartbeat of the lease");
}

static void heartbeat_stop(struct heartbeat *h)
{
    if (!h->writer)
        return;
    pthread_mutex_lock(&h->lock);
    h->end = true;
    pthread_cond_signal(&h->over);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    h->writer = NULL;
}

struct work {
    const struct job_run *r;
    const struct job *job;
    struct run_writer *writer;
    struct region *region;
    int64_t n_regions, region_capacity;
    struct opened *opened;
    double saved; /* time of the last checkpoint */
    int64_t step;
    int save_seen;
    struct heartbeat heart;
};

/* ---- inputs ---- */

static const struct job_input *input_of(const struct stage *st, const char *name)
{
    const struct work *w = st->runner;

    for (int64_t i = 0; i < w->job->n_inputs; i++)
        if (!strcmp(w->job->input[i].name, name))
            return &w->job->input[i];
    return NULL;
}

static int64_t input_count(struct stage *st, const char *name)
{
    const struct job_input *in = input_of(st, name);

    return in ? in->n : 0;
}

static const char *input_path(struct stage *st, const char *name)
{
    const struct job_input *in = input_of(st, name);

    return in && in->n > 0 && in->path ? in->path[0] : NULL;
}

/* What the plan calls the job, for people. */
static const char *variables_of(const struct plan *plan, const char *id)
{
    for (int64_t i = 0; i < plan->n; i++)
        if (!strcmp(plan->job[i].id, id))
            return plan->job[i].variables;
    return NULL;
}

/* The run of another job, opened once. */
static struct artifact *open_run(struct stage *st, const char *id)
{
    struct work *w = st->runner;
    struct opened *o;

    for (o = w->opened; o; o = o->next)
        if (!strcmp(o->id, id))
            return run_artifact(o->run);
    o = mem_new(1, sizeof *o, &st->err);
    if (!o)
        return NULL;
    if (run_open(&o->run, w->r->store, id, false, &st->err)) {
        free(o);
        return NULL;
    }
    run_artifact(o->run)->variables = variables_of(w->r->plan, id);
    o->id = id;
    o->next = w->opened;
    w->opened = o;
    return run_artifact(o->run);
}

static struct artifact *input_artifact(struct stage *st, const char *name, int64_t i)
{
    const struct job_input *in = input_of(st, name);

    if (!in || i >= in->n || !in->from_id || !in->from_id[i])
        return NULL;
    return open_run(st, in->from_id[i]);
}

/* ---- options that a selection brings ---- */

static int choose(struct stage *st, void *options, const struct job_choice *c)
{
    struct artifact *a = open_run(st, c->from_id);
    struct array chosen;
    int64_t at;

    if (!a || a->array(a->ctx, "/select/chosen", &chosen, &st->err))
        return -1;
    at = chosen.dtype == DT_I32 && shape_count(chosen.shape) == 1
             ? *(const int32_t *)chosen.data
             : -1;
    if (at < 0 || at >= c->n)
        return stage_fail(st, ERR_INPUT,
                          "run %.10s (%s) chose none of its %lld candidates", c->from_id,
                          c->from, (long long)c->n);
    job_choose(options, c, at);
    stage_text(st, arena_printf(st->arena, "/chosen/%s", c->option->name), c->text[at]);
    return stage_done(st);
}

/* The job's options, with what was chosen; kept with the run as /chosen/<option>. */
static int fill_options(struct stage *st, const struct job *job)
{
    size_t size = job->method->options_size;
    void *options;

    st->options = job->options;
    if (!job->n_choices)
        return 0;
    if (!(options = arena_alloc(st->arena, (int64_t)size + 8)))
        return arena_failed(st->arena, &st->err);
    memcpy(options, job->options, size);
    for (int64_t i = 0; i < job->n_choices; i++)
        if (choose(st, options, &job->choice[i]))
            return -1;
    st->options = options;
    return job->method->check ? job->method->check(options, &st->err) : 0;
}

static const struct task *task_of(struct stage *st, const char *name)
{
    const struct job_input *in = input_of(st, name);
    const struct task *task = NULL;

    if (in && in->n > 0 && in->value && in->value[0])
        task = spec_task(((const struct work *)st->runner)->r->plan->spec, in->value[0]);
    if (!task)
        stage_fail(st, ERR_INPUT, "input \"%s\" names no task", name);
    return task;
}

static int load(struct stage *st, const struct task *task, const char *split,
                struct examples **out, struct err *err)
{
    struct task_source src = {NULL, split};
    struct examples *ex = examples_new(err);
    char *dir = NULL;
    int rc = -1;

    (void)st;
    if (!ex || (!task->vocab && task_find_dir(&dir, task, task_data_dir(), err)))
        goto done;
    src.dir = dir;
    if (task->load(task, &src, ex, err))
        goto done;
    *out = ex;
    ex = NULL;
    rc = 0;
done:
    free(dir);
    examples_free(ex);
    return rc;
}

/* ---- telling ---- */

static void progress(struct stage *st, int64_t done, int64_t total, const char *text)
{
    struct work *w = st->runner;
    const struct watch *watch = w->r->watch;

    if (watch && watch->progress)
        watch->progress(watch->ctx, w->job, done, total, text);
    if (!w->r->stop || !*w->r->stop || w->n_regions || !watch || !watch->stopped)
        return;
    heartbeat_stop(&w->heart);
    run_end(w->writer, "stopped");
    w->writer = NULL;
    watch->stopped(watch->ctx, w->job);
    stage_fail(st, ERR_STOPPED, "stopped; run again to go on");
}

static void note(struct stage *st, const char *text)
{
    struct work *w = st->runner;

    if (w->writer)
        run_remark(w->writer, text, &st->err);
    if (w->r->watch && w->r->watch->note)
        w->r->watch->note(w->r->watch->ctx, w->job, text);
}

/* What the store wants to say after restoring: checkpoints set aside, a line each. */
static void tell_store_notes(struct stage *st)
{
    const struct work *w = st->runner;
    const char *at = run_notes(w->writer);

    while (*at) {
        size_t n = strcspn(at, "\n");
        char *line = mem_strndup(at, n, &st->err);
        if (line)
            note(st, line);
        free(line);
        at += n + (at[n] == '\n');
    }
}

/* ---- checkpoints ---- */

static int state(struct stage *st, const char *name, void *data, int64_t bytes)
{
    struct work *w = st->runner;

    if (mem_grow((void **)&w->region, w->n_regions, &w->region_capacity,
                 sizeof *w->region, &st->err))
        return -1;
    w->region[w->n_regions++] = (struct region){name, data, bytes};
    return 0;
}

static bool restore(struct stage *st)
{
    struct work *w = st->runner;
    int rc = run_restore(w->writer, &w->step, w->region, w->n_regions, &st->err);

    tell_store_notes(st);
    return rc == 1;
}

static bool checkpoint(struct stage *st, bool force)
{
    struct work *w = st->runner;
    bool stop = w->r->stop && *w->r->stop;
    bool asked = stop || (w->r->save && *w->r->save != w->save_seen);

    if (stage_failed(st))
        return true;
    w->step++;
    if (w->n_regions &&
        (force || asked || clock_seconds() - w->saved >= w->r->checkpoint_seconds)) {
        if (run_checkpoint(w->writer, w->step, w->region, w->n_regions, &st->err))
            return true;
        w->saved = clock_seconds();
        if (asked && w->r->watch && w->r->watch->saved)
            w->r->watch->saved(w->r->watch->ctx, w->job, w->step);
    }
    if (w->r->save)
        w->save_seen = *w->r->save;
    if (stop)
        stage_fail(st, ERR_STOPPED, "stopped; run again to go on");
    return stop;
}

/* ---- the job ---- */

/* The job's record; where a sealed run is made again, with what that one kept: nothing
 * recorded is lost. */
static const char *choose_record(struct stage *st, const struct work *w)
{
    struct err damaged = ERR_INIT; /* such a run has nothing to keep */
    struct record_options old;
    struct run *run = NULL;

    if (record_parse(&st->record, w->job->record, &st->err))
        return NULL;
    if (!run_open(&run, w->r->store, w->job->id, false, &damaged) &&
        !record_parse(&old, run_head_text(run, "record"), &damaged))
        st->record = record_join(&st->record, &old);
    run_close(run);
    return record_text(st->arena, &st->record);
}

/* As run_begin: 1 if there is nothing to do. */
static int begin(struct stage *st, struct work *w)
{
    const struct job *job = w->job;
    const struct job_run *r = w->r;
    struct run_head head = {
        .id = job->id,
        .name = spec_name(r->plan->spec),
        .stage = job->stage,
        .method = job->method->name,
        .variables = job->variables,
        .seed = job->seed,
        .has_seed = job->uses_seed,
        .spec = spec_text(r->plan->spec),
        .resolved = job->resolved,
        .pins = r->pins,
        .env_class = r->env_class,
        .unless_sealed = !r->again,
    };

    st->arena = arena_new(&st->err);
    if (!st->arena)
        return -1;
    head.record = choose_record(st, w);
    if (arena_failed(st->arena, &st->err) || stage_failed(st))
        return -1;
    return run_begin(&w->writer, r->store, &head, &st->err);
}

static void fill_stage(struct stage *st, struct work *w)
{
    const struct job *job = w->job;

    st->method = job->method;
    st->seed = job->seed;
    st->pool = w->r->pool;
    st->rec = run_recorder(w->writer);
    st->runner = w;
    st->input_count = input_count;
    st->input_artifact = input_artifact;
    st->input_path = input_path;
    st->task = task_of;
    st->load = load;
    st->progress = progress;
    st->note = note;
    st->state = state;
    st->restore = restore;
    st->checkpoint = checkpoint;
}

/* What was measured goes to DIR/<id>-<stage>.txt and .trace.json; the run is sealed, so a
 * failure is no more than told. */
static void profile_end(const struct work *w)
{
    const struct watch *watch = w->r->watch;
    const struct job *job = w->job;
    struct strbuf base = STRBUF_INIT, title = STRBUF_INIT;
    struct err err = ERR_INIT;

    profile_lap("seal");
    strbuf_printf(&base, "%s/%.10s-%s", w->r->profile, job->id, job->stage);
    strbuf_printf(&title, "%.10s %s (%s), %d threads, kernels %s", job->id, job->stage,
                  job->method->name, pool_threads(w->r->pool), kernels_level());
    if ((strbuf_failed(&base, &err) || strbuf_failed(&title, &err) ||
         profile_finish(strbuf_text(&base), strbuf_text(&title), &err)) &&
        watch && watch->note)
        watch->note(watch->ctx, job, err.text);
    strbuf_release(&base);
    strbuf_release(&title);
}

static int run_stage(struct stage *st, struct work *w)
{
    bool measured = w->r->profile && w->r->profile[0];
    int rc = measured ? profile_start(&st->err) : 0;

    if (rc == 0)
        rc = fill_options(st, w->job);
    if (rc == 0)
        rc = w->job->method->run(st);
    if (rc == 0)
        rc = stage_done(st);
    if (rc == 0)
        rc = run_seal(w->writer, &st->err);
    if (rc == 0 && measured)
        profile_end(w);
    profile_drop();
    if (rc && !err_is_set(&st->err))
        BUG("%s failed without saying why", w->job->method->name);
    return rc;
}

static void close_inputs(struct work *w)
{
    while (w->opened) {
        struct opened *o = w->opened;
        w->opened = o->next;
        run_close(o->run);
        free(o);
    }
}

int job_execute(const struct job_run *r, const struct job *job, struct err *err)
{
    struct work w = {.r = r, .job = job, .saved = clock_seconds()};
    struct stage st = {.method = NULL};
    int rc;

    if (r->save)
        w.save_seen = *r->save;
    rc = begin(&st, &w);
    if (rc)
        goto done;
    fill_stage(&st, &w);
    rc = heartbeat_start(&w.heart, w.writer, &st.err) || run_stage(&st, &w) ? -1 : 0;
done:
    if (rc < 0)
        err_set(err, st.err.code, "%s", st.err.text);
    heartbeat_stop(&w.heart);
    stage_release(&st);
    run_end(w.writer, rc ? st.err.text : NULL);
    close_inputs(&w);
    free(w.region);
    arena_free(st.arena);
    return rc;
}
