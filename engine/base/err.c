/*
 * The first message wins; texts are cut at whole UTF-8 characters. strerrordesc_np rather
 * than strerror: it is safe with threads and never translated.
 */
#include "retort/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Drops a character that the end of the array has cut in two. */
static void trim_utf8(char *text)
{
    size_t n = strlen(text);
    size_t tail = 0;

    if (n + 1 < ERR_TEXT_MAX)
        return;
    while (tail < 3 && tail < n && ((unsigned char)text[n - 1 - tail] & 0xc0) == 0x80)
        tail++;
    if (tail == n)
        return;
    unsigned char lead = (unsigned char)text[n - 1 - tail];
    size_t want = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    if (lead >= 0xc0 && tail < want)
        text[n - 1 - tail] = '\0';
}

int err_vset(struct err *err, enum err_code code, const char *fmt, va_list ap)
{
    if (!err || err_is_set(err))
        return -1;
    err->code = code;
    if (vsnprintf(err->text, sizeof err->text, fmt, ap) < 0)
        err->text[0] = '\0';
    trim_utf8(err->text);
    return -1;
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    err_vset(err, code, fmt, ap);
    va_end(ap);
    return -1;
}

static void append(struct err *err, const char *text)
{
    size_t n = strlen(err->text);
    size_t room = sizeof err->text - 1 - n;
    size_t add = strlen(text);

    if (add > room)
        add = room;
    memcpy(err->text + n, text, add);
    err->text[n + add] = '\0';
    trim_utf8(err->text);
}

int err_errno(struct err *err, const char *fmt, ...)
{
    int number = errno;
    enum err_code code = number == ENOENT   ? ERR_MISSING
                         : number == ENOMEM ? ERR_MEMORY
                                            : ERR_IO;
    const char *story = strerrordesc_np(number);
    va_list ap;

    if (!err || err_is_set(err))
        return -1;
    va_start(ap, fmt);
    err_vset(err, code, fmt, ap);
    va_end(ap);
    append(err, ": ");
    append(err, story ? story : "unknown error");
    errno = number;
    return -1;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
    char old[ERR_TEXT_MAX];
    va_list ap;

    if (!err_is_set(err))
        return -1;
    memcpy(old, err->text, sizeof old);
    va_start(ap, fmt);
    if (vsnprintf(err->text, sizeof err->text, fmt, ap) < 0)
        err->text[0] = '\0';
    va_end(ap);
    trim_utf8(err->text);
    append(err, ": ");
    append(err, old);
    return -1;
}

void err_clear(struct err *err)
{
    if (!err)
        return;
    err->code = ERR_NONE;
    err->text[0] = '\0';
}

int err_exit_code(const struct err *err)
{
    switch (err ? err->code : ERR_NONE) {
    case ERR_NONE:
        return 0;
    case ERR_NEGATIVE:
        return 1;
    case ERR_INPUT:
        return 2;
    case ERR_MISSING:
        return 3;
    case ERR_IO:
    case ERR_MEMORY:
        return 4;
    case ERR_LOCKED:
        return 5;
    case ERR_STOPPED:
        return 75;
    }
    BUG("err code %d", (int)err->code);
}

_Noreturn void err_bug(const char *file, int line, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s:%d: bug: ", file, line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    fflush(stderr);
    abort();
}
