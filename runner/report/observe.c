/*
 * Observations: what the sealed runs of a plan say, one by one.
 *
 * A job serves many points (its variables are a part of theirs), so its numbers are read
 * once and observed at each of them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "retort/json.h"
#include "retort/report.h"
#include "retort/spec.h"

/* What is wanted of a job, read. */
struct reading {
    int64_t job;
    int64_t n; /* numbers */
    double *x;
    int rank; /* 0: one number */
    int64_t size[RANK_MAX];
    const char *dim[RANK_MAX];
    const char *data, *labels; /* what an evaluation was measured on */
    bool failed;
};

struct observer {
    struct observations *out;
    const struct plan *plan;
    struct store *store;
    const char *stage, *metric;
    struct reading *read;
    int64_t n_read, capacity;
    struct err *err;
};

/* ---- numbers that no run records, since they follow from what it holds ---- */

/* The run that a run's input "model" is from, to be closed; NULL if there is none. */
static struct run *run_of_model(struct store *store, const struct run *run)
{
    const char *text = run_head_text(run, "resolved");
    struct diags *diags = diags_new(NULL);
    struct json_doc *doc =
        text && diags ? json_parse(text, (int64_t)strlen(text), "/resolved", diags)
                      : NULL;
    const struct json *inputs = doc ? json_get(json_root(doc), "inputs") : NULL;
    const char *id = json_string(json_get(json_at(json_get(inputs, "model"), 0), "job"));
    struct err none = ERR_INIT;
    struct run *out = NULL;

    if (id && run_open(&out, store, id, false, &none))
        out = NULL;
    json_doc_free(doc);
    diags_free(diags);
    return out;
}

/* Of the run's own model, or of the one that it was given. */
static double multiplications(struct store *store, struct run *run)
{
    struct err none = ERR_INIT;
    struct run *other = NULL;
    struct model *m = NULL;
    double n = (double)NAN;

    if (!run_item_find(run, "/model/config"))
        other = run_of_model(store, run);
    if (!artifact_model(&m, run_artifact(other ? other : run), &none))
        n = (double)model_multiplications(m);
    model_free(m);
    run_close(other);
    return n;
}

static double last_of(struct run *run, const char *metric)
{
    struct err none = ERR_INIT;
    struct series s;

    return run_series_find(run, metric, &s, &none) || s.n == 0 ? (double)NAN
                                                               : s.value[s.n - 1];
}

/* NaN: the run does not tell, or it is no such name. */
static double derived(struct store *store, struct run *run, const char *metric)
{
    if (!strcmp(metric, "run/seconds"))
        return run_info(run)->seconds;
    if (!strcmp(metric, "run/bytes"))
        return (double)run_info(run)->bytes;
    if (!strcmp(metric, "model/share_kept"))
        return last_of(run, "model/parameters_kept") / last_of(run, "model/parameters");
    if (!strcmp(metric, "model/flops_per_token"))
        return 2 * multiplications(store, run);
    return (double)NAN;
}

static int read_metric(struct reading *r, struct store *store, struct run *run,
                       const char *metric, struct arena *arena)
{
    struct err none = ERR_INIT;
    struct series s;

    r->x = arena_alloc(arena, (int64_t)sizeof *r->x);
    if (!r->x)
        return -1;
    if (run_series_find(run, metric, &s, &none) || s.n == 0) {
        *r->x = derived(store, run, metric);
        r->n = !isnan(*r->x);
        return 0;
    }
    r->n = 1;
    *r->x = s.value[s.n - 1];
    return 0;
}

/* What was evaluated: the task's part of what the run's id is made of. */
static void read_measure(struct reading *r, const struct run *run, struct arena *arena)
{
    const char *text = run_head_text(run, "resolved");
    struct diags *diags = diags_new(NULL);
    struct json_doc *doc =
        text && diags ? json_parse(text, (int64_t)strlen(text), "/resolved", diags)
                      : NULL;
    const struct json *inputs = doc ? json_get(json_root(doc), "inputs") : NULL;
    const struct json *task = json_at(json_get(inputs, "task"), 0);
    struct strbuf sb = STRBUF_INIT;

    if (json_get(task, "task")) {
        json_canonical(json_get(task, "task"), &sb);
        strbuf_puts(&sb, " of version ");
        json_canonical(json_get(task, "version"), &sb);
        strbuf_puts(&sb, ", ");
        json_canonical(json_get(task, "files"), &sb);
        r->data = arena_strdup(arena, strbuf_text(&sb));
        strbuf_clear(&sb);
    }
    if (json_get(task, "declared")) {
        json_canonical(json_get(task, "declared"), &sb);
        r->labels = arena_strdup(arena, strbuf_text(&sb));
    }
    strbuf_release(&sb);
    json_doc_free(doc);
    diags_free(diags);
}

