/* Files in which one byte is wrong: see mend.h. */
#include "mend.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal.h"

/* ---- which byte ---- */

/* What one byte does to the checksum, and, from its highest byte, which one it was. */
struct crc_table {
    uint32_t of[256];
    unsigned char back[256];
};

static void table_make(struct crc_table *t)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ UINT32_C(0x82f63b78) : c >> 1;
        t->of[i] = c;
        t->back[c >> 24] = (unsigned char)i;
    }
}

bool crc_find(const unsigned char *data, int64_t len, uint32_t wanted, int64_t before,
              int64_t *at, unsigned char *byte)
{
    struct crc_table t;
    uint32_t d = crc32c(0, data, (size_t)len) ^ wanted;

    table_make(&t);
    for (int64_t i = len - 1; d && i >= 0; i--) {
        unsigned char e = t.back[d >> 24];
        if (t.of[e] == d && i < before) {
            *at = i;
            *byte = data[i] ^ e;
            return true;
        }
        d = (d ^ t.of[e]) << 8 | e; /* as it was one byte of zeros earlier */
    }
    return false;
}

/* Do two texts differ in one byte, or none? */
static bool nearly(const unsigned char *a, const void *b, size_t n)
{
    const unsigned char *p = b;
    int differ = 0;

    for (size_t i = 0; i < n; i++)
        differ += a[i] != p[i];
    return differ <= 1;
}

/* ---- the copy ---- */

struct copy {
    const char *path;
    unsigned char *byte; /* the file's, to be changed here */
    int64_t len;
    mode_t mode;
};

static int copy_read(struct copy *c, const char *path, struct err *err)
{
    struct stat st;
    char *text = NULL;

    *c = (struct copy){.path = path};
    if (stat(path, &st))
        return err_errno(err, "%s", path);
    if (file_read(&text, &c->len, path, INT64_MAX - 4096, err))
        return -1;
    c->byte = (unsigned char *)text;
    c->mode = st.st_mode & 0777;
    return 0;
}

static int copy_write(const struct copy *c, const char *aside, struct err *err)
{
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc = -1;

    if (fd < 0)
        return err_errno(err, "%s", aside);
    if (!file_write_fd(fd, c->byte, c->len, aside, err))
        rc = fchmod(fd, c->mode) || fsync(fd) ? err_errno(err, "%s", aside) : 0;
    close(fd);
    return rc;
}

/* Beside the file, under a name that nothing in the store looks for. */
static char *aside_name(const char *path, struct err *err)
{
    char *dir = path_dir(path, err);
    char *name =
        dir ? mem_printf(err, "%s/mended.%ld.%s", dir, (long)getpid(), path_base(path))
            : NULL;

    free(dir);
    return name;
}

static int copy_place(const struct copy *c, mend_judge *good, void *ctx, struct err *err)
{
    char *aside = aside_name(c->path, err), *dir = path_dir(c->path, err);
    int rc = aside && dir ? copy_write(c, aside, err) : -1;

    if (!rc && good && !good(aside, ctx)) {
        unlink(aside);
    } else if (!rc) {
        rc = rename(aside, c->path) ? err_errno(err, "%s", c->path)
                                    : file_sync_dir(dir, err);
        rc = rc ? -1 : 1;
    }
    if (rc < 0 && aside)
        unlink(aside);
    free(dir);
    free(aside);
    return rc;
}

static void tell(char what[128], int64_t at, unsigned char was, unsigned char is)
{
    snprintf(what, 128, "byte %lld was 0x%02x and is 0x%02x again", (long long)at, was,
             is);
}

/* Places the copy with one byte changed; the byte is put back where that is no good. */
static int try_byte(struct copy *c, int64_t at, unsigned char byte, mend_judge *good,
                    void *ctx, char what[128], struct err *err)
{
    unsigned char was = c->byte[at];

    c->byte[at] = byte;
    int rc = copy_place(c, good, ctx, err);
    if (rc != 1)
        c->byte[at] = was;
    else
        tell(what, at, was, byte);
    return rc;
}

/* ---- a sealed file ---- */

/* The seal's own byte. */
static int mend_seal(struct copy *c, const unsigned char want[SEAL_BYTES],
                     mend_judge *good, void *ctx, char what[128], struct err *err)
{
    int64_t from = c->len - SEAL_BYTES;

    for (int64_t i = 0; i < SEAL_BYTES; i++)
        if (c->byte[from + i] != want[i])
            return try_byte(c, from + i, want[i], good, ctx, what, err);
    return 0;
}

