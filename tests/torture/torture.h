/* What the parts of the torture program share: a sweep in a folder of its own. */
#ifndef RETORT_TESTS_TORTURE_H
#define RETORT_TESTS_TORTURE_H

#include <stdbool.h>
#include <sys/types.h>

#include "retort/store.h"
#include "seam.h"

struct result {
    char id[65], digest[65];
};

struct bench {
    const char *retort, *library;
    char dir[128], store[160], page[160];
    struct seam *seam;
    struct result *want; /* of an uninterrupted sweep, by id */
    int64_t n_want;
    double seconds; /* that it took */
    int64_t tried, lost;
};

void bench_open(struct bench *b, const char *retort, const char *library);
void bench_close(struct bench *b); /* keeps the folder if something was lost */

/* Begins anew: no store; the seam counts from 0. */
void bench_clear(struct bench *b);
void bench_seam(struct bench *b, int act, int64_t at, int kinds, int error);
/* Starts `retort run` in a process group of its own; `under`: with the seam. */
pid_t bench_start(struct bench *b, bool under);
/* Waits for it and all that it left behind. The exit code, 128 + signal, -1: it hung. */
int bench_wait(struct bench *b, pid_t pid);
/* Runs to the end without a disturbance: all results must be those wanted, and nothing
 * damaged or left over. False, and told, if not. */
bool bench_goes_on(struct bench *b, const char *what, int64_t at);
bool bench_equals(struct bench *b, const char *what, int64_t at);
const char *bench_log(struct bench *b); /* what the last one said */
void bench_lost(struct bench *b, const char *what, int64_t at, const char *why);

/* power.c: ends of power at every `every`-th change, of what was not synced (drop) all,
 * (data) all bytes and no names, (some) each by a coin is lost. */
void torture_power(struct bench *b, int64_t every);

#endif
