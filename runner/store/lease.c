/*
 * The lease: who works on a run.
 *
 * A text file with host, boot, process, its start time and a CRC-32C over these; its
 * modification time is the heartbeat. It appears whole (written aside, then linked:
 * link() fails if a lease is there, on NFS too). A dead one is renamed away first, and
 * looked at again under its new name: if it was not the one found dead, it is put back.
 * Whoever loses a race this way still harms nothing: each generation writes its own
 * journal, and sealing asks whether the lease is still ours.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct lease {
    int fd;
    char *path;
};

struct holder {
    char host[256], boot[64], space[64];
    long long pid, start;
};

static void read_line(char *out, size_t size, const char *path)
{
    FILE *f = fopen(path, "re");

    out[0] = 0;
    if (!f)
        return;
    if (!fgets(out, (int)size, f))
        out[0] = 0;
    out[strcspn(out, "\n")] = 0;
    fclose(f);
}

/* Start time of a process in ticks since boot (field 22 of its stat), or -1 if there is
 * none. */
static long long start_of(long long pid)
{
    char path[64], line[1024], state;
    long long start = -1;

    snprintf(path, sizeof path, "/proc/%lld/stat", pid);
    read_line(line, sizeof line, path);
    const char *p = strrchr(line, ')'); /* the name before it may hold anything */
    if (!p || sscanf(p + 1,
                     " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
                     "%*d %*d %*d %lld",
                     &state, &start) != 2)
        return -1;
    return state == 'Z' || state == 'X' ? -1 : start; /* a zombie holds nothing */
}

/* pid numbers mean something only within one boot and one pid namespace (containers). */
static void who_am_i(struct holder *h)
{
    memset(h, 0, sizeof *h);
    if (gethostname(h->host, sizeof h->host - 1))
        snprintf(h->host, sizeof h->host, "unknown");
    read_line(h->boot, sizeof h->boot, "/proc/sys/kernel/random/boot_id");
    if (readlink("/proc/self/ns/pid", h->space, sizeof h->space - 1) < 0)
        h->space[0] = 0;
    h->pid = getpid();
    h->start = start_of(h->pid);
}

#define LEASE_TEXT 1024

/* Bytes of the text. */
static int lease_text(char out[LEASE_TEXT], const struct holder *h)
{
    int n = snprintf(out, LEASE_TEXT,
                     "retort-lease 2\nhost %s\nboot %s\nspace %s\npid %lld\nstart %lld\n",
                     h->host[0] ? h->host : "-", h->boot[0] ? h->boot : "-",
                     h->space[0] ? h->space : "-", h->pid, h->start);

    return n + snprintf(out + n, LEASE_TEXT - (size_t)n, "sum %08x\n",
                        (unsigned)crc32c(0, out, (size_t)n));
}

/* It is whole if what it says would be written as it is. */
static int parse(struct holder *h, const char *text)
{
    char again[LEASE_TEXT];

    memset(h, 0, sizeof *h);
    if (sscanf(text,
               "retort-lease 2\nhost %255s\nboot %63s\nspace %63s\npid %lld\nstart "
               "%lld\n",
               h->host, h->boot, h->space, &h->pid, &h->start) != 5)
        return -1;
    lease_text(again, h);
    return strcmp(text, again) ? -1 : 0;
}

/* Opening first makes NFS ask the server for the time. -1 if there is no lease; 1 if it
 * is no whole one. */
static int read_lease(struct holder *h, double *age, struct stat *st, const char *path)
{
    char text[LEASE_TEXT];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, sizeof text - 1);
    if (n < 0 || fstat(fd, st)) {
        close(fd);
        return -1;
    }
    close(fd);
    text[n] = 0;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *age = (double)(now.tv_sec - st->st_mtim.tv_sec);
    return parse(h, text) ? 1 : 0;
}

static bool holder_lives(int found, const struct holder *h, double age)
{
    struct holder me;

    who_am_i(&me);
    if (!found && me.boot[0] && !strcmp(h->boot, me.boot) && !strcmp(h->space, me.space))
        return start_of(h->pid) == h->start && h->start >= 0;
    return age < LEASE_SECONDS;
}

static void describe(char *out, size_t size, int found, const struct holder *h,
                     double age)
{
    if (found)
        snprintf(out, size, "an unreadable lease, %.0f s old", age);
    else
        snprintf(out, size, "process %lld on %s, last heard of %.0f s ago", h->pid,
                 h->host, age);
}

bool lease_is_dead(const char *path)
{
    struct holder h;
    struct stat st;
    double age;
    int found = read_lease(&h, &age, &st, path);

    return found >= 0 && !holder_lives(found, &h, age);
}

bool lease_is_whole(const char *path)
{
    struct holder h;
    struct stat st;
    double age;

    return read_lease(&h, &age, &st, path) == 0;
}

static int is_alive(const char *path, char *who, size_t size)
{
    struct holder h;
    struct stat st;
    double age;
    int found = read_lease(&h, &age, &st, path);

    if (found < 0 || !holder_lives(found, &h, age))
        return 0;
    if (who)
        describe(who, size, found, &h, age);
    return 1;
}

