/* The runs of a sweep: see sweep.h. */
#include "sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/pins.h"
#include "retort/spec.h"

static int add_row(struct sweep *s, const struct sweep_row *row, struct err *err)
{
    struct sweep_row *to;

    if (mem_grow((void **)&s->row, s->n, &s->capacity, sizeof *s->row, err))
        return -1;
    to = &s->row[s->n++];
    *to = *row;
    to->spec = arena_strdup(s->arena, row->spec);
    to->stage = arena_strdup(s->arena, row->stage);
    to->method = arena_strdup(s->arena, row->method);
    to->variables = arena_strdup(s->arena, row->variables ? row->variables : "");
    s->missing += !row->there;
    return arena_failed(s->arena, err);
}

/* ---- of a spec's file ---- */

/* The seed that all points of the job have. */
static bool seed_of(const struct spec *spec, const struct job *job, uint64_t *seed)
{
    for (int64_t i = 0; i < job->n_points; i++) {
        uint64_t s = spec_point(spec, job->point[i])->seed;
        if (i > 0 && s != *seed)
            return false;
        *seed = s;
    }
    return job->n_points > 0;
}

static int add_job(struct sweep *s, struct store *store, const struct spec *spec,
                   const struct job *job, struct err *err)
{
    struct run_info info;
    struct sweep_row row = {.spec = spec_name(spec),
                            .stage = job->stage,
                            .method = job->method->name,
                            .variables = job->variables};

    row.has_seed = seed_of(spec, job, &row.seed);
    if (store_stat(store, job->id, &info, err))
        return -1;
    memcpy(row.id, job->id, sizeof row.id);
    row.there = info.state == RUN_SEALED;
    row.started = info.started;
    return add_row(s, &row, err);
}

static int load_file(struct sweep *s, struct store *store, const char *path,
                     struct err *err)
{
    char class[65];
    struct plan_options opt = {.env_class = class};
    struct diags *diags = diags_new(err);
    struct spec *spec = NULL;
    struct plan *plan = NULL;
    int rc = -1;

    if (!diags || env_class(class, err))
        goto done;
    spec = spec_load(path, NULL, 0, diags);
    if (spec)
        plan = plan_new(spec, store, &opt, diags);
    if (!plan) {
        if (!diags_to_err(diags, err))
            err_set(err, ERR_INPUT, "%s: no plan can be made", path);
        goto done;
    }
    s->name = arena_strdup(s->arena, spec_name(spec));
    for (int64_t i = 0; i < plan->n; i++)
        if (add_job(s, store, spec, &plan->job[i], err))
            goto done;
    rc = 0;
done:
    plan_free(plan);
    spec_free(spec);
    diags_free(diags);
    return rc;
}

/* ---- of the store ---- */

static bool seed_in(const struct run_info *r, uint64_t *seed)
{
    const char *at = r->variables;
    char name[128], value[512];

    *seed = r->seed;
    while (variable_next(&at, name, value))
        if (!strcmp(name, "seed")) {
            *seed = strtoull(value, NULL, 10);
            return true;
        }
    return r->has_seed;
}

static int load_name(struct sweep *s, struct store *store, const char *name,
                     struct err *err)
{
    struct run_info *list = NULL;
    int64_t n = 0;
    int rc = store_list(store, &list, &n, err);

    for (int64_t i = 0; i < n && !rc; i++) {
        const struct run_info *r = &list[i];
        struct sweep_row row = {.spec = r->name,
                                .stage = r->stage,
                                .method = r->method,
                                .variables = r->variables,
                                .there = true,
                                .started = r->started};
        row.has_seed = seed_in(r, &row.seed);
        if (r->state != RUN_SEALED || (name && strcmp(r->name, name) != 0))
            continue;
        memcpy(row.id, r->id, sizeof row.id);
        rc = add_row(s, &row, err);
    }
    free(list);
    if (!rc && name && s->n == 0)
        rc = err_set(err, ERR_MISSING,
                     "%s: neither a file nor the spec of a run is called \"%s\"",
                     store_dir(store), name);
    return rc;
}

static bool is_spec_file(const char *what)
{
    size_t n = strlen(what);

    return file_exists(what) || (n > 5 && !strcmp(what + n - 5, ".json"));
}

int sweep_load(struct sweep *out, struct store *store, const char *what, struct err *err)
{
    int rc;

    *out = (struct sweep){.arena = arena_new(err)};
    if (!out->arena)
        return -1;
    if (what && is_spec_file(what)) {
        rc = load_file(out, store, what, err);
    } else {
        out->name = what ? arena_strdup(out->arena, what) : NULL;
        rc = load_name(out, store, what, err);
    }
    if (rc)
        sweep_release(out);
    return rc;
}

void sweep_release(struct sweep *s)
{
    free(s->row);
    arena_free(s->arena);
    *s = (struct sweep){.arena = NULL};
}

bool sweep_variable(const struct sweep_row *row, const char *name, char value[512])
{
    const char *at = row->variables;
    char key[128];

    while (variable_next(&at, key, value))
        if (!strcmp(key, name))
            return true;
    value[0] = '\0';
    return false;
}

int find_run_or_sweep(struct store *store, const char *name, char id[65], struct err *err)
{
    struct err no_run = ERR_INIT;
    struct run_info *list;
    int64_t n;
    bool found = false;

    if (file_exists(name))
        return 0;
    if (!find_run(store, name, id, &no_run))
        return 1;
    if (no_run.code != ERR_MISSING || store_list(store, &list, &n, err))
        return err_set(err, no_run.code, "%s", no_run.text);
    for (int64_t i = 0; i < n && !found; i++)
        found = !strcmp(list[i].name, name);
    free(list);
    if (found)
        return 0;
    return err_set(
        err, ERR_MISSING,
        "\"%s\" is neither a run (4 digits of its id or more, or a label) nor a "
        "spec's file nor the name of one in %s",
        name, store_dir(store));
}
