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
    bool require_clean;
};
extern const struct operand plan_operands[];

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
    bool states; /* compare the plan with the store */
};

/* 0, or -1 with err; where the spec is wrong, s->diags holds all that is. */
int session_open(struct session *s, const struct session_options *opt, struct err *err);
void session_close(struct session *s);
/* Prints what session_open found wrong; returns the exit code. */
int session_tell(const struct session *s, const struct err *err);

#endif
