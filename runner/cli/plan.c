/* retort plan SPEC: what a run would do, why, for how long, and how much disk it takes.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "grid.h"
#include "query.h"
#include "retort/json.h"
#include "session.h"

enum { STATES = JOB_BLOCKED + 1 };
static const char *const state_word[STATES] = {"cached", "resume", "run", "rerun",
                                               "blocked"};

struct totals {
    int64_t count[STATES], bytes;
    int64_t times_unknown, sizes_unknown; /* jobs */
    double seconds;                       /* from the first to the last */
    int workers, threads;
};

static struct totals totals_of(const struct launch *l)
{
    struct totals t = {.bytes = 0};

    for (int64_t i = 0; i < l->plan->n; i++) {
        const struct job *j = &l->plan->job[i];
        t.count[j->state]++;
        if (j->state == JOB_CACHED)
            continue;
        t.times_unknown += isnan(j->seconds);
        t.sizes_unknown += j->bytes < 0;
        t.bytes += j->bytes < 0 ? 0 : j->bytes;
    }
    launch_share(l, &t.workers, &t.threads);
    t.seconds = launch_forecast(l);
    return t;
}

/* ---- for people ---- */

static void put_what(struct grid *g, const struct job *j)
{
    if (j->state == JOB_RESUME)
        grid_printf(g, "resume at %lld", (long long)j->step);
    else
        grid_put(g, state_word[j->state]);
}

/* What is there already costs nothing. */
static void put_costs(struct grid *g, const struct job *j)
{
    char text[32];

    if (j->state == JOB_CACHED) {
        grid_put(g, "");
        grid_put(g, "");
        return;
    }
    seconds_text(text, j->seconds);
    grid_put(g, isnan(j->seconds) ? "?" : text);
    bytes_text(text, j->bytes);
    grid_put(g, j->bytes < 0 ? "?" : text);
}

static int put_jobs(struct strbuf *out, const struct plan *plan, struct err *err)
{
    static const struct grid_column columns[] = {
        {.title = "job"},
        {.title = "stage"},
        {.title = "variables", .elastic = true},
        {.title = "what"},
        {.title = "time", .right = true, .rank = 1},
        {.title = "disk", .right = true, .rank = 1},
        {.title = "why", .elastic = true},
    };
    enum { COLUMNS = sizeof columns / sizeof *columns };
    struct grid *g = grid_new(columns, COLUMNS, err);
    int rc = -1;

    for (int64_t i = 0; g && i < plan->n; i++) {
        const struct job *j = &plan->job[i];
        grid_printf(g, "%.10s", j->id);
        grid_put(g, j->stage);
        grid_put(g, j->variables);
        put_what(g, j);
        put_costs(g, j);
        grid_put(g, j->why ? j->why : "");
    }
    if (g)
        rc = grid_print(g, out, screen_width(), err);
    grid_free(g);
    return rc;
}

static void put_count(struct strbuf *out, const char **gap, int64_t n, const char *word)
{
    if (!n)
        return;
    strbuf_printf(out, "%s%lld %s", *gap, (long long)n, word);
    *gap = ", ";
}

static void put_forecast(struct strbuf *out, const struct totals *t, int64_t to_do)
{
    char time[32], size[32];

    seconds_text(time, t->seconds);
    bytes_text(size, t->bytes);
    if (t->times_unknown == to_do)
        strbuf_puts(out, " How long is not known: nothing like them has run here yet.");
    else
        strbuf_printf(out, " %s %s by %d worker%s of %d thread%s, %s%s.",
                      t->times_unknown ? "At least" : "About", time, t->workers,
                      t->workers == 1 ? "" : "s", t->threads, t->threads == 1 ? "" : "s",
                      t->sizes_unknown ? "at least " : "", size);
    if (t->times_unknown && t->times_unknown < to_do)
        strbuf_printf(out, " %lld of unknown length.", (long long)t->times_unknown);
}

