/*
 * The content of a run in memory, its checks and its digests.
 */
#include "internal.h"

#include <stddef.h>
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

int64_t item_elem_size(enum dtype t)
{
    return (unsigned)t < DT_COUNT ? dtypes[t].size : 0;
}

const char *item_dtype_name(enum dtype t)
{
    return dtypes[t].name;
}

int item_bytes(int64_t *out, struct shape s, enum dtype t, struct err *err)
{
    int64_t n = item_elem_size(t);

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

/* ---- a map from text to number: open addressing ---- */

struct map {
    char **key;
    int64_t *value;
    int64_t n, capacity; /* a power of 2 */
};

struct map *map_new(struct err *err)
{
    struct map *m = mem_new(1, sizeof *m, err);

    if (!m)
        return NULL;
    m->capacity = 64;
    m->key = mem_new(m->capacity, sizeof *m->key, err);
    m->value = mem_new(m->capacity, sizeof *m->value, err);
    if (!m->key || !m->value) {
        map_free(m);
        return NULL;
    }
    return m;
}

void map_free(struct map *m)
{
    if (!m)
        return;
    for (int64_t i = 0; m->key && i < m->capacity; i++)
        free(m->key[i]);
    free(m->key);
    free(m->value);
    free(m);
}

static uint64_t text_hash(const char *s)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
    return h ^ (h >> 29);
}

static int64_t slot_of(char *const *key, int64_t capacity, const char *s)
{
    int64_t i = (int64_t)(text_hash(s) & (uint64_t)(capacity - 1));

    while (key[i] && strcmp(key[i], s) != 0)
        i = (i + 1) & (capacity - 1);
    return i;
}

int64_t map_get(const struct map *m, const char *key)
{
    int64_t i = slot_of(m->key, m->capacity, key);
    return m->key[i] ? m->value[i] : -1;
}

static int map_double(struct map *m, struct err *err)
{
    int64_t capacity = 2 * m->capacity;
    char **key = mem_new(capacity, sizeof *key, err);
    int64_t *value = mem_new(capacity, sizeof *value, err);

    if (!key || !value) {
        free(key);
        free(value);
        return -1;
    }
    for (int64_t i = 0; i < m->capacity; i++)
        if (m->key[i]) {
            int64_t to = slot_of(key, capacity, m->key[i]);
            key[to] = m->key[i];
            value[to] = m->value[i];
        }
    free(m->key);
    free(m->value);
    m->key = key;
    m->value = value;
    m->capacity = capacity;
    return 0;
}

int map_put(struct map *m, const char *key, int64_t value, struct err *err)
{
    if (2 * (m->n + 1) > m->capacity && map_double(m, err))
        return -1;

    int64_t i = slot_of(m->key, m->capacity, key);
    if (!m->key[i]) {
        m->key[i] = mem_strdup(key, err);
        if (!m->key[i])
            return -1;
        m->n++;
    }
    m->value[i] = value;
    return 0;
}

/* ---- content ---- */

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

/* ---- parts ---- */

int content_part(struct content *c, const struct part *part, struct err *err)
{
    if (part->step < 0 || (c->parts_n && part->step <= c->parts[c->parts_n - 1].step))
        return err_set(err, ERR_INPUT,
                       "a snapshot of step %lld comes after that of step %lld",
                       (long long)part->step,
                       c->parts_n ? (long long)c->parts[c->parts_n - 1].step : -1LL);
    if (mem_grow((void **)&c->parts, c->parts_n, &c->parts_capacity, sizeof *c->parts,
                 err))
        return -1;
    c->parts[c->parts_n++] = *part;
    return 0;
}

int64_t content_part_bytes(const struct content *c)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < c->parts_n; i++)
        sum += c->parts[i].bytes;
    return sum;
}

int check_parts(const char *dir, const struct content *c, struct err *err)
{
    for (int64_t i = 0; i < c->parts_n; i++) {
        const struct part *p = &c->parts[i];
        char *path = mem_printf(err, "%s/parts/%s", dir, p->name);
        int64_t size = path ? file_size(path) : 0;
        int rc = path ? 0 : -1;
        if (path && size != p->bytes)
            rc = err_set(err, size < 0 ? ERR_MISSING : ERR_INPUT,
                         "%s: the snapshot of step %lld is %s", path, (long long)p->step,
                         size < 0 ? "not there" : "damaged: its size is wrong");
        free(path);
        if (rc)
            return -1;
    }
    return 0;
}

static int numbers_item(struct content *c, const char *path, size_t offset,
                        struct err *err)
{
    struct item it = {.kind = ITEM_ARRAY};
    int64_t *v = mem_new(c->parts_n, sizeof *v, err);

    it.owned = v;
    it.data = v;
    it.pub.path = mem_strdup(path, err);
    it.pub.cls = RECORD_EXTRA;
    it.pub.dtype = DT_I64;
    it.pub.shape = SHAPE(c->parts_n);
    it.pub.bytes = c->parts_n * 8;
    for (int64_t i = 0; v && i < c->parts_n; i++)
        memcpy(&v[i], (const char *)&c->parts[i] + offset, sizeof *v);
    if (v && it.pub.path)
        return content_item(c, &it, err);
    item_clear(&it);
    return -1;
}

