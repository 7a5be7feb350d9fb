/*
 * retort watch SPEC: how a sweep stands, whoever works on it.
 *
 * Everything is read from the store, so it shows workers of this machine and tasks of a
 * cluster alike; it asks nobody and holds nothing up.
 */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "grid.h"
#include "query.h"
#include "session.h"

#define LOOK_SECONDS 2
#define ROWS_MAX 20 /* of working and of failed jobs: the others are counted */

struct args {
    struct plan_args plan; /* first: its flags point into it */
    bool once;
};

struct sight {
    const struct plan *plan;
    struct run_info *run; /* of each job */
    int64_t done, working, failed, waiting;
};

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

/* ---- looking ---- */

static bool is_failed(const struct run_info *r)
{
    return r->state == RUN_DAMAGED || (r->state == RUN_PARTIAL && *r->failure);
}

/* What is sealed stays so: it is not looked at again. */
static int look(struct sight *s, struct store *store, struct err *err)
{
    s->done = s->working = s->failed = s->waiting = 0;
    for (int64_t i = 0; i < s->plan->n; i++) {
        struct run_info *r = &s->run[i];
        if (r->state != RUN_SEALED && store_stat(store, s->plan->job[i].id, r, err))
            return -1;
        s->done += r->state == RUN_SEALED;
        s->working += r->state == RUN_ACTIVE;
        s->failed += is_failed(r);
    }
    s->waiting = s->plan->n - s->done - s->working - s->failed;
    return 0;
}

/* ---- by stage ---- */

static int put_stages(struct strbuf *out, const struct sight *s, struct err *err)
{
    static const struct grid_column columns[] = {
        {.title = "stage"},
        {.title = "jobs", .right = true},
        {.title = "done", .right = true},
        {.title = "working", .right = true},
        {.title = "failed", .right = true},
        {.title = "to do", .right = true},
    };
    struct grid *g = grid_new(columns, 6, err);
    int rc = -1;

    for (int64_t i = 0; g && i < s->plan->n; i++) {
        const char *stage = s->plan->job[i].stage;
        struct sight own = {.done = 0};
        int64_t n = 0, before = 0;
        while (strcmp(s->plan->job[before].stage, stage) != 0)
            before++;
        if (before < i)
            continue;
        for (int64_t k = i; k < s->plan->n; k++) {
            const struct run_info *r = &s->run[k];
            if (strcmp(s->plan->job[k].stage, stage) != 0)
                continue;
            n++;
            own.done += r->state == RUN_SEALED;
            own.working += r->state == RUN_ACTIVE;
            own.failed += is_failed(r);
        }
        grid_put(g, stage);
        grid_printf(g, "%lld", (long long)n);
        grid_printf(g, "%lld", (long long)own.done);
        grid_printf(g, "%lld", (long long)own.working);
        grid_printf(g, "%lld", (long long)own.failed);
        grid_printf(g, "%lld", (long long)(n - own.done - own.working - own.failed));
    }
    if (g)
        rc = grid_print(g, out, screen_width(), err);
    grid_free(g);
    return rc;
}

/* ---- jobs ---- */

/* The last step that the journal has, and the loss there; "" before the first. */
static void put_step(struct grid *g, struct store *store, const char *id)
{
    struct err quiet = ERR_INIT;
    struct run *run;
    struct series s = {.n = 0};

    if (run_open(&run, store, id, true, &quiet)) {
        grid_put(g, "");
        return;
    }
    if (!run_series_find(run, "train/loss", &s, &quiet) && s.n)
        grid_printf(g, "step %lld, loss %.4g", (long long)s.step[s.n - 1],
                    s.value[s.n - 1]);
    else
        grid_put(g, "");
    run_close(run);
}

static int put_working(struct strbuf *out, const struct sight *s, struct store *store,
                       struct err *err)
{
    static const struct grid_column columns[] = {
        {.title = "working"},
        {.title = "stage"},
        {.title = "variables", .elastic = true},
        {.title = "at"},
        {.title = "saved at", .right = true, .rank = 1},
        {.title = "by", .elastic = true, .rank = 2},
    };
    struct grid *g = grid_new(columns, 6, err);
    int64_t n = 0;
    int rc = -1;

    for (int64_t i = 0; g && i < s->plan->n && n < ROWS_MAX; i++) {
        const struct job *j = &s->plan->job[i];
        if (s->run[i].state != RUN_ACTIVE)
            continue;
        n++;
        grid_printf(g, "%.10s", j->id);
        grid_put(g, j->stage);
        grid_put(g, j->variables);
        put_step(g, store, j->id);
        if (s->run[i].step > 0)
            grid_printf(g, "%lld", (long long)s->run[i].step);
        else
            grid_put(g, "");
        grid_put(g, s->run[i].holder);
    }
    if (g && n) {
        strbuf_putc(out, '\n');
        rc = grid_print(g, out, screen_width(), err);
        if (s->working > n)
            strbuf_printf(out, "and %lld more\n", (long long)(s->working - n));
    }
    grid_free(g);
    return n ? rc : 0;
}