static void put_totals(struct strbuf *out, const struct plan *plan,
                       const struct totals *t)
{
    const char *gap = "";
    int64_t to_do = plan->n - t->count[JOB_CACHED];

    strbuf_printf(out, "%lld job%s: ", (long long)plan->n, plan->n == 1 ? "" : "s");
    for (int s = 0; s < STATES; s++)
        put_count(out, &gap, t->count[s], state_word[s]);
    strbuf_putc(out, '.');
    if (to_do)
        put_forecast(out, t, to_do);
    strbuf_putc(out, '\n');
}

/* ---- for programs ---- */

static void put_cost(struct json_writer *w, const char *name, double x)
{
    json_member(w, name);
    json_num(w, x); /* NaN: null */
}

static void put_json_job(struct json_writer *w, const struct job *j)
{
    json_object(w);
    json_member(w, "id");
    json_str(w, j->id);
    json_member(w, "stage");
    json_str(w, j->stage);
    json_member(w, "method");
    json_str(w, j->method->name);
    json_member(w, "variables");
    json_str(w, j->variables);
    json_member(w, "what");
    json_str(w, state_word[j->state]);
    json_member(w, "step");
    json_i64(w, j->state == JOB_RESUME ? j->step : 0);
    json_member(w, "why");
    json_str(w, j->why);
    put_cost(w, "seconds", j->state == JOB_CACHED ? 0 : j->seconds);
    put_cost(w, "bytes",
             j->state == JOB_CACHED ? 0
             : j->bytes < 0         ? (double)NAN
                                    : (double)j->bytes);
    json_object_end(w);
}

static void put_json(struct strbuf *out, const struct plan *plan, const struct totals *t)
{
    struct json_writer w;

    json_begin(&w, out, true);
    json_object(&w);
    json_member(&w, "spec");
    json_str(&w, spec_name(plan->spec));
    json_member(&w, "jobs");
    json_array(&w);
    for (int64_t i = 0; i < plan->n; i++)
        put_json_job(&w, &plan->job[i]);
    json_array_end(&w);
    for (int s = 0; s < STATES; s++) {
        json_member(&w, state_word[s]);
        json_i64(&w, t->count[s]);
    }
    json_member(&w, "workers");
    json_i64(&w, t->workers);
    json_member(&w, "threads");
    json_i64(&w, t->threads);
    put_cost(&w, "seconds", t->times_unknown ? (double)NAN : t->seconds);
    put_cost(&w, "bytes", t->sizes_unknown ? (double)NAN : (double)t->bytes);
    json_object_end(&w);
    strbuf_putc(out, '\n');
}

/* ---- the verb ---- */

static int run_plan(const void *args)
{
    const struct plan_args *a = args;
    const struct session_options opt = session_options_of(a, false);
    struct session s;
    struct strbuf out = STRBUF_INIT;
    struct err err = ERR_INIT;
    int rc = 0;

    if (session_open(&s, &opt, &err)) {
        rc = session_tell(&s, &err);
    } else {
        struct launch l = {.plan = s.plan,
                           .jobs = (int)a->common.jobs,
                           .threads = (int)a->common.threads};
        struct totals t = totals_of(&l);
        if (a->common.json)
            put_json(&out, s.plan, &t);
        else if (put_jobs(&out, s.plan, &err))
            rc = tell_error(&err);
        else
            put_totals(&out, s.plan, &t);
        if (!rc)
            rc = print_text(&out);
    }
    strbuf_release(&out);
    session_close(&s);
    return rc;
}

static const struct flag flags[] = {
    PLAN_FLAGS,
    FLAG_END,
};

const struct verb verb_plan = {
    .name = "plan",
    .group = "Experiments",
    .summary = "what a run would do, and why",
    .operands = plan_operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_JOBS | COMMON_THREADS | COMMON_JSON | COMMON_PLUGIN,
    .about =
        "For each job: what is to be done and why, and, as far as earlier runs of its "
        "like tell, how long that takes and how much disk (\"?\": nothing like it has "
        "run here). Nothing is run and nothing is written.",
    .size = sizeof(struct plan_args),
    .run = run_plan,
};
