/*
 * Inside the planner. Jobs are made on demand from (point, stage), inputs first, so their
 * order is topological; a job whose identity was seen already is the same job.
 */
#ifndef RETORT_PLAN_PLAN_H
#define RETORT_PLAN_PLAN_H

#include <stdio.h>

#include "../spec/tree.h"

/* The points that agree in all but the variables of an `over`. */
struct groups {
    const char *key; /* the list of variables */
    int64_t *of;     /* (points) group of each */
    int64_t *next;   /* (points) the next point of the same group, or -1 */
    int64_t *first;  /* (groups) */
    int64_t n;
};

struct planner {
    struct plan *plan;
    struct spec *sp;
    struct store *store;
    const struct plan_options *opt;
    const char *data_dir;
    struct map identities; /* text before canonical form -> job */
    struct map ids;
    struct map digests;
    const char **digest;
    int64_t n_digests, cap_digests;
    int64_t cap_jobs;
    struct groups **groups;
    int64_t n_groups, cap_groups;
    int64_t *last_point; /* (jobs) to add a point once */
    int64_t depth;
};

const char *digest_folder(struct planner *pl, const char *path, struct err *err);
int task_identity(struct planner *pl, const struct stage_decl *st,
                  const struct task *task, struct json_writer *w, const char **digest,
                  struct err *err);
const struct groups *groups_find(struct planner *pl, const struct stage_decl *st);

/* state.c: cached, resume, run; why; how long and how big. */
int plan_states(struct planner *pl, struct err *err);

#endif
