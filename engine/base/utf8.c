#include "retort/utf8.h"

int64_t utf8_length(const char *text, int64_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    int64_t len = s[0] < 0x80   ? 1
                  : s[0] < 0xC2 ? 0
                  : s[0] < 0xE0 ? 2
                  : s[0] < 0xF0 ? 3
                                : 4;

    if (len == 0 || s[0] > 0xF4 || len > n)
        return 0;
    for (int64_t i = 1; i < len; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, beyond U+10FFFF. */
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return len;
}

int64_t utf8_step(const char *text, int64_t n)
{
    int64_t len = utf8_length(text, n);
    return len ? len : 1;
}

int64_t utf8_invalid(const char *text, int64_t n)
{
    for (int64_t i = 0, len; i < n; i += len)
        if (!(len = utf8_length(text + i, n - i)))
            return i;
    return -1;
}

/* C0 and C1 controls and DEL steer a terminal. */
static bool is_control(const char *s, int64_t len)
{
    unsigned char c = (unsigned char)s[0];

    return len == 1 ? c < 0x20 || c == 0x7F
                    : len == 2 && c == 0xC2 && (unsigned char)s[1] < 0xA0;
}

void utf8_show(struct strbuf *out, const char *text, int64_t n)
{
    for (int64_t i = 0, len; i < n; i += len) {
        len = utf8_length(text + i, n - i);
        if (!len) {
            strbuf_puts(out, "\xEF\xBF\xBD");
            len = 1;
        } else if (text[i] != '\t' && is_control(text + i, len)) {
            strbuf_putc(out, '?');
        } else {
            strbuf_add(out, text + i, (size_t)len);
        }
    }
}
