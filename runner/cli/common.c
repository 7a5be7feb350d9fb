/* What the verbs share. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "retort/utf8.h"
#include "verbs.h"

int tell_error(const struct err *err)
{
    struct strbuf sb = STRBUF_INIT;

    /* Messages quote files and specs: line by line, nothing in them steers the terminal.
     */
    for (const char *s = err->text; s; s = strchr(s, '\n'), s = s ? s + 1 : NULL) {
        strbuf_puts(&sb, s == err->text ? "retort: " : "\n");
        utf8_show(&sb, s, (int64_t)strcspn(s, "\n"));
    }
    fprintf(stderr, "%s\n", strbuf_text(&sb));
    strbuf_release(&sb);
    return err_exit_code(err);
}

void clean_text(struct strbuf *text)
{
    for (size_t i = 0; i < text->len; i++) {
        unsigned char c = (unsigned char)text->text[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            text->text[i] = '?';
    }
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
    long columns = given ? strtol(given, NULL, 10) : 0;
    struct winsize size;

    if (columns >= 20 && columns < 100000)
        return (int)columns;
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
