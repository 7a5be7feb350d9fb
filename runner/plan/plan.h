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
    int64_t *count;  /* (groups) its points */
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
    struct err no_hub; /* why the model of this name could not be fetched */
    const char *no_hub_name;
};

const char *digest_folder(struct planner *pl, const char *path, struct err *err);
/* Of "hf:org/name": the folder of its snapshot. Free *path. */
int hub_folder(struct planner *pl, char **path, const char *name, struct err *err);
int task_identity(struct planner *pl, const struct stage_decl *st,
                  const struct task *task, struct json_writer *w, const char **digest,
                  struct err *err);
const struct groups *groups_find(struct planner *pl, const struct stage_decl *st);
/* Index of a stage by its name, or -1. */
int64_t stage_index(const struct spec *sp, const char *name);

/* choices.c: what the job `chooser` can bring for a choice of `st`, written as the
 * option's value in the identity. -1 with errors told, and nothing written. */
int choice_plan(struct planner *pl, struct job_choice *out, const struct stage_decl *st,
                const struct choice *c, const struct job *chooser, struct json_writer *w);
/* Are all options that can come together what the method wants? */
bool choices_fit(struct planner *pl, const struct stage_decl *st, const struct job *job);
/* Do the inputs of a selecting job stand for the same points, one by one? */
bool candidates_agree(struct planner *pl, const struct stage_decl *st,
                      const struct job *job);
/* The input whose parts are chosen from; NULL: the method is no selection. */
const struct job_input *job_candidates(const struct job *job);

/* state.c: cached, resume, run; why; how long and how big. */
int plan_states(struct planner *pl, struct err *err);

#endif
