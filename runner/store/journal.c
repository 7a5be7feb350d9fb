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
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

int journal_reopen(struct journal **out, const char *dir, int64_t generation,
                   struct err *err)
{
    struct journal *j = mem_new(1, sizeof *j, err);
    struct file_map map = {NULL, 0};

    if (!j)
        return -1;
    j->fd = -1;
    j->path = journal_path(dir, generation, err);
    if (!j->path || file_map(&map, j->path, err))
        goto fail;
    j->pos = journal_whole(&map);
    file_unmap(&map);
    j->fd = open(j->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (j->fd < 0 || ftruncate(j->fd, j->pos)) {
        err_errno(err, "%s", j->path);
        goto fail;
    }
    *out = j;
    return 0;
fail:
    journal_close(j);
    return -1;
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
    unsigned char head[RECORD_HEADER] = {0};
    uint32_t magic = RECORD_MAGIC, t = (uint32_t)type, crc;
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
    strbuf_add(&all, (const char *)head, RECORD_HEADER);
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
    j->pos += RECORD_HEADER + length + pad;
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
    pad = -(j->pos + RECORD_HEADER + (int64_t)sb.len + 8) & (RECORD_ALIGN - 1);
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
