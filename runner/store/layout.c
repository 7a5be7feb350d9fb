/*
 * What a run's file looks like (docs/store.md): content to HDF5 and back.
 *
 * References are external links into the other run's file, so that any HDF5 reader sees
 * the tensor at its place; so are snapshots, each a file of its own.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "h5.h"

#define FORMAT "retort-run"
#define FORMAT_PART "retort-part"
#define FORMAT_VERSION 1

/* ---- writing ---- */

/* The data set beside `path` that says what the positions along a dimension are:
 * "example" is told by example_id. */
static void find_scales(struct h5_out *o, const struct content *c, const struct item *it)
{
    char scale[1100];
    int group = (int)(strrchr(it->pub.path, '/') - it->pub.path);

    for (int k = 0; k < it->pub.shape.rank; k++) {
        if (!it->dim[k])
            continue;
        snprintf(scale, sizeof scale, "%.*s/%.64s_id", group, it->pub.path, it->dim[k]);
        const struct item *ids = content_find(c, scale);
        if (ids && ids->kind != ITEM_REFERENCE && ids->pub.shape.rank == 1 &&
            ids->pub.shape.dim[0] == it->pub.shape.dim[k])
            h5_scale(o, it->pub.path, k, scale);
    }
}

static void write_array(struct h5_out *o, const struct item *it)
{
    struct array a = {it->pub.dtype, it->pub.shape, it->data, {NULL}};

    for (int k = 0; k < it->pub.shape.rank; k++)
        a.dim[k] = it->dim[k];
    h5_array(o, it->pub.path, &a);
    h5_put_text(o, it->pub.path, "class", class_name(it->pub.cls));
}

static void write_text(struct h5_out *o, const char *path, enum record_class cls,
                       char *const *texts, int64_t n)
{
    h5_texts(o, path, texts, n);
    h5_put_text(o, path, "class", class_name(cls));
}

/* "<id>:<path>" as a link to ../../ab/<id>/run.h5, relative to this file. */
static void write_reference(struct h5_out *o, const struct item *it)
{
    char file[128];
    const char *origin = it->pub.origin;

    snprintf(file, sizeof file, "../../%.2s/%.64s/run.h5", origin, origin);
    h5_external(o, it->pub.path, file, origin + 65);
}

/* /steps/<step>: the root of the snapshot's own file. */
static void write_part_link(struct h5_out *o, const struct part *part)
{
    char file[96], path[48];

    snprintf(file, sizeof file, "parts/%s", part->name);
    snprintf(path, sizeof path, "/steps/%lld", (long long)part->step);
    h5_external(o, path, file, "/");
}

/* /metrics/<name>/{step,value}; what the environment gave (times) lies under /env. */
static void write_series(struct h5_out *o, const struct points *s)
{
    char step[1200], value[1200];
    const char *root = s->cls == RECORD_ENV ? "/env/metrics" : "/metrics";
    struct array a = {DT_I64, SHAPE(s->n), s->step, {NULL}};

    snprintf(step, sizeof step, "%s/%s/step", root, s->name);
    snprintf(value, sizeof value, "%s/%s/value", root, s->name);
    h5_array(o, step, &a);
    a = (struct array){DT_F64, SHAPE(s->n), s->value, {"step"}};
    h5_array(o, value, &a);
    h5_put_text(o, step, "class", class_name(s->cls));
    h5_put_text(o, value, "class", class_name(s->cls));
    h5_scale(o, value, 0, step);
}

static void write_root(struct h5_out *o, const struct content *c)
{
    const struct run_info *i = &c->info;

    h5_put_text(o, "/", "format", c->is_part ? FORMAT_PART : FORMAT);
    h5_put_i64(o, "/", "format_version", FORMAT_VERSION);
    h5_put_text(o, "/", "run_id", i->id);
    if (c->is_part) {
        h5_put_i64(o, "/", "step", i->step);
        return;
    }
    h5_put_text(o, "/", "name", i->name);
    h5_put_text(o, "/", "stage", i->stage);
    h5_put_text(o, "/", "method", i->method);
    h5_put_text(o, "/", "variables", i->variables);
    if (i->has_seed)
        h5_put_u64(o, "/", "seed", i->seed);
    h5_put_text(o, "/", "env_class", i->env_class);
    h5_put_text(o, "/", "result_digest", i->digest);
    h5_put_text(o, "/", "extra_digest", c->extra_digest);
}

