/*
 * Checkpoints: whole files ckpt/GGGGGGGGGG.SSSSSS (generation, number), written aside,
 * synced, renamed. A file is
 *
 *     magic, bytes of the head, CRC of the head
 *     the head: generation, position, step, env_class, record, regions (name, bytes, CRC)
 *     the regions, one after the other
 *
 * Two are kept: if the newest does not fit, the one before it is used.
 */
#include "internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC CHECKPOINT_MAGIC
#define HEAD_FIXED CHECKPOINT_FIXED
#define HEAD_MAX (1 << 26)

static void put_i64(struct strbuf *sb, int64_t x)
{
    strbuf_add(sb, (const char *)&x, sizeof x);
}

static void make_head(struct strbuf *sb, const struct checkpoint_head *head,
                      const struct region *r, int64_t n)
{
    put_i64(sb, head->generation);
    put_i64(sb, head->position);
    put_i64(sb, head->step);
    strbuf_add(sb, head->env_class, sizeof head->env_class);
    strbuf_add(sb, head->record, sizeof head->record);
    put_i64(sb, n);
    for (int64_t i = 0; i < n; i++) {
        put_i64(sb, (int64_t)strlen(r[i].name));
        strbuf_puts(sb, r[i].name);
        put_i64(sb, r[i].bytes);
        put_i64(sb, crc32c(0, r[i].data, (size_t)r[i].bytes));
    }
}

static int write_all(int fd, const char *path, const struct strbuf *head,
                     const struct region *r, int64_t n, struct err *err)
{
    char fixed[HEAD_FIXED] = MAGIC;
    int64_t length = (int64_t)head->len;
    uint32_t crc = crc32c(0, head->text, head->len);

    memcpy(fixed + 8, &length, 8);
    memcpy(fixed + 16, &crc, 4);
    if (file_write_fd(fd, fixed, HEAD_FIXED, path, err) ||
        file_write_fd(fd, head->text, length, path, err))
        return -1;
    for (int64_t i = 0; i < n; i++)
        if (r[i].bytes && file_write_fd(fd, r[i].data, r[i].bytes, path, err))
            return -1;
    return fsync(fd) ? err_errno(err, "%s", path) : 0;
}

int checkpoint_write(const char *dir, int64_t sequence,
                     const struct checkpoint_head *head, const struct region *r,
                     int64_t n, struct err *err)
{
    int rc = -1, fd = -1;
    struct strbuf sb = STRBUF_INIT;
    char *part = mem_printf(err, "%s/new.%lld", dir, (long long)head->generation);
    char *path = mem_printf(err, "%s/%010lld.%06lld", dir, (long long)head->generation,
                            (long long)sequence);

    make_head(&sb, head, r, n);
    if (!part || !path || strbuf_failed(&sb, err) || file_mkdirs(dir, err))
        goto done;
    fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        err_errno(err, "%s", part);
        goto done;
    }
    if (write_all(fd, part, &sb, r, n, err))
        goto done;
    if (rename(part, path)) {
        err_errno(err, "%s", path);
        goto done;
    }
    rc = file_sync_dir(dir, err);
done:
    if (fd >= 0)
        close(fd);
    if (rc && part)
        unlink(part);
    strbuf_release(&sb);
    free(path);
    free(part);
    return rc;
}

/* ---- reading ---- */

struct cursor {
    const unsigned char *p;
    int64_t left;
    bool bad;
};

static const unsigned char *take(struct cursor *c, int64_t n)
{
    const unsigned char *p = c->p;

    if (c->bad || n < 0 || n > c->left) {
        c->bad = true;
        return NULL;
    }
    c->p += n;
    c->left -= n;
    return p;
}

static int64_t get_i64(struct cursor *c)
{
    int64_t x = 0;
    const unsigned char *p = take(c, 8);

    if (p)
        memcpy(&x, p, 8);
    return x;
}

