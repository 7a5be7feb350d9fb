/* What the verbs share. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "verbs.h"

int tell_error(const struct err *err)
{
    fprintf(stderr, "retort: %s\n", err->text);
    return err_exit_code(err);
}

int print_text(struct strbuf *text)
{
    struct err err = ERR_INIT;
    int rc = 0;

    if (strbuf_failed(text, &err))
        rc = tell_error(&err);
    else
        fwrite(strbuf_text(text), 1, text->len,
               stdout); /* main tells what stdout refused */
    strbuf_release(text);
    return rc;
}

int screen_width(void)
{
    const char *given = getenv("COLUMNS");
    struct winsize size;

    if (given && atoi(given) >= 20)
        return atoi(given);
    if (!isatty(1) || ioctl(1, TIOCGWINSZ, &size) || size.ws_col < 20)
        return 0;
    return size.ws_col;
}

bool screen_color(int fd)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(fd) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

int text_width(const char *text)
{
    int n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}
