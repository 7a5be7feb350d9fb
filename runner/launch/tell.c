/* What the launcher tells a person: lines about jobs, the live region, times. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launcher.h"
#include "retort/clock.h"

void tell_job(struct launcher *la, enum display_tone tone, int64_t job, const char *fmt,
              ...)
{
    const struct job *j = &la->l->plan->job[job];
    const struct launch_result *r = la->out;
    char text[ERR_TEXT_MAX];
    va_list ap;

    if (la->l->quiet && tone != TONE_BAD)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    display_line(la->display, tone, "[%lld/%lld] %.10s %s%s%s: %s",
                 (long long)(r->done + r->failed + r->cached),
                 (long long)(la->l->plan->n - la->s.others), j->id, j->stage,
                 *j->variables ? " " : "", j->variables, text);
}

/* ---- times ---- */

static int64_t stage_number(struct launcher *la, const char *stage)
{
    for (int64_t i = 0; i < la->n_times; i++)
        if (!strcmp(la->times[i].stage, stage))
            return i;
    la->times[la->n_times].stage = stage;
    return la->n_times++;
}

int times_init(struct launcher *la, struct err *err)
{
    const struct plan *plan = la->l->plan;

    la->times = mem_new(plan->n, sizeof *la->times, err);
    la->stage_of = mem_new(plan->n, sizeof *la->stage_of, err);
    if (!la->times || !la->stage_of)
        return -1;
    for (int64_t i = 0; i < plan->n; i++)
        la->stage_of[i] = stage_number(la, plan->job[i].stage);
    return 0;
}

void times_release(struct launcher *la)
{
    free(la->times);
    free(la->stage_of);
}

void times_add(struct launcher *la, int64_t job, double seconds)
{
    struct times *t = &la->times[la->stage_of[job]];

    t->n++;
    t->sum += seconds;
}

/* What a whole job takes: as others of its stage did now, else as the plan expects. */
static double expected(const struct launcher *la, int64_t job)
{
    const struct times *t = &la->times[la->stage_of[job]];

    return t->n ? t->sum / (double)t->n : la->l->plan->job[job].seconds;
}

double time_left(const struct worker *w)
{
    if (w->first_at <= 0 || w->done <= w->first_done || w->total <= 0)
        return (double)NAN;
    return (double)(w->total - w->done) * (clock_seconds() - w->first_at) /
           (double)(w->done - w->first_done);
}

static double left_of(const struct launcher *la, const struct worker *w)
{
    double left = time_left(w), whole = expected(la, w->job) - clock_seconds() + w->began;

    return isnan(left) ? (whole < 0 ? 0 : whole) : left;
}

/* All that is not done, over the workers; at least the longest of those running. */
static double total_left(const struct launcher *la)
{
    double sum = 0, longest = 0;

    for (int i = 0; i < la->workers; i++)
        if (la->w[i].state == WORKER_BUSY) {
            double left = left_of(la, &la->w[i]);
            sum += left;
            longest = left > longest ? left : longest;
        }
    for (int64_t i = 0; i < la->l->plan->n; i++)
        if (la->s.at[i] == AT_WAITING || la->s.at[i] == AT_READY)
            sum += expected(la, i);
    sum /= la->workers;
    return sum < longest ? longest : sum;
}

/* ---- the live region ---- */

void draw(struct launcher *la)
{
    const struct launch_result *r = la->out;
    struct display_totals t = {.done = r->done,
                               .failed = r->failed,
                               .cached = r->cached,
                               .waiting = la->s.waiting + la->s.ready,
                               .all = la->l->plan->n - la->s.others,
                               .elapsed = clock_seconds() - la->began};
    int64_t n = 0;

    if (!display_live(la->display))
        return;
    for (int i = 0; i < la->workers; i++) {
        const struct worker *w = &la->w[i];
        if (w->state != WORKER_BUSY)
            continue;
        const struct job *j = &la->l->plan->job[w->job];
        la->row[n++] = (struct display_row){j->stage, j->variables, w->text,
                                            w->done,  w->total,     left_of(la, w)};
    }
    for (int64_t i = 0; i < la->n_held; i++) {
        const struct job *j = &la->l->plan->job[la->held[i].job];
        la->row[n++] = (struct display_row){
            .stage = j->stage, .variables = j->variables, .text = la->held[i].text};
    }
    t.left = total_left(la);
    display_draw(la->display, la->row, n, &t);
}