/* Finds and checks the head; `c` then stands at its regions, `*data` at the first
 * region's bytes. */
static int read_head(struct checkpoint_head *head, struct cursor *c,
                     const unsigned char **data, const struct file_map *map,
                     const char *path, struct err *err)
{
    int64_t length;
    uint32_t crc;

    if (map->len < HEAD_FIXED || memcmp(map->data, MAGIC, 8) != 0)
        return err_set(err, ERR_INPUT, "%s: not a checkpoint", path);
    memcpy(&length, map->data + 8, 8);
    memcpy(&crc, map->data + 16, 4);
    if (length < 0 || length > map->len - HEAD_FIXED || length > HEAD_MAX ||
        crc32c(0, map->data + HEAD_FIXED, (size_t)length) != crc)
        return err_set(err, ERR_INPUT, "%s: the checkpoint's head is damaged", path);
    *c = (struct cursor){map->data + HEAD_FIXED, length, false};
    *data = map->data + HEAD_FIXED + length;
    head->generation = get_i64(c);
    head->position = get_i64(c);
    head->step = get_i64(c);
    const unsigned char *env = take(c, sizeof head->env_class);
    const unsigned char *record = take(c, sizeof head->record);
    if (c->bad)
        return err_set(err, ERR_INPUT, "%s: the checkpoint's head is too short", path);
    memcpy(head->env_class, env, sizeof head->env_class);
    memcpy(head->record, record, sizeof head->record);
    head->env_class[64] = head->record[64] = 0;
    return 0;
}

/* All regions have the names and sizes wanted, and their checksums hold. */
static int check_regions(struct cursor *c, const unsigned char *data,
                         const unsigned char *end, const struct region *r, int64_t n,
                         const char *path, struct err *err)
{
    int64_t count = get_i64(c);

    if (count != n)
        return err_set(err, ERR_INPUT, "%s: holds %lld regions, the stage has %lld", path,
                       (long long)count, (long long)n);
    for (int64_t i = 0; i < n; i++) {
        int64_t len = get_i64(c);
        const char *name = (const char *)take(c, len);
        int64_t bytes = get_i64(c), crc = get_i64(c);

        if (c->bad || len != (int64_t)strlen(r[i].name) ||
            memcmp(name, r[i].name, (size_t)len) != 0)
            return err_set(err, ERR_INPUT, "%s: region %lld is not \"%s\"", path,
                           (long long)i, r[i].name);
        if (bytes != r[i].bytes)
            return err_set(err, ERR_INPUT,
                           "%s: \"%s\" holds %lld bytes, the stage has %lld", path,
                           r[i].name, (long long)bytes, (long long)r[i].bytes);
        if (bytes > end - data || crc32c(0, data, (size_t)bytes) != (uint32_t)crc)
            return err_set(err, ERR_INPUT, "%s: \"%s\" is damaged", path, r[i].name);
        data += bytes;
    }
    return 0;
}

int checkpoint_peek(struct checkpoint_head *head, const char *dir, const char *name,
                    struct err *err)
{
    struct file_map map = {NULL, 0};
    struct cursor c;
    const unsigned char *data;
    char *path = path_join(dir, name, err);
    int rc =
        !path || file_map(&map, path, err) || read_head(head, &c, &data, &map, path, err)
            ? -1
            : 0;

    file_unmap(&map);
    free(path);
    return rc;
}

int checkpoint_read(struct checkpoint_head *head, const char *dir, const char *name,
                    const struct region *r, int64_t n, struct err *err)
{
    int rc = -1;
    struct file_map map = {NULL, 0};
    struct cursor c;
    const unsigned char *data;
    char *path = path_join(dir, name, err);

    if (!path || file_map(&map, path, err) ||
        read_head(head, &c, &data, &map, path, err) ||
        check_regions(&c, data, map.data + map.len, r, n, path, err))
        goto done;
    for (int64_t i = 0; i < n; i++) {
        if (r[i].bytes)
            memcpy(r[i].data, data, (size_t)r[i].bytes);
        data += r[i].bytes;
    }
    rc = 0;
done:
    file_unmap(&map);
    free(path);
    return rc;
}