static int read_array(struct reading *r, struct run *run, const char *path,
                      struct arena *arena)
{
    struct artifact *a = run_artifact(run);
    struct err none = ERR_INIT;
    struct array v;

    if (a->array(a->ctx, path, &v, &none))
        return 0;
    r->rank = v.shape.rank;
    for (int i = 0; i < v.shape.rank; i++) {
        r->size[i] = v.shape.dim[i];
        r->dim[i] =
            v.dim[i] ? arena_strdup(arena, v.dim[i]) : arena_printf(arena, "axis%d", i);
    }
    r->n = shape_count(v.shape);
    r->x = arena_alloc(arena, (r->n + 1) * (int64_t)sizeof *r->x);
    if (r->x)
        dtype_convert(r->x, DT_F64, v.data, v.dtype, r->n);
    return r->x ? 0 : -1;
}

/* The numbers of a job, from memory if they were read before; NULL with err. */
static const struct reading *reading_of(struct observer *o, int64_t job)
{
    struct reading r = {.job = job};
    struct run *run = NULL;
    struct run_info info;
    struct err none = ERR_INIT;
    int rc = 0;

    for (int64_t i = 0; i < o->n_read; i++)
        if (o->read[i].job == job)
            return &o->read[i];
    if (o->plan->job[job].state == JOB_CACHED &&
        !run_open(&run, o->store, o->plan->job[job].id, false, &none))
        rc = *o->metric == '/' ? read_array(&r, run, o->metric, o->out->arena)
                               : read_metric(&r, o->store, run, o->metric, o->out->arena);
    if (!rc && run && !strncmp(o->metric, "eval/", 5))
        read_measure(&r, run, o->out->arena);
    if (o->plan->job[job].state != JOB_CACHED &&
        !store_stat(o->store, o->plan->job[job].id, &info, &none))
        r.failed = info.state != RUN_SEALED && info.failure[0];
    run_close(run);
    if (rc)
        arena_failed(o->out->arena, o->err);
    if (rc || mem_grow((void **)&o->read, o->n_read, &o->capacity, sizeof r, o->err))
        return NULL;
    o->read[o->n_read] = r;
    return &o->read[o->n_read++];
}

static int add_observation(struct observer *o, const struct observation *x)
{
    struct observations *out = o->out;

    if (mem_grow((void **)&out->v, out->n, &out->capacity, sizeof *out->v, o->err))
        return -1;
    out->v[out->n++] = *x;
    return 0;
}

/* Element i of an array: its indices are variables of the observation. */
static int add_element(struct observer *o, struct observation x, const struct reading *r,
                       int64_t i)
{
    struct arena *arena = o->out->arena;
    int64_t n = x.n_vars + r->rank, at = i;
    const char **var = arena_alloc(arena, n * (int64_t)sizeof *var);
    const char **value = arena_alloc(arena, n * (int64_t)sizeof *value);

    if (!var || !value)
        return arena_failed(arena, o->err);
    for (int64_t k = 0; k < x.n_vars; k++) {
        var[k] = x.var[k];
        value[k] = x.value[k];
    }
    for (int d = r->rank - 1; d >= 0; d--) {
        var[x.n_vars + d] = r->dim[d];
        value[x.n_vars + d] = arena_printf(arena, "%lld", (long long)(at % r->size[d]));
        at /= r->size[d];
    }
    x.n_vars = n;
    x.var = var;
    x.value = value;
    x.x = r->x[i];
    x.undefined = isnan(x.x);
    return arena_failed(arena, o->err) ? -1 : add_observation(o, &x);
}

static int observe_point(struct observer *o, const struct point *pt, int64_t job)
{
    const struct job *j = &o->plan->job[job];
    const struct reading *r = reading_of(o, job);
    struct observation x = {
        .stage = o->stage,
        .metric = o->metric,
        .label = pt->label,
        .n_vars = pt->n_vars,
        .var = pt->var,
        .value = pt->value,
        .seed = pt->seed,
        .x = (double)NAN,
        .run_id = j->state == JOB_CACHED ? j->id : NULL,
    };

    if (!r)
        return -1;
    x.data = r->data;
    x.labels = r->labels;
    x.failed = r->failed;
    if (r->rank == 0 && r->n == 1) {
        x.x = *r->x;
        x.undefined = isnan(x.x);
    }
    if (r->rank == 0)
        return add_observation(o, &x);
    for (int64_t i = 0; i < r->n; i++)
        if (add_element(o, x, r, i))
            return -1;
    return 0;
}

