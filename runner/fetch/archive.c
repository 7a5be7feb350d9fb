/*
 * Archives that come from a network: every name, type and size in them may be meant to do
 * harm, so what is taken is narrow, and everything else is refused.
 *
 * Since links are refused and the folder is ours and empty at first, a path of plain
 * parts below it can lead nowhere else. A file is made with O_EXCL: what is there already
 * is a duplicate (also on file systems that take A and a for one).
 */
#include "archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "retort/file.h"
#include "retort/utf8.h"

#define PATH_BYTES 1024
#define BLOCK 65536

struct unpacking {
    const char *name, *dir;
    const struct archive_limits *limits;
    struct archive *a;
    int64_t bytes, entries;
    struct err *err;
};

static int refuse(const struct unpacking *u, const char *path, const char *what)
{
    struct strbuf shown = STRBUF_INIT;

    utf8_show(&shown, path, (int64_t)strnlen(path, 200));
    err_set(u->err, ERR_INPUT, "%s: \"%s\" %s; nothing of the archive is taken", u->name,
            strbuf_text(&shown), what);
    strbuf_release(&shown);
    return -1;
}

/* Parts of letters, none of them "." or "..": NULL, or what is wrong. */
static const char *fault_of(const char *path)
{
    size_t n = strlen(path);

    if (n == 0 || n >= PATH_BYTES)
        return "is no usable name";
    if (path[0] == '/' || (n > 1 && path[1] == ':'))
        return "is an absolute path";
    if (strchr(path, '\\'))
        return "has a backslash";
    if (utf8_invalid(path, (int64_t)n) >= 0)
        return "is no UTF-8";
    for (const char *p = path; *p;) {
        size_t k = strcspn(p, "/");
        if (k == 2 && !strncmp(p, "..", 2))
            return "leads out of its folder";
        if (k == 0 || (k == 1 && *p == '.'))
            return "has a part that is empty or a dot";
        if (k > 255)
            return "has a part that is too long";
        p += k + (p[k] == '/');
    }
    return NULL;
}

/* What a Mac leaves in archives ("Icon\r", "__MACOSX/") is passed over, and so is any
 * other name with control characters. */
static bool is_litter(const char *path)
{
    for (const char *c = path; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127)
            return true;
    return !strncmp(path, "__MACOSX/", 9);
}

static int write_data(struct unpacking *u, int fd, const char *path)
{
    char block[BLOCK];

    for (;;) {
        la_ssize_t n = archive_read_data(u->a, block, sizeof block);
        if (n == 0)
            return 0;
        if (n < 0)
            return refuse(u, path,
                          archive_error_string(u->a) ? archive_error_string(u->a)
                                                     : "cannot be unpacked");
        u->bytes += n;
        if (u->bytes > u->limits->bytes)
            return refuse(u, path, "makes it larger than such data are");
        if (file_write_fd(fd, block, n, path, u->err))
            return -1;
    }
}

/* The folders above a file; a file among them is the archive's fault. */
static int make_parents(struct unpacking *u, const char *path, const char *at)
{
    struct err why = ERR_INIT;
    char *dir = path_dir(at, u->err);
    int rc = dir ? file_mkdirs(dir, &why) : -1;

    for (char *c = dir ? dir + strlen(dir) : NULL; rc && c && c > dir; c--) {
        if (*c && *c != '/')
            continue;
        *c = '\0';
        if (file_exists(dir) && !file_is_dir(dir)) {
            free(dir);
            return refuse(u, path, "lies in what is a file");
        }
    }
    free(dir);
    return rc ? err_set(u->err, why.code, "%s", why.text) : 0;
}

static int make_file(struct unpacking *u, const char *path, const char *at)
{
    int rc = make_parents(u, path, at);
    int fd =
        rc ? -1 : open(at, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);

    if (!rc && fd < 0)
        rc = errno == EEXIST ? refuse(u, path, "is there twice")
                             : err_errno(u->err, "%s", at);
    if (!rc)
        rc = write_data(u, fd, path);
    if (fd >= 0 && close(fd) && !rc)
        rc = err_errno(u->err, "%s", at);
    return rc;
}

static int make_folder(struct unpacking *u, const char *path, const char *at)
{
    if (file_exists(at) && !file_is_dir(at))
        return refuse(u, path, "is a file and a folder");
    return make_parents(u, path, at) || file_mkdirs(at, u->err) ? -1 : 0;
}

static int take(struct unpacking *u, struct archive_entry *e)
{
    const char *given = archive_entry_pathname(e), *fault;
    size_t n = given ? strlen(given) : 0;
    char path[PATH_BYTES], *at;
    int rc;

    if (++u->entries > u->limits->entries)
        return refuse(u, given ? given : "", "is one of too many");
    if (!given || n >= sizeof path)
        return refuse(u, given ? given : "", "is no usable name");
    memcpy(path, given, n + 1);
    if (n > 1 && path[n - 1] == '/' && archive_entry_filetype(e) == AE_IFDIR)
        path[n - 1] = '\0';
    if ((fault = fault_of(path)))
        return refuse(u, path, fault);
    if (is_litter(path))
        return 0;
    if (archive_entry_hardlink(e) || archive_entry_symlink(e))
        return refuse(u, path, "is a link");
    if (archive_entry_is_encrypted(e))
        return refuse(u, path, "is encrypted");
    if (archive_entry_size_is_set(e) &&
        archive_entry_size(e) > u->limits->bytes - u->bytes)
        return refuse(u, path, "makes it larger than such data are");
    at = path_join(u->dir, path, u->err);
    if (!at)
        return -1;
    if (archive_entry_filetype(e) == AE_IFDIR)
        rc = make_folder(u, path, at);
    else if (archive_entry_filetype(e) == AE_IFREG)
        rc = make_file(u, path, at);
    else
        rc = refuse(u, path, "is neither a file nor a folder");
    free(at);
    return rc;
}

static int take_all(struct unpacking *u)
{
    struct archive_entry *e;

    for (;;) {
        int rc = archive_read_next_header(u->a, &e);
        if (rc == ARCHIVE_EOF)
            return u->entries ? 0 : err_set(u->err, ERR_INPUT, "%s: is empty", u->name);
        if (rc < ARCHIVE_WARN)
            return err_set(u->err, ERR_INPUT, "%s: %s", u->name,
                           archive_error_string(u->a));
        if (take(u, e))
            return -1;
    }
}

int archive_unpack(const char *archive, const char *dir,
                   const struct archive_limits *limits, struct err *err)
{
    struct unpacking u = {.name = path_base(archive),
                          .dir = dir,
                          .limits = limits,
                          .a = archive_read_new(),
                          .err = err};
    int rc = -1;

    if (!u.a)
        return err_set(err, ERR_MEMORY, "no memory for an archive");
    archive_read_support_format_zip_seekable(u.a);
    archive_read_support_format_tar(u.a);
    archive_read_support_filter_gzip(u.a);
    archive_read_support_filter_bzip2(u.a);
    archive_read_support_filter_xz(u.a);
    archive_read_support_filter_zstd(u.a);
    if (archive_read_open_filename(u.a, archive, BLOCK) != ARCHIVE_OK)
        err_set(err, ERR_INPUT, "%s: %s", u.name, archive_error_string(u.a));
    else if (!file_mkdirs(dir, err))
        rc = take_all(&u);
    archive_read_free(u.a);
    return rc;
}