/* The next region as the head tells it. */
static bool next_region(struct cursor *c, int64_t *bytes, uint32_t *crc)
{
    take(c, get_i64(c));
    *bytes = get_i64(c);
    *crc = (uint32_t)get_i64(c);
    return !c->bad && *bytes >= 0;
}

bool checkpoint_region(const struct file_map *map, int64_t i, int64_t *bytes,
                       uint32_t *crc)
{
    struct err err = ERR_INIT;
    struct checkpoint_head head;
    struct cursor c;
    const unsigned char *data;

    if (read_head(&head, &c, &data, map, "", &err) || i >= get_i64(&c))
        return false;
    for (int64_t k = 0; k <= i; k++)
        if (!next_region(&c, bytes, crc))
            return false;
    return true;
}

int checkpoint_check(const char *path, struct err *err)
{
    static const char zero[4];
    struct file_map map = {NULL, 0};
    struct checkpoint_head head;
    struct cursor c;
    const unsigned char *data;
    int64_t bytes, n;
    uint32_t crc;
    int rc = -1;

    if (file_map(&map, path, err) || read_head(&head, &c, &data, &map, path, err))
        goto done;
    n = get_i64(&c);
    if (memcmp(map.data + 20, zero, sizeof zero) != 0 || n < 0) {
        err_set(err, ERR_INPUT, "%s: the checkpoint's head is damaged", path);
        goto done;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t left = map.data + map.len - data;
        if (!next_region(&c, &bytes, &crc) || bytes > left ||
            crc32c(0, data, (size_t)bytes) != crc) {
            err_set(err, ERR_INPUT, "%s: region %lld is damaged", path, (long long)i);
            goto done;
        }
        data += bytes;
    }
    rc = data == map.data + map.len
             ? 0
             : err_set(err, ERR_INPUT, "%s: has bytes behind its end", path);
done:
    file_unmap(&map);
    return rc;
}

static bool is_checkpoint(const char *name)
{
    return strlen(name) >= 17 && strspn(name, "0123456789.") == strlen(name) &&
           name[10] == '.';
}

int checkpoint_list(char ***out, const char *dir, struct err *err)
{
    int64_t n = 0;
    char **names;

    if (!file_is_dir(dir)) {
        *out = mem_new(1, sizeof **out, err);
        return *out ? 0 : -1;
    }
    if (file_list(&names, dir, err))
        return -1;
    char **all = names;
    int64_t count = 0;
    while (all[count])
        count++;
    char **kept = mem_new(count + 1, sizeof *kept, err);
    int rc = kept ? 0 : -1;
    for (int64_t i = 0; !rc && i < count; i++)
        if (is_checkpoint(all[i]) && !(kept[n++] = mem_strdup(all[i], err)))
            rc = -1;
    file_list_free(names);
    if (rc)
        file_list_free(kept);
    else
        *out = kept;
    return rc;
}

int checkpoint_aside(const char *dir, const char *name, struct err *err)
{
    char *from = path_join(dir, name, err);
    char *to = mem_printf(err, "%s/aside-%s", dir, name);
    int rc = from && to ? 0 : -1;

    if (!rc && rename(from, to))
        rc = err_errno(err, "%s", from);
    free(to);
    free(from);
    return rc;
}

int checkpoint_prune(const char *dir, int keep, struct err *err)
{
    char **names;
    int64_t n = 0;
    int rc = 0;

    if (checkpoint_list(&names, dir, err))
        return -1;
    while (names[n])
        n++;
    for (int64_t i = 0; !rc && i < n - keep; i++) {
        char *path = path_join(dir, names[i], err);
        rc = path ? file_remove(path, err) : -1;
        free(path);
    }
    file_list_free(names);
    return rc;
}