int lease_alive(const char *dir, char *who, size_t size)
{
    struct err err = ERR_INIT;
    char *path = path_join(dir, "lease", &err);
    int alive = path ? is_alive(path, who, size) : 0;

    free(path);
    return alive;
}

bool lease_any(const char *dir, char *who, size_t size)
{
    struct err err = ERR_INIT;
    char **names;
    bool any = false;

    if (!file_is_dir(dir) || file_list(&names, dir, &err))
        return false;
    for (char **n = names; *n && !any; n++) {
        char *path = path_join(dir, *n, &err);
        any = path && is_alive(path, who, size);
        free(path);
    }
    file_list_free(names);
    return any;
}

/* Renames a dead lease away. 0: gone; -1: it is (or became) somebody's. */
static int bury(const char *path, const char *grave, const struct stat *dead)
{
    struct stat st;

    if (rename(path, grave))
        return errno == ENOENT ? 0 : -1;
    if (stat(grave, &st) || st.st_ino != dead->st_ino || st.st_dev != dead->st_dev) {
        if (link(grave, path) == 0 || errno == EEXIST)
            unlink(grave);
        return -1;
    }
    unlink(grave);
    return 0;
}

static int write_own(int *fd, const char *path, struct err *err)
{
    struct holder me;
    char text[LEASE_TEXT];

    who_am_i(&me);
    int n = lease_text(text, &me);
    *fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (*fd < 0)
        return err_errno(err, "%s", path);
    if (file_write_fd(*fd, text, n, path, err))
        return -1;
    /* A lease that power took the text from would count as somebody's. */
    return fsync(*fd) ? err_errno(err, "%s", path) : 0;
}

/* Links our file as the lease, taking over a dead one. */
static int claim(const char *path, const char *own, const char *grave, struct err *err)
{
    for (int attempt = 0; attempt < 5; attempt++) {
        struct holder h;
        struct stat st;
        double age;
        char who[512];

        if (!link(own, path))
            return 0;
        if (errno != EEXIST)
            return err_errno(err, "%s", path);
        int found = read_lease(&h, &age, &st, path);
        if (found < 0)
            continue; /* given back just now */
        if (holder_lives(found, &h, age)) {
            describe(who, sizeof who, found, &h, age);
            return err_set(err, ERR_LOCKED, "%s: the run is worked on by %s", path, who);
        }
        bury(path, grave, &st);
    }
    return err_set(err, ERR_LOCKED, "%s: others take the run at the same time; try again",
                   path);
}

/* What a process that died between writing its own and removing it left behind. */
static void clear_asides(const char *dir)
{
    struct err err = ERR_INIT; /* they harm nothing */
    char **names;

    if (file_list(&names, dir, &err))
        return;
    for (char **n = names; *n; n++) {
        char *path = strncmp(*n, "lease.", 6) ? NULL : path_join(dir, *n, &err);
        if (path && lease_is_dead(path))
            unlink(path);
        free(path);
    }
    file_list_free(names);
}

/* A name that no other process and no other call has. */
static char *own_name(const char *dir, struct err *err)
{
    static _Atomic unsigned count;
    unsigned number = count++;

    return mem_printf(err, "%s/lease.%ld.%u.%llx", dir, (long)getpid(), number,
                      (unsigned long long)time(NULL));
}

int lease_mark(struct lease **out, const char *dir, struct err *err)
{
    struct lease *l = mem_new(1, sizeof *l, err);

    if (!l)
        return -1;
    l->fd = -1;
    l->path = own_name(dir, err);
    clear_asides(dir);
    if (l->path && !write_own(&l->fd, l->path, err)) {
        *out = l;
        return 0;
    }
    if (l->fd >= 0) {
        unlink(l->path);
        close(l->fd);
    }
    free(l->path);
    free(l);
    return -1;
}

int lease_take(struct lease **out, const char *dir, struct err *err)
{
    int rc = -1;
    struct lease *l = mem_new(1, sizeof *l, err);
    char *own = own_name(dir, err);
    char *grave = own ? mem_printf(err, "%s.dead", own) : NULL;

    if (!l || !own || !grave)
        goto done;
    l->fd = -1;
    l->path = path_join(dir, "lease", err);
    if (!l->path || write_own(&l->fd, own, err) || claim(l->path, own, grave, err))
        goto done;
    clear_asides(dir);
    *out = l;
    rc = 0;
done:
    if (own)
        unlink(own);
    if (rc && l) {
        if (l->fd >= 0)
            close(l->fd);
        free(l->path);
        free(l);
    }
    free(grave);
    free(own);
    return rc;
}

static bool is_ours(const struct lease *l)
{
    struct stat mine, there;

    return !fstat(l->fd, &mine) && !stat(l->path, &there) &&
           mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

int lease_beat(struct lease *l, struct err *err)
{
    if (!is_ours(l))
        return err_set(err, ERR_LOCKED, "%s: another process took the run over", l->path);
    return futimens(l->fd, NULL) ? err_errno(err, "%s", l->path) : 0;
}

void lease_give(struct lease *l)
{
    if (!l)
        return;
    if (is_ours(l))
        unlink(l->path);
    close(l->fd);
    free(l->path);
    free(l);
}