int observe(struct observations *out, const struct plan *plan, struct store *store,
            const char *stage, const char *metric, struct err *err)
{
    struct observer o = {.out = out,
                         .plan = plan,
                         .store = store,
                         .stage = stage,
                         .metric = metric,
                         .err = err};
    int64_t stages = spec_stage_count(plan->spec);
    int rc = -1;

    if (!out->arena && !(out->arena = arena_new(err)))
        return -1;
    for (int64_t p = 0; p < spec_point_count(plan->spec); p++)
        for (int64_t s = 0; s < stages; s++) {
            int64_t job = plan->of[p * stages + s];
            if (job < 0 || strcmp(spec_stage_name(plan->spec, s), stage) != 0)
                continue;
            if (observe_point(&o, spec_point(plan->spec, p), job))
                goto done;
        }
    rc = 0;
done:
    free(o.read);
    return rc;
}

/* ---- runs of another program ---- */

/* Seed and variables of a run that was imported stand in what its id is made of. */
static int observe_run(struct observations *out, struct store *store, struct run *run,
                       const char *stage, const char *metric, struct err *err)
{
    const char *text = run_head_text(run, "resolved");
    struct diags *diags = diags_new(err);
    struct json_doc *doc =
        text && diags ? json_parse(text, (int64_t)strlen(text), "/resolved", diags)
                      : NULL;
    const struct json *options = doc ? json_get(json_root(doc), "options") : NULL;
    struct reading r = {.n = 0};
    int64_t n = json_count(options), i = 0;
    const char **var = arena_zalloc(out->arena, (n + 1) * (int64_t)sizeof *var);
    const char **value = arena_zalloc(out->arena, (n + 1) * (int64_t)sizeof *value);
    struct strbuf sb = STRBUF_INIT;
    int rc = var && value && doc ? read_metric(&r, store, run, metric, out->arena) : -1;

    if (!rc && !strncmp(metric, "eval/", 5))
        read_measure(&r, run, out->arena);
    for (const struct json *v = json_first(options); !rc && v; v = json_next(v), i++) {
        strbuf_clear(&sb);
        json_canonical(v, &sb);
        var[i] = arena_strdup(out->arena, json_key(v));
        value[i] = arena_strdup(out->arena, strbuf_text(&sb));
    }
    struct observation x = {
        .stage = arena_strdup(out->arena, stage),
        .metric = arena_strdup(out->arena, metric),
        .n_vars = n,
        .var = var,
        .value = value,
        .seed = run_info(run)->seed,
        .x = r.n ? *r.x : (double)NAN,
        .run_id = arena_strdup(out->arena, run_info(run)->id),
        .undefined = r.n && isnan(*r.x),
        .imported = true,
        .data = r.data,
        .labels = r.labels,
    };
    strbuf_release(&sb);
    json_doc_free(doc);
    diags_free(diags);
    if (arena_failed(out->arena, err) || rc ||
        (r.n && mem_grow((void **)&out->v, out->n, &out->capacity, sizeof x, err)))
        return -1;
    if (r.n)
        out->v[out->n++] = x;
    return 0;
}

int observe_imported(struct observations *out, struct store *store, const char *stage,
                     const char *metric, struct err *err)
{
    const char *name = stage + strlen(IMPORT_PREFIX);
    struct run_info *list = NULL;
    int64_t n = 0, found = 0;
    int rc;

    if (!out->arena && !(out->arena = arena_new(err)))
        return -1;
    rc = store_list(store, &list, &n, err);
    for (int64_t i = 0; !rc && i < n; i++) {
        struct run *run = NULL;
        if (list[i].state != RUN_SEALED || strcmp(list[i].name, name) != 0 ||
            strcmp(list[i].method, "foreign") != 0)
            continue;
        found++;
        rc = run_open(&run, store, list[i].id, false, err) ||
             observe_run(out, store, run, stage, metric, err);
        run_close(run);
    }
    free(list);
    if (!rc && !found)
        return err_set(err, ERR_MISSING, "%s: no runs were imported under the name %s",
                       store_dir(store), name);
    return rc ? -1 : 0;
}

void observations_release(struct observations *o)
{
    free(o->v);
    arena_free(o->arena);
    *o = (struct observations){NULL, 0, 0, NULL};
}
