/*
 * The content of a run in memory, and the checks of what comes into it.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_MARK INT64_MAX
#define SERIES_MARK (INT64_MAX - 1) /* a series' own step or value */

const char *const head_names[HEAD_COUNT] = {"spec", "resolved", "pins", "record"};

static const char *const class_names[] = {"result", "extra", "env"};

const char *class_name(enum record_class cls)
{
    return class_names[cls];
}

int class_parse(enum record_class *out, const char *name)
{
    for (int i = 0; i < 3; i++)
        if (!strcmp(name, class_names[i])) {
            *out = (enum record_class)i;
            return 0;
        }
    return -1;
}

static const struct {
    const char *name;
    int64_t size;
} dtypes[DT_COUNT] = {
    [DT_F64] = {"f64", 8}, [DT_F32] = {"f32", 4}, [DT_BF16] = {"bf16", 2},
    [DT_F16] = {"f16", 2}, [DT_I64] = {"i64", 8}, [DT_I32] = {"i32", 4},
    [DT_I8] = {"i8", 1},   [DT_U8] = {"u8", 1},
};

const char *item_dtype_name(enum dtype t)
{
    return dtypes[t].name;
}

int item_bytes(int64_t *out, struct shape s, enum dtype t, struct err *err)
{
    int64_t n = (unsigned)t < DT_COUNT ? dtypes[t].size : 0;

    if (!n || s.rank < 0 || s.rank > RANK_MAX)
        return err_set(err, ERR_INPUT,
                       "dtype %d, rank %d: a rank of 0 to %d and a known type", (int)t,
                       s.rank, RANK_MAX);
    for (int i = 0; i < s.rank; i++)
        if (mem_product(&n, n, s.dim[i], err))
            return -1;
    *out = n;
    return 0;
}

void field_set(char *field, size_t size, const char *text)
{
    size_t n = text ? strlen(text) : 0;

    if (n >= size)
        for (n = size - 1; n && ((unsigned char)text[n] & 0xC0) == 0x80;)
            n--;
    memset(field, 0, size);
    if (n)
        memcpy(field, text, n);
}

void item_clear(struct item *it)
{
    free((void *)(uintptr_t)it->pub.path);
    free((void *)(uintptr_t)it->pub.origin);
    for (int i = 0; i < RANK_MAX; i++)
        free(it->dim[i]);
    free(it->owned);
    for (int64_t i = 0; it->texts && i < (it->texts_n < 0 ? 1 : it->texts_n); i++)
        free(it->texts[i]);
    free(it->texts);
    memset(it, 0, sizeof *it);
}

static void clear_lists(struct content *c)
{
    for (int64_t i = 0; i < c->items_n; i++)
        item_clear(&c->items[i]);
    for (int64_t i = 0; i < c->series_n; i++) {
        free(c->series[i].name);
        free(c->series[i].step);
        free(c->series[i].value);
    }
    c->items_n = c->series_n = c->parts_n = 0;
    map_free(c->paths);
    map_free(c->names);
    c->paths = c->names = NULL;
}

int content_reset(struct content *c, struct err *err)
{
    clear_lists(c);
    c->paths = map_new(err);
    c->names = map_new(err);
    return c->paths && c->names ? 0 : -1;
}

struct content *content_new(struct err *err)
{
    struct content *c = mem_new(1, sizeof *c, err);

    if (c && content_reset(c, err)) {
        content_free(c);
        return NULL;
    }
    return c;
}

void content_free(struct content *c)
{
    if (!c)
        return;
    clear_lists(c);
    for (int i = 0; i < HEAD_COUNT; i++)
        free(c->heads[i]);
    free(c->items);
    free(c->series);
    free(c->parts);
    free(c);
}