int mend_sealed(const char *path, mend_judge *good, void *ctx, char what[128],
                struct err *err)
{
    struct copy c;
    unsigned char want[SEAL_BYTES], byte;
    int64_t at = INT64_MAX, len;
    uint32_t crc;
    int rc = 0;

    if (copy_read(&c, path, err))
        return -1;
    c.mode = 0444; /* as sealed files are */
    len = c.len - SEAL_BYTES;
    if (len < 0)
        goto done;
    seal_make(want, c.byte, len);
    if (nearly(c.byte + len, want, SEAL_BYTES)) {
        rc = mend_seal(&c, want, good, ctx, what, err);
    } else if (!memcmp(c.byte + len, want, SEAL_CRC)) {
        memcpy(&crc, c.byte + len + SEAL_CRC, sizeof crc);
        while (!rc && crc_find(c.byte, len, crc, at, &at, &byte))
            rc = try_byte(&c, at, byte, good, ctx, what, err);
    }
done:
    free(c.byte);
    return rc;
}

/* ---- a journal ---- */

/* A whole record at `at` that another one or the file's end follows. */
static bool fits(const struct copy *c, int64_t at)
{
    struct file_map map = {c->byte, c->len};
    int64_t size = journal_record(&map, at), left = c->len - at - size;
    uint32_t magic = RECORD_MAGIC;

    return size > 0 && (left <= 0 || !memcmp(c->byte + at + size, &magic,
                                             left < 4 ? (size_t)left : 4));
}

static bool fits_with(struct copy *c, int64_t at, int64_t where, unsigned char byte,
                      char what[128])
{
    unsigned char was = c->byte[where];

    if (was == byte)
        return false;
    c->byte[where] = byte;
    if (fits(c, at)) {
        tell(what, where, was, byte);
        return true;
    }
    c->byte[where] = was;
    return false;
}

/* A byte of the type, the length or the payload, or of their checksum. */
static bool fix_covered(struct copy *c, int64_t at, char what[128])
{
    unsigned char *head = c->byte + at;
    int64_t length, where = INT64_MAX;
    uint32_t stored, crc;
    unsigned char byte;

    memcpy(&length, head + 8, 8);
    memcpy(&stored, head + 16, 4);
    if (length < 0 || length > c->len - at - RECORD_HEADER)
        return false;
    unsigned char *all = malloc((size_t)length + 12);
    if (!all)
        return false;
    memcpy(all, head + 4, 12);
    memcpy(all + 12, head + RECORD_HEADER, (size_t)length);
    crc = crc32c(0, all, (size_t)length + 12);
    bool found = false;
    for (int i = 0; !found && i < 4; i++)
        found = fits_with(c, at, at + 16 + i, (unsigned char)(crc >> 8 * i), what);
    while (!found && crc_find(all, length + 12, stored, where, &where, &byte))
        found =
            fits_with(c, at, where < 12 ? at + 4 + where : at + 20 + where, byte, what);
    free(all);
    return found;
}

/* With a wrong length it is not known what the checksum covers. */
static bool fix_length(struct copy *c, int64_t at, char what[128])
{
    for (int i = 0; i < 8; i++)
        for (int b = 0; b < 256; b++)
            if (fits_with(c, at, at + 8 + i, (unsigned char)b, what))
                return true;
    return false;
}

/* Bytes that are zero or the mark, and in no checksum. */
static bool fix_plain(struct copy *c, int64_t at, char what[128])
{
    uint32_t magic = RECORD_MAGIC;
    int64_t length;

    for (int i = 0; i < 4; i++)
        if (fits_with(c, at, at + i, (unsigned char)(magic >> 8 * i), what))
            return true;
    for (int i = 20; i < RECORD_HEADER; i++)
        if (fits_with(c, at, at + i, 0, what))
            return true;
    memcpy(&length, c->byte + at + 8, 8);
    if (length < 0 || length > c->len - at - RECORD_HEADER)
        return false;
    for (int64_t i = 0; i < (-length & 7); i++)
        if (at + RECORD_HEADER + length + i < c->len &&
            fits_with(c, at, at + RECORD_HEADER + length + i, 0, what))
            return true;
    return false;
}