static void write_env(struct h5_out *o, const struct content *c)
{
    h5_group(o, "/env");
    h5_put_f64(o, "/env", "started", c->info.started);
    h5_put_f64(o, "/env", "ended", c->info.ended);
    h5_put_f64(o, "/env", "seconds", c->info.seconds);
    h5_put_i64(o, "/env", "generations", c->generations);
}

static void write_item(struct h5_out *o, const struct item *it)
{
    if (it->kind == ITEM_ARRAY)
        write_array(o, it);
    else if (it->kind == ITEM_TEXT)
        write_text(o, it->pub.path, it->pub.cls, it->texts, it->texts_n);
    else
        write_reference(o, it);
}

static bool all_items(const struct item *it)
{
    (void)it;
    return true;
}

static void write_items(struct h5_out *o, const struct content *c,
                        bool (*wanted)(const struct item *it))
{
    for (int64_t i = 0; i < c->items_n; i++)
        if (wanted(&c->items[i]))
            write_item(o, &c->items[i]);
    for (int64_t i = 0; i < c->items_n; i++) /* an id may come after what it tells of */
        if (c->items[i].kind == ITEM_ARRAY && wanted(&c->items[i]))
            find_scales(o, c, &c->items[i]);
}

static void write_content(struct h5_out *o, const struct content *c,
                          bool (*wanted)(const struct item *it))
{
    write_root(o, c);
    for (int i = 0; i < HEAD_COUNT; i++)
        if (c->heads[i]) {
            char path[32];
            snprintf(path, sizeof path, "/%s", head_names[i]);
            write_text(o, path, RECORD_ENV, &c->heads[i], -1);
        }
    for (int64_t i = 0; i < c->series_n; i++)
        write_series(o, &c->series[i]);
    write_items(o, c, wanted);
    for (int64_t i = 0; i < c->parts_n && wanted == all_items; i++)
        write_part_link(o, &c->parts[i]);
    if (!c->is_part)
        write_env(o, c);
}

int content_save(const char *path, const struct content *c, struct err *err)
{
    struct h5_out *o = h5_create(path, err);

    if (!o)
        return -1;
    write_content(o, c, all_items);
    return h5_finish(o, err) || seal_put(path, err) ? -1 : 0;
}

/* ---- many runs in one file ---- */

/* What a reader of numbers wants: no weights, no masks of them, no teacher's features, no
 * vocabulary; and no links, since the file stands alone. */
static bool is_told(const struct item *it)
{
    static const char *const left_out[] = {"/tensors/", "/features/", "/parts/"};
    const char *path = it->pub.path;

    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (!strncmp(path, left_out[i], strlen(left_out[i])))
            return false;
    return it->kind != ITEM_REFERENCE && strcmp(path, "/model/vocab") != 0 &&
           (strncmp(path, "/masks/", 7) != 0 || !strcmp(path, "/masks/heads"));
}

void content_add(struct h5_out *o, const struct content *c)
{
    char group[80];

    snprintf(group, sizeof group, "/runs/%s", c->info.id);
    h5_into(o, group);
    write_content(o, c, is_told);
    h5_into(o, NULL);
}

/* ---- reading ---- */

struct loading {
    struct content *c;
    const char *file;
    char *name; /* of the series whose step was read, and whose value comes next */
    int64_t *step;
    int64_t n;
};

static int bad(const struct loading *ld, const char *path, const char *what,
               struct err *err)
{
    return err_set(err, ERR_INPUT, "%s: %s: %s", ld->file, path, what);
}

/* "<name>/step" or "<name>/value" below one of the roots of series, else NULL. */
static const char *series_part(const char *path)
{
    if (!strncmp(path, "/metrics/", 9))
        return path + 9;
    return !strncmp(path, "/env/metrics/", 13) ? path + 13 : NULL;
}

/* A copy of a column of n numbers of 8 bytes. */
static void *column_copy(const struct h5_dataset *d, struct err *err)
{
    void *copy = mem_new(d->array.shape.dim[0] + 1, 8, err);

    if (copy && d->bytes)
        memcpy(copy, d->array.data, (size_t)d->bytes);
    return copy;
}