/* Parts between slashes: not empty, not "." or "..", no control characters. */
static bool parts_are_good(const char *p)
{
    for (;;) {
        size_t n = strcspn(p, "/");
        if (!n || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        for (size_t i = 0; i < n; i++)
            if ((unsigned char)p[i] < 32 || p[i] == 127)
                return false;
        if (!p[n])
            return true;
        p += n + 1;
    }
}

#define PATH_LEN_MAX 1024

static bool path_is_reserved(const char *path)
{
    if (!strncmp(path, "/metrics/", 9) || !strcmp(path, "/metrics") ||
        !strncmp(path, "/env/metrics/", 13) || !strcmp(path, "/env/metrics") ||
        !strncmp(path, "/steps/", 7) || !strcmp(path, "/steps"))
        return true;
    for (int i = 0; i < HEAD_COUNT; i++) {
        size_t n = strlen(head_names[i]);
        if (!strncmp(path + 1, head_names[i], n) &&
            (path[n + 1] == 0 || path[n + 1] == '/'))
            return true;
    }
    return false;
}

int content_check_path(const struct content *c, const char *path, struct err *err)
{
    char part[PATH_LEN_MAX];

    if (!path || path[0] != '/' || strlen(path) >= sizeof part ||
        !parts_are_good(path + 1))
        return err_set(
            err, ERR_INPUT,
            "recorded path \"%.200s\": give an absolute one, as \"/scores/heads\"",
            path ? path : "");
    if (path_is_reserved(path))
        return err_set(err, ERR_INPUT, "recorded path \"%s\" is one of the run's own",
                       path);
    if (map_get(c->paths, path) == GROUP_MARK)
        return err_set(err, ERR_INPUT, "recorded path \"%s\" is a group already", path);
    for (const char *s = strchr(path + 1, '/'); s; s = strchr(s + 1, '/')) {
        memcpy(part, path, (size_t)(s - path));
        part[s - path] = 0;
        int64_t at = map_get(c->paths, part);
        if (at >= 0 && at != GROUP_MARK)
            return err_set(err, ERR_INPUT,
                           "recorded path \"%s\": \"%s\" is a dataset already", path,
                           part);
    }
    return 0;
}

static int mark_groups(struct content *c, const char *path, struct err *err)
{
    char part[PATH_LEN_MAX];

    for (const char *s = strchr(path + 1, '/'); s; s = strchr(s + 1, '/')) {
        memcpy(part, path, (size_t)(s - path));
        part[s - path] = 0;
        if (map_get(c->paths, part) < 0 && map_put(c->paths, part, GROUP_MARK, err))
            return -1;
    }
    return 0;
}

int content_item(struct content *c, struct item *it, struct err *err)
{
    int64_t at;

    if (content_check_path(c, it->pub.path, err))
        goto fail;
    at = map_get(c->paths, it->pub.path);
    if (at < 0) {
        if (mem_grow((void **)&c->items, c->items_n, &c->items_capacity, sizeof *c->items,
                     err) ||
            mark_groups(c, it->pub.path, err) ||
            map_put(c->paths, it->pub.path, c->items_n, err))
            goto fail;
        at = c->items_n++;
        memset(&c->items[at], 0, sizeof *it);
    }
    item_clear(&c->items[at]);
    c->items[at] = *it;
    memset(it, 0, sizeof *it);
    return 0;
fail:
    item_clear(it);
    return -1;
}

struct item *content_find(const struct content *c, const char *path)
{
    int64_t at = map_get(c->paths, path);
    return at < 0 || at >= SERIES_MARK ? NULL : &c->items[at];
}

static bool name_is_good(const char *name)
{
    return name && strlen(name) < PATH_LEN_MAX - 32 && parts_are_good(name);
}

/* A series "a" owns the datasets a/step and a/value, so "a" and "a/step"
 * cannot both be. */
static int series_path(char *path, size_t size, const struct content *c,
                       enum record_class cls, const char *name, const char *part,
                       struct err *err)
{
    snprintf(path, size, "%s/%s/%s", cls == RECORD_ENV ? "/env/metrics" : "/metrics",
             name, part);
    bool clash = map_get(c->paths, path) >= 0;
    for (char *s = strchr(path + 1, '/'); s && !clash; s = strchr(s + 1, '/')) {
        *s = 0;
        clash = map_get(c->paths, path) == SERIES_MARK;
        *s = '/';
    }
    return clash
               ? err_set(err, ERR_INPUT,
                         "metric \"%s\" clashes with the step or value of another", name)
               : 0;
}

static int check_series_paths(const struct content *c, enum record_class cls,
                              const char *name, struct err *err)
{
    char path[PATH_LEN_MAX];

    return series_path(path, sizeof path, c, cls, name, "step", err) ||
                   series_path(path, sizeof path, c, cls, name, "value", err)
               ? -1
               : 0;
}

static int mark_series(struct content *c, enum record_class cls, const char *name,
                       struct err *err)
{
    static const char *const part[] = {"step", "value"};
    char path[PATH_LEN_MAX];

    for (int i = 0; i < 2; i++)
        if (series_path(path, sizeof path, c, cls, name, part[i], err) ||
            mark_groups(c, path, err) || map_put(c->paths, path, SERIES_MARK, err))
            return -1;
    return 0;
}

int content_check_point(const struct content *c, enum record_class cls, const char *name,
                        int64_t step, struct err *err)
{
    if (!name_is_good(name))
        return err_set(err, ERR_INPUT, "metric \"%.200s\": a name is like \"train/loss\"",
                       name ? name : "");

    int64_t at = map_get(c->names, name);
    if (at < 0)
        return check_series_paths(c, cls, name, err);
    const struct points *s = &c->series[at];
    if (s->cls != cls)
        return err_set(err, ERR_INPUT, "metric \"%s\" is recorded as %s and as %s", name,
                       class_name(s->cls), class_name(cls));
    if (s->n && step < s->step[s->n - 1])
        return err_set(
            err, ERR_INPUT,
            "metric \"%s\": step %lld comes after step %lld; steps do not fall", name,
            (long long)step, (long long)s->step[s->n - 1]);
    return 0;
}

/* The series of a name, made if needed; NULL on failure. */
static struct points *series_named(struct content *c, enum record_class cls,
                                   const char *name, struct err *err)
{
    int64_t at = map_get(c->names, name);

    if (at >= 0)
        return &c->series[at];
    if (mark_series(c, cls, name, err) ||
        mem_grow((void **)&c->series, c->series_n, &c->series_capacity, sizeof *c->series,
                 err))
        return NULL;
    struct points *s = &c->series[c->series_n];
    memset(s, 0, sizeof *s);
    s->name = mem_strdup(name, err);
    s->cls = cls;
    if (!s->name)
        return NULL;
    if (map_put(c->names, name, c->series_n, err)) {
        free(s->name);
        return NULL;
    }
    c->series_n++;
    return s;
}

int content_point(struct content *c, enum record_class cls, const char *name,
                  int64_t step, double value, struct err *err)
{
    if (content_check_point(c, cls, name, step, err))
        return -1;

    struct points *s = series_named(c, cls, name, err);
    if (!s || mem_grow((void **)&s->step, s->n, &s->capacity, sizeof *s->step, err) ||
        mem_grow((void **)&s->value, s->n, &s->value_capacity, sizeof *s->value, err))
        return -1;
    s->step[s->n] = step;
    s->value[s->n++] = value;
    return 0;
}

int content_series(struct content *c, enum record_class cls, const char *name, int64_t n,
                   int64_t *step, double *value, struct err *err)
{
    struct points *s = NULL;

    if (!name_is_good(name) || map_get(c->names, name) >= 0)
        err_set(err, ERR_INPUT, "metric \"%.200s\" is there twice, or has a bad name",
                name ? name : "");
    else
        s = series_named(c, cls, name, err);
    if (!s) {
        free(step);
        free(value);
        return -1;
    }
    s->step = step;
    s->value = value;
    s->n = s->capacity = s->value_capacity = n;
    return 0;
}
