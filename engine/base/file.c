/*
 * Files and paths. Folders are walked by descriptor (openat), so names swapped for links
 * while we remove lead nowhere.
 */
#include "retort/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Non-blocking, so that a FIFO cannot hang us before it is refused. */
static int open_regular(const char *path, struct stat *st, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return err_errno(err, "%s", path);
    if (fstat(fd, st)) {
        err_errno(err, "%s", path);
        close(fd);
        return -1;
    }
    if (!S_ISREG(st->st_mode)) {
        err_set(err, ERR_INPUT, "%s: is %s, not a regular file", path,
                S_ISDIR(st->st_mode) ? "a folder" : "a device or pipe");
        close(fd);
        return -1;
    }
    return fd;
}

static ssize_t read_some(int fd, void *to, size_t n)
{
    ssize_t got;

    do
        got = read(fd, to, n);
    while (got < 0 && errno == EINTR);
    return got;
}

static int too_large(const char *path, int64_t max, struct err *err)
{
    return err_set(err, ERR_INPUT, "%s: larger than %lld bytes", path, (long long)max);
}

int file_read(char **out, int64_t *len, const char *path, int64_t max, struct err *err)
{
    struct stat st;
    char *text = NULL;
    int64_t n = 0, capacity;
    int rc = -1;
    int fd = open_regular(path, &st, err);

    if (fd < 0)
        return -1;
    if (st.st_size > max) {
        too_large(path, max, err);
        goto done;
    }
    /* Files of /proc say 0 bytes: read until the end all the same, with room to notice
     * growth. */
    capacity = st.st_size < 4096 ? 4096 : st.st_size + 2;
    text = mem_new(capacity, 1, err);
    while (text) {
        ssize_t got = read_some(fd, text + n, (size_t)(capacity - n - 1));
        if (got < 0) {
            err_errno(err, "%s", path);
            goto done;
        }
        n += got;
        if (n > max) {
            too_large(path, max, err);
            goto done;
        }
        if (got == 0)
            break;
        if (n == capacity - 1) {
            char *more = mem_resize(text, capacity * 2, 1, err);
            if (!more)
                goto done;
            text = more;
            capacity *= 2;
        }
    }
    if (!text)
        goto done;
    text[n] = '\0';
    *out = text;
    if (len)
        *len = n;
    text = NULL;
    rc = 0;
done:
    free(text);
    close(fd);
    return rc;
}

int file_write_fd(int fd, const void *data, int64_t len, const char *name,
                  struct err *err)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = write(fd, p, (size_t)len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "%s", name);
        p += n;
        len -= n;
    }
    return 0;
}

int file_sync_dir(const char *dir, struct err *err)
{
    int rc = 0;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(err, "%s", dir);
    /* Some file systems know no sync of a folder; there is nothing more we
     * could do then. */
    if (fsync(fd) && errno != EINVAL && errno != ENOTSUP)
        rc = err_errno(err, "%s", dir);
    close(fd);
    return rc;
}

/* A new file beside `path`; *name is the caller's to free. */
static int open_beside(char **name, const char *path, struct err *err)
{
    static atomic_uint counter;

    for (int tries = 0; tries < 100; tries++) {
        char *beside = mem_printf(err, "%s.%ld-%u.tmp", path, (long)getpid(),
                                  atomic_fetch_add(&counter, 1));
        if (!beside)
            return -1;
        int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            *name = beside;
            return fd;
        }
        if (errno != EEXIST)
            tries = 100;
        if (tries >= 99)
            err_errno(err, "%s", path);
        free(beside);
    }
    return -1;
}

/* A device or a pipe ("/dev/stdout") is written to: a file in its place would end it. */
static bool is_special(const char *path)
{
    struct stat st;

    return !stat(path, &st) && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static int write_special(const char *path, const void *data, int64_t len, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), rc;

    if (fd < 0)
        return err_errno(err, "%s", path);
    rc = file_write_fd(fd, data, len, path, err);
    if (close(fd) && !rc)
        rc = err_errno(err, "%s", path);
    return rc;
}

int file_write(const char *path, const void *data, int64_t len, struct err *err)
{
    char *beside = NULL, *dir;
    int rc = -1, fd;

    if (is_special(path))
        return write_special(path, data, len, err);
    dir = path_dir(path, err);
    fd = dir ? open_beside(&beside, path, err) : -1;
    if (fd < 0)
        goto done;
    rc = file_write_fd(fd, data, len, path, err);
    if (!rc && fsync(fd))
        rc = err_errno(err, "%s", path);
    if (close(fd) && !rc)
        rc = err_errno(err, "%s", path);
    if (!rc && rename(beside, path))
        rc = err_errno(err, "%s", path);
    if (rc)
        unlink(beside);
    else
        rc = file_sync_dir(dir, err);
done:
    free(beside);
    free(dir);
    return rc;
}

