/*
 * Reading a run, sealed or working, and through references other runs of the store.
 */
#include "h5.h"
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define FOLLOW_MAX 32 /* references in a row */

/* An opened snapshot. */
struct opened_part {
    struct content *content;
    struct file_map map;
    int64_t first; /* of its items among step_item */
};

struct run {
    struct store *store;
    char *dir;
    struct content *content;
    struct file_map map;      /* of run.h5 */
    struct journal_maps maps; /* of a working run */
    struct run_info info;
    struct artifact artifact;
    struct opened_part *part;   /* as content->parts; content NULL: not opened */
    struct run_item *step_item; /* of all snapshots, once they are loaded */
    int64_t step_items_n;
    struct run **other; /* opened to follow references */
    int64_t other_n, other_capacity;
    void **kept; /* lists given out */
    int64_t kept_n, kept_capacity;
};

static int open_content(struct run *run, const char *dir, bool partial, struct err *err)
{
    int rc = -1;
    int64_t g;
    char *path = path_join(dir, "run.h5", err);

    if (!path)
        return -1;
    if (run->info.state == RUN_SEALED) {
        rc = content_load(&run->content, &run->map, path, false, err);
    } else if (run->info.state == RUN_DAMAGED) {
        err_set(err, ERR_INPUT, "%s", run->info.failure);
    } else if (!partial || run->info.state == RUN_ABSENT) {
        err_set(err, ERR_MISSING, "%s: there is no %srun %.10s", run->store->dir,
                partial ? "" : "sealed ", run->info.id);
    } else if (!journal_newest(&g, dir, err)) {
        if (!g)
            err_set(err, ERR_MISSING, "%s: nothing is written yet", dir);
        else
            rc = journal_read(&run->content, &run->maps, dir, g, -1, err);
    }
    free(path);
    return rc;
}

static int art_array(void *ctx, const char *path, struct array *out, struct err *err);
static int art_text(void *ctx, const char *path, const char *const **texts, int64_t *n,
                    struct err *err);
static int art_metric(void *ctx, const char *name, double *value, struct err *err);
static int art_list(void *ctx, const char *group, const char *const **names,
                    struct err *err);

int run_open(struct run **out, struct store *store, const char *id, bool partial,
             struct err *err)
{
    struct run *run = mem_new(1, sizeof *run, err);

    if (!run)
        return -1;
    run->store = store;
    run->dir = store_run_dir(store, id, err);
    if (!run->dir || store_stat(store, id, &run->info, err) ||
        open_content(run, run->dir, partial, err))
        goto fail;
    run->part = mem_new(run->content->parts_n, sizeof *run->part, err);
    if (!run->part)
        goto fail;
    run->artifact = (struct artifact){run,        run->info.id, art_array, art_text,
                                      art_metric, art_list,     NULL};
    *out = run;
    return 0;
fail:
    run_close(run);
    return -1;
}

void run_close(struct run *run)
{
    if (!run)
        return;
    for (int64_t i = 0; i < run->other_n; i++)
        run_close(run->other[i]);
    for (int64_t i = 0; i < run->kept_n; i++)
        free(run->kept[i]);
    for (int64_t i = 0; run->part && i < run->content->parts_n; i++) {
        content_free(run->part[i].content);
        file_unmap(&run->part[i].map);
    }
    free(run->part);
    free(run->step_item);
    free(run->other);
    free(run->kept);
    free(run->dir);
    content_free(run->content);
    file_unmap(&run->map);
    journal_maps_release(&run->maps);
    free(run);
}

const struct run_info *run_info(const struct run *run)
{
    return &run->info;
}

const char *run_head_text(const struct run *run, const char *name)
{
    if (name[0] == '/')
        name++;
    for (int i = 0; i < HEAD_COUNT; i++)
        if (!strcmp(name, head_names[i]))
            return run->content->heads[i];
    return NULL;
}

struct artifact *run_artifact(struct run *run)
{
    return &run->artifact;
}

/* Memory that was given out, freed with the run; frees it now if that fails. */
static int keep(struct run *run, void *what, struct err *err)
{
    if (mem_grow((void **)&run->kept, run->kept_n, &run->kept_capacity, sizeof *run->kept,
                 err)) {
        free(what);
        return -1;
    }
    run->kept[run->kept_n++] = what;
    return 0;
}

/* ---- snapshots ---- */

static struct content *open_part(struct run *run, int64_t i, struct err *err)
{
    const struct part *p = &run->content->parts[i];
    struct opened_part *o = &run->part[i];
    char *path = o->content ? NULL : mem_printf(err, "%s/parts/%s", run->dir, p->name);

