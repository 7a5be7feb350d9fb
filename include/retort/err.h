/*
 * Failures, told once and in words.
 *
 * Anything a user, a file, a disk or a device can cause is a status: a function returns 0
 * or -1 (or NULL) and leaves the story in the `struct err` passed last. The first message
 * is kept, so a caller may go on calling after a failure and report the cause. Our own
 * mistake is a BUG(): file, line, values, abort.
 *
 * A message names the place, the value and what would be right:
 *     MRPC/train.tsv:17:1: label is "2"; MRPC has 0 and 1
 */
#ifndef RETORT_ERR_H
#define RETORT_ERR_H

#include <stdarg.h>
#include <stdbool.h>

/* The exit code of the program is a function of this (err_exit_code). */
enum err_code {
    ERR_NONE = 0,
    ERR_NEGATIVE, /* the question was answered, the answer is no: exit 1 */
    ERR_INPUT,    /* wrong usage, spec, data or checkpoint: exit 2 */
    ERR_MISSING,  /* a named thing does not exist: exit 3 */
    ERR_IO,       /* the system, a disk, a library refused: exit 4 */
    ERR_MEMORY,   /* no memory: exit 4 */
    ERR_LOCKED,   /* another process holds it: exit 5 */
    ERR_STOPPED,  /* asked to stop; state is saved, run again: exit 75 */
};

#define ERR_TEXT_MAX 2048

struct err {
    enum err_code code;
    char text[ERR_TEXT_MAX]; /* UTF-8, no trailing newline; cut at the size */
};

#define ERR_INIT                                                                         \
    {                                                                                    \
        ERR_NONE, ""                                                                     \
    }

/* Sets code and text unless a failure is there already. `err` may be NULL. Always returns
 * -1. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int err_vset(struct err *err, enum err_code code, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

/* The same with ": strerror(errno)" appended; ENOENT gives ERR_MISSING, ENOMEM
 * ERR_MEMORY, others ERR_IO. */
int err_errno(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts "text: " before the message that is there; for a caller that knows the place.
 * Returns -1. */
int err_prefix(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Forgets the failure. */
void err_clear(struct err *err);

static inline bool err_is_set(const struct err *err)
{
    return err && err->code != ERR_NONE;
}

/* 0, 1, 2, 3, 4, 5 or 75. */
int err_exit_code(const struct err *err);

/* Our own mistake: prints file, line and the message to stderr, and aborts. */
#define BUG(...) err_bug(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void err_bug(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
