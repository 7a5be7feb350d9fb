/*
 * The catalog and the labels, which are lines (lines.c). The catalog only saves opening
 * files: an entry counts if run.h5 still has the size and time it names.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (INT64_C(1) << 32)
#define FIELDS 16 /* one more than a line has: a later program may say more */

struct entry {
    struct run_info info;
    int64_t size, mtime_ns;
    char *origins; /* ids, each followed by a comma */
};

struct catalog {
    pthread_mutex_t lock;
    char *path;
    int64_t read; /* bytes of the file that are in */
    ino_t file;   /* which file that was: fsck replaces it */
    struct entry *entry;
    int64_t n, capacity;
    struct map *ids;
};

/* ---- catalog ---- */

struct catalog *catalog_new(const char *dir, struct err *err)
{
    struct catalog *c = mem_new(1, sizeof *c, err);

    if (!c)
        return NULL;
    pthread_mutex_init(&c->lock, NULL);
    c->path = path_join(dir, "catalog", err);
    c->ids = map_new(err);
    if (!c->path || !c->ids) {
        catalog_free(c);
        return NULL;
    }
    return c;
}

static void forget_entries(struct catalog *c)
{
    for (int64_t i = 0; i < c->n; i++)
        free(c->entry[i].origins);
    c->n = 0;
}

void catalog_free(struct catalog *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    map_free(c->ids);
    forget_entries(c);
    free(c->entry);
    free(c->path);
    free(c);
}

static int parse_entry(struct entry *e, char **f, struct err *err)
{
    struct run_info *i = &e->info;

    memset(e, 0, sizeof *e);
    field_set(i->id, sizeof i->id, f[0]);
    e->size = strtoll(f[1], NULL, 10);
    e->mtime_ns = strtoll(f[2], NULL, 10);
    field_set(i->name, sizeof i->name, f[3]);
    field_set(i->stage, sizeof i->stage, f[4]);
    field_set(i->method, sizeof i->method, f[5]);
    field_set(i->variables, sizeof i->variables, f[6]);
    i->has_seed = f[7][0] != 0;
    i->seed = strtoull(f[7], NULL, 10);
    field_set(i->env_class, sizeof i->env_class, f[8]);
    (void)text_double(&i->started, f[9]); /* 0 otherwise: a cache, not the truth */
    (void)text_double(&i->ended, f[10]);
    (void)text_double(&i->seconds, f[11]);
    field_set(i->digest, sizeof i->digest, f[12]);
    i->bytes = strtoll(f[13], NULL, 10);
    i->state = RUN_SEALED;
    e->origins = mem_strdup(f[14], err);
    return e->origins ? 0 : -1;
}

/* Takes the entry over, also on failure. */

static int put_entry(struct catalog *c, const struct entry *e, struct err *err)
{
    int64_t at = map_get(c->ids, e->info.id);

    if (at >= 0) {
        free(c->entry[at].origins);
    } else if (mem_grow((void **)&c->entry, c->n, &c->capacity, sizeof *c->entry, err) ||
               map_put(c->ids, e->info.id, c->n, err)) {
        free(e->origins);
        return -1;
    } else {
        at = c->n++;
    }
    c->entry[at] = *e;
    return 0;
}

/* What follows byte `from` of a file, as a text. NULL: nothing, or it cannot be read. */
static char *read_from(int64_t *len, const char *path, int64_t from, int64_t size)
{
    char *text = mem_new(size - from + 1, 1, NULL);
    int64_t n = 0;
    ssize_t got = 1;
    int fd = text ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    while (fd >= 0 && got > 0 && n < size - from) {
        got = pread(fd, text + n, (size_t)(size - from - n), (off_t)(from + n));
        n += got > 0 ? got : 0;
    }
    if (fd >= 0)
        close(fd);
    if (!n) {
        free(text);
        return NULL;
    }
    text[n] = 0;
    *len = n;
    return text;
}

/* Takes in what was appended since. Trouble means only that run files are opened instead.
 * A line without origins is an earlier program's: as if it were not there. */
static void refresh(struct catalog *c)
{
    struct err err = ERR_INIT;
    char *field[FIELDS], *line;
    struct stat st;

    if (stat(c->path, &st))
        return;
    int64_t size = st.st_size;
    if (size < c->read || st.st_ino != c->file)
        c->read = 0;
    c->file = st.st_ino;
    if (size <= c->read || size - c->read > FILE_MAX_BYTES)
        return;
    int64_t len = 0;
    char *text = read_from(&len, c->path, c->read, size), *at = text;
    while (at && (line = line_next(&at, text + len))) {
        struct entry e;
        if (line_split(line, field, FIELDS) < FIELDS - 1 || !id_is_valid(field[0]))
            continue;
        if (parse_entry(&e, field, &err) || put_entry(c, &e, &err))
            break;
    }
    c->read += at ? at - text : 0;
    free(text);
}

