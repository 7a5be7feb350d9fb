/* The seam's library: see seam.h. All calls go to the kernel from here. */
#include "seam.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <dlfcn.h>

static struct seam *seam; /* NULL: nothing happens */
static int log_fd = -1;
static uintptr_t text_from, text_to; /* the program's own code */

static int find_text(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && p->p_flags & PF_X) {
            text_from = info->dlpi_addr + p->p_vaddr;
            text_to = text_from + p->p_memsz;
        }
    }
    return 1; /* the program is the first */
}

__attribute__((constructor)) static void begin(void)
{
    char log[300];
    const char *path = getenv(SEAM_VARIABLE);
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof *seam, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (p == MAP_FAILED)
        return;
    dl_iterate_phdr(find_text, NULL);
    snprintf(log, sizeof log, "%s.log", path);
    if (((struct seam *)p)->logs) {
        fd = (int)syscall(SYS_openat, AT_FDCWD, log,
                          O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        log_fd =
            (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 100); /* not where fds 3.. go */
        syscall(SYS_close, fd);
    }
    seam = p;
}

/* ---- whose files ---- */

static bool below_root(const char *path)
{
    size_t n = strlen(seam->root);

    return !strncmp(path, seam->root, n) && (path[n] == '/' || !path[n]);
}

static bool fd_path(int fd, char out[4096])
{
    char link[64];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, out, 4095);
    out[n < 0 ? 0 : n] = 0;
    return n > 0;
}

static bool full_path(int at, const char *path, char out[4096])
{
    char dir[4096] = "";

    if (path[0] == '/')
        snprintf(out, 4096, "%s", path);
    else if (at == AT_FDCWD ? !getcwd(dir, sizeof dir) : !fd_path(at, dir))
        return false;
    else
        snprintf(out, 4096, "%.2040s/%.2040s", dir,
                 path[0] == '.' && path[1] == '/' ? path + 2 : path);
    return true;
}

static bool ours_path(int at, const char *path, char out[4096])
{
    return seam && full_path(at, path, out) && below_root(out);
}

static bool ours_fd(int fd)
{
    char path[4096];

    return seam && fd_path(fd, path) && below_root(path);
}

/* ---- what happens ---- */

static void die(void)
{
    syscall(SYS_kill, 0, SIGKILL);
    for (;;)
        syscall(SYS_pause);
}

static bool is_worker(void)
{
    return getpgid(getppid()) == getpgrp();
}

enum turn { GO, HALF, THEN_DIE, FAIL };

/* Counts a call, and tells what to do with it. */
static enum turn turn_of(enum seam_kind kind, bool changes)
{
    if (!seam || !(seam->kinds & (int)kind))
        return GO;
    int64_t call = atomic_fetch_add(&seam->calls, 1) + 1;
    if (seam->act == SEAM_FAIL_ALL && call >= seam->at && changes) {
        atomic_fetch_add(&seam->acted, 1);
        errno = seam->error;
        return FAIL;
    }
    if (call != seam->at || seam->act == SEAM_COUNT || seam->act == SEAM_STUTTER ||
        seam->act == SEAM_FAIL_ALL)
        return GO;
    if ((seam->act == SEAM_KILL_WORKER || seam->act == SEAM_KILL_PARENT) && !is_worker())
        return GO;
    atomic_fetch_add(&seam->acted, 1);
    switch (seam->act) {
    case SEAM_KILL:
        die();
        return GO;
    case SEAM_KILL_WORKER:
        raise(SIGKILL);
        return GO;
    case SEAM_KILL_PARENT:
        syscall(SYS_kill, getppid(), SIGKILL);
        return GO;
    case SEAM_KILL_HALF:
        return HALF;
    case SEAM_KILL_AFTER:
        return THEN_DIE;
    default:
        errno = seam->error;
        return FAIL;
    }
}

static long after(enum turn t, long rc)
{
    if (t == THEN_DIE || t == HALF)
        die();
    return rc;
}

/* Bytes to move; -1: interrupted. */
static ssize_t stutter(size_t n)
{
    static _Atomic unsigned odd;

    if (!seam || seam->act != SEAM_STUTTER)
        return (ssize_t)n;
    if (atomic_fetch_add(&odd, 1) % 2) {
        atomic_fetch_add(&seam->acted, 1);
        errno = EINTR;
        return -1;
    }
    return n > 1 ? (ssize_t)(n / 2) : (ssize_t)n;
}

/* ---- what is written down ---- */

static void note(enum seam_op op, int fd, const char *path, const void *data, size_t n,
                 int64_t offset)
{
    struct stat st = {.st_ino = 0};
    int saved = errno;

    if (log_fd < 0)
        return;
    if (fd >= 0)
        fstat(fd, &st);
    struct seam_entry e = {(uint32_t)op, path ? (uint32_t)strlen(path) : 0,
                           (uint32_t)n,  0,
                           st.st_ino,    offset};
    struct iovec v[3] = {{&e, sizeof e},
                         {(void *)(uintptr_t)path, e.path_len},
                         {(void *)(uintptr_t)data, n}};
    syscall(SYS_writev, log_fd, v, 3);
    errno = saved;
}

