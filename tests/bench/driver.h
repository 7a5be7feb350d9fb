/*
 * The driver's parts: cases, their sides' processes, what they gave.
 */
#ifndef RETORT_BENCH_DRIVER_H
#define RETORT_BENCH_DRIVER_H

#include "bench.h"

#include <stdio.h>
#include <sys/types.h>

#include "retort/json.h"

enum { SIDES_MAX = 8, ROUNDS_MAX = 32, ARGS_MAX = 16 };

struct setup {
    const char *self, *folder, *python; /* python NULL: without the peer */
    const char *retort;                 /* the program */
    int threads;
    char build[65]; /* digest of all that decides a figure but the machine's mood */
    char how[100];  /* rounds and peers that were asked for */
};

/* ---- cases.c ---- */

/* The case number i of those that BENCH and BENCH_ONLY ask for, or false after the
 * last. */
bool case_at(struct bench_case *c, size_t i);
void case_name(char *out, size_t size, const struct bench_case *c);
/* Is something called `name` asked for, that belongs to runs of a size (0 quick, 1
 * default, 2 full)? */
bool case_wanted(int size, const char *name);
/* BENCH=kept: nothing is measured, what is kept makes the page. */
bool case_kept_alone(void);
/* Heads are ablated and students distilled by the methods, which read real files. */
bool case_at_hand(const struct bench_case *c);

/* ---- child.c ---- */

enum side_kind { SIDE_OWN, SIDE_LIMIT, SIDE_STREAM, SIDE_PEER };

struct child {
    enum side_kind kind;
    const char *name; /* "retort", "torch eager", ... */
    int threads;
    pid_t pid; /* 0: not running */
    FILE *to, *from;
    char about[200];
    char cannot[200]; /* why a peer does not take part, or "" */
    char digest[65];
    int64_t rounds;
    double seconds[ROUNDS_MAX], cpu[ROUNDS_MAX], value[ROUNDS_MAX];
    double peak;
};

int child_start(struct child *ch, char *const argv[], struct err *err);
int child_ready(struct child *ch, struct err *err);
int child_round(struct child *ch, struct err *err);
/* One more round, profiled to base.txt and base.trace.json. */
int child_profile(struct child *ch, const char *base, struct err *err);
int child_end(struct child *ch, struct err *err);
void child_stop(struct child *ch);

/* ---- result.c ---- */

struct lap_sum {
    char name[64];
    bool back;
    double seconds, flops, bytes;
};

struct result {
    const struct bench_case *c;
    char name[96];
    bool real_model, real_data;
    struct child side[SIDES_MAX];
    int64_t n;
    double tokens[ROUNDS_MAX];
    struct flops flops[ROUNDS_MAX]; /* backward included */
    struct lap_sum lap[128];        /* of the profiled round */
    int laps;
};

struct spread {
    double median, low, high;
};
struct spread spread_of(const double *v, int64_t n);
void put_spread(struct json_writer *w, const char *name, struct spread s);

/* Sums the laps of a trace by their names. */
int result_profile(struct result *r, const char *trace, struct err *err);
/* The result as one JSON object; build, way and date stand in it. */
int result_text(struct strbuf *out, const struct result *r, const struct setup *s,
                struct err *err);
void result_print(const struct result *r);

/* ---- keep.c: finished cases, so that a run that was stopped goes on ---- */

/* What was measured under this name by this build in this way, or NULL; with BENCH=kept
 * in any way. */
char *kept_load(const struct setup *s, const char *name);
bool kept_is(const struct setup *s, const char *name);
int kept_save(const struct setup *s, const char *name, const char *text, struct err *err);
/* setup.build, a digest of programs, peer, processor, threads; setup.how. */
int kept_build(struct setup *s, struct err *err);
void processor_name(char *out, size_t size);

/* ---- system.c: what is not products ---- */

/* Measures all that is asked for and adds each result, a JSON object, to an array; how
 * many failed, which is told. */
int system_run(struct json_writer *w, const struct setup *s);

#endif