int file_map(struct file_map *map, const char *path, struct err *err)
{
    struct stat st;
    int rc = 0;
    int fd = open_regular(path, &st, err);

    *map = (struct file_map){NULL, 0};
    if (fd < 0)
        return -1;
    if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            rc = err_errno(err, "%s", path);
        else
            *map = (struct file_map){p, st.st_size};
    }
    close(fd);
    return rc;
}

void file_unmap(struct file_map *map)
{
    union {
        const unsigned char *read;
        void *any;
    } data = {map->data}; /* munmap takes no const */

    if (map->data)
        munmap(data.any, (size_t)map->len);
    *map = (struct file_map){NULL, 0};
}

bool file_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

bool file_is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int64_t file_size(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

/* A folder lasts once the one that it is in was synced. */
static int sync_above(const char *path, struct err *err)
{
    char *above = path_dir(path, err);
    int rc = above ? file_sync_dir(above, err) : -1;

    free(above);
    return rc;
}

static int make_dir(const char *path, struct err *err)
{
    if (mkdir(path, 0777) == 0)
        return sync_above(path, err);
    int why = errno;
    if (file_is_dir(path)) /* there already, or a mount that refuses mkdir */
        return 0;
    if (why == EEXIST)
        return err_set(err, ERR_IO, "%s: is there and is not a folder", path);
    errno = why;
    return err_errno(err, "%s", path);
}

int file_mkdirs(const char *path, struct err *err)
{
    char *copy = mem_strdup(path, err);
    int rc = copy ? 0 : -1;

    for (char *s = copy; !rc && *s; s++) {
        if (*s != '/' || s == copy)
            continue;
        *s = '\0';
        rc = make_dir(copy, err);
        *s = '/';
    }
    if (!rc)
        rc = make_dir(path, err);
    free(copy);
    return rc;
}

static int remove_at(int at, const char *name, const char *top, struct err *err);

static bool is_dot(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int remove_entries(int at, const char *name, const char *top, struct err *err)
{
    int rc = 0;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        err_errno(err, "%s: %s", top, name);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    while (!rc) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry && errno)
            rc = err_errno(err, "%s: %s", top, name);
        if (!entry)
            break;
        if (!is_dot(entry->d_name))
            rc = remove_at(dirfd(dir), entry->d_name, top, err);
    }
    closedir(dir);
    return rc;
}

static int remove_at(int at, const char *name, const char *top, struct err *err)
{
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return err_errno(err, "%s: %s", top, name);
    struct stat st;
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode)) {
        errno = EPERM;
        return err_errno(err, "%s: %s", top, name);
    }
    if (remove_entries(at, name, top, err))
        return -1;
    if (unlinkat(at, name, AT_REMOVEDIR) && errno != ENOENT)
        return err_errno(err, "%s: %s", top, name);
    return 0;
}

int file_remove(const char *path, struct err *err)
{
    return remove_at(AT_FDCWD, path, path, err);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_entries(char ***list, int64_t *n, DIR *dir, const char *path,
                        struct err *err)
{
    int64_t capacity = 1;
    void *array;

    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry)
            return errno ? err_errno(err, "%s", path) : 0;
        if (is_dot(entry->d_name))
            continue;
        array = *list;
        if (mem_grow(&array, *n + 1, &capacity, sizeof **list, err))
            return -1;
        *list = array;
        (*list)[*n] = mem_strdup(entry->d_name, err);
        if (!(*list)[*n])
            return -1;
        (*list)[++*n] = NULL;
    }
}

int file_list(char ***out, const char *path, struct err *err)
{
    int64_t n = 0;
    int rc;
    char **list = mem_new(1, sizeof *list, err);
    DIR *dir = list ? opendir(path) : NULL;

    if (!dir) {
        if (list)
            err_errno(err, "%s", path);
        free(list);
        return -1;
    }
    rc = list_entries(&list, &n, dir, path, err);
    closedir(dir);
    if (rc) {
        file_list_free(list);
        return -1;
    }
    qsort(list, (size_t)n, sizeof *list, by_bytes);
    *out = list;
    return 0;
}

void file_list_free(char **list)
{
    if (!list)
        return;
    for (char **s = list; *s; s++)
        free(*s);
    free(list);
}

char *path_join(const char *dir, const char *name, struct err *err)
{
    size_t n = strlen(dir);

    if (name[0] == '/' || n == 0 || strcmp(dir, ".") == 0)
        return mem_strdup(name, err);
    return mem_printf(err, "%s%s%s", dir, dir[n - 1] == '/' ? "" : "/", name);
}

char *path_dir(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return mem_strdup(".", err);
    return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path), err);
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}