/* Step is written just before value. */
static int load_series(struct loading *ld, struct h5_dataset *d, enum record_class cls,
                       const char *part, struct err *err)
{
    const char *last = strrchr(part, '/');
    bool is_step = last && !strcmp(last, "/step");

    if (!last || (!is_step && strcmp(last, "/value") != 0) || d->is_text ||
        d->array.shape.rank != 1 || d->array.dtype != (is_step ? DT_I64 : DT_F64))
        return bad(ld, d->path, "is no series of step (i64) and value (f64)", err);
    if (is_step) {
        free(ld->name);
        free(ld->step);
        ld->name = mem_strndup(part, (size_t)(last - part), err);
        ld->step = column_copy(d, err);
        ld->n = d->array.shape.dim[0];
        return ld->name && ld->step ? 0 : -1;
    }
    if (!ld->name || strncmp(ld->name, part, (size_t)(last - part)) != 0 ||
        ld->name[last - part] || ld->n != d->array.shape.dim[0])
        return bad(ld, d->path, "step and value differ in length, or one is missing",
                   err);
    double *value = column_copy(d, err);
    int64_t *step = ld->step;
    ld->step = NULL;
    if (!value) {
        free(step);
        return -1;
    }
    int rc = content_series(ld->c, cls, ld->name, ld->n, step, value, err);
    free(ld->name);
    ld->name = NULL;
    return rc;
}

/* "layer,head" as names of the item's dimensions. */
static int take_dims(struct item *it, const char *dims, struct err *err)
{
    for (int i = 0; dims && i < it->pub.shape.rank; i++) {
        size_t n = strcspn(dims, ",");
        if (n && !(it->dim[i] = mem_strndup(dims, n, err)))
            return -1;
        dims = dims[n] ? dims + n + 1 : NULL;
    }
    return 0;
}

/* /spec and its like, or NULL. */
static char **head_at(const struct loading *ld, const char *path)
{
    for (int i = 0; i < HEAD_COUNT && !ld->c->is_part; i++)
        if (!strcmp(path + 1, head_names[i]))
            return &ld->c->heads[i];
    return NULL;
}

static int load_item(struct loading *ld, struct h5_dataset *d, enum record_class cls,
                     struct err *err)
{
    struct item it = {.kind = d->is_text ? ITEM_TEXT : ITEM_ARRAY};
    int rc = -1;

    it.pub.path = mem_strdup(d->path, err);
    it.pub.cls = cls;
    it.pub.dtype = d->array.dtype;
    it.pub.shape = d->array.shape;
    it.pub.is_text = d->is_text;
    it.pub.bytes = d->bytes;
    it.data = d->array.data;
    it.owned = d->owned;
    it.texts = d->texts;
    it.texts_n = d->texts_n;
    d->owned = NULL;
    d->texts = NULL;
    if (it.pub.path && !take_dims(&it, d->dims, err))
        rc = content_item(ld->c, &it, err);
    item_clear(&it);
    return rc;
}

static int on_dataset(void *ctx, struct h5_dataset *d, struct err *err)
{
    struct loading *ld = ctx;
    const char *part = ld->c->is_part ? NULL : series_part(d->path);
    char **head = head_at(ld, d->path);
    enum record_class cls;

    if (!d->cls || class_parse(&cls, d->cls))
        return bad(ld, d->path, "lacks the attribute class (result, extra or env)", err);
    if (part)
        return load_series(ld, d, cls, part, err);
    if (!head || *head || !d->is_text || d->texts_n >= 0)
        return load_item(ld, d, cls, err);
    *head = d->texts[0];
    d->texts[0] = NULL;
    return 0;
}

static int on_link(void *ctx, const char *path, const char *file, const char *object,
                   struct err *err)
{
    struct loading *ld = ctx;
    struct item it = {.kind = ITEM_REFERENCE};
    int rc = -1;

    if (!strncmp(path, "/steps/", 7))
        return 0; /* /parts names the file */
    if (strlen(file) != 80 || strncmp(file, "../../", 6) != 0 ||
        strcmp(file + 73, "/run.h5") != 0 || object[0] != '/')
        return bad(ld, path, "is a link to something that is no run of the store", err);
    it.pub.path = mem_strdup(path, err);
    it.pub.origin = mem_printf(err, "%.64s:%s", file + 9, object);
    if (it.pub.path && it.pub.origin)
        rc = content_item(ld->c, &it, err);
    item_clear(&it);
    return rc;
}

