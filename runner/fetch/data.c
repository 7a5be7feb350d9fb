/*
 * Data, fetched: below DATA/.fetch/<name>/ lie the downloads (which are resumed) and, in
 * new/, what was unpacked, until it is checked and renamed. A lock of the kernel lets one
 * process work at a time. DATA/.fetch/digests keeps what the first download had where no
 * digest is published.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive.h"
#include "http.h"
#include "retort/fetch.h"
#include "retort/file.h"
#include "retort/hash.h"
#include "retort/spec.h"

#define DOWNLOAD_MAX ((int64_t)4 << 30) /* of a file whose size nobody says */
#define ENTRIES_MAX 100000

struct fetching {
    const struct data_source *source;
    bool progress;
    const char *data; /* the data folder */
    char *work, *new; /* DATA/.fetch/<name>, and new/ in it */
    int lock;
    struct http *http;
    int64_t told;
};

/* ---- what is there ---- */

bool data_is_there(const struct data_source *s, const char *dir)
{
    for (int i = 0; i < DATA_PLACES && s->place[i]; i++) {
        char *path = path_join(dir, s->place[i], NULL);
        bool there = path && file_exists(path);
        free(path);
        if (!there)
            return false;
    }
    return true;
}

static int count_split(const struct data_source *s, const struct data_count *c,
                       const char *dir, struct err *err)
{
    const struct task *task = task_find(c->task);
    struct task_source src = {NULL, c->split};
    struct examples *ex = examples_new(err);
    char *found = NULL;
    int rc = -1;

    if (!task)
        BUG("%s names no task: %s", s->name, c->task);
    if (!ex || task_find_dir(&found, task, dir, err))
        goto done;
    src.dir = found;
    if (task->load(task, &src, ex, err))
        goto done;
    rc = ex->n == c->n
             ? 0
             : err_set(err, ERR_INPUT,
                       "%s: its %s has %" PRId64 " examples; there are %" PRId64 " of %s",
                       dir, c->split, ex->n, c->n, c->task);
done:
    free(found);
    examples_free(ex);
    return rc;
}

static int count_all(const struct data_source *s, const char *dir, struct err *err)
{
    for (int i = 0; i < DATA_COUNTS && s->count[i].task; i++)
        if (count_split(s, &s->count[i], dir, err))
            return -1;
    return 0;
}

/* ---- digests of first downloads ---- */

/* A line "<sha256>  <url>"; "" where there is none. */
static int kept_digest(char hex[SHA256_HEX], const struct fetching *f, const char *url,
                       struct err *err)
{
    char *path = path_join(f->data, ".fetch/digests", err), *text = NULL;
    int rc = path ? 0 : -1;

    hex[0] = '\0';
    if (!rc && file_exists(path))
        rc = file_read(&text, NULL, path, 1 << 20, err);
    for (const char *p = text; p && *p; p += strcspn(p, "\n") + (strchr(p, '\n') != NULL))
        if (strcspn(p, " \n") == 64 && !strncmp(p + 64, "  ", 2) &&
            strlen(url) == strcspn(p + 66, "\n") && !strncmp(p + 66, url, strlen(url)))
            snprintf(hex, SHA256_HEX, "%.64s", p);
    free(text);
    free(path);
    return rc;
}

static int keep_digest(const struct fetching *f, const char *url, const char *hex,
                       struct err *err)
{
    char *path = path_join(f->data, ".fetch/digests", err), *text = NULL, *more = NULL;
    int rc = path ? 0 : -1;

    if (!rc && file_exists(path))
        rc = file_read(&text, NULL, path, 1 << 20, err);
    if (!rc && !(more = mem_printf(err, "%s%s  %s\n", text ? text : "", hex, url)))
        rc = -1;
    if (!rc)
        rc = file_write(path, more, (int64_t)strlen(more), err);
    free(more);
    free(text);
    free(path);
    return rc;
}

/* ---- fetching ---- */

static void show(void *ctx, int64_t done, int64_t total)
{
    struct fetching *f = ctx;
    bool all = total > 0 && done >= total;

    if (!f->progress || !isatty(STDERR_FILENO) || (!all && done - f->told < 1 << 20))
        return;
    f->told = done;
    fprintf(stderr, "\r%s  %.1f", f->source->name, (double)done / 1e6);
    if (total > 0)
        fprintf(stderr, " of %.1f", (double)total / 1e6);
    fprintf(stderr, " MB%s", all ? "\n" : " ");
}

/* "https://host/path" below a mirror: "MIRROR/host/path". */
static char *url_of(const char *url, struct err *err)
{
    const char *mirror = getenv("RETORT_MIRROR"), *host = strstr(url, "://");
    size_t n = mirror ? strlen(mirror) : 0;

    if (!n || !host)
        return mem_strdup(url, err);
    while (n && mirror[n - 1] == '/')
        n--;
    return mem_printf(err, "%.*s/%s", (int)n, mirror, host + 3);
}

static int check_digest(struct fetching *f, const struct data_file *d, const char *path,
                        struct err *err)
{
    char hex[SHA256_HEX], want[SHA256_HEX] = "";

    if (sha256_file(hex, path, err))
        return -1;
    if (d->sha256)
        snprintf(want, sizeof want, "%s", d->sha256);
    else if (kept_digest(want, f, d->url, err))
        return -1;
    if (!want[0])
        return keep_digest(f, d->url, hex, err);
    if (!strcmp(hex, want))
        return 0;
    file_remove(path, NULL);
    return err_set(err, ERR_INPUT,
                   "%s: what came has the SHA-256 %s; %s is %s, so nothing of it is kept",
                   d->url, hex,
                   d->sha256 ? "the published one" : "that of the first time", want);
}

