/*
 * The journal: the truth of a run while it works.
 *
 * A file of records, each a header (magic, type, length, CRC-32C of type, length and
 * payload) and a payload, at multiples of 8 bytes, little-endian. Reading ends at the
 * first record that is torn or wrong: what a crash leaves behind is cut off, never
 * guessed at. Arrays lie at multiples of 64 bytes, so that readers use them in the
 * mapping.
 *
 * A generation that restores a checkpoint writes `resume` (generation, position): all
 * content before is that of the older journal up to there. So what came after a
 * checkpoint that was gone back to is not in the run.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC UINT32_C(0x314a5452) /* "RTJ1" */
#define HEADER 32
#define ALIGN 64

enum record_type {
    REC_BEGIN = 1,
    REC_METRIC,
    REC_ARRAY,
    REC_TEXT,
    REC_REFERENCE,
    REC_RESUME,
    REC_CHECKPOINT,
    REC_END,
    REC_PART,
};

struct journal {
    int fd;
    char *path;
    int64_t pos;
    bool broken; /* a failed write could not be taken back */
};

char *journal_path(const char *dir, int64_t generation, struct err *err)
{
    return mem_printf(err, "%s/journal.%lld", dir, (long long)generation);
}

int journal_create(struct journal **out, const char *dir, int64_t generation,
                   struct err *err)
{
    struct journal *j = mem_new(1, sizeof *j, err);

    if (!j)
        return -1;
    j->fd = -1;
    j->path = journal_path(dir, generation, err);
    if (j->path) {
        j->fd = open(j->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
        if (j->fd < 0)
            err_errno(err, "%s", j->path);
    }
    if (j->fd < 0 || file_sync_dir(dir, err)) {
        journal_close(j);
        return -1;
    }
    *out = j;
    return 0;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd);
    free(j->path);
    free(j);
}

int64_t journal_position(const struct journal *j)
{
    return j->pos;
}

int journal_sync(struct journal *j, struct err *err)
{
    if (j->broken)
        return err_set(err, ERR_IO, "%s: an earlier write failed", j->path);
    return fsync(j->fd) ? err_errno(err, "%s", j->path) : 0;
}

/* ---- writing ---- */

static void put_i64(struct strbuf *sb, int64_t x)
{
    strbuf_add(sb, (const char *)&x, sizeof x);
}

static void put_f64(struct strbuf *sb, double x)
{
    strbuf_add(sb, (const char *)&x, sizeof x);
}

/* Length (-1: NULL) and bytes. */
static void put_text(struct strbuf *sb, const char *s)
{
    put_i64(sb, s ? (int64_t)strlen(s) : -1);
    if (s)
        strbuf_puts(sb, s);
}

/* Writes header, small part and data; takes all of it back on failure (a
 * full disk, say). */
static int append(struct journal *j, enum record_type type, struct strbuf *small,
                  const void *data, int64_t bytes, struct err *err)
{
    static const char zero[8];
    unsigned char head[HEADER] = {0};
    uint32_t magic = MAGIC, t = (uint32_t)type, crc;
    int64_t length = (int64_t)small->len + bytes, pad = -length & 7;

    if (strbuf_failed(small, err))
        return -1;
    if (j->broken)
        return err_set(err, ERR_IO, "%s: an earlier write failed", j->path);
    memcpy(head, &magic, 4);
    memcpy(head + 4, &t, 4);
    memcpy(head + 8, &length, 8);
    crc = crc32c(0, head + 4, 12);
    crc = crc32c(crc, strbuf_text(small), small->len);
    if (bytes)
        crc = crc32c(crc, data, (size_t)bytes);
    memcpy(head + 16, &crc, 4);

    /* The usual record goes out in one write. */
    struct strbuf all = STRBUF_INIT;
    strbuf_add(&all, (const char *)head, HEADER);
    strbuf_add(&all, strbuf_text(small), small->len);
    if (!bytes)
        strbuf_add(&all, zero, (size_t)pad);
    int rc = strbuf_failed(&all, err) ||
             file_write_fd(j->fd, all.text, (int64_t)all.len, j->path, err) ||
             (bytes && (file_write_fd(j->fd, data, bytes, j->path, err) ||
                        file_write_fd(j->fd, zero, pad, j->path, err)));
    strbuf_release(&all);
    if (rc) {
        j->broken = ftruncate(j->fd, j->pos) != 0;
        return -1;
    }
    j->pos += HEADER + length + pad;
    return 0;
}

static int append_small(struct journal *j, enum record_type type, struct strbuf *sb,
                        struct err *err)
{
    int rc = append(j, type, sb, NULL, 0, err);