static int texts_item(struct content *c, const char *path, size_t offset, struct err *err)
{
    struct item it = {.kind = ITEM_TEXT, .texts_n = c->parts_n};
    int rc = -1;

    it.pub.path = mem_strdup(path, err);
    it.pub.cls = RECORD_EXTRA;
    it.pub.is_text = true;
    it.pub.shape = SHAPE(c->parts_n);
    it.texts = mem_new(c->parts_n + 1, sizeof *it.texts, err);
    if (!it.pub.path || !it.texts)
        goto done;
    for (int64_t i = 0; i < c->parts_n; i++) {
        it.texts[i] = mem_strdup((const char *)&c->parts[i] + offset, err);
        if (!it.texts[i])
            goto done;
        it.pub.bytes += (int64_t)strlen(it.texts[i]);
    }
    rc = content_item(c, &it, err);
done:
    item_clear(&it);
    return rc;
}

int content_write_parts(struct content *c, struct err *err)
{
    if (!c->parts_n)
        return 0;
    return numbers_item(c, "/parts/step", offsetof(struct part, step), err) ||
                   texts_item(c, "/parts/file", offsetof(struct part, name), err) ||
                   numbers_item(c, "/parts/bytes", offsetof(struct part, bytes), err) ||
                   texts_item(c, "/parts/sha256", offsetof(struct part, sha256), err)
               ? -1
               : 0;
}

static const struct item *column(const struct content *c, const char *path, bool text,
                                 int64_t n)
{
    const struct item *it = content_find(c, path);
    bool fits = it && it->pub.shape.rank == 1 && it->pub.shape.dim[0] == n &&
                (text ? it->kind == ITEM_TEXT
                      : it->kind == ITEM_ARRAY && it->pub.dtype == DT_I64);
    return fits ? it : NULL;
}

int content_read_parts(struct content *c, struct err *err)
{
    const struct item *step = content_find(c, "/parts/step");
    int64_t n = step ? step->pub.shape.dim[0] : 0;
    const struct item *bytes = column(c, "/parts/bytes", false, n);
    const struct item *name = column(c, "/parts/file", true, n);
    const struct item *sum = column(c, "/parts/sha256", true, n);

    if (!step)
        return 0;
    if (!column(c, "/parts/step", false, n) || !bytes || !name || !sum)
        return err_set(err, ERR_INPUT,
                       "/parts: step, file, bytes and sha256 do not match");
    for (int64_t i = 0; i < n; i++) {
        struct part p = {((const int64_t *)step->data)[i],
                         ((const int64_t *)bytes->data)[i], "", ""};
        field_set(p.name, sizeof p.name, name->texts[i]);
        field_set(p.sha256, sizeof p.sha256, sum->texts[i]);
        if (strchr(p.name, '/') || p.name[0] == '.' || !id_is_valid(p.sha256))
            return err_set(err, ERR_INPUT, "/parts: \"%s\" is no name of a part", p.name);
        if (content_part(c, &p, err))
            return -1;
    }
    return 0;
}

/* ---- digest ---- */

struct entry {
    const char *path; /* of an item; a series' name sorts as "/metrics/" + name */
    const struct item *item;
    const struct points *series;
};

/* Texts are hashed with their length, numbers as 8 bytes: no two contents
 * run together. */
static void add_number(struct sha256 *h, int64_t x)
{
    sha256_add(h, &x, sizeof x);
}

static void add_text(struct sha256 *h, const char *s)
{
    add_number(h, (int64_t)strlen(s));
    sha256_add(h, s, (int64_t)strlen(s));
}

static void add_entry(struct sha256 *h, const struct entry *e)
{
    if (e->series) {
        add_text(h, "series");
        add_text(h, e->series->name);
        add_number(h, e->series->n);
        sha256_add(h, e->series->step, e->series->n * 8);
        sha256_add(h, e->series->value, e->series->n * 8);
        return;
    }
    const struct item *it = e->item;
    add_text(h, e->path);
    if (it->kind == ITEM_REFERENCE) {
        add_text(h, "reference");
        add_text(h, it->pub.origin);
    } else if (it->kind == ITEM_TEXT) {
        add_text(h, "text");
        add_number(h, it->texts_n);
        for (int64_t i = 0; i < (it->texts_n < 0 ? 1 : it->texts_n); i++)
            add_text(h, it->texts[i]);
    } else {
        add_text(h, item_dtype_name(it->pub.dtype));
        add_number(h, it->pub.shape.rank);
        for (int i = 0; i < it->pub.shape.rank; i++)
            add_number(h, it->pub.shape.dim[i]);
        sha256_add(h, it->data, it->pub.bytes);
    }
}

/* Items by path, then series by name. */
static int by_path(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;

    if (!a->series != !b->series)
        return a->series ? 1 : -1;
    return strcmp(a->path, b->path);
}

int content_digest(const struct content *c, enum record_class cls, char out[65],
                   struct err *err)
{
    int rc = -1;
    int64_t n = 0;
    struct entry *e = mem_new(c->items_n + c->series_n, sizeof *e, err);
    struct sha256 *h = sha256_new(err);

    if (!e || !h)
        goto done;
    for (int64_t i = 0; i < c->items_n; i++)
        if (c->items[i].pub.cls == cls)
            e[n++] = (struct entry){c->items[i].pub.path, &c->items[i], NULL};
    for (int64_t i = 0; i < c->series_n; i++)
        if (c->series[i].cls == cls)
            e[n++] = (struct entry){c->series[i].name, NULL, &c->series[i]};
    qsort(e, (size_t)n, sizeof *e, by_path);
    add_text(h, "retort result 1");
    for (int64_t i = 0; i < n; i++)
        add_entry(h, &e[i]);
    rc = sha256_hex(h, out, err);
done:
    sha256_free(h);
    free(e);
    return rc;
}