static int load_root(struct loading *ld, struct h5_in *in, struct err *err)
{
    struct run_info *i = &ld->c->info;
    bool part = ld->c->is_part;
    char format[32];
    int64_t version = 0;

    h5_get_text(in, "/", "format", format, sizeof format);
    if (strcmp(format, part ? FORMAT_PART : FORMAT) != 0)
        return bad(ld, "/",
                   part ? "is HDF5, but no snapshot" : "is HDF5, but no run of Retort",
                   err);
    h5_get_i64(in, "/", "format_version", &version);
    if (version != FORMAT_VERSION)
        return err_set(err, ERR_INPUT,
                       "%s: is of format version %lld, this program reads %d%s", ld->file,
                       (long long)version, FORMAT_VERSION,
                       version > FORMAT_VERSION ? "; a newer one made it" : "");
    h5_get_text(in, "/", "run_id", i->id, sizeof i->id);
    if (!id_is_valid(i->id))
        return bad(ld, "/", "its run_id is no SHA-256", err);
    if (part) {
        h5_get_i64(in, "/", "step", &i->step);
        return 0;
    }
    h5_get_text(in, "/", "name", i->name, sizeof i->name);
    h5_get_text(in, "/", "stage", i->stage, sizeof i->stage);
    h5_get_text(in, "/", "method", i->method, sizeof i->method);
    h5_get_text(in, "/", "variables", i->variables, sizeof i->variables);
    i->has_seed = h5_get_u64(in, "/", "seed", &i->seed);
    h5_get_text(in, "/", "env_class", i->env_class, sizeof i->env_class);
    h5_get_text(in, "/", "result_digest", i->digest, sizeof i->digest);
    h5_get_text(in, "/", "extra_digest", ld->c->extra_digest, sizeof ld->c->extra_digest);
    h5_get_f64(in, "/env", "started", &i->started);
    h5_get_f64(in, "/env", "ended", &i->ended);
    h5_get_f64(in, "/env", "seconds", &i->seconds);
    h5_get_i64(in, "/env", "generations", &ld->c->generations);
    return 0;
}

/* The seal says that nothing was lost: what is not as it should be was written so. */
static int load_all(struct loading *ld, struct h5_in *in, struct err *err)
{
    const struct h5_visitor visitor = {ld, on_dataset, on_link};
    struct err why = ERR_INIT;

    if (!h5_walk(in, &visitor, &why))
        return 0;
    return err_set(err, why.code, "%s%s", why.text,
                   why.code == ERR_INPUT ? "; the file is whole, but of an earlier "
                                           "program: `retort run` makes it anew"
                                         : "");
}

bool content_is_newer(const char *path)
{
    struct err err = ERR_INIT; /* what cannot be read is damaged, not newer */
    struct file_map map = {NULL, 0};
    struct h5_in *in = NULL;
    int64_t version = 0;

    if (!file_map(&map, path, &err) && !seal_check(&map, path, &err) &&
        (in = h5_open(path, &map, &err)))
        h5_get_i64(in, "/", "format_version", &version);
    h5_close(in);
    file_unmap(&map);
    return version > FORMAT_VERSION;
}

static int load_file(struct loading *ld, const struct file_map *map, struct err *err)
{
    struct h5_in *in = h5_open(ld->file, map, err);
    int rc = !in || load_root(ld, in, err) || load_all(ld, in, err) ? -1 : 0;

    h5_close(in);
    free(ld->name);
    free(ld->step);
    return rc;
}

int content_load(struct content **out, struct file_map *map, const char *path, bool part,
                 struct err *err)
{
    struct loading ld = {.file = path};

    *map = (struct file_map){NULL, 0};
    if (file_map(map, path, err) || seal_check(map, path, err))
        goto fail;
    ld.c = content_new(err);
    if (!ld.c)
        goto fail;
    ld.c->is_part = part;
    if (load_file(&ld, map, err))
        goto fail;
    if (content_read_parts(ld.c, err)) {
        err_prefix(err, "%s", path);
        goto fail;
    }
    ld.c->info.bytes = map->len + content_part_bytes(ld.c);
    *out = ld.c;
    return 0;
fail:
    content_free(ld.c);
    file_unmap(map);
    return -1;
}
