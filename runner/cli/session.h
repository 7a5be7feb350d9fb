/*
 * What run, plan and worker open: spec, store and plan.
 */
#ifndef RETORT_SESSION_H
#define RETORT_SESSION_H

#include "retort/launch.h"
#include "verbs.h"

/* The command line of run and plan. */
struct plan_args {
    struct common common;
    const char *spec;
    struct string_list set;
    int rerun_on;
    bool require_clean; /* run's alone, and this: */
    const char *profile, *part;
    int launch;
    double checkpoint_seconds;
};
enum { RERUN_NEVER, RERUN_CODE };
enum { LAUNCH_LOCAL, LAUNCH_SLURM };
extern const char *const rerun_choices[], *const launch_choices[];
extern const struct operand plan_operands[];

/* Options of both. */
#define PLAN_FLAGS                                                                       \
    {.name = "set",                                                                      \
     .type = OPT_STRINGS,                                                                \
     .value = "STAGE.OPTION=VALUE",                                                      \
     .help = "change the spec (may be given again); a swept variable leaves the sweep",  \
     .offset = offsetof(struct plan_args, set)},                                         \
    {                                                                                    \
        .name = "rerun-on", .type = OPT_ENUM, .choices = rerun_choices,                  \
        .help = "with \"code\", run again what a build of another commit, or one with "  \
                "changes, has made: results must come out the same",                     \
        .offset = offsetof(struct plan_args, rerun_on)                                   \
    }

struct session {
    struct spec *spec;
    struct store *store;
    struct plan *plan;
    char env_class[65];
    struct diags *diags;
};

struct session_options {
    const char *spec, *store;
    const char *const *set;
    int64_t n_set;
    const struct spec_file *file; /* in place of what is on disk */
    int64_t n_files;
    bool create; /* make the store where there is none; else s->store may be NULL */
    bool states; /* compare the plan with the store */
    bool rerun_on_code;
};
struct session_options session_options_of(const struct plan_args *args, bool create);

/* 0, or -1 with err; where the spec is wrong, s->diags holds all that is. */
int session_open(struct session *s, const struct session_options *opt, struct err *err);
void session_close(struct session *s);
/* Prints what session_open found wrong; returns the exit code. */
int session_tell(const struct session *s, const struct err *err);

/* cluster.c: hands the plan's jobs to Slurm and tells how; -1 or the exit code. */
int cluster_submit(const struct plan_args *a, const struct launch *l, struct err *err);

#endif
