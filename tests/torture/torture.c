/*
 * Tries to lose something of a sweep: torture RETORT SEAM.so short|long|PART [EVERY]
 *
 * A small sweep with every kind of stage is killed, starved and refused at its 1st, 2nd,
 * 3rd ... change of the disk (the short form: at some of them), then it is run again
 * undisturbed. Each time all results must be those of a sweep that nothing happened to,
 * every byte of the store as it was written, and nothing left lying about.
 */
#include "torture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "retort/rng.h"

#define CHANGES (SEAM_CHANGES | SEAM_SYNCS)

static void after_walk(struct bench *b, const char *what, int64_t tried, int64_t lost,
                       int64_t silent)
{
    printf("%-44s %5lld times, %lld lost", what, (long long)tried, (long long)lost);
    if (silent)
        printf(", %lld without a word", (long long)silent);
    printf("\n");
    fflush(stdout);
    b->tried += tried;
}

/* ---- killed at a call ---- */

static void kill_at(struct bench *b, const char *what, int act, int kinds, int64_t first,
                    int64_t every)
{
    int64_t tried = 0, lost = b->lost;

    for (int64_t n = first;; n += every) {
        bench_clear(b);
        bench_seam(b, act, n, kinds, 0);
        bench_wait(b, bench_start(b, true));
        if (b->seam->calls < n)
            break;
        if (!b->seam->acted) /* the launcher's call, where a worker was meant */
            continue;
        tried++;
        bench_goes_on(b, what, n);
    }
    after_walk(b, what, tried, b->lost - lost, 0);
}

static void kills(struct bench *b, int64_t every)
{
    kill_at(b, "killed before a change of the disk", SEAM_KILL, CHANGES, 1, every);
    kill_at(b, "killed amid a write", SEAM_KILL_HALF, SEAM_CHANGES, 1 + every / 3, every);
    kill_at(b, "killed after a change", SEAM_KILL_AFTER, CHANGES, 1 + every / 2, every);
}

static void workers(struct bench *b, int64_t every)
{
    kill_at(b, "worker killed, its launcher lives", SEAM_KILL_WORKER, CHANGES, 1, every);
    kill_at(b, "launcher killed, its workers live", SEAM_KILL_PARENT, CHANGES, 1, every);
}

/* ---- killed at a moment ---- */

static void wait_a_part(struct bench *b, struct rng *r)
{
    double s = 1.1 * b->seconds * rng_uniform(r);
    struct timespec t = {(time_t)s, (long)(1e9 * (s - (double)(time_t)s))};

    nanosleep(&t, NULL);
}

static void moments(struct bench *b, int64_t every)
{
    struct rng r;
    int64_t lost = b->lost, n = 500 / every;

    r = rng_stream(1, "torture/moments");
    for (int64_t i = 0; i < n; i++) {
        bench_clear(b);
        pid_t pid = bench_start(b, false);
        wait_a_part(b, &r);
        kill(-pid, SIGKILL);
        bench_wait(b, pid);
        bench_goes_on(b, "killed at a random moment", i);
    }
    after_walk(b, "killed at a random moment", n, b->lost - lost, 0);
}

static void signals(struct bench *b, int64_t every)
{
    static const int which[] = {SIGINT, SIGTERM, SIGHUP};
    struct rng r;
    int64_t lost = b->lost, n = 100 / every;

    r = rng_stream(2, "torture/signals");
    for (int64_t i = 0; i < n; i++) {
        bench_clear(b);
        pid_t pid = bench_start(b, false);
        wait_a_part(b, &r);
        kill(pid, which[i % 3]);
        if (i % 2) { /* a second time: at once */
            usleep(320000);
            kill(pid, which[i % 3]);
        }
        int code = bench_wait(b, pid);
        if (code != 0 && code != 128 + which[i % 3])
            bench_lost(b, "INT, TERM, HUP", i, "the exit code is another");
        bench_goes_on(b, "INT, TERM, HUP", i);
    }
    after_walk(b, "INT, TERM or HUP, once and twice", n, b->lost - lost, 0);
}

/* ---- refused ---- */

/* Does it say what was refused? */
static bool tells(const char *log, int error)
{
    return strstr(log, strerror(error)) || (error == ENOMEM && strstr(log, "memory")) ||
           (error == EAGAIN && strstr(log, "thread"));
}

/* A refusal is told with its cause and ends in a failure, or it did no harm; the next
 * sweep completes. */
