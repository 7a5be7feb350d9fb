/*
 * What the launcher and its workers say to each other, over one stream socket each.
 *
 * A message is a fixed head (length of the text, type, three numbers) and a text. Both
 * ends are the same executable, so there is no version and no byte order.
 */
#ifndef RETORT_LAUNCH_WIRE_H
#define RETORT_LAUNCH_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "retort/err.h"

enum wire_type {
    /* to a worker */
    WIRE_HELLO = 1, /* a: threads; b: ms between checkpoints; text: see worker.c */
    WIRE_JOB,       /* job; a: 1 to run it even if it is sealed */
    WIRE_SAVE,      /* checkpoint now and go on */
    WIRE_STOP,      /* checkpoint and stop */
    /* from a worker */
    WIRE_READY,
    WIRE_REFUSED,  /* it cannot serve this plan; a: err_code; text: why */
    WIRE_PROGRESS, /* job; a of b; text: what the stage tells */
    WIRE_NOTE,     /* job; text */
    WIRE_SAVED,    /* job; a: step of the checkpoint */
    WIRE_DONE,     /* job; a: 1 if another process had sealed it */
    WIRE_FAILED,   /* job; a: err_code; text: why */
};

struct wire {
    enum wire_type type;
    int64_t job, a, b;
    const char *text; /* its last byte is a NUL; others may be inside */
    int64_t len;      /* with that NUL; 0: no text */
};

/* Sends all of it; -1 if the other end is gone. Several threads may send: a message is
 * never torn. */
int wire_send(int fd, const struct wire *m);

/* Bytes on their way in. Zeroed at first. */
struct wire_in {
    char *data;
    int64_t begin, end, capacity;
};

/* Reads once (waiting for something if the descriptor blocks). 1: there may be messages;
 * 0: the other end is gone; -1: nothing now. */
int wire_read(struct wire_in *in, int fd);
/* The next whole message, if *found; its text is valid until the next wire_read. -1 with
 * err if it makes no sense. */
int wire_next(struct wire_in *in, struct wire *out, bool *found, struct err *err);
void wire_release(struct wire_in *in);

#endif