int mend_journal(const char *path, char what[128], struct err *err)
{
    struct copy c;
    int64_t at = 0, size;
    int rc = 0, fixed = 0;

    if (copy_read(&c, path, err))
        return -1;
    while (c.len - at >= RECORD_HEADER) {
        struct file_map map = {c.byte, c.len};
        if ((size = journal_record(&map, at)) > 0)
            at += size;
        else if (fix_plain(&c, at, what) || fix_covered(&c, at, what) ||
                 fix_length(&c, at, what))
            fixed++;
        else
            break;
    }
    if (fixed)
        rc = copy_place(&c, NULL, NULL, err);
    free(c.byte);
    return rc;
}

/* ---- a checkpoint ---- */

static bool is_checkpoint(const char *path, void *ctx)
{
    struct err err = ERR_INIT;

    (void)ctx;
    return !checkpoint_check(path, &err);
}

/* A byte of the fixed beginning. */
static int fix_fixed(struct copy *c, char what[128], struct err *err)
{
    static const unsigned char mark[8] = CHECKPOINT_MAGIC;
    int64_t length;
    int rc = 0;

    for (int64_t i = 0; !rc && i < 8; i++)
        if (c->byte[i] != mark[i])
            rc = try_byte(c, i, mark[i], is_checkpoint, NULL, what, err);
    for (int64_t i = 20; !rc && i < CHECKPOINT_FIXED; i++)
        if (c->byte[i])
            rc = try_byte(c, i, 0, is_checkpoint, NULL, what, err);
    memcpy(&length, c->byte + 8, 8);
    for (int64_t i = 0; !rc && i < 8; i++)
        for (int b = 0; !rc && b < 256; b++) {
            uint64_t other = (uint64_t)length ^ (uint64_t)b << 8 * i;
            uint32_t crc;
            memcpy(&crc, c->byte + 16, 4);
            if (other <= (uint64_t)(c->len - CHECKPOINT_FIXED) && other < 1 << 26 &&
                crc32c(0, c->byte + CHECKPOINT_FIXED, (size_t)other) == crc)
                rc = try_byte(c, 8 + i, (unsigned char)(c->byte[8 + i] ^ b),
                              is_checkpoint, NULL, what, err);
        }
    return rc;
}

/* A byte of what one checksum covers. */
static int fix_piece(struct copy *c, int64_t from, int64_t len, uint32_t crc,
                     char what[128], struct err *err)
{
    int64_t at = INT64_MAX;
    unsigned char byte;
    int rc = 0;

    if (len < 0 || len > c->len - from)
        return 0;
    while (!rc && crc_find(c->byte + from, len, crc, at, &at, &byte))
        rc = try_byte(c, from + at, byte, is_checkpoint, NULL, what, err);
    return rc;
}

static int fix_pieces(struct copy *c, char what[128], struct err *err)
{
    int64_t length, from, bytes;
    uint32_t crc, head;
    int rc = 0;

    memcpy(&length, c->byte + 8, 8);
    memcpy(&head, c->byte + 16, 4);
    if (length < 0 || length > c->len - CHECKPOINT_FIXED)
        return 0;
    crc = crc32c(0, c->byte + CHECKPOINT_FIXED, (size_t)length);
    for (int i = 0; !rc && i < 4; i++)
        if (nearly(c->byte + 16, &crc, 4) && c->byte[16 + i] != (crc >> 8 * i & 255))
            rc = try_byte(c, 16 + i, (unsigned char)(crc >> 8 * i), is_checkpoint, NULL,
                          what, err);
    if (!rc)
        rc = fix_piece(c, CHECKPOINT_FIXED, length, head, what, err);
    from = CHECKPOINT_FIXED + length;
    struct file_map map = {c->byte, c->len};
    for (int64_t i = 0; !rc && checkpoint_region(&map, i, &bytes, &crc); i++) {
        rc = fix_piece(c, from, bytes, crc, what, err);
        from += bytes;
    }
    return rc;
}

int mend_checkpoint(const char *path, char what[128], struct err *err)
{
    struct copy c;
    int rc = 0;

    if (copy_read(&c, path, err))
        return -1;
    if (c.len > CHECKPOINT_FIXED)
        rc = fix_fixed(&c, what, err);
    if (!rc && c.len > CHECKPOINT_FIXED)
        rc = fix_pieces(&c, what, err);
    free(c.byte);
    return rc;
}