    if (path && !content_load(&o->content, &o->map, path, true, err) &&
        (strcmp(o->content->info.id, run->info.id) != 0 ||
         o->content->info.step != p->step)) {
        err_set(err, ERR_INPUT, "%s: is the snapshot of another run or step", path);
        content_free(o->content);
        file_unmap(&o->map);
        o->content = NULL;
    }
    free(path);
    return o->content;
}

/* The snapshot that "/steps/<step>/<rest>" lies in, -1 if it is none; *rest begins at the
 * slash. */
static int64_t part_at(const struct run *run, const char *path, const char **rest)
{
    int64_t lo = 0, hi = run->content->parts_n;
    char *end;

    if (strncmp(path, "/steps/", 7) != 0 || path[7] < '0' || path[7] > '9')
        return -1;
    int64_t step = strtoll(path + 7, &end, 10);
    if (*end != '/')
        return -1;
    *rest = end;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (run->content->parts[mid].step < step)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < run->content->parts_n && run->content->parts[lo].step == step ? lo : -1;
}

/* The same, opened. NULL with or without a failure: the path may lie elsewhere. */
static struct content *part_of(struct run *run, const char *path, const char **rest,
                               struct err *err)
{
    int64_t at = part_at(run, path, rest);

    return at < 0 ? NULL : open_part(run, at, err);
}

int run_check_parts(struct run *run, struct err *err)
{
    return check_parts(run->dir, run->content, err);
}

int run_steps(struct run *run, const int64_t **steps, int64_t *n, struct err *err)
{
    int64_t *list = mem_new(run->content->parts_n, sizeof *list, err);

    if (!list || keep(run, list, err))
        return -1;
    for (int64_t i = 0; i < run->content->parts_n; i++)
        list[i] = run->content->parts[i].step;
    *steps = list;
    *n = run->content->parts_n;
    return 0;
}

int run_load_steps(struct run *run, struct err *err)
{
    int64_t n = 0, at = 0;

    if (run->step_item)
        return 0;
    for (int64_t i = 0; i < run->content->parts_n; i++) {
        if (!open_part(run, i, err))
            return -1;
        n += run->part[i].content->items_n;
    }
    struct run_item *list = mem_new(n, sizeof *list, err);
    for (int64_t i = 0; list && i < run->content->parts_n; i++) {
        const struct content *c = run->part[i].content;
        run->part[i].first = at;
        for (int64_t k = 0; k < c->items_n; k++) {
            char *path = mem_printf(err, "/steps/%lld%s", (long long)c->info.step,
                                    c->items[k].pub.path);
            if (!path || keep(run, path, err)) {
                free(list);
                return -1;
            }
            list[at] = c->items[k].pub;
            list[at++].path = path;
        }
    }
    run->step_item = list;
    run->step_items_n = at;
    return list ? 0 : -1;
}

/* ---- as a stage reads ---- */

static struct run *other_run(struct run *run, const char *id, struct err *err)
{
    struct run *r;

    if (!strcmp(run->info.id, id))
        return run;
    for (int64_t i = 0; i < run->other_n; i++)
        if (!strcmp(run->other[i]->info.id, id))
            return run->other[i];
    if (mem_grow((void **)&run->other, run->other_n, &run->other_capacity,
                 sizeof *run->other, err) ||
        run_open(&r, run->store, id, false, err))
        return NULL;
    run->other[run->other_n++] = r;
    return r;
}

/* The item at a path, through references. All runs on the way are kept by `run`. */
static const struct item *find(struct run *run, const char *path, struct err *err)
{
    struct run *at = run;
    const char *wanted = path;

    for (int i = 0; i < FOLLOW_MAX; i++) {
        char id[65];
        const char *rest = wanted;
        const struct content *part = part_of(at, wanted, &rest, err);
        const struct item *it = content_find(part ? part : at->content, rest);

        if (!it && err_is_set(err))
            return NULL;
        if (!it) {
            err_set(err, ERR_MISSING, "run %.10s has nothing at %s", at->info.id, wanted);
            if (at != run)
                err_prefix(err, "%s of run %.10s leads there", path, run->info.id);
            return NULL;
        }
        if (it->kind != ITEM_REFERENCE)
            return it;
        field_set(id, sizeof id, it->pub.origin);
        wanted = it->pub.origin + 65;
        at = other_run(run, id, err);
        if (!at) {
            err_prefix(err, "%s of run %.10s is a reference", path, run->info.id);
            return NULL;
        }
    }
    err_set(err, ERR_INPUT, "%s of run %.10s: references go round in a ring", path,
            run->info.id);
    return NULL;
}

int run_check_references(struct run *run, struct err *err)
{
    for (int64_t i = 0; i < run->content->items_n; i++)
        if (run->content->items[i].kind == ITEM_REFERENCE &&
            !find(run, run->content->items[i].pub.path, err))
            return -1;
    return 0;
}