static void note_path(enum seam_op op, const char *path, const char *to)
{
    note(op, -1, path, to, to ? strlen(to) : 0, 0);
}

/* ---- open, read, write ---- */

static int open_at(int at, const char *path, int flags, mode_t mode)
{
    char full[4096];
    struct stat st;
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    enum turn t = GO;

    bool ours = ours_path(at, path, full);
    bool is_new = ours && flags & O_CREAT && lstat(full, &st);
    if (ours)
        t = turn_of(writes ? SEAM_CHANGES : SEAM_READS, writes);
    if (t == FAIL)
        return -1;
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    if (fd >= 0 && is_new)
        note(LOG_CREATE, fd, full, NULL, 0, 0);
    else if (fd >= 0 && ours && flags & O_TRUNC)
        note(LOG_TRUNCATE, fd, NULL, NULL, 0, 0);
    return (int)after(t, fd);
}

#define OPEN(name, at, ...)                                                              \
    {                                                                                    \
        mode_t mode = 0;                                                                 \
        if (flags & O_CREAT) {                                                           \
            va_list ap;                                                                  \
            va_start(ap, flags);                                                         \
            mode = va_arg(ap, mode_t);                                                   \
            va_end(ap);                                                                  \
        }                                                                                \
        return open_at(at, path, flags, mode);                                           \
    }
int open(const char *path, int flags, ...)
    OPEN(open, AT_FDCWD) int open64(const char *path, int flags, ...)
        OPEN(open64, AT_FDCWD) int openat(int at, const char *path, int flags, ...)
            OPEN(openat, at) int openat64(int at, const char *path, int flags, ...)
                OPEN(openat64, at)

                    ssize_t read(int fd, void *to, size_t n)
{
    if (ours_fd(fd)) {
        enum turn t = turn_of(SEAM_READS, false);
        ssize_t some = t == FAIL ? -1 : stutter(n);
        return some < 0 ? -1 : after(t, syscall(SYS_read, fd, to, some));
    }
    return syscall(SYS_read, fd, to, n);
}

ssize_t pread(int fd, void *to, size_t n, off_t at)
{
    if (ours_fd(fd)) {
        enum turn t = turn_of(SEAM_READS, false);
        ssize_t some = t == FAIL ? -1 : stutter(n);
        return some < 0 ? -1 : after(t, syscall(SYS_pread64, fd, to, some, at));
    }
    return syscall(SYS_pread64, fd, to, n, at);
}
ssize_t pread64(int fd, void *to, size_t n, off_t at)
{
    return pread(fd, to, n, at);
}

ssize_t write(int fd, const void *from, size_t n)
{
    struct stat st;

    if (!ours_fd(fd))
        return syscall(SYS_write, fd, from, n);
    enum turn t = turn_of(SEAM_CHANGES, true);
    ssize_t some = t == FAIL ? -1 : t == HALF ? (ssize_t)(n / 2) : stutter(n);
    if (some < 0)
        return -1;
    ssize_t rc = syscall(SYS_write, fd, from, some);
    if (rc > 0 && log_fd >= 0) {
        off_t end = lseek(fd, 0, SEEK_CUR);
        if (fcntl(fd, F_GETFL) & O_APPEND && !fstat(fd, &st))
            end = st.st_size;
        note(LOG_WRITE, fd, NULL, from, (size_t)rc, end - rc);
    }
    return after(t, rc);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at)
{
    if (!ours_fd(fd))
        return syscall(SYS_pwrite64, fd, from, n, at);
    enum turn t = turn_of(SEAM_CHANGES, true);
    ssize_t some = t == FAIL ? -1 : t == HALF ? (ssize_t)(n / 2) : stutter(n);
    if (some < 0)
        return -1;
    ssize_t rc = syscall(SYS_pwrite64, fd, from, some, at);
    if (rc > 0)
        note(LOG_WRITE, fd, NULL, from, (size_t)rc, at);
    return after(t, rc);
}
ssize_t pwrite64(int fd, const void *from, size_t n, off_t at)
{
    return pwrite(fd, from, n, at);
}

int ftruncate(int fd, off_t len)
{
    enum turn t = ours_fd(fd) ? turn_of(SEAM_CHANGES, true) : GO;

    if (t == FAIL)
        return -1;
    int rc = (int)syscall(SYS_ftruncate, fd, len);
    if (!rc && ours_fd(fd))
        note(LOG_TRUNCATE, fd, NULL, NULL, 0, len);
    return (int)after(t, rc);
}
int ftruncate64(int fd, off_t len)
{
    return ftruncate(fd, len);
}

