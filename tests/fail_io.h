/*
 * System calls that fail on demand, for fault tests: read, write, pwrite, fsync,
 * rename, mkdir.
 * The program's own functions stand before the C library's. Include it in one .c file of
 * a program.
 *
 *     fail_io.fail_at = n; fail_io.number = EIO; fail_io.calls = 0;   the n-th call
 * fails; 0 none fail_io.stays = true;       and all after it
 *     fail_io.stutter = true;     each second read and write is interrupted
 * (EINTR), others do one byte
 *
 * Calls that the C library makes inside itself (stdio) do not pass here.
 */
#ifndef RETORT_TESTS_FAIL_IO_H
#define RETORT_TESTS_FAIL_IO_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    int64_t calls, fail_at;
    int number;
    bool stays, stutter, odd;
} fail_io;

static bool io_fails(void)
{
    fail_io.calls++;
    if (fail_io.stays && fail_io.fail_at ? fail_io.calls < fail_io.fail_at
                                         : fail_io.calls != fail_io.fail_at)
        return false;
    errno = fail_io.number;
    return true;
}

/* Bytes to move, or -1 when it is time for an interruption. */
static int64_t io_stutters(size_t n)
{
    if (!fail_io.stutter)
        return (int64_t)n;
    fail_io.odd = !fail_io.odd;
    if (fail_io.odd) {
        errno = EINTR;
        return -1;
    }
    return n > 1 ? 1 : (int64_t)n;
}

ssize_t read(int fd, void *to, size_t n)
{
    int64_t some = io_fails() ? -1 : io_stutters(n);

    return some < 0 ? -1 : (ssize_t)syscall(SYS_read, fd, to, some);
}

ssize_t write(int fd, const void *from, size_t n)
{
    int64_t some = io_fails() ? -1 : io_stutters(n);

    return some < 0 ? -1 : (ssize_t)syscall(SYS_write, fd, from, some);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at)
{
    int64_t some = io_fails() ? -1 : io_stutters(n);

    return some < 0 ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, from, some, at);
}

int fsync(int fd)
{
    return io_fails() ? -1 : (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
    return io_fails() ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int mkdir(const char *path, mode_t mode)
{
    return io_fails() ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

#endif
