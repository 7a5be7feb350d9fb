/*
 * A seam between the program and the system: a library that is loaded before the C
 * library's (LD_PRELOAD) and stands before its file calls, for all processes of a sweep.
 * They share one page, which says at which call what is to happen.
 *
 * Only calls on files below `root` count. What is changed there is also written down in
 * `log`, so that a loss of power can be played: what was not synced is not sure to last.
 */
#ifndef RETORT_TESTS_SEAM_H
#define RETORT_TESTS_SEAM_H

#include <stdatomic.h>
#include <stdint.h>

/* What happens at call number `at`. */
enum seam_act {
    SEAM_COUNT,       /* nothing */
    SEAM_KILL,        /* the whole process group ends before the call */
    SEAM_KILL_HALF,   /* amid it: half of what is to be written is */
    SEAM_KILL_AFTER,  /* behind it */
    SEAM_KILL_WORKER, /* the process that calls ends, if it is a worker */
    SEAM_KILL_PARENT, /* a worker's launcher ends, and the worker lives */
    SEAM_FAIL,        /* the call fails with `error` */
    SEAM_FAIL_ALL,    /* it and all after it that would change something */
    SEAM_STUTTER,     /* always: each second read and write is interrupted, others do few
                       * bytes */
};

/* Calls that count, as bits. */
enum seam_kind {
    SEAM_CHANGES = 1, /* write, rename, link, unlink, mkdir, truncate, chmod, create */
    SEAM_SYNCS = 2,
    SEAM_READS = 4, /* open to read, read, mmap */
    SEAM_THREADS = 8,
    SEAM_ALLOCS = 16, /* by the program's own code */
};

struct seam {
    _Atomic int64_t calls;
    _Atomic int32_t acted; /* how often */
    int64_t at;
    int32_t act, error, kinds, logs;
    char root[256];
};

/* The log: a head, then `path` and `data`, without NULs. */
enum seam_op {
    LOG_CREATE = 1, /* path, file */
    LOG_WRITE,      /* file, offset, data */
    LOG_TRUNCATE,   /* file, offset: the new length */
    LOG_SYNC,       /* file */
    LOG_SYNC_DIR,   /* path */
    LOG_RENAME,     /* path, data: to */
    LOG_LINK,       /* path, data: to; file */
    LOG_UNLINK,     /* path */
    LOG_MKDIR,      /* path */
    LOG_RMDIR,      /* path */
};
struct seam_entry {
    uint32_t op, path_len, data_len, zero;
    uint64_t file; /* inode */
    int64_t offset;
};

#define SEAM_VARIABLE "RETORT_TEST_SEAM" /* path of the page; <path>.log beside it */

#endif
