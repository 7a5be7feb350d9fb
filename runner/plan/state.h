/*
 * Inside the states of a plan: what the store holds, and what it tells about jobs that
 * are still to be done.
 */
#ifndef RETORT_PLAN_STATE_H
#define RETORT_PLAN_STATE_H

#include "plan.h"

struct states {
    struct planner *pl;
    struct run_info *run; /* all of the store, by start */
    int64_t n;
    int opened, explained; /* runs read and jobs compared for the sake of reasons */
    int read, compared;    /* the same for the sake of forecasts */
    const char **size;     /* NULL: not known */
    int64_t n_sizes, cap_sizes;
    struct map size_at;   /* id of a job or run -> its size */
    struct map like;      /* stage -> its newest run */
    struct map chosen_at; /* id of a selection -> which it took, from 1; 0: not run yet */
};

/* NULL if it is no JSON. */
struct json_doc *quiet_json(const char *text);

/* The sealed run most like this job: same spec and stage, fewest differing variables,
 * newest. */
const struct run_info *nearest_run(const struct states *s, const struct job *job,
                                   int64_t *diff);

/* disk.c: bytes that the job will take, from a run of its like; it makes `ratio`
 * times the steps of that. */
int64_t expect_bytes(struct states *s, const struct job *job, const struct run_info *like,
                     double ratio);
#define STATES_READ_MAX 64 /* runs opened for the sake of forecasts */

/* Fills in seconds and bytes of a job that is to be done, as far as they can be known. */
void expect(struct states *s, struct job *job);

#endif
