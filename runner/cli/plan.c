/* retort plan SPEC: what a run would do, and why. */
#include <stdio.h>

#include "session.h"

static const char *state_word(enum job_state state)
{
    static const char *const word[] = {"cached", "resume", "run", "rerun", "blocked"};
    return word[state];
}

static void print_plan(const struct plan *plan)
{
    int64_t count[5] = {0};

    printf("%-10s  %-12s  %-8s  %-28s  %s\n", "job", "stage", "what", "variables", "why");
    for (int64_t i = 0; i < plan->n; i++) {
        const struct job *j = &plan->job[i];
        count[j->state]++;
        printf("%.10s  %-12s  %-8s  %-28s  %s\n", j->id, j->stage, state_word(j->state),
               j->variables ? j->variables : "", j->why ? j->why : "");
    }
    printf("%lld jobs: %lld cached, %lld resume, %lld run\n", (long long)plan->n,
           (long long)count[JOB_CACHED], (long long)count[JOB_RESUME],
           (long long)(count[JOB_RUN] + count[JOB_RERUN]));
}

static int run_plan(const void *args)
{
    const struct plan_args *a = args;
    const struct session_options opt = {a->spec, a->common.store, a->set.v, a->set.n,
                                        true};
    struct session s;
    struct err err = ERR_INIT;
    int rc = 0;

    if (session_open(&s, &opt, &err))
        rc = session_tell(&s, &err);
    else
        print_plan(s.plan);
    session_close(&s);
    return rc;
}

static const struct flag flags[] = {
    {.name = "set",
     .type = OPT_STRINGS,
     .value = "STAGE.OPTION=VALUE",
     .help = "change the spec (may be given again); a swept variable leaves the sweep",
     .offset = offsetof(struct plan_args, set)},
    FLAG_END,
};

const struct verb verb_plan = {
    .name = "plan",
    .group = "Experiments",
    .summary = "what a run would do, and why",
    .operands = plan_operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_JOBS | COMMON_THREADS,
    .size = sizeof(struct plan_args),
    .run = run_plan,
};
