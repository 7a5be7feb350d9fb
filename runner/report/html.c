/* Text inside of HTML and SVG: see html.h. */
#include "html.h"

#include <string.h>

#include "retort/utf8.h"

void html_char(struct strbuf *out, char c)
{
    switch (c) {
    case '&':
        strbuf_puts(out, "&amp;");
        break;
    case '<':
        strbuf_puts(out, "&lt;");
        break;
    case '>':
        strbuf_puts(out, "&gt;");
        break;
    case '"':
        strbuf_puts(out, "&quot;");
        break;
    case '\'':
        strbuf_puts(out, "&#39;");
        break;
    default:
        strbuf_putc(out, c);
    }
}

void html_text(struct strbuf *out, const char *text)
{
    int64_t n = (int64_t)strlen(text);

    for (int64_t i = 0; i < n;) {
        unsigned char c = (unsigned char)text[i], bytes[4];
        uint32_t cp;
        i += utf8_read(text + i, n - i, &cp);
        if (c == '\n' || c == '\r' || c == '\t')
            strbuf_putc(out, ' ');
        else if (c < 0x20 || (cp >= 0x7f && cp < 0xa0))
            strbuf_putc(out, '?');
        else if (c < 0x80)
            html_char(out, (char)c);
        else
            strbuf_add(out, (const char *)bytes, (size_t)utf8_write(bytes, cp));
    }
}
