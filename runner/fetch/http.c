/*
 * A download is a file that grows. Each attempt asks for what is missing (Range); a
 * server that sends everything instead (200) makes us begin anew, since its answer may be
 * of another file. Whoever calls checks the digest: nothing here is believed.
 */
#include "http.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "retort/file.h"

enum { ATTEMPTS = 5, REDIRECTS = 5, CONNECT_SECONDS = 15, STALL_SECONDS = 30 };

struct http {
    CURL *curl;
    struct curl_slist *headers;
    char why[CURL_ERROR_SIZE];
    long stall;
};

/* Seconds without a byte until an attempt is given up. */
static long stall_seconds(void)
{
    const char *text = getenv("HF_HUB_DOWNLOAD_TIMEOUT");
    char *end = NULL;
    long n = text ? strtol(text, &end, 10) : 0;

    return text && end != text && !*end && n >= 1 && n <= 86400 ? n : STALL_SECONDS;
}

static int add_token(struct http *h, const char *token, struct err *err)
{
    char *line;

    for (const char *c = token; *c; c++)
        if (*c <= ' ' || *c > '~')
            return err_set(err, ERR_INPUT,
                           "HF_TOKEN holds a blank or a character that no token has");
    line = mem_printf(err, "Authorization: Bearer %s", token);
    if (line && !(h->headers = curl_slist_append(NULL, line)))
        err_set(err, ERR_MEMORY, "no memory for a request");
    free(line);
    return h->headers ? 0 : -1;
}

int http_new(struct http **out, const char *token, struct err *err)
{
    struct http *h = mem_new(1, sizeof *h, err);

    *out = NULL;
    if (!h)
        return -1;
    h->stall = stall_seconds();
    h->curl = curl_easy_init();
    if (!h->curl) {
        err_set(err, ERR_MEMORY, "libcurl does not start");
        http_free(h);
        return -1;
    }
    if (token && add_token(h, token, err)) {
        http_free(h);
        return -1;
    }
    *out = h;
    return 0;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    curl_slist_free_all(h->headers);
    if (h->curl)
        curl_easy_cleanup(h->curl);
    free(h);
}

/* What all requests have. Signals are the program's, so libcurl uses none. */
static void prepare(struct http *h, const char *url)
{
    CURL *c = h->curl;

    curl_easy_reset(c); /* connections stay */
    h->why[0] = '\0';
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, h->headers);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "retort");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, h->why);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, h->stall);
}

static const char *reason(const struct http *h, CURLcode code)
{
    return h->why[0] ? h->why : curl_easy_strerror(code);
}

/* ---- headers ---- */

/* The value of a header of this name, without blanks around it. */
static bool header(char out[HTTP_TEXT], const char *line, size_t n, const char *name)
{
    size_t k = strlen(name);

    if (n <= k || strncasecmp(line, name, k) != 0 || line[k] != ':')
        return false;
    for (k++; k < n && (line[k] == ' ' || line[k] == '\t'); k++)
        ;
    while (n > k && strchr(" \t\r\n", line[n - 1]))
        n--;
    if (n - k >= HTTP_TEXT)
        return false;
    memcpy(out, line + k, n - k);
    out[n - k] = '\0';
    return true;
}

/* W/"abc" and "abc" are abc. */
static void bare(char *tag)
{
    size_t n;

    if (!strncmp(tag, "W/", 2))
        memmove(tag, tag + 2, strlen(tag) - 1);
    n = strlen(tag);
    if (n >= 2 && tag[0] == '"' && tag[n - 1] == '"') {
        memmove(tag, tag + 1, n - 2);
        tag[n - 2] = '\0';
    }
}

static void read_size(int64_t *size, const char *text)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);

    if (end != text && !*end && n >= 0 && !errno)
        *size = n;
}

struct heading {
    struct http_reply *reply;
    bool linked_size;
};

static size_t read_header(char *line, size_t one, size_t n, void *to)
{
    struct heading *h = to;
    struct http_reply *r = h->reply;
    char text[HTTP_TEXT];

    if (header(r->etag, line, n * one, "ETag"))
        bare(r->etag);
    if (header(r->linked_etag, line, n * one, "X-Linked-ETag"))
        bare(r->linked_etag);
    (void)header(r->commit, line, n * one, "X-Repo-Commit");
    (void)header(r->location, line, n * one, "Location");
    if (header(text, line, n * one, "Content-Length") && !h->linked_size)
        read_size(&r->size, text);
    if (header(text, line, n * one, "X-Linked-Size")) {
        h->linked_size = true;
        read_size(&r->size, text);
    }
    return n * one;
}

