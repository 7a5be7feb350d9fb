/*
 * A small HTTP server on the loopback, as bad as it is told to be: for tests of what
 * fetches. A process for each connection; the test and they share `struct site`.
 */
#ifndef RETORT_TESTS_HTTP_SERVER_H
#define RETORT_TESTS_HTTP_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum manner { /* of the bodies */
              WELL,
              CUT,     /* the first two answers end in their middle */
              STALL,   /* the first answer goes silent in its middle */
              DEAF,    /* cut, and Range is not understood */
              MORE,    /* longer than the file is said to be */
              OTHER,   /* other bytes of the same length */
              FAIL,    /* 500 */
              LIE,     /* Content-Length says more than comes, always */
              LOOP,    /* redirects to itself */
              GATED,   /* 401 */
              NO_HASH, /* an ETag that is a path */
};

#define SITE_FILES 12
#define SITE_COMMIT "0123456789abcdef0123456789abcdef01234567"

struct site_file {
    char path[200]; /* "org/name/config.json" of a model; else the URL's own path */
    char etag[80];
    bool large; /* its bytes are on another host, and its digest in X-Linked-ETag */
    size_t size;
    unsigned char bytes[1 << 16];
};

struct site {
    int port;
    pid_t pid;
    _Atomic enum manner manner;
    _Atomic int requests, bodies, ranges, tokens, leaked; /* leaked: to the other host */
    int n;
    struct site_file file[SITE_FILES];
};

static void site_say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) < 0)
        _exit(0);
}

/* The value of a header in the request, or NULL. */
static const char *site_header(const char *request, const char *name)
{
    const char *at = strcasestr(request, name);
    return at ? at + strlen(name) : NULL;
}

static void site_body(struct site *s, int fd, const struct site_file *f,
                      const char *request)
{
    enum manner m = atomic_load(&s->manner);
    const char *range = site_header(request, "\r\nRange: bytes=");
    size_t from = range && m != DEAF ? (size_t)strtoul(range, NULL, 10) : 0;
    int turn = atomic_fetch_add(&s->bodies, 1);
    size_t n = f->size > from ? f->size - from : 0, send = n;
    unsigned char other[1 << 16];
    char head[400];

    if (range)
        atomic_fetch_add(&s->ranges, 1);
    if (m == FAIL) {
        site_say(fd,
                 "HTTP/1.1 500 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\noops");
        return;
    }
    if (from > 0 && n == 0) {
        site_say(fd, "HTTP/1.1 416 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    }
    if ((m == CUT || m == DEAF) && turn < 2)
        send = n / 2;
    if ((m == STALL && turn < 1) || m == LIE)
        send = n / 2;
    memcpy(other, f->bytes, f->size);
    if (m == OTHER)
        other[f->size / 2] ^= 1;
    if (from > 0)
        snprintf(head, sizeof head,
                 "HTTP/1.1 206 Part\r\nContent-Range: bytes %zu-%zu/%zu\r\n"
                 "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                 from, f->size - 1, f->size, n);
    else if (m == MORE)
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    else
        snprintf(head, sizeof head,
                 "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                 n);
    site_say(fd, head);
    if (send > 0 && write(fd, other + from, send) < 0)
        return;
    if (m == MORE)
        site_say(fd, "and more");
    if (m == STALL && turn < 1)
        sleep(20);
}

/* "/org/name/resolve/main/config.json" is the file "org/name/config.json". */
static const struct site_file *site_find(const struct site *s, const char *url)
{
    char path[512];
    const char *mark = strstr(url, "/resolve/"), *file;

    snprintf(path, sizeof path, "%s", url);
    if (mark && (file = strchr(mark + 9, '/')))
        snprintf(path, sizeof path, "%.*s%s", (int)(mark - url - 1), url + 1, file);
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->file[i].path, path))
            return &s->file[i];
    return NULL;
}

static void site_answer(struct site *s, int fd, const char *request)
{
    bool head = !strncmp(request, "HEAD ", 5), token, cdn;
    char url[400] = "", text[1200];
    const struct site_file *f;
    enum manner m = atomic_load(&s->manner);

    sscanf(request, "%*s %399s", url);
    atomic_fetch_add(&s->requests, 1);
    token = site_header(request, "\r\nAuthorization: ") != NULL;
    cdn = !strncmp(url, "/cdn", 4);
    atomic_fetch_add(cdn ? &s->leaked : &s->tokens, token);
    f = site_find(s, cdn ? url + 4 : url);
    if (m == LOOP) {
        snprintf(text, sizeof text,
                 "HTTP/1.1 302 There\r\nLocation: %s\r\nContent-Length: 0\r\n"
                 "Connection: close\r\n\r\n",
                 url);
        site_say(fd, text);
    } else if (!f || m == GATED) {
        snprintf(text, sizeof text,
                 "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                 m == GATED ? "401 Gated" : "404 None");
        site_say(fd, text);
    } else if (f->large && !cdn) {
        snprintf(text, sizeof text,
                 "HTTP/1.1 302 There\r\nLocation: http://localhost:%d/cdn%s\r\n"
                 "X-Repo-Commit: " SITE_COMMIT "\r\nX-Linked-ETag: \"%s\"\r\n"
                 "X-Linked-Size: %zu\r\nContent-Length: 5\r\nConnection: close\r\n\r\n%s",
                 s->port, url, m == NO_HASH ? "../../evil" : f->etag, f->size,
                 head ? "" : "there");
        site_say(fd, text);
    } else if (head) {
        snprintf(text, sizeof text,
                 "HTTP/1.1 200 OK\r\nX-Repo-Commit: " SITE_COMMIT "\r\nETag: \"%s\"\r\n"
                 "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                 f->etag, f->size);
        site_say(fd, text);
    } else {
        site_body(s, fd, f, request);
    }
}

static void site_serve(struct site *s, int listener)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* not longer than the test */
    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            _exit(0);
        if (fork() == 0) {
            char request[4096];
            size_t n = 0;
            ssize_t got;
            close(listener);
            request[0] = '\0';
            while (!strstr(request, "\r\n\r\n") && n + 1 < sizeof request &&
                   (got = read(fd, request + n, sizeof request - 1 - n)) > 0) {
                n += (size_t)got;
                request[n] = '\0';
            }
            site_answer(s, fd, request);
            shutdown(fd, SHUT_WR);
            _exit(0);
        }
        close(fd);
    }
}

/* NULL if there is no loopback. */
static struct site *site_start(void)
{
    struct site *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (s == MAP_FAILED || fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) ||
        listen(fd, 64) || getsockname(fd, (struct sockaddr *)&at, &len))
        return NULL;
    s->port = ntohs(at.sin_port);
    s->pid = fork();
    if (s->pid == 0)
        site_serve(s, fd);
    close(fd);
    return s->pid > 0 ? s : NULL;
}

static void site_stop(struct site *s)
{
    if (s && s->pid > 0) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
    }
}

#endif
