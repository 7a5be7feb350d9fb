/*
 * Which job next.
 *
 * Ready jobs lie in a heap. With several workers the longest chain of work goes first,
 * so that no worker is left alone with a long one at the end; equal ones, and all with
 * one worker, in the order of the plan.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "workers.h"

/* ---- the heap ---- */

static bool before(const struct schedule *s, int64_t a, int64_t b)
{
    if (s->chain[a] > s->chain[b] || s->chain[a] < s->chain[b])
        return s->chain[a] > s->chain[b];
    return a < b;
}

static void swap(int64_t *a, int64_t *b)
{
    int64_t t = *a;
    *a = *b;
    *b = t;
}

static void push(struct schedule *s, int64_t job)
{
    int64_t i = s->ready++;

    s->heap[i] = job;
    for (; i > 0 && before(s, s->heap[i], s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&s->heap[i], &s->heap[(i - 1) / 2]);
    s->at[job] = AT_READY;
}

static int64_t pop(struct schedule *s)
{
    int64_t top = s->heap[0], i = 0;

    s->heap[0] = s->heap[--s->ready];
    for (;;) {
        int64_t best = i;
        for (int64_t c = 2 * i + 1; c <= 2 * i + 2 && c < s->ready; c++)
            if (before(s, s->heap[c], s->heap[best]))
                best = c;
        if (best == i)
            return top;
        swap(&s->heap[i], &s->heap[best]);
        i = best;
    }
}

/* ---- the graph ---- */

static int allocate(struct schedule *s, int64_t n, int64_t edges, struct err *err)
{
    s->at = mem_new(n, sizeof *s->at, err);
    s->unmet = mem_new(n, sizeof *s->unmet, err);
    s->first_user = mem_new(n + 2, sizeof *s->first_user, err);
    s->user = mem_new(edges, sizeof *s->user, err);
    s->chain = mem_new(n, sizeof *s->chain, err);
    s->heap = mem_new(n, sizeof *s->heap, err);
    return s->at && s->unmet && s->first_user && s->user && s->chain && s->heap ? 0 : -1;
}

/* Users of each job, in the order of the plan: counted, then filled in. */
static void link_users(struct schedule *s)
{
    const struct plan *plan = s->plan;
    int64_t *at =
        s->first_user + 1; /* shifted by one, so that filling leaves the starts */

    for (int64_t i = 0; i < plan->n; i++)
        for (int64_t k = 0; k < plan->job[i].n_needs; k++)
            at[plan->job[i].needs[k] + 1]++;
    for (int64_t i = 1; i <= plan->n; i++)
        at[i] += at[i - 1];
    for (int64_t i = 0; i < plan->n; i++)
        for (int64_t k = 0; k < plan->job[i].n_needs; k++)
            s->user[at[plan->job[i].needs[k]]++] = i;
}

/* Seconds from the start of each job to the end of all that waits for it; jobs of
 * unknown length count as those of one second. Users come after what they need. */
static void find_chains(struct schedule *s)
{
    for (int64_t i = s->plan->n; i-- > 0;) {
        double longest = 0, own = s->plan->job[i].seconds;
        for (int64_t u = s->first_user[i]; u < s->first_user[i + 1]; u++)
            if (s->chain[s->user[u]] > longest)
                longest = s->chain[s->user[u]];
        s->chain[i] = longest + (isnan(own) ? 1 : own);
    }
}

/* Does it need what nobody here will make? Needs come before it. */
static bool lacks(const struct schedule *s, const struct job *j)
{
    for (int64_t k = 0; k < j->n_needs; k++)
        if (s->at[j->needs[k]] == AT_OTHERS || s->at[j->needs[k]] == AT_LEFT_OUT)
            return true;
    return false;
}

static void count_unmet(struct schedule *s, const bool *only)
{
    const struct plan *plan = s->plan;

    for (int64_t i = 0; i < plan->n; i++) {
        const struct job *j = &plan->job[i];
        if (j->state == JOB_CACHED) {
            s->at[i] = AT_DONE;
            continue;
        }
        if (only && !only[i]) {
            s->at[i] = AT_OTHERS;
            s->others++;
            continue;
        }
        if (lacks(s, j)) {
            s->at[i] = AT_LEFT_OUT;
            s->left_out++;
            continue;
        }
        for (int64_t k = 0; k < j->n_needs; k++)
            s->unmet[i] += plan->job[j->needs[k]].state != JOB_CACHED;
        if (s->unmet[i])
            s->waiting++;
        else
            push(s, i);
    }
}

int schedule_init(struct schedule *s, const struct plan *plan, int workers,
                  const bool *only, struct err *err)
{
    int64_t edges = 0;

    memset(s, 0, sizeof *s);
    s->plan = plan;
    for (int64_t i = 0; i < plan->n; i++)
        edges += plan->job[i].n_needs;
    if (allocate(s, plan->n, edges, err)) {
        schedule_release(s);
        return -1;
    }
    link_users(s);
    if (workers > 1)
        find_chains(s);
    count_unmet(s, only);
    return 0;
}

void schedule_release(struct schedule *s)
{
    free(s->at);
    free(s->unmet);
    free(s->first_user);
    free(s->user);
    free(s->chain);
    free(s->heap);
    memset(s, 0, sizeof *s);
}

/* ---- what happens ---- */

int64_t schedule_take(struct schedule *s)
{
    int64_t job;

    if (!s->ready)
        return -1;
    job = pop(s);
    s->at[job] = AT_RUNNING;
    s->running++;
    return job;
}

static void leave(struct schedule *s, int64_t job)
{
    s->running -= s->at[job] == AT_RUNNING;
    s->held -= s->at[job] == AT_HELD;
}

void schedule_back(struct schedule *s, int64_t job)
{
    leave(s, job);
    push(s, job);
}

void schedule_hold(struct schedule *s, int64_t job)
{
    leave(s, job);
    s->at[job] = AT_HELD;
    s->held++;
}

void schedule_done(struct schedule *s, int64_t job)
{
    leave(s, job);
    s->at[job] = AT_DONE;
    for (int64_t u = s->first_user[job]; u < s->first_user[job + 1]; u++) {
        int64_t user = s->user[u];
        if (--s->unmet[user] == 0 && s->at[user] == AT_WAITING) {
            s->waiting--;
            push(s, user);
        }
    }
}

/* In the order of the plan, so that one pass reaches all that need it. */
void schedule_failed(struct schedule *s, int64_t job)
{
    leave(s, job);
    s->at[job] = AT_FAILED;
    for (int64_t i = job + 1; i < s->plan->n && s->waiting; i++) {
        const struct job *j = &s->plan->job[i];
        for (int64_t k = 0; k < j->n_needs && s->at[i] == AT_WAITING; k++)
            if (s->at[j->needs[k]] == AT_FAILED || s->at[j->needs[k]] == AT_LEFT_OUT) {
                s->at[i] = AT_LEFT_OUT;
                s->waiting--;
                s->left_out++;
            }
    }
}
