/* Lines in which one byte is wrong: see mend.h and lines.c. */
#include "mend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CRC_BYTES 9      /* eight digits and the tab */
#define SPLIT_MOST 65536 /* bytes of a line in which each place is tried */

static bool is_whole(const unsigned char *line, int64_t n)
{
    char crc[16];

    if (n < CRC_BYTES || memchr(line, 0, (size_t)n) || memchr(line, '\n', (size_t)n))
        return false;
    snprintf(crc, sizeof crc, "%08x\t",
             (unsigned)crc32c(0, line + CRC_BYTES, (size_t)(n - CRC_BYTES)));
    return !memcmp(line, crc, CRC_BYTES);
}

static bool whole_with(unsigned char *line, int64_t n, int64_t at, unsigned char byte)
{
    unsigned char was = line[at];

    line[at] = byte;
    if (is_whole(line, n))
        return true;
    line[at] = was;
    return false;
}

/* One byte inside the line. */
static bool fix_byte(unsigned char *line, int64_t n)
{
    char text[CRC_BYTES + 1], digits[16], *end;
    unsigned char byte;
    int64_t at = INT64_MAX;

    if (n < CRC_BYTES)
        return false;
    snprintf(digits, sizeof digits, "%08x\t",
             (unsigned)crc32c(0, line + CRC_BYTES, (size_t)(n - CRC_BYTES)));
    for (int i = 0; i < CRC_BYTES; i++)
        if (whole_with(line, n, i, (unsigned char)digits[i]))
            return true;
    memcpy(text, line, CRC_BYTES);
    text[8] = 0;
    uint32_t crc = (uint32_t)strtoul(text, &end, 16);
    while (end == text + 8 &&
           crc_find(line + CRC_BYTES, n - CRC_BYTES, crc, at, &at, &byte))
        if (whole_with(line, n, CRC_BYTES + at, byte))
            return true;
    return false;
}

/* A newline that became something else: two lines in one. */
static bool fix_split(unsigned char *line, int64_t n)
{
    if (n > SPLIT_MOST)
        return false;
    for (int64_t i = CRC_BYTES; i + CRC_BYTES < n; i++)
        if (is_whole(line, i) && is_whole(line + i + 1, n - i - 1)) {
            line[i] = '\n';
            return true;
        }
    return false;
}

/* Something that became a newline: `n` bytes, and those of the next line behind it. */
static bool fix_join(unsigned char *line, int64_t n, const unsigned char *end)
{
    const unsigned char *nl =
        line + n + 1 < end ? memchr(line + n + 1, '\n', (size_t)(end - line - n - 1))
                           : NULL;

    if (!nl)
        return false;
    for (int b = 0; b < 256; b++)
        if (whole_with(line, nl - line, n, (unsigned char)b))
            return true;
    return false;
}

/* ---- the file ---- */

struct lines_pass {
    struct lines_found *out;
    struct strbuf good, bad;
    bool (*drop)(void *ctx, char *line);
    void *ctx;
    bool dropped;
};

static void take_whole(struct lines_pass *p, const unsigned char *line, int64_t n)
{
    char *copy = p->drop ? mem_strndup((const char *)line, (size_t)n, NULL) : NULL;

    p->out->whole++;
    if (copy && p->drop(p->ctx, copy)) {
        p->dropped = true;
    } else {
        strbuf_add(&p->good, (const char *)line, (size_t)n);
        strbuf_putc(&p->good, '\n');
    }
    free(copy);
}

/* Bytes done with: none if the line was put right, and is to be looked at again. */
static int64_t take_line(struct lines_pass *p, unsigned char *line, unsigned char *end)
{
    unsigned char *nl = memchr(line, '\n', (size_t)(end - line));
    int64_t n = (nl ? nl : end) - line;

    if (!n)
        return 1; /* an append after a torn line begins with a newline */
    if (nl && is_whole(line, n)) {
        take_whole(p, line, n);
        return n + 1;
    }
    p->out->bad++;
    if (fix_byte(line, n) || fix_split(line, n) || (nl && fix_join(line, n, end))) {
        p->out->mended++;
        if (nl || memchr(line, '\n', (size_t)n))
            return 0;
        take_whole(p, line, n); /* torn just before its newline */
        return n;
    }
    if (!nl && n > 1 && is_whole(line, n - 1)) { /* its newline was changed */
        p->out->mended++;
        take_whole(p, line, n - 1);
        return n;
    }
    p->out->lost++;
    strbuf_add(&p->bad, (const char *)line, (size_t)n);
    strbuf_putc(&p->bad, '\n');
    return nl ? n + 1 : n;
}

static int append_file(const char *path, const struct strbuf *text, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    int rc = -1;

    if (fd < 0)
        return err_errno(err, "%s", path);
    if (!file_write_fd(fd, text->text, (int64_t)text->len, path, err))
        rc = fsync(fd) ? err_errno(err, "%s", path) : 0;
    close(fd);
    return rc;
}

/* Lines that others appended to the old file after it was read; who appends later sees
 * that the file is another (lines.c). */
static int rescue(int old, int64_t from, const char *path, struct err *err)
{
    char buf[4096];
    struct strbuf late = STRBUF_INIT;
    ssize_t n;
    int rc = 0;

    while ((n = pread(old, buf, sizeof buf, (off_t)from)) > 0) {
        strbuf_add(&late, buf, (size_t)n);
        from += n;
    }
    if (n < 0)
        rc = err_errno(err, "%s", path);
    else if (late.len)
        rc = strbuf_failed(&late, err) ? -1 : append_file(path, &late, err);
    strbuf_release(&late);
    return rc;
}

static int replace(struct lines_pass *p, const char *path, int64_t len, struct err *err)
{
    char *lost = mem_printf(err, "%s.lost", path);
    int old = open(path, O_RDONLY | O_CLOEXEC), rc = -1;

    if (old < 0)
        err_errno(err, "%s", path);
    else if (lost && !strbuf_failed(&p->good, err) && !strbuf_failed(&p->bad, err) &&
             (!p->bad.len || !append_file(lost, &p->bad, err)) &&
             !file_write(path, strbuf_text(&p->good), (int64_t)p->good.len, err))
        rc = rescue(old, len, path, err);
    if (old >= 0)
        close(old);
    free(lost);
    return rc;
}

int lines_check(struct lines_found *out, const char *path, bool mend,
                bool (*drop)(void *ctx, char *line), void *ctx, struct err *err)
{
    struct lines_pass p = {.out = out, .drop = drop, .ctx = ctx};
    char *text = NULL;
    int64_t len = 0;
    int rc = 0;

    memset(out, 0, sizeof *out);
    if (!file_exists(path))
        return 0;
    if (file_read(&text, &len, path, INT64_C(1) << 32, err))
        return -1;
    unsigned char *at = (unsigned char *)text, *end = at + len;
    while (at < end)
        at += take_line(&p, at, end);
    if (mend && (out->bad || p.dropped))
        rc = replace(&p, path, len, err);
    strbuf_release(&p.good);
    strbuf_release(&p.bad);
    free(text);
    return rc;
}