/* Of "https://host:1/a/b", the length of "https://host:1". */
static size_t host_of(const char *url)
{
    const char *p = strstr(url, "://");
    return p ? (size_t)(p + 3 - url) + strcspn(p + 3, "/") : 0;
}

static int head_once(struct http *h, const char *url, struct http_reply *r,
                     struct err *err)
{
    struct heading to = {r, false};
    CURLcode code;

    *r = (struct http_reply){.size = -1};
    prepare(h, url);
    curl_easy_setopt(h->curl, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(h->curl, CURLOPT_HEADERFUNCTION, read_header);
    curl_easy_setopt(h->curl, CURLOPT_HEADERDATA, &to);
    code = curl_easy_perform(h->curl);
    if (code != CURLE_OK)
        return err_set(err, ERR_IO, "%s: %s", url, reason(h, code));
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &r->status);
    return 0;
}

static bool passes(long status)
{
    return status == 429 || status >= 500;
}

static void wait_before(int attempt)
{
    struct timespec t = {0, 100000000L};

    for (int i = 0; i < 1 << attempt; i++)
        nanosleep(&t, NULL);
}

/* Once more where the server or the way to it failed for the moment. */
static int head_patiently(struct http *h, const char *url, struct http_reply *r,
                          struct err *err)
{
    for (int attempt = 0;; attempt++) {
        struct err last = ERR_INIT;
        int rc = head_once(h, url, r, &last);
        if (rc == 0 && !passes(r->status))
            return 0;
        if (attempt + 1 == ATTEMPTS)
            return rc ? err_set(err, last.code, "%s", last.text)
                      : err_set(err, ERR_IO, "%s: the server answers %ld", url,
                                r->status);
        wait_before(attempt);
    }
}

int http_head(struct http *h, const char *url, struct http_reply *r, struct err *err)
{
    char *at = mem_strdup(url, err), *next;
    int rc = -1;

    for (int i = 0; at && i <= REDIRECTS; i++) {
        if (head_patiently(h, at, r, err))
            break;
        /* A model that was renamed: the answer names a path of the same host. */
        if (r->status < 300 || r->status >= 400 || r->location[0] != '/' ||
            r->location[1] == '/' || r->linked_etag[0]) {
            rc = 0;
            break;
        }
        if (i == REDIRECTS) {
            err_set(err, ERR_IO, "%s: more than %d redirects", url, REDIRECTS);
            break;
        }
        next = mem_printf(err, "%.*s%s", (int)host_of(at), at, r->location);
        free(at);
        at = next;
    }
    free(at);
    return rc;
}

/* ---- bodies ---- */

struct getting {
    struct http *h;
    int fd;
    const char *path;
    int64_t at, size, most; /* bytes that are there, should be, may be */
    bool begun, fatal;
    long status;
    const struct http_progress *progress;
    struct err *err;
};

/* At the first bytes of an answer: does it go on from where we are? */
static int begin_body(struct getting *g)
{
    g->begun = true;
    curl_easy_getinfo(g->h->curl, CURLINFO_RESPONSE_CODE, &g->status);
    if (g->status == 206 || (g->status == 200 && g->at == 0))
        return 0;
    if (g->status != 200)
        return -1; /* an error's page, no file */
    if (ftruncate(g->fd, 0) || lseek(g->fd, 0, SEEK_SET) < 0) {
        g->fatal = true;
        return err_errno(g->err, "%s", g->path);
    }
    g->at = 0;
    return 0;
}

static size_t read_body(char *data, size_t one, size_t n, void *to)
{
    struct getting *g = to;
    int64_t limit = g->size >= 0 ? g->size : g->most;

    n *= one;
    if (!g->begun && begin_body(g))
        return CURL_WRITEFUNC_ERROR;
    if ((int64_t)n > limit - g->at) {
        g->at = limit + 1;
        return CURL_WRITEFUNC_ERROR;
    }
    if (file_write_fd(g->fd, data, (int64_t)n, g->path, g->err)) {
        g->fatal = true;
        return CURL_WRITEFUNC_ERROR;
    }
    g->at += (int64_t)n;
    if (g->progress && g->progress->tell)
        g->progress->tell(g->progress->ctx, g->at, g->size);
    return n;
}