static int put_failed(struct strbuf *out, const struct sight *s, struct err *err)
{
    static const struct grid_column columns[] = {
        {.title = "failed"},
        {.title = "stage"},
        {.title = "variables", .elastic = true, .rank = 1},
        {.title = "why", .wraps = true},
    };
    struct grid *g = grid_new(columns, 4, err);
    int64_t n = 0;
    int rc = -1;

    for (int64_t i = 0; g && i < s->plan->n && n < ROWS_MAX; i++) {
        const struct run_info *r = &s->run[i];
        if (!is_failed(r))
            continue;
        n++;
        grid_printf(g, "%.10s", s->plan->job[i].id);
        grid_put(g, s->plan->job[i].stage);
        grid_put(g, s->plan->job[i].variables);
        grid_put(g, r->failure);
    }
    if (g && n) {
        strbuf_putc(out, '\n');
        rc = grid_print(g, out, screen_width(), err);
    }
    grid_free(g);
    return n ? rc : 0;
}

static int put_sight(struct strbuf *out, const struct sight *s, struct store *store,
                     struct err *err)
{
    strbuf_printf(out, "%s: %lld of %lld jobs done", spec_name(s->plan->spec),
                  (long long)s->done, (long long)s->plan->n);
    if (s->working)
        strbuf_printf(out, ", %lld working", (long long)s->working);
    if (s->failed)
        strbuf_printf(out, ", %lld failed", (long long)s->failed);
    if (s->waiting)
        strbuf_printf(out, ", %lld to do", (long long)s->waiting);
    strbuf_puts(out, "\n\n");
    return put_stages(out, s, err) || put_working(out, s, store, err) ||
                   put_failed(out, s, err)
               ? -1
               : 0;
}

/* ---- the verb ---- */

/* In place of what was there before: from the top of the screen, the rest cleared. */
static int show(const struct sight *s, struct store *store, bool live, struct err *err)
{
    struct strbuf out = STRBUF_INIT;

    if (live)
        strbuf_puts(&out, "\033[H\033[J");
    if (put_sight(&out, s, store, err)) {
        strbuf_release(&out);
        return -1;
    }
    if (live)
        strbuf_puts(&out, "\nCtrl-C ends the watch, not the work.\n");
    return print_text(&out);
}

static int watch(const struct args *a, struct sight *s, struct store *store,
                 struct err *err)
{
    struct sigaction act = {.sa_handler = on_signal};
    bool live = !a->once && isatty(STDOUT_FILENO);
    int rc;

    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    for (;;) {
        rc = look(s, store, err) ? -1 : show(s, store, live, err);
        if (rc || !live || stopped || s->done == s->plan->n)
            return rc;
        nanosleep(&(struct timespec){LOOK_SECONDS, 0}, NULL);
        if (stopped)
            return 0;
    }
}

static int run_watch(const void *args)
{
    const struct args *a = args;
    struct session_options opt = session_options_of(&a->plan, false);
    struct session s;
    struct sight sight = {.done = 0};
    struct err err = ERR_INIT;
    int rc = -1;

    opt.states = false;
    if (session_open(&s, &opt, &err)) {
        rc = session_tell(&s, &err);
        session_close(&s);
        return rc;
    }
    sight.plan = s.plan;
    sight.run = mem_new(s.plan->n, sizeof *sight.run, &err);
    if (!s.store)
        err_set(&err, ERR_MISSING, "%s: there is no store yet", a->plan.common.store);
    else if (sight.run)
        rc = watch(a, &sight, s.store, &err);
    if (rc < 0)
        rc = tell_error(&err);
    free(sight.run);
    session_close(&s);
    return rc;
}

static const struct flag flags[] = {
    {.name = "set",
     .type = OPT_STRINGS,
     .value = "STAGE.OPTION=VALUE",
     .help = "as it was given to run",
     .offset = offsetof(struct args, plan.set)},
    {.name = "once",
     .type = OPT_BOOL,
     .help = "show it once and end; so it is where the output is no terminal",
     .offset = offsetof(struct args, once)},
    FLAG_END,
};

const struct verb verb_watch = {
    .name = "watch",
    .group = "Experiments",
    .summary = "how a sweep stands, here and on a cluster",
    .operands = plan_operands,
    .flags = flags,
    .common = COMMON_STORE,
    .about = "Counts the jobs of each stage by what the store says of them, names those "
             "that are worked on (where, at which step) and those that failed (why). "
             "Looks again every two seconds until all is done.",
    .size = sizeof(struct args),
    .run = run_watch,
};