static int art_array(void *ctx, const char *path, struct array *out, struct err *err)
{
    struct run *run = ctx;
    const struct item *it = find(run, path, err);

    if (!it)
        return -1;
    if (it->kind != ITEM_ARRAY)
        return err_set(err, ERR_INPUT, "run %.10s: %s is a text, not an array",
                       run->info.id, path);
    memset(out, 0, sizeof *out);
    out->dtype = it->pub.dtype;
    out->shape = it->pub.shape;
    out->data = it->data;
    for (int i = 0; i < RANK_MAX; i++)
        out->dim[i] = it->dim[i];
    return 0;
}

static int art_text(void *ctx, const char *path, const char *const **texts, int64_t *n,
                    struct err *err)
{
    struct run *run = ctx;
    const struct item *it = find(run, path, err);

    if (!it)
        return -1;
    if (it->kind != ITEM_TEXT)
        return err_set(err, ERR_INPUT, "run %.10s: %s is an array, not a text",
                       run->info.id, path);
    *texts = (const char *const *)it->texts;
    *n = it->texts_n;
    return 0;
}

static int art_metric(void *ctx, const char *name, double *value, struct err *err)
{
    struct run *run = ctx;
    int64_t at = map_get(run->content->names, name);

    if (at < 0 || !run->content->series[at].n)
        return err_set(err, ERR_MISSING, "run %.10s has no metric \"%s\"", run->info.id,
                       name);
    *value = run->content->series[at].value[run->content->series[at].n - 1];
    return 0;
}

static int art_list(void *ctx, const char *group, const char *const **names,
                    struct err *err)
{
    struct run *run = ctx;
    struct err local = ERR_INIT;
    const char *rest = group;
    const struct content *part = part_of(run, group, &rest, &local);
    const struct content *c = part ? part : run->content;
    size_t len = strlen(rest);
    int64_t n = 0;

    if (err_is_set(&local))
        return err_set(err, local.code, "%s", local.text);
    while (len && rest[len - 1] == '/')
        len--;
    const char **list = mem_new(c->items_n + 1, sizeof *list, err);
    if (!list || keep(run, list, err))
        return -1;
    for (int64_t i = 0; i < c->items_n; i++) {
        const char *path = c->items[i].pub.path;
        if (!strncmp(path, rest, len) && path[len] == '/' && !strchr(path + len + 1, '/'))
            list[n++] = path + len + 1;
    }
    *names = list;
    return 0;
}

/* ---- series and items ---- */

int64_t run_series_count(const struct run *run)
{
    return run->content->series_n;
}

int run_series(struct run *run, int64_t i, struct series *out, struct err *err)
{
    if (i < 0 || i >= run->content->series_n)
        return err_set(err, ERR_MISSING, "run %.10s has no series %lld", run->info.id,
                       (long long)i);
    const struct points *p = &run->content->series[i];
    *out = (struct series){p->name, p->n, p->step, p->value, p->cls};
    return 0;
}

int run_series_find(struct run *run, const char *name, struct series *out,
                    struct err *err)
{
    int64_t at = map_get(run->content->names, name);

    if (at < 0)
        return err_set(err, ERR_MISSING, "run %.10s has no metric \"%s\"", run->info.id,
                       name);
    return run_series(run, at, out, err);
}

int64_t run_item_count(const struct run *run)
{
    return run->content->items_n + run->step_items_n;
}

const struct run_item *run_item(const struct run *run, int64_t i)
{
    int64_t own = run->content->items_n;

    if (i < 0 || i >= run_item_count(run))
        return NULL;
    return i < own ? &run->content->items[i].pub : &run->step_item[i - own];
}

const struct run_item *run_item_find(const struct run *run, const char *path)
{
    const char *rest = path;
    int64_t at = run->step_item ? part_at(run, path, &rest) : -1;
    const struct content *c = at < 0 ? run->content : run->part[at].content;
    const struct item *it = content_find(c, rest);

    if (!it)
        return NULL;
    return at < 0 ? &it->pub : &run->step_item[run->part[at].first + (it - c->items)];
}

int run_digest(struct run *run, char out[65], struct err *err)
{
    return content_digest(run->content, RECORD_RESULT, out, err);
}

/* ---- many runs in one file ---- */

int runs_bundle(const char *path, struct run *const *runs, int64_t n, struct err *err)
{
    struct h5_out *o = h5_create(path, err);

    if (!o)
        return -1;
    h5_put_text(o, "/", "format", "retort-runs");
    h5_put_i64(o, "/", "format_version", 1);
    for (int64_t i = 0; i < n; i++)
        content_add(o, runs[i]->content);
    return h5_finish(o, err);
}