/* The download at `path`, whole and right. */
static int download(struct fetching *f, const struct data_file *d, const char *path,
                    struct err *err)
{
    const struct http_progress progress = {show, f};
    char *url = url_of(d->url, err), *part = mem_printf(err, "%s.incomplete", path);
    int rc = url && part ? 0 : -1;

    f->told = 0;
    if (!rc && !f->http)
        rc = http_new(&f->http, NULL, err);
    if (!rc)
        rc = http_get(f->http, url, part, d->size, DOWNLOAD_MAX, &progress, err);
    if (!rc)
        rc = check_digest(f, d, part, err);
    if (!rc && rename(part, path))
        rc = err_errno(err, "%s", path);
    free(part);
    free(url);
    return rc;
}

static bool is_archive(const struct data_file *d)
{
    size_t n = strlen(d->to);
    return n && d->to[n - 1] == '/';
}

static int get_file(struct fetching *f, const struct data_file *d, struct err *err)
{
    struct archive_limits limits = {f->source->unpacked, ENTRIES_MAX};
    char *to = path_join(f->new, d->to, err), *at = NULL, *dir = NULL;
    int rc = -1;

    if (!to)
        return -1;
    if (is_archive(d)) {
        at = path_join(f->work, path_base(d->url), err);
        if (at && !download(f, d, at, err)) {
            rc = archive_unpack(at, to, &limits, err);
            file_remove(at, NULL);
        }
    } else {
        dir = path_dir(to, err);
        /* beside new/, where a break leaves it to be resumed */
        at = path_join(f->work, path_base(d->url), err);
        if (dir && at && !file_mkdirs(dir, err) && !download(f, d, at, err))
            rc = rename(at, to) ? err_errno(err, "%s", to) : 0;
    }
    free(dir);
    free(at);
    free(to);
    return rc;
}

/* ---- in its place ---- */

static int put_place(const struct fetching *f, const char *place, struct err *err)
{
    char *from = path_join(f->new, place, err), *to = path_join(f->data, place, err);
    char *dir = to ? path_dir(to, err) : NULL;
    int rc = from && dir ? file_mkdirs(dir, err) : -1;

    if (!rc && file_exists(to))
        rc = err_set(err, ERR_INPUT,
                     "%s is there already, and is not all of %s; move it away", to,
                     f->source->name);
    if (!rc && rename(from, to))
        rc = err_errno(err, "%s", to);
    if (!rc)
        rc = file_sync_dir(dir, err);
    free(dir);
    free(to);
    free(from);
    return rc;
}

static int check_places(const struct fetching *f, struct err *err)
{
    for (int i = 0; i < DATA_PLACES && f->source->place[i]; i++) {
        char *to = path_join(f->data, f->source->place[i], err);
        bool there = to && file_exists(to);
        if (!to)
            return -1;
        if (there)
            err_set(err, ERR_INPUT,
                    "%s is there already, and is not all of %s; move it away", to,
                    f->source->name);
        free(to);
        if (there)
            return -1;
    }
    return 0;
}

static int fetch_all(struct fetching *f, struct err *err)
{
    const struct data_source *s = f->source;

    if (data_is_there(s, f->data)) /* another was faster */
        return count_all(s, f->data, err) ? -1 : 1;
    if (check_places(f, err))
        return -1;
    if (file_remove(f->new, err) || file_mkdirs(f->new, err))
        return -1;
    for (int i = 0; i < DATA_FILES && s->file[i].url; i++)
        if (get_file(f, &s->file[i], err))
            return -1;
    if (s->build && s->build(f->new, err))
        return -1;
    if (count_all(s, f->new, err))
        return -1;
    for (int i = 0; i < DATA_PLACES && s->place[i]; i++)
        if (put_place(f, s->place[i], err))
            return -1;
    return 0;
}

/* Waits for whoever fetches the same now. */
static int take_lock(struct fetching *f, struct err *err)
{
    struct timespec tenth = {0, 100000000L};
    char *path = mem_printf(err, "%s/lock", f->work);

    f->lock = path && !file_mkdirs(f->work, err)
                  ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666)
                  : -1;
    if (f->lock < 0 && !err_is_set(err))
        err_errno(err, "%s", path);
    while (f->lock >= 0 && flock(f->lock, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            err_errno(err, "%s", path);
            close(f->lock);
            f->lock = -1;
        } else {
            nanosleep(&tenth, NULL);
        }
    }
    free(path);
    return f->lock < 0 ? -1 : 0;
}

static char *work_folder(const char *data, const char *name, struct err *err)
{
    char *path = mem_printf(err, "%s/.fetch/%s", data, name);

    for (char *c = path ? path + strlen(path) - strlen(name) : NULL; c && *c; c++)
        if (*c == '/')
            *c = '-';
    return path;
}

int data_get(const struct data_source *source, const char *data_dir, bool progress,
             struct err *err)
{
    struct err own = ERR_INIT;
    struct fetching f = {
        .source = source, .progress = progress, .data = data_dir, .lock = -1};
    int rc = -1;

    if (!err)
        err = &own;
    if (data_is_there(source, data_dir))
        return count_all(source, data_dir, err) ? -1 : 1;
    f.work = work_folder(data_dir, source->name, err);
    f.new = f.work ? path_join(f.work, "new", err) : NULL;
    if (!f.new || take_lock(&f, err))
        goto done;
    rc = fetch_all(&f, err);
    file_remove(f.new, NULL);
    if (rc < 0)
        err_prefix(err, "%s", source->name);
done:
    if (f.lock >= 0)
        close(f.lock);
    http_free(f.http);
    free(f.new);
    free(f.work);
    return rc;
}
