/* Text inside of HTML and SVG: names come out as they are, never as markup. */
#ifndef RETORT_RUNNER_REPORT_HTML_H
#define RETORT_RUNNER_REPORT_HTML_H

#include "retort/strbuf.h"

/* Appends the text for an element or a quoted attribute: & < > " ' are references, line
 * ends and tabs blanks, other control characters '?', what is no UTF-8 U+FFFD. */
void html_text(struct strbuf *out, const char *text);
/* The same for one character of a valid text. */
void html_char(struct strbuf *out, char c);

#endif
