/*
 * Append-only lines, each with its CRC-32C in front:
 *
 *     1a2b3c4d <tab> field <tab> field ...
 *
 * A line that is torn or wrong is skipped, and its neighbours hold. Several processes
 * append at once; each line is one write.
 */
#include "internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void line_field(struct strbuf *sb, const char *text)
{
    if (sb->len)
        strbuf_putc(sb, '\t');
    for (; *text; text++)
        if ((unsigned char)*text < 32 || *text == '%')
            strbuf_printf(sb, "%%%02x", (unsigned)(unsigned char)*text);
        else
            strbuf_putc(sb, *text);
    if (!sb->len)
        strbuf_putc(sb, '-'); /* a first field is never empty */
}

void line_number(struct strbuf *sb, double x)
{
    struct strbuf t = STRBUF_INIT;

    strbuf_double(&t, x);
    line_field(sb, strbuf_text(&t));
    strbuf_release(&t);
}

/* A crash may have left half a line: ours then starts on a new one. 1 if the file was
 * replaced meanwhile (fsck), and the line may be lost with the old one. */
static int append_once(const char *path, const struct strbuf *line, bool last,
                       struct err *err)
{
    int rc = -1;
    char end = '\n';
    struct stat mine, there;
    struct strbuf all = STRBUF_INIT;
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

    if (fd < 0)
        return err_errno(err, "%s", path);
    off_t len = lseek(fd, 0, SEEK_END);
    if (len > 0 && pread(fd, &end, 1, len - 1) == 1 && end != '\n')
        strbuf_putc(&all, '\n');
    strbuf_add(&all, line->text, line->len);
    if (strbuf_failed(&all, err) ||
        file_write_fd(fd, all.text, (int64_t)all.len, path, err))
        goto done;
    if (last && fsync(fd)) {
        err_errno(err, "%s", path);
        goto done;
    }
    rc = !fstat(fd, &mine) && !stat(path, &there) && mine.st_ino != there.st_ino;
done:
    close(fd);
    strbuf_release(&all);
    return rc;
}

/* `last`: it is nobody's copy, so it must outlast a loss of power. */
int line_append(const char *path, struct strbuf *fields, bool last, struct err *err)
{
    int rc = -1;
    bool first = !file_exists(path);
    struct strbuf line = STRBUF_INIT;

    strbuf_printf(&line, "%08x\t", (unsigned)crc32c(0, strbuf_text(fields), fields->len));
    strbuf_add(&line, strbuf_text(fields), fields->len);
    strbuf_putc(&line, '\n');
    if (!strbuf_failed(fields, err) && !strbuf_failed(&line, err))
        for (int tries = 0; tries < 5; tries++)
            if ((rc = append_once(path, &line, last, err)) < 1)
                break;
    strbuf_release(&line);
    if (rc || !last || !first)
        return rc ? -1 : 0;
    char *dir = path_dir(path, err);
    rc = dir ? file_sync_dir(dir, err) : -1;
    free(dir);
    return rc;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void unescape(char *s)
{
    char *to = s;

    for (; *s; s++)
        if (*s == '%' && hex_digit(s[1]) >= 0 && hex_digit(s[2]) >= 0) {
            *to++ = (char)(hex_digit(s[1]) * 16 + hex_digit(s[2]));
            s += 2;
        } else {
            *to++ = *s;
        }
    *to = 0;
}

/* The checksum is compared as it is written: "0A" is no "0a". */
bool line_is_whole(const char *line)
{
    char crc[16];

    if (strnlen(line, 9) < 9)
        return false;
    snprintf(crc, sizeof crc, "%08x\t", (unsigned)crc32c(0, line + 9, strlen(line + 9)));
    return !memcmp(line, crc, 9);
}

/* Cuts a line into fields in place; their number, or 0 if its CRC is wrong. */
int line_split(char *line, char **field, int max)
{
    int n = 0;

    if (!line_is_whole(line))
        return 0;
    for (char *p = line + 8; p && n < max; n++) {
        field[n] = p + 1;
        p = strchr(p + 1, '\t');
        if (p)
            *p = 0;
    }
    for (int i = 0; i < n; i++)
        unescape(field[i]);
    return n;
}

char *line_next(char **at, char *end)
{
    char *line = *at, *nl = memchr(line, '\n', (size_t)(end - line));

    if (!nl)
        return NULL;
    *nl = 0;
    *at = nl + 1;
    return line;
}
