/*
 * The launcher's own state, shared by launch.c (the loop) and tell.c (what it says).
 */
#ifndef RETORT_LAUNCH_LAUNCHER_H
#define RETORT_LAUNCH_LAUNCHER_H

#include "workers.h"

struct held {
    int64_t job;
    double since;
    char text[160];
};

struct times { /* of finished jobs of one stage */
    const char *stage;
    int64_t n;
    double sum;
};

struct launcher {
    const struct launch *l;
    struct launch_result *out;
    struct schedule s;
    struct worker *w;
    int workers, threads;
    struct strbuf order;
    struct held *held;
    int64_t n_held;
    struct pollfd *poll;
    struct display *display;
    struct display_row *row;
    struct times *times;
    int64_t n_times, *stage_of; /* of each job: which of the times */
    double began, draw_at, look_at, stop_at, beat_at;
    int ends_seen, saves_seen, continues_seen;
    bool stopping, at_once, told_no_start;
    struct err fatal;    /* nothing more can be begun */
    struct err no_start; /* no further worker can be started */
};

/* "[3/141] 1a2b3c4d5e trained seed=1: ..." */
void tell_job(struct launcher *la, enum display_tone tone, int64_t job, const char *fmt,
              ...) __attribute__((format(printf, 4, 5)));
void draw(struct launcher *la);

int times_init(struct launcher *la, struct err *err);
void times_release(struct launcher *la);
void times_add(struct launcher *la, int64_t job, double seconds);
/* Seconds that the worker's job still needs, from how it has gone; NaN: unknown. */
double time_left(const struct worker *w);

#endif