    strbuf_release(sb);
    return rc;
}

int journal_begin(struct journal *j, const struct run_head *h, double started,
                  struct err *err)
{
    struct strbuf sb = STRBUF_INIT;

    put_text(&sb, h->id);
    put_text(&sb, h->name);
    put_text(&sb, h->stage);
    put_text(&sb, h->method);
    put_text(&sb, h->variables);
    put_i64(&sb, h->has_seed);
    put_i64(&sb, (int64_t)h->seed);
    put_text(&sb, h->env_class);
    put_f64(&sb, started);
    put_text(&sb, h->spec);
    put_text(&sb, h->resolved);
    put_text(&sb, h->pins);
    put_text(&sb, h->record);
    return append_small(j, REC_BEGIN, &sb, err);
}

int journal_metric(struct journal *j, enum record_class c, const char *name, int64_t step,
                   double value, struct err *err)
{
    struct strbuf sb = STRBUF_INIT;

    put_i64(&sb, c);
    put_text(&sb, name);
    put_i64(&sb, step);
    put_f64(&sb, value);
    return append_small(j, REC_METRIC, &sb, err);
}

int journal_array(struct journal *j, enum record_class c, const char *path,
                  const struct array *a, struct err *err)
{
    int rc = -1;
    int64_t bytes, pad;
    struct strbuf sb = STRBUF_INIT;

    if (item_bytes(&bytes, a->shape, a->dtype, err))
        return -1;
    put_i64(&sb, c);
    put_text(&sb, path);
    put_i64(&sb, a->dtype);
    put_i64(&sb, a->shape.rank);
    for (int i = 0; i < a->shape.rank; i++) {
        put_i64(&sb, a->shape.dim[i]);
        put_text(&sb, a->dim[i]);
    }
    pad = -(j->pos + HEADER + (int64_t)sb.len + 8) & (ALIGN - 1);
    put_i64(&sb, pad);
    for (int64_t i = 0; i < pad; i++)
        strbuf_putc(&sb, 0);
    rc = append(j, REC_ARRAY, &sb, a->data, bytes, err);
    strbuf_release(&sb);
    return rc;
}

int journal_text(struct journal *j, enum record_class c, const char *path,
                 const char *const *texts, int64_t n, struct err *err)
{
    struct strbuf sb = STRBUF_INIT;

    put_i64(&sb, c);
    put_text(&sb, path);
    put_i64(&sb, n);
    for (int64_t i = 0; i < (n < 0 ? 1 : n); i++)
        put_text(&sb, texts[i] ? texts[i] : "");
    return append_small(j, REC_TEXT, &sb, err);
}

int journal_reference(struct journal *j, const char *path, const char *origin,
                      struct err *err)
{
    struct strbuf sb = STRBUF_INIT;

    put_text(&sb, path);
    put_text(&sb, origin);
    return append_small(j, REC_REFERENCE, &sb, err);
}

int journal_part(struct journal *j, const struct part *part, struct err *err)
{
    struct strbuf sb = STRBUF_INIT;

    put_i64(&sb, part->step);
    put_i64(&sb, part->bytes);
    put_text(&sb, part->name);
    put_text(&sb, part->sha256);
    return append_small(j, REC_PART, &sb, err);
}

int journal_resume(struct journal *j, int64_t generation, int64_t position, int64_t step,
                   struct err *err)
{
    struct strbuf sb = STRBUF_INIT;

    put_i64(&sb, generation);
    put_i64(&sb, position);
    put_i64(&sb, step);
    return append_small(j, REC_RESUME, &sb, err);
}

int journal_checkpoint(struct journal *j, int64_t step, struct err *err)
{
    struct strbuf sb = STRBUF_INIT;

    put_i64(&sb, step);
    return append_small(j, REC_CHECKPOINT, &sb, err);
}

int journal_end(struct journal *j, const char *why, double ended, struct err *err)
{
    struct strbuf sb = STRBUF_INIT;

    put_text(&sb, why ? why : "");
    put_f64(&sb, ended);
    return append_small(j, REC_END, &sb, err);
}

/* ---- reading ---- */

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

    if (map->len - at < HEADER)
        return 0;
    memcpy(&magic, p, 4);
    memcpy(type, p + 4, 4);
    memcpy(&length, p + 8, 8);
    memcpy(&want, p + 16, 4);
    if (magic != MAGIC || length < 0 || length > map->len - at - HEADER)
        return 0;
    crc = crc32c(0, p + 4, 12);
    if (crc32c(crc, p + HEADER, (size_t)length) != want)
        return 0;
    *c = (struct cursor){p + HEADER, length, false};
    return HEADER + length + (-length & 7);
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
