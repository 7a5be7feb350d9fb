/* HTTP by libcurl, which http.c alone knows; private to runner/fetch. */
#ifndef RETORT_FETCH_HTTP_H
#define RETORT_FETCH_HTTP_H

#include "retort/mem.h"

#define HTTP_TEXT 512

struct http; /* a connection that is used again */

/* `token` (may be NULL) goes to the first host alone, never to one that it redirects to,
 * and into no message. */
int http_new(struct http **out, const char *token, struct err *err);
void http_free(struct http *http);

/* What a server says of a file. Texts are "" where it says nothing. */
struct http_reply {
    long status;
    int64_t size; /* X-Linked-Size, else Content-Length, else -1 */
    char etag[HTTP_TEXT], linked_etag[HTTP_TEXT], commit[HTTP_TEXT], location[HTTP_TEXT];
};

/* Asks for the headers and follows no redirect to another host: its answer tells less. */
int http_head(struct http *http, const char *url, struct http_reply *reply,
              struct err *err);

struct http_progress {
    void (*tell)(void *ctx, int64_t done, int64_t total);
    void *ctx;
};

/* Appends to the file `path` what it lacks of `size` bytes (-1: unknown, then at most
 * `most`), again and again where the connection breaks. A file that is longer than it
 * should be, or that the server does not continue, is begun anew. */
int http_get(struct http *http, const char *url, const char *path, int64_t size,
             int64_t most, const struct http_progress *progress, struct err *err);

#endif
