/* Messages between the launcher and its workers. */
#include "wire.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "retort/mem.h"

#define TEXT_MAX (INT64_C(1) << 28)

struct head {
    int64_t len, type, job, a, b;
};

int wire_send(int fd, const struct wire *m)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct head head = {m->len, m->type, m->job, m->a, m->b};
    struct iovec part[2] = {{&head, sizeof head}, {NULL, (size_t)m->len}};
    struct msghdr msg = {.msg_iov = part, .msg_iovlen = 2};
    int rc = 0;

    /* sendmsg reads only; its type has no const. */
    memcpy(&part[1].iov_base, &m->text, sizeof m->text);
    pthread_mutex_lock(&lock);
    while (!rc && part[0].iov_len + part[1].iov_len > 0) {
        ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            rc = -1;
        for (int i = 0; n > 0 && i < 2; i++) {
            size_t used = (size_t)n < part[i].iov_len ? (size_t)n : part[i].iov_len;
            part[i].iov_base = (char *)part[i].iov_base + used;
            part[i].iov_len -= used;
            n -= (ssize_t)used;
        }
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

int wire_read(struct wire_in *in, int fd)
{
    struct err err = ERR_INIT;

    if (in->begin) {
        memmove(in->data, in->data + in->begin, (size_t)(in->end - in->begin));
        in->end -= in->begin;
        in->begin = 0;
    }
    if (in->capacity - in->end < 4096) {
        char *more = mem_resize(in->data, 2 * in->capacity + 8192, 1, &err);
        if (!more)
            return 0; /* without memory there is no talking on */
        in->data = more;
        in->capacity = 2 * in->capacity + 8192;
    }
    ssize_t n;
    do
        n = recv(fd, in->data + in->end, (size_t)(in->capacity - in->end - 1), 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return -1;
    if (n <= 0)
        return 0;
    in->end += n;
    return 1;
}

int wire_next(struct wire_in *in, struct wire *out, bool *found, struct err *err)
{
    struct head head;
    int64_t there = in->end - in->begin;

    *found = false;
    if (there < (int64_t)sizeof head)
        return 0;
    memcpy(&head, in->data + in->begin, sizeof head);
    if (head.len < 0 || head.len > TEXT_MAX || head.type < WIRE_HELLO ||
        head.type > WIRE_FAILED)
        return err_set(err, ERR_IO, "a message between processes makes no sense");
    if (there < (int64_t)sizeof head + head.len)
        return 0;
    const char *text = in->data + in->begin + sizeof head;
    if (head.len && text[head.len - 1])
        return err_set(err, ERR_IO, "a message between processes has no end");
    *out = (struct wire){(enum wire_type)head.type, head.job, head.a, head.b,
                         head.len ? text : "",      head.len};
    in->begin += (int64_t)sizeof head + head.len;
    *found = true;
    return 0;
}

void wire_release(struct wire_in *in)
{
    free(in->data);
    memset(in, 0, sizeof *in);
}