bool catalog_find(struct catalog *c, const char *id, int64_t size, int64_t mtime_ns,
                  struct run_info *out)
{
    bool found = false;

    pthread_mutex_lock(&c->lock);
    for (int pass = 0; pass < 2 && !found; pass++) {
        int64_t at = map_get(c->ids, id);
        found = at >= 0 && c->entry[at].size == size && c->entry[at].mtime_ns == mtime_ns;
        if (found)
            *out = c->entry[at].info;
        else if (!pass)
            refresh(c);
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

char *catalog_origins(struct catalog *c, const char *id, struct err *err)
{
    pthread_mutex_lock(&c->lock);
    if (map_get(c->ids, id) < 0)
        refresh(c); /* it may have been added just now */
    int64_t at = map_get(c->ids, id);
    char *copy = at < 0 ? NULL : mem_strdup(c->entry[at].origins, err);
    pthread_mutex_unlock(&c->lock);
    return copy;
}

/* Each run that tensors of this one lie in, once. */
static void origins_field(struct strbuf *sb, const struct content *content)
{
    struct strbuf ids = STRBUF_INIT;

    for (int64_t i = 0; i < content->items_n; i++) {
        const char *origin = content->items[i].pub.origin;
        char id[65];
        if (!origin || strlen(origin) < 64)
            continue;
        field_set(id, sizeof id, origin);
        if (!strstr(strbuf_text(&ids), id))
            strbuf_printf(&ids, "%s,", id);
    }
    line_field(sb, strbuf_text(&ids));
    strbuf_release(&ids);
}

void catalog_add(struct catalog *c, const struct content *content, int64_t size,
                 int64_t mtime_ns)
{
    const struct run_info *i = &content->info;
    struct err err = ERR_INIT;
    struct strbuf sb = STRBUF_INIT;
    char number[32];

    line_field(&sb, i->id);
    snprintf(number, sizeof number, "%lld", (long long)size);
    line_field(&sb, number);
    snprintf(number, sizeof number, "%lld", (long long)mtime_ns);
    line_field(&sb, number);
    line_field(&sb, i->name);
    line_field(&sb, i->stage);
    line_field(&sb, i->method);
    line_field(&sb, i->variables);
    snprintf(number, sizeof number, "%llu", (unsigned long long)i->seed);
    line_field(&sb, i->has_seed ? number : "");
    line_field(&sb, i->env_class);
    line_number(&sb, i->started);
    line_number(&sb, i->ended);
    line_number(&sb, i->seconds);
    line_field(&sb, i->digest);
    snprintf(number, sizeof number, "%lld", (long long)i->bytes);
    line_field(&sb, number);
    origins_field(&sb, content);
    pthread_mutex_lock(&c->lock);
    line_append(c->path, &sb, false, &err);
    pthread_mutex_unlock(&c->lock);
    strbuf_release(&sb);
}

int catalog_reset(struct catalog *c, struct err *err)
{
    pthread_mutex_lock(&c->lock);
    int rc = file_write(c->path, "", 0, err);
    struct map *ids = rc ? NULL : map_new(err);
    if (ids) {
        map_free(c->ids);
        c->ids = ids;
        forget_entries(c);
        c->read = 0;
    }
    pthread_mutex_unlock(&c->lock);
    return ids ? 0 : -1;
}

/* ---- labels and notes ---- */

int labels_add(const char *dir, char kind, const char *id, const char *text,
               struct err *err)
{
    struct strbuf sb = STRBUF_INIT;
    char what[2] = {kind, 0};
    char *path = path_join(dir, "labels", err);
    int rc = -1;

    line_field(&sb, what);
    line_field(&sb, id);
    line_field(&sb, text);
    if (path)
        rc = line_append(path, &sb, true, err);
    strbuf_release(&sb);
    free(path);
    return rc;
}

int labels_read(const char *dir,
                void (*fn)(void *ctx, char kind, const char *id, const char *text),
                void *ctx, struct err *err)
{
    int rc = 0;
    char *text = NULL, *line, *field[3];
    int64_t len;
    char *path = path_join(dir, "labels", err);

    if (!path)
        return -1;
    if (file_exists(path))
        rc = file_read(&text, &len, path, FILE_MAX_BYTES, err);
    if (!rc && text)
        for (char *at = text; (line = line_next(&at, text + len));)
            if (line_split(line, field, 3) == 3)
                fn(ctx, field[0][0], field[1], field[2]);
    free(text);
    free(path);
    return rc;
}
