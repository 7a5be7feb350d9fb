/*
 * Reading journals: their records applied to a content, in order, up to the first that is
 * torn or wrong.
 */
#include "journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where we are in a payload. A bad read sticks and gives zeros. */
struct cursor {
    const unsigned char *p;
    int64_t left;
    bool bad;
};

static int64_t get_i64(struct cursor *c)
{
    int64_t x = 0;

    if (c->left < 8) {
        c->bad = true;
        return 0;
    }
    memcpy(&x, c->p, 8);
    c->p += 8;
    c->left -= 8;
    return x;
}

static double get_f64(struct cursor *c)
{
    int64_t bits = get_i64(c);
    double x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Heap memory; NULL if it was NULL, or on failure. */
static char *get_text(struct cursor *c, struct err *err)
{
    int64_t n = get_i64(c);

    if (n == -1 || c->bad)
        return NULL;
    if (n < 0 || n > c->left || memchr(c->p, 0, (size_t)n)) {
        c->bad = true;
        return NULL;
    }
    char *s = mem_strndup((const char *)c->p, (size_t)n, err);
    c->p += n;
    c->left -= n;
    return s;
}

static enum record_class get_class(struct cursor *c)
{
    int64_t x = get_i64(c);

    if (x < RECORD_RESULT || x > RECORD_ENV)
        c->bad = true;
    return c->bad ? RECORD_RESULT : (enum record_class)x;
}

static void get_field(struct cursor *c, char *field, size_t size, struct err *err)
{
    char *s = get_text(c, err);

    field_set(field, size, s);
    free(s);
}

static int apply_begin(struct content *to, struct cursor *c, struct err *err)
{
    struct run_info *info = &to->info;

    get_field(c, info->id, sizeof info->id, err);
    get_field(c, info->name, sizeof info->name, err);
    get_field(c, info->stage, sizeof info->stage, err);
    get_field(c, info->method, sizeof info->method, err);
    get_field(c, info->variables, sizeof info->variables, err);
    info->has_seed = get_i64(c) != 0;
    info->seed = (uint64_t)get_i64(c);
    get_field(c, info->env_class, sizeof info->env_class, err);
    info->started = get_f64(c);
    for (int i = 0; i < HEAD_COUNT; i++) {
        free(to->heads[i]);
        to->heads[i] = get_text(c, err);
    }
    field_set(info->failure, sizeof info->failure,
              "ended without a word (killed, or the machine stopped)");
    return 0;
}

static int apply_metric(struct content *to, struct cursor *c, struct err *err)
{
    enum record_class cls = get_class(c);
    char *name = get_text(c, err);
    int64_t step = get_i64(c);
    double value = get_f64(c);
    int rc = c->bad || !name ? 0 : content_point(to, cls, name, step, value, err);

    free(name);
    return rc;
}

static int apply_array(struct content *to, struct cursor *c, struct err *err)
{
    struct item it = {.kind = ITEM_ARRAY};

    it.pub.cls = get_class(c);
    it.pub.path = get_text(c, err);
    it.pub.dtype = (enum dtype)get_i64(c);
    int64_t rank = get_i64(c);
    if (rank < 0 || rank > RANK_MAX)
        c->bad = true;
    for (int64_t i = 0; !c->bad && i < rank; i++) {
        it.pub.shape.dim[i] = get_i64(c);
        it.dim[i] = get_text(c, err);
    }
    it.pub.shape.rank = c->bad ? 0 : (int)rank;
    int64_t pad = get_i64(c);
    if (c->bad || pad < 0 || pad > c->left ||
        item_bytes(&it.pub.bytes, it.pub.shape, it.pub.dtype, err) ||
        it.pub.bytes != c->left - pad) {
        c->bad = true;
        item_clear(&it);
        return 0;
    }
    it.data = c->p + pad;
    return content_item(to, &it, err);
}

static int apply_text(struct content *to, struct cursor *c, struct err *err)
{
    struct item it = {.kind = ITEM_TEXT};

    it.pub.is_text = true;
    it.pub.cls = get_class(c);
    it.pub.path = get_text(c, err);
    it.texts_n = get_i64(c);
    int64_t n = it.texts_n < 0 ? 1 : it.texts_n;
    if (c->bad || it.texts_n < -1 || n > c->left / 8) {
        it.texts_n = 0;
        c->bad = true;
    } else {
        it.texts = mem_new(n + 1, sizeof *it.texts, err);
        for (int64_t i = 0; it.texts && i < n; i++) {
            it.texts[i] = get_text(c, err);
            it.pub.bytes += it.texts[i] ? (int64_t)strlen(it.texts[i]) : 0;
            c->bad |= !it.texts[i];
        }
        it.pub.shape.rank = it.texts_n < 0 ? 0 : 1;
        it.pub.shape.dim[0] = it.texts_n < 0 ? 0 : n;
    }
    if (c->bad || err_is_set(err)) {
        item_clear(&it);
        return 0;
    }
    return content_item(to, &it, err);
}

static int apply_reference(struct content *to, struct cursor *c, struct err *err)
{
    struct item it = {.kind = ITEM_REFERENCE};

    it.pub.path = get_text(c, err);
    it.pub.origin = get_text(c, err);
    if (c->bad || !it.pub.origin) {
        c->bad = true;
        item_clear(&it);
        return 0;
    }
    return content_item(to, &it, err);
}

static int apply_part(struct content *to, struct cursor *c, struct err *err)
{
    struct part p = {.step = get_i64(c)};

    p.bytes = get_i64(c);
    get_field(c, p.name, sizeof p.name, err);
    get_field(c, p.sha256, sizeof p.sha256, err);
    return c->bad ? 0 : content_part(to, &p, err);
}

static int replay(struct content *to, struct journal_maps *maps, const char *dir,
                  int64_t g, int64_t position, struct err *err);

/* Generations fall strictly, so a hostile chain ends. */
static int apply_resume(struct content *to, struct journal_maps *maps, const char *dir,
                        int64_t g, struct cursor *c, struct err *err)
{
    int64_t from = get_i64(c), position = get_i64(c);
    int64_t step = get_i64(c);

    if (c->bad || from < 1 || from >= g || position < 0) {
        c->bad = true;
        return 0;
    }
    if (content_reset(to, err) || replay(to, maps, dir, from, position, err))
        return -1;
    to->info.step = step;
    return 0;
}

static int apply(struct content *to, struct journal_maps *maps, const char *dir,
                 int64_t g, uint32_t type, struct cursor *c, struct err *err)
{
    switch (type) {
    case REC_BEGIN:
        return apply_begin(to, c, err);
    case REC_METRIC:
        return apply_metric(to, c, err);
    case REC_ARRAY:
        return apply_array(to, c, err);
    case REC_TEXT:
        return apply_text(to, c, err);
    case REC_REFERENCE:
        return apply_reference(to, c, err);
    case REC_RESUME:
        return apply_resume(to, maps, dir, g, c, err);
    case REC_CHECKPOINT:
        to->info.step = get_i64(c);
        return 0;
    case REC_PART:
        return apply_part(to, c, err);
    case REC_END:
        get_field(c, to->info.failure, sizeof to->info.failure, err);
        to->info.ended = get_f64(c);
        return 0;
    default: /* of a later version */
        return 0;
    }
}

/* The payload of the record at `at`; its whole size, or 0 if there is no whole record. */
static int64_t record_at(const struct file_map *map, int64_t at, uint32_t *type,
                         struct cursor *c)
{
    uint32_t magic, crc, want;
    int64_t length;
    const unsigned char *p = map->data + at;

    if (map->len - at < RECORD_HEADER)
        return 0;
    memcpy(&magic, p, 4);
    memcpy(type, p + 4, 4);
    memcpy(&length, p + 8, 8);
    memcpy(&want, p + 16, 4);
    if (magic != RECORD_MAGIC || length < 0 || length > map->len - at - RECORD_HEADER)
        return 0;
    crc = crc32c(0, p + 4, 12);
    if (crc32c(crc, p + RECORD_HEADER, (size_t)length) != want)
        return 0;
    *c = (struct cursor){p + RECORD_HEADER, length, false};
    return RECORD_HEADER + length + (-length & 7);
}

/* Bytes that nothing is said in are zero, and no checksum covers them. */
static bool is_zero(const unsigned char *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

int64_t journal_record(const struct file_map *map, int64_t at)
{
    uint32_t type;
    struct cursor c;
    int64_t size = record_at(map, at, &type, &c);
    const unsigned char *end = map->data + at + size;

    if (!size || at + size > map->len || !is_zero(map->data + at + 20, 12))
        return 0;
    return is_zero(c.p + c.left, end - (c.p + c.left)) ? size : 0;
}

int64_t journal_whole(const struct file_map *map)
{
    int64_t at = 0, size;
    uint32_t type;
    struct cursor c;

    while ((size = record_at(map, at, &type, &c)) > 0 && at + size <= map->len)
        at += size;
    return at;
}

static int replay(struct content *to, struct journal_maps *maps, const char *dir,
                  int64_t g, int64_t position, struct err *err)
{
    int rc = -1;
    int64_t at = 0, size;
    struct file_map map = {NULL, 0};
    char *path = journal_path(dir, g, err);

    if (!path || file_map(&map, path, err))
        goto done;
    if (mem_grow((void **)&maps->map, maps->n, &maps->capacity, sizeof *maps->map, err)) {
        file_unmap(&map);
        goto done;
    }
    maps->map[maps->n++] = map;
    while (position < 0 || at < position) {
        uint32_t type;
        struct cursor c;

        size = record_at(&map, at, &type, &c);
        if (!size)
            break;
        if (apply(to, maps, dir, g, type, &c, err) || err_is_set(err)) {
            err_prefix(err, "%s", path);
            goto done;
        }
        if (c.bad) {
            err_set(err, ERR_INPUT, "%s: the record at byte %lld is not well formed",
                    path, (long long)at);
            goto done;
        }
        at += size;
    }
    if (position >= 0 && at != position) {
        err_set(err, ERR_INPUT, "%s: whole only up to byte %lld, a checkpoint needs %lld",
                path, (long long)at, (long long)position);
        goto done;
    }
    rc = 0;
done:
    free(path);
    return rc;
}

int journal_read(struct content **out, struct journal_maps *maps, const char *dir,
                 int64_t g, int64_t position, struct err *err)
{
    struct err local = ERR_INIT; /* replay asks err_is_set: it must start clean */
    struct content *c = content_new(&local);

    if (!c || replay(c, maps, dir, g, position, &local)) {
        content_free(c);
        return err_set(err, local.code, "%s", local.text);
    }
    c->generations = g;
    *out = c;
    return 0;
}

void journal_maps_release(struct journal_maps *maps)
{
    for (int64_t i = 0; i < maps->n; i++)
        file_unmap(&maps->map[i]);
    free(maps->map);
    memset(maps, 0, sizeof *maps);
}

/* The number of "journal.N", or 0. */
static int64_t generation_of(const char *name)
{
    char *end;

    if (strncmp(name, "journal.", 8) != 0 || name[8] < '1' || name[8] > '9')
        return 0;
    errno = 0;
    long long g = strtoll(name + 8, &end, 10);
    return *end || errno || g < 1 ? 0 : g;
}

int journal_newest(int64_t *out, const char *dir, struct err *err)
{
    char **names;

    *out = 0;
    if (!file_is_dir(dir))
        return 0;
    if (file_list(&names, dir, err))
        return -1;
    for (char **n = names; *n; n++)
        if (generation_of(*n) > *out)
            *out = generation_of(*n);
    file_list_free(names);
    return 0;
}

/* From the first record to the last write of one journal. */
static double seconds_of(const char *path)
{
    struct err err = ERR_INIT;
    struct file_map map = {NULL, 0};
    struct content *c = NULL;
    struct cursor cur;
    uint32_t type;
    double s = 0;

    if (file_map(&map, path, &err))
        return 0;
    if (record_at(&map, 0, &type, &cur) && type == REC_BEGIN && (c = content_new(&err))) {
        int64_t ns = file_mtime_ns(path);
        apply_begin(c, &cur, &err);
        s = (double)ns * 1e-9 - c->info.started;
    }
    content_free(c);
    file_unmap(&map);
    return s > 0 ? s : 0;
}

double journal_seconds(const char *dir)
{
    struct err err = ERR_INIT;
    char **names;
    double s = 0;

    if (getenv("SOURCE_DATE_EPOCH") || file_list(&names, dir, &err))
        return 0;
    for (char **n = names; *n; n++) {
        char *path = generation_of(*n) ? path_join(dir, *n, &err) : NULL;
        s += path ? seconds_of(path) : 0;
        free(path);
    }
    file_list_free(names);
    return s;
}
