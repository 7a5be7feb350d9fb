/*
 * Inside the launcher: processes, order of the jobs, what a person sees.
 */
#ifndef RETORT_LAUNCH_WORKERS_H
#define RETORT_LAUNCH_WORKERS_H

#include <sys/types.h>

#include "retort/file.h"
#include "retort/launch.h"
#include "wire.h"

/* Where a worker finds its socket. */
#define WORKER_FD 3

/* All of `o` but its files, which are those of the spec. */
int order_pack(struct strbuf *sb, const struct worker_order *o, const struct spec *spec,
               struct err *err);

/* ---- process.c: one worker, as its launcher sees it ---- */

enum worker_state { WORKER_NONE, WORKER_STARTING, WORKER_IDLE, WORKER_BUSY };

struct worker {
    enum worker_state state;
    pid_t pid;
    int fd, err_fd;
    struct wire_in in;
    struct strbuf said; /* on stderr, the last line not yet ended */
    char last[256];     /* the last whole line of that */
    /* While busy. */
    int64_t job, done, total;
    char text[160];
    double began;          /* the job */
    double first_at, told; /* first progress; last line about it */
    int64_t first_done;
};

int worker_start(struct worker *w, const struct strbuf *order, int threads,
                 double checkpoint_seconds, struct err *err);
/* Nothing more will come for it: an idle worker ends, a busy one saves and stops. */
void worker_dismiss(struct worker *w);
/* Waits for its end and frees what it had. True if it ended in order (told to stop, it
 * tells what became of its job before); else `how` describes a death by a signal or a bad
 * exit. */
bool worker_reap(struct worker *w, char *how, size_t size);

/* ---- schedule.c: which job next ---- */

enum job_at {
    AT_WAITING,
    AT_READY,
    AT_RUNNING,
    AT_HELD,
    AT_DONE,
    AT_FAILED,
    AT_LEFT_OUT,
    AT_OTHERS
};

struct schedule {
    const struct plan *plan;
    enum job_at *at;
    int64_t *unmet;             /* needs that are not done */
    int64_t *user, *first_user; /* users of job i: user[first_user[i]] ... */
    double *chain; /* seconds from its start to the end of what waits for it */
    int64_t *heap, ready;
    int64_t waiting, running, held, left_out; /* counts */
    int64_t others;                           /* neither ours nor cached */
};

/* Jobs that are cached count as done. With one worker the plan's order holds, with more
 * the longest chain first. `only` (NULL: all): which jobs are ours; one of ours that
 * needs another that is neither ours nor cached is left out. */
int schedule_init(struct schedule *s, const struct plan *plan, int workers,
                  const bool *only, struct err *err);
void schedule_release(struct schedule *s);
int64_t schedule_take(struct schedule *s);           /* now running; -1: none is ready */
void schedule_back(struct schedule *s, int64_t job); /* ready again */
void schedule_hold(struct schedule *s, int64_t job); /* another process works on it */
void schedule_done(struct schedule *s, int64_t job);
void schedule_failed(struct schedule *s, int64_t job); /* what needs it is left out */

/* ---- display.c: what a person sees ---- */

struct display;

struct display_row {
    const char *stage, *variables, *text;
    int64_t done, total; /* total 0: no bar */
    double left;         /* seconds; NaN: unknown */
};

struct display_totals {
    int64_t done, failed, cached, waiting, all;
    double elapsed, left;
};

enum display_tone { TONE_PLAIN, TONE_BAD };

struct display *display_new(bool quiet, struct err *err);
void display_free(struct display *d); /* the live region goes away */
bool display_live(const struct display *d);
/* Others wrote to the terminal (a shell, while we were stopped): the region begins anew
 * below. */
void display_forget(struct display *d);
/* A text that stays, above the live region. */
void display_line(struct display *d, enum display_tone tone, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void display_draw(struct display *d, const struct display_row *row, int64_t n,
                  const struct display_totals *t);
/* "0:07", "1:02:03"; "?" for NaN. */
const char *display_time(char out[32], double seconds);

#endif
