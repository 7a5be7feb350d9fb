/*
 * UTF-8 as Unicode defines it: no overlong forms, no surrogates, nothing beyond U+10FFFF.
 */
#ifndef RETORT_UTF8_H
#define RETORT_UTF8_H

#include "retort/strbuf.h"

/* Reads the character at `text`, of which n > 0 bytes are left; returns its bytes. An
 * invalid part gives U+FFFD and is as long as it could be the beginning of a character
 * (Unicode 15, section 3.9, "maximal subpart"). */
int64_t utf8_read(const char *text, int64_t n, uint32_t *cp);

/* Its bytes; returns their number. */
int utf8_write(unsigned char out[4], uint32_t cp);

/* Bytes of the character at `text`, of which n > 0 bytes are left; 0 if it is none. */
int64_t utf8_length(const char *text, int64_t n);

/* The same for going over any text: a byte that is no character counts as one. */
int64_t utf8_step(const char *text, int64_t n);

/* Offset of the first byte that begins no character, or -1. */
int64_t utf8_invalid(const char *text, int64_t n);

/* Appends text that comes from outside, made harmless for a terminal and kept to its
 * line: control characters become '?' (a tab stays), bytes that are no character U+FFFD.
 */
void utf8_show(struct strbuf *out, const char *text, int64_t n);

#endif