static int sync_fd(int fd, long call)
{
    char path[4096];
    struct stat st;
    bool ours = ours_fd(fd);
    enum turn t = ours ? turn_of(SEAM_SYNCS, true) : GO;

    if (t == FAIL)
        return -1;
    int rc = ours ? 0 : (int)syscall(call, fd); /* no machine stops here but in play */
    if (ours && !fstat(fd, &st) && fd_path(fd, path))
        S_ISDIR(st.st_mode) ? note_path(LOG_SYNC_DIR, path, NULL)
                            : note(LOG_SYNC, fd, NULL, NULL, 0, 0);
    return (int)after(t, rc);
}
int fsync(int fd)
{
    return sync_fd(fd, SYS_fsync);
}
int fdatasync(int fd)
{
    return sync_fd(fd, SYS_fdatasync);
}

/* No file is written through a mapping; should one be, this counts it. */
int msync(void *p, size_t n, int flags)
{
    enum turn t = turn_of(SEAM_SYNCS, true);

    return t == FAIL ? -1 : (int)after(t, syscall(SYS_msync, p, n, flags));
}

/* ---- names ---- */

int rename(const char *from, const char *to)
{
    char a[4096], b[4096];
    bool ours = ours_path(AT_FDCWD, from, a) && full_path(AT_FDCWD, to, b);
    enum turn t = ours ? turn_of(SEAM_CHANGES, true) : GO;

    if (t == FAIL)
        return -1;
    int rc = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (!rc && ours)
        note_path(LOG_RENAME, a, b);
    return (int)after(t, rc);
}

int link(const char *from, const char *to)
{
    char a[4096], b[4096];
    bool ours = ours_path(AT_FDCWD, from, a) && full_path(AT_FDCWD, to, b);
    enum turn t = ours ? turn_of(SEAM_CHANGES, true) : GO;

    if (t == FAIL)
        return -1;
    int rc = (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (!rc && ours)
        note_path(LOG_LINK, a, b);
    return (int)after(t, rc);
}

int unlinkat(int at, const char *path, int flags)
{
    char full[4096];
    bool ours = ours_path(at, path, full);
    enum turn t = ours ? turn_of(SEAM_CHANGES, true) : GO;

    if (t == FAIL)
        return -1;
    int rc = (int)syscall(SYS_unlinkat, at, path, flags);
    if (!rc && ours)
        note_path(flags & AT_REMOVEDIR ? LOG_RMDIR : LOG_UNLINK, full, NULL);
    return (int)after(t, rc);
}
int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}
int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdir(const char *path, mode_t mode)
{
    char full[4096];
    bool ours = ours_path(AT_FDCWD, path, full);
    enum turn t = ours ? turn_of(SEAM_CHANGES, true) : GO;

    if (t == FAIL)
        return -1;
    int rc = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (!rc && ours)
        note_path(LOG_MKDIR, full, NULL);
    return (int)after(t, rc);
}

int chmod(const char *path, mode_t mode)
{
    char full[4096];
    enum turn t = ours_path(AT_FDCWD, path, full) ? turn_of(SEAM_CHANGES, true) : GO;

    return t == FAIL ? -1 : (int)after(t, syscall(SYS_fchmodat, AT_FDCWD, path, mode));
}

/* ---- mappings, threads, memory ---- */

void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t at)
{
    if (fd >= 0 && !(flags & MAP_ANONYMOUS) && ours_fd(fd) &&
        turn_of(SEAM_READS, false) == FAIL)
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, p, n, prot, flags, fd, at);
}

int pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*fn)(void *),
                   void *arg)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (turn_of(SEAM_THREADS, false) == FAIL)
        return EAGAIN;
    return real(id, attr, fn, arg);
}

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

/* Only what the program's own code asks for fails. */
static bool alloc_fails(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;

    if (!seam || !(seam->kinds & SEAM_ALLOCS) || at < text_from || at >= text_to)
        return false;
    if (turn_of(SEAM_ALLOCS, false) != FAIL)
        return false;
    errno = ENOMEM;
    return true;
}
#define CALLER __builtin_return_address(0)

void *malloc(size_t n)
{
    return alloc_fails(CALLER) ? NULL : __libc_malloc(n);
}
void *calloc(size_t n, size_t size)
{
    return alloc_fails(CALLER) ? NULL : __libc_calloc(n, size);
}
void *realloc(void *p, size_t n)
{
    return alloc_fails(CALLER) ? NULL : __libc_realloc(p, n);
}
int posix_memalign(void **out, size_t align, size_t n)
{
    void *p = alloc_fails(CALLER) ? NULL : __libc_memalign(align, n);

    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}
void *aligned_alloc(size_t align, size_t n)
{
    return alloc_fails(CALLER) ? NULL : __libc_memalign(align, n);
}