static void refuse(struct bench *b, const char *what, int act, int kinds, int error,
                   int64_t first, int64_t every)
{
    int64_t tried = 0, lost = b->lost, silent = 0;

    for (int64_t n = first;; n += every) {
        bench_clear(b);
        bench_seam(b, act, n, kinds, error);
        int code = bench_wait(b, bench_start(b, true));
        if (!b->seam->acted)
            break;
        tried++;
        if (code > 128 || code < 0) {
            bench_lost(b, what, n, bench_log(b));
        } else if (code && !tells(bench_log(b), error)) {
            silent++;
            printf("Not told: %s at %lld: %s\n", what, (long long)n, bench_log(b));
        } else if (!code) {
            bench_equals(b, what, n);
        }
        bench_goes_on(b, what, n);
    }
    after_walk(b, what, tried, b->lost - lost, silent);
    b->lost += silent;
}

static void faults(struct bench *b, int64_t every)
{
    refuse(b, "one change fails (ENOSPC)", SEAM_FAIL, CHANGES, ENOSPC, 1, every);
    refuse(b, "one change fails (EIO)", SEAM_FAIL, CHANGES, EIO, 1 + every / 4, every);
    refuse(b, "one change fails (EDQUOT)", SEAM_FAIL, CHANGES, EDQUOT, 1 + every / 2,
           every);
    refuse(b, "the disk is full from then on (ENOSPC)", SEAM_FAIL_ALL, CHANGES, ENOSPC, 1,
           2 * every);
    refuse(b, "read-only from then on (EROFS)", SEAM_FAIL_ALL, CHANGES, EROFS,
           1 + every / 2, 2 * every);
    refuse(b, "one open, read or mapping fails (EIO)", SEAM_FAIL, SEAM_READS, EIO, 1,
           every);
    refuse(b, "one thread cannot be started", SEAM_FAIL, SEAM_THREADS, EAGAIN, 1,
           1 + every / 200);
}

static void allocations(struct bench *b, int64_t every)
{
    refuse(b, "one allocation fails", SEAM_FAIL, SEAM_ALLOCS, ENOMEM, 1, 37 * every);
}

static void stutter(struct bench *b, int64_t every)
{
    int64_t lost = b->lost;

    (void)every;
    bench_clear(b);
    bench_seam(b, SEAM_STUTTER, 0, 0, 0);
    if (bench_wait(b, bench_start(b, true)))
        bench_lost(b, "short and interrupted calls", 0, bench_log(b));
    else
        bench_equals(b, "short and interrupted calls", 0);
    after_walk(b, "short and interrupted reads and writes", b->seam->acted,
               b->lost - lost, 0);
    b->tried -= b->seam->acted - 1; /* one sweep */
}

/* ---- the whole ---- */

static const struct {
    const char *name;
    void (*run)(struct bench *b, int64_t every);
    int64_t in_short, in_long; /* 0: not in it */
} parts[] = {
    {"kills", kills, 211, 1},
    {"moments", moments, 250, 1},
    {"signals", signals, 50, 1},
    {"workers", workers, 601, 3},
    {"power", torture_power, 701, 1},
    {"faults", faults, 601, 1},
    {"allocations", allocations, 97, 1},
    {"stutter", stutter, 1, 1},
};
enum { PARTS = sizeof parts / sizeof *parts };

int main(int argc, char **argv)
{
    struct bench b;
    const char *what = argc > 3 ? argv[3] : "";
    bool is_short = !strcmp(what, "short"), is_long = !strcmp(what, "long"), any = false;
    int64_t every = argc > 4 ? strtoll(argv[4], NULL, 10) : 0;

    if (argc < 4) {
        fprintf(stderr, "usage: torture RETORT SEAM.so short|long|PART [EVERY]\n");
        return 2;
    }
    bench_open(&b, argv[1], argv[2]);
    for (int i = 0; i < PARTS; i++)
        if (is_short || is_long || !strcmp(what, parts[i].name)) {
            int64_t own = is_short ? parts[i].in_short : parts[i].in_long;
            parts[i].run(&b, every > 0 ? every : own);
            any = true;
        }
    printf("%lld disturbances, %lld losses\n", (long long)b.tried, (long long)b.lost);
    int rc = !any ? 2 : b.lost ? 1 : 0;
    bench_close(&b);
    return rc;
}
