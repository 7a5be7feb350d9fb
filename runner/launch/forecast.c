/* How a plan will be shared among workers, and how long that will take. */
#include <math.h>
#include <stdlib.h>

#include "workers.h"

void launch_share(const struct launch *l, int *workers, int *threads)
{
    int64_t work = 0;
    int cores = pool_cores();

    for (int64_t i = 0; i < l->plan->n; i++)
        work += l->plan->job[i].state != JOB_CACHED;
    *workers = l->jobs < 1 ? 1 : l->jobs;
    if (*workers > work)
        *workers = work > 0 ? (int)work : 1;
    *threads = l->threads > 0 ? l->threads : cores > *workers ? cores / *workers : 1;
}

struct busy {
    int64_t job; /* -1: idle */
    double until;
};

static struct busy *first_to_end(struct busy *b, int n)
{
    struct busy *first = NULL;

    for (int i = 0; i < n; i++)
        if (b[i].job >= 0 && (!first || b[i].until < first->until))
            first = &b[i];
    return first;
}

/* The schedule is gone through as the launcher does, with a clock of its own. */
static double simulate(struct schedule *s, struct busy *b, int workers)
{
    double now = 0;

    for (int i = 0; i < workers; i++)
        b[i].job = -1;
    for (;;) {
        for (int i = 0; i < workers && s->ready; i++)
            if (b[i].job < 0) {
                double seconds;
                b[i].job = schedule_take(s);
                seconds = s->plan->job[b[i].job].seconds;
                b[i].until = now + (isnan(seconds) ? 0 : seconds);
            }
        struct busy *first = first_to_end(b, workers);
        if (!first)
            return now;
        now = first->until;
        schedule_done(s, first->job);
        first->job = -1;
    }
}

double launch_forecast(const struct launch *l)
{
    struct err err = ERR_INIT;
    struct schedule s;
    int workers, threads;
    double seconds = (double)NAN;

    launch_share(l, &workers, &threads);
    struct busy *b = mem_new(workers, sizeof *b, &err);
    if (b && !schedule_init(&s, l->plan, workers, NULL, &err)) {
        seconds = simulate(&s, b, workers);
        schedule_release(&s);
    }
    free(b);
    return seconds;
}