/* Opens the file at its end; one that is too long begins anew. */
static int open_end(struct getting *g)
{
    struct stat st;

    g->fd = open(g->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (g->fd < 0 || fstat(g->fd, &st))
        return err_errno(g->err, "%s", g->path);
    g->at = g->size >= 0 && st.st_size <= g->size ? st.st_size : 0;
    if (ftruncate(g->fd, g->at) || lseek(g->fd, g->at, SEEK_SET) < 0)
        return err_errno(g->err, "%s", g->path);
    return 0;
}

enum outcome { GOT_ALL, GOT_SOME, GOT_REFUSED };

static enum outcome get_once(struct getting *g, const char *url, struct err *why)
{
    CURL *c = g->h->curl;
    CURLcode code;

    prepare(g->h, url);
    g->begun = false;
    g->status = 0;
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, read_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, g);
    if (g->at > 0)
        curl_easy_setopt(c, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)g->at);
    code = curl_easy_perform(c);
    if (g->fatal)
        return GOT_REFUSED;
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &g->status);
    if (g->status >= 400 && g->status != 416) {
        err_set(why, g->status == 404 ? ERR_MISSING : ERR_IO,
                "%s: the server answers %ld", url, g->status);
        return passes(g->status) ? GOT_SOME : GOT_REFUSED;
    }
    if (g->size >= 0 && g->at == g->size && (code == CURLE_OK || g->begun))
        return GOT_ALL;
    if (code == CURLE_OK && g->size < 0 && g->status == 200)
        return GOT_ALL;
    if (code == CURLE_TOO_MANY_REDIRECTS) {
        err_set(why, ERR_IO, "%s: more than %d redirects", url, REDIRECTS);
        return GOT_REFUSED;
    }
    if (g->at > (g->size >= 0 ? g->size : g->most))
        err_set(why, ERR_IO,
                "%s: the server sends more than the %" PRId64 " bytes it has", url,
                g->size >= 0 ? g->size : g->most);
    else if (code == CURLE_OK)
        err_set(why, ERR_IO, "%s: %" PRId64 " bytes came of %" PRId64, url, g->at,
                g->size);
    else
        err_set(why, ERR_IO, "%s: %s", url, reason(g->h, code));
    /* What cannot be continued is begun anew. */
    if (g->status == 416 || code == CURLE_RANGE_ERROR ||
        code == CURLE_BAD_DOWNLOAD_RESUME || g->at > g->size) {
        g->at = 0;
        if (ftruncate(g->fd, 0) || lseek(g->fd, 0, SEEK_SET) < 0)
            return GOT_REFUSED;
    }
    return GOT_SOME;
}

int http_get(struct http *h, const char *url, const char *path, int64_t size,
             int64_t most, const struct http_progress *progress, struct err *err)
{
    struct getting g = {.h = h,
                        .fd = -1,
                        .path = path,
                        .size = size,
                        .most = most,
                        .progress = progress,
                        .err = err};
    enum outcome out = GOT_SOME;
    struct err why = ERR_INIT;
    int rc = open_end(&g);

    if (rc == 0 && size >= 0 && g.at == size && size > 0)
        out = GOT_ALL; /* broke off between its last byte and its renaming */
    /* Only attempts that brought nothing are counted. */
    for (int idle = 0; rc == 0 && out == GOT_SOME && idle < ATTEMPTS;) {
        int64_t before = g.at;
        if (idle > 0)
            wait_before(idle);
        err_clear(&why);
        out = get_once(&g, url, &why);
        idle = g.at > before ? 0 : idle + 1;
    }
    if (rc == 0 && out != GOT_ALL)
        rc = err_is_set(&why) ? err_set(err, why.code, "%s", why.text)
                              : err_set(err, ERR_IO, "%s: nothing came", url);
    if (rc == 0 && fsync(g.fd))
        rc = err_errno(err, "%s", path);
    if (g.fd >= 0 && close(g.fd) && rc == 0)
        rc = err_errno(err, "%s", path);
    return rc;
}
