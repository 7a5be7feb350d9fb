#include "retort/utf8.h"

int64_t utf8_read(const char *text, int64_t len, uint32_t *cp)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned lo = 0x80, hi = 0xBF;
    int64_t more;

    *cp = s[0];
    if (s[0] < 0x80)
        return 1;
    more = s[0] >= 0xF0 ? 3 : s[0] >= 0xE0 ? 2 : 1;
    *cp = 0xFFFD;
    if (s[0] < 0xC2 || s[0] > 0xF4)
        return 1;
    if (s[0] == 0xE0)
        lo = 0xA0; /* shorter forms, surrogates and points past U+10FFFF are invalid */
    else if (s[0] == 0xED)
        hi = 0x9F;
    else if (s[0] == 0xF0)
        lo = 0x90;
    else if (s[0] == 0xF4)
        hi = 0x8F;
    uint32_t value = s[0] & (0x3Fu >> more);
    for (int64_t i = 1; i <= more; i++) {
        if (i >= len || s[i] < lo || s[i] > hi)
            return i;
        value = value << 6 | (s[i] & 0x3Fu);
        lo = 0x80;
        hi = 0xBF;
    }
    *cp = value;
    return more + 1;
}

int utf8_write(unsigned char out[4], uint32_t cp)
{
    static const uint32_t lead[] = {0, 0xC0, 0xE0, 0xF0};

    if (cp < 0x80) {
        out[0] = (unsigned char)cp;
        return 1;
    }
    int more = cp < 0x800 ? 1 : cp < 0x10000 ? 2 : 3;
    for (int i = more; i > 0; i--) {
        out[i] = (unsigned char)(0x80 | (cp & 0x3F));
        cp >>= 6;
    }
    out[0] = (unsigned char)(lead[more] | cp);
    return more + 1;
}

int64_t utf8_length(const char *text, int64_t n)
{
    uint32_t cp;
    int64_t len = utf8_read(text, n, &cp);
    bool written = len == 3 && (unsigned char)text[0] == 0xEF; /* U+FFFD itself */

    return cp == 0xFFFD && !written ? 0 : len;
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
